//! Whose a next hop is: the addresses that peers told (RFC 5036 §2.7), and, where a next hop is a link-local address, the
//! sources of their Hellos on its interface (RFC 7552 §8).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::ldp::LdpId;

use crate::{InterfaceId, NextHop};

/// The least and the greatest LDP identifier.
const NOBODY: LdpId = LdpId { lsr_id: Ipv4Addr::UNSPECIFIED, label_space: 0 };
const EVERYBODY: LdpId = LdpId { lsr_id: Ipv4Addr::BROADCAST, label_space: u16::MAX };

/// Peers by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    told: BTreeSet<(IpAddr, LdpId)>,
    heard: BTreeSet<(InterfaceId, Ipv6Addr, LdpId)>,
}

impl Stations {
    /// The peer told an address of its; whether that is news.
    pub(crate) fn tell(&mut self, address: IpAddr, id: LdpId) -> bool {
        self.told.insert((address, id))
    }

    /// The peer has an address no more.
    pub(crate) fn untell(&mut self, address: IpAddr, id: LdpId) {
        self.told.remove(&(address, id));
    }

    /// The peer's link Hellos come from this address; whether that is news.
    pub(crate) fn hear(&mut self, interface: InterfaceId, source: IpAddr, id: LdpId) -> bool {
        let IpAddr::V6(source) = source else { return false };
        let key = (interface, source, id);
        if !source.is_unicast_link_local() || self.heard.contains(&key) {
            return false;
        }
        self.lose(interface, id);
        self.heard.insert(key)
    }

    /// The peer is not heard there any more by IPv6.
    pub(crate) fn lose(&mut self, interface: InterfaceId, id: LdpId) {
        self.heard.retain(|&(at, _, peer)| (at, peer) != (interface, id));
    }

    /// Whether the next hop is this peer's.
    pub(crate) fn is(&self, hop: NextHop, id: LdpId) -> bool {
        match link_local(hop.address) {
            Some(address) => self.heard.contains(&(hop.interface, address, id)),
            None => self.told.contains(&(hop.address, id)),
        }
    }

    /// All addresses and whose they are; link-local ones of all interfaces.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (IpAddr, LdpId)> {
        self.told.iter().copied().chain(self.heard.iter().map(|&(_, address, id)| (address.into(), id)))
    }

    /// The peers that say that a next hop is theirs.
    pub(crate) fn at(&self, hop: NextHop) -> impl Iterator<Item = LdpId> {
        let told = match link_local(hop.address) {
            Some(_) => None,
            None => Some(self.told.range((hop.address, NOBODY)..=(hop.address, EVERYBODY))),
        };
        let heard = link_local(hop.address).map(|address| {
            self.heard.range((hop.interface, address, NOBODY)..=(hop.interface, address, EVERYBODY))
        });
        let told = told.into_iter().flatten().map(|&(_, id)| id);
        told.chain(heard.into_iter().flatten().map(|&(.., id)| id))
    }
}

fn link_local(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address).filter(Ipv6Addr::is_unicast_link_local),
        IpAddr::V4(_) => None,
    }
}
