//! Messages over the local socket between control and forwarder: plain data, each way in order.

use serde::{Deserialize, Serialize};
use wire::MacAddr;

use crate::{Asn, Change, Circuit, EndOfReplay, Generation, PortId};

/// The version of these messages; both sides must have the same.
pub const VERSION: u32 = 3;

/// What control says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToForwarder {
    /// First message of a connection. An earlier connection ends when a new one sends this.
    Hello {
        /// [`VERSION`].
        version: u32,
    },
    /// Asks for everything installed: answered by [`ToControl::Installed`] for each entry, then
    /// [`ToControl::InstalledEnd`].
    ShowInstalled,
    /// An entry as it should be. Answered by [`ToControl::Applied`], in order, perhaps one answer for many.
    Change {
        /// The replay or, after it, the control process that says so.
        generation: Generation,
        /// The entry.
        change: Change,
    },
    /// Remove what was not named in this generation.
    EndOfReplay(EndOfReplay),
    /// Send this frame (without VLAN tags; the forwarder adds the circuit's) out of an access or handoff port.
    Transmit {
        /// Where.
        circuit: Circuit,
        /// An Ethernet frame without tags and without FCS, source address included.
        frame: Vec<u8>,
    },
}

/// What the forwarder says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToControl {
    /// First message of a connection.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// The highest generation that anything installed has.
        generation: Generation,
    },
    /// An installed entry, in answer to [`ToForwarder::ShowInstalled`].
    Installed(Change),
    /// All that is installed has been said.
    InstalledEnd {
        /// Whether all labels are among it that a control process has told neighbors: one has ended its replay of what it
        /// learned since the forwarder began, or since the forwarder removed that.
        whole: bool,
    },
    /// This many more of the changes of this connection have been dealt with, in order.
    Applied {
        /// How many.
        changes: u32,
    },
    /// A change was not installed; counted in [`Self::Applied`] all the same.
    Refused {
        /// The change.
        change: Change,
        /// Why.
        error: ChangeError,
    },
    /// A port's state, for each port after it is opened and whenever it changes.
    Port(PortId, PortState),
    /// A frame for control.
    Punt {
        /// Where it came in; a backbone port has no tags.
        circuit: Circuit,
        /// Why it is here.
        reason: PuntReason,
        /// An Ethernet frame; VLAN tags are taken off, labels are not.
        frame: Vec<u8>,
    },
    /// A packet to a subscriber was dropped since its Ethernet address is not known (rate-limited).
    SubscriberUnresolved {
        /// The ISP.
        isp: Asn,
        /// The packet's destination.
        address: std::net::IpAddr,
    },
}

/// A port as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PortState {
    /// Open.
    Open {
        /// Its Ethernet address.
        mac: MacAddr,
        /// Its IP MTU in octets.
        mtu: u32,
        /// Whether it has a carrier and is up.
        carrier: bool,
        /// How frames get in and out.
        backend: PortBackend,
    },
    /// Not there, or it cannot be opened: why, in a sentence.
    Unusable(String),
}

/// How frames get in and out of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PortBackend {
    /// AF_PACKET, TPACKET_V3.
    AfPacket,
    /// Memory, in tests.
    Memory,
}

/// Why a frame is handed to control.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum PuntReason {
    /// ARP on an access or handoff port.
    Arp,
    /// Neighbor Discovery (RFC 4861) on an access or handoff port.
    NeighborDiscovery,
    /// A router alert label (RFC 3032 §2.1).
    RouterAlert,
    /// A generic associated channel label (RFC 5586).
    Gal,
    /// A label whose TTL ran out.
    LabelTtlExpired,
    /// Destination 127/8 under a label that is popped here (RFC 8029 §2.1).
    LoopbackDestination,
}

/// Why a change was not installed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum ChangeError {
    /// A table is full.
    #[error("the table of {table} is full ({capacity} entries)")]
    Full {
        /// Which.
        table: String,
        /// How many it holds.
        capacity: u64,
    },
    /// It names a port that the forwarder does not have.
    #[error("there is no port {0:?}")]
    NoSuchPort(PortId),
    /// It contradicts what is installed.
    #[error("{0}")]
    Conflict(String),
    /// A prefix, label or NHLFE that makes no sense here.
    #[error("{0}")]
    Invalid(String),
}
