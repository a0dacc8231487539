//! The network file as plain values: what is written, with defaults filled in.
//!
//! The doc comments of the fields are the descriptions in the JSON schema.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::{Asn, PortKind, TtlModel, VlanId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::Serialize;

use crate::names::{DeviceName, LabelRange, LspMtu, MoveGrace, Name, Preference};

mod ldp;
mod text;

pub use ldp::{
    GtsmMode, LabelAdvertisement, LabelControl, LabelRetention, Ldp, LdpNeighbor, LdpTime, LoopDetection,
    PduLength, Prefixes, SessionProtection, TargetedMode, TransportPreference, WantedNeighbors,
};
use text::{
    AsnNumber, DeviceText, Ipv4PrefixText, Ipv6PrefixText, LabelRangeNumbers, LspMtuNumber, MoveGraceNumber,
    NameText, PortKindText, PreferenceNumber, PrefixText, TtlText, VlanNumber,
};

/// A network of headends, transit nodes and tailends, and the ISPs that it serves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "openmile network file")]
pub struct Model {
    /// What holds for the network as a whole.
    pub network: General,
    /// LDP on all nodes.
    #[schemars(default)]
    pub ldp: Ldp,
    /// The nodes: one `[[node]]` each.
    #[serde(rename = "node")]
    #[schemars(length(min = 1))]
    pub nodes: Vec<Node>,
    /// The ISPs: one `[[isp]]` each, at most 1024.
    #[serde(rename = "isp", skip_serializing_if = "Vec::is_empty")]
    #[schemars(default, length(max = 1024))]
    pub isps: Vec<Isp>,
}

/// What holds for the network as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct General {
    /// The network's name.
    #[schemars(with = "NameText")]
    pub name: Name,
    /// How the TTLs of packet and label stack are kept (RFC 3443): `pipe` (the backbone is one hop; default) or
    /// `uniform` (every node is a hop).
    #[schemars(with = "TtlText", default)]
    pub ttl: TtlModel,
    /// The longest IP packet that every LSP carries, in octets without labels, 1280 to 65535: every backbone device's
    /// MTU is at least 4 more. Without it, each node goes by its own devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LspMtuNumber>", default)]
    pub lsp_mtu: Option<LspMtu>,
    /// How long packets of the ISP that a subscriber left still arrive, 1 to 3600 seconds; default 30.
    #[schemars(with = "MoveGraceNumber", default)]
    pub move_grace: MoveGrace,
    /// A CSV file of subscribers, its path relative to this file: it is the directory, and only it. Without it the
    /// directory is a store on each node, which is written by the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", default)]
    pub subscribers: Option<String>,
}

/// A router. Its roles follow from its ports: access ports make a headend, handoff ports a tailend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Node {
    /// The node's name, as in `openmile run --node NAME`.
    #[schemars(with = "NameText")]
    pub name: Name,
    /// The LSR-id (RFC 5036 §2.2.2): an IPv4 address of the node's own, on its loopback device and reachable from the
    /// other nodes.
    pub lsr_id: Ipv4Addr,
    /// The IPv4 address of this node's LDP sessions (RFC 5036 §2.5.2). The LSR-id if neither this nor
    /// `transport_address_v6` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_address: Option<Ipv4Addr>,
    /// The IPv6 address of this node's LDP sessions (RFC 7552), on its loopback device and reachable from the other nodes.
    /// With it alone LDP is spoken over IPv6 only; with `transport_address`, too, over both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_address_v6: Option<Ipv6Addr>,
    /// The first and the last label that this node gives out, at least 64 of them; default `[16, 1048575]`.
    #[schemars(with = "LabelRangeNumbers", default)]
    pub labels: LabelRange,
    /// The ports: one `[[node.port]]` each, 1 to 256. Their order gives them their numbers.
    #[serde(rename = "port")]
    #[schemars(length(min = 1, max = 256))]
    pub ports: Vec<Port>,
    /// LDP neighbors that are treated otherwise than all: one `[[node.ldp_neighbor]]` each.
    #[serde(rename = "ldp_neighbor", skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub ldp_neighbors: Vec<LdpNeighbor>,
}

impl Node {
    /// The IPv4 address of the node's LDP sessions; `None`: LDP is not spoken over IPv4.
    pub fn transport_address(&self) -> Option<Ipv4Addr> {
        self.transport_address.or(self.transport_address_v6.is_none().then_some(self.lsr_id))
    }
}

/// A port of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Port {
    /// The network device's name, as in `ip link`.
    #[schemars(with = "DeviceText")]
    pub name: DeviceName,
    /// What is behind it: `access` (subscribers), `backbone` (other nodes) or `handoff` (ISPs).
    #[schemars(with = "PortKindText")]
    pub kind: PortKind,
}

/// An internet service provider, named by its AS number everywhere else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Isp {
    /// The AS number (RFC 6793), 1 to 4294967294, without those that are reserved.
    #[schemars(with = "AsnNumber")]
    pub asn: Asn,
    /// The ISP's name in tables.
    #[schemars(with = "NameText")]
    pub name: Name,
    /// Whether the maximum segment size in TCP SYNs is lowered to what fits the LSP (RFC 9293 §3.7.1); default false.
    #[schemars(default)]
    pub clamp_mss: bool,
    /// Where nodes' ICMP errors to the ISP's packets come from, if not from their own addresses: one
    /// `[[isp.icmp_source]]` each.
    #[serde(rename = "icmp_source", skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub icmp_sources: Vec<IcmpSource>,
    /// Where the ISP takes its packets: one `[[isp.handoff]]` each.
    #[serde(rename = "handoff", skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub handoffs: Vec<Handoff>,
    /// Where the ISP has subscribers: one `[[isp.headend]]` each.
    #[serde(rename = "headend", skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub headends: Vec<Headend>,
}

/// Where a node's ICMP errors to packets of an ISP come from: addresses of the ISP's. Without one, a headend uses the
/// gateway of the ISP's first pool there, a tailend its address at the handoff, and a transit node sends none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct IcmpSource {
    /// The node's name.
    #[schemars(with = "NameText")]
    pub node: Name,
    /// The source of ICMP errors (RFC 792). At least one of `ipv4` and `ipv6` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub ipv4: Option<Ipv4Addr>,
    /// The source of ICMPv6 errors (RFC 4443).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub ipv6: Option<Ipv6Addr>,
}

/// A place where an ISP's packets are handed to it and taken from it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Handoff {
    /// The tailend: a node's name.
    #[schemars(with = "NameText")]
    pub node: Name,
    /// The port of that node, of kind `handoff`.
    #[schemars(with = "DeviceText")]
    pub port: DeviceName,
    /// The VLAN on that port, 1 to 4094; untagged if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<VlanNumber>", default)]
    pub vlan: Option<VlanId>,
    /// The host address that names this handoff in LDP: the ISP's FEC at this tailend. No other use of the address is
    /// made; several tailends may have the same one on purpose.
    pub fec: IpAddr,
    /// Headends use the live FEC of the highest preference: 1 to 65535, default 100.
    #[schemars(with = "PreferenceNumber", default)]
    pub preference: Preference,
    /// IPv4 at this handoff; without it no IPv4 is carried here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Attachment>,
    /// IPv6 at this handoff; without it no IPv6 is carried here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Attachment>,
}

/// IPv4 at a handoff.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ipv4Attachment {
    /// Our address and the length of the link's prefix, as in `192.0.2.1/30`.
    #[schemars(with = "Ipv4PrefixText")]
    pub address: Ipv4Net,
    /// The ISP's router on that link.
    pub next_hop: Ipv4Addr,
}

/// IPv6 at a handoff.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ipv6Attachment {
    /// Our address and the length of the link's prefix, as in `2001:db8:f::1/64`.
    #[schemars(with = "Ipv6PrefixText")]
    pub address: Ipv6Net,
    /// The ISP's router on that link.
    pub next_hop: Ipv6Addr,
}

/// An ISP's presence on a headend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Headend {
    /// The headend: a node's name. It has at least one access port.
    #[schemars(with = "NameText")]
    pub node: Name,
    /// The host address that names this ISP on this headend in LDP: the return FEC.
    pub return_address: IpAddr,
    /// The addresses of the ISP's subscribers here: one `[[isp.headend.pool]]` each.
    #[serde(rename = "pool")]
    #[schemars(length(min = 1))]
    pub pools: Vec<Pool>,
}

/// Addresses of an ISP's subscribers on a headend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Pool {
    /// The prefix, host bits zero: IPv4 of at most 30 bits or IPv6 of at most 126.
    #[schemars(with = "PrefixText")]
    pub prefix: IpNet,
    /// The subscribers' gateway: an address of that prefix, which the headend answers ARP or Neighbor Discovery for.
    pub gateway: IpAddr,
}
