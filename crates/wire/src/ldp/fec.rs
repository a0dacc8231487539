//! FEC TLVs (RFC 5036 §3.4.1, RFC 5918).
//!
//! | element | where |
//! |---|---|
//! | prefix | everywhere, several in one TLV |
//! | wildcard | alone in its TLV, in Label Withdraw and Label Release |
//! | typed wildcard, of prefixes | alone in its TLV, in Label Request, Label Withdraw, Label Release and Notification |
//!
//! RFC 5036 permits several elements in Label Mapping only; they are taken in the other messages as well, where what they
//! mean is as plain, and never sent. An element of another type, or one where it does not belong, ends the decoding and
//! costs the message, not the session: "Unknown FEC", or "Unsupported Address Family" for prefixes that are not IP
//! (RFC 5036 §3.4.1.1). So nothing of a Label Mapping with one such element is kept, and Appendix A.1.2 is followed for
//! each element of the others. What cannot be right in any case (a prefix longer than an address, a wildcard beside
//! others) is a malformed TLV, which is fatal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::tlv::{self, Value};
use super::{DecodeError, StatusCode};

const WILDCARD: u8 = 1;
const PREFIX: u8 = 2;
/// RFC 5918 §3.
const TYPED_WILDCARD: u8 = 5;
/// Octets after the type and the length of a typed wildcard of prefixes: the address family (RFC 5918 §6).
const TYPED_PREFIX_LEN: u8 = 2;

/// Which addresses (IANA's address family numbers).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl AddressFamily {
    pub(super) fn decode(value: &mut Value<'_>) -> Result<Self, DecodeError> {
        match value.u16()? {
            1 => Ok(Self::Ipv4),
            2 => Ok(Self::Ipv6),
            _ => Err(DecodeError::new(StatusCode::UNSUPPORTED_ADDRESS_FAMILY, "addresses that are not IP")),
        }
    }

    pub(super) const fn to_bytes(self) -> [u8; 2] {
        match self {
            Self::Ipv4 => [0, 1],
            Self::Ipv6 => [0, 2],
        }
    }

    /// The family of an address.
    pub const fn of_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The family of a prefix.
    pub const fn of(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }
}

/// What a message is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FecTlv {
    /// Every FEC (that has the message's label, if it has one). In Label Withdraw and Label Release only.
    Wildcard,
    /// Every prefix of the family (that has the message's label, if it has one). Not in Label Mapping and Label Abort
    /// Request.
    TypedWildcard(AddressFamily),
    /// These prefixes.
    Prefixes(PrefixFecs),
}

/// What labels are asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RequestFec {
    /// Every prefix of the family.
    TypedWildcard(AddressFamily),
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
                out.push(PREFIX);
                out.extend_from_slice(&AddressFamily::of(prefix).to_bytes());
                out.push(prefix.prefix_len());
                let used = usize::from(prefix.prefix_len()).div_ceil(8);
                match prefix.addr() {
                    IpAddr::V4(address) => out.extend(address.octets().iter().take(used)),
                    IpAddr::V6(address) => out.extend(address.octets().iter().take(used)),
                }
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

impl From<IpNet> for RequestFec {
    fn from(prefix: IpNet) -> Self {
        Self::Prefixes(prefix.into())
    }
}

impl FecTlv {
    pub(super) fn decode(mut value: Value<'_>) -> Result<Self, DecodeError> {
        let (mut prefixes, mut wildcard, mut typed) = (Vec::new(), false, None);
        let mut alone = true;
        while !value.is_empty() {
            alone = !wildcard && typed.is_none();
            match value.take::<1>()? {
                [WILDCARD] => wildcard = true,
                [PREFIX] => prefixes.push(decode_prefix(&mut value)?),
                [TYPED_WILDCARD] => typed = Some(decode_typed(&mut value)?),
                // The element's length is not known, so whatever follows it is lost: RFC 5036 §3.4.1.1.
                _ => return Err(unknown("a FEC element of unknown type")),
            }
        }
        let alone = alone && prefixes.is_empty();
        match (wildcard, typed) {
            (true, None) if alone => Ok(Self::Wildcard),
            (true, _) => Err(malformed("a wildcard beside other FEC elements")),
            (false, Some(family)) if alone => Ok(Self::TypedWildcard(family)),
            (false, Some(_)) => Err(unknown("a typed wildcard beside other FEC elements")),
            (false, None) if prefixes.is_empty() => Err(malformed("a FEC TLV without elements")),
            (false, None) => PrefixFecs::new(prefixes)
                .map(Self::Prefixes)
                .map_err(|_| malformed("more FEC elements than a PDU of the default length holds")),
        }
    }

    /// For messages that no wildcard must be in.
    pub(super) fn prefixes_only(self) -> Result<PrefixFecs, DecodeError> {
        match self {
            Self::Prefixes(prefixes) => Ok(prefixes),
            Self::Wildcard | Self::TypedWildcard(_) => Err(unknown("a wildcard where there must be none")),
        }
    }

    /// For Label Request.
    pub(super) fn requestable(self) -> Result<RequestFec, DecodeError> {
        match self {
            Self::Prefixes(prefixes) => Ok(RequestFec::Prefixes(prefixes)),
            Self::TypedWildcard(family) => Ok(RequestFec::TypedWildcard(family)),
            Self::Wildcard => Err(unknown("a request of every FEC")),
        }
    }

    /// Whether a prefix is among the FECs.
    pub fn covers(&self, prefix: &IpNet) -> bool {
        match self {
            Self::Wildcard => true,
            Self::TypedWildcard(family) => *family == AddressFamily::of(prefix),
            Self::Prefixes(prefixes) => prefixes.prefixes().contains(prefix),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Wildcard => tlv::write(out, tlv::FEC, |out| out.push(WILDCARD)),
            Self::TypedWildcard(family) => encode_typed(*family, out),
            Self::Prefixes(prefixes) => prefixes.encode(out),
        }
    }
}

impl RequestFec {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::TypedWildcard(family) => encode_typed(*family, out),
            Self::Prefixes(prefixes) => prefixes.encode(out),
        }
    }
}

fn encode_typed(family: AddressFamily, out: &mut Vec<u8>) {
    tlv::write(out, tlv::FEC, |out| {
        out.extend_from_slice(&[TYPED_WILDCARD, PREFIX, TYPED_PREFIX_LEN]);
        out.extend_from_slice(&family.to_bytes());
    });
}

fn decode_typed(value: &mut Value<'_>) -> Result<AddressFamily, DecodeError> {
    let [kind, len] = value.take()?;
    if kind != PREFIX {
        return Err(unknown("a wildcard of FEC elements of unknown type"));
    }
    if len != TYPED_PREFIX_LEN {
        return Err(malformed("a wildcard of prefixes of no address family"));
    }
    AddressFamily::decode(value)
}

fn decode_prefix(value: &mut Value<'_>) -> Result<IpNet, DecodeError> {
    let family = AddressFamily::decode(value)?;
    let [len] = value.take()?;
    let too_long = |_| malformed("a prefix longer than an address");
    match family {
        AddressFamily::Ipv4 if len <= 32 => {
            let address = Ipv4Addr::from(address::<4>(value, len)?);
            Ipv4Net::new(address, len).map(|net| IpNet::V4(net.trunc())).map_err(too_long)
        }
        AddressFamily::Ipv6 if len <= 128 => {
            let address = Ipv6Addr::from(address::<16>(value, len)?);
            Ipv6Net::new(address, len).map(|net| IpNet::V6(net.trunc())).map_err(too_long)
        }
        AddressFamily::Ipv4 | AddressFamily::Ipv6 => Err(malformed("a prefix longer than an address")),
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

const fn unknown(what: &'static str) -> DecodeError {
    DecodeError::new(StatusCode::UNKNOWN_FEC, what)
}
