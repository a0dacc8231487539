//! Hello (RFC 5036 §3.5.2, RFC 7552 §6.1).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::message::missing;
use super::tlv::{self, Tlvs, Value, keep_first};
use super::{AddressFamily, DecodeError, StatusCode};

const TARGETED: u16 = 0x8000;
const REQUEST_TARGETED: u16 = 0x4000;
/// RFC 6720 §2.1.
const GTSM: u16 = 0x2000;

/// "I am here."
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hello {
    /// How long it holds.
    pub hold: HoldTime,
    /// The T bit: not a link Hello.
    pub targeted: bool,
    /// The R bit: the receiver should send targeted Hellos too.
    pub request_targeted: bool,
    /// The G bit: the sender does GTSM, TTL 255 on session connections (RFC 6720).
    pub gtsm: bool,
    /// Where sessions begin and end; else where the Hello came from.
    pub transport_address: Option<Ipv4Addr>,
    /// The same for IPv6. A Hello over one family has no use for the other's (RFC 7552 §6.1); of several of one family
    /// only the first counts.
    pub transport_address_v6: Option<Ipv6Addr>,
    /// Changes when the sender's configuration does.
    pub configuration_sequence: Option<u32>,
    /// The sender speaks LDP over IPv4 and IPv6 here, and prefers this one for the session.
    pub dual_stack: Option<TransportPreference>,
}

/// What the two address families' Hellos of one LSR agree on: which of them the session is to run over (RFC 7552
/// §6.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TransportPreference {
    /// IPv4.
    Ipv4,
    /// IPv6, the RFC's default.
    Ipv6,
}

impl From<TransportPreference> for AddressFamily {
    fn from(preference: TransportPreference) -> Self {
        match preference {
            TransportPreference::Ipv4 => Self::Ipv4,
            TransportPreference::Ipv6 => Self::Ipv6,
        }
    }
}

impl TransportPreference {
    /// The TR bits: the first four of the value's 32, the others are reserved.
    fn decode(value: Value<'_>) -> Result<Self, DecodeError> {
        let [first, ..] = value.exactly::<4>()?;
        match first >> 4 {
            4 => Ok(Self::Ipv4),
            6 => Ok(Self::Ipv6),
            _ => Err(DecodeError::new(
                StatusCode::MALFORMED_TLV_VALUE,
                "a preference for neither IPv4 nor IPv6",
            )),
        }
    }

    const fn to_bytes(self) -> [u8; 4] {
        match self {
            Self::Ipv4 => [4 << 4, 0, 0, 0],
            Self::Ipv6 => [6 << 4, 0, 0, 0],
        }
    }
}

/// A Hello's hold time in seconds, with the two values that mean something else (RFC 5036 §3.5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HoldTime(pub u16);

impl HoldTime {
    /// The receiver's default.
    pub const DEFAULT: Self = Self(0);
    /// For ever.
    pub const INFINITE: Self = Self(0xffff);
    /// What [`Self::DEFAULT`] means in a link Hello.
    pub const LINK_DEFAULT: Duration = Duration::from_secs(15);
    /// What [`Self::DEFAULT`] means in a targeted Hello.
    pub const TARGETED_DEFAULT: Duration = Duration::from_secs(45);

    /// The time that a link Hello holds; `None`: for ever.
    pub const fn link(self) -> Option<Duration> {
        self.or_default(Self::LINK_DEFAULT)
    }

    /// The time that a targeted Hello holds; `None`: for ever.
    pub const fn targeted(self) -> Option<Duration> {
        self.or_default(Self::TARGETED_DEFAULT)
    }

    const fn or_default(self, default: Duration) -> Option<Duration> {
        match self {
            Self::DEFAULT => Some(default),
            Self::INFINITE => None,
            Self(seconds) => Some(Duration::from_secs(seconds as u64)),
        }
    }
}

impl Hello {
    /// A link Hello without more.
    pub const fn link(hold: HoldTime) -> Self {
        Self {
            hold,
            targeted: false,
            request_targeted: false,
            gtsm: false,
            transport_address: None,
            transport_address_v6: None,
            configuration_sequence: None,
            dual_stack: None,
        }
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut tlvs = Tlvs::new(octets);
        let (mut common, mut transport, mut transport_v6) = (None, None, None);
        let (mut sequence, mut dual_stack) = (None, None);
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                tlv::COMMON_HELLO => {
                    let [a, b, c, d] = tlv.value.exactly()?;
                    keep_first(
                        &mut common,
                        (HoldTime(u16::from_be_bytes([a, b])), u16::from_be_bytes([c, d])),
                    );
                }
                tlv::IPV4_TRANSPORT_ADDRESS => {
                    keep_first(&mut transport, Ipv4Addr::from(tlv.value.exactly::<4>()?));
                }
                tlv::IPV6_TRANSPORT_ADDRESS => {
                    keep_first(&mut transport_v6, Ipv6Addr::from(tlv.value.exactly::<16>()?));
                }
                tlv::CONFIGURATION_SEQUENCE => {
                    keep_first(&mut sequence, u32::from_be_bytes(tlv.value.exactly()?));
                }
                tlv::DUAL_STACK => keep_first(&mut dual_stack, TransportPreference::decode(tlv.value)?),
                _ => {
                    tlv.unused()?;
                }
            }
        }
        let (hold, flags) = common.ok_or(missing("a Hello without its common parameters"))?;
        Ok(Self {
            hold,
            targeted: flags & TARGETED != 0,
            request_targeted: flags & REQUEST_TARGETED != 0,
            gtsm: flags & GTSM != 0,
            transport_address: transport,
            transport_address_v6: transport_v6,
            configuration_sequence: sequence,
            dual_stack,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set, bit| if set { bit } else { 0 };
        let flags = flag(self.targeted, TARGETED)
            | flag(self.request_targeted, REQUEST_TARGETED)
            | flag(self.gtsm, GTSM);
        tlv::write(out, tlv::COMMON_HELLO, |out| {
            out.extend_from_slice(&self.hold.0.to_be_bytes());
            out.extend_from_slice(&flags.to_be_bytes());
        });
        if let Some(address) = self.transport_address {
            tlv::write(out, tlv::IPV4_TRANSPORT_ADDRESS, |out| out.extend_from_slice(&address.octets()));
        }
        if let Some(address) = self.transport_address_v6 {
            tlv::write(out, tlv::IPV6_TRANSPORT_ADDRESS, |out| out.extend_from_slice(&address.octets()));
        }
        if let Some(number) = self.configuration_sequence {
            tlv::write(out, tlv::CONFIGURATION_SEQUENCE, |out| out.extend_from_slice(&number.to_be_bytes()));
        }
        if let Some(preference) = self.dual_stack {
            tlv::write(out, tlv::optional(tlv::DUAL_STACK), |out| {
                out.extend_from_slice(&preference.to_bytes());
            });
        }
    }
}
