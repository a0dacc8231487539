//! What two speakers say they can do beyond RFC 5036, and what follows from it (RFC 5561, 5918, 5919).

mod bench;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use bench::{Bench, LOCAL, address, fec, label, mapping, peer};
use contract::Fec;
use ldp::{AddressFamily, Capabilities, Capability, ConnId, Installation, InterfaceId, Speaker, StatusCode};
use wire::ldp::{
    Addresses, Body, CapabilityChange, FecTlv, FtSession, Initialization, KeepaliveTime, LabelMapping,
    LabelRelease, LabelRequest, LabelWithdraw, MessageId, MessageType, Milliseconds, Notification, RawTlv,
    RequestFec, Status,
};

use Capability::{DynamicAnnouncement, TypedWildcardFec, UnrecognizedNotification};

fn initialization(capabilities: &[Capability]) -> Initialization {
    Initialization {
        capabilities: capabilities.iter().copied().collect(),
        ..Initialization::new(KeepaliveTime(NonZeroU16::new(30).unwrap()), LOCAL)
    }
}

/// A session that is up, its peer's address told; what was said on it is to be taken.
fn session(bench: &mut Bench, n: u8, initialization: Initialization) -> ConnId {
    bench.hello(1, n);
    let conn = bench.accept(n);
    let addresses = Body::Address(Addresses::V4(vec![address(1, n), address(2, n)]));
    bench.say(conn, n, &[Body::Initialization(initialization), Body::KeepAlive, addresses]);
    conn
}

fn shown(bench: &Bench, n: u8) -> Capabilities {
    let neighbors = bench.speaker.neighbors(bench.now);
    let neighbor = neighbors.iter().find(|neighbor| neighbor.peer == peer(n)).unwrap();
    neighbor.capabilities.clone().expect("a session that is up")
}

fn set(capabilities: &[Capability]) -> BTreeSet<Capability> {
    capabilities.iter().copied().collect()
}

fn change(changes: &[(Capability, bool)]) -> Body {
    Body::Capability(CapabilityChange {
        changes: changes.iter().copied().collect(),
        ..CapabilityChange::default()
    })
}

fn about(code: StatusCode, id: u32, kind: MessageType) -> Notification {
    Notification::new(Status { message: Some((MessageId(id), kind)), ..Status::new(code) })
}

fn end_of_lib() -> Body {
    Body::Notification(Notification::end_of_lib(AddressFamily::Ipv4))
}

fn malformed(bench: &Bench) -> u64 {
    bench.speaker.neighbors(bench.now)[0].counters.malformed
}

#[test]
fn what_is_announced_and_heard_is_shown() {
    let mut bench = Bench::new(|_| {});
    let conn = session(&mut bench, 2, initialization(&[TypedWildcardFec]));
    let said = bench.bodies(conn);
    let all = set(&Capability::ALL);
    assert!(matches!(&said[0], Body::Initialization(ours) if ours.capabilities == all), "{said:?}");
    let capabilities = shown(&bench, 2);
    assert_eq!((capabilities.local, capabilities.peer), (all, set(&[TypedWildcardFec])));
    assert!(!capabilities.end_of_lib_sent, "it does not take it");
}

#[test]
fn a_peer_changes_its_capabilities_while_the_session_is_up() {
    let mut bench = Bench::new(|_| {});
    let conn = session(&mut bench, 2, initialization(&[DynamicAnnouncement]));
    bench.clear();
    bench.say(conn, 2, &[change(&[(TypedWildcardFec, true), (UnrecognizedNotification, true)])]);
    assert_eq!(shown(&bench, 2).peer, set(&Capability::ALL));
    assert_eq!(bench.bodies(conn), [end_of_lib()], "it takes it now");
    // RFC 5561 §9: that of changes itself is none.
    bench.say(conn, 2, &[change(&[(DynamicAnnouncement, false), (TypedWildcardFec, false)])]);
    assert_eq!(shown(&bench, 2).peer, set(&[DynamicAnnouncement, UnrecognizedNotification]));
    assert_eq!(bench.speaker.neighbors(bench.now)[0].counters.received.capability, 2);
}

#[test]
fn ours_change_at_once_where_that_is_taken_and_else_in_the_next_session() {
    let mut bench = Bench::new(|_| {});
    let dynamic = session(&mut bench, 2, initialization(&[DynamicAnnouncement]));
    let fixed = session(&mut bench, 3, initialization(&[]));
    bench.clear();
    let fewer = set(&[DynamicAnnouncement, UnrecognizedNotification]);
    bench.call(|speaker, now| speaker.handle_capabilities(now, set(&[UnrecognizedNotification])));
    assert_eq!(bench.bodies(dynamic), [change(&[(TypedWildcardFec, false)])]);
    assert_eq!(bench.bodies(fixed), []);
    assert_eq!((shown(&bench, 2).local, shown(&bench, 3).local), (fewer, set(&Capability::ALL)));
    bench.call(|speaker, now| speaker.handle_closed(now, fixed));
    let again = session(&mut bench, 3, initialization(&[]));
    let said = bench.bodies(again);
    assert!(
        matches!(&said[0], Body::Initialization(i) if i.capabilities == set(&[UnrecognizedNotification])),
        "{said:?}"
    );
}

#[test]
fn changes_are_not_known_to_who_does_not_announce_them() {
    let mut bench = Bench::new(|config| config.capabilities = set(&[TypedWildcardFec]));
    let conn = session(&mut bench, 2, initialization(&Capability::ALL));
    bench.clear();
    bench.say(conn, 2, &[change(&[(TypedWildcardFec, false)])]);
    let answer = about(StatusCode::UNKNOWN_MESSAGE_TYPE, 100, MessageType::CAPABILITY);
    assert_eq!(bench.bodies(conn), [Body::Notification(answer)]);
    assert_eq!((malformed(&bench), shown(&bench, 2).peer), (1, set(&Capability::ALL)));
}

/// RFC 5561 §8.
#[test]
fn what_must_be_understood_and_is_not_is_sent_back() {
    let mut bench = Bench::new(|_| {});
    let upstream_assignment = RawTlv { word: 0x0507, value: vec![0x80] };
    let theirs = Initialization {
        unsupported: vec![upstream_assignment.clone()],
        ..initialization(&[DynamicAnnouncement, TypedWildcardFec])
    };
    let conn = session(&mut bench, 2, theirs);
    let answer = |id, kind| {
        Body::Notification(Notification {
            returned_tlvs: vec![upstream_assignment.clone()],
            ..about(StatusCode::UNSUPPORTED_CAPABILITY, id, kind)
        })
    };
    let said = bench.bodies(conn);
    // After the messages that the peer waits for.
    assert!(matches!(&said[..2], [Body::Initialization(_), Body::KeepAlive]), "{said:?}");
    assert_eq!(said[2], answer(100, MessageType::INITIALIZATION));
    assert_eq!(shown(&bench, 2).peer, set(&[DynamicAnnouncement, TypedWildcardFec]), "the others hold");
    bench.clear();
    let later = CapabilityChange {
        changes: [(TypedWildcardFec, false)].into(),
        unsupported: vec![upstream_assignment.clone()],
        ..CapabilityChange::default()
    };
    bench.say(conn, 2, &[Body::Capability(later)]);
    assert_eq!(bench.bodies(conn), [answer(100, MessageType::CAPABILITY)]);
    assert_eq!((malformed(&bench), shown(&bench, 2).peer), (2, set(&[DynamicAnnouncement])));
}

#[test]
fn what_the_peer_does_not_know_of_ours_is_shown() {
    let mut bench = Bench::new(|_| {});
    let conn = session(&mut bench, 2, initialization(&[]));
    bench.clear();
    let returned = Notification {
        returned_tlvs: vec![
            RawTlv { word: 0x0506, value: vec![0x80] },
            RawTlv { word: 0x3e00, value: vec![] },
        ],
        ..about(StatusCode::UNSUPPORTED_CAPABILITY, 1, MessageType::INITIALIZATION)
    };
    bench.say(conn, 2, &[Body::Notification(returned)]);
    assert_eq!(shown(&bench, 2).unsupported, set(&[DynamicAnnouncement]));
    // A notification of a kind that nobody knows is passed over, as announced.
    let unheard_of = Notification::new(Status::new(StatusCode::new(0x1234)));
    bench.say(conn, 2, &[Body::Notification(unheard_of)]);
    assert_eq!(bench.bodies(conn), []);
    let notified = bench.speaker.neighbors(bench.now)[0].last_notified;
    assert_eq!(notified.map(|(status, _)| status), Some(StatusCode::new(0x1234)));
}

#[test]
fn the_end_follows_the_last_binding_once() {
    let mut bench = Bench::new(|_| {});
    for n in 1..=3 {
        bench.call(|speaker, now| speaker.handle_egress(now, fec(n), true));
    }
    let conn = session(&mut bench, 2, initialization(&[UnrecognizedNotification]));
    let said = bench.bodies(conn);
    let tail: Vec<Body> =
        (1..=3).map(|n| mapping(fec(n), label(15 + u32::from(n)))).chain([end_of_lib()]).collect();
    assert_eq!(said[said.len() - 4..], tail);
    assert!(shown(&bench, 2).end_of_lib_sent);
    bench.clear();
    bench.call(|speaker, now| speaker.handle_egress(now, fec(4), true));
    assert_eq!(bench.bodies(conn), [mapping(fec(4), label(19))], "and what follows needs no other end");
    // A new session has an end of its own.
    bench.call(|speaker, now| speaker.handle_closed(now, conn));
    let conn = session(&mut bench, 2, initialization(&[UnrecognizedNotification]));
    assert_eq!(bench.bodies(conn).last(), Some(&end_of_lib()));
}

/// Else the peer would give up what it kept over our restart and is still to come.
#[test]
fn there_is_no_end_while_labels_are_to_come() {
    let mut bench = Bench::new(|config| {
        config.allocations = vec![(fec(1), label(20)), (fec(2), label(21))];
        config.restarting = true;
    });
    bench.forwarder = None;
    bench.call(|speaker, now| speaker.handle_egress(now, fec(1), true));
    let conn = session(&mut bench, 2, initialization(&[UnrecognizedNotification]));
    assert!(
        !bench.bodies(conn).contains(&end_of_lib()),
        "a FEC is not back yet, and the forwarder has not answered"
    );
    bench.call(|speaker, now| speaker.handle_installed(now, fec(1), label(20), Installation::Held));
    assert_eq!(bench.bodies(conn), [mapping(fec(1), label(20))]);
    bench.call(|speaker, now| speaker.handle_egress(now, fec(2), true));
    assert!(!bench.speaker.recovering());
    bench.call(Speaker::handle_timeout);
    assert_eq!(bench.bodies(conn), [], "the forwarder has not said that it has the other");
    bench.call(|speaker, now| speaker.handle_installed(now, fec(2), label(21), Installation::Held));
    assert_eq!(bench.bodies(conn), [mapping(fec(2), label(21)), end_of_lib()]);
    // Nor does what waits in vain keep it from others.
    bench.call(|speaker, now| speaker.handle_egress(now, fec(3), true));
    bench.call(|speaker, now| speaker.handle_installed(now, fec(3), label(16), Installation::Refused));
    let conn = session(&mut bench, 3, initialization(&[UnrecognizedNotification]));
    assert_eq!(bench.bodies(conn).last(), Some(&end_of_lib()));
}

#[test]
fn the_end_of_a_restarted_peer_ends_the_wait_for_what_it_has_not_told_again() {
    let minute = Milliseconds(60_000);
    let ft = FtSession { flags: FtSession::LEARN_FROM_NETWORK, reconnect: minute, recovery: minute };
    let theirs =
        || Initialization { fault_tolerance: Some(ft), ..initialization(&[UnrecognizedNotification]) };
    let mut bench = Bench::new(|_| {});
    let conn = session(&mut bench, 2, theirs());
    bench.say(conn, 2, &[mapping(fec(1), label(501)), mapping(fec(2), label(502)), end_of_lib()]);
    let state = |bench: &Bench| {
        let neighbor = bench.speaker.neighbors(bench.now).remove(0);
        (neighbor.received, neighbor.stale, neighbor.capabilities.map(|c| c.end_of_lib_received.len()))
    };
    assert_eq!(state(&bench), (2, false, Some(1)));
    bench.call(|speaker, now| speaker.handle_closed(now, conn));
    assert_eq!(state(&bench), (2, true, None));
    let conn = session(&mut bench, 2, theirs());
    bench.say(conn, 2, &[mapping(fec(1), label(501))]);
    assert_eq!(state(&bench), (2, true, Some(0)));
    // Of IPv6 it says nothing about IPv4.
    bench.say(conn, 2, &[Body::Notification(Notification::end_of_lib(AddressFamily::Ipv6))]);
    assert_eq!(state(&bench), (2, true, Some(1)));
    bench.say(conn, 2, &[end_of_lib()]);
    assert_eq!(state(&bench), (1, false, Some(2)));
}

fn typed(family: AddressFamily) -> [Body; 3] {
    let fec = FecTlv::TypedWildcard(family);
    [
        Body::LabelRequest(LabelRequest::new(RequestFec::TypedWildcard(family))),
        Body::LabelWithdraw(LabelWithdraw { fec: fec.clone(), label: None }),
        Body::LabelRelease(LabelRelease { fec, label: None, status: None }),
    ]
}

#[test]
fn a_request_of_all_is_answered_with_all() {
    let mut bench = Bench::new(|_| {});
    let conn = session(&mut bench, 2, initialization(&[TypedWildcardFec]));
    for n in 1..=2 {
        bench.call(|speaker, now| speaker.handle_egress(now, fec(n), true));
    }
    // One is routed to who asks: nothing is said of it.
    bench.route(3, &[(1, 2)]);
    bench.say(conn, 2, &[mapping(fec(3), label(503))]);
    bench.clear();
    let [request, ..] = typed(AddressFamily::Ipv4);
    bench.say(conn, 2, &[request]);
    let answer = |n| {
        let answer = LabelMapping::new(fec(n).0.into(), label(15 + u32::from(n)));
        Body::LabelMapping(LabelMapping { request: Some(MessageId(100)), ..answer })
    };
    assert_eq!(bench.bodies(conn), [answer(1), answer(2)]);
    let [request, ..] = typed(AddressFamily::Ipv6);
    bench.say(conn, 2, &[request]);
    assert_eq!(bench.bodies(conn), [], "there is none");
}

#[test]
fn a_typed_withdraw_and_a_typed_release_are_of_all_prefixes_of_the_family() {
    let mut bench = Bench::new(|config| config.label_hold = Duration::from_secs(1));
    let conn = session(&mut bench, 2, initialization(&[TypedWildcardFec]));
    let v6 = Fec("2001:db8::1/128".parse().unwrap());
    bench.say(conn, 2, &[mapping(fec(1), label(501)), mapping(fec(2), label(502)), mapping(v6, label(501))]);
    bench.clear();
    let rows = |bench: &Bench| {
        bench.speaker.lib().iter().filter_map(|row| row.received.map(|_| row.fec)).collect::<Vec<_>>()
    };
    let fec_tlv = FecTlv::TypedWildcard(AddressFamily::Ipv4);
    let of_label = LabelWithdraw { fec: fec_tlv.clone(), label: Some(label(501)) };
    bench.say(conn, 2, &[Body::LabelWithdraw(of_label)]);
    let released = |label| Body::LabelRelease(LabelRelease { fec: fec_tlv.clone(), label, status: None });
    assert_eq!((rows(&bench), bench.bodies(conn)), (vec![fec(2), v6], vec![released(Some(label(501)))]));
    let [_, withdraw, release] = typed(AddressFamily::Ipv4);
    bench.say(conn, 2, &[withdraw]);
    assert_eq!((rows(&bench), bench.bodies(conn)), (vec![v6], vec![released(None)]));
    // What it gives back of ours is free once it has rested.
    bench.call(|speaker, now| speaker.handle_egress(now, fec(7), true));
    bench.call(|speaker, now| speaker.handle_egress(now, fec(7), false));
    bench.pass(Duration::from_secs(2), &[2]);
    assert!(!bench.events.contains(&ldp::Event::Freed { label: label(16) }));
    bench.say(conn, 2, &[release]);
    bench.pass(Duration::from_secs(2), &[2]);
    assert!(bench.events.contains(&ldp::Event::Freed { label: label(16) }), "{:?}", bench.events);
}

#[test]
fn typed_wildcards_are_not_known_to_who_does_not_announce_them() {
    let mut bench = Bench::new(|config| config.capabilities = set(&[DynamicAnnouncement]));
    let conn = session(&mut bench, 2, initialization(&[TypedWildcardFec]));
    bench.say(conn, 2, &[mapping(fec(1), label(501))]);
    bench.clear();
    for (body, kind) in typed(AddressFamily::Ipv4).into_iter().zip([
        MessageType::LABEL_REQUEST,
        MessageType::LABEL_WITHDRAW,
        MessageType::LABEL_RELEASE,
    ]) {
        bench.say(conn, 2, &[body]);
        let answer = about(StatusCode::UNKNOWN_FEC, 100, kind);
        assert_eq!(bench.bodies(conn), [Body::Notification(answer)]);
    }
    assert_eq!((malformed(&bench), bench.speaker.neighbors(bench.now)[0].received), (3, 1));
}

/// RFC 5036 §3.5.3: the smaller proposal, where 255 and less stand for 4096; and nothing that is said is longer.
#[test]
fn pdus_are_no_longer_than_agreed_on() {
    for (ours, theirs, agreed) in
        [(4096, 0, 4096), (4096, 300, 300), (256, 4096, 256), (1000, 255, 1000), (20, 9000, 4096)]
    {
        let mut bench = Bench::new(|config| config.max_pdu_length = ours);
        let many: Vec<IpAddr> = (0..=250).map(|n| address(3, n).into()).collect();
        bench.call(|speaker, now| speaker.handle_interface_up(now, InterfaceId(3), "bb3", &many));
        for n in 1..=99 {
            bench.call(|speaker, now| speaker.handle_egress(now, fec(n), true));
        }
        let conn = session(&mut bench, 2, Initialization { max_pdu_length: theirs, ..initialization(&[]) });
        let (mut longest, mut octets) = (0, Vec::new());
        for action in &bench.actions {
            if let ldp::Action::Write { conn: on, octets: some } = action
                && *on == conn
            {
                octets.extend(some);
            }
        }
        let mut rest = octets.as_slice();
        while let [_, _, high, low, ..] = *rest {
            let length = usize::from(u16::from_be_bytes([high, low]));
            longest = longest.max(length);
            rest = &rest[length + 4..];
        }
        assert!(longest <= agreed && longest + 100 > agreed.min(2700), "{ours}, {theirs}: {longest}");
        let told: usize = bench
            .bodies(conn)
            .iter()
            .map(|body| match body {
                Body::Address(Addresses::V4(addresses)) => addresses.len(),
                Body::LabelMapping(_) => 1,
                _ => 0,
            })
            .sum();
        assert_eq!(told, 253 + 99, "{ours}, {theirs}: nothing is left out");
        // And nothing longer is taken.
        bench.clear();
        let long = vec![0, 1, ((agreed + 1) >> 8) as u8, (agreed + 1) as u8];
        bench.call(|speaker: &mut Speaker, now| speaker.handle_stream(now, conn, &long));
        let refused = Notification::new(Status::new(StatusCode::BAD_PDU_LENGTH));
        assert_eq!(bench.bodies(conn), [Body::Notification(refused)]);
        assert!(bench.closed(conn));
        bench.pass(Duration::from_secs(1), &[]);
    }
}
