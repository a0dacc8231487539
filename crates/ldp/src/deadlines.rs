//! Things that are due at some time each.

use std::collections::{BTreeMap, BTreeSet};

use contract::Tick;

/// Things that are due at some time each.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    by_key: BTreeMap<K, Tick>,
    by_time: BTreeSet<(Tick, K)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// It is due then, and not at the time that it had.
    pub(crate) fn insert(&mut self, key: K, at: Tick) {
        self.remove(key);
        self.by_key.insert(key, at);
        self.by_time.insert((at, key));
    }

    pub(crate) fn remove(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.by_key.contains_key(&key)
    }

    /// All of them from this one on.
    pub(crate) fn from(&self, first: K) -> impl Iterator<Item = K> {
        self.by_key.range(first..).map(|(&key, _)| key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = K> {
        self.by_key.keys().copied()
    }

    pub(crate) fn due(&self, now: Tick) -> impl Iterator<Item = K> {
        self.by_time.iter().take_while(move |(at, _)| *at <= now).map(|&(_, key)| key)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Tick> {
        self.by_time.first().map(|&(at, _)| at)
    }
}
