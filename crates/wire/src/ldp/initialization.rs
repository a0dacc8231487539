//! Initialization (RFC 5036 §3.5.3), the FT Session TLV (RFC 3479 §8.5, RFC 3478 §2) and capabilities (RFC 5561 §6).

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

use super::capability::encode_others;
use super::message::missing;
use super::tlv::{self, Tlvs, Value, keep_first};
use super::{Capability, CapabilityChange, DecodeError, LdpId, RawTlv, StatusCode, UnknownTlv, VERSION};

const A_BIT: u8 = 0x80;
const D_BIT: u8 = 0x40;

/// What a session is to be like.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Initialization {
    /// Proposed hold time of the session.
    pub keepalive: KeepaliveTime,
    /// How the sender wants labels advertised.
    pub advertisement: Advertisement,
    /// The D bit and the path vector limit: loop detection by path vectors is on.
    pub path_vector_limit: Option<u8>,
    /// Proposed length of the longest PDU; 255 or less: the default.
    pub max_pdu_length: u16,
    /// Whom the sender means to speak to.
    pub receiver: LdpId,
    /// How the sender comes through a restart.
    pub fault_tolerance: Option<FtSession>,
    /// What else the sender can do. The S bit is taken as set, as it must be (RFC 5561 §6).
    pub capabilities: BTreeSet<Capability>,
    /// Capabilities and other TLVs that are not known here, with the U bit, in their order.
    pub unknown: Vec<UnknownTlv>,
    /// The same without the U bit: the sender is to be told, and the rest of the message holds (RFC 5561 §8).
    pub unsupported: Vec<RawTlv>,
}

/// The time in seconds after which a silent session is dead.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeepaliveTime(pub NonZeroU16);

impl KeepaliveTime {
    /// The time.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0.get() as u64)
    }
}

/// How labels are advertised (RFC 5036 §2.6.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Advertisement {
    /// As soon as there is one.
    DownstreamUnsolicited,
    /// When it is asked for.
    DownstreamOnDemand,
}

/// A time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Milliseconds(pub u32);

impl Milliseconds {
    /// The time.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl From<Duration> for Milliseconds {
    /// At most 2^32 - 1 ms, about 49 days.
    fn from(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
    }
}

/// The FT Session TLV: how the sender comes through a restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FtSession {
    /// The R, S, A, C and L flags as they are (RFC 3479 §8.5).
    pub flags: u16,
    /// How long the sender wants its neighbors to keep what it told them once the session is down; zero: it does not
    /// preserve its forwarding state (RFC 3478 §2).
    pub reconnect: Milliseconds,
    /// How long the sender, just restarted, keeps what it preserved; zero: it has preserved nothing (RFC 3478 §2).
    pub recovery: Milliseconds,
}

impl FtSession {
    /// The L flag: what was lost is learned from the network, as in RFC 3478.
    pub const LEARN_FROM_NETWORK: u16 = 0x0001;
}

impl Initialization {
    /// Downstream unsolicited, the default PDU length, nothing beyond RFC 5036.
    pub const fn new(keepalive: KeepaliveTime, receiver: LdpId) -> Self {
        Self {
            keepalive,
            advertisement: Advertisement::DownstreamUnsolicited,
            path_vector_limit: None,
            max_pdu_length: 0,
            receiver,
            fault_tolerance: None,
            capabilities: BTreeSet::new(),
            unknown: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut tlvs = Tlvs::new(octets);
        let (mut common, mut fault_tolerance) = (None, None);
        let mut parameters = CapabilityChange::default();
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                tlv::COMMON_SESSION => keep_first(&mut common, decode_common(tlv.value)?),
                tlv::ATM_SESSION | tlv::FRAME_RELAY_SESSION => {
                    // Labels of such a session are not ours to read.
                    return Err(DecodeError::new(
                        StatusCode::BAD_LABEL_RANGE,
                        "an ATM or Frame Relay session",
                    ));
                }
                tlv::FT_SESSION => {
                    let mut value = tlv.value;
                    let (flags, _reserved) = (value.u16()?, value.u16()?);
                    let (reconnect, recovery) = (Milliseconds(value.u32()?), Milliseconds(value.u32()?));
                    value.end()?;
                    keep_first(&mut fault_tolerance, FtSession { flags, reconnect, recovery });
                }
                _ => parameters.add(&tlv)?,
            }
        }
        let common = common.ok_or(missing("an Initialization without its common parameters"))?;
        let CapabilityChange { changes, unknown, unsupported } = parameters;
        Ok(Self {
            fault_tolerance,
            capabilities: changes.into_keys().collect(),
            unknown,
            unsupported,
            ..common
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        tlv::write(out, tlv::COMMON_SESSION, |out| {
            out.extend_from_slice(&VERSION.to_be_bytes());
            out.extend_from_slice(&self.keepalive.0.get().to_be_bytes());
            let on_demand = self.advertisement == Advertisement::DownstreamOnDemand;
            let flags = if on_demand { A_BIT } else { 0 } | self.path_vector_limit.map_or(0, |_| D_BIT);
            out.extend_from_slice(&[flags, self.path_vector_limit.unwrap_or(0)]);
            out.extend_from_slice(&self.max_pdu_length.to_be_bytes());
            out.extend_from_slice(&self.receiver.to_bytes());
        });
        if let Some(ft) = self.fault_tolerance {
            tlv::write(out, tlv::optional(tlv::FT_SESSION), |out| {
                out.extend_from_slice(&ft.flags.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(&ft.reconnect.0.to_be_bytes());
                out.extend_from_slice(&ft.recovery.0.to_be_bytes());
            });
        }
        self.capabilities.iter().for_each(|capability| capability.encode(true, out));
        encode_others(&self.unknown, &self.unsupported, out);
    }
}

fn decode_common(mut value: Value<'_>) -> Result<Initialization, DecodeError> {
    let (version, keepalive) = (value.u16()?, value.u16()?);
    let [flags, limit] = value.take()?;
    let max_pdu_length = value.u16()?;
    let receiver = LdpId::from_bytes(value.take()?);
    value.end()?;
    if version != VERSION {
        return Err(DecodeError::new(StatusCode::BAD_PROTOCOL_VERSION, "a session of another version"));
    }
    let keepalive = NonZeroU16::new(keepalive)
        .map(KeepaliveTime)
        .ok_or(DecodeError::new(StatusCode::BAD_KEEPALIVE_TIME, "a keepalive time of zero"))?;
    let on_demand = flags & A_BIT != 0;
    Ok(Initialization {
        advertisement: if on_demand {
            Advertisement::DownstreamOnDemand
        } else {
            Advertisement::DownstreamUnsolicited
        },
        path_vector_limit: (flags & D_BIT != 0).then_some(limit),
        max_pdu_length,
        ..Initialization::new(keepalive, receiver)
    })
}
