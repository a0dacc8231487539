//! Frames of any content and tables as they come: nothing panics, every frame is accounted for (`Node::take` asserts the
//! pool's balance, that of frames, and each ISP's account of packets and octets: received + originated + extra fragments =
//! sent + dropped + consumed), and what leaves a backbone port has a label.

use contract::{Asn, Change, IlmAction, PortKind, Settings, TtlModel};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::frames::*;
use crate::network::*;
use crate::node::words;

/// Sound frames, for each port, that reach every stage.
fn sound() -> Vec<(u16, Vec<u8>)> {
    let forth = udp("100.64.0.11", "198.51.100.1", 9, b"forth");
    let forth6 = udp("2001:db8:b:20::1", "2001:db8:6::1", 9, b"forth");
    let back = udp("198.51.100.1", "100.64.0.20", 9, b"back");
    let labelled = |labels: &[u32], packet: &[u8]| {
        let stack: Vec<_> =
            labels.iter().enumerate().map(|(n, &l)| label(l, 0, n + 1 == labels.len(), 9)).collect();
        ethernet(ours(BB0), peer(BB0), &[], MPLS, &cat(&[&stack.concat(), packet]))
    };
    let v6 = "2001:db8:a:11::7";
    let transit = icmp(TRANSIT, "100.64.0.11", 255, (11, 0), [0; 4], &forth);
    let ping = icmp("198.51.100.1", GATEWAY, 1, (8, 0), [0; 4], &[7; 700]);
    let ping6 = icmp(v6, GATEWAY6, 1, (128, 0), [0; 4], &[7; 700]);
    let long = ipv4_with(&udp("100.64.0.11", "198.51.100.1", 9, &[5; 900]), |header| {
        (header.dont_fragment, header.options) = (false, [7, 7, 4, 0, 0, 0, 0, 0].into());
    });
    let long_back = udp("198.51.100.1", "100.64.0.11", 9, &[5; 900]);
    let from_alpha =
        |packet: &[u8]| ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 10)], ether_type(packet), packet);
    vec![
        (BB0, labelled(&[20], &transit)),
        (BB0, labelled(&[30], &transit)),
        (BB0, labelled(&[30], &ping)),
        (BB0, labelled(&[40], &forth)),
        (BB0, labelled(&[40], &long)),
        (BB0, labelled(&[20], &long)),
        (BB0, labelled(&[30], &long_back)),
        (ACCESS, ethernet(ours(ACCESS), ANNA, &[], IPV6, &ping6)),
        (ACCESS, ethernet(ours(ACCESS), ANNA, &[], IPV4, &long)),
        (ACCESS, ethernet(ours(ACCESS), ANNA, &[], IPV6, &udp(v6, "2001:db8:5::1", 9, &[5; 900]))),
        (HANDOFF, from_alpha(&ping)),
        (HANDOFF, from_alpha(&long_back)),
        (ACCESS, ethernet(ours(ACCESS), ANNA, &[], IPV4, &forth)),
        (LINE, ethernet(ours(LINE), EMIL, &[(SERVICE, 200), (VLAN, 300)], IPV6, &forth6)),
        (LINE, ethernet([0xff; 6], DORA, &[(VLAN, 100)], ARP, &[0; 28])),
        (ACCESS, ethernet(ours(ACCESS), ANNA, &[], IPV6, &icmpv6("fe80::9", "fe80::1", 255, 135))),
        (BB0, labelled(&[16], &forth)),
        (BB0, labelled(&[18, 99, 98], &forth6)),
        (BB0, labelled(&[20], &forth)),
        (BB0, labelled(&[30], &back)),
        (BB0, labelled(&[31], &back)),
        (BB0, labelled(&[20, 13], &back)),
        (HANDOFF, ethernet(ours(HANDOFF), ALPHA_V4, &[(VLAN, 10)], IPV4, &back)),
        (HANDOFF, ethernet(ours(HANDOFF), BETA_V4, &[], IPV4, &back)),
    ]
}

fn frame() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let edits = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    let mutated = (prop::sample::select(sound()), edits, any::<Index>(), 0usize..20, 0u8..4).prop_map(
        |((port, mut frame), edits, cut, pad, how)| {
            for (at, value) in edits {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            match how {
                0 => frame.truncate(cut.index(frame.len() + 1)),
                1 => frame.extend(vec![0xaa; pad]),
                _ => {}
            }
            (port, frame)
        },
    );
    prop_oneof![
        4 => mutated,
        1 => (0u16..6, prop::collection::vec(any::<u8>(), 0..80)),
    ]
}

/// What changes between frames: MTUs, the models, roles, ways, TTLs of what comes.
#[derive(Clone, Debug)]
enum Step {
    Frame((u16, Vec<u8>)),
    /// The same, with this TTL where it is IPv4 under one label or under none.
    Short((u16, Vec<u8>), u8),
    Mtu(u16, u32),
    Settings(Option<u32>, bool),
    Role(bool),
    Ways(bool),
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let mtu = || prop_oneof![Just(60u32), 90u32..700, Just(1500u32)];
    prop_oneof![
        8 => frame().prop_map(Step::Frame),
        6 => (frame(), 0u8..4).prop_map(|(frame, ttl)| Step::Short(frame, ttl)),
        2 => (0u16..5, mtu()).prop_map(|(port, mtu)| Step::Mtu(port, mtu)),
        1 => (prop::option::of(mtu()), any::<bool>()).prop_map(|(mtu, uniform)| Step::Settings(mtu, uniform)),
        1 => any::<bool>().prop_map(Step::Role),
        1 => any::<bool>().prop_map(Step::Ways),
        1 => (0u64..2_000_000_000).prop_map(Step::Later),
    ]
}

/// Gives a frame a TTL, in its label if it has one and in its IPv4 header.
fn shorten(frame: &mut [u8], ttl: u8) {
    let Ok((header, len)) = wire::EthernetHeader::parse(frame) else { return };
    let Some(behind) = frame.get_mut(len..) else { return };
    let packet = match header.ether_type {
        wire::EtherType::MPLS => match behind.split_at_mut_checked(4) {
            Some((entry, packet)) => {
                entry[3] = ttl + 1;
                packet
            }
            None => return,
        },
        _ => behind,
    };
    wire::ip::set_ttl(packet, ttl);
}

const KINDS: [PortKind; 5] =
    [PortKind::Access, PortKind::Access, PortKind::Backbone, PortKind::Backbone, PortKind::Handoff];

fn apply(node: &mut crate::node::Node<'_>, step: Step) -> Option<(u16, Vec<u8>)> {
    match step {
        Step::Frame(frame) => return Some(frame),
        Step::Short((port, mut frame), ttl) => {
            shorten(&mut frame, ttl);
            return Some((port, frame));
        }
        Step::Mtu(port, mtu) => node.port(port, KINDS[usize::from(port)], ours(port), mtu, mtu != 90),
        Step::Settings(lsp_mtu, uniform) => {
            let ttl = if uniform { TtlModel::Uniform } else { TtlModel::Pipe };
            node.install([Change::Settings(Settings { ttl, lsp_mtu })]);
        }
        Step::Role(true) => node.install(roles()),
        Step::Role(false) => node.install([Change::Isp(Asn(ALPHA), None)]),
        Step::Ways(there) => {
            let ways = if there { vec![nhlfe(BB1, &[41])] } else { vec![] };
            node.install([
                ilm(40, IlmAction::Swap { isp: Some(Asn(ALPHA)), nhlfes: ways.clone() }),
                return_route(ALPHA, "100.64.0.0/24", &ways),
                if there { ftn(ALPHA, &[("10.254.1.1", &ways)]) } else { ftn(ALPHA, &[]) },
            ]);
        }
        Step::Later(nanoseconds) => node.now.0 += nanoseconds,
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn no_frame_is_too_strange(steps in prop::collection::vec(step(), 1..60)) {
        let words = words();
        let mut node = node(&words);
        node.install(roles());
        apply(&mut node, Step::Ways(true));
        let mut mtus = [EDGE_MTU, EDGE_MTU, BACKBONE_MTU, BACKBONE_MTU, EDGE_MTU];
        for step in steps {
            if let Step::Mtu(port, mtu) = step {
                mtus[usize::from(port)] = mtu;
            }
            let Some((port, frame)) = apply(&mut node, step) else { continue };
            for (by, sent) in node.take(port, &[frame]).sent {
                let (header, len) = wire::EthernetHeader::parse(&sent).unwrap();
                prop_assert_eq!(header.source.0, ours(by));
                prop_assert!(sent.len() - len <= mtus[usize::from(by)] as usize);
                if by == BB0 || by == BB1 {
                    prop_assert_eq!(header.ether_type.0, MPLS);
                    let top = wire::stack::entries(&sent[len..]).next().unwrap();
                    prop_assert!(top.label.is_real() && top.ttl > 0);
                } else {
                    let ip = wire::ip::IpHeader::parse(&sent[len..]).unwrap();
                    prop_assert_eq!(header.ether_type, ip.ether_type());
                    prop_assert_eq!(sent.len() - len, ip.total_len as usize);
                    prop_assert!(ip.ttl > 0 && wire::ip::ipv4_checksum_holds(&sent[len..], &ip));
                }
            }
        }
    }
}
