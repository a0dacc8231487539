//! A sans-I/O LDP speaker (RFC 5036): discovery, sessions, label decisions, label space, graceful restart (RFC 3478).
//!
//! On the line of a label binding this crate stands between the neighbors' Label Mappings and control, which makes a
//! [`FecState`] into an ILM entry, an FTN entry or a return route:
//!
//! ```text
//! handoff up ──handle_egress──▶ ┌─────────┐ ──Event::Fec──▶ control ──Change──▶ forwarder
//! routes ──────handle_route───▶ │ Speaker │
//! UDP, TCP ──handle_datagram──▶ │         │ ──Action──▶ UDP, TCP
//!            handle_stream      └─────────┘ ──poll_timeout──▶ when to call handle_timeout
//! ```
//!
//! A label goes out to peers only when control says that the forwarder holds its entry (`handle_installed`), and is taken
//! back before the entry goes (`Event::Retired`, `Event::Freed`).
//!
//! By default downstream unsolicited, liberal retention, ordered control ([`Distribution`] has the others); LDP over IPv4,
//! IPv6 or both (RFC 7552, [`Transport`]); only host prefixes are switched, and only with real labels.

mod bindings;
mod capabilities;
mod config;
mod deadlines;
mod discovery;
mod distribution;
mod family;
mod io;
mod label_space;
mod owner;
mod peer;
mod policy;
mod requests;
mod seldom;
mod session;
mod speaker;
mod stations;
mod transitive;
mod view;

pub use config::{Config, Limits, Proposals};
pub use distribution::{Control, Distribution, LoopDetection, Retention};
pub use family::Transport;
pub use io::{
    Action, ConnId, DownReason, Event, FecState, Installation, InterfaceId, LabeledNextHop, NextHop, Refusal,
    Role, Via,
};
pub use owner::Owner;
pub use policy::{FecFilter, Gtsm, NeighborPolicy, Neighbors, Password, Protection, Targeted};
pub use speaker::Speaker;
pub use view::{
    Adjacency, Agreed, Capabilities, Counters, IgpSync, LibEntry, MessageCounters, Neighbor, PeerCounters,
    Received, Sent, SentState, SessionState,
};
pub use wire::ldp::{AddressFamily, Advertisement, Capability, LdpId, StatusCode, TransportPreference};
