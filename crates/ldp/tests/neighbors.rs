//! What the operator says of neighbors.

mod bench;

use std::collections::BTreeMap;
use std::time::Duration;

use bench::{Bench, LOCAL, address, fec, hello, initialization, label, mapping, peer};
use contract::Fec;
use ldp::{
    Action, ConnId, DownReason, Event, FecFilter, Gtsm, NeighborPolicy, Neighbors, Password, Speaker,
    StatusCode,
};
use wire::ldp::{Body, Hello, LabelRelease};

/// Only this neighbor is named, treated like this; others as given.
fn neighbors(n: u8, policy: NeighborPolicy, others: Option<NeighborPolicy>) -> Neighbors {
    Neighbors { named: BTreeMap::from([(peer(n).lsr_id, policy)]), others }
}

fn within(fecs: &[u8]) -> FecFilter {
    FecFilter::Within(fecs.iter().map(|&n| fec(n).0).collect())
}

fn set(bench: &mut Bench, neighbors: Neighbors) {
    bench.call(|speaker, now| speaker.handle_neighbors(now, neighbors));
}

/// The label that packets of a FEC get, as last told.
fn pushed(bench: &Bench, fec: Fec) -> Option<u32> {
    let told = bench.events.iter().rev().find_map(|event| match event {
        Event::Fec(state) if state.fec == fec => Some(state.next_hops.first().map(|hop| hop.label.value())),
        _ => None,
    });
    told.flatten()
}

fn down(bench: &Bench, n: u8) -> Option<DownReason> {
    bench.events.iter().find_map(|event| match event {
        Event::SessionDown { peer: id, reason, .. } if *id == peer(n) => Some(*reason),
        _ => None,
    })
}

fn operational(bench: &Bench, n: u8) -> bool {
    let all = bench.speaker.neighbors(bench.now);
    all.iter().any(|known| known.peer == peer(n) && known.up_for.is_some())
}

const SHUTDOWN: Option<DownReason> = Some(DownReason::Local(StatusCode::SHUTDOWN));

#[test]
fn who_is_not_named_is_not_heard_if_only_those_are_wanted() {
    let mut bench = Bench::new(|config| config.neighbors = neighbors(2, NeighborPolicy::default(), None));
    bench.hello(1, 3);
    assert!(bench.speaker.neighbors(bench.now).is_empty());
    assert_eq!(bench.speaker.counters().hellos_ignored, 1);
    bench.session(2, None);
    set(&mut bench, neighbors(3, NeighborPolicy::default(), None));
    assert_eq!(down(&bench, 2), SHUTDOWN);
    assert!(bench.speaker.neighbors(bench.now).is_empty(), "it is forgotten, not only its session");
    bench.session(3, None);
}

#[test]
fn a_session_that_is_cleared_ends_and_may_come_back_at_once() {
    let mut bench = Bench::new(|_| {});
    let conn = bench.session(2, None);
    bench.call(|speaker, now| assert!(speaker.handle_clear(now, peer(2).lsr_id)));
    assert_eq!(down(&bench, 2), SHUTDOWN);
    assert!(bench.closed(conn));
    bench.now = bench.now + Duration::from_millis(1);
    bench.clear();
    bench.session(2, None);
    bench.call(|speaker, now| assert!(!speaker.handle_clear(now, peer(9).lsr_id)));
}

#[test]
fn a_neighbor_that_is_shut_is_gone_until_it_is_opened() {
    let mut bench = Bench::new(|_| {});
    bench.route(1, &[(1, 2)]);
    let conn = bench.session(2, None);
    bench.say(conn, 2, &[mapping(fec(1), label(500))]);
    assert_eq!(pushed(&bench, fec(1)), Some(500));
    let shut = |shut| move |speaker: &mut Speaker, now| speaker.handle_shut(now, peer(2).lsr_id, shut);
    bench.call(shut(true));
    assert_eq!(down(&bench, 2), SHUTDOWN);
    assert_eq!(pushed(&bench, fec(1)), None);
    bench.hello(1, 2);
    set(&mut bench, Neighbors::default());
    bench.hello(1, 2);
    assert!(bench.speaker.neighbors(bench.now).is_empty(), "a new configuration does not open it");
    assert_eq!(bench.speaker.shut().collect::<Vec<_>>(), [peer(2).lsr_id]);
    bench.call(shut(false));
    bench.clear();
    bench.session(2, None);
}

#[test]
fn labels_of_fecs_that_are_not_accepted_are_kept_and_not_used() {
    let policy = |accept| NeighborPolicy { accept, ..NeighborPolicy::default() };
    let mut bench = Bench::new(|config| config.neighbors = neighbors(2, policy(within(&[1])), None));
    for n in [1, 2] {
        bench.route(n, &[(1, 2)]);
    }
    let conn = bench.session(2, None);
    bench.say(conn, 2, &[mapping(fec(1), label(501)), mapping(fec(2), label(502))]);
    assert_eq!([1, 2].map(|n| pushed(&bench, fec(n))), [Some(501), None]);
    set(&mut bench, neighbors(2, policy(within(&[2])), None));
    assert_eq!([1, 2].map(|n| pushed(&bench, fec(n))), [None, Some(502)]);
    set(&mut bench, neighbors(2, policy(FecFilter::All), None));
    assert_eq!([1, 2].map(|n| pushed(&bench, fec(n))), [Some(501), Some(502)]);
    assert!(operational(&bench, 2));
}

#[test]
fn labels_of_fecs_that_are_not_advertised_are_not_told_and_withdrawn() {
    let policy = |advertise| NeighborPolicy { advertise, ..NeighborPolicy::default() };
    let mut bench = Bench::new(|config| config.neighbors = neighbors(2, policy(within(&[1])), None));
    for n in [1, 2] {
        bench.call(|speaker, now| speaker.handle_egress(now, fec(n), true));
    }
    let conn = bench.session(2, None);
    let mapped = |bodies: Vec<Body>| -> Vec<Fec> {
        let fecs = bodies.into_iter().filter_map(|body| match body {
            Body::LabelMapping(mapping) => mapping.fecs.prefixes().first().copied().map(Fec),
            _ => None,
        });
        fecs.collect()
    };
    assert_eq!(mapped(bench.bodies(conn)), [fec(1)]);
    set(&mut bench, neighbors(2, policy(within(&[2])), None));
    let said = bench.bodies(conn);
    let withdrawn = said
        .iter()
        .any(|body| matches!(body, Body::LabelWithdraw(withdraw) if withdraw.fec == fec(1).0.into()));
    assert!(withdrawn, "{said:?}");
    assert_eq!(mapped(said), [fec(2)]);
}

#[test]
fn more_bindings_than_are_kept_are_given_back_and_said_once() {
    let policy = NeighborPolicy { max_bindings: Some(2), ..NeighborPolicy::default() };
    let mut bench = Bench::new(|config| config.neighbors = neighbors(2, policy, None));
    let conn = bench.session(2, None);
    bench.bodies(conn);
    bench.say(conn, 2, &[1, 2, 3, 4].map(|n| mapping(fec(n), label(500 + u32::from(n)))));
    let said = bench.bodies(conn);
    for n in [3, 4] {
        let back =
            LabelRelease { fec: fec(n).0.into(), label: Some(label(500 + u32::from(n))), status: None };
        assert!(said.contains(&Body::LabelRelease(back)), "{said:?}");
    }
    let told = bench.events.iter().filter(|event| matches!(event, Event::TooManyBindings { .. })).count();
    assert_eq!(told, 1);
    let known = bench.speaker.neighbors(bench.now);
    assert!(known[0].at_limit && known[0].received == 2 && operational(&bench, 2));
}

#[test]
fn connections_are_signed_before_any_is_taken() {
    let [first, second] = [b"first", &b"other"[..]].map(Password::new);
    let policy = |password: &Option<Password>| {
        let password = password.clone();
        neighbors(2, NeighborPolicy { password, ..NeighborPolicy::default() }, None)
    };
    let sign = |remote, password: &Option<Password>| Action::Sign { remote, password: password.clone() };
    let mut bench = Bench::new(|config| config.neighbors = policy(&first));
    // It connects before its Hello: nobody knew then that it is to be signed.
    let early = bench.accept(2);
    bench.hello(1, 2);
    assert!(bench.closed(early));
    assert!(bench.actions.contains(&sign(peer(2).lsr_id.into(), &first)));
    bench.now = bench.now + Duration::from_millis(1);
    bench.session(2, None);
    for password in [&second, &None] {
        bench.clear();
        set(&mut bench, policy(password));
        assert_eq!(down(&bench, 2), SHUTDOWN, "what was signed otherwise ends");
        assert!(bench.actions.contains(&sign(peer(2).lsr_id.into(), password)));
        bench.now = bench.now + Duration::from_millis(1);
        bench.session(2, None);
    }
    set(&mut bench, policy(&first));
    bench.clear();
    // Its transport address changes.
    bench.hello_with(1, 2, Hello { transport_address: Some(address(1, 2)), ..hello(None) });
    assert!(bench.actions.contains(&sign(peer(2).lsr_id.into(), &None)));
    assert!(bench.actions.contains(&sign(address(1, 2).into(), &first)));
}

#[test]
fn a_password_is_short_and_not_shown() {
    assert_eq!(Password::new(b""), None);
    assert_eq!(Password::new(&[b'x'; 81]), None);
    let password = Password::new(&[b'x'; 80]).unwrap();
    assert!(!format!("{password:?}").contains('x'));
}

#[test]
fn whether_packets_through_routers_are_refused_is_negotiated_unless_said() {
    for (gtsm, theirs, required) in [
        (Gtsm::Negotiated, true, true),
        (Gtsm::Negotiated, false, false),
        (Gtsm::Required, false, true),
        (Gtsm::Off, true, false),
    ] {
        let policy = NeighborPolicy { gtsm, ..NeighborPolicy::default() };
        let mut bench = Bench::new(|config| config.neighbors = neighbors(2, policy, None));
        bench.hello_with(1, 2, Hello { gtsm: theirs, ..hello(Some(peer(2).lsr_id)) });
        let conn: ConnId = bench.accept(2);
        bench.say(conn, 2, &[initialization(None), Body::KeepAlive]);
        assert!(LOCAL.lsr_id < peer(2).lsr_id, "the peer connects");
        assert_eq!(bench.actions.contains(&Action::RequireGtsm { conn }), required, "{gtsm:?} {theirs}");
    }
}
