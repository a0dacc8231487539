//! The node's API: request and response types, and a client for them.
//!
//! The API stands beside the two straight lines: it shows what control decided and what the forwarder counted, as HTTP
//! over the node's Unix socket. The command line can do only what this API can. Field names are stable: programs read
//! them as JSON, `openmile show … --json` prints them unchanged.

mod client;
mod ldp;
mod reload;
mod show;
mod subscribers;

pub use client::{Client, ClientError, Events, ImportLines};
pub use ldp::LdpOperation;
pub use reload::{Reload, ReloadOptions};
pub use show::{
    Account, Adjacency, AdjacencyKind, BindingSide, Counters, DropRow, Fec, FecOperation, FecRow, FecState,
    HandoffHealth, IgpSync, Isp, IspHandoff, IspTraffic, Ldp, LdpAgreed, LdpCapabilities, LdpCounters,
    LdpInterface, LdpLoopDetection, LdpMessages, LdpNeighbor, LdpSaid, LdpSettings, LibRow, Neighbor,
    NeighborKind, NodeInfo, Port, PortTraffic, ServiceRole, ShowWhat, Subscriber,
};

pub use subscribers::{
    FieldError, ImportDone, ImportLine, ImportOptions, MAX_EDITS, MAX_PAGE, Refused, SubscriberAction,
    SubscriberDone, SubscriberEdit, SubscriberPage, SubscriberRequest,
};

/// Where the API's paths begin; a change that old clients cannot read gets a new number.
pub const PREFIX: &str = "/v1";

/// Something happened: one line of `GET /v1/events` (JSON, one object a line). After each, what `show` says may differ.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// First line of every stream.
    Subscribed,
    /// The forwarder's connection came or went.
    Forwarder {
        /// Whether it is there.
        connected: bool,
    },
    /// A port's state changed.
    Port {
        /// The port.
        port: String,
        /// Whether frames can pass.
        up: bool,
        /// Why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An LDP session came up or went down.
    Session {
        /// The neighbour's LSR-id.
        peer: std::net::Ipv4Addr,
        /// Whether it is operational.
        up: bool,
        /// Why it went down.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// LDP is ready on a backbone port for the IGP to use the link, or is so no more (RFC 5443).
    IgpSync {
        /// The port.
        port: String,
        /// Whether all labels have been told.
        achieved: bool,
    },
    /// A FEC's row in `show fec` changed.
    Fec {
        /// The FEC.
        fec: ipnet::IpNet,
        /// Its state now.
        state: FecState,
    },
    /// A handoff came up or went down.
    Handoff {
        /// The ISP.
        isp: contract::Asn,
        /// The port.
        port: String,
        /// Whether it is used: its next hops answer, and it is not held down.
        up: bool,
        /// Seconds for which it is held down at least, since it failed too often.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_for: Option<u64>,
    },
    /// A subscriber's Ethernet address was learned.
    Learned {
        /// The subscriber.
        subscriber: String,
    },
    /// The replay after a restart is over: what the forwarder has is what should be.
    Recovered,
    /// The node goes on with another network file.
    Reloaded {
        /// The file's BLAKE3 hash, in hexadecimal digits.
        digest: String,
        /// What is different, a line each.
        changes: Vec<String>,
    },
    /// Something an operator should look at, in a sentence.
    Alarm {
        /// The sentence.
        message: String,
    },
    /// This stream was too slow and lost events: ask `show` again.
    Lagged,
}
