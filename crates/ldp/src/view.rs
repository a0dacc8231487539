//! What people are shown.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use contract::{Fec, Label};
use serde::{Deserialize, Serialize};
use wire::ldp::{AddressFamily, Capability, LdpId, StatusCode};

use crate::{DownReason, Via};

/// A neighbor: an LSR that is heard, or whose session or bindings are still there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Neighbor {
    /// Who.
    pub peer: LdpId,
    /// Where its sessions begin and end.
    pub transport_address: IpAddr,
    /// Where it is heard.
    pub adjacencies: Vec<Adjacency>,
    /// How far the session is.
    pub session: SessionState,
    /// Whether we open the connection.
    pub active: bool,
    /// How long the session has been operational.
    pub up_for: Option<Duration>,
    /// What both ends of the session agreed on.
    pub agreed: Option<Agreed>,
    /// What the session's two ends can do beyond RFC 5036.
    pub capabilities: Option<Capabilities>,
    /// Why the last session, or attempt at one, ended, and how long ago.
    pub last_down: Option<(DownReason, Duration)>,
    /// The last thing that it notified us of without ending a session, and how long ago.
    pub last_notified: Option<(StatusCode, Duration)>,
    /// Why something that it said was not taken last, without ending a session, and how long ago.
    pub last_refused: Option<(StatusCode, Duration)>,
    /// Whether bindings of an earlier session are kept (RFC 3478).
    pub stale: bool,
    /// The addresses that it told.
    pub addresses: Vec<IpAddr>,
    /// Bindings received and kept.
    pub received: usize,
    /// Bindings sent and not withdrawn.
    pub sent: usize,
    /// Whether it has bound as many FECs as are kept of it.
    pub at_limit: bool,
    /// Counters since the neighbor was first heard.
    pub counters: PeerCounters,
}

/// What the two ends of a session that is up agreed on at its beginning (RFC 5036 §3.5.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Agreed {
    /// After how long a silence the session is dead.
    pub keepalive: Duration,
    /// The longest PDU, octets.
    pub max_pdu_length: u16,
    /// Whether labels are told on demand; else unsolicited.
    pub on_demand: bool,
    /// Whether only what comes with TTL 255 is received (RFC 6720).
    pub gtsm: bool,
    /// Graceful restart: how long the neighbor asked us to keep what it told while its session is down (RFC 3478 §2);
    /// `None`: it does not do so.
    pub reconnect: Option<Duration>,
}

/// Where a neighbor is heard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Adjacency {
    /// How it is heard.
    pub via: Via,
    /// The interface's name; empty for a targeted one.
    pub name: String,
    /// The address that Hellos come from.
    pub source: IpAddr,
    /// The hold time that both agreed on; `None`: for ever.
    pub hold: Option<Duration>,
    /// How much of it is left.
    pub left: Option<Duration>,
}

/// What the two ends of a session that is up can do beyond RFC 5036 (RFC 5561).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Capabilities {
    /// What we announced.
    pub local: BTreeSet<Capability>,
    /// What the neighbor announced.
    pub peer: BTreeSet<Capability>,
    /// What we announced and the neighbor said it does not know.
    pub unsupported: BTreeSet<Capability>,
    /// Whether it was told that it has been told all labels (RFC 5919).
    pub end_of_lib_sent: bool,
    /// Of which prefixes it said that it has told all labels (RFC 5919).
    pub end_of_lib_received: BTreeSet<AddressFamily>,
}

/// A session's states (RFC 5036 §2.5.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum SessionState {
    /// No connection.
    #[default]
    NonExistent,
    /// A connection, nothing said.
    Initialized,
    /// Passive: the peer's Initialization was accepted, ours and a KeepAlive are sent.
    OpenRec,
    /// Active: our Initialization is sent.
    OpenSent,
    /// Labels are exchanged.
    Operational,
}

/// How far LDP is on a link (RFC 5443): the IGP should not use one that has not achieved it while there is another way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum IgpSync {
    /// Nobody is heard.
    NoNeighbor,
    /// A neighbor is heard whose session is not up.
    NoSession,
    /// A session is up, and not all labels are told.
    Exchanging,
    /// All neighbors and we have told each other all labels.
    Achieved,
}

/// A row of the label information base: a FEC and what one peer told and was told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LibEntry {
    /// The FEC.
    pub fec: Fec,
    /// The peer.
    pub peer: LdpId,
    /// The label that it bound.
    pub received: Option<Received>,
    /// The label that we bound and told it.
    pub sent: Option<Sent>,
}

/// A binding received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Received {
    /// The label.
    pub label: Label,
    /// Whether packets of the FEC go there.
    pub in_use: bool,
    /// Whether it is kept from an earlier session (RFC 3478).
    pub stale: bool,
    /// Whether it says whose the FEC is ([`crate::Owner`]), which other makes of LDP do not.
    pub named: bool,
}

/// A binding sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The label.
    pub label: Label,
    /// How far it is.
    pub state: SentState,
}

/// How far a binding that we sent is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum SentState {
    /// The peer has it.
    Mapped,
    /// Withdrawn, and the peer has not released it yet.
    Withdrawn,
    /// The peer released it of its own accord.
    Released,
}

/// What was counted with one peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PeerCounters {
    /// Messages received, by kind.
    pub received: MessageCounters,
    /// Messages sent, by kind.
    pub sent: MessageCounters,
    /// PDUs, messages and parts of messages that were refused.
    pub malformed: u64,
    /// Messages of unknown types that said themselves that they may be ignored.
    pub ignored: u64,
    /// Sessions that became operational.
    pub sessions: u64,
}

/// Messages by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MessageCounters {
    /// Initialization.
    pub initialization: u64,
    /// KeepAlive.
    pub keepalive: u64,
    /// Capability.
    pub capability: u64,
    /// Address and Address Withdraw.
    pub address: u64,
    /// Label Mapping.
    pub mapping: u64,
    /// Label Request and Label Abort Request.
    pub request: u64,
    /// Label Withdraw.
    pub withdraw: u64,
    /// Label Release.
    pub release: u64,
    /// Notification.
    pub notification: u64,
}

/// What was counted with no peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Hellos received that made or kept an adjacency.
    pub hellos_received: u64,
    /// Hellos sent.
    pub hellos_sent: u64,
    /// Datagrams that are no Hello.
    pub hellos_malformed: u64,
    /// Hellos that we have no use for: unwanted, of another label space, our own, beyond the limit, contradictory, link
    /// Hellos that came to us alone, targeted ones that came to all.
    pub hellos_ignored: u64,
    /// Of these: targeted Hellos of LSRs that are not to send them, or not from there.
    pub hellos_unwanted: u64,
    /// Connections that were refused.
    pub connections_refused: u64,
}
