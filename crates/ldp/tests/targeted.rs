//! Extended discovery (RFC 5036 §2.4.2) and session protection: who is heard by targeted Hellos, and what they hold.

mod bench;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bench::{Bench, address, fec, hello, initialization, label, mapping, octets, peer};
use contract::Tick;
use ldp::{
    Action, ConnId, DownReason, Event, Gtsm, InterfaceId, LdpId, NeighborPolicy, Neighbors, Proposals,
    Protection, Speaker, StatusCode, Targeted, Via,
};
use wire::ldp::{
    Addresses, Body, FtSession, Hello, HoldTime, Incoming, LabelRelease, Message, Milliseconds, Pdu,
};

const LINK: Via = Via::Link(InterfaceId(1));
const LOST: DownReason = DownReason::Local(StatusCode::HOLD_TIMER_EXPIRED);

fn lsr(n: u8) -> Ipv4Addr {
    peer(n).lsr_id
}

/// Only this neighbor is named; others are treated as ever.
fn named(n: u8, policy: NeighborPolicy) -> Neighbors {
    Neighbors { named: BTreeMap::from([(lsr(n), policy)]), ..Neighbors::default() }
}

fn targeted(targeted: Targeted) -> NeighborPolicy {
    NeighborPolicy { targeted, ..NeighborPolicy::default() }
}

fn protected(protection: Protection) -> NeighborPolicy {
    NeighborPolicy { protection, ..NeighborPolicy::default() }
}

/// With this policy for neighbor 2.
fn bench(policy: NeighborPolicy) -> Bench {
    let mut bench = Bench::new(|config| config.neighbors = named(2, policy));
    bench.call(Speaker::handle_timeout);
    bench
}

fn set(bench: &mut Bench, policy: NeighborPolicy) {
    bench.call(|speaker, now| speaker.handle_neighbors(now, named(2, policy)));
}

fn targeted_hello(n: u8, asks: bool) -> Hello {
    Hello { targeted: true, request_targeted: asks, hold: HoldTime(45), ..hello(Some(lsr(n))) }
}

fn hear_from(bench: &mut Bench, n: u8, source: Ipv4Addr, hello: Hello) {
    let octets = octets(peer(n), &[Body::Hello(hello)]);
    let source = SocketAddr::from((source, 646));
    bench.call(|speaker, now| speaker.handle_targeted_datagram(now, source, &octets));
}

fn hear(bench: &mut Bench, n: u8, asks: bool) {
    hear_from(bench, n, lsr(n), targeted_hello(n, asks));
}

/// Lets time pass a second at a time, with targeted Hellos of neighbor 2, and link Hellos on an interface if any.
fn pass(bench: &mut Bench, seconds: u64, by_target: bool, interface: Option<u32>) {
    for _ in 0..seconds {
        bench.now = bench.now + Duration::from_secs(1);
        if by_target {
            hear(bench, 2, true);
        }
        if let Some(interface) = interface {
            bench.hello(interface, 2);
        }
        bench.call(Speaker::handle_timeout);
    }
}

/// The targeted Hellos that were sent: where, and whether they asked for others. Takes them.
fn sent(bench: &mut Bench) -> Vec<(Ipv4Addr, bool)> {
    let some = bench.actions.iter().filter_map(|action| match action {
        Action::SendTargetedHello { to: IpAddr::V4(to), octets } => Some((*to, said(octets))),
        _ => None,
    });
    let some: Vec<_> = some
        .map(|(to, hello)| {
            assert!(hello.targeted && !hello.gtsm && hello.hold == HoldTime(45));
            (to, hello.request_targeted)
        })
        .collect();
    bench.actions.retain(|action| !matches!(action, Action::SendTargetedHello { .. }));
    some
}

fn said(octets: &[u8]) -> Hello {
    let pdu = Pdu::from_datagram(octets).unwrap();
    match pdu.messages().next().unwrap().unwrap() {
        Incoming::Message(Message { body: Body::Hello(hello), .. }) => hello,
        other => panic!("{other:?}"),
    }
}

fn vias(bench: &Bench, n: u8) -> Vec<Via> {
    let all = bench.speaker.neighbors(bench.now);
    let known = all.iter().find(|known| known.peer == peer(n));
    known.map(|known| known.adjacencies.iter().map(|adjacency| adjacency.via).collect()).unwrap_or_default()
}

fn operational(bench: &Bench) -> bool {
    bench.speaker.neighbors(bench.now).iter().any(|known| known.peer == peer(2) && known.up_for.is_some())
}

fn down(bench: &Bench) -> Option<DownReason> {
    bench.events.iter().find_map(|event| match event {
        Event::SessionDown { peer: id, reason, .. } if *id == peer(2) => Some(*reason),
        _ => None,
    })
}

/// The label that packets of a FEC get, as last told.
fn pushed(bench: &Bench, n: u8) -> Option<u32> {
    let told = bench.events.iter().rev().find_map(|event| match event {
        Event::Fec(state) if state.fec == fec(n) => {
            Some(state.next_hops.first().map(|hop| hop.label.value()))
        }
        _ => None,
    });
    told.flatten()
}

/// A session with neighbor 2, which is heard already.
fn open(bench: &mut Bench, ft: Option<FtSession>) -> ConnId {
    let conn = bench.accept(2);
    bench.say(conn, 2, &[initialization(ft), Body::KeepAlive]);
    bench.say(conn, 2, &[Body::Address(Addresses::V4(vec![address(1, 2), address(2, 2)]))]);
    assert!(operational(bench));
    conn
}

#[test]
fn who_is_not_on_the_list_is_not_answered_and_said_once_a_minute() {
    let mut bench = bench(targeted(Targeted::Answer(lsr(2).into())));
    let elsewhere = Ipv4Addr::new(10, 9, 9, 9);
    let wrong: [(u8, Ipv4Addr, Hello); 3] = [
        (3, lsr(3), targeted_hello(3, true)),
        (2, elsewhere, targeted_hello(2, true)),
        (2, lsr(2), Hello { transport_address: Some(elsewhere), ..targeted_hello(2, true) }),
    ];
    for (n, source, hello) in wrong.clone() {
        hear_from(&mut bench, n, source, hello);
    }
    assert_eq!(bench.events, [Event::UnwantedTargeted { peer: peer(3), source: lsr(3).into() }]);
    let counters = bench.speaker.counters();
    assert_eq!((counters.hellos_unwanted, counters.hellos_ignored, counters.hellos_received), (3, 3, 0));
    assert!(bench.speaker.neighbors(bench.now).is_empty() && sent(&mut bench).is_empty());
    bench.now = bench.now + Duration::from_secs(60);
    bench.clear();
    let [_, (n, source, hello), _] = wrong;
    hear_from(&mut bench, n, source, hello);
    assert_eq!(bench.events, [Event::UnwantedTargeted { peer: peer(2), source: elsewhere.into() }]);
}

/// What each policy does with a Hello that asks for ours or does not (the R bit), and what ours say.
#[test]
fn both_ends_r_bits() {
    let (on, answer, off) = (Targeted::On(lsr(2).into()), Targeted::Answer(lsr(2).into()), Targeted::Off);
    let rows = [
        (off, false, vec![], vec![]),
        (off, true, vec![], vec![]),
        (answer, false, vec![], vec![]),
        (answer, true, vec![Via::Targeted], vec![(lsr(2), false)]),
        (on, false, vec![Via::Targeted], vec![(lsr(2), true)]),
        (on, true, vec![Via::Targeted], vec![(lsr(2), true)]),
    ];
    for (policy, asks, heard, said) in rows {
        let mut bench = bench(targeted(policy));
        let unasked = if policy == on { said.clone() } else { vec![] };
        assert_eq!(sent(&mut bench), unasked, "{policy:?}, before");
        bench.now = bench.now + Duration::from_secs(1);
        hear(&mut bench, 2, asks);
        assert_eq!(vias(&bench, 2), heard, "{policy:?}, asks: {asks}");
        assert_eq!(sent(&mut bench), said, "{policy:?}, asks: {asks}");
    }
}

#[test]
fn who_asks_no_more_is_answered_no_more() {
    let mut bench = bench(targeted(Targeted::Answer(lsr(2).into())));
    hear(&mut bench, 2, true);
    open(&mut bench, None);
    bench.clear();
    hear(&mut bench, 2, false);
    assert_eq!(down(&bench), Some(LOST));
    pass(&mut bench, 60, false, None);
    assert!(sent(&mut bench).is_empty() && bench.speaker.neighbors(bench.now).is_empty());
    assert_eq!(bench.speaker.counters().hellos_unwanted, 0, "it may send them");
}

/// Another LSR has its transport address: whichever came second is not met, and gets nothing.
#[test]
fn who_contradicts_a_neighbor_is_not_answered() {
    let mut bench = bench(targeted(Targeted::Answer(lsr(2).into())));
    bench.hello_with(1, 3, hello(Some(lsr(2))));
    hear(&mut bench, 2, true);
    pass(&mut bench, 10, false, None);
    assert!(sent(&mut bench).is_empty() && vias(&bench, 2).is_empty());
}

#[test]
fn a_hello_passes_for_one_kind_only() {
    let mut bench = bench(targeted(Targeted::On(lsr(2).into())));
    bench.hello_with(1, 2, targeted_hello(2, true));
    hear_from(&mut bench, 2, lsr(2), hello(Some(lsr(2))));
    assert!(bench.speaker.neighbors(bench.now).is_empty());
    assert_eq!(bench.speaker.counters().hellos_ignored, 2);
}

#[test]
fn targeted_hellos_hold_as_long_as_agreed_and_go_three_times_in_it() {
    for (theirs, agreed) in [(0, 45), (30, 30), (90, 45), (0xffff, 45)] {
        let mut bench = bench(targeted(Targeted::On(lsr(2).into())));
        hear_from(&mut bench, 2, lsr(2), Hello { hold: HoldTime(theirs), ..targeted_hello(2, true) });
        // The answer to the first one.
        bench.pass(Duration::from_secs(1), &[]);
        sent(&mut bench);
        bench.pass(Duration::from_secs(agreed) - Duration::from_secs(2), &[]);
        assert_eq!(vias(&bench, 2), [Via::Targeted], "{theirs}");
        assert_eq!(sent(&mut bench).len(), 2, "{theirs}");
        bench.pass(Duration::from_secs(1), &[]);
        assert!(vias(&bench, 2).is_empty(), "{theirs}");
        assert!(bench.events.contains(&Event::AdjacencyDown { via: Via::Targeted, peer: peer(2) }));
    }
}

#[test]
fn another_hold_time_is_told_at_once() {
    let mut bench = bench(targeted(Targeted::On(lsr(2).into())));
    hear(&mut bench, 2, true);
    pass(&mut bench, 1, false, None);
    bench.clear();
    let seconds = Duration::from_secs;
    bench.call(|speaker, now| {
        let proposals = speaker.config().proposals();
        speaker.handle_proposals(now, Proposals { targeted_hello_hold: seconds(20), ..proposals })
    });
    let hellos = bench.actions.iter().filter_map(|action| match action {
        Action::SendTargetedHello { octets, .. } => Some(said(octets).hold),
        _ => None,
    });
    assert_eq!(hellos.collect::<Vec<_>>(), [HoldTime(20)]);
}

/// Link and targeted adjacency hold one session; the last takes it with it.
#[test]
fn several_adjacencies_hold_one_session() {
    for by_link in [true, false] {
        let mut bench = bench(targeted(Targeted::On(lsr(2).into())));
        hear(&mut bench, 2, true);
        bench.hello(1, 2);
        assert_eq!(vias(&bench, 2), [LINK, Via::Targeted]);
        let conn = open(&mut bench, None);
        for seconds in 0..100 {
            bench.say(conn, 2, &[Body::KeepAlive]);
            pass(&mut bench, 1, !by_link, by_link.then_some(1));
            assert!(operational(&bench), "after {seconds} s of silence on one of two");
        }
        assert_eq!(vias(&bench, 2).len(), 1);
        bench.say(conn, 2, &[Body::KeepAlive]);
        for _ in 0..50 {
            bench.say(conn, 2, &[Body::KeepAlive]);
            pass(&mut bench, 1, false, None);
        }
        assert_eq!(down(&bench), Some(LOST));
    }
}

/// Liberal retention keeps what a targeted neighbor binds, and no packet goes by it: the next hop's address may well be
/// its own, but it is not heard there.
#[test]
fn labels_of_who_is_heard_on_no_link_carry_nothing() {
    let mut bench = bench(targeted(Targeted::On(lsr(2).into())));
    bench.route(1, &[(1, 2)]);
    hear(&mut bench, 2, true);
    let conn = open(&mut bench, None);
    bench.say(conn, 2, &[mapping(fec(1), label(500))]);
    assert_eq!(bench.speaker.neighbors(bench.now)[0].received, 1);
    assert_eq!(pushed(&bench, 1), None);
    bench.hello(2, 2);
    assert_eq!(pushed(&bench, 1), None, "it is heard on another link");
    bench.hello(1, 2);
    assert_eq!(pushed(&bench, 1), Some(500));
    pass(&mut bench, 15, true, Some(2));
    assert_eq!(pushed(&bench, 1), None);
    assert_eq!(bench.speaker.neighbors(bench.now)[0].received, 1);
}

/// With a session with neighbor 2 over link 1, which is protected, and a label for FEC 1.
fn protected_bench(protection: Protection, ft: Option<FtSession>) -> (Bench, ConnId) {
    let mut bench = bench(protected(protection));
    bench.route(1, &[(1, 2)]);
    assert!(sent(&mut bench).is_empty(), "it is not known yet");
    bench.hello(1, 2);
    assert_eq!(sent(&mut bench), [(lsr(2), true)]);
    hear(&mut bench, 2, true);
    let conn = open(&mut bench, ft);
    bench.say(conn, 2, &[mapping(fec(1), label(500))]);
    assert_eq!(pushed(&bench, 1), Some(500));
    bench.clear();
    (bench, conn)
}

fn link_down(bench: &mut Bench) {
    bench.call(|speaker, now| speaker.handle_interface_down(now, InterfaceId(1)));
    bench.call(|speaker, now| speaker.handle_route(now, bench::prefix(1), &[]));
}

fn link_up(bench: &mut Bench) {
    bench.call(|speaker, now| {
        speaker.handle_interface_up(now, InterfaceId(1), "bb1", &[address(1, 100).into()]);
    });
}

#[test]
fn a_protected_neighbor_keeps_its_session_and_its_labels_without_a_link() {
    let (mut bench, conn) = protected_bench(Protection::Forever, None);
    link_down(&mut bench);
    assert!(bench.events.contains(&Event::Protected { peer: peer(2) }));
    assert_eq!(pushed(&bench, 1), None);
    for _ in 0..3600 {
        bench.say(conn, 2, &[Body::KeepAlive]);
        pass(&mut bench, 1, true, None);
    }
    assert!(operational(&bench) && down(&bench).is_none());
    assert_eq!(vias(&bench, 2), [Via::Targeted]);
    // Routed by an interface where the neighbor is not heard: its label is there, and not for this.
    bench.route(1, &[(2, 2)]);
    assert_eq!(pushed(&bench, 1), None);
    bench.clear();
    link_up(&mut bench);
    bench.hello(1, 2);
    bench.route(1, &[(1, 2)]);
    assert_eq!(pushed(&bench, 1), Some(500), "in the same step as the route");
    assert!(!bench.events.iter().any(|event| matches!(event, Event::SessionUp { .. })));
    assert!(!bench.said(conn).iter().any(|message| matches!(message.body, Body::Initialization(_))));
}

#[test]
fn protection_lasts_as_long_as_it_is_to() {
    let (mut bench, conn) = protected_bench(Protection::For(Duration::from_secs(100)), None);
    let without_link = |bench: &mut Bench, seconds: u64| {
        for _ in 0..seconds {
            bench.say(conn, 2, &[Body::KeepAlive]);
            pass(bench, 1, true, None);
        }
    };
    link_down(&mut bench);
    without_link(&mut bench, 60);
    // A link in between: its time begins anew.
    link_up(&mut bench);
    bench.hello(1, 2);
    link_down(&mut bench);
    without_link(&mut bench, 99);
    assert!(operational(&bench));
    without_link(&mut bench, 1);
    assert_eq!(down(&bench), Some(LOST));
    bench.clear();
    without_link(&mut bench, 60);
    assert!(sent(&mut bench).is_empty() && bench.speaker.neighbors(bench.now).is_empty());
    assert!(bench.speaker.counters().hellos_unwanted > 0, "it is no neighbor without a link now");
}

#[test]
fn protection_ends_with_the_targeted_hellos() {
    let (mut bench, conn) = protected_bench(Protection::Forever, None);
    link_down(&mut bench);
    for _ in 0..45 {
        bench.say(conn, 2, &[Body::KeepAlive]);
        pass(&mut bench, 1, false, None);
    }
    assert_eq!(down(&bench), Some(LOST));
    bench.clear();
    pass(&mut bench, 60, false, None);
    assert!(sent(&mut bench).is_empty());
}

/// Without an answer by the time that the link is lost there is nothing to hold the session.
#[test]
fn who_does_not_answer_is_not_protected() {
    let mut bench = bench(protected(Protection::Forever));
    bench.session(2, None);
    bench.clear();
    link_down(&mut bench);
    assert_eq!(down(&bench), Some(LOST));
    assert!(!bench.events.contains(&Event::Protected { peer: peer(2) }));
    pass(&mut bench, 60, false, None);
    assert!(sent(&mut bench).is_empty());
}

/// A protected session that breaks while there is no link comes back over the targeted adjacency; what its peer told is not
/// kept meanwhile (RFC 3478), since no packets go there.
#[test]
fn a_protected_session_comes_back_without_a_link() {
    let ft = FtSession {
        flags: FtSession::LEARN_FROM_NETWORK,
        reconnect: Milliseconds(60_000),
        recovery: Milliseconds(60_000),
    };
    let (mut bench, conn) = protected_bench(Protection::Forever, Some(ft));
    link_down(&mut bench);
    bench.call(|speaker, now| speaker.handle_closed(now, conn));
    assert!(bench.events.iter().any(|event| matches!(event, Event::SessionDown { kept: false, .. })));
    link_up(&mut bench);
    bench.route(1, &[(1, 2)]);
    assert_eq!(pushed(&bench, 1), None);
    bench.now = bench.now + Duration::from_nanos(1);
    let conn = open(&mut bench, Some(ft));
    bench.say(conn, 2, &[mapping(fec(1), label(501))]);
    bench.hello(1, 2);
    assert_eq!(pushed(&bench, 1), Some(501));
    // Its control restarts, and the link with it: it is heard on none for too long.
    bench.call(|speaker, now| speaker.handle_closed(now, conn));
    assert_eq!(pushed(&bench, 1), Some(501), "kept for the restart");
    pass(&mut bench, 15, true, None);
    assert_eq!(pushed(&bench, 1), None);
}

/// What a lost link's peer does with labels of ours and we with its goes on.
#[test]
fn messages_are_exchanged_without_a_link() {
    let (mut bench, conn) = protected_bench(Protection::Forever, None);
    link_down(&mut bench);
    bench.said(conn);
    bench.call(|speaker, now| speaker.handle_egress(now, fec(2), true));
    assert!(bench.bodies(conn).iter().any(|body| matches!(body, Body::LabelMapping(_))));
    let withdraw = wire::ldp::LabelWithdraw { fec: fec(1).0.into(), label: Some(label(500)) };
    bench.say(conn, 2, &[Body::LabelWithdraw(withdraw)]);
    let release = LabelRelease { fec: fec(1).0.into(), label: Some(label(500)), status: None };
    assert!(bench.bodies(conn).contains(&Body::LabelRelease(release)));
}

#[test]
fn policies_change_while_it_runs() {
    let mut bench = bench(NeighborPolicy::default());
    assert!(sent(&mut bench).is_empty());
    set(&mut bench, targeted(Targeted::On(lsr(2).into())));
    assert_eq!(sent(&mut bench), [(lsr(2), true)]);
    hear(&mut bench, 2, true);
    open(&mut bench, None);
    bench.clear();
    set(&mut bench, NeighborPolicy::default());
    assert_eq!(down(&bench), Some(LOST));
    assert!(bench.speaker.neighbors(bench.now).is_empty());
    pass(&mut bench, 60, false, None);
    assert!(sent(&mut bench).is_empty());
    // Protection is taken from who needs it.
    let (mut bench, _) = protected_bench(Protection::Forever, None);
    link_down(&mut bench);
    assert!(operational(&bench));
    set(&mut bench, NeighborPolicy::default());
    assert_eq!(down(&bench), Some(LOST));
}

#[test]
fn who_is_shut_gets_no_targeted_hellos_until_it_is_opened() {
    let mut bench = bench(targeted(Targeted::On(lsr(2).into())));
    let shut = |shut| move |speaker: &mut Speaker, now| speaker.handle_shut(now, lsr(2), shut);
    bench.call(shut(true));
    sent(&mut bench);
    pass(&mut bench, 60, true, None);
    assert!(sent(&mut bench).is_empty() && bench.speaker.neighbors(bench.now).is_empty());
    bench.call(shut(false));
    assert_eq!(sent(&mut bench), [(lsr(2), true)]);
}

/// Whose packets may come through a router is not asked for TTL 255, and nobody is told that we ask (RFC 6720 §2.1).
#[test]
fn gtsm_is_not_negotiated_with_who_may_be_remote() {
    let ask = || Hello { gtsm: true, ..hello(Some(lsr(2))) };
    let asks = |bench: &Bench| {
        let hellos = bench.actions.iter().filter_map(|action| match action {
            Action::SendHello { octets, .. } => Some(said(octets).gtsm),
            _ => None,
        });
        hellos.collect::<Vec<bool>>()
    };
    let required = |bench: &Bench, conn| bench.actions.contains(&Action::RequireGtsm { conn });
    let near = NeighborPolicy::default;
    let remote = [targeted(Targeted::Answer(lsr(2).into())), protected(Protection::Forever)];
    for (policy, is_near) in [(near(), true), (remote[0].clone(), false), (remote[1].clone(), false)] {
        let mut bench = bench(policy);
        assert_eq!(asks(&bench), [is_near; 2]);
        bench.hello_with(1, 2, ask());
        hear_from(&mut bench, 2, lsr(2), Hello { gtsm: true, ..targeted_hello(2, true) });
        let conn = open(&mut bench, None);
        assert_eq!(required(&bench, conn), is_near);
    }
    for (gtsm, waived) in [(Gtsm::Negotiated, true), (Gtsm::Required, false)] {
        let mut bench = bench(NeighborPolicy { gtsm, ..near() });
        bench.hello_with(1, 2, ask());
        let conn = open(&mut bench, None);
        assert!(required(&bench, conn));
        set(&mut bench, NeighborPolicy { gtsm, ..remote[1].clone() });
        assert_eq!(bench.actions.contains(&Action::WaiveGtsm { conn }), waived);
        assert!(operational(&bench), "a session goes on when it is protected from now on");
    }
}

/// Ten thousand LSR-ids a second, on a link and by targeted Hellos: what is kept of them is bounded, nothing is said to
/// those that are not wanted, and those that were there, that are named, or are on another link lose nothing.
#[test]
fn a_flood_of_hellos_keeps_nobody_away() {
    let mut bench = bench(targeted(Targeted::Answer(lsr(2).into())));
    bench.hello(1, 7);
    bench.hello(2, 8);
    let (mut actions, mut most) = (0, 0);
    for second in 0..20_u32 {
        bench.now = Tick(0) + Duration::from_secs(u64::from(second));
        for n in 0..10_000_u32 {
            let id = LdpId::platform(Ipv4Addr::from(0x0b00_0000 + second * 10_000 + n));
            let source = SocketAddr::from((id.lsr_id, 646));
            let link = octets(id, &[Body::Hello(hello(Some(id.lsr_id)))]);
            bench.speaker.handle_datagram(bench.now, InterfaceId(1), source, &link);
            let to_us = Hello { transport_address: Some(id.lsr_id), ..targeted_hello(2, true) };
            let to_us = octets(id, &[Body::Hello(to_us)]);
            bench.speaker.handle_targeted_datagram(bench.now, source, &to_us);
        }
        bench.call(Speaker::handle_timeout);
        actions += std::mem::take(&mut bench.actions).len();
        if second == 3 {
            // Named, and from elsewhere.
            bench.hello(1, 2);
            hear(&mut bench, 2, true);
            bench.hello(2, 9);
            assert_eq!(vias(&bench, 2), [LINK, Via::Targeted]);
        }
        if second % 5 == 4 {
            for (interface, n) in [(1, 7), (2, 8), (2, 9), (1, 2)] {
                bench.hello(interface, n);
            }
            hear(&mut bench, 2, true);
        }
        most = most.max(bench.speaker.neighbors(bench.now).len());
    }
    for (n, via) in [(7, LINK), (8, Via::Link(InterfaceId(2))), (9, Via::Link(InterfaceId(2))), (2, LINK)] {
        assert!(vias(&bench, n).contains(&via), "{n}");
        let lost = Event::AdjacencyDown { via, peer: peer(n) };
        assert!(!bench.events.contains(&lost), "{n}");
    }
    assert!(most <= 256 + 3, "{most} neighbors are known");
    // One Hello on each link in five seconds, at most five a second on one with new neighbors.
    assert!(actions < 20 * 5 + 20, "{actions} actions");
    assert_eq!(bench.speaker.counters().hellos_unwanted, 200_000);
}
