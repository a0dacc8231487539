//! LDP as octets and as plain values (RFC 5036, with RFC 5561, 5918, 5919 and 7552): what a label binding travels in
//! between two LSRs.
//!
//! A value that exists is valid. What arrives is decoded whole or refused with the [`StatusCode`] that the RFC has for
//! it; nothing here keeps state but [`PduReader`], which cuts a stream into PDUs.

mod address;
mod capability;
mod error;
mod fec;
mod hello;
mod id;
mod initialization;
mod label_message;
mod message;
mod notification;
mod pdu;
mod status;
mod tlv;

pub use address::Addresses;
pub use capability::{Capability, CapabilityChange};
pub use error::DecodeError;
pub use fec::{AddressFamily, FecTlv, PrefixFecs, PrefixFecsError, RequestFec};
pub use hello::{Hello, HoldTime, TransportPreference};
pub use id::LdpId;
pub use initialization::{Advertisement, FtSession, Initialization, KeepaliveTime, Milliseconds};
pub use label_message::{
    LabelAbortRequest, LabelMapping, LabelRelease, LabelRequest, LabelWithdraw, PathVector,
};
pub use message::{Body, Incoming, Message, MessageId, MessageType};
pub use notification::{Notification, Status};
pub use pdu::{MessageTooLong, Messages, Pdu, PduReader, PduWriter};
pub use status::StatusCode;
pub use tlv::{RawTlv, UnknownTlv};

/// The UDP port of Hellos and the TCP port of sessions (RFC 5036 §3.10).
pub const PORT: u16 = 646;
/// "All routers on this subnet", where link Hellos go (RFC 5036 §2.4.1).
pub const ALL_ROUTERS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(224, 0, 0, 2);
/// The same for IPv6 (RFC 7552 §5.1), on the link.
pub const ALL_ROUTERS_V6: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// The protocol's version.
pub const VERSION: u16 = 1;
/// The longest PDU until a session has agreed on another length (RFC 5036 §3.1).
pub const DEFAULT_MAX_PDU_LENGTH: u16 = 4096;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod captured;

#[cfg(test)]
mod samples;
