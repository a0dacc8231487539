//! ARP (RFC 826, RFC 5227) and Neighbor Discovery (RFC 4861) on access circuits and handoffs, without I/O.
//!
//! Place on the two straight lines: before a packet can leave by `access_out` or `handoff_out`, the Ethernet address
//! behind it must be known, and before a host sends one to `access_in` or `handoff_in`, it must have been told ours.
//! Both are done here: frames that the forwarder punts go in, frames to transmit and events come out.
//!
//! - [`AccessNeighbors`]: subscribers at a headend. Answers for the gateways and, by proxy, for the rest of each pool;
//!   learns subscribers' Ethernet addresses and notices when they are gone.
//! - [`HandoffNeighbors`]: next hops at a tailend. Resolves and probes them without end; answers for our own address.
//!
//! Both are driven alike: call `handle_frame` and whatever else happens, then drain `poll_transmit` and `poll_event`;
//! call `handle_timeout` when the time of `poll_timeout` has come. Frames have neither VLAN tags nor FCS on both ways;
//! the [`Circuit`] stands for the tags.

mod access;
mod counters;
mod handoff;
mod limit;
mod outbox;
mod packet;

pub use access::{Access, AccessEvent, AccessNeighbors, AccessSettings, Bound, Owner, Pool};
pub use counters::{Counters, Ignored};
pub use handoff::{
    DampingSettings, HandoffConfig, HandoffEvent, HandoffHealth, HandoffNeighbors, HandoffSettings,
};

use std::net::IpAddr;

use contract::{Circuit, MacAddr, Tick};

/// One neighbor, for `show`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbor {
    /// Where.
    pub circuit: Circuit,
    /// Its IP address; for a subscriber the one that was last seen or asked for.
    pub address: IpAddr,
    /// Its Ethernet address, where known.
    pub mac: Option<MacAddr>,
    /// What is known of it.
    pub state: NeighborState,
    /// When it was last heard; `None`: never by this process.
    pub heard: Option<Tick>,
}

/// What is known of a neighbor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NeighborState {
    /// Its Ethernet address is being asked for.
    Resolving,
    /// It answers, or did within the probing interval.
    Reachable,
    /// It is asked whether it is still there.
    Probing,
    /// It did not answer; nothing is sent to it.
    Failed,
    /// Its Ethernet address is configured and not probed.
    Configured,
}

impl NeighborState {
    /// The stable name, as in `show neighbors`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolving => "resolving",
            Self::Reachable => "reachable",
            Self::Probing => "probing",
            Self::Failed => "failed",
            Self::Configured => "configured",
        }
    }
}
