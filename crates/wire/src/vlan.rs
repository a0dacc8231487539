//! VLAN tags (IEEE 802.1Q, 802.1ad).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A VLAN identifier, 1 to 4094 (IEEE 802.1Q: 0 means "no VLAN", 4095 is reserved).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

/// The number is not a VLAN identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("VLAN {0} is not between 1 and 4094")]
pub struct VlanRangeError(pub u16);

impl VlanId {
    /// An identifier of this number.
    pub const fn new(id: u16) -> Result<Self, VlanRangeError> {
        if id >= 1 && id <= 4094 { Ok(Self(id)) } else { Err(VlanRangeError(id)) }
    }

    /// The number, 1 to 4094.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = VlanRangeError;
    fn try_from(id: u16) -> Result<Self, VlanRangeError> {
        Self::new(id)
    }
}

impl From<VlanId> for u16 {
    fn from(id: VlanId) -> Self {
        id.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The VLAN tags of a frame, from the outside in: none, one or two.
///
/// Two tags are sent as an 802.1ad service tag (0x88a8) over an 802.1Q customer tag (0x8100), one as 802.1Q; on
/// reception either EtherType is taken in either place, and a priority tag (VLAN 0) counts as no tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum VlanTags {
    /// Untagged.
    #[default]
    None,
    /// One tag.
    Single(VlanId),
    /// Outer (service) and inner (customer) tag.
    Double {
        /// The service tag.
        outer: VlanId,
        /// The customer tag.
        inner: VlanId,
    },
}

impl VlanTags {
    /// The most tags that a frame may have.
    pub const MAX: usize = 2;

    /// The number of tags.
    pub const fn count(self) -> usize {
        match self {
            Self::None => 0,
            Self::Single(_) => 1,
            Self::Double { .. } => 2,
        }
    }
}

impl fmt::Display for VlanTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("untagged"),
            Self::Single(id) => write!(f, "{id}"),
            Self::Double { outer, inner } => write!(f, "{outer}.{inner}"),
        }
    }
}
