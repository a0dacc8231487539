//! LDP as octets and as plain values (RFC 5036): what a label binding travels in between two LSRs.
//!
//! A value that exists is valid. What arrives is decoded whole or refused with the [`StatusCode`] that the RFC has for
//! it; nothing here keeps state but [`PduReader`], which cuts a stream into PDUs.

mod id;
mod status;

pub use id::LdpId;
pub use status::StatusCode;

/// The UDP port of Hellos and the TCP port of sessions (RFC 5036 §3.10).
pub const PORT: u16 = 646;
/// "All routers on this subnet", where link Hellos go (RFC 5036 §2.4.1).
pub const ALL_ROUTERS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(224, 0, 0, 2);
