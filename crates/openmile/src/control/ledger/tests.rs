//! What is told, in which order, and how often.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::AtomicU64;

use contract::counters::{Memory, memory_len};
use contract::{Binding, Fec, Ilm, IlmAction, PortConfig, PortKind, Settings, SubscriberId, VlanTags};
use forward::{Capacities, Forwarder, Options};
use proptest::prelude::*;

use subscriber::Place;

use super::*;

/// A directory without anybody.
struct Nobody;

impl Bindings for Nobody {
    fn binding(&self, _: &BindingKey) -> Option<contract::Binding> {
        None
    }
    fn binding_from(&self, _: Place) -> Option<(Place, BindingKey, contract::Binding)> {
        None
    }
    fn leaving(&self) -> Vec<BindingKey> {
        Vec::new()
    }
}

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
    std::iter::from_fn(|| ledger.next_message(&Nobody)).collect()
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
    ledger.connected(Generation(4), &Nobody);
    let settings = Change::Settings(Settings::default());
    let configuration = end(5, Scope::Configuration);
    let expected = [says(5, settings), says(5, port(0)), says(5, ilm(16, 1)), configuration];
    assert_eq!(drain(&mut ledger), expected);
    ledger.learned_is_complete();
    assert_eq!(drain(&mut ledger), [end(5, Scope::Learned)]);
    assert_eq!(drain(&mut ledger), []);
    ledger.disconnected();
    ledger.connected(Generation(0), &Nobody);
    assert_eq!(drain(&mut ledger).len(), 5, "a new forwarder is told everything, and both ends");
}

#[test]
fn a_new_configuration_before_all_is_learned_sweeps_nothing_that_was() {
    let mut ledger = Ledger::default();
    ledger.set(port(0));
    ledger.connected(Generation(4), &Nobody);
    ledger.set_learned([ilm(16, 1)]);
    assert_eq!(drain(&mut ledger).last(), Some(&end(5, Scope::Configuration)));
    ledger.replay_configuration(&Nobody);
    assert_eq!(drain(&mut ledger), [says(6, port(0)), says(6, ilm(16, 1)), end(6, Scope::Configuration)]);
    ledger.learned_is_complete();
    assert_eq!(drain(&mut ledger), [end(6, Scope::Learned)]);
    // Once that was said, labels need not be told again.
    ledger.replay_configuration(&Nobody);
    assert_eq!(drain(&mut ledger), [says(7, port(0)), end(7, Scope::Configuration)]);
}

#[test]
fn corrections_come_before_configuration_until_all_is_known() {
    let mut ledger = Ledger::default();
    let wrong = Change::Ilm(Label::new(20).unwrap(), None);
    ledger.correct_first(vec![wrong.clone()]);
    ledger.set(port(0));
    ledger.set_learned([ilm(20, 2)]);
    for generation in [5, 8] {
        ledger.connected(Generation(generation - 1), &Nobody);
        let configuration = end(generation, Scope::Configuration);
        let replay = [says(generation, wrong.clone()), says(generation, port(0))];
        let expected = replay.into_iter().chain([says(generation, ilm(20, 2)), configuration]);
        let expected = expected.collect::<Vec<_>>();
        assert_eq!(drain(&mut ledger), expected);
        let key = Key::Ilm(Label::new(20).unwrap());
        assert!(!ledger.applied(2).is_empty() && !ledger.holds(&key));
        ledger.applied(1);
        assert!(ledger.holds(&key));
        ledger.disconnected();
    }
    ledger.learned_is_complete();
    ledger.connected(Generation(8), &Nobody);
    assert_eq!(drain(&mut ledger).first(), Some(&says(9, port(0))));
}

#[test]
fn only_differences_are_sent_and_removals_are_forgotten_once_applied() {
    let mut ledger = Ledger::default();
    ledger.connected(Generation(0), &Nobody);
    ledger.set_learned([ilm(16, 1), ilm(17, 1)]);
    drain(&mut ledger);
    assert!(!ledger.holds(&Key::Ilm(Label::new(16).unwrap())));
    assert_eq!(ledger.applied(2).len(), 2);
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
    ledger.connected(Generation(0), &Nobody);
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
    ledger.connected(Generation(0), &Nobody);
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

/// What a directory says, as a list, and the last of it that a replay has told.
#[derive(Default)]
struct List(BTreeMap<BindingKey, Binding>, std::cell::Cell<Option<BindingKey>>);

impl Bindings for List {
    fn binding(&self, key: &BindingKey) -> Option<Binding> {
        self.0.get(key).copied()
    }
    fn binding_from(&self, place: Place) -> Option<(Place, BindingKey, Binding)> {
        let after = self.1.get().map_or(Bound::Unbounded, Bound::Excluded);
        let (key, binding) = self.0.range((after, Bound::Unbounded)).next()?;
        self.1.set(Some(*key));
        Some((place, *key, *binding))
    }
    fn leaving(&self) -> Vec<BindingKey> {
        self.0.iter().filter(|(_, binding)| binding.leaving).map(|(key, _)| *key).collect()
    }
}

fn key(line: u16, isp: u32, host: u8) -> BindingKey {
    let circuit = Circuit { port: PortId(line), tags: VlanTags::None };
    let prefix = std::net::IpAddr::from([100, 64, 0, host]).into();
    BindingKey { circuit, prefix: IspPrefix { isp: Asn(isp), prefix } }
}

/// A subscriber with an address at one ISP, and perhaps on its way from another.
#[derive(Clone, Copy, Debug)]
struct Holder {
    line: u16,
    isp: u32,
    from: Option<u32>,
    host: u8,
}

#[derive(Clone, Debug)]
enum Step {
    Is(u64, Option<Holder>),
    Messages(usize),
    Applied,
    Lost,
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    let holder = (0u16..3, 1u32..4, prop::option::of(1u32..4), 0u8..3);
    let holder = holder.prop_map(|(line, isp, from, host)| Holder {
        line,
        isp,
        from: from.filter(|from| *from != isp),
        host,
    });
    prop_oneof![
        6 => (0u64..4, prop::option::weighted(0.8, holder)).prop_map(|(who, holder)| Step::Is(who, holder)),
        4 => (0usize..8).prop_map(Step::Messages),
        2 => Just(Step::Applied),
        1 => Just(Step::Lost),
        1 => Just(Step::Again),
    ]
}

/// What a holder binds.
fn bound(who: u64, holder: Holder) -> impl Iterator<Item = (BindingKey, Binding)> {
    let binding = |leaving| Binding { subscriber: SubscriberId(who), mac: None, verify_mac: false, leaving };
    let old = holder.from.map(|isp| (key(holder.line, isp, holder.host), binding(true)));
    std::iter::once((key(holder.line, holder.isp, holder.host), binding(false))).chain(old)
}

/// Whether two subscribers' bindings cannot stand beside each other.
fn contradict(one: &BindingKey, other: &BindingKey) -> bool {
    one.prefix.prefix == other.prefix.prefix
        && (one.circuit == other.circuit || one.prefix.isp == other.prefix.isp)
}

proptest! {
    /// Whatever a directory that never contradicts itself goes through, and whenever it is told, the forwarder refuses
    /// nothing and holds in the end just what the directory says.
    #[test]
    fn bindings_come_in_an_order_that_never_contradicts(steps in prop::collection::vec(step(), 1..80)) {
        let words: Vec<_> = (0..memory_len(1) / 8).map(|_| AtomicU64::new(0)).collect();
        let options = Options { capacities: Capacities { bindings: 64, ..Capacities::default() }, seed: 1 };
        let mut forwarder = Forwarder::new(Memory::create(&words, 1).unwrap(), 0, &options).unwrap();
        let (mut ledger, mut list) = (Ledger::default(), List::default());
        let mut holders = BTreeMap::<u64, Holder>::new();
        ledger.connected(Generation(0), &list);
        let take = |forwarder: &mut Forwarder<'_>, message| match message {
            ToForwarder::Change { generation, change } => forwarder.apply(generation, change),
            ToForwarder::EndOfReplay(end) => {
                forwarder.end_of_replay(end);
                Ok(())
            }
            other => panic!("{other:?}"),
        };
        let mut generation = 0;
        for step in steps.into_iter().chain([Step::Messages(usize::MAX)]) {
            match step {
                Step::Is(who, holder) => {
                    let others = |(other, held): (&u64, &Holder)| (*other != who).then(|| bound(*other, *held));
                    let mut taken = holders.iter().filter_map(others).flatten();
                    let wanted: BTreeMap<_, _> = holder.iter().flat_map(|h| bound(who, *h)).collect();
                    if taken.any(|(held, _)| wanted.keys().any(|key| contradict(key, &held))) {
                        continue;
                    }
                    let gone = holders.remove(&who).into_iter().flat_map(|h| bound(who, h));
                    let gone: Vec<_> = gone.map(|(key, _)| key).collect();
                    for key in gone.iter().filter(|key| !wanted.contains_key(key)) {
                        list.0.remove(key);
                        ledger.set(Change::Binding(*key, None));
                    }
                    for (key, binding) in wanted {
                        list.0.insert(key, binding);
                        ledger.set(Change::Binding(key, Some(binding)));
                    }
                    holders.extend(holder.map(|holder| (who, holder)));
                }
                Step::Messages(count) => {
                    for _ in 0..count {
                        let Some(message) = ledger.next_message(&list) else { break };
                        let shown = format!("{message:?}");
                        let taken = take(&mut forwarder, message);
                        prop_assert!(taken.is_ok(), "{shown}: {taken:?}");
                    }
                }
                Step::Applied => drop(ledger.applied(u32::MAX)),
                Step::Lost => {
                    list.1.set(None);
                    generation += 10;
                    ledger.disconnected();
                    ledger.connected(Generation(generation), &list);
                }
                Step::Again => {
                    list.1.set(None);
                    ledger.replay_configuration(&list);
                }
            }
        }
        let held: BTreeMap<_, _> = forwarder
            .installed()
            .filter_map(|change| if let Change::Binding(k, Some(b)) = change { Some((k, b)) } else { None })
            .collect();
        prop_assert_eq!(held, list.0);
    }
}

#[test]
fn what_is_learned_does_not_wait_for_bindings_and_configuration_ends_after_them() {
    let mut list = List::default();
    for host in 0..2 {
        list.0.extend(bound(host.into(), Holder { line: 0, isp: 1, from: None, host }));
    }
    let mut ledger = Ledger::default();
    ledger.set(port(0));
    ledger.set_learned([ilm(16, 1)]);
    ledger.connected(Generation(0), &list);
    let said: Vec<_> = std::iter::from_fn(|| ledger.next_message(&list)).collect();
    let bindings = list.0.iter().map(|(key, binding)| says(1, Change::Binding(*key, Some(*binding))));
    let expected = [says(1, port(0)), says(1, ilm(16, 1))].into_iter().chain(bindings);
    assert_eq!(said, expected.chain([end(1, Scope::Configuration)]).collect::<Vec<_>>());
}

#[test]
fn what_was_refused_is_tried_again_when_something_went() {
    let mut ledger = Ledger::default();
    ledger.connected(Generation(0), &Nobody);
    ledger.set_learned([ilm(16, 1), ilm(17, 1)]);
    drain(&mut ledger);
    let (full, key) = (ChangeError::Conflict("it is taken".into()), Key::Ilm(Label::new(17).unwrap()));
    assert!(ledger.refused(&ilm(17, 1), &full));
    ledger.applied(2);
    assert!(ledger.is_refused(&key) && drain(&mut ledger).is_empty());
    for taken in [false, true] {
        ledger.set_learned([ilm(17, 1)]);
        assert_eq!(drain(&mut ledger).len(), 1, "the removal of the other");
        ledger.applied(1);
        assert_eq!(drain(&mut ledger), [says(1, ilm(17, 1))]);
        assert!(!ledger.holds(&key));
        if !taken {
            assert!(!ledger.refused(&ilm(17, 1), &full), "that is no news");
        }
        ledger.applied(1);
        assert_eq!((ledger.is_refused(&key), ledger.holds(&key)), (!taken, taken));
        ledger.set_learned([ilm(16, 1), ilm(17, 1)]);
        drain(&mut ledger);
        ledger.applied(1);
    }
}
