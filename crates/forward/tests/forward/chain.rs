//! Headend, transit and tailend in a row: two ISPs with the same addresses stay apart, both ends count alike.

use std::collections::BTreeMap;

use contract::counters::{Point, Tally};
use contract::{IlmAction, PortKind};

use crate::frames::*;
use crate::network::{
    ALPHA, BETA, binding, circuit, ftn, handoff, ilm, nhlfe, return_route, to_handoff, to_subscribers,
};
use crate::node::{Counter, Node, words};

const HEAD: usize = 0;
const TRANSIT: usize = 1;
const TAIL: usize = 2;
/// On each node: the edge port or, at the transit node, the port to the headend.
const FIRST: u16 = 0;
/// On each node: the port to the backbone or, at the transit node, the port to the tailend.
const SECOND: u16 = 1;
const SECOND_HANDOFF: u16 = 2;

/// The same address at both ISPs.
const SHARED: &str = "100.64.0.20";
const ANYCAST: &str = "192.0.2.53";
const DORA: [u8; 6] = [2, 0, 0, 0, 3, 1];
const EMIL: [u8; 6] = [2, 0, 0, 0, 3, 2];
const ALPHA_ROUTER: [u8; 6] = [2, 0, 0, 0, 4, 1];
const BETA_ROUTER: [u8; 6] = [2, 0, 0, 0, 4, 2];

fn mac(node: usize, port: u16) -> [u8; 6] {
    [2, 0, 0, 0x77, node as u8, port as u8]
}

/// An entry that pushes this label towards the port at the other end of a link.
fn towards(by: u16, label: u32, other: (usize, u16)) -> contract::Nhlfe {
    contract::Nhlfe { mac: wire::MacAddr(mac(other.0, other.1)), ..nhlfe(by, &[label]) }
}

/// Where a link's other end is.
fn across(node: usize, port: u16) -> Option<(usize, u16)> {
    match (node, port) {
        (HEAD, SECOND) => Some((TRANSIT, FIRST)),
        (TRANSIT, FIRST) => Some((HEAD, SECOND)),
        (TRANSIT, SECOND) => Some((TAIL, SECOND)),
        (TAIL, SECOND) => Some((TRANSIT, SECOND)),
        _ => None,
    }
}

struct Chain<'m> {
    nodes: Vec<Node<'m>>,
}

impl<'m> Chain<'m> {
    fn new(words: &'m [Vec<std::sync::atomic::AtomicU64>]) -> Self {
        let mut nodes: Vec<_> = words.iter().zip(1..).map(|(words, seed)| Node::new(words, seed)).collect();
        let kinds = [
            (HEAD, FIRST, PortKind::Access),
            (HEAD, SECOND, PortKind::Backbone),
            (TRANSIT, FIRST, PortKind::Backbone),
            (TRANSIT, SECOND, PortKind::Backbone),
            (TAIL, FIRST, PortKind::Handoff),
            (TAIL, SECOND, PortKind::Backbone),
            (TAIL, SECOND_HANDOFF, PortKind::Handoff),
        ];
        for (node, port, kind) in kinds {
            nodes[node].port(port, kind, mac(node, port), 1508, true);
        }
        // Labels: 1xx to alpha, 2xx to beta; 3xx and 4xx back. The node that gives one out is its last digit.
        let to_tail =
            |label| IlmAction::Swap { isp: None, nhlfes: vec![towards(SECOND, label, (TAIL, SECOND))] };
        let to_head =
            |label| IlmAction::Swap { isp: None, nhlfes: vec![towards(FIRST, label, (HEAD, SECOND))] };
        let (line, other_line) = (circuit(FIRST, &[1]), circuit(FIRST, &[2]));
        nodes[HEAD].install([
            binding(line, ALPHA, "100.64.0.20/32", 1, Some(DORA), false),
            binding(line, ALPHA, "2001:db8:a::/56", 1, Some(DORA), false),
            binding(other_line, BETA, "100.64.0.20/32", 2, Some(EMIL), true),
            ftn(ALPHA, &[("10.254.1.1", &[towards(SECOND, 101, (TRANSIT, FIRST))])]),
            ftn(BETA, &[("10.254.1.3", &[towards(SECOND, 201, (TRANSIT, FIRST))])]),
            ilm(300, to_subscribers(ALPHA)),
            ilm(400, to_subscribers(BETA)),
        ]);
        nodes[TRANSIT].install([
            ilm(101, to_tail(102)),
            ilm(201, to_tail(202)),
            ilm(301, to_head(300)),
            ilm(401, to_head(400)),
        ]);
        let v6 = Some(ALPHA_ROUTER);
        nodes[TAIL].install([
            handoff(circuit(FIRST, &[10]), ALPHA, Some(ALPHA_ROUTER), v6),
            handoff(circuit(SECOND_HANDOFF, &[]), BETA, Some(BETA_ROUTER), None),
            ilm(102, to_handoff(ALPHA, circuit(FIRST, &[10]))),
            ilm(202, to_handoff(BETA, circuit(SECOND_HANDOFF, &[]))),
            return_route(ALPHA, "100.64.0.0/24", &[towards(SECOND, 301, (TRANSIT, SECOND))]),
            return_route(ALPHA, "2001:db8:a::/48", &[towards(SECOND, 301, (TRANSIT, SECOND))]),
            return_route(BETA, "100.64.0.0/24", &[towards(SECOND, 401, (TRANSIT, SECOND))]),
        ]);
        Self { nodes }
    }

    /// Sends a frame into a node's port, and on over the links; what leaves the network at last, and where.
    fn send(&mut self, node: usize, port: u16, frame: Vec<u8>) -> Option<(usize, u16, Vec<u8>)> {
        let (mut node, mut port, mut frame) = (node, port, frame);
        loop {
            let (by, sent) = self.nodes[node].take(port, &[frame]).sent.pop()?;
            match across(node, by) {
                Some(other) => ((node, port), frame) = (other, sent),
                None => return Some((node, by, sent)),
            }
        }
    }
}

#[test]
fn the_same_address_at_two_isps_stays_apart_both_ways() {
    let words = [words(), words(), words()];
    let mut chain = Chain::new(&words);
    let lines = [
        (1, DORA, (FIRST, &[(VLAN, 10)][..], ALPHA_ROUTER)),
        (2, EMIL, (SECOND_HANDOFF, &[][..], BETA_ROUTER)),
    ];
    for n in 0..10u8 {
        for (vlan, station, (by, tags, router)) in lines {
            let payload = vec![n; usize::from(n) + usize::from(vlan == 2)];
            let forth = |ttl| udp(SHARED, ANYCAST, ttl, &payload);
            let frame = ethernet(mac(HEAD, FIRST), station, &[(VLAN, vlan)], IPV4, &forth(64));
            let out = ethernet(router, mac(TAIL, by), tags, IPV4, &forth(62));
            assert_eq!(chain.send(HEAD, FIRST, frame), Some((TAIL, by, out)));

            let back = |ttl| udp(ANYCAST, SHARED, ttl, &payload);
            let frame = ethernet(mac(TAIL, by), router, tags, IPV4, &back(64));
            let out = ethernet(station, mac(HEAD, FIRST), &[(VLAN, vlan)], IPV4, &back(62));
            assert_eq!(chain.send(TAIL, by, frame), Some((HEAD, FIRST, out)));
        }
    }
    // A spoofed source and an address that only the other ISP has go nowhere.
    let spoofed = ethernet(mac(HEAD, FIRST), DORA, &[(VLAN, 1)], IPV4, &udp("100.64.0.21", ANYCAST, 64, b""));
    assert_eq!(chain.send(HEAD, FIRST, spoofed), None);
    let v6 = udp("2001:db8:5::1", "2001:db8:a::1", 64, b"");
    let wrong = ethernet(mac(TAIL, SECOND_HANDOFF), BETA_ROUTER, &[], IPV6, &v6);
    assert_eq!(chain.send(TAIL, SECOND_HANDOFF, wrong), None);

    let counters: Vec<BTreeMap<_, _>> = chain.nodes.iter().map(Node::counters).collect();
    let octets = |extra: u64| (0..10u64).map(|n| 28 + n + extra).sum::<u64>();
    for (isp, extra) in [(ALPHA, 0), (BETA, 1)] {
        for (node, point) in [
            (HEAD, Point::HeadendToIsp),
            (TAIL, Point::TailendToIsp),
            (TAIL, Point::TailendToSubscriber),
            (HEAD, Point::HeadendToSubscriber),
        ] {
            assert_eq!(counters[node][&Counter::Packets(isp, point, Tally::Sent)], 10);
            assert_eq!(counters[node][&Counter::Octets(isp, point, Tally::Sent)], octets(extra));
        }
    }
    for port in [FIRST, SECOND] {
        assert_eq!(counters[TRANSIT][&Counter::Port(port, "switched_packets")], 20);
        assert_eq!(counters[TRANSIT][&Counter::Port(port, "switched_octets")], octets(0) + octets(1));
    }
}

#[test]
fn in_the_uniform_model_every_node_is_a_hop() {
    let words = [words(), words(), words()];
    let mut chain = Chain::new(&words);
    for node in &mut chain.nodes {
        node.install([contract::Change::Settings(contract::Settings {
            ttl: contract::TtlModel::Uniform,
            ..contract::Settings::default()
        })]);
    }
    let frame = ethernet(mac(HEAD, FIRST), DORA, &[(VLAN, 1)], IPV4, &udp(SHARED, ANYCAST, 64, b""));
    let out = ethernet(ALPHA_ROUTER, mac(TAIL, FIRST), &[(VLAN, 10)], IPV4, &udp(SHARED, ANYCAST, 61, b""));
    assert_eq!(chain.send(HEAD, FIRST, frame), Some((TAIL, FIRST, out)));
}
