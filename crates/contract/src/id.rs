//! Names of things.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wire::VlanTags;

/// An autonomous system number, which names an ISP (RFC 6793: 32 bits). Written `64501` or `AS64501`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Asn(pub u32);

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

impl fmt::Debug for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Asn {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("AS").unwrap_or(text).parse().map(Self)
    }
}

/// A port of a node: its place among the node's ports in the network file, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PortId(pub u16);

/// A subscriber, by the number that the node's directory gave it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SubscriberId(pub u64);

/// A port and the VLAN tags on it: a subscriber's line as the headend sees it, or the attachment of a handoff.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Circuit {
    /// The port.
    pub port: PortId,
    /// The tags of every frame of this circuit.
    pub tags: VlanTags,
}

/// A prefix in an ISP's own address space; other ISPs may use the same prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct IspPrefix {
    /// The ISP.
    pub isp: Asn,
    /// The prefix, host bits zero.
    pub prefix: IpNet,
}

/// One replay of what should be: a control process takes a new one each time it connects to a forwarder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Generation(pub u64);
