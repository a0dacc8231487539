//! FEC TLVs (RFC 5036 §3.4.1).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::tlv::{self, Value};
use super::{DecodeError, StatusCode};

const WILDCARD: u8 = 1;
const PREFIX: u8 = 2;
pub(super) const FAMILY_IPV4: u16 = 1;
pub(super) const FAMILY_IPV6: u16 = 2;

/// What a message is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FecTlv {
    /// Every FEC (that has the message's label, if it has one). In Label Withdraw and Label Release only.
    Wildcard,
    /// These prefixes.
    Prefixes(PrefixFecs),
}

/// Prefix FEC elements: at least one, at most [`Self::MAX`], host bits zero.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PrefixFecs(Vec<IpNet>);

/// Not a number of prefixes that fits a FEC TLV.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} prefixes, where a FEC TLV has 1 to {max}", max = PrefixFecs::MAX)]
pub struct PrefixFecsError(pub usize);

impl PrefixFecs {
    /// More than any PDU of the default length holds.
    pub const MAX: usize = 1024;

    /// These prefixes; their host bits are cleared.
    pub fn new(mut prefixes: Vec<IpNet>) -> Result<Self, PrefixFecsError> {
        if prefixes.is_empty() || prefixes.len() > Self::MAX {
            return Err(PrefixFecsError(prefixes.len()));
        }
        for prefix in &mut prefixes {
            *prefix = prefix.trunc();
        }
        Ok(Self(prefixes))
    }

    /// The prefixes.
    pub fn prefixes(&self) -> &[IpNet] {
        &self.0
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        tlv::write(out, tlv::FEC, |out| {
            for prefix in &self.0 {
                let (family, octets): (u16, [u8; 16]) = match prefix {
                    IpNet::V4(net) => {
                        let [a, b, c, d] = net.addr().octets();
                        (
                            FAMILY_IPV4,
                            u128::from_be_bytes([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
                                .to_be_bytes(),
                        )
                    }
                    IpNet::V6(net) => (FAMILY_IPV6, net.addr().octets()),
                };
                out.push(PREFIX);
                out.extend_from_slice(&family.to_be_bytes());
                out.push(prefix.prefix_len());
                out.extend(octets.iter().take(usize::from(prefix.prefix_len()).div_ceil(8)));
            }
        });
    }
}

impl From<IpNet> for PrefixFecs {
    fn from(prefix: IpNet) -> Self {
        Self(vec![prefix.trunc()])
    }
}

impl From<IpNet> for FecTlv {
    fn from(prefix: IpNet) -> Self {
        Self::Prefixes(prefix.into())
    }
}

impl FecTlv {
    pub(super) fn decode(mut value: Value<'_>) -> Result<Self, DecodeError> {
        let mut prefixes = Vec::new();
        let mut wildcard = false;
        while !value.is_empty() {
            match value.take::<1>()? {
                [WILDCARD] => wildcard = true,
                [PREFIX] => prefixes.push(decode_prefix(&mut value)?),
                // The element's length is not known, so whatever follows it is lost: RFC 5036 §3.4.1.1.
                _ => return Err(DecodeError::new(StatusCode::UNKNOWN_FEC, "a FEC element of unknown type")),
            }
        }
        match (wildcard, prefixes.is_empty()) {
            (true, true) => Ok(Self::Wildcard),
            (true, false) => Err(malformed("a wildcard beside other FEC elements")),
            (false, true) => Err(malformed("a FEC TLV without elements")),
            (false, false) => PrefixFecs::new(prefixes)
                .map(Self::Prefixes)
                .map_err(|_| malformed("more FEC elements than a PDU of the default length holds")),
        }
    }

    /// For messages that a wildcard must not be in.
    pub(super) fn prefixes_only(self) -> Result<PrefixFecs, DecodeError> {
        match self {
            Self::Prefixes(prefixes) => Ok(prefixes),
            Self::Wildcard => Err(DecodeError::new(
                StatusCode::UNKNOWN_FEC,
                "a wildcard in other than Withdraw and Release",
            )),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Wildcard => tlv::write(out, tlv::FEC, |out| out.push(WILDCARD)),
            Self::Prefixes(prefixes) => prefixes.encode(out),
        }
    }
}

fn decode_prefix(value: &mut Value<'_>) -> Result<IpNet, DecodeError> {
    let family = value.u16()?;
    let [len] = value.take()?;
    let too_long = |_| malformed("a prefix longer than an address");
    match family {
        FAMILY_IPV4 if len <= 32 => {
            let address = Ipv4Addr::from(address::<4>(value, len)?);
            Ipv4Net::new(address, len).map(|net| IpNet::V4(net.trunc())).map_err(too_long)
        }
        FAMILY_IPV6 if len <= 128 => {
            let address = Ipv6Addr::from(address::<16>(value, len)?);
            Ipv6Net::new(address, len).map(|net| IpNet::V6(net.trunc())).map_err(too_long)
        }
        FAMILY_IPV4 | FAMILY_IPV6 => Err(malformed("a prefix longer than an address")),
        _ => Err(DecodeError::new(StatusCode::UNSUPPORTED_ADDRESS_FAMILY, "a prefix that is not IP")),
    }
}

fn address<const N: usize>(value: &mut Value<'_>, len: u8) -> Result<[u8; N], DecodeError> {
    let mut address = [0; N];
    let octets = value.take_slice(usize::from(len).div_ceil(8))?;
    for (place, &octet) in address.iter_mut().zip(octets) {
        *place = octet;
    }
    Ok(address)
}

const fn malformed(what: &'static str) -> DecodeError {
    DecodeError::new(StatusCode::MALFORMED_TLV_VALUE, what)
}
