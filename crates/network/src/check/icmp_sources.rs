//! The nodes' own addresses at an ISP: on handoffs' links, and as sources of ICMP errors.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Checker;
use crate::model::{IcmpSource, Isp};
use crate::names::Name;
use crate::read::Place;

/// An address that is a node's own at an ISP.
struct Own<'m> {
    node: &'m Name,
    what: &'static str,
    place: Place,
}

impl Checker<'_> {
    /// An address of a node at an ISP is that node's alone, among all that the ISP has.
    pub(super) fn own_addresses(&mut self) {
        for (i, isp) in self.model.isps.iter().enumerate() {
            let isp_place = Place::root().item("isp", i);
            let mut own = BTreeMap::<IpAddr, Own<'_>>::new();
            for (h, handoff) in isp.handoffs.iter().enumerate() {
                let place = isp_place.item("handoff", h);
                let ipv4 = handoff.ipv4.map(|ipv4| (IpAddr::V4(ipv4.address.addr()), "ipv4"));
                let ipv6 = handoff.ipv6.map(|ipv6| (IpAddr::V6(ipv6.address.addr()), "ipv6"));
                for (address, key) in [ipv4, ipv6].into_iter().flatten() {
                    let place = place.key(key).key("address");
                    self.once(&mut own, isp, address, Own { node: &handoff.node, what: "handoff", place });
                }
            }
            let mut seen = BTreeMap::new();
            for (s, source) in isp.icmp_sources.iter().enumerate() {
                let place = isp_place.item("icmp_source", s);
                self.icmp_source(&place, isp, source);
                for (address, place) in addresses(source, &place) {
                    self.host_address(address, &place);
                    self.icmp_source_in_pool(&place, isp, &isp_place, source, address);
                    self.once(&mut own, isp, address, Own { node: &source.node, what: "icmp_source", place });
                }
                let at_node = place.key("node");
                match seen.get(&source.node) {
                    _ if self.places.is_poisoned(&at_node) => {}
                    None => drop(seen.insert(&source.node, at_node)),
                    Some(first) => {
                        let message = format!("{} has two icmp_sources for {}", source.node, isp.name);
                        let help = "write its `ipv4` and `ipv6` into one `[[isp.icmp_source]]`";
                        self.error(message, help, &[(&at_node, "here again"), (first, "first here")]);
                    }
                }
            }
            self.next_hops(&own, isp, &isp_place);
        }
    }

    fn icmp_source(&mut self, place: &Place, isp: &Isp, source: &IcmpSource) {
        self.node_named(&source.node, &place.key("node"));
        let unsure = ["ipv4", "ipv6"].iter().any(|key| self.places.is_poisoned(&place.key(key)));
        if source.ipv4.is_none() && source.ipv6.is_none() && !unsure {
            let message =
                format!("this icmp_source of {} at {} has neither IPv4 nor IPv6", isp.name, source.node);
            let help =
                "add `ipv4 = \"192.0.2.65\"` or `ipv6 = \"2001:db8:f:9::1\"`, an address that the ISP routes";
            self.error(message, help, &[(place, "no `ipv4` and no `ipv6`")]);
        }
    }

    /// What is in a pool is a subscriber's, but for the gateways, which are the headends' own.
    fn icmp_source_in_pool(
        &mut self,
        place: &Place,
        isp: &Isp,
        isp_place: &Place,
        source: &IcmpSource,
        address: IpAddr,
    ) {
        for (h, headend) in isp.headends.iter().enumerate() {
            let headend_place = isp_place.item("headend", h);
            for (p, pool) in headend.pools.iter().enumerate().filter(|(_, p)| p.prefix.contains(&address)) {
                if address == pool.gateway && headend.node == source.node {
                    continue;
                }
                let message = if address == pool.gateway {
                    format!("{address} is {}'s gateway, and this is {}", headend.node, source.node)
                } else {
                    format!(
                        "{address} is a subscriber's address: it is in {}'s pool {}",
                        isp.name, pool.prefix
                    )
                };
                let help = "take an address that the ISP routes to openmile outside of its pools, or the gateway of a \
                            pool on that node";
                let at_pool = headend_place.item("pool", p).key("prefix");
                self.error(message, help, &[(place, "source of ICMP errors"), (&at_pool, "the pool")]);
            }
        }
    }

    /// The ISP's routers have addresses of their own.
    fn next_hops(&mut self, own: &BTreeMap<IpAddr, Own<'_>>, isp: &Isp, isp_place: &Place) {
        for (h, handoff) in isp.handoffs.iter().enumerate() {
            let place = isp_place.item("handoff", h);
            let ipv4 = handoff.ipv4.map(|ipv4| (IpAddr::V4(ipv4.next_hop), "ipv4"));
            let ipv6 = handoff.ipv6.map(|ipv6| (IpAddr::V6(ipv6.next_hop), "ipv6"));
            for (next_hop, key) in [ipv4, ipv6].into_iter().flatten() {
                let place = place.key(key).key("next_hop");
                let Some(own) = own.get(&next_hop).filter(|own| own.what == "icmp_source") else { continue };
                let message = format!("{next_hop} is the ISP's router, so it is no source of {}", own.node);
                let help = "take an address that is nobody else's and that the ISP routes to openmile";
                self.error(message, help, &[(&own.place, "source of ICMP errors"), (&place, "the router")]);
            }
        }
    }

    /// Notes an address; a node may name its own again as an ICMP source.
    fn once<'m>(&mut self, all: &mut BTreeMap<IpAddr, Own<'m>>, isp: &Isp, address: IpAddr, own: Own<'m>) {
        if self.places.is_poisoned(&own.place) {
            return;
        }
        match all.get(&address) {
            None => drop(all.insert(address, own)),
            Some(first) if first.what != own.what && first.node == own.node => {}
            Some(first) => {
                let message = format!("two nodes or handoffs of {} have the address {address}", isp.name);
                let help = "each node's address at an ISP is its own: write another one";
                self.error(message, help, &[(&own.place, "here again"), (&first.place, "first here")]);
            }
        }
    }
}

fn addresses(source: &IcmpSource, place: &Place) -> impl Iterator<Item = (IpAddr, Place)> {
    let ipv4 = source.ipv4.map(|address| (address.into(), place.key("ipv4")));
    let ipv6 = source.ipv6.map(|address| (address.into(), place.key("ipv6")));
    ipv4.into_iter().chain(ipv6)
}
