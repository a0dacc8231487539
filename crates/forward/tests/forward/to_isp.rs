//! Headend, from access ports.

use contract::counters::Point::HeadendToIsp;
use contract::counters::Tally;
use contract::{Change, DropReason, PortId, PortKind, PuntReason, Settings, TtlModel};

use crate::frames::*;
use crate::network::*;
use crate::node::{Counter, Expected, Node, check, words};

const SERVICE_V4: &str = "198.51.100.1";
const SERVICE_V6: &str = "2001:db8:5::1";

fn from_anna(packet: &[u8]) -> Vec<u8> {
    ethernet(ours(ACCESS), ANNA, &[], IPV4, packet)
}

fn row(name: &str, port: u16, frame: &[u8], expected: Expected) {
    let words = words();
    check(name, &mut node(&words), port, frame, expected);
}

fn dropped(name: &str, port: u16, frame: &[u8], isp: u32, reason: DropReason) {
    row(name, port, frame, Expected::Dropped(isp, reason));
}

/// What goes out to the backbone with these labels.
fn labelled(port: u16, labels: &[[u8; 4]], packet: &[u8]) -> Vec<u8> {
    ethernet(peer(port), ours(port), &[], MPLS, &[&labels.concat(), packet].concat())
}

#[test]
fn a_packet_gets_the_label_of_its_isp_and_one_hop_less() {
    let out = udp("100.64.0.11", SERVICE_V4, 63, b"hello");
    row(
        "IPv4, untagged",
        ACCESS,
        &from_anna(&udp("100.64.0.11", SERVICE_V4, 64, b"hello")),
        Expected::Sent(BB0, labelled(BB0, &[label(1001, 0, true, 255)], &out), (ALPHA, HeadendToIsp, 33)),
    );
    let out = udp("2001:db8:a:11::7", SERVICE_V6, 1, b"hello");
    row(
        "IPv6, the last hop that is possible",
        ACCESS,
        &ethernet(ours(ACCESS), ANNA, &[], IPV6, &udp("2001:db8:a:11::7", SERVICE_V6, 2, b"hello")),
        Expected::Sent(BB0, labelled(BB0, &[label(1001, 0, true, 255)], &out), (ALPHA, HeadendToIsp, 53)),
    );
}

#[test]
fn the_same_address_on_two_lines_is_two_subscribers() {
    let sent = udp("100.64.0.20", SERVICE_V4, 64, b"");
    let out = udp("100.64.0.20", SERVICE_V4, 63, b"");
    row(
        "one tag",
        LINE,
        &ethernet(ours(LINE), DORA, &[(VLAN, 100)], IPV4, &sent),
        Expected::Sent(BB0, labelled(BB0, &[label(1001, 0, true, 255)], &out), (ALPHA, HeadendToIsp, 28)),
    );
    let stack = [label(2001, 0, false, 255), label(2002, 0, true, 255)];
    for tags in [[(SERVICE, 200), (VLAN, 300)], [(VLAN, 200), (SERVICE, 300)], [(VLAN, 200), (VLAN, 300)]] {
        row(
            "two tags of either kind, two labels",
            LINE,
            &ethernet(ours(LINE), EMIL, &tags, IPV4, &sent),
            Expected::Sent(BB1, labelled(BB1, &stack, &out), (BETA, HeadendToIsp, 28)),
        );
    }
    for tags in
        [&[][..], &[(VLAN, 101)], &[(VLAN, 300), (VLAN, 200)], &[(VLAN, 200)], &[(VLAN, 100), (VLAN, 300)]]
    {
        let frame = ethernet(ours(LINE), DORA, tags, IPV4, &sent);
        dropped("other tags", LINE, &frame, 0, DropReason::NoSuchCircuit);
    }
}

#[test]
fn a_priority_tag_is_no_tag() {
    let out = udp("100.64.0.11", SERVICE_V4, 63, b"");
    row(
        "VLAN 0",
        ACCESS,
        &ethernet(ours(ACCESS), ANNA, &[(VLAN, 0)], IPV4, &udp("100.64.0.11", SERVICE_V4, 64, b"")),
        Expected::Sent(BB0, labelled(BB0, &[label(1001, 0, true, 255)], &out), (ALPHA, HeadendToIsp, 28)),
    );
}

#[test]
fn padding_does_not_enter_the_lsp_and_options_and_fragments_do() {
    let mut frame = from_anna(&udp("100.64.0.11", SERVICE_V4, 64, b"x"));
    frame.resize(60, 0xee);
    let out = udp("100.64.0.11", SERVICE_V4, 63, b"x");
    row(
        "padding",
        ACCESS,
        &frame,
        Expected::Sent(BB0, labelled(BB0, &[label(1001, 0, true, 255)], &out), (ALPHA, HeadendToIsp, 29)),
    );
    type Edit = fn(&mut etherparse::Ipv4Header);
    let edits: [(&str, u64, Edit); 3] = [
        ("options", 36, |h| h.options = [7, 7, 4, 0, 0, 0, 0, 0].into()),
        ("first fragment", 28, |h| h.more_fragments = true),
        ("last fragment", 28, |h| h.fragment_offset = 100.try_into().unwrap()),
    ];
    for (name, octets, edit) in edits {
        let frame = from_anna(&ipv4_with(&udp("100.64.0.11", SERVICE_V4, 64, b""), edit));
        let out = ipv4_with(&udp("100.64.0.11", SERVICE_V4, 63, b""), edit);
        let out = labelled(BB0, &[label(1001, 0, true, 255)], &out);
        row(name, ACCESS, &frame, Expected::Sent(BB0, out, (ALPHA, HeadendToIsp, octets)));
    }
}

#[test]
fn in_the_uniform_model_the_label_takes_the_packets_ttl() {
    let words = words();
    let mut node = node(&words);
    node.install([Change::Settings(Settings { ttl: TtlModel::Uniform, ..Settings::default() })]);
    let sent = ethernet(
        ours(LINE),
        EMIL,
        &[(SERVICE, 200), (VLAN, 300)],
        IPV4,
        &udp("100.64.0.20", SERVICE_V4, 10, b""),
    );
    let out = labelled(
        BB1,
        &[label(2001, 0, false, 9), label(2002, 0, true, 9)],
        &udp("100.64.0.20", SERVICE_V4, 9, b""),
    );
    check("uniform", &mut node, LINE, &sent, Expected::Sent(BB1, out, (BETA, HeadendToIsp, 28)));
}

#[test]
fn what_is_not_bound_to_the_circuit_goes_nowhere() {
    for source in ["100.64.0.14", "198.51.100.1", "10.255.0.1", "127.0.0.1", "0.0.0.0", "224.0.0.1"] {
        let frame = from_anna(&udp(source, SERVICE_V4, 64, b""));
        dropped(source, ACCESS, &frame, 0, DropReason::SourceNotBound);
    }
    for source in ["2001:db8:a:12::1", "2001:db8:b:20::1", "::", "::1", "ff02::1", "::ffff:100.64.0.11"] {
        let frame = ethernet(ours(ACCESS), ANNA, &[], IPV6, &udp(source, SERVICE_V6, 64, b""));
        dropped(source, ACCESS, &frame, 0, DropReason::SourceNotBound);
    }
    // On another circuit, a subscriber's own address is not its own.
    let frame = ethernet(ours(LINE), ANNA, &[(VLAN, 100)], IPV4, &udp("100.64.0.11", SERVICE_V4, 64, b""));
    dropped("another circuit's", LINE, &frame, 0, DropReason::SourceNotBound);
}

#[test]
fn what_stays_on_its_link_stays_there() {
    for destination in ["224.0.0.1", "255.255.255.255", "169.254.1.1", "127.0.0.1", "0.0.0.0", "239.1.2.3"] {
        let frame = from_anna(&udp("100.64.0.11", destination, 64, b""));
        dropped(destination, ACCESS, &frame, 0, DropReason::LinkScope);
    }
    for destination in ["ff05::1", "fe80::1", "::1", "::", "::ffff:127.0.0.1", "::ffff:198.51.100.1"] {
        let frame = ethernet(ours(ACCESS), ANNA, &[], IPV6, &udp("2001:db8:a:11::7", destination, 64, b""));
        dropped(destination, ACCESS, &frame, 0, DropReason::LinkScope);
    }
    dropped("v4", ACCESS, &from_anna(&udp("169.254.9.9", SERVICE_V4, 64, b"")), 0, DropReason::LinkScope);
    let frame = ethernet(ours(ACCESS), ANNA, &[], IPV6, &udp("fe80::9", SERVICE_V6, 64, b""));
    dropped("v6", ACCESS, &frame, 0, DropReason::LinkScope);
}

#[test]
fn a_bound_mac_address_is_held_to_it() {
    let packet = udp("100.64.0.12", SERVICE_V4, 64, b"");
    let out = udp("100.64.0.12", SERVICE_V4, 63, b"");
    let stack = [label(2001, 0, false, 255), label(2002, 0, true, 255)];
    row(
        "the right one",
        ACCESS,
        &ethernet(ours(ACCESS), BERT, &[], IPV4, &packet),
        Expected::Sent(BB1, labelled(BB1, &stack, &out), (BETA, HeadendToIsp, 28)),
    );
    let frame = ethernet(ours(ACCESS), ANNA, &[], IPV4, &packet);
    dropped("another", ACCESS, &frame, BETA, DropReason::WrongMac);
}

#[test]
fn frames_for_others_and_of_other_kinds_are_dropped() {
    let packet = udp("100.64.0.11", SERVICE_V4, 64, b"");
    let packet6 = udp("2001:db8:a:11::7", SERVICE_V6, 64, b"");
    let everyone = [0xff; 6];
    let to_us = ours(ACCESS);
    for (name, frame, reason) in [
        ("another station", ethernet(ours(LINE), ANNA, &[], IPV4, &packet), DropReason::NotForUs),
        (
            "labels for another station",
            ethernet(ours(LINE), ANNA, &[], MPLS, &cat(&[&label(20, 0, true, 9), &packet])),
            DropReason::NotForUs,
        ),
        ("PPPoE for another station", ethernet(ours(LINE), ANNA, &[], 0x8864, &packet), DropReason::NotForUs),
        ("broadcast IPv4", ethernet(everyone, ANNA, &[], IPV4, &packet), DropReason::NotForUs),
        (
            "multicast IPv6",
            ethernet([0x33, 0x33, 0, 0, 0, 1], ANNA, &[], IPV6, &packet6),
            DropReason::NotForUs,
        ),
        ("multicast ARP", ethernet([1, 0, 0x5e, 0, 0, 1], ANNA, &[], ARP, &[0; 28]), DropReason::NotForUs),
        (
            "labels",
            ethernet(to_us, ANNA, &[], MPLS, &cat(&[&label(20, 0, true, 9), &packet])),
            DropReason::LabelledOnEdge,
        ),
        ("upstream labels", ethernet(to_us, ANNA, &[], 0x8848, &packet), DropReason::LabelledOnEdge),
        ("broadcast labels", ethernet(everyone, ANNA, &[], MPLS, &packet), DropReason::LabelledOnEdge),
        ("labels in a VLAN", ethernet(to_us, ANNA, &[(VLAN, 5)], MPLS, &packet), DropReason::LabelledOnEdge),
        ("LLDP", ethernet(to_us, ANNA, &[], 0x88cc, &packet), DropReason::UnknownEtherType),
        ("PPPoE", ethernet(to_us, ANNA, &[], 0x8864, &packet), DropReason::UnknownEtherType),
        ("802.3 length", ethernet(to_us, ANNA, &[], 60, &packet), DropReason::UnknownEtherType),
        ("v6 as v4", ethernet(to_us, ANNA, &[], IPV4, &packet6), DropReason::NotIp),
        ("v4 as v6", ethernet(to_us, ANNA, &[], IPV6, &packet), DropReason::NotIp),
        (
            "three tags",
            ethernet(to_us, ANNA, &[(SERVICE, 1), (VLAN, 2), (VLAN, 3)], IPV4, &packet),
            DropReason::TooManyTags,
        ),
        ("VLAN 4095", ethernet(to_us, ANNA, &[(VLAN, 4095)], IPV4, &packet), DropReason::NoSuchCircuit),
    ] {
        dropped(name, ACCESS, &frame, 0, reason);
    }
}

#[test]
fn ttl_length_and_ways_are_checked() {
    let anna = |ttl, payload: usize| from_anna(&udp("100.64.0.11", SERVICE_V4, ttl, &vec![0; payload]));
    dropped("TTL 1", ACCESS, &anna(1, 0), ALPHA, DropReason::TtlExpired);
    dropped("TTL 0", ACCESS, &anna(0, 0), ALPHA, DropReason::TtlExpired);
    let frame = ethernet(ours(ACCESS), ANNA, &[], IPV6, &udp("2001:db8:a:11::7", SERVICE_V6, 1, b""));
    dropped("hop limit 1", ACCESS, &frame, ALPHA, DropReason::TtlExpired);

    // One label and 1504 octets are what the backbone's MTU of 1508 holds.
    let out = labelled(BB0, &[label(1001, 0, true, 255)], &udp("100.64.0.11", SERVICE_V4, 63, &[0; 1476]));
    row("longest", ACCESS, &anna(64, 1476), Expected::Sent(BB0, out, (ALPHA, HeadendToIsp, 1504)));
    dropped("longer", ACCESS, &anna(64, 1477), ALPHA, DropReason::TooLong);
    let words = words();
    let mut node = node(&words);
    node.install([Change::Ftn(contract::Asn(ALPHA), None)]);
    let gone = Expected::Dropped(ALPHA, DropReason::IspUnreachable);
    check("no FTN", &mut node, ACCESS, &anna(64, 0), gone.clone());
    node.install([ftn(ALPHA, &[])]);
    check("no live FEC", &mut node, ACCESS, &anna(64, 0), gone);

    node.install([ftn(ALPHA, &[("10.254.1.1", &[nhlfe(BB0, &[1001])])])]);
    let down = Expected::Dropped(ALPHA, DropReason::PortDown);
    node.port(BB0, PortKind::Backbone, ours(BB0), BACKBONE_MTU, false);
    check("no carrier", &mut node, ACCESS, &anna(64, 0), down.clone());
    node.forwarder.set_port(PortId(BB0), None);
    check("no port", &mut node, ACCESS, &anna(64, 0), down.clone());
    node.port(BB0, PortKind::Handoff, ours(BB0), BACKBONE_MTU, true);
    check("labels only for the backbone", &mut node, ACCESS, &anna(64, 0), down.clone());
    node.forwarder.set_port(PortId(ACCESS), None);
    check(
        "not even a port to come in",
        &mut node,
        ACCESS,
        &anna(64, 0),
        Expected::Dropped(0, DropReason::PortDown),
    );
}

#[test]
fn arp_and_neighbor_discovery_reach_control_without_tags() {
    let everyone = [0xff; 6];
    let solicited = [0x33, 0x33, 0xff, 0, 0, 1];
    let arp = [7; 28];
    let ns = icmpv6("fe80::9", "ff02::1:ff00:1", 255, 135);
    for (name, port, tags, to, kind, payload) in [
        ("ARP to all", ACCESS, &[][..], everyone, ARP, &arp[..]),
        ("ARP to us", LINE, &[100], ours(LINE), ARP, &arp),
        ("solicitation", LINE, &[200, 300], solicited, IPV6, &ns),
        ("from nobody", LINE, &[200, 300], solicited, IPV6, &icmpv6("::", "ff02::1:ff00:1", 255, 135)),
        (
            "router solicitation",
            ACCESS,
            &[],
            [0x33, 0x33, 0, 0, 0, 2],
            IPV6,
            &icmpv6("fe80::9", "ff02::2", 255, 133),
        ),
        ("advertisement", ACCESS, &[], ours(ACCESS), IPV6, &icmpv6("fe80::9", "fe80::1", 255, 136)),
        (
            "to a global address",
            ACCESS,
            &[],
            ours(ACCESS),
            IPV6,
            &icmpv6("2001:db8:a:11::7", "2001:db8:a::1", 255, 135),
        ),
    ] {
        let tagged: Vec<_> = tags.iter().map(|&tag| (VLAN, tag)).collect();
        let reason = if kind == ARP { PuntReason::Arp } else { PuntReason::NeighborDiscovery };
        row(
            name,
            port,
            &ethernet(to, DORA, &tagged, kind, payload),
            Expected::Punted(circuit(port, tags), reason, ethernet(to, DORA, &[], kind, payload)),
        );
    }
    let unknown = ethernet(everyone, DORA, &[(VLAN, 7)], ARP, &arp);
    dropped("an unknown line", LINE, &unknown, 0, DropReason::NoSuchCircuit);
    let routed = ethernet(solicited, DORA, &[], IPV6, &icmpv6("fe80::9", "ff02::1:ff00:1", 254, 135));
    dropped("came over a router", ACCESS, &routed, 0, DropReason::NotForUs);
    let advertisement = ethernet(ours(ACCESS), DORA, &[], IPV6, &icmpv6("fe80::9", "fe80::1", 255, 134));
    dropped("router advertisement", ACCESS, &advertisement, 0, DropReason::LinkScope);
    // Beyond the packet's length, octets are padding, whatever they look like.
    let mut cut = icmpv6("2001:db8:a:11::7", SERVICE_V6, 255, 135);
    cut[5] = 0;
    let mut out = cut[..40].to_vec();
    out[7] = 254;
    row(
        "the type is padding",
        ACCESS,
        &ethernet(ours(ACCESS), ANNA, &[], IPV6, &cut),
        Expected::Sent(BB0, labelled(BB0, &[label(1001, 0, true, 255)], &out), (ALPHA, HeadendToIsp, 40)),
    );
}

#[test]
fn a_packet_counts_when_it_is_accepted_and_as_a_drop_when_it_is_refused() {
    let words = words();
    let mut node: Node<'_> = node(&words);
    let frame = from_anna(&udp("100.64.0.11", SERVICE_V4, 64, b""));
    assert!(node.take_refused(ACCESS, &frame).sent.is_empty());
    let arp = ethernet([0xff; 6], ANNA, &[], ARP, &[0; 28]);
    assert!(node.take_refused(ACCESS, &arp).punted.is_empty());
    let expected = [
        (Counter::Packets(ALPHA, HeadendToIsp, Tally::Received), 1),
        (Counter::Octets(ALPHA, HeadendToIsp, Tally::Received), 28),
        (Counter::Packets(ALPHA, HeadendToIsp, Tally::Dropped), 1),
        (Counter::Octets(ALPHA, HeadendToIsp, Tally::Dropped), 28),
        (Counter::IspDrop(0, DropReason::PuntLimited), 1),
        (Counter::IspDrop(ALPHA, DropReason::TxRefused), 1),
        (Counter::Port(ACCESS, "rx_frames"), 2),
        (Counter::Port(ACCESS, "rx_octets"), 42 + 42),
        (Counter::PortDrop(ACCESS, DropReason::TxRefused), 1),
        (Counter::PortDrop(ACCESS, DropReason::PuntLimited), 1),
    ];
    assert_eq!(node.counters(), expected.into());
}
