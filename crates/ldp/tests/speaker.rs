//! What one speaker answers, message by message.

mod bench;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bench::{Bench, LOCAL, address, fec, hello, initialization, label, mapping, peer};
use contract::{Label, Tick};
use ldp::{
    Action, ConnId, DownReason, Event, FecState, InterfaceId, LabeledNextHop, Refusal, Role, SentState,
    SessionState, StatusCode, Via,
};
use wire::ldp::{
    Addresses, Body, FecTlv, FtSession, LabelAbortRequest, LabelRelease, LabelRequest, LabelWithdraw,
    MessageId, MessageType, Milliseconds, Notification, Status,
};

const LINK: Via = Via::Link(InterfaceId(1));

fn status(code: StatusCode, about: Option<(u32, MessageType)>) -> Body {
    let message = about.map(|(id, kind)| (MessageId(id), kind));
    Body::Notification(Notification::new(Status { message, ..Status::new(code) }))
}

fn withdraw(n: u8, value: u32) -> Body {
    Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::from(fec(n).0), label: Some(label(value)) })
}

fn release(n: u8, value: u32) -> Body {
    Body::LabelRelease(LabelRelease { fec: FecTlv::from(fec(n).0), label: Some(label(value)), status: None })
}

fn request(n: u8) -> Body {
    Body::LabelRequest(LabelRequest::new(fec(n).0.into()))
}

fn transit(n: u8, in_label: Option<u32>, next_hops: &[(u32, u8, u32)]) -> Event {
    let next_hop = |&(interface, n, value): &(u32, u8, u32)| LabeledNextHop {
        interface: InterfaceId(interface),
        address: address(interface, n).into(),
        peer: peer(n),
        label: label(value),
    };
    Event::Fec(FecState {
        fec: fec(n),
        in_label: in_label.map(label),
        role: Role::Transit,
        next_hops: next_hops.iter().map(next_hop).collect(),
    })
}

#[test]
fn the_passive_side_answers_and_the_active_side_begins() {
    let mut bench = Bench::new(|_| {});
    bench.hello(1, 7);
    let conn = bench.accept(7);
    assert!(bench.bodies(conn).is_empty(), "the active side speaks first");
    bench.say(conn, 7, &[initialization(None)]);
    assert!(
        matches!(bench.bodies(conn).as_slice(), [Body::Initialization(i), Body::KeepAlive] if i.receiver == peer(7))
    );
    bench.say(conn, 7, &[Body::KeepAlive]);
    let own = Addresses::V4(vec![address(1, 100), address(2, 100)]);
    assert_eq!(bench.bodies(conn), [Body::Address(own)]);

    bench.hello(1, 200);
    let remote = SocketAddr::from((peer(200).lsr_id, 646));
    assert!(
        !bench.actions.iter().any(|action| matches!(action, Action::Connect { .. })),
        "200 is to connect"
    );
    let mut bench = Bench::new(|config| config.transport.ipv4 = Some(Ipv4Addr::new(10, 255, 0, 250)));
    bench.hello(1, 200);
    let connect = |action: &Action| match action {
        Action::Connect { conn, remote: to, .. } if *to == remote => Some(*conn),
        _ => None,
    };
    let conn = bench.actions.iter().find_map(connect).expect("a connection");
    bench.call(|speaker, now| speaker.handle_connected(now, conn));
    assert!(matches!(bench.bodies(conn).as_slice(), [Body::Initialization(_)]));
    bench.say(conn, 200, &[initialization(None)]);
    assert_eq!(bench.bodies(conn), [Body::KeepAlive]);
    bench.say(conn, 200, &[Body::KeepAlive]);
    assert_eq!(bench.speaker.neighbors(bench.now)[0].session, SessionState::Operational);
}

/// FRR 8.4's own octets bring a session up and its labels in.
#[test]
fn frr_is_understood() {
    let octet = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    let octets = |hex: &str| hex.as_bytes().chunks(2).map(octet).collect::<Vec<u8>>();
    let frr = ldp::LdpId::platform(Ipv4Addr::new(10, 255, 9, 2));
    let mut config = ldp::Config::new(Ipv4Addr::new(10, 255, 9, 1));
    config.transport.ipv4 = Some(config.lsr_id);
    let mut speaker = ldp::Speaker::new(config, Tick(0));
    let (now, conn, interface) = (Tick(0), ConnId(1), InterfaceId(3));
    speaker.handle_interface_up(now, interface, "bb0", &[Ipv4Addr::new(10, 9, 0, 1).into()]);
    let next_hop = ldp::NextHop { interface, address: Ipv4Addr::new(10, 9, 0, 2).into() };
    speaker.handle_next_hop(now, next_hop, true);
    speaker.handle_route(now, "10.254.9.1/32".parse().unwrap(), &[next_hop]);
    speaker.handle_route(now, "10.254.9.2/32".parse().unwrap(), &[next_hop]);
    let source = SocketAddr::from((Ipv4Addr::new(10, 9, 0, 2), 646));
    let hello =
        octets("000100260aff090200000100001c0000000104000004000f2000040100040aff09020402000400000002");
    speaker.handle_datagram(now, interface, source, &hello);
    speaker.handle_accepted(now, conn, SocketAddr::from((frr.lsr_id, 41000)));
    for hex in [
        "0001002f0aff0902000002000025000000030500000e000100b4000000000aff090100008506000180850b0001808603000180",
        "0001000e0aff090200000201000400000004000100200aff0902000003000016000000050101000e00010a0900020aff09020afe0902",
        "000100910aff09020000040000170000000601000007020001180a090002000004000000030400001800000007010000080200012\
         00afe09010200000400000010040000180000000801000008020001200afe0902020000040000000304000018000000090100000802\
         0001200aff09010200000400000011040000180000000a01000008020001200aff09020200000400000003",
    ] {
        let hex: String = hex.chars().filter(char::is_ascii_hexdigit).collect();
        speaker.handle_stream(now, conn, &octets(&hex));
    }
    let mut events = Vec::new();
    while let Some(event) = speaker.poll_event() {
        events.push(event);
    }
    assert!(events.contains(&Event::SessionUp { peer: frr }));
    let far = contract::Fec("10.254.9.1/32".parse().unwrap());
    let switched =
        |event: &Event| matches!(event, Event::Fec(s) if s.fec == far && s.next_hops[0].label == label(16));
    assert!(events.iter().any(switched), "{events:?}");
    let own = contract::Fec("10.254.9.2/32".parse().unwrap());
    let null = Event::NullLabel { peer: frr, fec: own, label: Label::IMPLICIT_NULL };
    assert!(events.contains(&null), "its own FEC with a null label is not used but said");
    assert!(!events.iter().any(|event| matches!(event, Event::Fec(state) if state.fec == own)));
    assert_eq!(speaker.lib().iter().filter(|row| row.received.is_some()).count(), 5);
}

#[test]
fn a_binding_travels_through() {
    let mut bench = Bench::new(|_| {});
    let (up, down) = (bench.session(1, None), bench.session(2, None));
    bench.route(2, &[(1, 2)]);
    bench.clear();
    bench.say(down, 2, &[mapping(fec(2), label(500))]);
    assert_eq!(bench.events, [transit(2, Some(16), &[(1, 2, 500)])]);
    assert_eq!(bench.bodies(up), [mapping(fec(2), label(16))]);
    assert_eq!(bench.bodies(down), [mapping(fec(2), label(16))], "liberal: to who sent it, too");
    // The next hop's other address is on an interface where it is not heard.
    bench.clear();
    bench.route(2, &[(1, 2), (2, 2)]);
    assert!(bench.events.is_empty());
    bench.hello(2, 2);
    assert_eq!(bench.events.last(), Some(&transit(2, Some(16), &[(1, 2, 500), (2, 2, 500)])));
    bench.clear();
    bench.say(down, 2, &[withdraw(2, 500)]);
    assert_eq!(bench.events, [Event::Retired { fec: fec(2), label: label(16) }, transit(2, None, &[])]);
    assert_eq!(bench.bodies(down), [release(2, 500), withdraw(2, 16)]);
    assert_eq!(bench.bodies(up), [withdraw(2, 16)]);
    let states = |bench: &Bench| {
        bench.speaker.lib().iter().filter_map(|row| row.sent).map(|sent| sent.state).collect::<Vec<_>>()
    };
    assert_eq!(states(&bench), [SentState::Withdrawn; 2]);
    bench.clear();
    bench.say(up, 1, &[release(2, 16)]);
    assert_eq!(bench.events, [], "the other may still send by it");
    bench.say(down, 2, &[release(2, 16)]);
    assert!(bench.speaker.lib().is_empty());
    bench.rests(16);
}

#[test]
fn another_label_for_a_fec_releases_the_first() {
    let mut bench = Bench::new(|_| {});
    let down = bench.session(2, None);
    bench.route(2, &[(1, 2)]);
    bench.say(down, 2, &[mapping(fec(2), label(500))]);
    bench.clear();
    bench.say(down, 2, &[mapping(fec(2), label(501))]);
    assert_eq!(bench.bodies(down), [release(2, 500)]);
    assert_eq!(bench.events, [transit(2, Some(16), &[(1, 2, 501)])], "and our own label stays");
}

#[test]
fn a_withdraw_is_always_answered_and_takes_what_it_names() {
    let mut bench = Bench::new(|_| {});
    let conn = bench.session(2, None);
    bench.say(
        conn,
        2,
        &[mapping(fec(1), label(500)), mapping(fec(2), label(501)), mapping(fec(3), label(501))],
    );
    bench.clear();
    let kept = |bench: &Bench| bench.speaker.neighbors(bench.now)[0].received;
    bench.say(conn, 2, &[withdraw(1, 999)]);
    assert_eq!((bench.bodies(conn), kept(&bench)), (vec![release(1, 999)], 3));
    bench.say(
        conn,
        2,
        &[Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::Wildcard, label: Some(label(501)) })],
    );
    let released = |label| Body::LabelRelease(LabelRelease { fec: FecTlv::Wildcard, label, status: None });
    assert_eq!((bench.bodies(conn), kept(&bench)), (vec![released(Some(label(501)))], 1));
    bench.say(conn, 2, &[Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::Wildcard, label: None })]);
    assert_eq!((bench.bodies(conn), kept(&bench)), (vec![released(None)], 0));
}

#[test]
fn null_labels_are_recorded_and_never_used() {
    for null in [Label::IPV4_EXPLICIT_NULL, Label::IPV6_EXPLICIT_NULL, Label::IMPLICIT_NULL, label(15)] {
        let mut bench = Bench::new(|_| {});
        let conn = bench.session(2, None);
        bench.clear();
        bench.say(conn, 2, &[mapping(fec(2), null)]);
        assert!(bench.events.is_empty(), "nothing goes there yet");
        bench.route(2, &[(1, 2)]);
        bench.route(2, &[(1, 2), (2, 2)]);
        assert_eq!(bench.events, [Event::NullLabel { peer: peer(2), fec: fec(2), label: null }], "said once");
        assert_eq!(bench.speaker.lib()[0].received.map(|received| received.in_use), Some(false));
    }
}

#[test]
fn requests_are_answered() {
    let mut bench = Bench::new(|_| {});
    let (asks, other) = (bench.session(1, None), bench.session(2, None));
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), true));
    bench.route(2, &[(1, 2)]);
    bench.route(1, &[(1, 1)]);
    bench.clear();
    let kind = MessageType::LABEL_REQUEST;
    bench.say(asks, 1, &[request(77)]);
    assert_eq!(bench.bodies(asks), [status(StatusCode::NO_ROUTE, Some((100, kind)))]);
    bench.say(asks, 1, &[request(1)]);
    assert_eq!(bench.bodies(asks), [status(StatusCode::LOOP_DETECTED, Some((100, kind)))]);
    bench.say(asks, 1, &[release(9, 16), request(9)]);
    let answered =
        |body: &Body, id| matches!(body, Body::LabelMapping(m) if m.request == Some(MessageId(id)));
    let said = bench.bodies(asks);
    assert!(said.len() == 1 && answered(&said[0], 101), "given back, asked for again: {said:?}");
    bench.say(asks, 1, &[request(2), request(2)]);
    assert!(bench.bodies(asks).is_empty(), "there is no label yet");
    bench.say(other, 2, &[mapping(fec(2), label(500))]);
    let said = bench.bodies(asks);
    assert!(said.len() == 1 && answered(&said[0], 100), "{said:?}");
}

#[test]
fn a_request_can_be_taken_back() {
    let mut bench = Bench::new(|_| {});
    let asks = bench.session(1, None);
    bench.route(2, &[(1, 2)]);
    bench.clear();
    bench.say(asks, 1, &[request(2)]);
    let abort =
        |id| Body::LabelAbortRequest(LabelAbortRequest { fecs: fec(2).0.into(), request: MessageId(id) });
    bench.say(asks, 1, &[abort(99)]);
    assert!(bench.bodies(asks).is_empty(), "no such request");
    bench.say(asks, 1, &[abort(100)]);
    assert!(matches!(bench.bodies(asks).as_slice(), [Body::Notification(n)]
        if n.status.code == StatusCode::LABEL_REQUEST_ABORTED && n.request == Some(MessageId(100))));
}

#[test]
fn what_is_malformed_is_answered_as_the_rfc_says() {
    // Type, U bit, TLVs; and whether the session bears it.
    let rows: [(&[u8], StatusCode, bool); 5] = [
        (&[0x3f, 0, 0, 4, 0, 0, 0, 9], StatusCode::UNKNOWN_MESSAGE_TYPE, true),
        (&[0x04, 0, 0, 8, 0, 0, 0, 9, 0x3e, 0, 0, 0], StatusCode::UNKNOWN_TLV, true),
        (&[0x04, 0, 0, 4, 0, 0, 0, 9], StatusCode::MISSING_MESSAGE_PARAMETERS, true),
        (&[0x04, 0, 0, 8, 0, 0, 0, 9, 1, 0, 0, 9], StatusCode::BAD_TLV_LENGTH, false),
        (&[0x04, 0, 0, 90, 0, 0, 0, 9], StatusCode::BAD_MESSAGE_LENGTH, false),
    ];
    for (message, code, bears) in rows {
        let mut bench = Bench::new(|_| {});
        let conn = bench.session(1, None);
        bench.clear();
        let mut octets = vec![0, 1, 0, 6 + message.len() as u8, 10, 255, 0, 1, 0, 0];
        octets.extend_from_slice(message);
        bench.call(|speaker, now| speaker.handle_stream(now, conn, &octets));
        let kind = MessageType(u16::from_be_bytes([message[0], message[1]]));
        assert_eq!(bench.bodies(conn), [status(code, Some((9, kind)))], "{code}");
        assert_eq!(bench.closed(conn), !bears, "{code}");
        let down = Event::SessionDown { peer: peer(1), reason: DownReason::Local(code), kept: false };
        assert_eq!(bench.events.contains(&down), !bears, "{code}: {:?}", bench.events);
        let refused = Event::Refused { peer: peer(1), status: code, times: 1 };
        assert_eq!(bench.events.contains(&refused), bears, "{code}: {:?}", bench.events);
        assert_eq!(bench.speaker.neighbors(bench.now)[0].counters.malformed, 1);
    }
}

#[test]
fn who_says_what_cannot_be_taken_again_and_again_is_told_of_once_a_minute() {
    let mut bench = Bench::new(|_| {});
    let (one, two) = (bench.session(1, None), bench.session(2, None));
    bench.clear();
    let unknown = |n: u8| [0, 1, 0, 14, 10, 255, 0, n, 0, 0, 0x3f, 0, 0, 4, 0, 0, 0, 9];
    let advice = status(StatusCode::NO_ROUTE, None);
    for _ in 0..10 {
        bench.call(|speaker, now| speaker.handle_stream(now, one, &unknown(1).repeat(3)));
        bench.say(one, 1, std::slice::from_ref(&advice));
    }
    bench.call(|speaker, now| speaker.handle_stream(now, two, &unknown(2)));
    let refused =
        |n, times| Event::Refused { peer: peer(n), status: StatusCode::UNKNOWN_MESSAGE_TYPE, times };
    let notified = |times| Event::Notified { peer: peer(1), status: StatusCode::NO_ROUTE, times };
    assert_eq!(bench.events, [refused(1, 3), notified(1), refused(2, 1)]);
    bench.clear();
    for _ in 0..13 {
        bench.pass(Duration::from_secs(5), &[1, 2]);
        bench.say(one, 1, &[Body::KeepAlive]);
    }
    bench.clear();
    bench.call(|speaker, now| speaker.handle_stream(now, one, &unknown(1)));
    bench.say(one, 1, &[advice]);
    assert_eq!(bench.events, [refused(1, 28), notified(10)]);
}

#[test]
fn a_pdu_of_another_sender_ends_the_session() {
    let mut bench = Bench::new(|_| {});
    let conn = bench.session(1, None);
    bench.clear();
    bench.say(conn, 2, &[Body::KeepAlive]);
    assert_eq!(bench.bodies(conn), [status(StatusCode::BAD_LDP_IDENTIFIER, None)]);
    assert!(bench.closed(conn));
}

#[test]
fn refused_sessions_are_tried_ever_more_seldom() {
    let mut bench = Bench::new(|config| config.transport.ipv4 = Some(Ipv4Addr::new(10, 255, 0, 250)));
    let mut tried = Vec::new();
    for _ in 0..400 {
        bench.pass(Duration::from_secs(1), &[7]);
        for action in std::mem::take(&mut bench.actions) {
            let Action::Connect { conn, .. } = action else { continue };
            tried.push(bench.now.0 / 1_000_000_000);
            bench.call(|speaker, now| speaker.handle_connected(now, conn));
            bench.say(conn, 7, &[status(StatusCode::NO_HELLO, None)]);
        }
    }
    let waits: Vec<u64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [15, 30, 60, 120, 120], "{tried:?}");
    // Another configuration is worth a try at once.
    bench.hello_with(
        1,
        7,
        wire::ldp::Hello { configuration_sequence: Some(2), ..hello(Some(peer(7).lsr_id)) },
    );
    assert!(bench.actions.iter().any(|action| matches!(action, Action::Connect { .. })));
}

#[test]
fn a_connection_before_its_hello_waits_for_it() {
    let mut bench = Bench::new(|config| config.limits.pending_connections = 1);
    let conn = bench.accept(1);
    bench.say(conn, 1, &[initialization(None)]);
    assert!(bench.bodies(conn).is_empty());
    let second = bench.accept(2);
    assert!(bench.closed(second), "no more than the limit wait");
    let refused =
        |n: u8, reason, times| Event::ConnectionRefused { remote: peer(n).lsr_id.into(), reason, times };
    assert_eq!(bench.events, [refused(2, Refusal::TooMany, 1)]);
    bench.hello(1, 1);
    assert!(matches!(bench.bodies(conn).as_slice(), [Body::Initialization(_), Body::KeepAlive]));

    let stranger = bench.accept(3);
    for noise in [&b"GET / HTTP/1.1"[..], &[0, 1, 0xff, 0xff], &[0, 2]] {
        bench.call(|speaker, now| speaker.handle_stream(now, stranger, noise));
        assert!(bench.closed(stranger), "{noise:?} is no LDP: it is not waited for");
        bench.clear();
        let source = SocketAddr::from((peer(3).lsr_id, 50000));
        bench.call(|speaker, now| speaker.handle_accepted(now, stranger, source));
    }
    bench.call(|speaker, now| speaker.handle_stream(now, stranger, &[0]));
    assert!(!bench.closed(stranger), "it may become LDP");
    bench.pass(Duration::from_secs(5), &[1]);
    assert_eq!(bench.bodies(stranger), [status(StatusCode::NO_HELLO, None)]);
    assert!(bench.closed(stranger));
    bench.pass(Duration::from_secs(61), &[1]);
    let stranger = bench.accept(3);
    bench.clear();
    bench.call(|speaker, now| speaker.handle_stream(now, stranger, b"GET / HTTP/1.1"));
    assert_eq!(bench.events, [refused(3, Refusal::NoLdp, 5)], "told once a minute, with those between");
}

#[test]
fn silence_ends_a_session_and_so_do_missing_hellos() {
    let mut bench = Bench::new(|_| {});
    let conn = bench.session(1, None);
    bench.clear();
    bench.pass(Duration::from_secs(29), &[1]);
    assert_eq!(bench.bodies(conn), [Body::KeepAlive, Body::KeepAlive]);
    bench.pass(Duration::from_secs(1), &[1]);
    assert!(bench.bodies(conn).contains(&status(StatusCode::KEEPALIVE_TIMER_EXPIRED, None)));
    assert!(bench.closed(conn));

    let mut bench = Bench::new(|_| {});
    let conn = bench.session(1, None);
    bench.clear();
    bench.pass(Duration::from_secs(15), &[]);
    assert!(bench.bodies(conn).contains(&status(StatusCode::HOLD_TIMER_EXPIRED, None)));
    assert!(bench.events.contains(&Event::AdjacencyDown { via: LINK, peer: peer(1) }));
    assert!(bench.speaker.neighbors(bench.now).is_empty());
}

#[test]
fn hellos_of_no_use_are_ignored() {
    let mut bench = Bench::new(|config| config.limits.adjacencies = 1);
    let own = |n: u8| hello(Some(peer(n).lsr_id));
    bench.hello_with(1, 1, wire::ldp::Hello { targeted: true, ..own(1) });
    let from_us = bench::octets(LOCAL, &[Body::Hello(own(7))]);
    bench.call(|speaker, now| {
        speaker.handle_datagram(now, InterfaceId(1), SocketAddr::from((address(1, 7), 646)), &from_us);
    });
    bench.hello_with(1, 1, hello(Some(LOCAL.lsr_id)));
    bench.hello_with(1, 1, hello(Some(Ipv4Addr::new(224, 0, 0, 5))));
    bench.hello_with(9, 1, own(1));
    let source = address(1, 7);
    assert_eq!(bench.events, [Event::Impostor { via: LINK, source: source.into() }]);
    bench.clear();
    bench.hello_with(1, 1, own(1));
    bench.hello_with(2, 1, own(1));
    // Another address of the same LSR, another LSR with that address, one too many.
    bench.hello_with(2, 1, hello(Some(Ipv4Addr::new(10, 255, 1, 1))));
    bench.hello_with(1, 2, own(1));
    bench.hello_with(1, 3, own(3));
    let up = |interface| Event::AdjacencyUp { via: Via::Link(InterfaceId(interface)), peer: peer(1) };
    assert_eq!(bench.events, [up(1), up(2)]);
    bench.call(|speaker, now| {
        speaker.handle_datagram(now, InterfaceId(1), SocketAddr::from((address(1, 1), 646)), &[1, 2, 3]);
    });
    let via = Via::Link(InterfaceId(1));
    assert_eq!(bench.events[2..], [Event::NoHello { via, source: address(1, 1).into(), times: 1 }]);
    let counters = bench.speaker.counters();
    assert_eq!((counters.hellos_received, counters.hellos_ignored, counters.hellos_malformed), (2, 8, 1));
}

#[test]
fn bindings_and_addresses_of_a_peer_are_bounded() {
    let mut bench = Bench::new(|config| {
        config.limits.bindings_per_peer = 2;
        config.limits.addresses_per_peer = 3;
    });
    let conn = bench.session(1, None);
    bench.clear();
    let many: Vec<Ipv4Addr> = (0..100).map(|n| Ipv4Addr::new(10, 2, 0, n)).collect();
    bench.say(conn, 1, &[Body::Address(Addresses::V4(many))]);
    bench.say(
        conn,
        1,
        &[mapping(fec(1), label(501)), mapping(fec(2), label(502)), mapping(fec(3), label(503))],
    );
    let refused = status(StatusCode::NO_LABEL_RESOURCES, Some((102, MessageType::LABEL_MAPPING)));
    assert_eq!(bench.bodies(conn), [refused, release(3, 503)]);
    let neighbor = &bench.speaker.neighbors(bench.now)[0];
    assert_eq!((neighbor.received, neighbor.addresses.len()), (2, 3));
}

#[test]
fn what_is_not_read_is_not_piled_up() {
    let mut bench = Bench::new(|config| config.limits.outbound = 100_000);
    for n in 0..=255 {
        bench.call(|speaker, now| speaker.handle_egress(now, fec(n), true));
    }
    bench.hello(1, 1);
    let conn = bench.accept(1);
    // From here on nothing is reported as written.
    let (speaker, now) = (&mut bench.speaker, bench.now);
    let say = |speaker: &mut ldp::Speaker, bodies: &[Body]| {
        speaker.handle_stream(now, conn, &bench::octets(peer(1), bodies));
        let mut written = 0;
        let mut closed = false;
        while let Some(action) = speaker.poll_action() {
            match action {
                Action::Write { octets, .. } => written += octets.len(),
                Action::Close { .. } => closed = true,
                _ => {}
            }
        }
        (written, closed)
    };
    let (mut total, mut closed) = say(speaker, &[initialization(None), Body::KeepAlive]);
    while !closed {
        let (written, now_closed) = say(speaker, &[request(9), withdraw(1, 999), withdraw(2, 999)]);
        total += written;
        closed = now_closed;
        assert!(total < 101_000 && (written > 0 || closed), "{total}");
    }
    let reason = DownReason::NotReading;
    let down = Event::SessionDown { peer: peer(1), reason, kept: false };
    assert!(std::iter::from_fn(|| speaker.poll_event()).any(|event| event == down));
}

#[test]
fn when_labels_run_out_the_next_hops_still_serve_and_a_freed_label_is_given() {
    let mut bench = Bench::new(|config| config.label_range = label(16)..=label(16));
    let conn = bench.session(2, None);
    bench.say(conn, 2, &[mapping(fec(1), label(500)), mapping(fec(2), label(501))]);
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), true));
    bench.clear();
    bench.route(2, &[(1, 2)]);
    assert_eq!(bench.events, [Event::NoFreeLabel { fec: fec(2) }, transit(2, None, &[(1, 2, 501)])]);
    assert!(bench.bodies(conn).is_empty());
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), false));
    bench.say(conn, 2, &[release(9, 16)]);
    bench.pass(Duration::from_secs(28), &[2]);
    bench.say(conn, 2, &[Body::KeepAlive]);
    bench.clear();
    bench.pass(Duration::from_secs(2), &[2]);
    let freed = Event::Freed { label: label(16) };
    // It is half a minute since the session came up, too.
    bench.events.retain(|event| !matches!(event, Event::IgpSync { .. }));
    assert_eq!(bench.events, [freed, transit(2, Some(16), &[(1, 2, 501)])]);
    assert!(bench.bodies(conn).contains(&mapping(fec(2), label(16))));
}

#[test]
fn addresses_follow_the_interfaces() {
    let mut bench = Bench::new(|_| {});
    let conn = bench.session(1, None);
    bench.clear();
    let new = Ipv4Addr::new(10, 1, 1, 101);
    bench.call(|speaker, now| speaker.handle_interface_up(now, InterfaceId(1), "bb1", &[new.into()]));
    let gone = Body::AddressWithdraw(Addresses::V4(vec![address(1, 100)]));
    assert_eq!(bench.bodies(conn), [gone, Body::Address(Addresses::V4(vec![new]))]);
    bench.call(|speaker, now| speaker.handle_interface_down(now, InterfaceId(2)));
    assert_eq!(bench.bodies(conn), [Body::AddressWithdraw(Addresses::V4(vec![address(2, 100)]))]);
}

#[test]
fn only_who_asks_for_it_is_kept_over_a_restart() {
    let ft = |reconnect, recovery| FtSession {
        flags: FtSession::LEARN_FROM_NETWORK,
        reconnect: Milliseconds(reconnect),
        recovery: Milliseconds(recovery),
    };
    for (announced, kept) in [(None, false), (Some(ft(0, 0)), false), (Some(ft(5000, 0)), true)] {
        let mut bench = Bench::new(|_| {});
        let conn = bench.session(2, announced);
        bench.route(2, &[(1, 2)]);
        bench.say(conn, 2, &[mapping(fec(2), label(500))]);
        bench.clear();
        bench.call(|speaker, now| speaker.handle_closed(now, conn));
        assert_eq!(bench.events.contains(&transit(2, None, &[])), !kept, "{announced:?}");
        bench.pass(Duration::from_secs(5), &[2]);
        assert!(bench.events.contains(&transit(2, None, &[])), "{announced:?}");
    }
    // Back, with nothing recovered: what was kept goes. Back with a recovery time: it stays that long.
    for (recovery, stays) in [(0, false), (4000, true)] {
        let mut bench = Bench::new(|_| {});
        let conn = bench.session(2, Some(ft(5000, 0)));
        bench.route(2, &[(1, 2)]);
        bench.say(conn, 2, &[mapping(fec(2), label(500))]);
        bench.call(|speaker, now| speaker.handle_closed(now, conn));
        bench.pass(Duration::from_secs(3), &[2]);
        bench.clear();
        bench.session(2, Some(ft(5000, recovery)));
        assert_eq!(bench.events.contains(&transit(2, None, &[])), !stays);
        bench.pass(Duration::from_secs(4), &[2]);
        assert!(bench.events.contains(&transit(2, None, &[])));
    }
}
