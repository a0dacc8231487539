//! One node that plays every role: two ISPs with the same addresses, each line and handoff of another kind.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;

use contract::{
    Asn, Binding, BindingKey, Change, Circuit, Fec, Ftn, FtnChoice, Handoff, Ilm, IlmAction, IspPrefix,
    LabelStack, Nhlfe, PortId, PortKind, ReturnRoute, SubscriberId,
};
use wire::{Label, MacAddr, VlanId, VlanTags};

use crate::node::Node;

pub(crate) const ALPHA: u32 = 64501;
pub(crate) const BETA: u32 = 64502;

pub(crate) const ACCESS: u16 = 0;
pub(crate) const LINE: u16 = 1;
pub(crate) const BB0: u16 = 2;
pub(crate) const BB1: u16 = 3;
pub(crate) const HANDOFF: u16 = 4;

pub(crate) const EDGE_MTU: u32 = 1500;
pub(crate) const BACKBONE_MTU: u32 = 1508;

/// The Ethernet address of our port.
pub(crate) const fn ours(port: u16) -> [u8; 6] {
    [2, 0, 0, 0, 1, port as u8]
}

/// The Ethernet address of the neighbouring LSR on a backbone port.
pub(crate) const fn peer(port: u16) -> [u8; 6] {
    [2, 0, 0, 0, 2, port as u8]
}

pub(crate) const ANNA: [u8; 6] = [2, 0, 0, 0, 3, 1];
pub(crate) const BERT: [u8; 6] = [2, 0, 0, 0, 3, 2];
pub(crate) const DORA: [u8; 6] = [2, 0, 0, 0, 3, 4];
pub(crate) const EMIL: [u8; 6] = [2, 0, 0, 0, 3, 5];
pub(crate) const ALPHA_V4: [u8; 6] = [2, 0, 0, 0, 4, 1];
pub(crate) const ALPHA_V6: [u8; 6] = [2, 0, 0, 0, 4, 2];
pub(crate) const BETA_V4: [u8; 6] = [2, 0, 0, 0, 4, 3];

pub(crate) fn vlan(id: u16) -> VlanId {
    VlanId::new(id).unwrap()
}

pub(crate) fn circuit(port: u16, tags: &[u16]) -> Circuit {
    let tags = match *tags {
        [] => VlanTags::None,
        [id] => VlanTags::Single(vlan(id)),
        [outer, inner] => VlanTags::Double { outer: vlan(outer), inner: vlan(inner) },
        _ => panic!("too many tags"),
    };
    Circuit { port: PortId(port), tags }
}

pub(crate) fn binding(
    circuit: Circuit,
    isp: u32,
    prefix: &str,
    subscriber: u64,
    mac: Option<[u8; 6]>,
    verify_mac: bool,
) -> Change {
    let key = BindingKey { circuit, prefix: isp_prefix(isp, prefix) };
    let binding =
        Binding { subscriber: SubscriberId(subscriber), mac: mac.map(MacAddr), verify_mac, leaving: false };
    Change::Binding(key, Some(binding))
}

pub(crate) fn isp_prefix(isp: u32, prefix: &str) -> IspPrefix {
    IspPrefix { isp: Asn(isp), prefix: prefix.parse().unwrap() }
}

pub(crate) fn fec(address: &str) -> Fec {
    Fec(format!("{address}/32").parse().unwrap())
}

pub(crate) fn nhlfe(port: u16, labels: &[u32]) -> Nhlfe {
    let labels: Vec<_> = labels.iter().map(|&label| Label::new(label).unwrap()).collect();
    Nhlfe {
        push: LabelStack::new(&labels).unwrap(),
        port: PortId(port),
        next_hop: Ipv4Addr::new(10, 0, port as u8, 2).into(),
        mac: MacAddr(peer(port)),
    }
}

pub(crate) fn ftn(isp: u32, choices: &[(&str, &[Nhlfe])]) -> Change {
    let choices =
        choices.iter().map(|(address, ways)| FtnChoice { fec: fec(address), nhlfes: ways.to_vec() });
    Change::Ftn(Asn(isp), Some(Ftn { choices: choices.collect() }))
}

pub(crate) fn return_route(isp: u32, prefix: &str, ways: &[Nhlfe]) -> Change {
    let route = ReturnRoute { fec: fec("10.254.2.1"), nhlfes: ways.to_vec() };
    Change::ReturnRoute(isp_prefix(isp, prefix), Some(route))
}

pub(crate) fn ilm(label: u32, action: IlmAction) -> Change {
    Change::Ilm(Label::new(label).unwrap(), Some(Ilm { fec: fec("10.254.9.9"), action }))
}

pub(crate) fn to_handoff(isp: u32, handoff: Circuit) -> IlmAction {
    IlmAction::PopToHandoff { isp: Asn(isp), handoff }
}

pub(crate) fn to_subscribers(isp: u32) -> IlmAction {
    IlmAction::PopToSubscribers { isp: Asn(isp) }
}

pub(crate) fn handoff(circuit: Circuit, isp: u32, v4: Option<[u8; 6]>, v6: Option<[u8; 6]>) -> Change {
    let handoff = Handoff {
        isp: Asn(isp),
        ipv4: v4.map(|mac| (Ipv4Addr::new(192, 0, 2, 2), MacAddr(mac))),
        ipv6: v6.map(|mac| ("2001:db8:f:1::2".parse().unwrap(), MacAddr(mac))),
    };
    Change::Handoff(circuit, Some(handoff))
}

/// What is installed at the start of every row.
pub(crate) fn changes() -> Vec<Change> {
    let segment = circuit(ACCESS, &[]);
    vec![
        binding(segment, ALPHA, "100.64.0.11/32", 1, Some(ANNA), false),
        binding(segment, ALPHA, "2001:db8:a:11::/64", 1, Some(ANNA), false),
        binding(segment, BETA, "100.64.0.12/32", 2, Some(BERT), true),
        binding(segment, ALPHA, "100.64.0.13/32", 3, None, false),
        binding(circuit(LINE, &[100]), ALPHA, "100.64.0.20/32", 4, Some(DORA), false),
        binding(circuit(LINE, &[200, 300]), BETA, "100.64.0.20/32", 5, Some(EMIL), false),
        binding(circuit(LINE, &[200, 300]), BETA, "2001:db8:b:20::/64", 5, Some(EMIL), false),
        ftn(ALPHA, &[("10.254.1.1", &[nhlfe(BB0, &[1001])])]),
        ftn(BETA, &[("10.254.1.3", &[nhlfe(BB1, &[2001, 2002])])]),
        handoff(circuit(HANDOFF, &[10]), ALPHA, Some(ALPHA_V4), Some(ALPHA_V6)),
        handoff(circuit(HANDOFF, &[]), BETA, Some(BETA_V4), None),
        return_route(ALPHA, "100.64.0.0/24", &[nhlfe(BB0, &[3001])]),
        return_route(ALPHA, "100.64.0.128/25", &[nhlfe(BB1, &[3011])]),
        return_route(ALPHA, "2001:db8:a::/48", &[nhlfe(BB0, &[3001])]),
        return_route(BETA, "100.64.0.0/24", &[nhlfe(BB1, &[3002])]),
        return_route(BETA, "100.64.1.0/24", &[]),
        ilm(16, IlmAction::Swap { isp: None, nhlfes: vec![nhlfe(BB1, &[17])] }),
        ilm(18, IlmAction::Swap { isp: None, nhlfes: vec![nhlfe(BB1, &[19, 23])] }),
        ilm(19, IlmAction::Swap { isp: None, nhlfes: vec![] }),
        ilm(20, to_handoff(ALPHA, circuit(HANDOFF, &[10]))),
        ilm(21, to_handoff(BETA, circuit(HANDOFF, &[]))),
        ilm(22, to_handoff(ALPHA, circuit(HANDOFF, &[11]))),
        ilm(24, to_handoff(BETA, circuit(HANDOFF, &[10]))),
        ilm(30, to_subscribers(ALPHA)),
        ilm(31, to_subscribers(BETA)),
    ]
}

/// A node in this network.
pub(crate) fn node(words: &[AtomicU64]) -> Node<'_> {
    let mut node = Node::new(words, 7);
    for (port, kind, mtu) in [
        (ACCESS, PortKind::Access, EDGE_MTU),
        (LINE, PortKind::Access, EDGE_MTU),
        (BB0, PortKind::Backbone, BACKBONE_MTU),
        (BB1, PortKind::Backbone, BACKBONE_MTU),
        (HANDOFF, PortKind::Handoff, EDGE_MTU),
    ] {
        node.port(port, kind, ours(port), mtu, true);
    }
    node.install(changes());
    node
}

/// What the node is to alpha as a router; beta has no address of it for errors over IPv6.
pub(crate) fn roles() -> [Change; 2] {
    let addresses = |all: &[&str]| all.iter().map(|address| address.parse().unwrap()).collect();
    let alpha = contract::IspConfig {
        icmp_source: contract::IcmpSource {
            ipv4: Some(ALPHA_SOURCE.parse().unwrap()),
            ipv6: Some(ALPHA_SOURCE6.parse().unwrap()),
        },
        own: addresses(&[GATEWAY, GATEWAY6, ALPHA_SOURCE, ALPHA_SOURCE6]),
        icmp_sources: addresses(&[ALPHA_SOURCE, ALPHA_SOURCE6, TRANSIT, TRANSIT6]),
        clamp_mss: false,
    };
    let beta = contract::IspConfig {
        icmp_source: contract::IcmpSource { ipv4: Some(BETA_SOURCE.parse().unwrap()), ipv6: None },
        own: addresses(&[GATEWAY, BETA_SOURCE]),
        icmp_sources: addresses(&[BETA_SOURCE]),
        clamp_mss: true,
    };
    [Change::Isp(Asn(ALPHA), Some(alpha)), Change::Isp(Asn(BETA), Some(beta))]
}

/// The gateway of both ISPs' pools.
pub(crate) const GATEWAY: &str = "100.64.0.1";
pub(crate) const GATEWAY6: &str = "2001:db8:a::1";
pub(crate) const ALPHA_SOURCE: &str = "192.0.2.65";
pub(crate) const ALPHA_SOURCE6: &str = "2001:db8:f:9::1";
pub(crate) const BETA_SOURCE: &str = "192.0.2.66";
/// A transit node's at alpha.
pub(crate) const TRANSIT: &str = "192.0.2.77";
pub(crate) const TRANSIT6: &str = "2001:db8:f:9::7";
