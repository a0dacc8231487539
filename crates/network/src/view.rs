//! What one node needs of the network.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use contract::{Asn, Circuit, Fec, IcmpSource, IspConfig, IspPrefix, PortId, PortKind, TtlModel, VlanTags};
use ipnet::IpNet;

use crate::model::{
    Handoff, Ipv4Attachment, Ipv6Attachment, Isp, Ldp, LdpNeighbor, Model, Node, Pool, Port,
    TransportPreference,
};
use crate::names::{LabelRange, LspMtu, Name, Preference};
use crate::numbers::PortNumbers;

/// What one node needs of the network, worked out from the file: all of it, so that no other part of the daemon looks
/// into the file's model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeView {
    /// The node's name.
    pub name: Name,
    /// The LSR-id.
    pub lsr_id: Ipv4Addr,
    /// The IPv4 address of its LDP sessions, if LDP is spoken over IPv4.
    pub transport_address: Option<Ipv4Addr>,
    /// The IPv6 address of its LDP sessions, if LDP is spoken over IPv6.
    pub transport_address_v6: Option<Ipv6Addr>,
    /// The labels that it gives out.
    pub labels: LabelRange,
    /// LDP, the same in the whole network.
    pub ldp: Ldp,
    /// Its LDP neighbors that are treated otherwise than all.
    pub ldp_neighbors: Vec<LdpNeighbor>,
    /// The LSR-ids of the other nodes, and the addresses of their LDP sessions.
    pub others: BTreeMap<Ipv4Addr, IpAddr>,
    /// How TTLs are kept, the same in the whole network.
    pub ttl: TtlModel,
    /// The longest IP packet that every LSP of the network carries, in octets without labels.
    pub lsp_mtu: Option<LspMtu>,
    /// How long packets of the ISP that a subscriber left still arrive.
    pub move_grace: Duration,
    /// The ports by their numbers, see [`PortNumbers`].
    pub ports: BTreeMap<PortId, Port>,
    /// As a tailend: the handoffs here.
    pub handoffs: Vec<HandoffView>,
    /// As a tailend: for each ISP with a handoff here, the way to each of its pools at other nodes.
    pub return_routes: Vec<ReturnRouteView>,
    /// As a headend: the ISPs with pools here.
    pub headends: Vec<HeadendView>,
    /// What this node is to each ISP of the network as a router, by AS number.
    pub isps: Vec<IspView>,
    /// The names of all ISPs, for tables.
    pub isp_names: BTreeMap<Asn, Name>,
    /// The owners of all service FECs in the network.
    pub fecs: BTreeMap<Fec, FecOwner>,
}

/// What a node is to an ISP as a router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IspView {
    /// The ISP.
    pub isp: Asn,
    /// As the forwarder takes it.
    pub config: IspConfig,
}

/// A handoff of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandoffView {
    /// Port and VLAN.
    pub circuit: Circuit,
    /// The ISP behind it.
    pub isp: Asn,
    /// The FEC that this node announces while the handoff is up.
    pub fec: Fec,
    /// The FEC's preference.
    pub preference: Preference,
    /// IPv4: our address and the next hop.
    pub ipv4: Option<Ipv4Attachment>,
    /// IPv6: our address and the next hop.
    pub ipv6: Option<Ipv6Attachment>,
}

/// A tailend's way to one pool of one ISP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReturnRouteView {
    /// The pool, in the ISP's address space.
    pub prefix: IspPrefix,
    /// The ISP's return FEC on the headend that has the pool.
    pub fec: Fec,
}

/// An ISP's presence on this headend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeadendView {
    /// The ISP.
    pub isp: Asn,
    /// The FEC that this node announces.
    pub return_fec: Fec,
    /// The ISP's pools here, each with its gateway address.
    pub pools: Vec<Pool>,
    /// The ISP's FECs at other nodes, best preference first; a FEC that several tailends have is here once.
    pub fecs: Vec<IspFec>,
}

/// One FEC of an ISP, as a headend chooses among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IspFec {
    /// The FEC.
    pub fec: Fec,
    /// Higher is better.
    pub preference: Preference,
    /// The tailends that announce it.
    pub tailends: Vec<Name>,
}

/// Whose a service FEC is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FecOwner {
    /// The ISP.
    pub isp: Asn,
    /// Which way it leads.
    pub kind: FecKind,
    /// The nodes that announce it.
    pub nodes: Vec<Name>,
}

/// Which way a service FEC leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FecKind {
    /// To the ISP: the FEC of a handoff.
    ToIsp,
    /// To the subscribers of one headend: the ISP's return address there.
    ToSubscriber,
}

impl NodeView {
    /// The port of that device.
    pub fn port(&self, device: &str) -> Option<(PortId, &Port)> {
        self.ports().find(|(_, port)| port.name.as_str() == device)
    }

    /// The ports and their numbers.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &Port)> {
        self.ports.iter().map(|(id, port)| (*id, port))
    }

    /// The ports of a kind and their numbers.
    pub fn ports_of(&self, kind: PortKind) -> impl Iterator<Item = (PortId, &Port)> {
        self.ports().filter(move |(_, port)| port.kind == kind)
    }

    /// The FECs that this node announces itself: its handoffs' and its ISPs' return FECs, each once.
    pub fn own_fecs(&self) -> Vec<Fec> {
        let mut fecs: Vec<_> =
            self.handoffs.iter().map(|h| h.fec).chain(self.headends.iter().map(|h| h.return_fec)).collect();
        fecs.sort_unstable();
        fecs.dedup();
        fecs
    }

    /// Whose a FEC is; `None` if it is no service FEC of this network.
    pub fn fec_owner(&self, fec: &Fec) -> Option<&FecOwner> {
        self.fecs.get(fec)
    }

    pub(crate) fn of(model: &Model, node: &Node, numbers: &PortNumbers) -> Self {
        let ports = numbers.give(&node.ports);
        Self {
            name: node.name.clone(),
            lsr_id: node.lsr_id,
            transport_address: node.transport_address(),
            transport_address_v6: node.transport_address_v6,
            labels: node.labels,
            ldp: model.ldp,
            ldp_neighbors: node.ldp_neighbors.clone(),
            others: others(model, node),
            ttl: model.network.ttl,
            lsp_mtu: model.network.lsp_mtu,
            move_grace: model.network.move_grace.duration(),
            handoffs: model.isps.iter().flat_map(|isp| handoffs(node, &ports, isp)).collect(),
            ports,
            return_routes: model.isps.iter().flat_map(|isp| return_routes(node, isp)).collect(),
            headends: model.isps.iter().flat_map(|isp| headends(node, isp)).collect(),
            isps: isp_views(model, node),
            isp_names: model.isps.iter().map(|isp| (isp.asn, isp.name.clone())).collect(),
            fecs: fec_owners(model),
        }
    }
}

fn isp_views(model: &Model, node: &Node) -> Vec<IspView> {
    let mut views: Vec<_> = model.isps.iter().map(|isp| isp_view(model, node, isp)).collect();
    views.sort_by_key(|view| view.isp);
    views
}

fn isp_view(model: &Model, node: &Node, isp: &Isp) -> IspView {
    let source = icmp_source(isp, &node.name);
    let gateways = isp.headends.iter().filter(|headend| headend.node == node.name);
    let gateways = gateways.flat_map(|headend| headend.pools.iter().map(|pool| pool.gateway));
    let handoffs = isp.handoffs.iter().filter(|handoff| handoff.node == node.name);
    let handoffs = handoffs.flat_map(handoff_addresses);
    let config = IspConfig {
        icmp_source: source,
        own: sorted(gateways.chain(handoffs).chain(addresses(source)).collect()),
        icmp_sources: sorted(
            model.nodes.iter().flat_map(|node| addresses(icmp_source(isp, &node.name))).collect(),
        ),
        clamp_mss: isp.clamp_mss,
    };
    IspView { isp: isp.asn, config }
}

/// Where a node's ICMP errors to packets of an ISP come from: what the file says, or else the gateway of the ISP's first
/// pool there, or else the node's address at the ISP's first handoff there.
pub(crate) fn icmp_source(isp: &Isp, node: &Name) -> IcmpSource {
    let written = isp.icmp_sources.iter().find(|source| source.node == *node);
    let gateways = isp.headends.iter().filter(|headend| headend.node == *node);
    let gateways = gateways.flat_map(|headend| headend.pools.iter().map(|pool| pool.gateway));
    let handoffs = isp.handoffs.iter().filter(|handoff| handoff.node == *node).flat_map(handoff_addresses);
    let defaults: Vec<_> = gateways.chain(handoffs).collect();
    let ipv4 = defaults.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let ipv6 = defaults.iter().find_map(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    });
    IcmpSource {
        ipv4: written.and_then(|written| written.ipv4).or(ipv4),
        ipv6: written.and_then(|written| written.ipv6).or(ipv6),
    }
}

fn handoff_addresses(handoff: &Handoff) -> impl Iterator<Item = IpAddr> + use<> {
    let ipv4 = handoff.ipv4.map(|ipv4| IpAddr::V4(ipv4.address.addr()));
    let ipv6 = handoff.ipv6.map(|ipv6| IpAddr::V6(ipv6.address.addr()));
    ipv4.into_iter().chain(ipv6)
}

fn addresses(source: IcmpSource) -> impl Iterator<Item = IpAddr> {
    let ipv4 = source.ipv4.map(IpAddr::V4);
    ipv4.into_iter().chain(source.ipv6.map(IpAddr::V6))
}

fn sorted(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The owners of all service FECs.
pub(crate) fn fec_owners(model: &Model) -> BTreeMap<Fec, FecOwner> {
    let mut owners = BTreeMap::<Fec, FecOwner>::new();
    let mut add = |isp, kind, address, node: &Name| {
        let owner = owners.entry(host_fec(address)).or_insert(FecOwner { isp, kind, nodes: Vec::new() });
        owner.nodes.push(node.clone());
    };
    for isp in &model.isps {
        for handoff in &isp.handoffs {
            add(isp.asn, FecKind::ToIsp, handoff.fec, &handoff.node);
        }
        for headend in &isp.headends {
            add(isp.asn, FecKind::ToSubscriber, headend.return_address, &headend.node);
        }
    }
    owners
}

fn others(model: &Model, node: &Node) -> BTreeMap<Ipv4Addr, IpAddr> {
    let others = model.nodes.iter().filter(|other| other.lsr_id != node.lsr_id);
    others.map(|other| (other.lsr_id, transport_of(model, node, other))).collect()
}

/// Where a node's sessions with another end there: by the family that both speak, or else prefer (RFC 7552 §6.1.1).
fn transport_of(model: &Model, node: &Node, other: &Node) -> IpAddr {
    let v4 = node.transport_address().and(other.transport_address()).map(IpAddr::V4);
    let v6 = node.transport_address_v6.and(other.transport_address_v6).map(IpAddr::V6);
    let both = match model.ldp.transport_preference {
        TransportPreference::Ipv4 => v4.or(v6),
        TransportPreference::Ipv6 => v6.or(v4),
    };
    both.unwrap_or(other.lsr_id.into())
}

fn handoffs(node: &Node, ports: &BTreeMap<PortId, Port>, isp: &Isp) -> Vec<HandoffView> {
    let here = isp.handoffs.iter().filter(|handoff| handoff.node == node.name);
    let view = |handoff: &Handoff| {
        Some(HandoffView {
            circuit: Circuit {
                port: ports.iter().find(|(_, port)| port.name == handoff.port).map(|(id, _)| *id)?,
                tags: handoff.vlan.map_or(VlanTags::None, VlanTags::Single),
            },
            isp: isp.asn,
            fec: host_fec(handoff.fec),
            preference: handoff.preference,
            ipv4: handoff.ipv4,
            ipv6: handoff.ipv6,
        })
    };
    here.filter_map(view).collect()
}

fn return_routes(node: &Node, isp: &Isp) -> Vec<ReturnRouteView> {
    if !isp.handoffs.iter().any(|handoff| handoff.node == node.name) {
        return Vec::new();
    }
    let elsewhere = isp.headends.iter().filter(|headend| headend.node != node.name);
    elsewhere
        .flat_map(|headend| {
            headend.pools.iter().map(|pool| ReturnRouteView {
                prefix: IspPrefix { isp: isp.asn, prefix: pool.prefix },
                fec: host_fec(headend.return_address),
            })
        })
        .collect()
}

fn headends(node: &Node, isp: &Isp) -> Option<HeadendView> {
    let headend = isp.headends.iter().find(|headend| headend.node == node.name)?;
    let mut fecs = Vec::<IspFec>::new();
    for handoff in isp.handoffs.iter().filter(|handoff| handoff.node != node.name) {
        let fec = host_fec(handoff.fec);
        match fecs.iter_mut().find(|known| known.fec == fec) {
            Some(known) => known.tailends.push(handoff.node.clone()),
            None => fecs.push(IspFec {
                fec,
                preference: handoff.preference,
                tailends: vec![handoff.node.clone()],
            }),
        }
    }
    fecs.sort_by_key(|fec| (std::cmp::Reverse(fec.preference), fec.fec));
    Some(HeadendView {
        isp: isp.asn,
        return_fec: host_fec(headend.return_address),
        pools: headend.pools.clone(),
        fecs,
    })
}

fn host_fec(address: IpAddr) -> Fec {
    Fec(IpNet::from(address))
}
