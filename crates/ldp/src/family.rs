//! What LDP makes of the two address families (RFC 7552).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::Fec;
use wire::ldp::{AddressFamily, Addresses};

/// Where this LSR's sessions begin and end, by address family: LDP is spoken over those that have an address here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Transport {
    /// IPv4.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6: a global or unique local address.
    pub ipv6: Option<Ipv6Addr>,
}

impl Transport {
    /// The address of this family.
    pub fn of(&self, family: AddressFamily) -> Option<IpAddr> {
        match family {
            AddressFamily::Ipv4 => self.ipv4.map(IpAddr::V4),
            AddressFamily::Ipv6 => self.ipv6.map(IpAddr::V6),
        }
    }

    /// Sets the address of its family.
    pub(crate) fn set(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.ipv4 = Some(address),
            IpAddr::V6(address) => self.ipv6 = Some(address),
        }
    }

    /// Whether LDP is spoken over this family.
    pub fn has(&self, family: AddressFamily) -> bool {
        self.of(family).is_some()
    }

    /// Whether LDP is spoken over both.
    pub fn is_dual_stack(&self) -> bool {
        self.ipv4.is_some() && self.ipv6.is_some()
    }
}

/// Whether it can be told, and believed, in LDP: no link-local IPv6 address, which means nothing elsewhere, and no IPv4
/// address in disguise (RFC 7552 §7).
pub(crate) fn is_tellable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local() && address.to_ipv4_mapped().is_none(),
    }
}

/// Whether LSPs can be of this FEC: only host addresses are switched.
pub(crate) fn is_switched(fec: Fec) -> bool {
    fec.0.prefix_len() == fec.0.max_prefix_len() && is_tellable(fec.0.addr())
}

/// Whether it can be one station's address.
pub(crate) fn is_station(address: IpAddr) -> bool {
    let never = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    let in_family = match address {
        IpAddr::V4(address) => !address.is_broadcast() && address.octets().first() != Some(&0),
        IpAddr::V6(address) => address.to_ipv4_mapped().is_none(),
    };
    !never && in_family
}

/// Addresses as messages have them, by family and with at most `octets` octets in each, but for those that are not told.
pub(crate) fn messages(addresses: &[IpAddr], octets: usize) -> Vec<Addresses> {
    let addresses = || addresses.iter().filter(|address| is_tellable(**address));
    let v4: Vec<Ipv4Addr> = addresses().filter_map(|address| v4(*address)).collect();
    let v6: Vec<Ipv6Addr> = addresses().filter_map(|address| v6(*address)).collect();
    let v4 = v4.chunks((octets / 4).max(1)).map(|some| Addresses::V4(some.to_vec()));
    v4.chain(v6.chunks((octets / 16).max(1)).map(|some| Addresses::V6(some.to_vec()))).collect()
}

/// The addresses of a message.
pub(crate) fn addresses(message: Addresses) -> Vec<IpAddr> {
    match message {
        Addresses::V4(addresses) => addresses.into_iter().map(IpAddr::V4).collect(),
        Addresses::V6(addresses) => addresses.into_iter().map(IpAddr::V6).collect(),
    }
}

const fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

const fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}
