//! Capabilities (RFC 5561): parameters of Initialization, and the Capability message, which changes them later.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::tlv::{self, Tlv, Tlvs};
use super::{DecodeError, RawTlv, StatusCode, UnknownTlv};

const S_BIT: u8 = 0x80;

/// Something beyond RFC 5036 that a speaker says it can do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Capability {
    /// Capability messages may come while the session is up (RFC 5561 §9). It is never changed itself.
    DynamicAnnouncement,
    /// Typed wildcard FEC elements (RFC 5918 §5).
    TypedWildcardFec,
    /// Notifications with status codes that are not known, such as End-of-LIB (RFC 5919 §5).
    UnrecognizedNotification,
}

impl Capability {
    /// All that are known here, as they are sent.
    pub const ALL: [Self; 3] =
        [Self::DynamicAnnouncement, Self::TypedWildcardFec, Self::UnrecognizedNotification];

    /// The type of its parameter, 14 bits.
    pub const fn kind(self) -> u16 {
        match self {
            Self::DynamicAnnouncement => tlv::DYNAMIC_ANNOUNCEMENT,
            Self::TypedWildcardFec => tlv::TYPED_WILDCARD_FEC,
            Self::UnrecognizedNotification => tlv::UNRECOGNIZED_NOTIFICATION,
        }
    }

    /// The capability whose parameter has this type (14 bits).
    pub fn of_kind(kind: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.kind() == kind)
    }

    pub(super) fn encode(self, on: bool, out: &mut Vec<u8>) {
        tlv::write(out, tlv::optional(self.kind()), |out| out.push(if on { S_BIT } else { 0 }));
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DynamicAnnouncement => "Dynamic Announcement",
            Self::TypedWildcardFec => "Typed Wildcard FEC",
            Self::UnrecognizedNotification => "Unrecognized Notification",
        })
    }
}

/// What a Capability message changes (RFC 5561 §7).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct CapabilityChange {
    /// The capabilities that are announced (`true`, the S bit) or withdrawn.
    pub changes: BTreeMap<Capability, bool>,
    /// TLVs that are not known here, with the U bit: nothing is to be done about them.
    pub unknown: Vec<UnknownTlv>,
    /// TLVs that are not known here, without the U bit: the sender is to be told, and the rest of the message holds
    /// (RFC 5561 §8, "Unsupported Capability").
    pub unsupported: Vec<RawTlv>,
}

impl CapabilityChange {
    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut tlvs = Tlvs::new(octets);
        let mut change = Self::default();
        while let Some(tlv) = tlvs.next()? {
            change.add(&tlv)?;
        }
        Ok(change)
    }

    /// Takes a parameter in, in Initialization, too.
    pub(super) fn add(&mut self, tlv: &Tlv<'_>) -> Result<(), DecodeError> {
        let Some(capability) = Capability::of_kind(tlv.kind) else {
            match tlv.must_be_understood() {
                Some(raw) => self.unsupported.push(raw),
                None => self.unknown.extend(tlv.unused()?),
            }
            return Ok(());
        };
        let [flags] = tlv.value.exactly()?;
        if self.changes.insert(capability, flags & S_BIT != 0).is_some() {
            // RFC 5561 §3.
            return Err(DecodeError::new(
                StatusCode::MALFORMED_TLV_VALUE,
                "a capability that is named twice",
            ));
        }
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (capability, &on) in &self.changes {
            capability.encode(on, out);
        }
        encode_others(&self.unknown, &self.unsupported, out);
    }
}

pub(super) fn encode_others(unknown: &[UnknownTlv], unsupported: &[RawTlv], out: &mut Vec<u8>) {
    unknown.iter().for_each(|tlv| tlv.encode(out));
    unsupported.iter().for_each(|tlv| tlv.encode(out));
}
