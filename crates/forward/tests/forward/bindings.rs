//! What changes do to the tables: idempotence, contradiction, moves, replays, limits.

use contract::{
    Change, ChangeError, EndOfReplay, Generation, PortConfig, PortId, PortKind, Scope, Settings, TtlModel,
};

use crate::frames::*;
use crate::network::*;
use crate::node::{CAPACITIES, Node, words};

fn apply(node: &mut Node<'_>, generation: u64, change: Change) -> Result<(), ChangeError> {
    node.forwarder.apply(Generation(generation), change)
}

fn end(node: &mut Node<'_>, generation: u64, scope: Scope) -> usize {
    node.forwarder.end_of_replay(EndOfReplay { generation: Generation(generation), scope })
}

/// What is installed but the settings, in an order of its own.
fn installed(node: &Node<'_>) -> Vec<String> {
    let mut all: Vec<_> = node.forwarder.installed().skip(1).map(|change| format!("{change:?}")).collect();
    all.sort();
    all
}

fn sorted(changes: &[Change]) -> Vec<String> {
    let mut all: Vec<_> = changes.iter().map(|change| format!("{change:?}")).collect();
    all.sort();
    all
}

fn anna(subscriber: u64, port: u16, tags: &[u16], isp: u32, prefix: &str) -> Change {
    binding(circuit(port, tags), isp, prefix, subscriber, Some(ANNA), false)
}

fn without(change: &Change) -> Change {
    match change.clone() {
        Change::Binding(key, _) => Change::Binding(key, None),
        Change::Handoff(key, _) => Change::Handoff(key, None),
        Change::ReturnRoute(key, _) => Change::ReturnRoute(key, None),
        Change::Ftn(key, _) => Change::Ftn(key, None),
        Change::Ilm(key, _) => Change::Ilm(key, None),
        Change::Port(key, _) => Change::Port(key, None),
        Change::Isp(key, _) => Change::Isp(key, None),
        Change::Settings(_) => Change::Settings(Settings::default()),
    }
}

#[test]
fn what_is_installed_is_said_back_and_every_change_is_idempotent() {
    let words = words();
    let mut node = node(&words);
    let mut all = changes();
    all.push(Change::Port(PortId(2), Some(PortConfig { device: "bb0".into(), kind: PortKind::Backbone })));
    let config = contract::IspConfig { clamp_mss: true, ..contract::IspConfig::default() };
    all.push(Change::Isp(contract::Asn(ALPHA), Some(config)));
    node.install(all.clone());
    assert_eq!(installed(&node), sorted(&all));
    assert_eq!(node.forwarder.installed().next(), Some(Change::Settings(Settings::default())));
    for change in &all {
        node.install([without(change), without(change)]);
    }
    assert_eq!(installed(&node), Vec::<String>::new());
}

#[test]
fn an_upsert_takes_the_place_of_its_key() {
    let words = words();
    let mut node = Node::new(&words, 1);
    node.install([anna(1, 0, &[], ALPHA, "100.64.0.0/24")]);
    let other = binding(circuit(0, &[]), ALPHA, "100.64.0.0/24", 2, None, false);
    node.install([other.clone()]);
    assert_eq!(installed(&node), sorted(&[other]));
}

#[test]
fn contradicting_bindings_are_refused_and_change_nothing() {
    let held = [
        anna(1, 0, &[], ALPHA, "100.64.0.16/28"),
        anna(1, 0, &[], ALPHA, "2001:db8:a::/56"),
        anna(2, 1, &[5], BETA, "100.64.0.16/28"),
    ];
    for (why, change) in [
        ("the circuit's, another subscriber", anna(9, 0, &[], BETA, "100.64.0.16/28")),
        ("within the circuit's", anna(9, 0, &[], BETA, "100.64.0.17/32")),
        ("around the circuit's", anna(9, 0, &[], BETA, "100.64.0.0/24")),
        ("one prefix for two ISPs", anna(1, 0, &[], BETA, "100.64.0.16/28")),
        ("the ISP's, another circuit", anna(1, 1, &[6], ALPHA, "100.64.0.16/28")),
        ("within the ISP's", anna(1, 1, &[6], ALPHA, "2001:db8:a:0:8000::/65")),
        ("around the ISP's", anna(9, 1, &[6], ALPHA, "2001:db8::/32")),
        ("everything", anna(9, 1, &[6], ALPHA, "::/0")),
    ] {
        let words = words();
        let mut node = Node::new(&words, 1);
        node.install(held.clone());
        assert!(matches!(apply(&mut node, 1, change), Err(ChangeError::Conflict(_))), "{why}");
        assert_eq!(installed(&node), sorted(&held), "{why}");
    }
    let words = words();
    let mut node = Node::new(&words, 1);
    node.install(held.clone());
    let more = [
        anna(1, 0, &[], ALPHA, "100.64.0.17/32"),
        anna(1, 0, &[], ALPHA, "100.64.0.0/24"),
        anna(1, 0, &[], BETA, "100.64.0.128/25"),
        anna(9, 0, &[], ALPHA, "100.64.1.0/24"),
        anna(9, 1, &[5], ALPHA, "2001:db8:b::/48"),
    ];
    node.install(more.clone());
    assert_eq!(installed(&node), sorted(&[&held[..], &more].concat()));
}

#[test]
fn a_prefix_that_moved_is_installed_before_its_old_place_is_swept() {
    let old = [
        anna(1, 0, &[], ALPHA, "100.64.0.11/32"),
        anna(2, 0, &[], ALPHA, "100.64.0.12/32"),
        anna(3, 1, &[], ALPHA, "100.64.1.0/24"),
    ];
    // Two swap addresses; a third moves and is split. Every order must end the same.
    let new = [
        anna(1, 0, &[], ALPHA, "100.64.0.12/32"),
        anna(2, 0, &[], ALPHA, "100.64.0.11/32"),
        anna(3, 1, &[7], ALPHA, "100.64.1.0/25"),
        anna(4, 1, &[8], ALPHA, "100.64.1.128/25"),
    ];
    for turn in 0..new.len() {
        let words = words();
        let mut node = Node::new(&words, 1);
        node.install(old.clone());
        for n in 0..new.len() {
            apply(&mut node, 2, new[(n + turn) % new.len()].clone()).unwrap();
        }
        end(&mut node, 2, Scope::Configuration);
        assert_eq!(installed(&node), sorted(&new));
    }
}

#[test]
fn a_confirmed_binding_does_not_give_way() {
    let words = words();
    let mut node = Node::new(&words, 1);
    let held = anna(1, 0, &[], ALPHA, "100.64.0.11/32");
    node.install([held.clone()]);
    apply(&mut node, 2, held.clone()).unwrap();
    let thief = anna(2, 1, &[], ALPHA, "100.64.0.11/32");
    let error = apply(&mut node, 2, thief.clone()).unwrap_err().to_string();
    for part in ["100.64.0.11/32", "AS64501", "subscriber 2", "subscriber 1", "port 0"] {
        assert!(error.contains(part), "{error}");
    }
    apply(&mut node, 2, without(&held)).unwrap();
    apply(&mut node, 2, thief.clone()).unwrap();
    assert_eq!(installed(&node), sorted(&[thief]));
}

/// A subscriber's prefix that goes from alpha to beta: each order of the two changes ends the same, and in every state
/// on the way a packet from it has an ISP, and what comes from either ISP arrives.
#[test]
fn a_move_to_another_isp_is_never_without_a_binding() {
    let at = |isp, leaving| {
        let Change::Binding(key, Some(binding)) = anna(1, ACCESS, &[], isp, "100.64.0.11/32") else {
            panic!()
        };
        Change::Binding(key, Some(contract::Binding { leaving, ..binding }))
    };
    let from = |node: &mut Node<'_>| {
        let packet = udp("100.64.0.11", "198.51.100.1", 9, b"");
        let sent = node.take(ACCESS, &[ethernet(ours(ACCESS), ANNA, &[], IPV4, &packet)]).sent;
        match sent.as_slice() {
            [(port, _)] => *port,
            other => panic!("{other:?}"),
        }
    };
    let to = |node: &mut Node<'_>, isp: u32| {
        let packet = udp("198.51.100.1", "100.64.0.11", 9, b"");
        let stack = label(if isp == ALPHA { 30 } else { 31 }, 0, true, 9);
        let frame = ethernet(ours(BB0), peer(BB0), &[], MPLS, &cat(&[&stack, &packet]));
        node.take(BB0, &[frame]).sent.len()
    };
    let words = words();
    let mut node = node(&words);
    node.install([at(ALPHA, false)]);
    let usual: Vec<_> = node.forwarder.installed().collect();
    assert_eq!(from(&mut node), BB0);
    let error = apply(&mut node, 1, at(BETA, false)).unwrap_err();
    assert!(matches!(error, ChangeError::Conflict(_)), "one of the two must be leaving: {error}");

    // There and back again, twice: no step is without a way.
    for (old, new, way) in [(ALPHA, BETA, BB1), (BETA, ALPHA, BB0), (ALPHA, BETA, BB1), (BETA, ALPHA, BB0)] {
        apply(&mut node, 1, at(old, true)).unwrap();
        from(&mut node);
        assert_eq!(to(&mut node, old), 1);
        apply(&mut node, 1, at(new, false)).unwrap();
        assert_eq!((from(&mut node), to(&mut node, old), to(&mut node, new)), (way, 1, 1));
    }
    apply(&mut node, 1, without(&at(BETA, false))).unwrap();
    assert_eq!((from(&mut node), to(&mut node, ALPHA), to(&mut node, BETA)), (BB0, 1, 0));
    assert_eq!(node.forwarder.installed().collect::<Vec<_>>(), usual);

    // In a replay the new one may come first, and what stays is leaving until the end.
    for changes in [[at(BETA, false), at(ALPHA, true)], [at(ALPHA, true), at(BETA, false)]] {
        let words = crate::node::words();
        let mut node = crate::network::node(&words);
        node.install([at(ALPHA, false)]);
        for change in &changes {
            apply(&mut node, 2, change.clone()).unwrap();
        }
        assert_eq!((from(&mut node), to(&mut node, ALPHA), to(&mut node, BETA)), (BB1, 1, 1));
        // The new ISP's goes: what is leaving is still a way.
        apply(&mut node, 2, without(&at(BETA, false))).unwrap();
        assert_eq!((from(&mut node), to(&mut node, ALPHA)), (BB0, 1));
        apply(&mut node, 2, without(&at(ALPHA, false))).unwrap();
        assert_eq!(to(&mut node, ALPHA), 0);
    }
}

#[test]
fn a_leaving_binding_is_in_the_way_of_everybody_else() {
    let words = words();
    let mut node = Node::new(&words, 1);
    let leaving = |change: Change| match change {
        Change::Binding(key, Some(binding)) => {
            Change::Binding(key, Some(contract::Binding { leaving: true, ..binding }))
        }
        other => other,
    };
    let held =
        [leaving(anna(1, 0, &[], ALPHA, "100.64.0.16/28")), leaving(anna(1, 0, &[], BETA, "100.64.0.16/28"))];
    node.install(held.clone());
    for change in [
        anna(2, 0, &[], ALPHA, "100.64.0.16/28"),
        anna(2, 0, &[], BETA + 1, "100.64.0.0/24"),
        anna(2, 1, &[], BETA, "100.64.0.17/32"),
        anna(1, 1, &[], ALPHA, "100.64.0.16/28"),
    ] {
        assert!(matches!(apply(&mut node, 1, change.clone()), Err(ChangeError::Conflict(_))), "{change:?}");
    }
    assert_eq!(installed(&node), sorted(&held));
    // Of a later generation, it takes the place of both.
    let heir = anna(2, 0, &[], BETA + 1, "100.64.0.0/24");
    apply(&mut node, 2, heir.clone()).unwrap();
    assert_eq!(installed(&node), sorted(&[heir]));
}

#[test]
fn a_replay_ends_for_each_scope_and_leaves_what_was_named() {
    let words = words();
    let mut node = node(&words);
    let all = changes();
    let (configuration, learned): (Vec<_>, Vec<_>) =
        all.iter().cloned().partition(|change| change.scope() == Scope::Configuration);
    assert_eq!(node.forwarder.generation(), Generation(1));
    apply(&mut node, 3, configuration[0].clone()).unwrap();
    assert_eq!(node.forwarder.generation(), Generation(3));
    assert_eq!(end(&mut node, 2, Scope::Configuration), 0, "that generation is over");
    assert_eq!(node.forwarder.generation(), Generation(3));
    assert_eq!(end(&mut node, 3, Scope::Configuration), configuration.len() - 1);
    assert_eq!(installed(&node), sorted(&[&configuration[..1], &learned].concat()));
    for kept in [&learned[0], &learned[learned.len() - 1], &learned[4]] {
        apply(&mut node, 3, kept.clone()).unwrap();
    }
    assert_eq!(end(&mut node, 3, Scope::Learned), learned.len() - 3);
    assert_eq!(installed(&node).len(), 4);
    assert_eq!(end(&mut node, 4, Scope::Learned), 3, "a replay may have nothing to say");
    assert!(matches!(apply(&mut node, 3, all[0].clone()), Err(ChangeError::Conflict(_))), "over");
    assert_eq!(installed(&node), sorted(&configuration[..1]));
}

#[test]
fn settings_that_are_not_named_return_to_what_they_are_without() {
    let words = words();
    let mut node = node(&words);
    let uniform = Change::Settings(Settings { ttl: TtlModel::Uniform, ..Settings::default() });
    node.install([uniform.clone()]);
    assert_eq!(node.forwarder.installed().next(), Some(uniform));
    end(&mut node, 2, Scope::Configuration);
    assert_eq!(node.forwarder.installed().next(), Some(Change::Settings(Settings::default())));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let words = words();
    let mut node = Node::new(&words, 1);
    let group = Some([1, 0, 0, 0, 0, 1]);
    let mut multicast = nhlfe(BB0, &[16]);
    multicast.mac.0 = [0xff; 6];
    for change in [
        anna(1, 0, &[], ALPHA, "100.64.0.1/24"),
        return_route(ALPHA, "2001:db8::1/64", &[]),
        binding(circuit(0, &[]), ALPHA, "100.64.0.1/32", 1, None, true),
        binding(circuit(0, &[]), ALPHA, "100.64.0.1/32", 1, group, false),
        handoff(circuit(4, &[]), ALPHA, group, None),
        handoff(circuit(4, &[]), ALPHA, None, Some([0; 6])),
        return_route(ALPHA, "100.64.0.0/24", &[nhlfe(BB0, &[])]),
        return_route(ALPHA, "100.64.0.0/24", &[multicast]),
        return_route(ALPHA, "100.64.0.0/24", &vec![nhlfe(BB0, &[16]); 65]),
        ftn(ALPHA, &[("10.254.1.1", &[])]),
        ilm(3, to_subscribers(ALPHA)),
        ilm(16, contract::IlmAction::Swap { isp: None, nhlfes: vec![nhlfe(BB0, &[])] }),
    ] {
        let shown = format!("{change:?}");
        assert!(matches!(apply(&mut node, 1, change), Err(ChangeError::Invalid(_))), "{shown}");
    }
    for change in [
        anna(1, 256, &[], ALPHA, "100.64.0.1/32"),
        handoff(circuit(256, &[]), ALPHA, None, None),
        ilm(16, contract::IlmAction::Swap { isp: None, nhlfes: vec![nhlfe(256, &[16])] }),
        ilm(16, to_handoff(ALPHA, circuit(256, &[]))),
        Change::Port(PortId(256), None),
    ] {
        assert!(matches!(apply(&mut node, 1, change), Err(ChangeError::NoSuchPort(PortId(256)))));
    }
    assert_eq!(installed(&node), Vec::<String>::new());
}

#[test]
fn tables_hold_what_they_are_made_for_and_refuse_the_rest() {
    let words = words();
    let mut node = Node::new(&words, 1);
    type Make = fn(usize) -> Change;
    let tables: [(&str, usize, Make); 5] = [
        ("bindings", CAPACITIES.bindings, |n| anna(n as u64, 0, &[], ALPHA, &format!("100.64.0.{n}/32"))),
        ("incoming labels", CAPACITIES.incoming_labels, |n| ilm(16 + n as u32, to_subscribers(ALPHA))),
        ("handoffs", CAPACITIES.handoffs, |n| handoff(circuit(4, &[1 + n as u16]), ALPHA, None, None)),
        ("return routes", CAPACITIES.return_routes, |n| {
            return_route(ALPHA, &format!("100.64.{n}.0/24"), &[])
        }),
        ("ISPs", CAPACITIES.isps, |n| ftn(ALPHA + n as u32, &[])),
    ];
    for (name, capacity, make) in tables {
        node.install((0..capacity).map(make));
        let refused = apply(&mut node, 1, make(capacity));
        let full = ChangeError::Full { table: name.to_owned(), capacity: capacity as u64 };
        assert_eq!(refused, Err(full));
        // What is there may still change, and what goes makes room.
        node.install([make(0)]);
        if name != "ISPs" {
            node.install([without(&make(1)), make(capacity)]);
        }
    }
}
