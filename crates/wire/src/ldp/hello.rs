//! Hello (RFC 5036 §3.5.2).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::DecodeError;
use super::message::missing;
use super::tlv::{self, Tlvs, keep_first};

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
    /// The same for IPv6; a Hello over IPv4 has no use for it (RFC 7552 §6.1).
    pub transport_address_v6: Option<Ipv6Addr>,
    /// Changes when the sender's configuration does.
    pub configuration_sequence: Option<u32>,
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

    /// The time that a link Hello holds; `None`: for ever.
    pub const fn link(self) -> Option<Duration> {
        match self {
            Self::DEFAULT => Some(Self::LINK_DEFAULT),
            Self::INFINITE => None,
            Self(seconds) => Some(Duration::from_secs(seconds as u64)),
        }
    }
}

impl Hello {
    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut tlvs = Tlvs::new(octets);
        let (mut common, mut transport, mut transport_v6, mut sequence) = (None, None, None, None);
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
    }
}
