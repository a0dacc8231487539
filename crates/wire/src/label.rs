//! MPLS labels and label stack entries (RFC 3032 §2.1).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A label value: 20 bits (RFC 3032 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Label(u32);

/// The value does not fit a label's 20 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label {0} is larger than 1048575, the largest label (RFC 3032)")]
pub struct LabelRangeError(pub u32);

impl Label {
    /// Explicit null for IPv4 (RFC 3032 §2.1).
    pub const IPV4_EXPLICIT_NULL: Self = Self(0);
    /// Router alert (RFC 3032 §2.1).
    pub const ROUTER_ALERT: Self = Self(1);
    /// Explicit null for IPv6 (RFC 3032 §2.1).
    pub const IPV6_EXPLICIT_NULL: Self = Self(2);
    /// Implicit null: signalled, never on the wire (RFC 3032 §2.1).
    pub const IMPLICIT_NULL: Self = Self(3);
    /// Generic associated channel (RFC 5586 §4).
    pub const GAL: Self = Self(13);
    /// The first label that is not special-purpose (RFC 7274 §1).
    pub const FIRST_UNRESERVED: Self = Self(16);
    /// The largest label.
    pub const MAX: Self = Self(0xf_ffff);

    /// A label of this value.
    pub const fn new(value: u32) -> Result<Self, LabelRangeError> {
        if value <= Self::MAX.0 { Ok(Self(value)) } else { Err(LabelRangeError(value)) }
    }

    /// The value, 0 to 1048575.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// Whether this label may name an LSP: not one of the special-purpose labels 0 to 15 (RFC 7274).
    pub const fn is_real(self) -> bool {
        self.0 >= Self::FIRST_UNRESERVED.0
    }
}

impl TryFrom<u32> for Label {
    type Error = LabelRangeError;
    fn try_from(value: u32) -> Result<Self, LabelRangeError> {
        Self::new(value)
    }
}

impl From<Label> for u32 {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label({})", self.0)
    }
}

/// One entry of a label stack: label, traffic class (RFC 5462), bottom of stack, TTL (RFC 3032 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelStackEntry {
    /// The label.
    pub label: Label,
    /// Traffic class, 0 to 7; the upper bits are not sent.
    pub tc: u8,
    /// Whether this is the last entry (the S bit).
    pub bottom: bool,
    /// Time to live.
    pub ttl: u8,
}

impl LabelStackEntry {
    /// Octets of one entry.
    pub const LEN: usize = 4;

    /// The entry in network order.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let word =
            self.label.0 << 12 | ((self.tc & 7) as u32) << 9 | (self.bottom as u32) << 8 | self.ttl as u32;
        word.to_be_bytes()
    }

    /// Reads an entry; every 4 octets are one.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let word = u32::from_be_bytes(bytes);
        Self {
            label: Label(word >> 12),
            tc: (word >> 9 & 7) as u8,
            bottom: word & 0x100 != 0,
            ttl: (word & 0xff) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_label_has_twenty_bits() {
        assert_eq!(Label::new(1_048_575), Ok(Label::MAX));
        assert_eq!(Label::new(1_048_576), Err(LabelRangeError(1_048_576)));
        assert!(!Label::GAL.is_real() && Label::FIRST_UNRESERVED.is_real());
    }

    #[test]
    fn an_entry_is_laid_out_as_in_rfc_3032() {
        let entry = LabelStackEntry { label: Label(0x12345), tc: 5, bottom: true, ttl: 64 };
        assert_eq!(entry.to_bytes(), [0x12, 0x34, 0x5b, 0x40]);
    }

    proptest! {
        #[test]
        fn entries_round_trip(bytes in any::<[u8; 4]>()) {
            prop_assert_eq!(LabelStackEntry::from_bytes(bytes).to_bytes(), bytes);
        }
    }
}
