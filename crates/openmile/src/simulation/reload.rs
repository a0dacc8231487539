//! Nodes that go on with another network file while they run, as `openmile reload` has them do it; and that they then are
//! where nodes are that began with it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use network::NodeView;

use super::processes::neighbors;
use super::world::{What, World};
use crate::control::directory;
use crate::control::kernel::Interest;
use crate::control::reload::Loaded;

impl World {
    /// A node is to go on with another file. One that must not changes nothing, and the operator gives its old one back,
    /// unless it is to be started again with the new one.
    pub(super) fn reload(&mut self, node: usize, file: usize, insist: bool) {
        let now = self.now;
        let (site, before) = (&self.files[file].site, &self.files[self.members[node].file].site);
        let loaded = Loaded::new(
            site,
            &format!("n{node}"),
            &self.members[node].numbers,
            &before.subscribers_digest(),
            self.seconds(),
        );
        let loaded = loaded.map(|loaded| Loaded { neighbors: neighbors(&loaded.view), ..loaded });
        let (Some(loaded), Some(control)) = (loaded, &mut self.members[node].control) else {
            // It takes the file when it starts.
            return self.members[node].file = file;
        };
        let view = loaded.view.clone();
        match control.propose(now, Box::new(loaded), true) {
            // As soon as it can be done.
            Some(Err(reasons)) if reasons.iter().any(|reason| reason == directory::BUSY) => {
                self.later(Duration::from_millis(200), What::Reload { node, file, insist, announced: true })
            }
            None => {
                self.later(Duration::from_millis(200), What::Reload { node, file, insist, announced: true })
            }
            Some(Err(reasons)) => {
                self.note(|| format!("n{node} does not go on with file {file}: {reasons:?}"));
                self.follow_up(node);
                if insist {
                    self.changes_file(node, file);
                }
            }
            Some(Ok(loaded)) => {
                self.note(|| format!("n{node} goes on with file {file}"));
                let loaded = loaded.expect("it was only asked");
                let control = self.members[node].control.as_mut().expect("it was asked");
                let verdict = control.propose(now, loaded, false);
                assert!(matches!(verdict, Some(Ok(None))), "nothing has happened meanwhile");
                let member = &mut self.members[node];
                (member.file, member.replayed, member.disturbed) = (file, now, now);
                self.goes_by(node, &view);
                self.follow_up(node);
            }
        }
    }

    /// A node goes by this view from now on: what its kernel is told and asked.
    pub(super) fn goes_by(&mut self, node: usize, view: &NodeView) {
        let loopback: BTreeSet<IpAddr> = view.own_fecs().into_iter().map(|fec| fec.0.addr()).collect();
        let ports = self.plan.nodes[node].ports.iter();
        let port_ids = ports.map(|(name, _)| Some(view.port(name)?.0)).collect();
        let member = &mut self.members[node];
        member.port_ids = port_ids;
        member.hosts = Interest::of(view).hosts;
        member.numbers = std::mem::take(&mut member.numbers).after(view);
        let moved = member.loopback != loopback;
        member.loopback = loopback;
        self.later(Duration::from_millis(1), What::Converge { node });
        if moved {
            self.topology_changed();
        }
    }
}

mod tests {
    use std::collections::BTreeMap;
    use std::ops::Range;

    use api::{LibRow, ShowWhat};
    use contract::{Binding, Change, Circuit, Fec, IlmAction, Label, Nhlfe};
    use ipnet::IpNet;
    use serde_json::Value;

    use super::*;
    use crate::control::api_server::Question;
    use crate::simulation::edit;
    use crate::simulation::plan::{Behind, Plan, service_address};
    use crate::simulation::random::Random;
    use crate::simulation::world::File;

    /// Seeds that run with all tests; `OPENMILE_SEEDS` says others.
    const SHORT: Range<u64> = 0..25;
    /// After this long nothing is left of what was.
    const SETTLED: Duration = Duration::from_secs(300);

    #[test]
    fn nodes_that_reload_come_to_where_nodes_are_that_began_with_the_file() {
        let (mut taken, mut refused) = (0, 0);
        for seed in crate::simulation::seeds(SHORT) {
            let mut random = Random::new(seed ^ 0x7265_6c6f_6164);
            let mut world = network_of(seed);
            let truth = world.plan.clone();
            // At first perhaps not all of it.
            let mut first = truth.clone();
            (0..random.below(3)).for_each(|_| edit::edit(&mut random, &truth, &mut first));
            keep_access(&mut first);
            if let Ok(file) = File::new(first) {
                world.files = vec![file];
            }
            world.run(Duration::from_secs(random.within(0, 20) as u64));
            for _ in 0..random.within(1, 5) {
                let now = world.members[0].file;
                let mut plan = world.files[now].plan.clone();
                edit::edit(&mut random, &truth, &mut plan);
                keep_access(&mut plan);
                let back = random.chance(15);
                let file = match File::new(plan) {
                    _ if back => 0,
                    Ok(file) => {
                        world.files.push(file);
                        world.files.len() - 1
                    }
                    Err(_) => continue,
                };
                if !world.has_room(file) {
                    continue;
                }
                for node in 0..world.members.len() {
                    let after = Duration::from_millis(random.below(400) as u64);
                    world.later(after, What::Reload { node, file, insist: false, announced: true });
                }
                let long = random.pick(&[1_000, 1_000, 3_000, 40_000]).unwrap_or(1_000);
                world.run(Duration::from_millis(long));
                let files: BTreeSet<usize> = world.members.iter().map(|member| member.file).collect();
                assert_eq!(files.len(), 1, "seed {seed}: all take file {file}, or none");
                *(if files.contains(&file) { &mut taken } else { &mut refused }) += 1;
            }
            let file = world.members[0].file;
            let mut fresh = network_of(seed);
            fresh.files = vec![File::new(world.files[file].plan.clone()).unwrap()];
            for world in [&mut world, &mut fresh] {
                world.run(SETTLED);
                world.settle_all();
                assert_eq!(world.checker.violation, None, "seed {seed}");
            }
            for node in 0..world.members.len() {
                let (reloaded, began) = (world.state(node), fresh.state(node));
                let only = |these: &[String], those: &[String]| -> Vec<String> {
                    these.iter().filter(|line| !those.contains(line)).cloned().collect()
                };
                assert!(
                    reloaded == began,
                    "seed {seed}, n{node}, file {file}:\nonly after the reload {:#?}\nonly after a start {:#?}",
                    only(&reloaded, &began),
                    only(&began, &reloaded),
                );
            }
        }
        println!("{taken} files were taken over, {refused} refused");
        assert!(taken > refused, "most files should be such that a running node can take them over");
    }

    /// Its labels are nobody's until those who may send by them have forgotten it, and no neighbor is told of it: also where
    /// the file comes while a node is still recovering what its forwarder holds.
    #[test]
    fn a_fec_that_is_no_more_leaves_nothing_but_labels_that_lead_nowhere() {
        let mut labels = 0;
        for (seed, restarted) in (0..12).flat_map(|seed| [(seed, false), (seed, true)]) {
            let mut world = network_of(seed);
            world.run(Duration::from_secs(20));
            let mut plan = world.plan.clone();
            let Some(gone) = plan.isps[0].doors.first().map(|door| door.fec) else { continue };
            plan.isps[0]
                .doors
                .iter_mut()
                .filter(|door| door.fec == gone)
                .for_each(|door| door.fec = (200, 7));
            world.files.push(File::new(plan).unwrap());
            let gone = Fec(IpNet::from(IpAddr::from(service_address(gone))));
            let before: Vec<_> = (0..world.members.len()).map(|node| world.labels_of(node, gone)).collect();
            if restarted {
                // Nobody hears anybody, so that recovery goes on.
                world.mute.extend(0..world.cables.len());
            }
            for node in 0..world.members.len() {
                if restarted {
                    world.kill_control(node);
                    world.later(Duration::from_millis(50), What::StartControl { node });
                }
                let after = Duration::from_millis(300);
                world.later(after, What::Reload { node, file: 1, insist: false, announced: true });
            }
            for (after, told) in [(400, true), (10_000, false)] {
                world.run(Duration::from_millis(after));
                for (node, before) in before.iter().enumerate() {
                    assert_eq!(world.members[node].file, 1, "seed {seed}: n{node} takes the file");
                    let what = format!("seed {seed}, n{node}, restarted: {restarted}, after {after} ms");
                    let now = world.labels_of(node, gone);
                    assert!(
                        before.keys().all(|label| now.contains_key(label)),
                        "{what}: {before:?}, now {now:?}"
                    );
                    let nowhere = IlmAction::Swap { isp: None, nhlfes: Vec::new() };
                    assert!(now.values().all(|action| *action == nowhere), "{what}: {now:?}");
                    assert!(!world.goes_by_fec(node, gone), "{what}: packets still go there");
                    assert!(told || !world.is_told(node, gone), "{what}: it is told to neighbors");
                }
            }
            assert_eq!(world.checker.violation, None, "seed {seed}");
            labels += before.iter().map(BTreeMap::len).sum::<usize>();
        }
        assert!(labels > 30, "{labels} labels");
    }

    /// A node whose subscribers are stored must be started again once it has access ports for the first time.
    fn keep_access(plan: &mut Plan) {
        let Plan { nodes, terms, .. } = plan;
        terms.absent.retain(|&(node, port)| !plan.stored || nodes[node].ports[port].1 != Behind::Access);
    }

    /// A random network without a stranger.
    fn network_of(seed: u64) -> World {
        let mut world = World::new(seed, None);
        world.stranger = None;
        world
    }

    impl World {
        /// Whether all that are stored and have room still have it with this file; or some nodes would take it and some not.
        fn has_room(&self, file: usize) -> bool {
            let names = |file| self.customers(file).into_iter().map(|customer| customer.name);
            let names: (BTreeSet<_>, BTreeSet<_>) =
                (names(self.members[0].file).collect(), names(file).collect());
            !self.plan.stored || names.0.is_subset(&names.1)
        }

        /// What a node's forwarder does with the labels of a FEC.
        fn labels_of(&self, node: usize, fec: Fec) -> BTreeMap<Label, IlmAction> {
            let held = self.members[node].shell.as_ref().unwrap().installed().into_iter();
            held.filter_map(|change| match change {
                Change::Ilm(label, Some(ilm)) if ilm.fec == fec => Some((label, ilm.action)),
                _ => None,
            })
            .collect()
        }

        /// Whether a node's forwarder puts packets on the LSP of a FEC.
        fn goes_by_fec(&self, node: usize, fec: Fec) -> bool {
            let held = self.members[node].shell.as_ref().unwrap().installed();
            held.iter().any(|change| match change {
                Change::Ftn(_, Some(ftn)) => ftn.choices.iter().any(|choice| choice.fec == fec),
                Change::ReturnRoute(_, Some(route)) => route.fec == fec && !route.nhlfes.is_empty(),
                _ => false,
            })
        }

        /// Whether a node's neighbors and it have labels of a FEC of each other.
        fn is_told(&self, node: usize, fec: Fec) -> bool {
            let control = self.members[node].control.as_ref().unwrap();
            let lib = control.answer(self.now, Question::Show(ShowWhat::Lib)).unwrap();
            let rows: Vec<LibRow> = serde_json::from_value(lib).unwrap();
            rows.iter().any(|row| row.fec.prefix == fec.0)
        }

        /// Everybody is known by their Ethernet addresses.
        fn settle_all(&mut self) {
            self.everybody_sends();
            self.run(Duration::from_secs(2));
        }

        /// What of a node does not depend on how it came to its file: what its forwarder holds, by names instead of
        /// numbers, and what an operator is shown.
        fn state(&self, node: usize) -> Vec<String> {
            let shell = self.members[node].shell.as_ref().unwrap();
            let mut lines: Vec<_> = shell.installed().iter().map(|change| self.plain(node, change)).collect();
            lines.sort();
            let control = self.members[node].control.as_ref().unwrap();
            for what in [ShowWhat::Isps, ShowWhat::Fec, ShowWhat::Ports] {
                let shown = control.answer(self.now, Question::Show(what)).unwrap();
                let Value::Array(rows) = shown else { panic!("{what:?} is a table") };
                let mut rows: Vec<_> = rows.into_iter().map(|row| timeless(row).to_string()).collect();
                rows.sort();
                lines.extend(rows);
            }
            lines
        }

        fn plain(&self, node: usize, change: &Change) -> String {
            let device = |id| self.members[node].shell.as_ref().unwrap().device(id);
            let line = |circuit: &Circuit| format!("{:?} {:?}", device(circuit.port), circuit.tags);
            let ways = |nhlfes: &[Nhlfe]| {
                let mut ways: Vec<_> = nhlfes.iter().map(|nhlfe| self.plain_way(node, nhlfe)).collect();
                ways.sort();
                ways.join(" and ")
            };
            match change {
                Change::Port(_, port) => format!("port {port:?}"),
                Change::Binding(key, binding) => {
                    // What is learned of whom depends on who has spoken.
                    let learned = |binding: Binding| Binding {
                        mac: binding.mac.filter(|_| binding.verify_mac),
                        ..binding
                    };
                    let binding = binding.map(learned);
                    format!("binding {} {:?} {binding:?}", line(&key.circuit), key.prefix)
                }
                Change::Handoff(circuit, handoff) => format!("handoff {} {handoff:?}", line(circuit)),
                Change::ReturnRoute(prefix, Some(route)) => {
                    format!("return route {prefix:?} {} {}", route.fec, ways(&route.nhlfes))
                }
                Change::Ftn(isp, Some(ftn)) => {
                    let choices = ftn.choices.iter().map(|choice| (choice.fec, ways(&choice.nhlfes)));
                    format!("FTN {isp} {:?}", choices.collect::<Vec<_>>())
                }
                Change::Ilm(_, Some(ilm)) => match &ilm.action {
                    IlmAction::Swap { isp, nhlfes } => {
                        format!("ILM {} {isp:?} swap {}", ilm.fec, ways(nhlfes))
                    }
                    IlmAction::PopToHandoff { isp, handoff } => {
                        format!("ILM {} {isp} handoff {}", ilm.fec, line(handoff))
                    }
                    IlmAction::PopToSubscribers { isp } => format!("ILM {} {isp} subscribers", ilm.fec),
                },
                other => format!("{other:?}"),
            }
        }

        /// A label is named by what it stands for at the other end.
        fn plain_way(&self, node: usize, nhlfe: &Nhlfe) -> String {
            let port = self.members[node].shell.as_ref().unwrap().device(nhlfe.port);
            let to = port.and_then(|port| self.plan.other_end(node, port));
            let there = to.and_then(|(to, _)| self.members[to].shell.as_ref());
            let entries = there.map_or(Vec::new(), |shell| shell.installed());
            let fec = entries.iter().find_map(|change| match change {
                Change::Ilm(label, Some(ilm)) if nhlfe.push.labels() == [*label] => Some(ilm.fec),
                _ => None,
            });
            format!("{fec:?} by {port:?} {} {}", nhlfe.next_hop, nhlfe.mac)
        }
    }

    /// A row without labels and times.
    fn timeless(mut row: Value) -> Value {
        if let Value::Object(fields) = &mut row {
            for key in ["in_label", "out_label", "seconds", "failures", "penalty", "id", "counters"] {
                fields.remove(key);
            }
            fields.values_mut().for_each(|value| *value = timeless(value.take()));
        }
        if let Value::Array(rows) = &mut row {
            rows.iter_mut().for_each(|value| *value = timeless(value.take()));
        }
        row
    }
}
