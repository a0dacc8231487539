//! A node's two processes, which come and go.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use contract::{Change, PortKind};
use network::{NodeView, PortNumbers};
use subscriber::Clock;

use super::control_side::{ControlSide, Wires};
use super::routing::Told;
use super::shell::Shell;
use super::text::SUBSCRIBERS;
use super::world::{End, What, World};
use crate::control::directory::keeper::Keeper;
use crate::control::directory::{Desk, Source};
use crate::control::events::EventBus;
use crate::control::ldp_policy;
use crate::control::start::{self, Parts};
use crate::label_memory::LabelMemory;

/// How often control looks for a forwarder.
const RETRY: Duration = Duration::from_millis(100);

impl World {
    /// Control finds the forwarder, or looks again later.
    pub(super) fn meet(&mut self, node: usize, control: u64) {
        let now = self.now;
        let member = &mut self.members[node];
        if member.controls != control || member.control.is_none() {
            return;
        }
        match &mut member.shell {
            Some(shell) => {
                member.replayed = now;
                let held = shell.connect(control);
                if let Some(process) = &mut member.control {
                    process.connected(now, held);
                }
                self.follow_up(node);
            }
            None => self.later(RETRY, What::Meet { node, control }),
        }
    }

    /// Starts a node's control, with its file.
    pub(super) fn start_control(&mut self, node: usize) {
        if self.members[node].control.is_some() {
            return;
        }
        self.note(|| format!("control of n{node} starts"));
        let actions = Rc::new(RefCell::new(VecDeque::new()));
        let held = self.members[node].shell.as_ref().map_or(Vec::new(), Shell::installed);
        let held = held.into_iter().filter_map(|change| match change {
            Change::Port(id, Some(config)) => Some((id, config)),
            _ => None,
        });
        let site = &self.files[self.members[node].file].site;
        let numbers = PortNumbers::new(held);
        let Some(view) = site.network().node_with(&format!("n{node}"), &numbers) else { return };
        let seconds = self.seconds();
        // Ends are never in order enough here to wait for nothing.
        let labels = Rc::clone(&self.members[node].labels);
        labels.set(LabelMemory::begin(Some(labels.get()), seconds));
        let (mut ldp, facts) = (start::ldp_config(&view, labels.get().number), site.facts(&view));
        ldp.neighbors = neighbors(&view);
        let (keeper, jobs) = channel();
        let (directory, source) = match &self.members[node].disk {
            Some(disk) if view.ports_of(PortKind::Access).next().is_some() => {
                (disk.load(&facts, self.clock()), Source::Store(Keeper::new(keeper)))
            }
            Some(_) => (site.directory(&view), Source::None),
            None => (site.directory(&view), Source::File(SUBSCRIBERS.to_owned())),
        };
        let parts = Parts {
            network: site.network().clone(),
            view: view.clone(),
            directory,
            desk: Desk::new(source, facts),
            io: Box::new(Wires::new(Rc::clone(&actions))),
            events: EventBus::new(),
            counters: std::path::PathBuf::new(),
            started: seconds,
            ldp,
        };
        let now = self.now;
        let member = &mut self.members[node];
        member.controls += 1;
        member.disturbed = now;
        member.replayed = now;
        member.numbers = PortNumbers::default();
        member.control = Some(ControlSide::new(parts, actions, jobs, labels));
        member.told = Told::default();
        member.arrivals = [now; 3];
        let control = member.controls;
        self.goes_by(node, &view);
        self.later(Duration::from_millis(1), What::Meet { node, control });
    }

    /// The time of day.
    pub(super) fn seconds(&self) -> u32 {
        1_700_000_000 + (self.now.0 / 1_000_000_000) as u32
    }

    /// The time, and the time of day that goes with it.
    pub(super) fn clock(&self) -> Clock {
        Clock { tick: self.now, wall: u64::from(self.seconds()) * 1_000_000_000 }
    }

    /// Kills a node's control: the kernel closes its connections, nothing is said.
    pub(super) fn kill_control(&mut self, node: usize) {
        self.note(|| format!("control of n{node} is killed"));
        if self.members[node].control.take().is_some() {
            self.control_is_gone(node);
        }
    }

    /// Stops a node's control in order.
    pub(super) fn stop_control(&mut self, node: usize) {
        self.note(|| format!("control of n{node} stops"));
        let Some(mut control) = self.members[node].control.take() else { return };
        control.stop(self.now);
        let actions: Vec<_> = control.actions.borrow_mut().drain(..).collect();
        for action in actions {
            self.act(node, action);
        }
        self.control_is_gone(node);
    }

    fn control_is_gone(&mut self, node: usize) {
        let now = self.now;
        if let Some(shell) = &mut self.members[node].shell {
            shell.disconnect(now);
        }
        let ends: Vec<End> = self.pipes.keys().filter(|end| end.0 == node).copied().collect();
        for end in ends {
            self.close(end);
        }
    }

    /// Starts a node's forwarder, whose devices are as they are.
    pub(super) fn start_forwarder(&mut self, node: usize) {
        if self.members[node].shell.is_some() {
            return;
        }
        self.note(|| format!("forwarder of n{node} starts"));
        let devices = self.plan.nodes[node].ports.iter().map(|port| port.0.clone()).collect();
        let carriers = (0..self.plan.nodes[node].ports.len()).map(|port| self.carrier(node, port)).collect();
        let member = &mut self.members[node];
        member.shells += 1;
        member.shell = Some(Shell::new(node, devices, carriers));
        self.checker.tables_changed(node);
    }

    /// Kills a node's forwarder: tables are gone, and so is what was in it.
    pub(super) fn kill_forwarder(&mut self, node: usize) {
        self.note(|| format!("forwarder of n{node} is killed"));
        let now = self.now;
        let member = &mut self.members[node];
        member.disturbed = now;
        if member.shell.take().is_none() {
            return;
        }
        if let Some(control) = &mut member.control {
            control.lost(now);
        }
        self.checker.tables_changed(node);
        self.follow_up(node);
        let control = self.members[node].controls;
        self.later(RETRY, What::Meet { node, control });
    }
}

/// How a node treats its LDP neighbors.
pub(super) fn neighbors(view: &NodeView) -> ldp::Neighbors {
    ldp_policy::neighbors(view, Path::new("")).expect("there are no passwords, so no files to be read")
}
