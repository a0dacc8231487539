//! What control and forwarder say to each other: plain data, no algorithms.
//!
//! This crate stands between the two straight lines: a label binding ends as a [`Change`], a packet ends as an addition
//! to a counter slot ([`counters`]). The sans-I/O crates know each other only through the types here.

mod change;
pub mod counters;
mod drop_reason;
mod id;
mod lsp;
mod message;
mod reasons;
mod time;

pub use change::{
    Binding, BindingKey, Change, EndOfReplay, Handoff, IcmpSource, IspConfig, PortConfig, PortKind, Scope,
    Settings, TtlModel,
};
pub use drop_reason::DropReason;
pub use id::{Asn, Circuit, Generation, IspPrefix, PortId, SubscriberId};
pub use lsp::{Fec, Ftn, FtnChoice, Ilm, IlmAction, LabelStack, LabelStackError, Nhlfe, ReturnRoute};
pub use message::{ChangeError, PortBackend, PortState, PuntReason, ToControl, ToForwarder, VERSION};
pub use time::{FORWARDING_HOLD, Tick, WallTime};
pub use wire::{Label, MacAddr, VlanId, VlanTags};
