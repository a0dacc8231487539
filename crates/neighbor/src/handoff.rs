//! Next hops behind handoffs: resolving and probing them, answering for our own addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use contract::{Circuit, MacAddr, PortId, Tick};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{Counters, Neighbor};

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

/// The next hops of a tailend's handoffs.
#[derive(Debug, Default)]
pub struct HandoffNeighbors {
    settings: HandoffSettings,
    counters: Counters,
}

impl HandoffNeighbors {
    /// No handoffs yet.
    pub fn new(settings: HandoffSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// A port can be used, with this Ethernet address of ours: its handoffs' next hops are asked for at once.
    pub fn set_port_mac(&mut self, _now: Tick, _port: PortId, _mac: MacAddr) {}

    /// A port cannot be used (not there, or no carrier): all next hops behind it are down at once.
    pub fn port_down(&mut self, _port: PortId) {}

    /// Adds a handoff, or replaces the one on this circuit; what is known of a next hop that stays is kept.
    pub fn add_handoff(&mut self, _now: Tick, _handoff: HandoffConfig) {}

    /// Removes the handoff on this circuit; makes no event.
    pub fn remove_handoff(&mut self, _circuit: Circuit) {}

    /// Takes this Ethernet address for true until the next hop fails to answer (after a restart). Makes an event.
    /// `false`: this is no next hop of a handoff on this circuit.
    pub fn assume(&mut self, _now: Tick, _circuit: Circuit, _next_hop: IpAddr, _mac: MacAddr) -> bool {
        false
    }

    /// Takes a frame that was punted.
    pub fn handle_frame(&mut self, _now: Tick, _circuit: Circuit, _frame: &[u8]) {}

    /// Does what is due at this time.
    pub fn handle_timeout(&mut self, _now: Tick) {}

    /// When [`Self::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Tick> {
        None
    }

    /// The next frame to transmit.
    pub fn poll_transmit(&mut self) -> Option<(Circuit, Vec<u8>)> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<HandoffEvent> {
        None
    }

    /// What was done with the frames that went in.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Every next hop, by circuit.
    pub fn neighbors(&self) -> impl Iterator<Item = Neighbor> {
        std::iter::empty()
    }
}
