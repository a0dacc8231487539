//! Who speaks: LDP identifiers.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// An LDP identifier: an LSR and one of its label spaces (RFC 5036 §2.2.2). Written `10.255.0.1:0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LdpId {
    /// The LSR, globally unique.
    pub lsr_id: Ipv4Addr,
    /// The label space, 0 for the platform's.
    pub label_space: u16,
}

impl LdpId {
    /// Octets of an identifier.
    pub const LEN: usize = 6;

    /// The platform-wide label space of an LSR.
    pub const fn platform(lsr_id: Ipv4Addr) -> Self {
        Self { lsr_id, label_space: 0 }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d] = self.lsr_id.octets();
        let [e, f] = self.label_space.to_be_bytes();
        [a, b, c, d, e, f]
    }

    pub(super) const fn from_bytes([a, b, c, d, e, f]: [u8; Self::LEN]) -> Self {
        Self { lsr_id: Ipv4Addr::new(a, b, c, d), label_space: u16::from_be_bytes([e, f]) }
    }
}

impl fmt::Display for LdpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.lsr_id, self.label_space)
    }
}
