//! What the forwarder should hold, what it was told, and what it has answered for.
//!
//! Pure: it turns "this should be" into the fewest messages, keeps a bounded number of them under way, and starts over
//! with each connection. What is told twice before it could be sent is sent once.
//!
//! What should be of bindings the directory knows; see [`bindings`].

mod bindings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use contract::{
    Asn, BindingKey, Change, ChangeError, Circuit, EndOfReplay, Generation, IspPrefix, Label, PortId, Scope,
    ToForwarder,
};

pub(crate) use bindings::Bindings;

/// Changes under way that the forwarder has not answered for.
pub(crate) const WINDOW: usize = 4096;

/// What a change is named by. The order is that of a replay: configuration first, and what is pointed at before what
/// points at it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Key {
    /// See [`Change::Settings`].
    Settings,
    /// See [`Change::Port`].
    Port(PortId),
    /// See [`Change::Isp`].
    Isp(Asn),
    /// See [`Change::Binding`].
    Binding(BindingKey),
    /// See [`Change::Handoff`].
    Handoff(Circuit),
    /// See [`Change::ReturnRoute`].
    ReturnRoute(IspPrefix),
    /// See [`Change::Ftn`].
    Ftn(Asn),
    /// See [`Change::Ilm`].
    Ilm(Label),
}

impl Key {
    /// The name of a change.
    pub(crate) fn of(change: &Change) -> Self {
        match change {
            Change::Settings(_) => Self::Settings,
            Change::Port(port, _) => Self::Port(*port),
            Change::Isp(isp, _) => Self::Isp(*isp),
            Change::Binding(key, _) => Self::Binding(*key),
            Change::Handoff(circuit, _) => Self::Handoff(*circuit),
            Change::ReturnRoute(prefix, _) => Self::ReturnRoute(*prefix),
            Change::Ftn(isp, _) => Self::Ftn(*isp),
            Change::Ilm(label, _) => Self::Ilm(*label),
        }
    }

    /// The change by which nothing of this name is left; settings are always there.
    pub(crate) fn removal(self) -> Option<Change> {
        Some(match self {
            Self::Settings => return None,
            Self::Port(port) => Change::Port(port, None),
            Self::Isp(isp) => Change::Isp(isp, None),
            Self::Binding(key) => Change::Binding(key, None),
            Self::Handoff(circuit) => Change::Handoff(circuit, None),
            Self::ReturnRoute(prefix) => Change::ReturnRoute(prefix, None),
            Self::Ftn(isp) => Change::Ftn(isp, None),
            Self::Ilm(label) => Change::Ilm(label, None),
        })
    }

    fn is_learned(self) -> bool {
        matches!(self, Self::Handoff(_) | Self::ReturnRoute(_) | Self::Ftn(_) | Self::Ilm(_))
    }
}

/// What the forwarder should hold, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<Key, Change>,
    refused: BTreeSet<Key>,
    /// Those of them that are tried again.
    retrying: BTreeSet<Key>,
    unsent: BTreeSet<Key>,
    bindings: bindings::Untold,
    under_way: UnderWay,
    connection: Option<Connection>,
    learned_complete: bool,
    /// What every replay begins with, until all that can be learned is known.
    corrections: Vec<Change>,
}

/// Changes that the forwarder has not answered for, in order.
#[derive(Debug, Default)]
struct UnderWay {
    keys: VecDeque<Key>,
    /// How many of each name.
    counts: BTreeMap<Key, u32>,
}

impl UnderWay {
    fn push(&mut self, key: Key) {
        self.keys.push_back(key);
        *self.counts.entry(key).or_default() += 1;
    }

    fn pop(&mut self) -> Option<Key> {
        let key = self.keys.pop_front()?;
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
        Some(key)
    }

    fn contains(&self, key: &Key) -> bool {
        self.counts.contains_key(key)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[derive(Debug)]
struct Connection {
    generation: Generation,
    /// Corrections that have not been sent.
    corrections: VecDeque<Change>,
    configuration_ended: bool,
    learned_ended: bool,
}

impl Ledger {
    /// What the forwarder is to be told before all else: entries of an earlier control process that must go, or be less,
    /// at once and not only at the end of the replay.
    pub(crate) fn correct_first(&mut self, corrections: Vec<Change>) {
        self.corrections.extend(corrections);
    }

    /// This should be from now on. A binding is only named: the directory says what it should be.
    pub(crate) fn set(&mut self, change: Change) {
        if let Change::Binding(key, binding) = &change {
            return self.bindings.insert(*key, binding.as_ref());
        }
        let key = Key::of(&change);
        if self.entries.get(&key) != Some(&change) {
            self.entries.insert(key, change);
            self.refused.remove(&key);
            self.retrying.remove(&key);
            self.unsent.insert(key);
        }
    }

    /// This, and nothing else that is learned, should be from now on.
    pub(crate) fn set_learned(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.set_all(|key| key.is_learned(), changes);
    }

    /// This should be from now on, the last of a name; the rest stays as it is. Says what of it is news; what is to go and is
    /// not there is none.
    pub(crate) fn set_some(&mut self, changes: impl IntoIterator<Item = Change>) -> Vec<Key> {
        let changes: BTreeMap<Key, Change> = changes.into_iter().map(|c| (Key::of(&c), c)).collect();
        let is_news = |(key, change): &(Key, Change)| match self.entries.get(key) {
            Some(entry) => entry != change,
            None => key.removal().as_ref() != Some(change),
        };
        let news: Vec<_> = changes.into_iter().filter(is_news).collect();
        let keys = news.iter().map(|(key, _)| *key).collect();
        news.into_iter().for_each(|(_, change)| self.set(change));
        keys
    }

    /// This, and nothing else but bindings and what is learned, should be from now on.
    pub(crate) fn set_configured(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.set_all(|key| !key.is_learned(), changes);
    }

    /// Of all entries that are of this kind, these should be from now on.
    fn set_all(&mut self, of_kind: impl Fn(&Key) -> bool, changes: impl IntoIterator<Item = Change>) {
        let changes: BTreeMap<Key, Change> = changes.into_iter().map(|c| (Key::of(&c), c)).collect();
        let gone: Vec<_> =
            self.entries.keys().filter(|k| of_kind(k) && !changes.contains_key(k)).copied().collect();
        for removal in gone.into_iter().filter_map(Key::removal) {
            self.set(removal);
        }
        for change in changes.into_values() {
            self.set(change);
        }
    }

    /// All that can be learned is known by now: what the forwarder holds beyond that may go.
    pub(crate) fn learned_is_complete(&mut self) {
        self.learned_complete = true;
        self.corrections.clear();
    }

    /// A connection to a forwarder that holds entries up to this generation: everything is told anew.
    pub(crate) fn connected(&mut self, held: Generation, bindings: &dyn Bindings) {
        self.connection = Some(Connection {
            generation: Generation(held.0 + 1),
            corrections: self.corrections.iter().cloned().collect(),
            configuration_ended: false,
            learned_ended: false,
        });
        self.under_way.clear();
        self.refused.clear();
        self.retrying.clear();
        // What should not be is told by the end of the replay.
        self.entries.retain(|key, change| key.removal().as_ref() != Some(change));
        self.unsent = self.entries.keys().copied().collect();
        self.bindings.replay(bindings);
    }

    /// All of the configuration is told anew and what is not named in it is removed, as after a connection.
    pub(crate) fn replay_configuration(&mut self, bindings: &dyn Bindings) {
        let Some(connection) = &mut self.connection else { return };
        connection.generation.0 += 1;
        connection.configuration_ended = false;
        // What is learned is swept by the new generation too, if it has not been yet.
        let again = |key: &&Key| !key.is_learned() || !connection.learned_ended;
        self.unsent.extend(self.entries.keys().filter(again));
        self.bindings.replay(bindings);
    }

    /// The connection is lost.
    pub(crate) fn disconnected(&mut self) {
        self.connection = None;
        self.under_way.clear();
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether the forwarder holds all that the network file and the directory say.
    pub(crate) fn holds_configuration(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.configuration_ended)
            && self.under_way.counts.keys().all(|key| key.is_learned())
    }

    /// Whether the forwarder has dealt with all that it was to be told.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.holds_configuration()
            && self.unsent.is_empty()
            && !self.bindings.any()
            && self.under_way.keys.is_empty()
    }

    /// The next message, if one may go out now. What is learned does not wait for bindings, of which there may be many.
    pub(crate) fn next_message(&mut self, bindings: &dyn Bindings) -> Option<ToForwarder> {
        let connection = self.connection.as_mut()?;
        let generation = connection.generation;
        let room = self.under_way.keys.len() < WINDOW;
        if !connection.corrections.is_empty() {
            let change = if room { connection.corrections.pop_front()? } else { return None };
            return Some(self.say(change));
        }
        let may_go = |key: &Key| !key.is_learned() || connection.configuration_ended || self.bindings.any();
        // A device may have gone from one port to another: the port that is no more is told before the one that is new.
        let gone =
            self.unsent.range(..Key::Isp(Asn(0))).find(|key| self.entries.get(key) == key.removal().as_ref());
        if let Some(key) = gone.or(self.unsent.first()).copied().filter(may_go) {
            if !room {
                return None;
            }
            self.unsent.remove(&key);
            let change = self.entries.get(&key)?.clone();
            return Some(self.say(change));
        }
        if self.bindings.any() {
            let change = if room { self.bindings.next(bindings) } else { return None };
            if let Some(change) = change {
                return Some(self.say(change));
            }
        }
        let scope = if !std::mem::replace(&mut connection.configuration_ended, true) {
            Scope::Configuration
        } else if self.learned_complete && !std::mem::replace(&mut connection.learned_ended, true) {
            Scope::Learned
        } else {
            return None;
        };
        Some(ToForwarder::EndOfReplay(EndOfReplay { generation, scope }))
    }

    fn say(&mut self, change: Change) -> ToForwarder {
        self.under_way.push(Key::of(&change));
        let generation = self.connection.as_ref().map_or(Generation::default(), |c| c.generation);
        ToForwarder::Change { generation, change }
    }

    /// The forwarder has dealt with this many more changes. Says what of them was learned.
    pub(crate) fn applied(&mut self, changes: u32) -> Vec<Key> {
        let mut room = false;
        let mut keys: Vec<_> = (0..changes).map_while(|_| self.under_way.pop()).collect();
        for &key in &keys {
            if self.retrying.remove(&key) && !self.unsent.contains(&key) {
                self.refused.remove(&key);
            }
            let removed = self.entries.get(&key) == key.removal().as_ref();
            if removed && !self.unsent.contains(&key) && !self.under_way.contains(&key) {
                self.entries.remove(&key);
                room = true;
            }
        }
        if room {
            // What a table had no room for may have some now; what it contradicted may be gone.
            self.retrying.extend(&self.refused);
            self.unsent.extend(&self.refused);
        }
        keys.retain(|key| key.is_learned());
        keys
    }

    /// The forwarder did not take a change. Says whether that is news.
    pub(crate) fn refused(&mut self, change: &Change, _error: &ChangeError) -> bool {
        let key = Key::of(change);
        self.retrying.remove(&key);
        match key {
            Key::Binding(key) => self.bindings.refused(key),
            _ => self.entries.get(&key) == Some(change) && self.refused.insert(key),
        }
    }

    /// Whether the forwarder did not take what should be under this name.
    pub(crate) fn is_refused(&self, key: &Key) -> bool {
        self.refused.contains(key)
    }

    /// What should be under this name.
    pub(crate) fn entry(&self, key: &Key) -> Option<&Change> {
        self.entries.get(key)
    }

    /// What is learned and should be.
    #[cfg(test)]
    pub(crate) fn learned(&self) -> BTreeMap<Key, Change> {
        let there =
            |(key, change): &(&Key, &Change)| key.is_learned() && key.removal().as_ref() != Some(*change);
        self.entries.iter().filter(there).map(|(key, change)| (*key, change.clone())).collect()
    }

    /// Whether the forwarder holds what it should under this name, as far as it has said.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.is_connected()
            && self.entries.contains_key(key)
            && !self.refused.contains(key)
            && !self.unsent.contains(key)
            && !self.under_way.contains(key)
    }
}

#[cfg(test)]
mod tests;
