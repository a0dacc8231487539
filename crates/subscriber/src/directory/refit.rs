//! Another network file: whether the directory fits it, and going on with it.

use std::collections::BTreeMap;

use contract::{Change, PortKind};

use super::Directory;
use super::check::not_in;
use crate::facts::{Facts, NodeFacts, Pool};
use crate::record::Clock;

impl Directory {
    /// What stands against another network, in sentences: services on ports, in pools or of ISPs that it does not have. The
    /// ports that it has must have their numbers.
    pub fn misfits(&self, facts: &Facts) -> Vec<String> {
        let nothing = NodeFacts::default();
        let node = facts.nodes.get(&self.name).unwrap_or(&nothing);
        if self.has_no_less(node, facts) {
            return Vec::new();
        }
        let ports: BTreeMap<_, _> = node.ports.values().copied().collect();
        let mut against = BTreeMap::<String, u64>::new();
        for service in self.services() {
            let isp = || self.isps.get(&service.isp).cloned().unwrap_or_else(|| service.isp.to_string());
            let pools = node.pools.get(&service.isp).map_or(&[][..], Vec::as_slice);
            let fits = |prefix: &ipnet::IpNet| not_in(pools, *prefix).is_none();
            let why = if ports.get(&service.circuit.port) != Some(&PortKind::Access) {
                format!("the access port {}", self.port_name(service.circuit))
            } else if !facts.isps.contains_key(&service.isp) {
                format!("the ISP {}", isp())
            } else if !service.prefixes.iter().all(fits) {
                format!(
                    "addresses outside of {}'s pools here, a gateway's, or the first or last of a pool",
                    isp()
                )
            } else {
                continue;
            };
            *against.entry(why).or_default() += 1;
        }
        let sentence = |(what, services): (String, u64)| {
            let (services, have) = if services == 1 {
                ("1 subscriber's service".to_owned(), "has")
            } else {
                (format!("{services} subscribers' services"), "have")
            };
            format!(
                "{services} {have} {what}, which the network file would not have: move or remove them first (`openmile \
                 subscriber`), or leave it in the file"
            )
        };
        against.into_iter().map(sentence).collect()
    }

    /// Whether all is still there that subscribers may have, so that nobody need be looked at.
    fn has_no_less(&self, node: &NodeFacts, facts: &Facts) -> bool {
        let pools = |isp, pool: &Pool| {
            let same = |other: &Pool| (other.prefix, other.gateway) == (pool.prefix, pool.gateway);
            node.pools.get(isp).is_some_and(|pools| pools.iter().any(same))
        };
        self.node.ports.iter().all(|(name, port)| node.ports.get(name) == Some(port))
            && self.node.pools.iter().all(|(isp, all)| all.iter().all(|pool| pools(isp, pool)))
            && self.isps.keys().all(|isp| facts.isps.contains_key(isp))
    }

    /// Goes on with another network, which [`Self::misfits`] found nothing against. Subscribers that did not fit the one
    /// before, and fit this one, are there again: what the forwarder should now hold.
    pub fn refit(&mut self, facts: &Facts, clock: Clock) -> Vec<Change> {
        self.node = facts.nodes.get(&self.name).cloned().unwrap_or_default();
        self.isps.clone_from(&facts.isps);
        self.gateways = self.node.pools.values().flatten().map(|pool| (pool.gateway, ())).collect();
        let mut changes = Vec::new();
        for (name, (id, record)) in std::mem::take(&mut self.unfit) {
            match self.put_what_fits(id, &record, clock) {
                Ok(new) => changes.extend(new),
                Err(_) => drop(self.unfit.insert(name, (id, record))),
            }
        }
        changes
    }
}
