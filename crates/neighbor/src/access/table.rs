//! All entries with what finds them: timers, Ethernet addresses, and how many answers are waited for.

use std::collections::{BTreeMap, BTreeSet};

use contract::{Circuit, MacAddr, Tick};
use ipnet::{IpNet, Ipv4Net};

use super::entry::Entry;
use crate::limit::Bucket;

/// A bound prefix on a circuit.
pub(super) type Key = (Circuit, IpNet);

/// What is kept of a circuit that has entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CircuitState {
    entries: usize,
    outstanding: usize,
    /// Answers to those that have no entry, or another Ethernet address than theirs has.
    pub(super) strangers: Bucket,
}

/// All entries. Each change goes through [`Self::change`], so the indices cannot go astray.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<Key, Entry>,
    timers: BTreeSet<(Tick, Key)>,
    macs: BTreeSet<(Circuit, MacAddr, IpNet)>,
    circuits: BTreeMap<Circuit, CircuitState>,
    outstanding: usize,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entry(&self, key: Key) -> Option<&Entry> {
        self.entries.get(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// Answers that are waited for: in all, and from this circuit.
    pub(super) fn outstanding(&self, circuit: Circuit) -> (usize, usize) {
        (self.outstanding, self.circuits.get(&circuit).map_or(0, |c| c.outstanding))
    }

    /// What is kept of a circuit that has entries.
    pub(super) fn circuit_mut(&mut self, circuit: Circuit) -> Option<&mut CircuitState> {
        self.circuits.get_mut(&circuit)
    }

    /// Changes an entry.
    pub(super) fn change<R>(&mut self, key: Key, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let entry = self.entries.get_mut(&key)?;
        let before = *entry;
        let result = change(entry);
        let after = *entry;
        self.index(key, Some(&before), Some(&after));
        Some(result)
    }

    pub(super) fn insert(&mut self, key: Key, entry: Entry) {
        let before = self.entries.insert(key, entry);
        if before.is_none() {
            self.circuits.entry(key.0).or_default().entries += 1;
        }
        self.index(key, before.as_ref(), Some(&entry));
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.index(key, Some(&entry), None);
        if let Some(circuit) = self.circuits.get_mut(&key.0) {
            circuit.entries -= 1;
            if circuit.entries == 0 {
                self.circuits.remove(&key.0);
            }
        }
        Some(entry)
    }

    /// The first time that an entry is due.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// An entry that is due.
    pub(super) fn due(&self, now: Tick) -> Option<Key> {
        self.timers.first().filter(|(due, _)| *due <= now).map(|(_, key)| *key)
    }

    /// Entries on this circuit that have this Ethernet address.
    pub(super) fn by_mac(&self, circuit: Circuit, mac: MacAddr) -> impl Iterator<Item = (Key, &Entry)> {
        // 0.0.0.0/0 comes before all other prefixes.
        let first = IpNet::V4(Ipv4Net::default());
        self.macs
            .range((circuit, mac, first)..)
            .take_while(move |(c, m, _)| (*c, *m) == (circuit, mac))
            .filter_map(|&(circuit, _, prefix)| {
                Some(((circuit, prefix), self.entries.get(&(circuit, prefix))?))
            })
    }

    fn index(&mut self, key: Key, before: Option<&Entry>, after: Option<&Entry>) {
        let (was, is) = (before.and_then(|e| e.due), after.and_then(|e| e.due));
        if was != is {
            was.map(|due| self.timers.remove(&(due, key)));
            is.map(|due| self.timers.insert((due, key)));
        }
        let (circuit, prefix) = key;
        let (was, is) = (before.and_then(|e| e.phase.mac()), after.and_then(|e| e.phase.mac()));
        if was != is {
            was.map(|mac| self.macs.remove(&(circuit, mac, prefix)));
            is.map(|mac| self.macs.insert((circuit, mac, prefix)));
        }
        let outstanding =
            |entry: Option<&Entry>| usize::from(entry.is_some_and(|e| e.phase.is_outstanding()));
        let (was, is) = (outstanding(before), outstanding(after));
        self.outstanding = self.outstanding + is - was;
        if let Some(state) = self.circuits.get_mut(&circuit) {
            state.outstanding = state.outstanding + is - was;
        }
    }

    /// Whether the indices say what the entries say, found by counting.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        let entries = || self.entries.iter();
        let timers = entries().filter_map(|(key, e)| Some((e.due?, *key))).collect::<BTreeSet<_>>();
        let macs = entries().filter_map(|(&(c, p), e)| Some((c, e.phase.mac()?, p))).collect::<BTreeSet<_>>();
        let outstanding = |circuit: Option<Circuit>| {
            entries()
                .filter(|((c, _), e)| circuit.is_none_or(|wanted| wanted == *c) && e.phase.is_outstanding())
                .count()
        };
        timers == self.timers
            && macs == self.macs
            && self.outstanding == outstanding(None)
            && self.circuits.iter().all(|(circuit, state)| {
                state.outstanding == outstanding(Some(*circuit))
                    && state.entries == entries().filter(|((c, _), _)| c == circuit).count()
                    && state.entries > 0
            })
            && entries().all(|((circuit, _), _)| self.circuits.contains_key(circuit))
    }
}
