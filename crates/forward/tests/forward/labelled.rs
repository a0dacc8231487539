//! Labelled frames from the backbone: swapped, popped, punted.

use contract::counters::Point::{HeadendToSubscriber, TailendToIsp};
use contract::{Change, DropReason, PortId, PortKind, PuntReason, Settings, TtlModel};

use crate::frames::*;
use crate::network::*;
use crate::node::{Counter, Expected, check, words};

const SERVICE_V4: &str = "198.51.100.1";

/// A frame from the peer on BB0 with these labels.
fn from_peer(labels: &[[u8; 4]], packet: &[u8]) -> Vec<u8> {
    ethernet(ours(BB0), peer(BB0), &[], MPLS, &[&labels.concat(), packet].concat())
}

/// A frame to the peer on BB1 with these labels.
fn to_peer(labels: &[[u8; 4]], packet: &[u8]) -> Vec<u8> {
    ethernet(peer(BB1), ours(BB1), &[], MPLS, &[&labels.concat(), packet].concat())
}

fn row(name: &str, frame: &[u8], expected: Expected) {
    let words = words();
    check(name, &mut node(&words), BB0, frame, expected);
}

fn uniform_row(name: &str, frame: &[u8], expected: Expected) {
    let words = words();
    let mut node = node(&words);
    node.install([Change::Settings(Settings { ttl: TtlModel::Uniform, ..Settings::default() })]);
    check(name, &mut node, BB0, frame, expected);
}

fn dropped(name: &str, frame: &[u8], isp: u32, reason: DropReason) {
    row(name, frame, Expected::Dropped(isp, reason));
}

fn to_anna(ttl: u8) -> Vec<u8> {
    udp(SERVICE_V4, "100.64.0.11", ttl, b"back")
}

fn from_anna(ttl: u8) -> Vec<u8> {
    udp("100.64.0.11", SERVICE_V4, ttl, b"forth")
}

#[test]
fn a_swap_changes_label_ttl_and_stations_only() {
    let packet = from_anna(1);
    row(
        "class kept, packet untouched",
        &from_peer(&[label(16, 5, true, 2)], &packet),
        Expected::Switched(BB1, to_peer(&[label(17, 5, true, 1)], &packet), 33),
    );
    let beneath = label(999, 3, true, 1);
    row(
        "the rest of the stack kept",
        &from_peer(&[label(16, 0, false, 9), beneath], &packet),
        Expected::Switched(BB1, to_peer(&[label(17, 0, false, 8), beneath], &packet), 33),
    );
    row(
        "a label of its own above",
        &from_peer(&[label(18, 2, true, 9)], &packet),
        Expected::Switched(BB1, to_peer(&[label(19, 2, false, 255), label(23, 2, true, 8)], &packet), 33),
    );
    uniform_row(
        "a label of its own above, uniform",
        &from_peer(&[label(18, 2, true, 9)], &packet),
        Expected::Switched(BB1, to_peer(&[label(19, 2, false, 8), label(23, 2, true, 8)], &packet), 33),
    );
    let padded = cat(&[&packet, &[0; 13]]);
    row(
        "padding kept, but not counted",
        &from_peer(&[label(16, 0, true, 9)], &padded),
        Expected::Switched(BB1, to_peer(&[label(17, 0, true, 8)], &padded), 33),
    );
    row(
        "no IP packet, which is not ours to judge",
        &from_peer(&[label(16, 0, true, 9)], &[0; 50]),
        Expected::Switched(BB1, to_peer(&[label(17, 0, true, 8)], &[0; 50]), 50),
    );
    let deep =
        [label(16, 0, false, 9), label(50, 0, false, 9), label(51, 0, false, 9), label(52, 0, false, 9)];
    let deep = [&deep[..], &[label(53, 0, false, 9), label(54, 0, true, 9)]].concat();
    let mut out = deep.clone();
    out[0] = label(17, 0, false, 8);
    row("six labels", &from_peer(&deep, &packet), Expected::Switched(BB1, to_peer(&out, &packet), 33));
}

#[test]
fn a_swap_that_cannot_be_is_dropped() {
    let packet = from_anna(9);
    dropped("no way", &from_peer(&[label(19, 0, true, 9)], &packet), 0, DropReason::NoNhlfe);
    dropped("unknown", &from_peer(&[label(1_048_575, 0, true, 9)], &packet), 0, DropReason::UnknownLabel);
    dropped("unknown, deeper", &from_peer(&[label(77, 0, false, 9)], &packet), 0, DropReason::UnknownLabel);
    for null in [0, 2, 3, 4, 7, 12, 14, 15] {
        dropped("reserved", &from_peer(&[label(null, 0, true, 9)], &packet), 0, DropReason::ReservedLabel);
    }
    // Under 1508 octets, one label leaves 1504.
    let longest = udp("100.64.0.11", SERVICE_V4, 9, &[0; 1504 - 28]);
    row(
        "longest",
        &from_peer(&[label(16, 0, true, 9)], &longest),
        Expected::Switched(BB1, to_peer(&[label(17, 0, true, 8)], &longest), 1504),
    );
    dropped("one label more", &from_peer(&[label(18, 0, true, 9)], &longest), 0, DropReason::TooLong);
    let longer = udp("100.64.0.11", SERVICE_V4, 9, &[0; 1505 - 28]);
    dropped("longer", &from_peer(&[label(16, 0, true, 9)], &longer), 0, DropReason::TooLong);

    let words = words();
    let mut node = node(&words);
    node.port(BB1, PortKind::Backbone, ours(BB1), BACKBONE_MTU, false);
    let frame = from_peer(&[label(16, 0, true, 9)], &packet);
    check("no carrier", &mut node, BB0, &frame, Expected::Dropped(0, DropReason::PortDown));
    node.port(BB1, PortKind::Access, ours(BB1), BACKBONE_MTU, true);
    check("not a backbone port", &mut node, BB0, &frame, Expected::Dropped(0, DropReason::PortDown));
}

#[test]
fn stacks_without_a_bottom_are_cut_frames() {
    let endless: Vec<_> = (0..40).map(|_| label(16, 0, false, 9)).collect();
    dropped("swap", &from_peer(&endless, &[]), 0, DropReason::Truncated);
    dropped("swap, cut within an entry", &from_peer(&endless, &[0, 0, 0]), 0, DropReason::Truncated);
    dropped("pop", &from_peer(&[label(20, 0, false, 9)], &[]), ALPHA, DropReason::Truncated);
    dropped("pop, cut", &from_peer(&[label(20, 0, false, 9)], &[0, 1]), ALPHA, DropReason::Truncated);
    dropped("none", &from_peer(&[], &[]), 0, DropReason::Truncated);
    dropped("half of one", &from_peer(&[], &[0, 1, 0]), 0, DropReason::Truncated);
    dropped("nothing beneath", &from_peer(&[label(20, 0, true, 9)], &[]), ALPHA, DropReason::Truncated);
}

#[test]
fn the_label_alone_names_the_handoff() {
    row(
        "IPv4, in a VLAN",
        &from_peer(&[label(20, 0, true, 9)], &from_anna(7)),
        Expected::Sent(
            HANDOFF,
            ethernet(ALPHA_V4, ours(HANDOFF), &[(VLAN, 10)], IPV4, &from_anna(6)),
            (ALPHA, TailendToIsp, 33),
        ),
    );
    let v6 = |ttl| udp("2001:db8:a:11::7", "2001:db8:5::1", ttl, b"");
    row(
        "IPv6, by its version nibble, and padded",
        &from_peer(&[label(20, 0, true, 9)], &cat(&[&v6(7), &[1, 2, 3]])),
        Expected::Sent(
            HANDOFF,
            ethernet(ALPHA_V6, ours(HANDOFF), &[(VLAN, 10)], IPV6, &v6(6)),
            (ALPHA, TailendToIsp, 48),
        ),
    );
    row(
        "whatever the addresses",
        &from_peer(&[label(21, 0, true, 9)], &udp("100.64.0.11", "100.64.0.11", 7, b"")),
        Expected::Sent(
            HANDOFF,
            ethernet(BETA_V4, ours(HANDOFF), &[], IPV4, &udp("100.64.0.11", "100.64.0.11", 6, b"")),
            (BETA, TailendToIsp, 28),
        ),
    );
    dropped(
        "no IPv6 here",
        &from_peer(&[label(21, 0, true, 9)], &v6(7)),
        BETA,
        DropReason::HandoffUnresolved,
    );
    dropped("not up", &from_peer(&[label(22, 0, true, 9)], &v6(7)), ALPHA, DropReason::NoSuchHandoff);
    dropped(
        "another ISP's handoff",
        &from_peer(&[label(24, 0, true, 9)], &from_anna(7)),
        BETA,
        DropReason::NoSuchHandoff,
    );
}

#[test]
fn only_the_labels_isp_is_searched_for_the_subscriber() {
    let to = |address: &str, ttl| udp(SERVICE_V4, address, ttl, b"");
    row(
        "untagged",
        &from_peer(&[label(30, 0, true, 9)], &to_anna(7)),
        Expected::Sent(
            ACCESS,
            ethernet(ANNA, ours(ACCESS), &[], IPV4, &to_anna(6)),
            (ALPHA, HeadendToSubscriber, 32),
        ),
    );
    row(
        "alpha's .20",
        &from_peer(&[label(30, 0, true, 9)], &to("100.64.0.20", 7)),
        Expected::Sent(
            LINE,
            ethernet(DORA, ours(LINE), &[(VLAN, 100)], IPV4, &to("100.64.0.20", 6)),
            (ALPHA, HeadendToSubscriber, 28),
        ),
    );
    row(
        "beta's .20",
        &from_peer(&[label(31, 0, true, 9)], &to("100.64.0.20", 7)),
        Expected::Sent(
            LINE,
            ethernet(EMIL, ours(LINE), &[(SERVICE, 200), (VLAN, 300)], IPV4, &to("100.64.0.20", 6)),
            (BETA, HeadendToSubscriber, 28),
        ),
    );
    let v6 = |ttl| udp("2001:db8:6::1", "2001:db8:b:20::9", ttl, b"");
    row(
        "beta's IPv6",
        &from_peer(&[label(31, 0, true, 9)], &v6(7)),
        Expected::Sent(
            LINE,
            ethernet(EMIL, ours(LINE), &[(SERVICE, 200), (VLAN, 300)], IPV6, &v6(6)),
            (BETA, HeadendToSubscriber, 48),
        ),
    );
    for (label_value, isp, packet) in [
        (31, BETA, to_anna(7)),
        (30, ALPHA, to("100.64.0.12", 7)),
        (30, ALPHA, v6(7)),
        (30, ALPHA, to("10.255.0.1", 7)),
        (30, ALPHA, to("224.0.0.1", 7)),
        (30, ALPHA, to("255.255.255.255", 7)),
    ] {
        let frame = from_peer(&[label(label_value, 0, true, 9)], &packet);
        dropped("another ISP's, or nobody's", &frame, isp, DropReason::NoSubscriber);
    }
}

#[test]
fn a_subscriber_without_address_is_dropped_and_control_told_once() {
    let words = words();
    let mut node = node(&words);
    let frame = from_peer(&[label(30, 0, true, 9)], &udp(SERVICE_V4, "100.64.0.13", 7, b""));
    let gone = Expected::Dropped(ALPHA, DropReason::SubscriberUnresolved);
    check("unresolved", &mut node, BB0, &frame, gone.clone());
    assert!(node.take(BB0, &[frame.clone(), frame.clone()]).unresolved.is_empty());
    node.now = node.now + std::time::Duration::from_secs(1);
    let seen = node.take(BB0, &[frame.clone(), frame.clone()]);
    let address = "100.64.0.13".parse().unwrap();
    assert_eq!(seen.unresolved, [forward::Unresolved { isp: contract::Asn(ALPHA), address }]);
    // Once it is learned, packets flow.
    node.install([binding(circuit(ACCESS, &[]), ALPHA, "100.64.0.13/32", 3, Some(DORA), false)]);
    let out = ethernet(DORA, ours(ACCESS), &[], IPV4, &udp(SERVICE_V4, "100.64.0.13", 6, b""));
    let sent = Expected::Sent(ACCESS, out, (ALPHA, HeadendToSubscriber, 28));
    check("learned", &mut node, BB0, &frame, sent);
}

#[test]
fn ttls_follow_the_model() {
    let sent = |ttl| {
        let out = ethernet(ANNA, ours(ACCESS), &[], IPV4, &to_anna(ttl));
        Expected::Sent(ACCESS, out, (ALPHA, HeadendToSubscriber, 32))
    };
    let expired = Expected::Dropped(ALPHA, DropReason::TtlExpired);
    for (name, label_ttl, ip_ttl, pipe, uniform) in [
        ("as a uniform LSP leaves them", 40, 50, sent(49), sent(39)),
        ("the packet's own is smaller", 40, 30, sent(29), sent(30)),
        ("two", 2, 2, sent(1), sent(1)),
        ("one in the packet", 9, 1, expired.clone(), sent(1)),
        ("none in the packet", 9, 0, expired.clone(), expired.clone()),
    ] {
        let frame = from_peer(&[label(30, 0, true, label_ttl)], &to_anna(ip_ttl));
        row(name, &frame, pipe);
        uniform_row(name, &frame, uniform);
    }
}

#[test]
fn what_is_for_control_keeps_its_labels() {
    let packet = from_anna(1);
    let loopback = udp("10.255.0.9", "127.0.0.1", 1, b"echo");
    let loopback6 = udp("2001:db8::9", "::ffff:127.1.2.3", 1, b"echo");
    for (name, labels, packet, reason) in [
        (
            "router alert",
            &[label(1, 0, false, 9), label(16, 0, true, 9)][..],
            &packet,
            PuntReason::RouterAlert,
        ),
        ("router alert, last hop", &[label(1, 0, true, 1)], &packet, PuntReason::RouterAlert),
        ("GAL", &[label(13, 0, true, 1)], &packet, PuntReason::Gal),
        ("expired at a swap", &[label(16, 0, true, 1)], &packet, PuntReason::LabelTtlExpired),
        ("expired at zero", &[label(16, 0, true, 0)], &packet, PuntReason::LabelTtlExpired),
        ("expired at a pop", &[label(20, 0, true, 1)], &packet, PuntReason::LabelTtlExpired),
        ("expired, unknown", &[label(777, 0, true, 1)], &packet, PuntReason::LabelTtlExpired),
        (
            "alert under ours",
            &[label(20, 0, false, 9), label(1, 0, true, 9)],
            &packet,
            PuntReason::RouterAlert,
        ),
        ("GAL under ours", &[label(30, 0, false, 9), label(13, 0, true, 1)], &packet, PuntReason::Gal),
        ("127/8", &[label(20, 0, true, 255)], &loopback, PuntReason::LoopbackDestination),
        ("127/8 at a headend", &[label(31, 0, true, 255)], &loopback, PuntReason::LoopbackDestination),
        ("::ffff:127/104", &[label(20, 0, true, 255)], &loopback6, PuntReason::LoopbackDestination),
    ] {
        let frame = cat(&[&from_peer(labels, packet), &[0; 5]]);
        row(name, &frame, Expected::Punted(circuit(BB0, &[]), reason, frame.clone()));
    }
    row(
        "127/8 of an LSP that only passes",
        &from_peer(&[label(16, 0, true, 9)], &loopback),
        Expected::Switched(BB1, to_peer(&[label(17, 0, true, 8)], &loopback), 32),
    );
    let frame = from_peer(&[label(20, 0, false, 9), label(16, 0, true, 9)], &packet);
    dropped("another label under ours", &frame, ALPHA, DropReason::NotBottomOfStack);
}

#[test]
fn what_is_under_the_label_must_be_sound() {
    let good = from_anna(9);
    let edit = |at: usize, value: u8| {
        let mut packet = good.clone();
        packet[at] = value;
        from_peer(&[label(20, 0, true, 9)], &packet)
    };
    dropped("version 5", &edit(0, 0x55), ALPHA, DropReason::NotIp);
    dropped("version 0", &edit(0, 0), ALPHA, DropReason::NotIp);
    dropped("header of 16 octets", &edit(0, 0x44), ALPHA, DropReason::BadIpHeader);
    dropped("longer than it is", &edit(3, 34), ALPHA, DropReason::BadIpHeader);
    dropped("shorter than its header", &edit(3, 19), ALPHA, DropReason::BadIpHeader);
    dropped("checksum", &edit(10, !good[10]), ALPHA, DropReason::BadChecksum);
    dropped("address", &edit(15, !good[15]), ALPHA, DropReason::BadChecksum);
}

#[test]
fn only_untagged_mpls_frames_to_this_port_are_taken_from_the_backbone() {
    let stack = cat(&[&label(16, 0, true, 9), &from_anna(9)]);
    for (name, frame, reason) in [
        ("another station", ethernet(ours(BB1), peer(BB0), &[], MPLS, &stack), DropReason::NotForUs),
        ("broadcast", ethernet([0xff; 6], peer(BB0), &[], MPLS, &stack), DropReason::NotForUs),
        (
            "multicast hello",
            ethernet([1, 0, 0x5e, 0, 0, 2], peer(BB0), &[], IPV4, &stack),
            DropReason::NotForUs,
        ),
        (
            "upstream labels",
            ethernet(ours(BB0), peer(BB0), &[], 0x8848, &stack),
            DropReason::UnknownEtherType,
        ),
        ("tagged", ethernet(ours(BB0), peer(BB0), &[(VLAN, 5)], MPLS, &stack), DropReason::UnknownEtherType),
        (
            "priority-tagged",
            ethernet(ours(BB0), peer(BB0), &[(VLAN, 0)], MPLS, &stack),
            DropReason::UnknownEtherType,
        ),
        (
            "VLAN 4095",
            ethernet(ours(BB0), peer(BB0), &[(VLAN, 4095)], MPLS, &stack),
            DropReason::UnknownEtherType,
        ),
        ("IPv4", ethernet(ours(BB0), peer(BB0), &[], IPV4, &from_anna(9)), DropReason::UnlabelledOnBackbone),
        ("ARP", ethernet(ours(BB0), peer(BB0), &[], ARP, &[0; 28]), DropReason::UnlabelledOnBackbone),
    ] {
        dropped(name, &frame, 0, reason);
    }
}

#[test]
fn what_leaves_by_a_circuit_fits_its_port() {
    let longest = |ttl| udp(SERVICE_V4, "100.64.0.11", ttl, &[0; 1500 - 28]);
    let frame = from_peer(&[label(30, 0, true, 9)], &longest(7));
    row(
        "longest",
        &frame,
        Expected::Sent(
            ACCESS,
            ethernet(ANNA, ours(ACCESS), &[], IPV4, &longest(6)),
            (ALPHA, HeadendToSubscriber, 1500),
        ),
    );
    let longer = from_peer(&[label(30, 0, true, 9)], &udp(SERVICE_V4, "100.64.0.11", 7, &[0; 1501 - 28]));
    dropped("longer", &longer, ALPHA, DropReason::TooLong);

    let words = words();
    let mut node = node(&words);
    let down = Expected::Dropped(ALPHA, DropReason::PortDown);
    node.port(ACCESS, PortKind::Access, ours(ACCESS), EDGE_MTU, false);
    check("no carrier", &mut node, BB0, &frame, down.clone());
    node.forwarder.set_port(PortId(ACCESS), None);
    check("no port", &mut node, BB0, &frame, down.clone());
    for kind in [PortKind::Backbone, PortKind::Handoff] {
        node.port(ACCESS, kind, ours(ACCESS), EDGE_MTU, true);
        check("never without its label over the backbone", &mut node, BB0, &frame, down.clone());
    }
    assert_eq!(node.counters()[&Counter::IspDrop(ALPHA, DropReason::PortDown)], 4);
}
