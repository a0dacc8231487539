//! Pools: prefixes, gateways, overlaps within one ISP.

use super::Checker;
use super::addresses::{another, not_a_host, not_a_station, not_for_hosts, overlap};
use crate::model::{Isp, Pool};
use crate::read::Place;

impl Checker<'_> {
    pub(super) fn pools(&mut self) {
        for (i, isp) in self.model.isps.iter().enumerate() {
            let pools: Vec<_> = isp
                .headends
                .iter()
                .enumerate()
                .flat_map(|(h, headend)| headend.pools.iter().enumerate().map(move |(p, pool)| (h, p, pool)))
                .map(|(h, p, pool)| (Place::root().item("isp", i).item("headend", h).item("pool", p), pool))
                .collect();
            for (place, pool) in &pools {
                self.pool(place, pool);
            }
            self.overlaps(isp, &pools);
        }
    }

    fn pool(&mut self, place: &Place, pool: &Pool) {
        let (at_prefix, at_gateway) = (place.key("prefix"), place.key("gateway"));
        let (prefix, gateway) = (pool.prefix, pool.gateway);
        if prefix != prefix.trunc() {
            let message = format!("{prefix} has host bits");
            self.error(message, format!("write {}", prefix.trunc()), &[(&at_prefix, "not a whole prefix")]);
            return;
        }
        if let Some(why) = not_for_hosts(prefix) {
            let message = format!("part of {prefix} {why}");
            self.error(message, "take a prefix of unicast addresses", &[(&at_prefix, "not for subscribers")]);
            return;
        }
        if prefix.max_prefix_len() - prefix.prefix_len() < 2 {
            let message = format!("{prefix} has no room for a gateway and a subscriber");
            let help = format!("write a prefix of at most {} bits", prefix.max_prefix_len() - 2);
            self.error(message, help, &[(&at_prefix, "too small")]);
            return;
        }
        let example =
            another(prefix, prefix.network()).map_or_else(String::new, |host| format!("write {host}, say"));
        if !prefix.contains(&gateway) {
            let message = format!("the gateway {gateway} is not in {prefix}");
            self.error(message, example, &[(&at_gateway, "not in the pool"), (&at_prefix, "the pool")]);
        } else if let Some(why) = not_a_host(gateway).or_else(|| not_a_station(gateway, prefix)) {
            self.error(format!("{gateway} {why}"), example, &[(&at_gateway, "no gateway's address")]);
        }
    }

    fn overlaps(&mut self, isp: &Isp, pools: &[(Place, &Pool)]) {
        // By prefix, a pool comes directly after those that hold it: only the widest so far need be compared.
        let mut sorted: Vec<_> =
            pools.iter().map(|(place, pool)| (pool.prefix.trunc(), place.key("prefix"))).collect();
        sorted.retain(|(_, place)| !self.places.is_poisoned(place));
        sorted.sort_by_key(|(prefix, _)| *prefix);
        let mut widest: Option<&(ipnet::IpNet, Place)> = None;
        for item in &sorted {
            let (prefix, place) = item;
            match widest {
                Some((held, first)) if overlap(*held, *prefix) => {
                    let message = format!("{}'s pools {held} and {prefix} overlap", isp.name);
                    let help = "pools of one ISP are apart; other ISPs may have the same ones";
                    self.error(message, help, &[(place, "this pool"), (first, "and this one")]);
                }
                _ => widest = Some(item),
            }
        }
    }
}
