//! What happens to a network in a run: everything that may go wrong, in random order, with packets under way.

use std::time::Duration;

use super::edit;
use super::plan::Behind;
use super::world::{File, What, World};

impl World {
    /// A run's random part: a while in which something changes again and again.
    pub(super) fn chaos(&mut self) {
        self.spell(Duration::from_secs(8));
        if self.stranger.is_some() {
            (0..4).for_each(|_| self.stranger_binds());
            (0..2).for_each(|_| self.leads_to_stranger());
        }
        for _ in 0..self.random.within(4, 14) {
            if self.checker.violation.is_some() {
                return;
            }
            self.traffic();
            self.traffic();
            self.change();
            let spell = match self.random.below(6) {
                0 => self.random.within(1, 100),
                1 | 2 => self.random.within(100, 1500),
                3 | 4 => self.random.within(1500, 8000),
                _ => self.random.within(8000, 45_000),
            };
            self.spell(Duration::from_millis(spell as u64));
        }
    }

    /// Lets time pass under traffic.
    pub(super) fn spell(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end && self.checker.violation.is_none() {
            // Dense at first, when everything changes.
            let dense = end.since(self.now) + Duration::from_secs(2) > duration;
            let slice = Duration::from_millis(self.random.within(5, if dense { 60 } else { 1500 }) as u64);
            for _ in 0..self.random.below(3) {
                self.traffic();
            }
            self.run(slice.min(end.since(self.now)));
        }
    }

    fn change(&mut self) {
        let node = self.random.below(self.members.len());
        let ms = |from, to, world: &mut Self| Duration::from_millis(world.random.within(from, to) as u64);
        match self.random.within(0, 20) {
            0 | 1 => {
                self.kill_control(node);
                let long = self.random.chance(15);
                let after = if long { ms(50_000, 75_000, self) } else { ms(100, 8_000, self) };
                self.later(after, What::StartControl { node });
            }
            2 => {
                self.kill_forwarder(node);
                let after = ms(20, 3_000, self);
                self.later(after, What::StartForwarder { node });
            }
            3 => self.kill_both(node),
            4 => {
                self.stop_control(node);
                self.kill_forwarder(node);
                let after = ms(100, 5_000, self);
                self.later(after, What::StartForwarder { node });
                self.later(after, What::StartControl { node });
            }
            5 | 6 => self.cable_changes(),
            7 => {
                let cable = self.random.below(self.cables.len());
                self.note(|| format!("Hellos on cable {cable} are lost, or not any more"));
                if !self.mute.remove(&cable) {
                    self.mute.insert(cable);
                }
            }
            8 => {
                let [a, b] = self.plan.cables[self.random.below(self.cables.len())];
                self.note(|| format!("sessions of n{a} and n{b} are cut"));
                self.cut_sessions(a, b);
            }
            9 | 10 => self.station_changes(),
            11 => self.port_changes(node),
            12 | 13 if self.stranger.is_some() => self.stranger_changes(),
            14 => self.kill_control_often(node),
            15..=17 => self.file_changes(),
            18.. if self.plan.stored => (0..3).for_each(|_| self.somebody_moves()),
            _ => self.station_changes(),
        }
    }

    /// Control is killed again and again.
    fn kill_control_often(&mut self, node: usize) {
        self.kill_control(node);
        for _ in 0..2 {
            let after = Duration::from_millis(self.random.within(50, 5_000) as u64);
            self.later(after, What::StartControl { node });
            self.spell(after + Duration::from_millis(20));
            self.kill_control(node);
        }
        self.later(Duration::from_millis(500), What::StartControl { node });
    }

    fn kill_both(&mut self, node: usize) {
        self.kill_control(node);
        self.kill_forwarder(node);
        let after = Duration::from_millis(self.random.within(50, 5_000) as u64);
        self.later(after, What::StartForwarder { node });
        self.later(after, What::StartControl { node });
    }

    fn cable_changes(&mut self) {
        let cable = self.random.below(self.cables.len());
        let up = !self.cables[cable];
        self.note(|| format!("cable {cable} is {}", if up { "up" } else { "down" }));
        self.set_cable(cable, up);
    }

    /// A cable is mended or cut.
    pub(super) fn set_cable(&mut self, cable: usize, up: bool) {
        self.cables[cable] = up;
        for end in [0, 1] {
            if let Some((node, port)) = self.plan.end_of_cable(cable, end) {
                self.carrier_changed(node, port);
            }
        }
        self.topology_changed();
    }

    /// Tells a node's forwarder of a device's carrier.
    pub(super) fn carrier_changed(&mut self, node: usize, port: usize) {
        let up = self.carrier(node, port);
        if let Some(shell) = &mut self.members[node].shell {
            shell.carrier(port, up);
            self.follow_up(node);
        }
    }

    /// An ISP's router or a subscriber falls silent, or speaks again.
    fn station_changes(&mut self) {
        let mut lines: Vec<_> = self.doors().iter().map(|(_, door)| door.line).collect();
        lines.extend(self.plan.customers.iter().map(|customer| customer.line).take(2));
        let Some(line) = self.random.pick(&lines) else { return };
        self.note(|| format!("{line:?} is silent, or not any more"));
        if !self.silent.remove(&line) {
            self.silent.insert(line);
        }
    }

    fn port_changes(&mut self, node: usize) {
        let mut ports = self.plan.ports_behind(node, Behind::Handoff);
        ports.extend(self.plan.ports_behind(node, Behind::Access));
        let Some(port) = self.random.pick(&ports) else { return };
        self.note(|| format!("port {port} of n{node} has no carrier, or has one again"));
        if !self.dark.remove(&(node, port)) {
            self.dark.insert((node, port));
        }
        self.carrier_changed(node, port);
    }

    fn stranger_changes(&mut self) {
        match self.random.below(6) {
            0..=2 => (0..self.random.within(1, 4)).for_each(|_| self.stranger_binds()),
            3 | 4 => self.leads_to_stranger(),
            _ => {
                let Some(node) = self.stranger.as_ref().map(|stranger| stranger.node) else { return };
                self.note(|| "the stranger's session is cut".into());
                self.cut_sessions(node, self.members.len());
            }
        }
    }

    /// The node that the stranger is attached to routes an address to it, or not any more.
    fn leads_to_stranger(&mut self) {
        // Mostly one that it has a label for.
        let bound: Vec<_> =
            self.stranger.iter().flat_map(|stranger| stranger.bound.keys().copied()).collect();
        let address = self.random.pick(&bound).filter(|_| self.random.chance(80));
        let addresses = self.service_addresses();
        let Some(address) = address.or_else(|| self.random.pick(&addresses)) else { return };
        self.note(|| format!("the IGP leads {address} to the stranger, or not any more"));
        let Some(stranger) = &mut self.stranger else { return };
        if !stranger.routed.remove(&address) {
            stranger.routed.insert(address);
        }
        self.topology_changed();
    }

    /// Some nodes, or all, get another network file: while they run, or when their control starts again.
    fn file_changes(&mut self) {
        if self.files.len() < 4 {
            let mut plan = self.files[self.files.len() - 1].plan.clone();
            edit::edit(&mut self.random, &self.plan, &mut plan);
            // What the parser does not take, no operator gets far with.
            if let Ok(file) = File::new(plan) {
                self.files.push(file);
            }
        }
        let file = self.random.below(self.files.len());
        let all = self.random.chance(60);
        self.note(|| format!("network file {file} for {}", if all { "all" } else { "some" }));
        for node in 0..self.members.len() {
            if (all || self.random.chance(40)) && self.members[node].file != file {
                if self.random.chance(60) {
                    let after = Duration::from_millis(self.random.within(0, 2_000) as u64);
                    let insist = self.random.chance(20);
                    self.later(after, What::Reload { node, file, insist, announced: false });
                } else {
                    self.changes_file(node, file);
                }
            }
        }
    }

    /// A node's control is started again with this file.
    pub(super) fn changes_file(&mut self, node: usize, file: usize) {
        self.kill_control(node);
        self.members[node].file = file;
        let after = Duration::from_millis(self.random.within(100, 2_000) as u64);
        self.later(after, What::StartControl { node });
    }
}
