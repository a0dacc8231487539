//! What is addressed to the node itself.

use std::time::Duration;

use contract::counters::Point::{self, HeadendToIsp, HeadendToSubscriber, TailendToIsp, TailendToSubscriber};
use contract::counters::Tally;
use contract::{Change, DropReason, Settings, TtlModel};

use crate::frames::*;
use crate::icmp::{from_alpha, from_anna, labelled, pushed, to_alpha, to_anna, with_roles};
use crate::network::*;
use crate::node::{Counter, Node, account, check_grown, words};

const HOST: &str = "198.51.100.1";
const HOST6: &str = "2001:db8:5::1";
const ANNAS: &str = "100.64.0.11";
const ANNAS6: &str = "2001:db8:a:11::7";

/// An echo request or reply as a host sends it, whose data are "ping".
fn echo(from: &str, to: &str, ttl: u8, reply: bool) -> Vec<u8> {
    let kind = match (to.contains(':'), reply) {
        (false, false) => 8,
        (false, true) => 0,
        (true, false) => 128,
        (true, true) => 129,
    };
    let packet = icmp(from, to, ttl, (kind, 0), [1, 2, 3, 4], b"ping");
    if to.contains(':') { packet } else { ipv4_with(&packet, |header| header.dscp = 0.try_into().unwrap()) }
}

/// What grows when a packet of so many octets is consumed at a point and answered by a port.
fn grown(
    arrived: u16,
    (point, octets): (Point, usize),
    (by, back, answer): (u16, Point, usize),
) -> Vec<(Counter, u64)> {
    let mut grown = vec![(Counter::Port(arrived, "consumed"), 1), (Counter::Port(by, "originated"), 1)];
    for tally in [Tally::Received, Tally::Consumed] {
        grown.extend(account(ALPHA, point, tally, 1, octets as u64));
    }
    for tally in [Tally::Originated, Tally::Sent] {
        grown.extend(account(ALPHA, back, tally, 1, answer as u64));
    }
    grown
}

fn check(
    node: &mut Node<'_>,
    name: &str,
    port: u16,
    frame: &[u8],
    packet: (Point, &[u8]),
    answer: (Point, (u16, Vec<u8>), &[u8]),
) {
    let (back, sent, reply) = answer;
    let grown = grown(port, (packet.0, packet.1.len()), (sent.0, back, reply.len()));
    check_grown(name, node, port, frame, &[sent], &grown);
}

#[test]
fn a_gateway_answers_pings_from_both_sides() {
    let words = words();
    let mut node = with_roles(&words);
    for (gateway, annas, host) in [(GATEWAY, ANNAS, HOST), (GATEWAY6, ANNAS6, HOST6)] {
        // One hop is enough to where it ends.
        let (request, reply) = (echo(annas, gateway, 1, false), echo(gateway, annas, 64, true));
        let sent = to_anna(&reply);
        check(
            &mut node,
            "subscriber",
            ACCESS,
            &from_anna(&request),
            (HeadendToIsp, &request),
            (HeadendToSubscriber, sent, &reply),
        );
        let sent = pushed(BB0, 3001, 255, &reply);
        check(
            &mut node,
            "subscriber, at a tailend",
            BB0,
            &labelled(20, 9, &request),
            (TailendToIsp, &request),
            (TailendToSubscriber, sent, &reply),
        );

        let (request, reply) = (echo(host, gateway, 1, false), echo(gateway, host, 64, true));
        let sent = to_alpha(&reply);
        check(
            &mut node,
            "ISP",
            HANDOFF,
            &from_alpha(&request),
            (TailendToSubscriber, &request),
            (TailendToIsp, sent, &reply),
        );
        let sent = pushed(BB0, 1001, 255, &reply);
        check(
            &mut node,
            "ISP, at a headend",
            BB0,
            &labelled(30, 9, &request),
            (HeadendToSubscriber, &request),
            (HeadendToIsp, sent, &reply),
        );
    }
}

#[test]
fn two_isps_have_one_gateway_address() {
    let words = words();
    let mut node = with_roles(&words);
    let request = echo("100.64.0.20", GATEWAY, 9, false);
    let tags = [(SERVICE, 200), (VLAN, 300)];
    let sent = node.take(LINE, &[ethernet(ours(LINE), EMIL, &tags, IPV4, &request)]).sent;
    let reply = echo(GATEWAY, "100.64.0.20", 64, true);
    assert_eq!(sent, [(LINE, ethernet(EMIL, ours(LINE), &tags, IPV4, &reply))]);
    assert_eq!(node.counters()[&Counter::Packets(BETA, HeadendToSubscriber, Tally::Sent)], 1);
    // What only alpha's role has is no address of ours to beta's.
    let other = udp("100.64.0.20", ALPHA_SOURCE, 9, b"");
    let sent = node.take(LINE, &[ethernet(ours(LINE), EMIL, &tags, IPV4, &other)]).sent;
    assert_eq!(sent[0].0, BB1);
}

#[test]
fn a_trace_ends_at_the_gateway() {
    let words = words();
    let mut node = with_roles(&words);
    let probe = udp(ANNAS, GATEWAY, 1, b"probe");
    let error = icmp(GATEWAY, ANNAS, 64, (3, 3), [0; 4], &probe);
    check(
        &mut node,
        "IPv4",
        ACCESS,
        &from_anna(&probe),
        (HeadendToIsp, &probe),
        (HeadendToSubscriber, to_anna(&error), &error),
    );
    let probe = udp(HOST6, GATEWAY6, 1, b"probe");
    let error = icmp(GATEWAY6, HOST6, 64, (1, 4), [0; 4], &probe);
    check(
        &mut node,
        "IPv6",
        HANDOFF,
        &from_alpha(&probe),
        (TailendToSubscriber, &probe),
        (TailendToIsp, to_alpha(&error), &error),
    );
    // In the uniform model the label's TTL runs out with the packet's, but it is where it was going.
    node.install([Change::Settings(Settings { ttl: TtlModel::Uniform, ..Settings::default() })]);
    let request = echo(ANNAS, ALPHA_SOURCE, 1, false);
    let reply = echo(ALPHA_SOURCE, ANNAS, 64, true);
    let sent = pushed(BB0, 3001, 64, &reply);
    check(
        &mut node,
        "uniform",
        BB0,
        &labelled(20, 1, &request),
        (TailendToIsp, &request),
        (TailendToSubscriber, sent, &reply),
    );
}

#[test]
fn a_long_reply_is_fragmented_and_pings_that_are_are_not_answered() {
    let words = words();
    let mut node = with_roles(&words);
    node.install([Change::Settings(Settings { lsp_mtu: Some(1280), ..Settings::default() })]);
    let request = icmp(HOST, GATEWAY, 9, (8, 0), [0; 4], &[7; 1400]);
    let seen = node.take(BB0, &[labelled(30, 9, &request)]);
    assert_eq!(seen.sent.iter().map(|(_, frame)| frame.len() - 18).collect::<Vec<_>>(), [1276, 172]);
    let counters = node.counters();
    assert_eq!(counters[&Counter::Packets(ALPHA, HeadendToIsp, Tally::ExtraFragments)], 1);
    assert_eq!(counters[&Counter::Octets(ALPHA, HeadendToIsp, Tally::ExtraFragments)], 20);
    assert_eq!(counters[&Counter::Octets(ALPHA, HeadendToIsp, Tally::Originated)], 1428);
    let fragment = ipv4_with(&request, |header| header.more_fragments = true);
    assert!(node.take(BB0, &[labelled(30, 9, &fragment)]).sent.is_empty());
    assert_eq!(node.counters()[&Counter::IspDrop(ALPHA, DropReason::OwnAddress)], 1);
}

#[test]
fn nothing_else_is_answered_and_pings_only_so_often() {
    let words = words();
    let mut node = with_roles(&words);
    let mut wrong = echo(ANNAS, GATEWAY, 9, false);
    *wrong.last_mut().unwrap() ^= 1;
    let tcp = {
        let mut packet = Vec::new();
        let octets = |address: &str| address.parse::<std::net::Ipv4Addr>().unwrap().octets();
        let ip = etherparse::PacketBuilder::ipv4(octets(ANNAS), octets(GATEWAY), 9);
        ip.tcp(1, 22, 0, 9).syn().write(&mut packet, b"").unwrap();
        packet
    };
    let later = ipv4_with(&udp(ANNAS, GATEWAY, 9, b""), |h| h.fragment_offset = 9.try_into().unwrap());
    let others =
        [wrong, tcp, later, echo(ANNAS, GATEWAY, 9, true), icmp(ANNAS, GATEWAY, 9, (3, 1), [0; 4], &[0; 28])];
    for packet in &others {
        assert!(node.take(ACCESS, &[from_anna(packet)]).sent.is_empty());
    }
    assert_eq!(node.counters()[&Counter::IspDrop(ALPHA, DropReason::OwnAddress)], 5);
    // From nobody's address there is no way back.
    assert!(node.take(BB0, &[labelled(30, 9, &echo("240.0.0.1", GATEWAY, 9, false))]).sent.is_empty());
    assert_eq!(node.counters()[&Counter::IspDrop(ALPHA, DropReason::AnswerLimited)], 1);

    let ping = vec![from_anna(&echo(ANNAS, GATEWAY, 9, false)); 25];
    assert_eq!((0..8).map(|_| node.take(ACCESS, &ping).sent.len()).sum::<usize>(), 100);
    assert_eq!(node.counters()[&Counter::IspDrop(ALPHA, DropReason::AnswerLimited)], 101);
    // Errors have a limit of their own, and time passes.
    assert_eq!(node.take(ACCESS, &[from_anna(&udp(ANNAS, HOST, 1, b""))]).sent.len(), 1);
    node.now = node.now + Duration::from_secs(1);
    assert_eq!(node.take(ACCESS, &ping).sent.len(), 25);
}
