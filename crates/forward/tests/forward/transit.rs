//! ICMP errors from the middle of an LSP: sent on, and turned round where it ends.

use contract::counters::Point::{HeadendToIsp, HeadendToSubscriber, TailendToIsp, TailendToSubscriber};
use contract::counters::Tally;
use contract::{Asn, Change, DropReason, IlmAction, PortKind, PuntReason, Settings, TtlModel};
use wire::icmp::{IcmpError, Message};
use wire::ip::IpHeader;

use crate::frames::*;
use crate::icmp::{labelled, pushed, to_alpha, to_anna, with_roles};
use crate::network::*;
use crate::node::{Counter, Node, account, check_grown, words};

const HOST: &str = "198.51.100.1";
const HOST6: &str = "2001:db8:5::1";
const ANNAS: &str = "100.64.0.11";
const ANNAS6: &str = "2001:db8:a:11::7";

/// A transit node: label 40 is swapped for 41, and is alpha's.
fn transit(words: &[std::sync::atomic::AtomicU64]) -> Node<'_> {
    let mut node = with_roles(words);
    node.install([
        ilm(40, IlmAction::Swap { isp: Some(Asn(ALPHA)), nhlfes: vec![nhlfe(BB1, &[41])] }),
        ilm(42, IlmAction::Swap { isp: Some(Asn(BETA)), nhlfes: vec![nhlfe(BB1, &[43])] }),
    ]);
    node
}

/// The RFC 4884 structure with the label stack that a packet came under (RFC 4950), laid out by hand.
fn extension(entry: [u8; 4]) -> Vec<u8> {
    let mut structure = [&[0x20, 0, 0, 0, 0, 8, 1, 1], &entry[..]].concat();
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&structure).ones_complement();
    structure[2..4].copy_from_slice(&sum.to_ne_bytes());
    structure
}

#[test]
fn a_label_that_expires_is_told_down_the_lsp_with_the_stack_that_it_had() {
    let words = words();
    let mut node = transit(&words);
    for (probe, source, kind, rest) in [
        (udp(ANNAS, HOST, 1, b"probe"), ALPHA_SOURCE, (11, 0), [0, 32, 0, 0]),
        (udp(ANNAS6, HOST6, 1, &[5; 300]), ALPHA_SOURCE6, (3, 0), [16, 0, 0, 0]),
    ] {
        let to = if probe[0] >> 4 == 6 { ANNAS6 } else { ANNAS };
        let mut quoted = probe.clone();
        quoted.resize(128, 0);
        quoted.extend(extension(label(40, 5, true, 1)));
        let error = icmp(source, to, 255, kind, rest, &quoted);
        let frame = ethernet(ours(BB0), peer(BB0), &[], MPLS, &cat(&[&label(40, 5, true, 1), &probe]));
        let grown = [
            (Counter::IspDrop(0, DropReason::TtlExpired), 1),
            (Counter::PortDrop(BB0, DropReason::TtlExpired), 1),
            (Counter::Port(BB1, "originated"), 1),
        ];
        check_grown("expired", &mut node, BB0, &frame, &[pushed(BB1, 41, 255, &error)], &grown);
    }
    node.install([Change::Settings(Settings { ttl: TtlModel::Uniform, ..Settings::default() })]);
    let seen = node.take(BB0, &[labelled(40, 1, &udp(ANNAS, HOST, 1, b"probe"))]);
    assert_eq!(
        seen.sent[0].1[14..18],
        label(41, 0, true, 255),
        "as from the start of the LSP in either model"
    );
}

#[test]
fn where_nobody_can_be_told_it_is_for_control_or_dropped() {
    let words = words();
    let mut node = transit(&words);
    let probe = udp(ANNAS, HOST, 1, b"probe");
    let stacked = cat(&[&label(40, 0, false, 1), &label(99, 0, true, 9), &probe]);
    let mut broken = probe.clone();
    broken[10] ^= 1;
    for (name, frame) in [
        ("nobody's FEC", labelled(16, 1, &probe)),
        ("no address of this version", labelled(42, 1, &udp("2001:db8:b:20::1", HOST6, 1, b""))),
        ("MPLS echo", labelled(40, 1, &udp("192.0.2.9", "127.0.0.1", 1, b""))),
        ("more labels", ethernet(ours(BB0), peer(BB0), &[], MPLS, &stacked)),
        ("no IP", labelled(40, 1, &broken)),
        ("unknown", labelled(777, 1, &probe)),
        ("beta has none at a pop", labelled(21, 1, &udp("2001:db8:b:20::1", HOST6, 1, b""))),
    ] {
        let seen = node.take(BB0, &[frame]);
        assert!(seen.sent.is_empty(), "{name}");
        assert_eq!(
            seen.punted.iter().map(|punt| punt.1).collect::<Vec<_>>(),
            [PuntReason::LabelTtlExpired],
            "{name}"
        );
    }
    let error = icmp(HOST, ANNAS, 1, (3, 1), [0; 4], &[0; 28]);
    for packet in [error, udp("240.0.0.1", ANNAS, 1, b"")] {
        assert_eq!(node.take(BB0, &[labelled(40, 1, &packet)]), Default::default(), "never answered");
    }
    let flood = vec![labelled(40, 1, &probe); 30];
    assert_eq!((0..10).map(|_| node.take(BB0, &flood).sent.len()).sum::<usize>(), 100);
}

#[test]
fn what_is_too_long_in_the_middle_is_told_down_the_lsp() {
    let words = words();
    let mut node = transit(&words);
    node.port(BB1, PortKind::Backbone, ours(BB1), 1304, true);
    for (from, to, mtu) in [(ANNAS, HOST, 1300), (ANNAS6, HOST6, 1300)] {
        let packet = udp(from, to, 9, &[1; 1280]);
        let seen = node.take(BB0, &[labelled(40, 9, &packet)]);
        let (by, frame) = &seen.sent[0];
        assert_eq!((*by, &frame[14..18]), (BB1, &label(41, 0, true, 255)[..]));
        let ip = IpHeader::parse(&frame[18..]).unwrap();
        assert_eq!((ip.destination.to_string().as_str(), ip.ttl), (from, 255));
        let Ok(Message::Error { error, original, labels }) = Message::parse(&ip, &frame[18..]) else {
            panic!()
        };
        assert_eq!((error, labels), (IcmpError::TooLong { mtu }, &[][..]));
        assert_eq!(original, &packet[..original.len()]);
    }
    let fragments = ipv4_with(&udp(ANNAS, HOST, 9, &[1; 1300]), |header| header.dont_fragment = false);
    assert!(node.take(BB0, &[labelled(40, 9, &fragments)]).sent.is_empty());
    assert!(
        node.take(BB0, &[labelled(16, 9, &udp(ANNAS, HOST, 9, &[1; 1300]))]).sent.is_empty(),
        "nobody's FEC"
    );
    assert_eq!(node.counters()[&Counter::PortDrop(BB0, DropReason::TooLong)], 4);
}

/// An error of the transit node's, about a packet.
fn transits(to: &str, ttl: u8) -> Vec<u8> {
    let (source, kind) = if to.contains(':') { (TRANSIT6, (3, 0)) } else { (TRANSIT, (11, 0)) };
    icmp(source, to, ttl, kind, [0; 4], &[0x45; 28])
}

#[test]
fn an_error_from_the_middle_is_turned_round_where_its_lsp_ends() {
    let words = words();
    let mut node = with_roles(&words);
    for (to_subscriber, to_host) in [(ANNAS, HOST), (ANNAS6, HOST6)] {
        let (error, out) = (transits(to_subscriber, 255), transits(to_subscriber, 254));
        let octets = error.len() as u64;
        let counts = |point| {
            [account(ALPHA, point, Tally::Received, 1, octets), account(ALPHA, point, Tally::Sent, 1, octets)]
                .concat()
        };
        check_grown(
            "tailend",
            &mut node,
            BB0,
            &labelled(20, 254, &error),
            &[pushed(BB0, 3001, 255, &out)],
            &counts(TailendToSubscriber),
        );
        let (error, out) = (transits(to_host, 255), transits(to_host, 254));
        check_grown(
            "headend",
            &mut node,
            BB0,
            &labelled(30, 254, &error),
            &[pushed(BB0, 1001, 255, &out)],
            &counts(HeadendToIsp),
        );
        // Where it is going the right way already, it goes on.
        let (error, out) = (transits(to_subscriber, 255), transits(to_subscriber, 254));
        check_grown(
            "a subscriber",
            &mut node,
            BB0,
            &labelled(30, 254, &error),
            &[to_anna(&out)],
            &counts(HeadendToSubscriber),
        );
        let (error, out) = (transits(to_host, 255), transits(to_host, 254));
        check_grown(
            "no return route",
            &mut node,
            BB0,
            &labelled(20, 254, &error),
            &[to_alpha(&out)],
            &counts(TailendToIsp),
        );
    }
}

#[test]
fn only_what_a_node_in_the_middle_sent_is_turned_and_only_once() {
    let words = words();
    let mut node = with_roles(&words);
    let with_source = |source: &str| icmp(source, ANNAS, 255, (11, 0), [0; 4], &[0x45; 28]);
    let echo = icmp(TRANSIT, ANNAS, 255, (8, 0), [0; 4], b"");
    for (name, packet) in [
        ("turned once", transits(ANNAS, 254)),
        ("another source", with_source(HOST)),
        ("no error", echo),
        ("no ICMP", udp(TRANSIT, ANNAS, 255, b"")),
    ] {
        assert_eq!(
            node.take(BB0, &[labelled(20, 254, &packet)]).sent[0].0,
            HANDOFF,
            "{name}: to the ISP, as any other"
        );
    }
    // Nobody but the middle can make such a packet: what enters an LSP has at most 254.
    let forged = ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 10)], IPV4, &transits("100.64.0.99", 255));
    let (by, frame) = node.take(HANDOFF, &[forged]).sent.remove(0);
    assert_eq!((by, frame[14 + 4 + 8]), (BB0, 254));
    let seen = node.take(BB0, &[labelled(30, 254, &frame[18..])]);
    assert!(seen.sent.is_empty());
    assert_eq!(node.counters()[&Counter::IspDrop(ALPHA, DropReason::NoSubscriber)], 1);
    // The other ISP has no such node.
    assert_eq!(node.take(BB0, &[labelled(21, 254, &transits("100.64.0.20", 255))]).sent[0].0, HANDOFF);
}

#[test]
fn at_a_pop_an_expired_label_of_the_uniform_model_is_an_expired_packet() {
    let words = words();
    let mut node = with_roles(&words);
    let probe = udp(ANNAS, HOST, 1, b"probe");
    let seen = node.take(BB0, &[labelled(20, 1, &probe)]);
    let (by, frame) = &seen.sent[0];
    assert_eq!((*by, &frame[14..18]), (BB0, &label(3001, 0, true, 255)[..]));
    let ip = IpHeader::parse(&frame[18..]).unwrap();
    let Ok(Message::Error { error, labels, .. }) = Message::parse(&ip, &frame[18..]) else { panic!() };
    assert_eq!((error, labels), (IcmpError::TimeExceeded, &label(20, 0, true, 1)[..]));
    assert_eq!(node.counters()[&Counter::IspDrop(ALPHA, DropReason::TtlExpired)], 1);
    let seen = node.take(BB0, &[labelled(30, 0, &udp(HOST, ANNAS, 1, b"probe"))]);
    assert_eq!(seen.sent[0].1[14..18], label(1001, 0, true, 255));
}
