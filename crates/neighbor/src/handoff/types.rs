//! What goes in and out of [`super::HandoffNeighbors`] besides frames.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use contract::{Circuit, MacAddr};
use ipnet::{Ipv4Net, Ipv6Net};

/// A handoff as the network file has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandoffConfig {
    /// Port and VLAN.
    pub circuit: Circuit,
    /// Our address with its subnet, and the next hop; `None`: IPv4 is not carried here.
    pub ipv4: Option<(Ipv4Net, Ipv4Addr)>,
    /// Our address with its subnet, and the next hop; `None`: IPv6 is not carried here.
    pub ipv6: Option<(Ipv6Net, Ipv6Addr)>,
}

/// What happened at a handoff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandoffEvent {
    /// The next hops as they are now: after the first answer, after a change of Ethernet address, and after the last
    /// answer that was waited for in vain.
    NextHop {
        /// Which handoff.
        circuit: Circuit,
        /// The IPv4 next hop's Ethernet address; `None`: it does not answer, or there is none.
        ipv4: Option<MacAddr>,
        /// The IPv6 next hop's Ethernet address; `None`: it does not answer, or there is none.
        ipv6: Option<MacAddr>,
    },
    /// Another station claims our address (RFC 5227 §2.4); at most one event in ten seconds and handoff.
    Conflict {
        /// Which handoff.
        circuit: Circuit,
        /// Our address.
        address: IpAddr,
        /// The other station.
        mac: MacAddr,
    },
}

/// Intervals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandoffSettings {
    /// Between two probes of a next hop, and how long each one's answer is waited for.
    pub probe_interval: Duration,
    /// Unanswered probes after which a next hop is down.
    pub misses: u8,
    /// How long both Ethernet addresses are listened for when another one turns up for the next hop.
    pub confirm_interval: Duration,
    /// After another Ethernet address was refused, no other is looked at for this long.
    pub challenge_hold: Duration,
}

impl Default for HandoffSettings {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            misses: 3,
            confirm_interval: Duration::from_millis(300),
            challenge_hold: Duration::from_secs(5),
        }
    }
}
