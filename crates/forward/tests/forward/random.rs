//! Frames of any content: nothing panics, every frame is accounted for (`Node::take` asserts both the pool's balance and
//! in = out + dropped + punted), and what leaves a backbone port has a label.

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
    vec![
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn no_frame_is_too_strange(frames in prop::collection::vec(frame(), 1..40)) {
        let words = words();
        let mut node = node(&words);
        for (port, frame) in frames {
            for (by, sent) in node.take(port, &[frame]).sent {
                let (header, len) = wire::EthernetHeader::parse(&sent).unwrap();
                prop_assert_eq!(header.source.0, ours(by));
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
