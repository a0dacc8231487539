//! The checker: what is true of every packet that leaves a node, judged by the plan alone.
//!
//! It knows who is behind which port and which packet is whose, and nothing of how nodes come to their decisions.

use std::collections::{BTreeMap, BTreeSet};

use contract::Tick;

use super::packet::Parsed;
use super::walk::Tables;

/// What is watched.
#[derive(Default)]
pub(super) struct Checker {
    /// The first thing that was wrong.
    pub(super) violation: Option<String>,
    /// What every node has installed.
    pub(super) tables: BTreeMap<usize, Tables>,
    /// Nodes whose tables are to be read again.
    dirty: BTreeSet<usize>,
    sent: BTreeMap<u64, Sent>,
    numbers: u64,
    /// What was looked at, so that a run that tests nothing is noticed.
    pub(super) arrivals: u64,
    pub(super) walks: u64,
    pub(super) hops: u64,
    pub(super) abroad: u64,
    pub(super) moves: u64,
}

/// A packet that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// The ISPs that it may come to; none: it must go nowhere.
    pub(super) may: Vec<u32>,
    pub(super) at: Tick,
    pub(super) from: String,
    pub(super) arrived: u32,
}

impl Checker {
    /// Something is wrong.
    pub(super) fn wrong(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// A packet is sent that may come to these ISPs; its number.
    pub(super) fn send(&mut self, now: Tick, may: Vec<u32>, from: String) -> u64 {
        self.numbers += 1;
        self.sent.insert(self.numbers, Sent { may, at: now, from, arrived: 0 });
        self.numbers
    }

    /// Whether a packet arrived anywhere.
    pub(super) fn arrived(&self, number: u64) -> bool {
        self.sent.get(&number).is_some_and(|sent| sent.arrived > 0)
    }

    /// A packet that is followed came out at an ISP's handoff or at a subscriber of these ISPs (0: where nobody is).
    pub(super) fn left_at(&mut self, place: &str, isps: &[u32], parsed: &Parsed) {
        let Some(number) = parsed.followed() else { return };
        self.arrivals += 1;
        let Some(sent) = self.sent.get_mut(&number) else {
            return self.wrong(format!("packet {number}, which nobody sent, came out at {place}"));
        };
        sent.arrived += 1;
        if !isps.iter().any(|isp| sent.may.contains(isp)) {
            let (from, may, at) = (sent.from.clone(), sent.may.clone(), sent.at.0 as f64 / 1e9);
            self.wrong(format!(
                "packet {number} from {from}, sent at {at:.4} for {may:?}, came out at {place} of {isps:?}: {parsed:?}"
            ));
        } else if sent.arrived > 1 && !parsed.is_icmp() {
            let from = sent.from.clone();
            self.wrong(format!("packet {number} from {from} came out twice, the second time at {place}"));
        }
    }

    /// The ISPs that a packet may come to.
    pub(super) fn may(&self, number: u64) -> Vec<u32> {
        self.sent.get(&number).map_or(Vec::new(), |sent| sent.may.clone())
    }

    /// The labels that a node has something installed for.
    pub(super) fn known_labels(&self, node: usize) -> Vec<u32> {
        self.tables.get(&node).map_or(Vec::new(), Tables::labels)
    }

    /// A frame leaves by a backbone port: ISPs' packets have a label there, and a real one.
    pub(super) fn backbone(&mut self, node: usize, port: usize, parsed: &Parsed) {
        self.hops += 1;
        if parsed.labels.is_empty() {
            self.wrong(format!("an unlabelled frame leaves n{node} by backbone port {port}: {parsed:?}"));
        } else if parsed.labels.iter().any(|&label| label < 16) {
            self.wrong(format!("a special-purpose label leaves n{node} by port {port}: {parsed:?}"));
        }
    }

    /// A node's tables are others now.
    pub(super) fn tables_changed(&mut self, node: usize) {
        self.dirty.insert(node);
    }

    /// The nodes whose tables are to be read again.
    pub(super) fn take_dirty(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.dirty)
    }
}
