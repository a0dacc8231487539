//! What the forwarder should hold, what it was told, and what it has answered for.
//!
//! Pure: it turns "this should be" into the fewest messages, keeps a bounded number of them under way, and starts over
//! with each connection. What is told twice before it could be sent is sent once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use contract::{
    Asn, BindingKey, Change, ChangeError, Circuit, EndOfReplay, Generation, IspPrefix, Label, PortId, Scope,
    ToForwarder,
};

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
    unsent: BTreeSet<Key>,
    under_way: VecDeque<Key>,
    connection: Option<Connection>,
    learned_complete: bool,
    /// What every replay begins with, until all that can be learned is known.
    corrections: Vec<Change>,
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
        self.corrections = corrections;
    }

    /// This should be from now on.
    pub(crate) fn set(&mut self, change: Change) {
        let key = Key::of(&change);
        if self.entries.get(&key) != Some(&change) {
            self.entries.insert(key, change);
            self.refused.remove(&key);
            self.unsent.insert(key);
        }
    }

    /// This, and nothing else that is learned, should be from now on.
    pub(crate) fn set_learned(&mut self, changes: impl IntoIterator<Item = Change>) {
        let changes: BTreeMap<Key, Change> = changes.into_iter().map(|c| (Key::of(&c), c)).collect();
        let gone: Vec<_> =
            self.entries.keys().filter(|k| k.is_learned() && !changes.contains_key(k)).copied().collect();
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
    pub(crate) fn connected(&mut self, held: Generation) {
        self.connection = Some(Connection {
            generation: Generation(held.0 + 1),
            corrections: self.corrections.iter().cloned().collect(),
            configuration_ended: false,
            learned_ended: false,
        });
        self.under_way.clear();
        self.refused.clear();
        // What should not be is told by the end of the replay.
        self.entries.retain(|key, change| key.removal().as_ref() != Some(change));
        self.unsent = self.entries.keys().copied().collect();
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

    /// The next message, if one may go out now.
    pub(crate) fn next_message(&mut self) -> Option<ToForwarder> {
        let connection = self.connection.as_mut()?;
        let generation = connection.generation;
        if !connection.corrections.is_empty() {
            if self.under_way.len() >= WINDOW {
                return None;
            }
            let change = connection.corrections.pop_front()?;
            self.under_way.push_back(Key::of(&change));
            return Some(ToForwarder::Change { generation, change });
        }
        let next = self.unsent.first().copied();
        if !connection.configuration_ended && next.is_none_or(Key::is_learned) {
            connection.configuration_ended = true;
            return Some(ToForwarder::EndOfReplay(EndOfReplay { generation, scope: Scope::Configuration }));
        }
        let Some(key) = next else {
            let end = self.learned_complete && !connection.learned_ended;
            connection.learned_ended |= end;
            let scope = Scope::Learned;
            return end.then_some(ToForwarder::EndOfReplay(EndOfReplay { generation, scope }));
        };
        if self.under_way.len() >= WINDOW {
            return None;
        }
        self.unsent.remove(&key);
        let change = self.entries.get(&key)?.clone();
        self.under_way.push_back(key);
        Some(ToForwarder::Change { generation, change })
    }

    /// The forwarder has dealt with this many more changes. Says whether anything learned was among them.
    pub(crate) fn applied(&mut self, changes: u32) -> bool {
        let mut learned = false;
        for key in (0..changes).map_while(|_| self.under_way.pop_front()).collect::<Vec<_>>() {
            learned |= key.is_learned();
            let removed = self.entries.get(&key) == key.removal().as_ref();
            if removed && !self.unsent.contains(&key) && !self.under_way.contains(&key) {
                self.entries.remove(&key);
            }
        }
        learned
    }

    /// The forwarder did not take a change. Says whether that is news.
    pub(crate) fn refused(&mut self, change: &Change, _error: &ChangeError) -> bool {
        let key = Key::of(change);
        self.entries.get(&key) == Some(change) && self.refused.insert(key)
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
mod tests {
    use contract::{Fec, Ilm, IlmAction, PortConfig, PortKind, Settings};

    use super::*;

    fn ilm(label: u32, isp: u32) -> Change {
        let fec = Fec("10.254.2.1/32".parse().unwrap());
        let action = IlmAction::PopToSubscribers { isp: Asn(isp) };
        Change::Ilm(Label::new(label).unwrap(), Some(Ilm { fec, action }))
    }

    fn port(id: u16) -> Change {
        let config = PortConfig { device: format!("port{id}"), kind: PortKind::Backbone };
        Change::Port(PortId(id), Some(config))
    }

    fn drain(ledger: &mut Ledger) -> Vec<ToForwarder> {
        std::iter::from_fn(|| ledger.next_message()).collect()
    }

    fn says(generation: u64, change: Change) -> ToForwarder {
        ToForwarder::Change { generation: Generation(generation), change }
    }

    fn end(generation: u64, scope: Scope) -> ToForwarder {
        ToForwarder::EndOfReplay(EndOfReplay { generation: Generation(generation), scope })
    }

    #[test]
    fn a_replay_ends_configuration_at_once_and_what_is_learned_when_told() {
        let mut ledger = Ledger::default();
        ledger.set_learned([ilm(16, 1)]);
        ledger.set(port(0));
        ledger.set(Change::Settings(Settings::default()));
        assert_eq!(drain(&mut ledger), []);
        ledger.connected(Generation(4));
        let settings = Change::Settings(Settings::default());
        let configuration = end(5, Scope::Configuration);
        let expected = [says(5, settings), says(5, port(0)), configuration, says(5, ilm(16, 1))];
        assert_eq!(drain(&mut ledger), expected);
        ledger.learned_is_complete();
        assert_eq!(drain(&mut ledger), [end(5, Scope::Learned)]);
        assert_eq!(drain(&mut ledger), []);
        ledger.disconnected();
        ledger.connected(Generation(0));
        assert_eq!(drain(&mut ledger).len(), 5, "a new forwarder is told everything, and both ends");
    }

    #[test]
    fn corrections_come_before_configuration_until_all_is_known() {
        let mut ledger = Ledger::default();
        let wrong = Change::Ilm(Label::new(20).unwrap(), None);
        ledger.correct_first(vec![wrong.clone()]);
        ledger.set(port(0));
        ledger.set_learned([ilm(20, 2)]);
        for generation in [5, 8] {
            ledger.connected(Generation(generation - 1));
            let configuration = end(generation, Scope::Configuration);
            let replay = [says(generation, wrong.clone()), says(generation, port(0)), configuration];
            let expected = replay.into_iter().chain([says(generation, ilm(20, 2))]).collect::<Vec<_>>();
            assert_eq!(drain(&mut ledger), expected);
            let key = Key::Ilm(Label::new(20).unwrap());
            assert!(ledger.applied(2) && !ledger.holds(&key));
            ledger.applied(1);
            assert!(ledger.holds(&key));
            ledger.disconnected();
        }
        ledger.learned_is_complete();
        ledger.connected(Generation(8));
        assert_eq!(drain(&mut ledger).first(), Some(&says(9, port(0))));
    }

    #[test]
    fn only_differences_are_sent_and_removals_are_forgotten_once_applied() {
        let mut ledger = Ledger::default();
        ledger.connected(Generation(0));
        ledger.set_learned([ilm(16, 1), ilm(17, 1)]);
        drain(&mut ledger);
        assert!(!ledger.holds(&Key::Ilm(Label::new(16).unwrap())));
        assert!(ledger.applied(2));
        assert!(ledger.holds(&Key::Ilm(Label::new(16).unwrap())));
        ledger.set_learned([ilm(16, 1), ilm(18, 1)]);
        let removed = Change::Ilm(Label::new(17).unwrap(), None);
        assert_eq!(drain(&mut ledger), [says(1, removed), says(1, ilm(18, 1))]);
        ledger.applied(2);
        assert_eq!(ledger.entries.len(), 2);
        ledger.set_learned([ilm(16, 1), ilm(18, 1)]);
        assert_eq!(drain(&mut ledger), []);
    }

    #[test]
    fn what_is_told_twice_is_sent_once_and_no_more_than_the_window_is_under_way() {
        let mut ledger = Ledger::default();
        ledger.connected(Generation(0));
        drain(&mut ledger);
        ledger.set(ilm(16, 1));
        ledger.set(ilm(16, 2));
        assert_eq!(drain(&mut ledger), [says(1, ilm(16, 2))]);
        ledger.applied(1);
        ledger.set_learned((0..WINDOW as u32 + 10).map(|n| ilm(20 + n, 1)));
        // Label 16 is removed first.
        assert_eq!(drain(&mut ledger).len(), WINDOW);
        ledger.applied(5);
        assert_eq!(drain(&mut ledger).len(), 5);
    }

    #[test]
    fn a_refused_change_does_not_count_as_held_until_it_is_another() {
        let mut ledger = Ledger::default();
        ledger.connected(Generation(0));
        ledger.set(ilm(16, 1));
        drain(&mut ledger);
        let error = ChangeError::Conflict("it is taken".into());
        assert!(ledger.refused(&ilm(16, 1), &error));
        assert!(!ledger.refused(&ilm(16, 1), &error));
        ledger.applied(1);
        let key = Key::Ilm(Label::new(16).unwrap());
        assert!(!ledger.holds(&key));
        ledger.set(ilm(16, 2));
        drain(&mut ledger);
        ledger.applied(1);
        assert!(ledger.holds(&key));
    }
}
