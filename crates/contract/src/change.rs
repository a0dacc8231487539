//! What control tells a forwarder to hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use wire::{Label, MacAddr};

use crate::{Asn, Circuit, Ftn, Generation, Ilm, IspPrefix, PortId, ReturnRoute, SubscriberId};

/// One entry of the forwarder's tables as it should be, `None` where it should not be. A change is idempotent, is named
/// by its key, and stands alone: changes of different keys may be applied in any order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// What holds for the node as a whole.
    Settings(Settings),
    /// A port.
    Port(PortId, Option<PortConfig>),
    /// What this node is to an ISP and its subscribers as a router.
    Isp(Asn, Option<IspConfig>),
    /// A prefix of a subscriber on a circuit: what may come from it, and where what goes to it leaves.
    Binding(BindingKey, Option<Binding>),
    /// A handoff whose next hops are resolved.
    Handoff(Circuit, Option<Handoff>),
    /// Tailend: a prefix in an ISP's own table.
    ReturnRoute(IspPrefix, Option<ReturnRoute>),
    /// Headend: where an ISP's packets go.
    Ftn(Asn, Option<Ftn>),
    /// What is done with a packet that arrives with this label.
    Ilm(Label, Option<Ilm>),
}

/// What holds for the node as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// How the TTLs of packet and label stack are kept.
    pub ttl: TtlModel,
    /// The longest IP packet that every LSP of the network carries, in octets without labels; `None`: whatever the
    /// outgoing port takes with its labels.
    pub lsp_mtu: Option<u32>,
}

/// What this node is to an ISP and its subscribers as a router, in that ISP's address space.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct IspConfig {
    /// Where this node's ICMP errors to packets of the ISP come from; `None`: it sends none of this IP version.
    pub icmp_source: IcmpSource,
    /// The node's own addresses: gateways, handoff addresses, sources of ICMP errors. Packets to them end here, and echo
    /// requests are answered.
    pub own: Vec<IpAddr>,
    /// The sources of the ICMP errors of every node of the network. An error from one of these that comes out of the
    /// ISP's LSP is not for the end of that LSP but is turned round through the ISP's table (RFC 3032 §2.3).
    pub icmp_sources: Vec<IpAddr>,
    /// Whether the maximum segment size in TCP SYNs is lowered to what fits the LSP (RFC 9293 §3.7.1).
    pub clamp_mss: bool,
}

/// Source addresses of ICMP errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct IcmpSource {
    /// Of ICMP errors (RFC 792).
    pub ipv4: Option<Ipv4Addr>,
    /// Of ICMPv6 errors (RFC 4443).
    pub ipv6: Option<Ipv6Addr>,
}

/// How the TTLs of packet and label stack are kept (RFC 3443).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TtlModel {
    /// The LSP is one hop: the IP TTL falls by one at each LER, the label's starts at 255 (RFC 3443 §3.2).
    #[default]
    Pipe,
    /// Every LSR is a hop: the label's TTL starts as the IP TTL and is copied back (RFC 3443 §3.1).
    Uniform,
}

/// A port as the network file has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortConfig {
    /// The device's name, as in `ip link`.
    pub device: String,
    /// What is behind it.
    pub kind: PortKind,
}

/// What is behind a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortKind {
    /// Subscribers: ours whole, in the namespace for such ports.
    Access,
    /// Other LSRs: the kernel's for control, ours for MPLS frames.
    Backbone,
    /// ISPs: ours whole, in the namespace for such ports.
    Handoff,
}

/// A prefix of a subscriber on a circuit. Prefixes of one circuit do not overlap, unless they are one subscriber's; nor
/// do those of one ISP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BindingKey {
    /// The subscriber's line.
    pub circuit: Circuit,
    /// A prefix that is the subscriber's, in its ISP's address space.
    pub prefix: IspPrefix,
}

/// Whose a prefix on a circuit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Binding {
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// The Ethernet address that packets to it are sent to; `None` until it is learned.
    pub mac: Option<MacAddr>,
    /// Whether frames from any other Ethernet address are dropped (a MAC address in the directory).
    pub verify_mac: bool,
    /// Whether the subscriber is on its way to another ISP: packets to it still arrive, and packets from it are accepted
    /// only for as long as no other binding of this subscriber on this circuit has the same prefix. So a move loses no
    /// packet, in whichever order its changes come.
    pub leaving: bool,
}

/// A handoff whose next hops are resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Handoff {
    /// The ISP behind it.
    pub isp: Asn,
    /// The IPv4 next hop and its Ethernet address; `None`: IPv4 is not carried here.
    pub ipv4: Option<(Ipv4Addr, MacAddr)>,
    /// The IPv6 next hop and its Ethernet address; `None`: IPv6 is not carried here.
    pub ipv6: Option<(Ipv6Addr, MacAddr)>,
}

/// All that should be has been named in this generation: what was not is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndOfReplay {
    /// The generation that is complete.
    pub generation: Generation,
    /// What it is complete for.
    pub scope: Scope,
}

/// The two parts of what a control process knows: the one at start, the other only after its neighbours have told it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// From the network file and the directory: settings, ports, ISPs, bindings.
    Configuration,
    /// From neighbours: handoffs, return routes, FTN, ILM.
    Learned,
}

impl Change {
    /// The part of control's knowledge that this change comes from.
    pub const fn scope(&self) -> Scope {
        match self {
            Self::Settings(_) | Self::Port(..) | Self::Isp(..) | Self::Binding(..) => Scope::Configuration,
            Self::Handoff(..) | Self::ReturnRoute(..) | Self::Ftn(..) | Self::Ilm(..) => Scope::Learned,
        }
    }
}
