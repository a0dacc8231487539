//! What goes in and out of [`super::AccessNeighbors`] besides frames.

use std::net::IpAddr;
use std::time::Duration;

use contract::{Asn, Circuit, MacAddr, SubscriberId};
use ipnet::IpNet;

/// What the headend knows of who is on its circuits. It is asked for each frame, so that nothing here can differ from
/// the directory.
pub trait Access {
    /// The binding that covers this address on this circuit.
    fn binding(&self, circuit: Circuit, address: IpAddr) -> Option<Bound>;

    /// Whose a frame from this Ethernet address on this circuit must be, by the directory alone: the circuit's only
    /// subscriber (unless another Ethernet address is configured for it), or the one for which this address is
    /// configured. `None` where the directory cannot tell.
    fn station(&self, circuit: Circuit, mac: MacAddr) -> Option<Owner>;

    /// The ISP's pool on this headend that covers this address.
    fn pool(&self, isp: Asn, address: IpAddr) -> Option<Pool>;

    /// Whether this is the gateway of any pool of any ISP on this headend.
    fn is_gateway(&self, address: IpAddr) -> bool;
}

/// A subscriber of an ISP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Owner {
    /// The ISP.
    pub isp: Asn,
    /// The subscriber.
    pub subscriber: SubscriberId,
}

/// A prefix bound to a circuit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Whose.
    pub owner: Owner,
    /// The whole bound prefix, host bits zero: one Ethernet address is learned for all of it.
    pub prefix: IpNet,
    /// The Ethernet address in the directory, the only one that is then believed.
    pub mac: Option<MacAddr>,
}

/// A pool of an ISP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// The whole pool.
    pub prefix: IpNet,
    /// The address in it that is ours.
    pub gateway: IpAddr,
}

/// What happened to a subscriber's Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessEvent {
    /// An Ethernet address was learned, or has taken the place of one that no longer answered.
    Learned {
        /// The subscriber's line.
        circuit: Circuit,
        /// The bound prefix, as in [`Bound::prefix`].
        prefix: IpNet,
        /// The address in it that the subscriber used.
        address: IpAddr,
        /// Its Ethernet address.
        mac: MacAddr,
    },
    /// A learned Ethernet address answers no more.
    Lost {
        /// The subscriber's line.
        circuit: Circuit,
        /// The bound prefix, as in [`Bound::prefix`].
        prefix: IpNet,
        /// The address in it that was asked for.
        address: IpAddr,
        /// The Ethernet address that was.
        mac: MacAddr,
    },
    /// A station on this circuit claims a gateway's address (at most one event in ten seconds and port).
    GatewayClaimed {
        /// Where.
        circuit: Circuit,
        /// The gateway's address.
        address: IpAddr,
        /// The claimant.
        mac: MacAddr,
    },
}

/// Intervals and bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessSettings {
    /// After this long without a word from a learned subscriber it is probed.
    pub probe_interval: Duration,
    /// How long an answer is waited for.
    pub retry_interval: Duration,
    /// Unanswered requests after which a subscriber is lost, or not resolved.
    pub attempts: u8,
    /// How long a failed resolution is remembered and not repeated.
    pub failed_hold: Duration,
    /// After another Ethernet address was refused, no other is looked at for this long.
    pub challenge_hold: Duration,
    /// Bound prefixes tracked, in all.
    pub max_neighbors: usize,
    /// Prefixes being resolved or probed at the same time, in all.
    pub max_outstanding: usize,
    /// Prefixes being resolved or probed at the same time, on one circuit.
    pub max_outstanding_per_circuit: usize,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(120),
            retry_interval: Duration::from_secs(1),
            attempts: 3,
            failed_hold: Duration::from_secs(5),
            challenge_hold: Duration::from_secs(10),
            max_neighbors: 2_097_152,
            max_outstanding: 8192,
            max_outstanding_per_circuit: 256,
        }
    }
}
