//! Which way a packet takes among several.

use std::collections::{BTreeMap, BTreeSet};

use contract::{IlmAction, PortKind};

use crate::frames::*;
use crate::network::*;
use crate::node::{Node, words};

const SERVICE_V4: &str = "198.51.100.1";

fn two_ways() -> [contract::Nhlfe; 2] {
    [nhlfe(BB0, &[1001]), nhlfe(BB1, &[1002])]
}

/// The port by which each of these frames left.
fn ways(node: &mut Node<'_>, port: u16, frames: &[Vec<u8>]) -> Vec<u16> {
    frames.chunks(32).flat_map(|burst| node.take(port, burst).sent).map(|(port, _)| port).collect()
}

fn shares(ways: &[u16]) -> BTreeMap<u16, usize> {
    let mut shares = BTreeMap::new();
    ways.iter().for_each(|&port| *shares.entry(port).or_default() += 1);
    shares
}

fn from_anna(ports: (u16, u16)) -> Vec<u8> {
    ethernet(ours(ACCESS), ANNA, &[], IPV4, &udp_ports("100.64.0.11", SERVICE_V4, 9, ports, b""))
}

#[test]
fn flows_spread_and_a_flow_keeps_its_way() {
    let words = words();
    let mut node = node(&words);
    node.install([ftn(ALPHA, &[("10.254.1.1", &two_ways())])]);
    let flows: Vec<_> = (0..400).map(|port| from_anna((port, 53))).collect();
    let first = ways(&mut node, ACCESS, &flows);
    assert!(shares(&first).values().all(|&share| (140..260).contains(&share)), "{:?}", shares(&first));
    assert_eq!(ways(&mut node, ACCESS, &flows), first);
}

#[test]
fn fragments_of_one_packet_stay_together() {
    let words = words();
    let mut node = node(&words);
    node.install([ftn(ALPHA, &[("10.254.1.1", &two_ways())])]);
    for id in 0..50 {
        let fragments: Vec<_> = (0..4u16)
            .map(|n| {
                // Each fragment's first octets would read as other ports.
                let packet = udp_ports("100.64.0.11", SERVICE_V4, 9, (n, n), b"more of it");
                let packet = ipv4_with(&packet, |header| {
                    header.identification = id;
                    header.fragment_offset = (n * 100).try_into().unwrap();
                    header.more_fragments = n < 3;
                });
                ethernet(ours(ACCESS), ANNA, &[], IPV4, &packet)
            })
            .collect();
        assert_eq!(ways(&mut node, ACCESS, &fragments).into_iter().collect::<BTreeSet<_>>().len(), 1);
    }
}

#[test]
fn a_transit_node_sees_flows_under_the_stack_and_chooses_unlike_the_headend() {
    let words = words();
    let mut node = node(&words);
    node.install([
        ilm(16, IlmAction::Swap { isp: None, nhlfes: two_ways().to_vec() }),
        ftn(ALPHA, &[("10.254.1.1", &two_ways())]),
    ]);
    // Other labels and another seed at the node before: what it sent one way must still spread here.
    let words = crate::node::words();
    let mut before = Node::new(&words, 8);
    before.port(ACCESS, PortKind::Access, ours(ACCESS), EDGE_MTU, true);
    before.port(BB0, PortKind::Backbone, ours(BB0), BACKBONE_MTU, true);
    before.port(BB1, PortKind::Backbone, ours(BB1), BACKBONE_MTU, true);
    before.install(changes());
    before.install([ftn(ALPHA, &[("10.254.1.1", &two_ways())])]);
    let flows: Vec<_> = (0..400).map(|port| (port, 53)).collect();
    let frames: Vec<_> = flows.iter().map(|&ports| from_anna(ports)).collect();
    let chose = ways(&mut before, ACCESS, &frames);
    for depth in 1..=4 {
        let labelled: Vec<_> = flows
            .iter()
            .zip(&chose)
            .filter(|(_, way)| **way == BB0)
            .map(|(&ports, _)| {
                let mut stack = vec![label(16, 0, depth == 1, 9)];
                stack.extend((1..depth).map(|n| label(100 + n, 0, n + 1 == depth, 9)));
                let packet = udp_ports("100.64.0.11", SERVICE_V4, 9, ports, b"");
                ethernet(ours(BB0), peer(BB0), &[], MPLS, &cat(&[&stack.concat(), &packet]))
            })
            .collect();
        let shares = shares(&ways(&mut node, BB0, &labelled));
        assert!(shares.len() == 2 && shares.values().all(|&share| share > 60), "{depth}: {shares:?}");
    }
}

#[test]
fn a_way_whose_port_is_down_is_passed_over() {
    let words = words();
    let mut node = node(&words);
    node.install([ftn(ALPHA, &[("10.254.1.1", &two_ways())])]);
    let flows: Vec<_> = (0..40).map(|port| from_anna((port, 53))).collect();
    let before = ways(&mut node, ACCESS, &flows);
    node.port(BB0, PortKind::Backbone, ours(BB0), BACKBONE_MTU, false);
    assert_eq!(shares(&ways(&mut node, ACCESS, &flows)), [(BB1, 40)].into());
    node.port(BB0, PortKind::Backbone, ours(BB0), BACKBONE_MTU, true);
    assert_eq!(ways(&mut node, ACCESS, &flows), before);
}

#[test]
fn a_subscriber_stays_at_its_handoff_whatever_its_flows_and_the_order_of_choices() {
    let words = words();
    let mut node = node(&words);
    let choices: Vec<(String, _)> = (1..=4)
        .map(|n| (format!("10.254.1.{n}"), [nhlfe(if n % 2 == 0 { BB0 } else { BB1 }, &[1000 + n])]))
        .collect();
    let bindings = (0..40).map(|n| {
        binding(circuit(ACCESS, &[7]), ALPHA, &format!("100.64.1.{n}/32"), 100 + n, Some(ANNA), false)
    });
    node.install(bindings);
    let mut labels = |choices: &[(String, [contract::Nhlfe; 1])]| {
        let borrowed: Vec<(&str, &[contract::Nhlfe])> =
            choices.iter().map(|(a, n)| (a.as_str(), &n[..])).collect();
        node.install([ftn(ALPHA, &borrowed)]);
        let mut chosen = Vec::new();
        for n in 0..40 {
            let frames: Vec<_> = (0..5)
                .map(|port| {
                    let packet = udp_ports(&format!("100.64.1.{n}"), SERVICE_V4, 9, (port, 53), b"");
                    ethernet(ours(ACCESS), ANNA, &[(VLAN, 7)], IPV4, &packet)
                })
                .collect();
            let seen: BTreeSet<[u8; 4]> = node
                .take(ACCESS, &frames)
                .sent
                .iter()
                .map(|(_, frame)| frame[14..18].try_into().unwrap())
                .collect();
            assert_eq!(seen.len(), 1, "all flows of one subscriber");
            chosen.push(u32::from_be_bytes(*seen.first().unwrap()) >> 12);
        }
        chosen
    };
    let all = labels(&choices);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4, "all handoffs are used");
    let reversed: Vec<_> = choices.iter().rev().cloned().collect();
    assert_eq!(labels(&reversed), all);
    let three = labels(&choices[..3]);
    for (before, after) in all.iter().zip(&three) {
        assert!(*before == 1004 || before == after, "only the lost handoff's subscribers move");
    }
    assert_eq!(labels(&choices), all, "and they return with it");
}
