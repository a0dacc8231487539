//! Shortest paths between the nodes, as an IGP would find them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use network::Network;

use super::{Cable, NodeRoute};

/// The routes of every node to the own addresses of every other: by all cables that are on a shortest path.
pub(super) fn between_nodes(network: &Network, cables: &[Cable]) -> Vec<NodeRoute> {
    let mut routes = Vec::new();
    for (address, owners) in addresses(network) {
        let distance = distances(&owners, cables);
        for node in network.nodes() {
            let node = node.name.as_str();
            let Some(&here) = distance.get(node) else { continue };
            let via: Vec<_> = ends(cables, node)
                .filter(|(_, _, far, _)| distance.get(*far).is_some_and(|&there| there + 1 == here))
                .map(|(port, _, _, gateway)| (port.to_owned(), gateway))
                .collect();
            if !via.is_empty() {
                routes.push(NodeRoute { node: node.to_owned(), to: address, via });
            }
        }
    }
    routes
}

/// Every node's own addresses: LSR-ids, transport addresses and the service FECs.
fn addresses(network: &Network) -> BTreeMap<Ipv4Addr, BTreeSet<String>> {
    let mut owners = BTreeMap::<Ipv4Addr, BTreeSet<String>>::new();
    let mut add = |address, node: &str| _ = owners.entry(address).or_default().insert(node.to_owned());
    for node in network.nodes() {
        add(node.lsr_id, node.name.as_str());
        node.transport_address().into_iter().for_each(|transport| add(transport, node.name.as_str()));
    }
    for isp in network.isps() {
        let handoffs = isp.handoffs.iter().map(|handoff| (handoff.fec, &handoff.node));
        let headends = isp.headends.iter().map(|headend| (headend.return_address, &headend.node));
        for (address, node) in handoffs.chain(headends) {
            // The lab's backbone has IPv4 only.
            if let IpAddr::V4(address) = address {
                add(address, node.as_str());
            }
        }
    }
    owners
}

/// How many cables each node is away from the nearest of these.
fn distances(from: &BTreeSet<String>, cables: &[Cable]) -> BTreeMap<String, usize> {
    let mut distance: BTreeMap<_, _> = from.iter().map(|node| (node.clone(), 0)).collect();
    let mut edge: Vec<_> = from.iter().cloned().collect();
    for hops in 1.. {
        let far = edge.iter().flat_map(|node| ends(cables, node).map(|(_, _, far, _)| far.to_owned()));
        let next: BTreeSet<_> = far.filter(|node| !distance.contains_key(node)).collect();
        if next.is_empty() {
            break;
        }
        distance.extend(next.iter().map(|node| (node.clone(), hops)));
        edge = next.into_iter().collect();
    }
    distance
}

/// A node's cables: its port, its address, the far node, the far address.
fn ends<'a>(
    cables: &'a [Cable],
    node: &'a str,
) -> impl Iterator<Item = (&'a str, Ipv4Addr, &'a str, Ipv4Addr)> {
    cables.iter().flat_map(move |cable| {
        [(0, 1), (1, 0)].into_iter().filter(move |&(near, _)| cable.ends[near].node == node).map(
            move |(near, far)| {
                let (port, far_node) = (&cable.ends[near].port, &cable.ends[far].node);
                (port.as_str(), cable.addresses[near].addr(), far_node.as_str(), cable.addresses[far].addr())
            },
        )
    })
}
