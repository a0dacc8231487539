//! ICMP errors: to whom, from which address, by which way, and all the counters of each.

use std::time::Duration;

use contract::counters::Point::{self, HeadendToIsp, HeadendToSubscriber, TailendToIsp, TailendToSubscriber};
use contract::counters::Tally;
use contract::{Asn, Change, DropReason, PortKind, Settings};

use crate::frames::*;
use crate::network::*;
use crate::node::{Counter, Node, account, check_grown, words};

const HOST: &str = "198.51.100.1";
const HOST6: &str = "2001:db8:5::1";
const ANNAS: &str = "100.64.0.11";
const ANNAS6: &str = "2001:db8:a:11::7";

const TIME_EXCEEDED: (u8, u8) = (11, 0);
const TIME_EXCEEDED6: (u8, u8) = (3, 0);
const NET: (u8, u8) = (3, 0);
const HOST_CODE: (u8, u8) = (3, 1);
const NO_ROUTE6: (u8, u8) = (1, 0);
const ADDRESS6: (u8, u8) = (1, 3);
const NONE: [u8; 4] = [0; 4];

pub(crate) fn with_roles(words: &[std::sync::atomic::AtomicU64]) -> Node<'_> {
    let mut node = node(words);
    node.install(roles());
    node
}

pub(crate) fn from_anna(packet: &[u8]) -> Vec<u8> {
    ethernet(ours(ACCESS), ANNA, &[], ether_type(packet), packet)
}

pub(crate) fn to_anna(packet: &[u8]) -> (u16, Vec<u8>) {
    (ACCESS, ethernet(ANNA, ours(ACCESS), &[], ether_type(packet), packet))
}

pub(crate) fn from_alpha(packet: &[u8]) -> Vec<u8> {
    ethernet(ours(HANDOFF), [2, 0, 0, 0, 9, 9], &[(VLAN, 10)], ether_type(packet), packet)
}

pub(crate) fn to_alpha(packet: &[u8]) -> (u16, Vec<u8>) {
    let mac = if packet[0] >> 4 == 6 { ALPHA_V6 } else { ALPHA_V4 };
    (HANDOFF, ethernet(mac, ours(HANDOFF), &[(VLAN, 10)], ether_type(packet), packet))
}

pub(crate) fn labelled(value: u32, ttl: u8, packet: &[u8]) -> Vec<u8> {
    ethernet(ours(BB0), peer(BB0), &[], MPLS, &cat(&[&label(value, 0, true, ttl), packet]))
}

pub(crate) fn pushed(by: u16, value: u32, ttl: u8, packet: &[u8]) -> (u16, Vec<u8>) {
    (by, ethernet(peer(by), ours(by), &[], MPLS, &cat(&[&label(value, 0, true, ttl), packet])))
}

/// What grows when a packet of so many octets is dropped at a point and its sender told, by a port, in so many.
fn grown(
    arrived: u16,
    reason: DropReason,
    (point, octets): (Point, u64),
    answer: Option<(u16, Point, u64)>,
) -> Vec<(Counter, u64)> {
    let mut grown = vec![(Counter::IspDrop(ALPHA, reason), 1), (Counter::PortDrop(arrived, reason), 1)];
    grown.extend(account(ALPHA, point, Tally::Received, 1, octets));
    grown.extend(account(ALPHA, point, Tally::Dropped, 1, octets));
    if let Some((by, point, octets)) = answer {
        grown.push((Counter::Port(by, "originated"), 1));
        grown.extend(account(ALPHA, point, Tally::Originated, 1, octets));
        grown.extend(account(ALPHA, point, Tally::Sent, 1, octets));
    }
    grown
}

/// A port and a frame.
type Frame = (u16, Vec<u8>);

struct Row<'a> {
    name: &'a str,
    port: u16,
    frame: Vec<u8>,
    /// The packet in it, and where it is dropped for what.
    packet: &'a [u8],
    point: Point,
    reason: DropReason,
    /// The port and frame of the answer, and the IP packet in it.
    answer: Option<(Frame, Point, &'a [u8])>,
}

impl Row<'_> {
    fn check(self, node: &mut Node<'_>) {
        let Self { name, port, frame, packet, point, reason, answer } = self;
        let sent: Vec<_> = answer.iter().map(|(sent, ..)| sent.clone()).collect();
        let answered = answer.map(|((by, _), point, packet)| (by, point, packet.len() as u64));
        let grown = grown(port, reason, (point, packet.len() as u64), answered);
        check_grown(name, node, port, &frame, &sent, &grown);
    }
}

#[test]
fn where_a_ttl_runs_out_its_sender_is_told_by_the_way_that_it_came() {
    let words = words();
    let mut node = with_roles(&words);
    let forth = |ttl| udp(ANNAS, HOST, ttl, b"trace");
    let forth6 = |ttl| udp(ANNAS6, HOST6, ttl, b"trace");
    let back = |ttl| udp(HOST, ANNAS, ttl, b"trace");
    let back6 = |ttl| udp(HOST6, ANNAS6, ttl, b"trace");
    let error = |packet: &[u8], to| icmp(ALPHA_SOURCE, to, 64, TIME_EXCEEDED, NONE, packet);
    let error6 = |packet: &[u8], to| icmp(ALPHA_SOURCE6, to, 64, TIME_EXCEEDED6, NONE, packet);
    let rows: [(&str, Vec<u8>, Vec<u8>); 4] = [
        ("IPv4 forth", forth(1), error(&forth(1), ANNAS)),
        ("IPv6 forth", forth6(1), error6(&forth6(1), ANNAS6)),
        ("IPv4 back", back(1), error(&back(1), HOST)),
        ("IPv6 back", back6(1), error6(&back6(1), HOST6)),
    ];
    for (name, packet, error) in &rows {
        let to_isp = name.ends_with("forth");
        let (head, tail) =
            if to_isp { (HeadendToIsp, TailendToIsp) } else { (HeadendToSubscriber, TailendToSubscriber) };
        let (head_back, tail_back) =
            if to_isp { (HeadendToSubscriber, TailendToSubscriber) } else { (HeadendToIsp, TailendToIsp) };
        let (at_head, at_tail) = if to_isp {
            (
                (ACCESS, from_anna(packet), to_anna(error)),
                (BB0, labelled(20, 9, packet), pushed(BB0, 3001, 255, error)),
            )
        } else {
            (
                (BB0, labelled(30, 9, packet), pushed(BB0, 1001, 255, error)),
                (HANDOFF, from_alpha(packet), to_alpha(error)),
            )
        };
        for ((port, frame, sent), point, back) in [(at_head, head, head_back), (at_tail, tail, tail_back)] {
            let answer = Some((sent, back, &error[..]));
            let reason = DropReason::TtlExpired;
            Row { name, port, frame, packet, point, reason, answer }.check(&mut node);
        }
    }
}

#[test]
fn what_has_no_way_on_is_unreachable() {
    let (forth, forth6) = (udp(ANNAS, HOST, 9, b"x"), udp(ANNAS6, HOST6, 9, b"x"));
    let (back, back6) = (udp(HOST, "100.64.0.99", 9, b"x"), udp(HOST6, "2001:db8:a:99::1", 9, b"x"));
    let nowhere = udp(HOST, "203.0.113.5", 9, b"x");
    let unreachable = |kind, to, packet: &[u8]| icmp(ALPHA_SOURCE, to, 64, kind, NONE, packet);
    let unreachable6 = |kind, to, packet: &[u8]| icmp(ALPHA_SOURCE6, to, 64, kind, NONE, packet);
    let words = words();
    let mut node = with_roles(&words);
    let error = unreachable(NET, HOST, &nowhere);
    Row {
        name: "tailend: the ISP has no such prefix",
        port: HANDOFF,
        frame: from_alpha(&nowhere),
        packet: &nowhere,
        point: TailendToSubscriber,
        reason: DropReason::NoRoute,
        answer: Some((to_alpha(&error), TailendToIsp, &error)),
    }
    .check(&mut node);
    for (packet, error) in
        [(&back, unreachable(HOST_CODE, HOST, &back)), (&back6, unreachable6(ADDRESS6, HOST6, &back6))]
    {
        Row {
            name: "headend: no such subscriber",
            port: BB0,
            frame: labelled(30, 9, packet),
            packet,
            point: HeadendToSubscriber,
            reason: DropReason::NoSubscriber,
            answer: Some((pushed(BB0, 1001, 255, &error), HeadendToIsp, &error)),
        }
        .check(&mut node);
    }
    let unresolved = udp(HOST, "100.64.0.13", 9, b"x");
    let before = node.counters();
    assert!(node.take(BB0, &[labelled(30, 9, &unresolved)]).sent.is_empty(), "not before it is resolved");
    assert_eq!(node.counters().len(), before.len() + 2);

    node.install([handoff(circuit(HANDOFF, &[10]), ALPHA, None, Some(ALPHA_V6))]);
    let error = unreachable(HOST_CODE, ANNAS, &forth);
    Row {
        name: "tailend: next hop not resolved",
        port: BB0,
        frame: labelled(20, 9, &forth),
        packet: &forth,
        point: TailendToIsp,
        reason: DropReason::HandoffUnresolved,
        answer: Some((pushed(BB0, 3001, 255, &error), TailendToSubscriber, &error)),
    }
    .check(&mut node);
    node.port(HANDOFF, PortKind::Handoff, ours(HANDOFF), EDGE_MTU, false);
    let error = unreachable6(NO_ROUTE6, ANNAS6, &forth6);
    Row {
        name: "tailend: port down",
        port: BB0,
        frame: labelled(20, 9, &forth6),
        packet: &forth6,
        point: TailendToIsp,
        reason: DropReason::PortDown,
        answer: Some((pushed(BB0, 3001, 255, &error), TailendToSubscriber, &error)),
    }
    .check(&mut node);

    node.install([ftn(ALPHA, &[])]);
    for (packet, error) in
        [(&forth, unreachable(NET, ANNAS, &forth)), (&forth6, unreachable6(NO_ROUTE6, ANNAS6, &forth6))]
    {
        Row {
            name: "headend: no LSP to the ISP",
            port: ACCESS,
            frame: from_anna(packet),
            packet,
            point: HeadendToIsp,
            reason: DropReason::IspUnreachable,
            answer: Some((to_anna(&error), HeadendToSubscriber, &error)),
        }
        .check(&mut node);
    }
    Row {
        name: "nor a way back",
        port: BB0,
        frame: labelled(30, 9, &back),
        packet: &back,
        point: HeadendToSubscriber,
        reason: DropReason::NoSubscriber,
        answer: None,
    }
    .check(&mut node);
}

#[test]
fn without_an_address_of_its_version_nothing_is_sent() {
    let words = words();
    let mut node = node(&words);
    let expired = from_anna(&udp(ANNAS, HOST, 1, b""));
    assert!(node.take(ACCESS, std::slice::from_ref(&expired)).sent.is_empty());
    node.install(roles());
    assert_eq!(node.take(ACCESS, std::slice::from_ref(&expired)).sent.len(), 1);
    let emil = |packet: &[u8]| {
        ethernet(ours(LINE), EMIL, &[(SERVICE, 200), (VLAN, 300)], ether_type(packet), packet)
    };
    let sent = node.take(LINE, &[emil(&udp("100.64.0.20", HOST, 1, b""))]).sent;
    assert_eq!(sent[0].1[26 + 8..][..4], [192, 0, 2, 66], "beta's own");
    assert_eq!(sent[0].1[..22], ethernet(EMIL, ours(LINE), &[(SERVICE, 200), (VLAN, 300)], IPV4, &[])[..22]);
    assert!(node.take(LINE, &[emil(&udp("2001:db8:b:20::1", HOST6, 1, b""))]).sent.is_empty());
    node.install([Change::Isp(Asn(ALPHA), None)]);
    assert!(node.take(ACCESS, &[expired]).sent.is_empty());
}

#[test]
fn some_packets_are_never_answered() {
    let words = words();
    let mut node = with_roles(&words);
    let silent = |node: &mut Node<'_>, name: &str, port, frame: Vec<u8>, reason| {
        let seen = node.take(port, &[frame]);
        assert!(seen.sent.is_empty() && seen.punted.is_empty(), "{name}: {seen:?}");
        assert!(node.counters().contains_key(&Counter::PortDrop(port, reason)), "{name}");
    };
    // ICMP errors and redirects, of every type, and a later fragment.
    for kind in [3, 4, 5, 11, 12] {
        let error = icmp(ANNAS, HOST, 1, (kind, 0), NONE, &udp(HOST, ANNAS, 1, b""));
        silent(&mut node, "error", ACCESS, from_anna(&error), DropReason::TtlExpired);
    }
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        let error = icmp(ANNAS6, HOST6, 1, (kind, 0), NONE, &udp(HOST6, ANNAS6, 1, b""));
        silent(&mut node, "error, IPv6", ACCESS, from_anna(&error), DropReason::TtlExpired);
    }
    let later = ipv4_with(&udp(ANNAS, HOST, 1, b""), |h| h.fragment_offset = 9.try_into().unwrap());
    silent(&mut node, "later fragment", ACCESS, from_anna(&later), DropReason::TtlExpired);
    // Sources that are no host's, from where no binding says so: under a label, and from the ISP.
    for source in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "169.254.1.1",
        ALPHA_SOURCE,
    ] {
        silent(&mut node, source, BB0, labelled(30, 9, &udp(source, ANNAS, 1, b"")), DropReason::TtlExpired);
    }
    for source in ["::", "::1", "fe80::1", "ff02::1", "::ffff:192.0.2.1"] {
        silent(&mut node, source, BB0, labelled(30, 9, &udp(source, ANNAS6, 1, b"")), DropReason::TtlExpired);
    }
    silent(
        &mut node,
        "class E",
        HANDOFF,
        from_alpha(&udp("240.0.0.1", ANNAS, 1, b"")),
        DropReason::TtlExpired,
    );
    // Destinations that are no host's.
    for destination in ["224.0.0.1", "255.255.255.255", "240.0.0.1", "0.0.0.0"] {
        let packet = udp(HOST, destination, 9, b"");
        silent(&mut node, destination, BB0, labelled(30, 9, &packet), DropReason::NoSubscriber);
        let packet = udp(ANNAS, destination, 1, b"");
        silent(&mut node, destination, BB0, labelled(20, 9, &packet), DropReason::TtlExpired);
    }
    silent(
        &mut node,
        "ff05::1",
        BB0,
        labelled(30, 9, &udp(HOST6, "ff05::1", 9, b"")),
        DropReason::NoSubscriber,
    );
    // Spoofed: not bound to the circuit, or from another station than the bound one.
    let spoofed = from_anna(&udp("100.64.0.14", HOST, 1, b""));
    silent(&mut node, "spoofed", ACCESS, spoofed, DropReason::SourceNotBound);
    silent(
        &mut node,
        "another station",
        ACCESS,
        from_anna(&udp("100.64.0.12", HOST, 1, b"")),
        DropReason::WrongMac,
    );
    let broadcast = ethernet([0xff; 6], ANNA, &[], IPV4, &udp(ANNAS, HOST, 1, b""));
    silent(&mut node, "link-layer broadcast", ACCESS, broadcast, DropReason::NotForUs);
    let group = ethernet(ours(ACCESS), [3, 0, 0, 0, 0, 1], &[], IPV4, &udp(ANNAS, HOST, 1, b""));
    silent(&mut node, "from a group", ACCESS, group, DropReason::TtlExpired);
    // A first fragment is.
    let first = ipv4_with(&udp(ANNAS, HOST, 1, b""), |h| h.more_fragments = true);
    assert_eq!(node.take(ACCESS, &[from_anna(&first)]).sent.len(), 1);
}

#[test]
fn a_line_and_an_isp_hear_only_so_much() {
    let words = words();
    let mut node = with_roles(&words);
    let expired = vec![from_anna(&udp(ANNAS, HOST, 1, b"")); 20];
    let heard = |node: &mut Node<'_>| (0..10).map(|_| node.take(ACCESS, &expired).sent.len()).sum::<usize>();
    assert_eq!(heard(&mut node), 100);
    node.now = node.now + Duration::from_millis(100);
    assert_eq!(heard(&mut node), 10);
    let counters = node.counters();
    assert_eq!(counters[&Counter::IspDrop(ALPHA, DropReason::TtlExpired)], 400);
    assert_eq!(counters[&Counter::Packets(ALPHA, HeadendToSubscriber, Tally::Originated)], 110);
    // Under a label each sender has its own limit, and all of an ISP's together theirs.
    let from = |n: u32| {
        let source = std::net::Ipv4Addr::from_bits(0xc633_6400 + n).to_string();
        vec![labelled(30, 9, &udp(&source, ANNAS, 1, b"")); 30]
    };
    let all: usize = (0..60).map(|n| node.take(BB0, &from(n)).sent.len()).sum();
    assert!((890..=1000).contains(&all), "{all}");
    let beta = ethernet(ours(HANDOFF), BETA_V4, &[], IPV4, &udp(HOST, "100.64.0.20", 1, b""));
    assert_eq!(node.take(HANDOFF, &[beta]).sent.len(), 1, "the other ISP's is untouched");
}

#[test]
fn an_answer_that_cannot_be_made_or_sent_is_none() {
    let words = words();
    let mut node = with_roles(&words);
    let expired = labelled(20, 9, &udp(ANNAS, HOST, 1, b""));
    node.port(BB0, PortKind::Backbone, ours(BB0), BACKBONE_MTU, false);
    assert!(node.take(BB0, std::slice::from_ref(&expired)).sent.is_empty(), "no way back");
    node.port(BB0, PortKind::Backbone, ours(BB0), 100, true);
    let long = labelled(20, 9, &udp(ANNAS6, HOST6, 1, &[0; 500]));
    assert!(node.take(BB0, &[long]).sent.is_empty(), "an error over IPv6 that does not fit");
    let long = labelled(20, 9, &udp(ANNAS, HOST, 1, &[0; 500]));
    assert_eq!(node.take(BB0, &[long]).sent.len(), 8, "over IPv4 it is fragmented");
    let held: Vec<_> = (0..node.pool.capacity() - 1).map(|_| node.pool.alloc(1).unwrap()).collect();
    let mut out = forward::Output::default();
    let frame = node.pool.alloc_from(&from_anna(&udp(ANNAS, HOST, 1, b""))).unwrap();
    node.forwarder.process(node.now, contract::PortId(ACCESS), &mut node.pool, [frame], &mut out);
    assert!(out.departures.is_empty() && node.pool.available() == 1, "no buffer for it");
    held.into_iter().for_each(|frame| node.pool.free(frame));
    node.install([Change::Settings(Settings::default())]);
    assert_eq!(node.take_refused(ACCESS, &from_anna(&udp(ANNAS, HOST, 1, b""))).sent.len(), 0);
}
