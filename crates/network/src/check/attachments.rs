//! Handoffs and headends: nodes, ports, VLANs, addresses on the link.

use std::collections::BTreeMap;
use std::net::IpAddr;

use contract::PortKind;
use ipnet::IpNet;

use super::Checker;
use super::addresses::{another, not_a_host, not_a_station, overlap};
use crate::model::{Handoff, Headend, Isp, Node};
use crate::read::Place;

impl Checker<'_> {
    pub(super) fn handoffs(&mut self) {
        let mut attached = BTreeMap::new();
        for (i, isp) in self.model.isps.iter().enumerate() {
            for (h, handoff) in isp.handoffs.iter().enumerate() {
                let place = Place::root().item("isp", i).item("handoff", h);
                self.handoff(&place, isp, handoff);
                let key = (&handoff.node, &handoff.port, handoff.vlan);
                let poisoned =
                    ["node", "port", "vlan"].iter().any(|key| self.places.is_poisoned(&place.key(key)));
                if poisoned {
                    continue;
                }
                match attached.get(&key) {
                    None => drop(attached.insert(key, (isp, place))),
                    Some((holder, first)) => {
                        let what = match handoff.vlan {
                            Some(vlan) => format!("VLAN {vlan} of port {}", handoff.port),
                            None => format!("port {} without a VLAN", handoff.port),
                        };
                        let message = format!("{what} at {} is {}'s already", handoff.node, holder.name);
                        let help = "one handoff for each port and VLAN: write another `vlan` or another port";
                        let [place, first] = [&place, first].map(|place| attachment_place(self, place));
                        self.error(message, help, &[(&place, "attached here again"), (&first, "first here")]);
                    }
                }
            }
        }
    }

    fn handoff(&mut self, place: &Place, isp: &Isp, handoff: &Handoff) {
        if let Some(node) = self.node_named(&handoff.node, &place.key("node")) {
            self.handoff_port(place, node, handoff);
        }
        let families = ["ipv4", "ipv6"].map(|key| place.key(key));
        let unsure = families.iter().any(|family| self.places.is_poisoned(family));
        if handoff.ipv4.is_none() && handoff.ipv6.is_none() && !unsure {
            let message = format!("this handoff of {} carries neither IPv4 nor IPv6", isp.name);
            let help = "add `ipv4 = { address = \"192.0.2.1/30\", next_hop = \"192.0.2.2\" }`, or ipv6";
            self.error(message, help, &[(place, "no `ipv4` and no `ipv6`")]);
        }
        let [ipv4, ipv6] = families;
        if let Some(attachment) = handoff.ipv4 {
            self.link(&ipv4, isp, attachment.address.into(), attachment.next_hop.into());
        }
        if let Some(attachment) = handoff.ipv6 {
            self.link(&ipv6, isp, attachment.address.into(), attachment.next_hop.into());
        }
    }

    fn handoff_port(&mut self, place: &Place, node: usize, handoff: &Handoff) {
        let port = place.key("port");
        let (node_place, node) = (Place::root().item("node", node), &self.model.nodes[node]);
        match node.ports.iter().position(|known| known.name == handoff.port) {
            Some(found) if node.ports[found].kind != PortKind::Handoff => {
                let kind = node_place.item("port", found).key("kind");
                let message = format!("port {} of {} is no handoff port", handoff.port, node.name);
                let help = handoff_ports(node, "or make it one: `kind = \"handoff\"`");
                self.error(
                    message,
                    help,
                    &[(&port, "used as a handoff here"), (&kind, "of another kind here")],
                );
            }
            Some(_) => {}
            None if self.places.any_poisoned(&node_place, node.ports.len(), "port", "name") => {}
            None => {
                let message = format!("{} has no port `{}`", node.name, handoff.port);
                let help = handoff_ports(node, "or add a `[[node.port]]`");
                self.error(
                    message,
                    help,
                    &[(&port, "no port of that node"), (&node_place.key("name"), "this node")],
                );
            }
        }
    }

    /// Our address and the ISP's router on a handoff's link.
    fn link(&mut self, place: &Place, isp: &Isp, link: IpNet, next_hop: IpAddr) {
        let (at_address, at_next_hop) = (place.key("address"), place.key("next_hop"));
        let address = link.addr();
        for (address, place) in [(address, &at_address), (next_hop, &at_next_hop)] {
            if let Some(why) = not_a_host(address).or_else(|| not_a_station(address, link)) {
                let help = match another(link, if address == next_hop { link.addr() } else { next_hop }) {
                    Some(host) if not_a_host(host).is_none() => format!("write {host}, say"),
                    _ => "write a unicast address that is not link-local".to_owned(),
                };
                self.error(format!("{address} {why}"), help, &[(place, "no station on this link")]);
                return;
            }
        }
        if !link.contains(&next_hop) {
            let message = format!("the next hop {next_hop} is not on the link {}", link.trunc());
            let help = "write an address of the same prefix, or correct the prefix length";
            self.error(message, help, &[(&at_next_hop, "not on the link"), (&at_address, "the link")]);
        } else if next_hop == address {
            let message = format!("{next_hop} is our own address at this handoff");
            let help = "`address` is ours, `next_hop` is the ISP's router";
            self.error(message, help, &[(&at_next_hop, "the next hop"), (&at_address, "our address")]);
        }
        let Some(i) = self.model.isps.iter().position(|known| std::ptr::eq(known, isp)) else { return };
        for (h, headend) in isp.headends.iter().enumerate() {
            for (p, pool) in headend.pools.iter().enumerate().filter(|(_, pool)| overlap(pool.prefix, link)) {
                let pool_place =
                    Place::root().item("isp", i).item("headend", h).item("pool", p).key("prefix");
                let message =
                    format!("the link {} overlaps {}'s pool {}", link.trunc(), isp.name, pool.prefix);
                let help =
                    "an address is either a subscriber's or on the handoff's link: take another prefix";
                self.error(message, help, &[(&at_address, "the link"), (&pool_place, "the pool")]);
            }
        }
    }

    pub(super) fn headends(&mut self) {
        for (i, isp) in self.model.isps.iter().enumerate() {
            let list = Place::root().item("isp", i);
            let nodes = isp.headends.iter().enumerate();
            let nodes =
                nodes.map(|(h, headend)| (headend.node.as_str(), list.item("headend", h).key("node")));
            let help = "write all pools of an ISP on a node into one `[[isp.headend]]`";
            self.unique(&format!("{}'s headend", isp.name), help, nodes.collect());
            for (h, headend) in isp.headends.iter().enumerate() {
                self.headend(&list.item("headend", h), isp, headend);
            }
        }
    }

    fn headend(&mut self, place: &Place, isp: &Isp, headend: &Headend) {
        let at_node = place.key("node");
        let Some(node) = self.node_named(&headend.node, &at_node) else { return };
        let (node_place, node) = (Place::root().item("node", node), &self.model.nodes[node]);
        let unsure = self.places.any_poisoned(&node_place, node.ports.len(), "port", "kind");
        if !unsure && !node.ports.iter().any(|port| port.kind == PortKind::Access) {
            let message = format!("{} has no access port, so it is no headend", node.name);
            let help = "add a `[[node.port]]` of kind \"access\" to the node, or name another node";
            self.error(message, help, &[(&at_node, "a headend here"), (&node_place.key("name"), "the node")]);
        }
        if let Some(h) = isp.handoffs.iter().position(|handoff| handoff.node == headend.node) {
            let Some(i) = self.model.isps.iter().position(|known| std::ptr::eq(known, isp)) else { return };
            let handoff = Place::root().item("isp", i).item("handoff", h).key("node");
            let message = format!("{} has both a headend and a handoff at {}", isp.name, headend.node);
            let help = "packets from one to the other on the same node are not carried yet: its subscribers there use \
                        the ISP's handoffs at other nodes";
            self.warning(message, help, &[(&at_node, "the headend"), (&handoff, "the handoff")]);
        }
    }
}

/// Where to point for port and VLAN: at the VLAN if it is written.
fn attachment_place(checker: &Checker<'_>, place: &Place) -> Place {
    let vlan = place.key("vlan");
    if checker.places.is_written(&vlan) { vlan } else { place.key("port") }
}

fn handoff_ports(node: &Node, otherwise: &str) -> String {
    let ports = node.ports.iter().filter(|port| port.kind == PortKind::Handoff);
    match ports.map(|port| port.name.as_str()).collect::<Vec<_>>() {
        ports if ports.is_empty() => {
            format!("{} has no handoff port: name another node, {otherwise}", node.name)
        }
        ports => format!("the handoff ports of {} are {}; {otherwise}", node.name, ports.join(", ")),
    }
}
