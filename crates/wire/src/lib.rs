//! Octets to values and back, without state.
//!
//! On both straight lines this crate is the first and the last word: what `rx` delivers and what `tx` sends is read
//! and written here, and so are the PDUs of LDP. Decoders check lengths once and then cannot fail; a value that exists
//! is valid.

pub mod arp;
pub mod checksum;
mod ethernet;
pub mod fragment;
pub mod frame;
pub mod icmp;
pub mod ip;
mod label;
pub mod ldp;
mod mac;
pub mod nd;
pub mod stack;
pub mod tcp;
mod vlan;

pub use ethernet::{EtherType, EthernetError, EthernetHeader};
pub use label::{Label, LabelRangeError, LabelStackEntry};
pub use mac::{MacAddr, MacParseError};
pub use vlan::{VlanId, VlanRangeError, VlanTags};
