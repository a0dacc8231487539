//! What control tells its supervisor of the node, and the supervisor the service manager.

use std::collections::BTreeMap;

use api::FecState;
use contract::Tick;

use super::node::Node;
use crate::supervisor::{Pulse, Word};

/// Answers the supervisor, and says what is new at that time.
#[derive(Debug)]
pub(crate) struct Herald {
    pulse: Pulse,
    ready: bool,
    status: String,
}

impl Herald {
    /// Nothing said yet.
    pub(crate) fn new(pulse: Pulse) -> Self {
        Self { pulse, ready: false, status: String::new() }
    }

    /// Waits for the supervisor's next question. May be cancelled.
    pub(crate) async fn asked(&self) {
        self.pulse.asked().await;
    }

    /// The answer while there is no state yet.
    pub(crate) fn alive(&self) {
        self.pulse.alive();
    }

    /// The answer, and how the node is by now.
    pub(crate) fn answer(&mut self, now: Tick, node: &Node) {
        self.pulse.alive();
        let status = node.status(now);
        if status != self.status && self.pulse.say(&Word::status(&status)) {
            self.status = status;
        }
    }

    /// Says, once, that the node serves.
    pub(crate) fn look(&mut self, now: Tick, node: &Node) {
        if !self.ready && node.is_ready() && self.pulse.say(&Word::Ready) {
            self.ready = true;
            self.answer(now, node);
        }
    }
}

impl Node {
    /// Whether the node serves: each port was heard of, and the forwarder holds what the network file and the directory say.
    /// Not whether neighbors and next hops answer, which is for them to do.
    fn is_ready(&self) -> bool {
        self.view.ports().all(|(id, _)| self.ports.contains_key(&id)) && self.link.holds_configuration()
    }

    /// The node in a line.
    fn status(&self, now: Tick) -> String {
        let neighbors = self.speaker.neighbors(now);
        let sessions = neighbors.iter().filter(|n| n.session == ldp::SessionState::Operational).count();
        let mut fecs = BTreeMap::new();
        for row in self.rows() {
            *fecs.entry(row.fec).or_insert(false) |= row.state == FecState::Up;
        }
        let up = fecs.values().filter(|up| **up).count();
        let sessions =
            if sessions == 1 { "1 LDP session".to_owned() } else { format!("{sessions} LDP sessions") };
        let trouble = match (self.link.is_connected(), self.recovering) {
            (false, _) => ", no forwarder",
            (true, true) => ", recovering",
            (true, false) => "",
        };
        format!("{}: {sessions}, {up} of {} FECs up{trouble}", self.view.name, fecs.len())
    }
}
