//! LDP as this node speaks it (RFC 5036).

use std::net::{IpAddr, Ipv4Addr};

use contract::Label;
use serde::{Deserialize, Serialize};

/// LDP at a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ldp {
    /// The node's LSR-id.
    pub lsr_id: Ipv4Addr,
    /// What it goes by.
    pub settings: LdpSettings,
    /// What was counted with no neighbor, since control was started.
    pub counters: LdpCounters,
    /// The backbone ports that are up.
    pub interfaces: Vec<LdpInterface>,
    /// The neighbors, by LSR-id.
    pub neighbors: Vec<LdpNeighbor>,
}

/// What a node goes by in LDP. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpSettings {
    /// Where its sessions begin and end.
    pub transport_addresses: Vec<IpAddr>,
    /// Over which of `ipv4` and `ipv6` it holds sessions with neighbors that speak both (RFC 7552 §6.1.1).
    pub transport_preference: String,
    /// The first of the labels that it gives out.
    pub first_label: Label,
    /// The last of them.
    pub last_label: Label,
    /// Proposed hold time of link Hellos (RFC 5036 §3.5.2).
    pub hello_hold: u64,
    /// Proposed hold time of targeted Hellos.
    pub targeted_hello_hold: u64,
    /// Proposed time after which a silent session is dead (RFC 5036 §3.5.3).
    pub keepalive: u64,
    /// The longest PDU that is proposed, octets.
    pub max_pdu_length: u16,
    /// Graceful restart: how long neighbors are asked to keep its labels while its session is down (RFC 3478 §2).
    pub reconnect: u64,
    /// Graceful restart: how long a recovery may take.
    pub recovery: u64,
    /// `ordered` or `independent` (RFC 5036 §2.6.1); labels of ISPs are always under ordered control.
    pub control: String,
    /// `liberal` or `conservative` (RFC 5036 §2.6.2).
    pub retention: String,
    /// Limits of loop detection (RFC 5036 §2.8), where it is on.
    pub loop_detection: Option<LdpLoopDetection>,
    /// What it announces beyond RFC 5036 (RFC 5561).
    pub capabilities: Vec<String>,
}

/// A backbone port as LDP has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpInterface {
    /// The port.
    pub port: String,
    /// How far LDP is there (RFC 5443).
    pub igp_sync: IgpSync,
}

/// How far LDP is on a link (RFC 5443): the IGP should not use one that has not achieved it while there is another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgpSync {
    /// Nobody is heard.
    NoNeighbor,
    /// A neighbor is heard whose session is not up.
    NoSession,
    /// A session is up, and not all labels are told.
    Exchanging,
    /// All neighbors and this node have told each other all labels.
    Achieved,
}

/// What counts as a loop (RFC 5036 §2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpLoopDetection {
    /// The most LSRs along an LSP.
    pub max_hops: u8,
    /// The most LSRs in a path vector.
    pub path_vector_limit: u8,
}

/// What was counted in LDP with no neighbor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpCounters {
    /// Hellos received that made or kept an adjacency.
    pub hellos_received: u64,
    /// Hellos sent.
    pub hellos_sent: u64,
    /// Datagrams that are no Hello.
    pub hellos_malformed: u64,
    /// Hellos that the node has no use for.
    pub hellos_ignored: u64,
    /// Of these: targeted Hellos of LSRs that are not to send them, or not from there.
    pub hellos_unwanted: u64,
    /// Connections that were refused.
    pub connections_refused: u64,
}

/// An LDP neighbor in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpNeighbor {
    /// Its LSR-id.
    pub lsr_id: Ipv4Addr,
    /// Where its sessions begin and end.
    pub transport_address: IpAddr,
    /// The session's state as in RFC 5036 §2.5.4: `operational`, …
    pub state: String,
    /// Whether this node opens the connection.
    pub active: bool,
    /// Seconds for which the session has been operational.
    pub up_for: Option<u64>,
    /// Where it is heard.
    pub adjacencies: Vec<Adjacency>,
    /// What both ends of the session that is up agreed on.
    pub agreed: Option<LdpAgreed>,
    /// What both ends of the session that is up can do beyond RFC 5036.
    pub capabilities: Option<LdpCapabilities>,
    /// Why the last session, or attempt at one, ended.
    pub last_down: Option<LdpSaid>,
    /// What it notified this node of last without ending a session.
    pub last_notified: Option<LdpSaid>,
    /// Why this node did not take something that it said, last, without ending a session.
    pub last_refused: Option<LdpSaid>,
    /// Whether bindings of an earlier session are kept (RFC 3478).
    pub stale: bool,
    /// Whether it has bound as many FECs as are kept of it.
    pub at_limit: bool,
    /// Its addresses, as it told them.
    pub addresses: Vec<IpAddr>,
    /// Bindings received and kept.
    pub bindings_received: u64,
    /// Bindings sent and not withdrawn.
    pub bindings_sent: u64,
    /// Sessions that became operational since it was first heard.
    pub sessions: u64,
    /// Messages received since then.
    pub messages_received: LdpMessages,
    /// Messages sent since then.
    pub messages_sent: LdpMessages,
    /// PDUs, messages and parts of messages that were refused since then.
    pub malformed: u64,
    /// Messages of unknown types that said themselves that they may be ignored, since then.
    pub ignored: u64,
}

/// What the two ends of a session agreed on (RFC 5036 §3.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpAgreed {
    /// Seconds of silence after which the session is dead.
    pub keepalive: u64,
    /// The longest PDU, octets.
    pub max_pdu_length: u16,
    /// Whether labels are told on demand; else unsolicited.
    pub on_demand: bool,
    /// Whether only packets that came through no router are taken (RFC 6720).
    pub gtsm: bool,
    /// Seconds for which this node keeps the neighbor's labels while the session is down (RFC 3478 §2), if at all.
    pub reconnect: Option<u64>,
}

/// What the two ends of a session can do beyond RFC 5036 (RFC 5561).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpCapabilities {
    /// What this node announced.
    pub local: Vec<String>,
    /// What the neighbor announced.
    pub neighbor: Vec<String>,
    /// What this node announced and the neighbor said that it does not know.
    pub unsupported: Vec<String>,
    /// Whether the neighbor was told that it has been told all labels (RFC 5919).
    pub end_of_lib_sent: bool,
    /// Of which prefixes it said so (`ipv4`, `ipv6`).
    pub end_of_lib_received: Vec<String>,
}

/// Something that was said, or happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpSaid {
    /// What, with the name of RFC 5036's status code where there is one.
    pub what: String,
    /// Seconds since then.
    pub seconds: u64,
}

/// Messages by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdpMessages {
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

impl LdpMessages {
    /// Each kind's name and number.
    pub const fn by_kind(&self) -> [(&'static str, u64); 9] {
        [
            ("initialization", self.initialization),
            ("keepalive", self.keepalive),
            ("capability", self.capability),
            ("address", self.address),
            ("mapping", self.mapping),
            ("request", self.request),
            ("withdraw", self.withdraw),
            ("release", self.release),
            ("notification", self.notification),
        ]
    }
}

/// An LDP Hello adjacency (RFC 5036 §2.4): a way in which a peer is heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjacency {
    /// The peer's LSR-id.
    pub peer: Ipv4Addr,
    /// By which Hellos.
    pub kind: AdjacencyKind,
    /// Of a link adjacency: the port.
    pub port: Option<String>,
    /// Where its Hellos come from.
    pub source: IpAddr,
    /// Seconds until it is over, unless another Hello comes; `None`: for ever.
    pub left: Option<u64>,
    /// Seconds that it holds without a Hello, as both ends agreed; `None`: for ever.
    pub hold: Option<u64>,
}

/// A kind of Hellos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjacencyKind {
    /// Link Hellos, to all routers on a link.
    Link,
    /// Targeted Hellos, to this node alone.
    Targeted,
}
