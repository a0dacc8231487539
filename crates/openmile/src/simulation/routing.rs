//! Stands for the IGP and the nodes' kernels: shortest paths over cables that are up, each node at its own time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use contract::{MacAddr, PortId};

use super::plan::{Behind, STRANGER_CABLE, cable_address, port_mac};
use super::stranger;
use super::world::{What, World};
use crate::control::kernel::{Interface, KernelEvent};
use crate::netlink::LinkIndex;
use crate::netlink::route::{HostRoute, NextHop};

/// What a kernel has told control.
#[derive(Debug, Default)]
pub(super) struct Told {
    interfaces: BTreeMap<PortId, Interface>,
    routes: BTreeMap<IpAddr, HostRoute>,
    macs: BTreeMap<NextHop, MacAddr>,
}

impl World {
    /// Every node hears of it, each at its own time.
    pub(super) fn topology_changed(&mut self) {
        for node in 0..self.members.len() {
            let after = Duration::from_millis(self.random.below(300) as u64);
            self.later(after, What::Converge { node });
        }
    }

    /// Whether packets get from one node to another (or to the stranger) by the kernels' routes.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        let at = |node: usize| match &self.stranger {
            Some(stranger) if node == self.members.len() => stranger.node,
            _ => node,
        };
        self.distances(&BTreeSet::from([at(from)]))[at(to)].is_some()
    }

    /// The node's neighbours over cables that are up: port, neighbour, its port.
    fn neighbors(&self, node: usize) -> Vec<(usize, usize, usize)> {
        let ports = self.plan.nodes[node].ports.iter().enumerate();
        let up = ports.filter_map(|(port, (_, behind))| match behind {
            Behind::Cable(cable, end) if self.cables[*cable] => {
                let (to, there) = self.plan.end_of_cable(*cable, 1 - end)?;
                Some((port, to, there))
            }
            _ => None,
        });
        up.collect()
    }

    fn distances(&self, from: &BTreeSet<usize>) -> Vec<Option<u32>> {
        let mut distance = vec![None; self.members.len()];
        let mut queue: VecDeque<usize> = from.iter().copied().collect();
        from.iter().for_each(|&node| distance[node] = Some(0));
        while let Some(node) = queue.pop_front() {
            for (_, to, _) in self.neighbors(node) {
                if distance[to].is_none() {
                    distance[to] = distance[node].map(|distance| distance + 1);
                    queue.push_back(to);
                }
            }
        }
        distance
    }

    /// Tells a node's control how the kernel's tables differ from what they were.
    pub(super) fn converge(&mut self, node: usize) {
        if self.members[node].control.is_none() {
            return;
        }
        let (interfaces, routes, macs) = self.kernel_tables(node);
        let told = &self.members[node].told;
        let mut events = Vec::new();
        let ports = told.interfaces.keys().chain(interfaces.keys()).collect::<BTreeSet<_>>();
        for &port in ports {
            if told.interfaces.get(&port) != interfaces.get(&port) {
                events.push(KernelEvent::Interface(port, interfaces.get(&port).cloned()));
            }
        }
        for &host in told.routes.keys().chain(routes.keys()).collect::<BTreeSet<_>>() {
            if told.routes.get(&host) != routes.get(&host) {
                events.push(KernelEvent::Route(host, routes.get(&host).cloned()));
            }
        }
        for &hop in told.macs.keys().chain(macs.keys()).collect::<BTreeSet<_>>() {
            if told.macs.get(&hop) != macs.get(&hop) {
                events.push(KernelEvent::NextHop(hop, macs.get(&hop).copied()));
            }
        }
        self.members[node].told = Told { interfaces, routes, macs };
        for event in events {
            self.kernel_tells(node, event);
        }
    }

    #[allow(clippy::type_complexity, reason = "three tables, named where they are used")]
    fn kernel_tables(
        &self,
        node: usize,
    ) -> (BTreeMap<PortId, Interface>, BTreeMap<IpAddr, HostRoute>, BTreeMap<NextHop, MacAddr>) {
        let mut interfaces = BTreeMap::new();
        for port in 0..self.plan.nodes[node].ports.len() {
            let address = self.port_address(node, port).filter(|_| self.carrier(node, port));
            if let (Some(address), Some(id)) = (address, self.members[node].port_ids[port]) {
                let link = LinkIndex(port as u32 + 1);
                interfaces.insert(id, Interface { link, addresses: vec![address.into()] });
            }
        }
        let mut owners = BTreeMap::<IpAddr, BTreeSet<usize>>::new();
        for (number, member) in self.members.iter().enumerate() {
            for &address in &member.loopback {
                owners.entry(address).or_default().insert(number);
            }
        }
        let wanted = &self.members[node].hosts;
        let (mut routes, mut macs) = (BTreeMap::new(), BTreeMap::new());
        for (&address, nodes) in owners.iter().filter(|(address, _)| wanted.contains(address)) {
            let mut next_hops: Vec<(NextHop, MacAddr)> = Vec::new();
            let mut metric = 0;
            if let Some(hop) = self.by_stranger(node, address) {
                next_hops.push(hop);
            } else {
                let distance = self.distances(nodes);
                let Some(here) = distance[node] else { continue };
                metric = here;
                for (port, to, there) in self.neighbors(node) {
                    if distance[to].is_some_and(|distance| distance < here)
                        && let Some(address) = self.port_address(to, there)
                    {
                        let hop = NextHop { address: address.into(), link: LinkIndex(port as u32 + 1) };
                        next_hops.push((hop, MacAddr(port_mac(to, there))));
                    }
                }
            }
            macs.extend(next_hops.iter().copied());
            let next_hops = next_hops.into_iter().map(|(hop, _)| hop).collect();
            routes.insert(address, HostRoute { next_hops, metric });
        }
        (interfaces, routes, macs)
    }

    fn by_stranger(&self, node: usize, address: IpAddr) -> Option<(NextHop, MacAddr)> {
        let stranger = self.stranger.as_ref().filter(|stranger| stranger.node == node)?;
        let port = *self.plan.ports_behind(node, Behind::Stranger).first()?;
        let hop =
            NextHop { address: cable_address(STRANGER_CABLE, 1).into(), link: LinkIndex(port as u32 + 1) };
        stranger.routed.iter().any(|routed| *routed == address).then_some((hop, MacAddr(stranger::MAC)))
    }
}
