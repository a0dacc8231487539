//! What goes in and out of [`super::HandoffNeighbors`] besides frames.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use contract::{Circuit, MacAddr, Tick};
use ipnet::{Ipv4Net, Ipv6Net};

use super::DampingSettings;

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
    /// The next hops as they are now: after the first answer, after a change of Ethernet address, after the last answer
    /// that was waited for in vain, and when the handoff begins or ceases to be held down.
    NextHop {
        /// Which handoff.
        circuit: Circuit,
        /// The IPv4 next hop's Ethernet address; `None`: it does not answer, or there is none.
        ipv4: Option<MacAddr>,
        /// The IPv6 next hop's Ethernet address; `None`: it does not answer, or there is none.
        ipv6: Option<MacAddr>,
        /// Until then it is not to be offered to anybody, though all its next hops may answer: it failed too often.
        held_until: Option<Tick>,
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

/// How a handoff has been.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HandoffHealth {
    /// Whether it is up: every configured next hop answers, and it is not held down.
    pub up: bool,
    /// Since when it is up, or not.
    pub since: Tick,
    /// How often it failed since it was added: a next hop that answered did so no more, or the port went down.
    pub failures: u64,
    /// What it still has to pay for those.
    pub penalty: f64,
    /// Until when it is held down, if it fails no more.
    pub held_until: Option<Tick>,
}

/// Intervals.
///
/// A next hop that falls silent is noticed at most `probe_interval` + `misses` × `answer_wait` after its last answer: 1.3 s
/// with the defaults. Two probes a second, ARP requests to the next hop alone, are nothing to a router that limits what
/// its processor hears; and an answer that comes late is an answer, so that one which takes longer than `answer_wait` only
/// costs more probes. That four in a row are lost where one in ten is happens once in ten thousand probes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HandoffSettings {
    /// From an answer to the next probe, at most.
    pub probe_interval: Duration,
    /// By up to so much of each interval the next probe is earlier, in percent (as RFC 5880 §6.8.7), so that the next hops
    /// of many handoffs are not probed all at once.
    pub jitter: u8,
    /// What the jitter is made of.
    pub seed: u64,
    /// How long the answer to a probe is waited for before the next one.
    pub answer_wait: Duration,
    /// Unanswered probes after which a next hop is down.
    pub misses: u8,
    /// Between two questions for a next hop that is down, at most. To all stations, hence no more often than hosts do
    /// (RFC 4861 §10: RETRANS_TIMER).
    pub resolve_interval: Duration,
    /// How long both Ethernet addresses are listened for when another one turns up for the next hop.
    pub confirm_interval: Duration,
    /// After another Ethernet address was refused, no other is looked at for this long.
    pub challenge_hold: Duration,
    /// When a handoff is held down.
    pub damping: DampingSettings,
}

impl Default for HandoffSettings {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_millis(500),
            jitter: 25,
            seed: 0,
            answer_wait: Duration::from_millis(200),
            misses: 4,
            resolve_interval: Duration::from_secs(1),
            confirm_interval: Duration::from_millis(300),
            challenge_hold: Duration::from_secs(5),
            damping: DampingSettings::default(),
        }
    }
}
