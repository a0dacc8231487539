//! Address and Address Withdraw (RFC 5036 §3.5.5, §3.5.6).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::message::missing;
use super::tlv::{self, Tlvs, Value, keep_first};
use super::{AddressFamily, DecodeError};

/// Interface addresses of the sender, of one family.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Addresses {
    /// IPv4.
    V4(Vec<Ipv4Addr>),
    /// IPv6.
    V6(Vec<Ipv6Addr>),
}

impl Addresses {
    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut tlvs = Tlvs::new(octets);
        let mut list = None;
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                tlv::ADDRESS_LIST => keep_first(&mut list, decode_list(tlv.value)?),
                _ => {
                    tlv.unused()?;
                }
            }
        }
        list.ok_or(missing("an Address message without addresses"))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        tlv::write(out, tlv::ADDRESS_LIST, |out| match self {
            Self::V4(addresses) => {
                out.extend_from_slice(&AddressFamily::Ipv4.to_bytes());
                addresses.iter().for_each(|address| out.extend_from_slice(&address.octets()));
            }
            Self::V6(addresses) => {
                out.extend_from_slice(&AddressFamily::Ipv6.to_bytes());
                addresses.iter().for_each(|address| out.extend_from_slice(&address.octets()));
            }
        });
    }
}

fn decode_list(mut value: Value<'_>) -> Result<Addresses, DecodeError> {
    match AddressFamily::decode(&mut value)? {
        AddressFamily::Ipv4 => {
            let mut addresses = Vec::new();
            while !value.is_empty() {
                addresses.push(Ipv4Addr::from(value.take::<4>()?));
            }
            Ok(Addresses::V4(addresses))
        }
        AddressFamily::Ipv6 => {
            let mut addresses = Vec::new();
            while !value.is_empty() {
                addresses.push(Ipv6Addr::from(value.take::<16>()?));
            }
            Ok(Addresses::V6(addresses))
        }
    }
}
