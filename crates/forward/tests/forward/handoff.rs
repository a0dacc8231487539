//! Tailend, from handoff ports; and what control sends itself.

use contract::counters::Point::TailendToSubscriber;
use contract::{DropReason, PortId, PortKind, PuntReason};

use crate::frames::*;
use crate::network::*;
use crate::node::{Counter, Expected, check, words};

const SERVICE_V4: &str = "198.51.100.1";

fn row(name: &str, frame: &[u8], expected: Expected) {
    let words = words();
    check(name, &mut node(&words), HANDOFF, frame, expected);
}

fn dropped(name: &str, frame: &[u8], isp: u32, reason: DropReason) {
    row(name, frame, Expected::Dropped(isp, reason));
}

fn from_alpha(packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 6 { IPV6 } else { IPV4 };
    ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 10)], kind, packet)
}

fn from_beta(packet: &[u8]) -> Vec<u8> {
    ethernet(ours(HANDOFF), BETA_V4, &[], IPV4, packet)
}

fn sent(by: u16, to_label: u32, packet: &[u8], isp: u32) -> Expected {
    let frame = ethernet(peer(by), ours(by), &[], MPLS, &cat(&[&label(to_label, 0, true, 255), packet]));
    Expected::Sent(by, frame, (isp, TailendToSubscriber, packet.len() as u64))
}

#[test]
fn each_isp_has_a_table_of_its_own() {
    let to = |address: &str, ttl| udp(SERVICE_V4, address, ttl, b"reply");
    row("alpha", &from_alpha(&to("100.64.0.20", 64)), sent(BB0, 3001, &to("100.64.0.20", 63), ALPHA));
    row(
        "alpha, longer match",
        &from_alpha(&to("100.64.0.128", 64)),
        sent(BB1, 3011, &to("100.64.0.128", 63), ALPHA),
    );
    row("beta", &from_beta(&to("100.64.0.20", 64)), sent(BB1, 3002, &to("100.64.0.20", 63), BETA));
    let v6 = |ttl| udp("2001:db8:5::1", "2001:db8:a:11::7", ttl, b"");
    row("alpha, IPv6", &from_alpha(&v6(64)), sent(BB0, 3001, &v6(63), ALPHA));
    let mut padded = from_beta(&to("100.64.0.20", 64));
    padded.resize(60, 9);
    row("padded", &padded, sent(BB1, 3002, &to("100.64.0.20", 63), BETA));

    dropped("nobody's", &from_alpha(&to("192.0.2.2", 64)), ALPHA, DropReason::NoRoute);
    dropped("the backbone's", &from_beta(&to("10.255.0.1", 64)), BETA, DropReason::NoRoute);
    dropped("no way", &from_beta(&to("100.64.1.1", 64)), BETA, DropReason::NoNhlfe);
    dropped("only at alpha", &from_beta(&to("2.2.2.2", 64)), BETA, DropReason::NoRoute);
    dropped("expired", &from_alpha(&to("100.64.0.20", 1)), ALPHA, DropReason::TtlExpired);
}

#[test]
fn frames_of_no_handoff_are_dropped() {
    let packet = udp(SERVICE_V4, "100.64.0.20", 64, b"");
    let tagged = ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 11)], IPV4, &packet);
    dropped("another VLAN", &tagged, 0, DropReason::NoSuchHandoff);
    let twice = ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 10), (VLAN, 10)], IPV4, &packet);
    dropped("one tag too many", &twice, 0, DropReason::NoSuchHandoff);
    let reserved = ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 4095)], IPV4, &packet);
    dropped("VLAN 4095", &reserved, 0, DropReason::NoSuchHandoff);
    let labelled =
        ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 10)], MPLS, &cat(&[&label(30, 0, true, 9), &packet]));
    dropped("labels", &labelled, 0, DropReason::LabelledOnEdge);
    let other = ethernet(ours(BB0), ALPHA_V4, &[(VLAN, 10)], IPV4, &packet);
    dropped("another station", &other, 0, DropReason::NotForUs);
    let local = from_alpha(&udp("169.254.0.1", "100.64.0.20", 64, b""));
    dropped("a link-local source", &local, 0, DropReason::LinkScope);
    let nobody = from_alpha(&udp("0.0.0.0", "100.64.0.20", 64, b""));
    dropped("no source", &nobody, 0, DropReason::SourceNotBound);
    let group = from_alpha(&udp(SERVICE_V4, "224.0.0.5", 1, b""));
    dropped("a routing protocol", &group, 0, DropReason::LinkScope);
}

#[test]
fn a_handoff_that_is_not_up_yet_is_resolved_by_control() {
    let arp = ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 11)], ARP, &[3; 28]);
    let untagged = ethernet(ours(HANDOFF), ALPHA_V4, &[], ARP, &[3; 28]);
    row("ARP", &arp, Expected::Punted(circuit(HANDOFF, &[11]), PuntReason::Arp, untagged));
}

#[test]
fn control_sends_on_circuits_with_their_tags_and_never_on_the_backbone() {
    let arp = ethernet(EMIL, ours(LINE), &[], ARP, &[1; 28]);
    for (tags, expected) in [
        (&[][..], arp.clone()),
        (&[100], ethernet(EMIL, ours(LINE), &[(VLAN, 100)], ARP, &[1; 28])),
        (&[200, 300], ethernet(EMIL, ours(LINE), &[(SERVICE, 200), (VLAN, 300)], ARP, &[1; 28])),
    ] {
        let words = words();
        let mut node = node(&words);
        let length = expected.len() as u64;
        assert_eq!(node.originate(circuit(LINE, tags), &arp).sent, [(LINE, expected)]);
        let counters = [
            (Counter::Port(LINE, "originated"), 1),
            (Counter::Port(LINE, "tx_frames"), 1),
            (Counter::Port(LINE, "tx_octets"), length),
        ];
        assert_eq!(node.counters(), counters.into());
    }
    let words = words();
    let mut node = node(&words);
    for (port, frame, reason) in [
        (BB0, arp.clone(), DropReason::PortDown),
        (77, arp.clone(), DropReason::PortDown),
        (LINE, arp[..13].to_vec(), DropReason::Truncated),
        (LINE, ethernet(EMIL, ours(LINE), &[], IPV6, &[0; 1501]), DropReason::TooLong),
    ] {
        let before = node.counters();
        assert!(node.originate(circuit(port, &[]), &frame).sent.is_empty());
        let mut counters = before;
        for counter in
            [Counter::Port(port, "originated"), Counter::IspDrop(0, reason), Counter::PortDrop(port, reason)]
        {
            *counters.entry(counter).or_default() += 1;
        }
        assert_eq!(node.counters(), counters);
    }
    node.port(LINE, PortKind::Access, ours(LINE), EDGE_MTU, false);
    assert!(node.originate(circuit(LINE, &[]), &arp).sent.is_empty());
    node.forwarder.set_port(PortId(LINE), None);
    assert!(node.originate(circuit(LINE, &[]), &arp).sent.is_empty());
}
