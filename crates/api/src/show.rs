//! What `show` answers.

mod ldp;

use std::net::{IpAddr, Ipv4Addr};

use contract::{Asn, Label, MacAddr, PortKind, VlanTags, counters::Traffic};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use self::ldp::{
    Adjacency, AdjacencyKind, IgpSync, Ldp, LdpAgreed, LdpCapabilities, LdpCounters, LdpInterface,
    LdpLoopDetection, LdpMessages, LdpNeighbor, LdpSaid, LdpSettings,
};

/// The tables that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShowWhat {
    /// [`NodeInfo`]
    Node,
    /// `[`[`Isp`]`]`
    Isps,
    /// `[`[`FecRow`]`]`
    Fec,
    /// `[`[`LibRow`]`]`
    Lib,
    /// `[`[`Neighbor`]`]`
    Neighbors,
    /// `[`[`Adjacency`]`]`
    Adjacencies,
    /// [`Ldp`]
    Ldp,
    /// `[`[`Subscriber`]`]`
    Subscribers,
    /// [`Counters`]
    Counters,
    /// `[`[`DropRow`]`]`
    Drops,
    /// `[`[`Port`]`]`
    Ports,
}

impl ShowWhat {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Node,
        Self::Isps,
        Self::Fec,
        Self::Lib,
        Self::Neighbors,
        Self::Adjacencies,
        Self::Ldp,
        Self::Subscribers,
        Self::Counters,
        Self::Drops,
        Self::Ports,
    ];

    /// What is in it, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Node => "The node, its version, and the network file that it goes by",
            Self::Isps => "The ISPs, their handoffs, and whether they can be reached",
            Self::Fec => "FECs: labels, operations, next hops, states",
            Self::Lib => "Every label binding sent and received",
            Self::Neighbors => {
                "LDP peers, next hops of handoffs and of the backbone, subscribers' Ethernet addresses"
            }
            Self::Adjacencies => {
                "LDP Hello adjacencies: how each LDP peer is heard, and for how long it holds"
            }
            Self::Ldp => {
                "LDP in full: settings, and each peer's session, capabilities, last errors, messages"
            }
            Self::Subscribers => "Subscribers and what is bound to their circuits",
            Self::Counters => "Packets and octets by ISP and by port",
            Self::Drops => "Drops by port and reason",
            Self::Ports => "The ports and how frames get in and out",
        }
    }

    /// Its name in the path `/v1/show/NAME` and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Isps => "isps",
            Self::Fec => "fec",
            Self::Lib => "lib",
            Self::Neighbors => "neighbors",
            Self::Adjacencies => "adjacencies",
            Self::Ldp => "ldp",
            Self::Subscribers => "subscribers",
            Self::Counters => "counters",
            Self::Drops => "drops",
            Self::Ports => "ports",
        }
    }
}

/// `GET /v1/node`: which node this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name in the network file.
    pub node: String,
    /// The network's name.
    pub network: String,
    /// Its LSR-id.
    pub lsr_id: Ipv4Addr,
    /// openmile's version.
    pub version: String,
    /// Whether the forwarder is connected.
    pub forwarder: bool,
    /// Whether the forwarder has taken all that it was to be told.
    pub up_to_date: bool,
    /// Whether the replay after a start is still going on.
    pub recovering: bool,
    /// The BLAKE3 hash of the network file, in hexadecimal digits: nodes with the same file have the same.
    pub digest: String,
    /// When the network file was read, in seconds since the Unix epoch.
    pub loaded_at: u64,
}

/// One ISP as this node serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isp {
    /// Its AS number.
    pub asn: Asn,
    /// Its name.
    pub name: String,
    /// Its handoffs in the whole network.
    pub handoffs: Vec<IspHandoff>,
    /// Prefixes of its subscribers on this headend.
    pub pools: Vec<IpNet>,
    /// Subscriptions of it on this headend.
    pub subscribers: u64,
    /// Whether packets of its subscribers on this headend can reach it; `None` where this node is no headend of it.
    pub reachable: Option<bool>,
}

/// A handoff to an ISP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IspHandoff {
    /// The tailend.
    pub node: String,
    /// The port there.
    pub port: String,
    /// Its VLAN.
    pub vlan: Option<contract::VlanId>,
    /// The FEC.
    pub fec: IpNet,
    /// Higher is better.
    pub preference: u32,
    /// As far as this node can tell: at its own handoffs whether the next hops answer, elsewhere whether the LSP is there.
    pub up: bool,
    /// At the node whose handoff it is: it waits for LSPs to the ISP's subscribers, after a start.
    #[serde(default)]
    pub waits: bool,
    /// More of it, at the node whose handoff it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HandoffHealth>,
}

/// How a handoff has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoffHealth {
    /// Seconds for which it has been up, or not.
    pub seconds: u64,
    /// How often it went down since control was started or the handoff was configured.
    pub failures: u64,
    /// What it still has to pay for those: 1000 for each, halved every 15 seconds. Above 2000 it is held down.
    pub penalty: u32,
    /// Seconds for which it is held down still, if it fails no more.
    pub held_for: Option<u64>,
}

/// What a service FEC is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceRole {
    /// To the ISP: a handoff.
    ToIsp,
    /// To the subscriber: an ISP's return address on a headend.
    ToSubscriber,
    /// No FEC of the network file.
    Other,
}

/// A FEC with whom it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fec {
    /// The prefix.
    pub prefix: IpNet,
    /// The ISP, where the network file knows the FEC.
    pub isp: Option<Asn>,
    /// Its name.
    pub isp_name: Option<String>,
    /// What it is for.
    pub role: ServiceRole,
}

/// What this node does with packets of a FEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FecOperation {
    /// Ingress: push.
    Push,
    /// Transit: swap.
    Swap,
    /// Egress: pop, then out of the handoff or to the subscriber.
    Pop,
}

/// Whether packets of a FEC get through this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FecState {
    /// Installed in the forwarder.
    Up,
    /// The next hop's Ethernet address or the forwarder's answer is awaited.
    Pending,
    /// The handoff's next hop does not answer, or its port is down.
    HandoffDown,
    /// The handoff waits for LSPs to the ISP's subscribers, after a start.
    HandoffWaits,
    /// The handoff failed too often of late, and is not used for a while even if its next hop answers.
    HeldDown,
    /// No route to the FEC.
    NoRoute,
    /// A route, but no label from its next hop.
    NoLabel,
    /// The next hop sent a null label, which cannot carry an ISP's packets.
    NullLabel,
    /// Kept from before the neighbour's restart (RFC 3478), not yet confirmed.
    Stale,
    /// The next hop bound the same label to FECs of several ISPs or directions.
    SharedLabel,
    /// The forwarder refused the entry; no neighbour is told of it.
    Refused,
}

/// A row of the FEC table: one FEC, one operation, one next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FecRow {
    /// The FEC.
    pub fec: Fec,
    /// The label that packets arrive with.
    pub in_label: Option<Label>,
    /// What is done.
    pub operation: FecOperation,
    /// The label that they leave with.
    pub out_label: Option<Label>,
    /// Where to: a backbone neighbour's address, `port[.vlan]` of a handoff, or `subscribers`.
    pub next_hop: Option<String>,
    /// The port that they leave by.
    pub port: Option<String>,
    /// Whether they get through.
    pub state: FecState,
    /// The label comes from a router of another make: that it has one does not say that the LSP behind it is whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

/// Which way a binding was advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingSide {
    /// By the neighbour, to us.
    Received,
    /// By us, to the neighbour.
    Sent,
}

/// A row of the label information base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibRow {
    /// The FEC.
    pub fec: Fec,
    /// The neighbour's LSR-id.
    pub peer: Ipv4Addr,
    /// Which way.
    pub side: BindingSide,
    /// The label.
    pub label: Label,
    /// Received: whether it is in use (the neighbour is the next hop).
    pub in_use: bool,
    /// Received: kept from before the neighbour's restart.
    pub stale: bool,
}

/// What kind of neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeighborKind {
    /// An LDP peer.
    Ldp,
    /// A handoff's next hop.
    Handoff,
    /// A backbone next hop's Ethernet address, from the kernel.
    Backbone,
    /// A subscriber's Ethernet address.
    Subscriber,
}

/// A neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbor {
    /// What kind.
    pub kind: NeighborKind,
    /// Its address; of an LDP peer its LSR-id.
    pub address: IpAddr,
    /// Where: ports, with tags.
    pub via: Vec<String>,
    /// Its Ethernet address, where known.
    pub mac: Option<MacAddr>,
    /// The state's name: LDP's as in RFC 5036 (`operational`, …), else as in RFC 4861 (`reachable`, `incomplete`, …).
    pub state: String,
    /// Seconds in this state, where known.
    pub seconds: Option<u64>,
    /// More, for people: bindings, timers, the last error.
    pub detail: String,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// The operator's name for the subscriber.
    pub subscriber: String,
    /// The ISP.
    pub isp: Asn,
    /// The ISP's name.
    pub isp_name: String,
    /// The access port.
    pub port: String,
    /// The tags, in JSON as a list, the outer one first: `[]`, `[20]`, `[10, 1002]`.
    #[serde(with = "tag_list")]
    pub tags: VlanTags,
    /// Its prefixes.
    pub prefixes: Vec<IpNet>,
    /// Its Ethernet address, where known.
    pub mac: Option<MacAddr>,
    /// Whether the directory gave that address (else it was learned).
    pub mac_configured: bool,
    /// The plan's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The subscriber went to another ISP: for how many seconds what is under way still arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving_for: Option<u64>,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// By ISP.
    pub isps: Vec<IspTraffic>,
    /// By port.
    pub ports: Vec<PortTraffic>,
}

/// An ISP's packets at this node, as headend and as tailend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IspTraffic {
    /// The ISP.
    pub isp: Asn,
    /// Its name.
    pub isp_name: String,
    /// Headend, from access ports to the backbone.
    pub headend_to_isp: Account,
    /// Headend, from the backbone to access ports.
    pub headend_to_subscriber: Account,
    /// Tailend, from the backbone to handoffs.
    pub tailend_to_isp: Account,
    /// Tailend, from handoffs to the backbone.
    pub tailend_to_subscriber: Account,
    /// Drops of its packets, all reasons.
    pub drops: u64,
}

/// An ISP's packets at one end of its LSP, one way: received + originated + extra fragments = sent + dropped + consumed +
/// what is still queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// Arrived, and known to be this ISP's.
    pub received: Traffic,
    /// Accepted for transmission.
    pub sent: Traffic,
    /// Made by this node: ICMP errors and echo replies.
    pub originated: Traffic,
    /// What fragmentation added.
    pub extra_fragments: Traffic,
    /// Dropped, all reasons.
    pub dropped: Traffic,
    /// Ended here, at an address of this node's own.
    pub consumed: Traffic,
}

/// A port's frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortTraffic {
    /// The port.
    pub port: String,
    /// Frames received.
    pub rx_frames: u64,
    /// Octets in them, Ethernet header included, FCS not.
    pub rx_octets: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Octets in them.
    pub tx_octets: u64,
    /// Frames handed to control.
    pub punted: u64,
    /// Frames that this node made: control's, ICMP messages, fragments beyond a packet's first.
    pub originated: u64,
    /// Frames that ended here, at an address of this node's own.
    pub consumed: u64,
    /// Packets that arrived here and were swapped.
    pub switched_packets: u64,
    /// Octets in them, by the length of the packets under the labels.
    pub switched_octets: u64,
    /// Drops of what came in here, all reasons.
    pub drops: u64,
}

/// Drops of one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRow {
    /// The port that the frames came in by.
    pub port: String,
    /// The reason's stable name.
    pub reason: String,
    /// What it means.
    pub meaning: String,
    /// How many.
    pub frames: u64,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its device's name.
    pub port: String,
    /// What is behind it.
    pub kind: PortKind,
    /// `up`, `no carrier`, or why it cannot be used.
    pub state: String,
    /// Whether frames can pass.
    pub up: bool,
    /// How frames get in and out.
    pub backend: Option<String>,
    /// Its Ethernet address.
    pub mac: Option<MacAddr>,
    /// Its IP MTU.
    pub mtu: Option<u32>,
}

/// Tags as a list, the outer one first.
mod tag_list {
    use contract::{VlanId, VlanTags};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(tags: &VlanTags, to: S) -> Result<S::Ok, S::Error> {
        match *tags {
            VlanTags::None => Vec::<VlanId>::new().serialize(to),
            VlanTags::Single(tag) => [tag].serialize(to),
            VlanTags::Double { outer, inner } => [outer, inner].serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<VlanTags, D::Error> {
        match Vec::<VlanId>::deserialize(from)?[..] {
            [] => Ok(VlanTags::None),
            [tag] => Ok(VlanTags::Single(tag)),
            [outer, inner] => Ok(VlanTags::Double { outer, inner }),
            _ => Err(D::Error::custom("more than two VLAN tags")),
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::VlanId;

    use super::*;

    #[test]
    fn tags_are_a_list_in_json() {
        let id = |number| VlanId::new(number).unwrap();
        let double = VlanTags::Double { outer: id(10), inner: id(1002) };
        for (tags, json) in
            [(VlanTags::None, "[]"), (VlanTags::Single(id(20)), "[20]"), (double, "[10,1002]")]
        {
            let row = Subscriber {
                subscriber: "line-1".into(),
                isp: Asn(64501),
                isp_name: "alpha".into(),
                port: "enp3s0".into(),
                tags,
                prefixes: vec![],
                mac: None,
                mac_configured: false,
                plan: None,
                leaving_for: None,
            };
            let text = serde_json::to_string(&row).unwrap();
            assert!(text.contains(&format!("\"tags\":{json},")), "{text}");
            assert_eq!(serde_json::from_str::<Subscriber>(&text).unwrap(), row);
            let three = text.replace(json, "[1,2,3]");
            assert!(serde_json::from_str::<Subscriber>(&three).is_err());
        }
    }
}
