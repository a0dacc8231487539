//! Packets that are too long: told, fragmented, or announced shorter from the start.

use contract::counters::Point::{self, HeadendToIsp, HeadendToSubscriber, TailendToIsp, TailendToSubscriber};
use contract::counters::Tally;
use contract::{Change, DropReason, PortKind, Settings};
use etherparse::Ipv4Header;

use crate::frames::*;
use crate::icmp::{from_alpha, from_anna, labelled, pushed, to_alpha, to_anna, with_roles};
use crate::network::*;
use crate::node::{Counter, Node, account, check_grown, words};

const HOST: &str = "198.51.100.1";
const HOST6: &str = "2001:db8:5::1";
const ANNAS: &str = "100.64.0.11";
const ANNAS6: &str = "2001:db8:a:11::7";

fn of_len(from: &str, to: &str, ttl: u8, len: usize, fragments: bool) -> Vec<u8> {
    let headers = if from.contains(':') { 48 } else { 28 };
    let payload: Vec<u8> = (0..len - headers).map(|n| n as u8).collect();
    let packet = udp(from, to, ttl, &payload);
    if fragments { ipv4_with(&packet, |h| (h.dont_fragment, h.identification) = (false, 77)) } else { packet }
}

fn set_lsp_mtu(node: &mut Node<'_>, lsp_mtu: u32) {
    node.install([Change::Settings(Settings { lsp_mtu: Some(lsp_mtu), ..Settings::default() })]);
}

/// What is answered to a packet that is longer than this.
fn too_long(from: &str, packet: &[u8], to: &str, mtu: u32) -> Vec<u8> {
    if to.contains(':') {
        icmp(from, to, 64, (2, 0), mtu.to_be_bytes(), &packet[..packet.len().min(1232)])
    } else {
        icmp(from, to, 64, (3, 4), mtu.to_be_bytes(), &packet[..packet.len().min(548)])
    }
}

struct Row<'a> {
    name: &'a str,
    port: u16,
    frame: Vec<u8>,
    packet: &'a [u8],
    point: Point,
    back: Point,
    sent: (u16, Vec<u8>),
    error: &'a [u8],
}

impl Row<'_> {
    fn check(&self, node: &mut Node<'_>) {
        let (octets, reason) = (self.packet.len() as u64, DropReason::TooLong);
        let mut grown = vec![
            (Counter::IspDrop(ALPHA, reason), 1),
            (Counter::PortDrop(self.port, reason), 1),
            (Counter::Port(self.sent.0, "originated"), 1),
        ];
        grown.extend(account(ALPHA, self.point, Tally::Received, 1, octets));
        grown.extend(account(ALPHA, self.point, Tally::Dropped, 1, octets));
        grown.extend(account(ALPHA, self.back, Tally::Originated, 1, self.error.len() as u64));
        grown.extend(account(ALPHA, self.back, Tally::Sent, 1, self.error.len() as u64));
        check_grown(self.name, node, self.port, &self.frame, std::slice::from_ref(&self.sent), &grown);
    }
}

#[test]
fn what_must_stay_whole_is_told_the_mtu_in_both_directions_at_both_ends() {
    let words = words();
    let mut node = with_roles(&words);
    set_lsp_mtu(&mut node, 1400);
    node.port(ACCESS, PortKind::Access, ours(ACCESS), 1390, true);
    node.port(HANDOFF, PortKind::Handoff, ours(HANDOFF), 1380, true);
    for (ours, annas, host) in [(ALPHA_SOURCE, ANNAS, HOST), (ALPHA_SOURCE6, ANNAS6, HOST6)] {
        let forth = of_len(annas, host, 9, 1401, false);
        let back = of_len(host, annas, 9, 1401, false);
        let error = too_long(ours, &forth, annas, 1400);
        let (port, frame, sent) = (ACCESS, from_anna(&forth), to_anna(&error));
        let (point, other) = (HeadendToIsp, HeadendToSubscriber);
        Row {
            name: "into the LSP to the ISP",
            port,
            frame,
            packet: &forth,
            point,
            back: other,
            sent,
            error: &error,
        }
        .check(&mut node);
        let error = too_long(ours, &back, host, 1400);
        let (port, frame, sent) = (HANDOFF, from_alpha(&back), to_alpha(&error));
        let (point, other) = (TailendToSubscriber, TailendToIsp);
        Row {
            name: "into the LSP to the subscriber",
            port,
            frame,
            packet: &back,
            point,
            back: other,
            sent,
            error: &error,
        }
        .check(&mut node);

        let (forth, back) = (of_len(annas, host, 9, 1381, false), of_len(host, annas, 9, 1391, false));
        let error = too_long(ours, &forth, annas, 1380);
        let (port, frame, sent) = (BB0, labelled(20, 9, &forth), pushed(BB0, 3001, 255, &error));
        let (point, other) = (TailendToIsp, TailendToSubscriber);
        Row {
            name: "out of a handoff",
            port,
            frame,
            packet: &forth,
            point,
            back: other,
            sent,
            error: &error,
        }
        .check(&mut node);
        let error = too_long(ours, &back, host, 1390);
        let (port, frame, sent) = (BB0, labelled(30, 9, &back), pushed(BB0, 1001, 255, &error));
        let (point, other) = (HeadendToSubscriber, HeadendToIsp);
        Row {
            name: "out to a subscriber",
            port,
            frame,
            packet: &back,
            point,
            back: other,
            sent,
            error: &error,
        }
        .check(&mut node);
    }
    // What just fits goes.
    for len in [1399, 1400] {
        assert_eq!(node.take(ACCESS, &[from_anna(&of_len(ANNAS, HOST, 9, len, false))]).sent[0].0, BB0);
    }
    // Of LSP MTU and the port's less its labels, the smaller counts.
    node.port(BB0, PortKind::Backbone, ours(BB0), 1300, true);
    let forth = of_len(ANNAS, HOST, 9, 1297, false);
    let error = too_long(ALPHA_SOURCE, &forth, ANNAS, 1296);
    assert_eq!(node.take(ACCESS, &[from_anna(&forth)]).sent, [to_anna(&error)]);
}

/// Joins fragments by etherparse: the packet that they were, but for its TTL.
fn joined(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = Vec::new();
    let first = Ipv4Header::from_slice(&fragments[0]).unwrap().0;
    for (n, fragment) in fragments.iter().enumerate() {
        let (header, rest) = Ipv4Header::from_slice(fragment).unwrap();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(usize::from(header.fragment_offset.byte_offset()), payload.len());
        assert_eq!((header.more_fragments, header.identification), (n + 1 < fragments.len(), 77));
        assert_eq!(
            (header.time_to_live, usize::from(header.total_len)),
            (first.time_to_live, fragment.len())
        );
        payload.extend(rest);
    }
    let mut header = first;
    header.more_fragments = false;
    header.set_payload_len(payload.len()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], &payload].concat()
}

#[test]
fn what_may_be_fragmented_is_in_both_directions_at_both_ends() {
    let words = words();
    let mut node = with_roles(&words);
    set_lsp_mtu(&mut node, 1300);
    node.port(ACCESS, PortKind::Access, ours(ACCESS), 600, true);
    node.port(HANDOFF, PortKind::Handoff, ours(HANDOFF), 620, true);
    let (forth, back) = (of_len(ANNAS, HOST, 9, 1500, true), of_len(HOST, ANNAS, 9, 1500, true));
    let mut padded = from_anna(&forth);
    padded.extend([0xee; 7]);
    for (name, port, frame, point, by, header, lens) in [
        ("headend, to the ISP", ACCESS, padded, HeadendToIsp, BB0, 18, &[1300, 220][..]),
        (
            "tailend, to the subscriber",
            HANDOFF,
            from_alpha(&back),
            TailendToSubscriber,
            BB0,
            18,
            &[1300, 220],
        ),
        ("tailend, to the ISP", BB0, labelled(20, 9, &forth), TailendToIsp, HANDOFF, 18, &[620, 620, 300]),
        (
            "headend, to the subscriber",
            BB0,
            labelled(30, 9, &back),
            HeadendToSubscriber,
            ACCESS,
            14,
            &[596, 596, 348],
        ),
    ] {
        let sent = with_probe(&node, port, &frame);
        assert!(sent.iter().all(|(port, _)| *port == by), "{name}");
        let packets: Vec<Vec<u8>> = sent.iter().map(|(_, frame)| frame[header..].to_vec()).collect();
        assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), lens, "{name}");
        assert!(
            sent.iter().all(|(_, frame)| frame[..header] == sent[0].1[..header]),
            "{name}: one header for all"
        );
        let whole = if point == HeadendToIsp || point == TailendToIsp { &forth } else { &back };
        assert_eq!(joined(&packets), ipv4_with(whole, |header| header.time_to_live = 8), "{name}");
        let (more, octets) = (lens.len() as u64 - 1, lens.iter().sum::<usize>() as u64);
        let mut grown = vec![(Counter::Port(by, "originated"), more)];
        grown.extend(account(ALPHA, point, Tally::Received, 1, 1500));
        grown.extend(account(ALPHA, point, Tally::ExtraFragments, more, octets - 1500));
        grown.extend(account(ALPHA, point, Tally::Sent, more + 1, octets));
        check_grown(name, &mut node, port, &frame, &sent, &grown);
    }
}

/// What another node that holds the same sends for this frame.
fn with_probe(node: &Node<'_>, port: u16, frame: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let words = words();
    let mut other = crate::network::node(&words);
    other.install(node.forwarder.installed());
    other.port(ACCESS, PortKind::Access, ours(ACCESS), 600, true);
    other.port(HANDOFF, PortKind::Handoff, ours(HANDOFF), 620, true);
    other.take(port, &[frame.to_vec()]).sent
}

#[test]
fn all_fragments_leave_or_none() {
    let words = words();
    let mut node = with_roles(&words);
    node.port(ACCESS, PortKind::Access, ours(ACCESS), 100, true);
    let long = labelled(30, 9, &of_len(HOST, ANNAS, 9, 1500, true));
    let mut out = forward::Output::default();
    for spare in [17, 18] {
        let held: Vec<_> =
            (0..node.pool.capacity() - 1 - spare).map(|_| node.pool.alloc(1).unwrap()).collect();
        let frame = node.pool.alloc_from(&long).unwrap();
        node.forwarder.process(node.now, contract::PortId(BB0), &mut node.pool, [frame], &mut out);
        // 1480 octets of payload, 80 in each.
        assert_eq!(out.departures.len(), if spare < 18 { 0 } else { 19 });
        assert_eq!(node.counters()[&Counter::IspDrop(ALPHA, DropReason::NoBuffer)], 1);
        for departure in out.departures.drain(..) {
            node.forwarder.refused(departure.charge);
            node.pool.free(departure.frame);
        }
        held.into_iter().for_each(|frame| node.pool.free(frame));
    }
    // Each is refused by itself.
    let counters = node.counters();
    assert_eq!(counters[&Counter::IspDrop(ALPHA, DropReason::TxRefused)], 19);
    assert_eq!(counters[&Counter::Packets(ALPHA, HeadendToSubscriber, Tally::ExtraFragments)], 18);
    assert_eq!(counters[&Counter::Octets(ALPHA, HeadendToSubscriber, Tally::Dropped)], 1500 + 1500 + 18 * 20);
    node.take(BB0, &[long]);
    // An MTU in which no fragment has room.
    node.port(ACCESS, PortKind::Access, ours(ACCESS), 27, true);
    let before = node.counters()[&Counter::Packets(ALPHA, HeadendToSubscriber, Tally::Dropped)];
    node.take(BB0, &[labelled(30, 9, &of_len(HOST, ANNAS, 9, 28, true))]);
    let counters = node.counters();
    assert_eq!(counters[&Counter::Packets(ALPHA, HeadendToSubscriber, Tally::Dropped)], before + 1);
    assert_eq!(counters[&Counter::IspDrop(ALPHA, DropReason::TooLong)], 1);
}

/// A SYN that announces this MSS, and the MSS and whether the checksum holds in what is sent for it.
fn syn(from: &str, to: &str, mss: u16) -> Vec<u8> {
    use etherparse::{PacketBuilder, TcpOptionElement};
    let octets = |address: &str| address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let octets6 = |address: &str| address.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let ip = if from.contains(':') {
        PacketBuilder::ipv6(octets6(from), octets6(to), 9)
    } else {
        PacketBuilder::ipv4(octets(from), octets(to), 9)
    };
    let mut packet = Vec::new();
    let options =
        [TcpOptionElement::MaximumSegmentSize(mss), TcpOptionElement::SelectiveAcknowledgementPermitted];
    ip.tcp(1000, 80, 7, 512).syn().options(&options).unwrap().write(&mut packet, b"").unwrap();
    packet
}

fn announced(packet: &[u8]) -> u16 {
    let headers = etherparse::PacketHeaders::from_ip_slice(packet).unwrap();
    let Some(etherparse::TransportHeader::Tcp(tcp)) = headers.transport else { panic!("not TCP") };
    let sum = match headers.net.unwrap() {
        etherparse::NetHeaders::Ipv4(ip, _) => tcp.calc_checksum_ipv4(&ip, &[]),
        etherparse::NetHeaders::Ipv6(ip, _) => tcp.calc_checksum_ipv6(&ip, &[]),
        _ => panic!("not IP"),
    };
    assert_eq!(sum.unwrap(), tcp.checksum);
    let mss = tcp.options_iterator().find_map(|option| match option {
        Ok(etherparse::TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
        _ => None,
    });
    mss.unwrap()
}

#[test]
fn segments_are_announced_as_what_fits_where_the_isp_asks_for_it() {
    let words = words();
    let mut node = with_roles(&words);
    set_lsp_mtu(&mut node, 1400);
    // Of the two ISPs beta asks. Its way to the ISP has two labels, the way back one.
    let emil = |packet: &[u8]| {
        ethernet(ours(LINE), EMIL, &[(SERVICE, 200), (VLAN, 300)], ether_type(packet), packet)
    };
    let beta = |packet: &[u8]| ethernet(ours(HANDOFF), BETA_V4, &[], ether_type(packet), packet);
    let mss = |node: &mut Node<'_>, port, frame, header: usize| {
        announced(&node.take(port, &[frame]).sent[0].1[header..])
    };
    for (given, expected) in [(1460, 1360), (1361, 1360), (1360, 1360), (536, 536)] {
        assert_eq!(mss(&mut node, LINE, emil(&syn("100.64.0.20", HOST, given)), 22), expected);
        assert_eq!(mss(&mut node, HANDOFF, beta(&syn(HOST, "100.64.0.20", given)), 18), expected);
    }
    assert_eq!(mss(&mut node, LINE, emil(&syn("2001:db8:b:20::1", HOST6, 1440)), 22), 1340);
    assert_eq!(mss(&mut node, ACCESS, from_anna(&syn(ANNAS, HOST, 1460)), 18), 1460, "alpha does not");
    // What fits the circuit that it came in by, and what fits the port less its labels.
    node.port(LINE, PortKind::Access, ours(LINE), 1380, true);
    assert_eq!(mss(&mut node, LINE, emil(&syn("100.64.0.20", HOST, 1460)), 22), 1340);
    node.port(BB1, PortKind::Backbone, ours(BB1), 1308, true);
    assert_eq!(mss(&mut node, LINE, emil(&syn("100.64.0.20", HOST, 1460)), 22), 1260);
    // At the end of the LSP nothing is changed.
    let out = node.take(BB0, &[labelled(31, 9, &syn(HOST, "100.64.0.20", 1460))]);
    assert_eq!(announced(&out.sent[0].1[22..]), 1460);
}
