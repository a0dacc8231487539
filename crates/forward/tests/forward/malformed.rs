//! Frames that end too early, anywhere.

use contract::counters::Point;
use contract::{DropReason, PuntReason};

use crate::frames::*;
use crate::network::*;
use crate::node::{Expected, check, words};

/// Where, in a frame, its parts end; a frame cut within a part is dropped for the reason given with it.
fn cut_everywhere(name: &str, port: u16, frame: &[u8], parts: &[(usize, u32, DropReason)]) {
    let words = words();
    let mut node = node(&words);
    let mut from = 0;
    for &(to, isp, reason) in parts {
        for len in from..to {
            let name = format!("{name}, cut to {len}");
            check(&name, &mut node, port, &frame[..len], Expected::Dropped(isp, reason));
        }
        from = to;
    }
    assert_eq!(from, frame.len(), "{name}: all cuts are covered");
}

#[test]
fn a_subscribers_packet_cut_at_every_octet() {
    let packet = udp("100.64.0.20", "198.51.100.1", 9, b"payload");
    let frame = ethernet(ours(LINE), EMIL, &[(SERVICE, 200), (VLAN, 300)], IPV4, &packet);
    let parts = [(22 + 20, 0, DropReason::Truncated), (frame.len(), 0, DropReason::BadIpHeader)];
    cut_everywhere("IPv4", LINE, &frame, &parts);

    let packet = udp("2001:db8:a:11::7", "2001:db8:5::1", 9, b"payload");
    let frame = ethernet(ours(ACCESS), ANNA, &[], IPV6, &packet);
    let parts = [(14 + 40, 0, DropReason::Truncated), (frame.len(), 0, DropReason::BadIpHeader)];
    cut_everywhere("IPv6", ACCESS, &frame, &parts);
}

#[test]
fn a_labelled_packet_cut_at_every_octet() {
    let packet = udp("100.64.0.20", "198.51.100.1", 9, b"payload");
    let frame = ethernet(ours(BB0), peer(BB0), &[], MPLS, &cat(&[&label(20, 0, true, 9), &packet]));
    let parts = [
        (18, 0, DropReason::Truncated),
        (18 + 20, ALPHA, DropReason::Truncated),
        (frame.len(), ALPHA, DropReason::BadIpHeader),
    ];
    cut_everywhere("pop", BB0, &frame, &parts);
}

#[test]
fn a_transit_node_cares_only_for_the_stack() {
    let packet = udp("100.64.0.20", "198.51.100.1", 9, b"payload");
    let stack = [label(16, 0, false, 9), label(99, 0, true, 9)].concat();
    let frame = ethernet(ours(BB0), peer(BB0), &[], MPLS, &cat(&[&stack, &packet]));
    let words = words();
    let mut node = node(&words);
    for len in 0..frame.len() {
        let expected = if len < 14 + 8 {
            Expected::Dropped(0, DropReason::Truncated)
        } else {
            let out = [label(17, 0, false, 8), label(99, 0, true, 9)].concat();
            let out = ethernet(peer(BB1), ours(BB1), &[], MPLS, &cat(&[&out, &packet[..len - 22]]));
            Expected::Switched(BB1, out, len as u64 - 22)
        };
        check(&format!("swap, cut to {len}"), &mut node, BB0, &frame[..len], expected);
    }
}

#[test]
fn lengths_that_lie_at_the_edge() {
    let words = words();
    let mut node = node(&words);
    let good = udp("100.64.0.11", "198.51.100.1", 9, b"payload");
    for (name, at, value, reason) in [
        ("header shorter than it can be", 0, 0x44, DropReason::BadIpHeader),
        ("header longer than the packet", 0, 0x4f, DropReason::BadIpHeader),
        ("total length of none", 3, 0, DropReason::BadIpHeader),
        ("total length beyond the frame", 2, 1, DropReason::BadIpHeader),
        ("version 6 by the nibble", 0, 0x65, DropReason::Truncated),
        ("version 15", 0, 0xf5, DropReason::NotIp),
        ("checksum", 11, good[11] ^ 1, DropReason::BadChecksum),
        ("TTL changed on the way", 8, 10, DropReason::BadChecksum),
    ] {
        let mut packet = good.clone();
        packet[at] = value;
        let frame = ethernet(ours(ACCESS), ANNA, &[], IPV4, &packet);
        check(name, &mut node, ACCESS, &frame, Expected::Dropped(0, reason));
    }
    // A total length that is too short but possible makes octets padding; the checksum must agree to it.
    let short = ipv4_with(&good[..28], |_| ());
    let frame = ethernet(ours(ACCESS), ANNA, &[], IPV4, &cat(&[&short, &good[28..]]));
    let mut out = short.clone();
    out = ipv4_with(&out, |header| header.time_to_live -= 1);
    let out = ethernet(peer(BB0), ours(BB0), &[], MPLS, &cat(&[&label(1001, 0, true, 255), &out]));
    let sent = Expected::Sent(BB0, out, (ALPHA, Point::HeadendToIsp, 28));
    check("shorter", &mut node, ACCESS, &frame, sent);
    // ARP is control's to read, however short.
    let arp = ethernet([0xff; 6], ANNA, &[], ARP, &[]);
    let punted = Expected::Punted(circuit(ACCESS, &[]), PuntReason::Arp, arp.clone());
    check("ARP of nothing", &mut node, ACCESS, &arp, punted);
}
