//! Nodes: names, addresses, ports.

use std::net::IpAddr;

use contract::PortKind;
use contract::counters::PORT_SLOTS;

use super::Checker;
use super::addresses::not_a_host;
use crate::model::{GtsmMode, LdpNeighbor, Node, SessionProtection, TargetedMode};
use crate::read::Place;

impl Checker<'_> {
    pub(super) fn nodes(&mut self) {
        let nodes =
            || self.model.nodes.iter().enumerate().map(|(n, node)| (Place::root().item("node", n), node));
        let names = nodes().map(|(place, node)| (node.name.as_str(), place.key("name"))).collect();
        self.unique("the node name", "give each node a name of its own", names);

        let mut own = Vec::new();
        for (place, node) in nodes() {
            own.push((IpAddr::V4(node.lsr_id), place.key("lsr_id")));
            // A node may write its LSR-id as its transport address too.
            own.extend(
                node.transport_address
                    .filter(|transport| *transport != node.lsr_id)
                    .map(|transport| (transport.into(), place.key("transport_address"))),
            );
            let v6 = node.transport_address_v6;
            own.extend(v6.map(|transport| (transport.into(), place.key("transport_address_v6"))));
        }
        for (address, place) in &own {
            self.host_address(*address, place);
        }
        self.unique("the address", "LSR-ids and transport addresses are each one node's alone", own);
        for (place, node) in nodes() {
            self.ports(&place, node);
        }
    }

    fn ports(&mut self, place: &Place, node: &Node) {
        let ports = || node.ports.iter().enumerate().map(|(p, port)| (place.item("port", p), port));
        let names = ports().map(|(place, port)| (port.name.as_str(), place.key("name"))).collect();
        self.unique("the port", "name each port of a node once", names);
        for (place, _) in ports().filter(|(_, port)| port.name.as_str() == "lo") {
            let help = "leave it out: it is the node's own, and its addresses are put on it";
            self.error(
                "the loopback device is no port".to_owned(),
                help,
                &[(&place.key("name"), "not a port")],
            );
        }
        self.ldp_neighbors(place, node);
        if let Some((place, _)) = ports().nth(PORT_SLOTS) {
            let message = format!("{} has {} ports, more than {PORT_SLOTS}", node.name, node.ports.len());
            self.error(message, "spread them over more nodes", &[(&place, "one too many")]);
        }
        let unsure = self.places.any_poisoned(place, node.ports.len(), "port", "kind");
        let backbone = node.ports.iter().any(|port| port.kind == PortKind::Backbone);
        if self.model.nodes.len() > 1 && !backbone && !unsure && !node.ports.is_empty() {
            let message = format!("{} has no backbone port, so no LSP leads to it or from it", node.name);
            let help = "add a `[[node.port]]` of kind \"backbone\" for each link to another node";
            self.warning(message, help, &[(&place.key("name"), "cut off from the other nodes")]);
        }
    }

    fn ldp_neighbors(&mut self, place: &Place, node: &Node) {
        let neighbors = || node.ldp_neighbors.iter().enumerate();
        let places: Vec<_> = neighbors()
            .map(|(n, neighbor)| (neighbor.lsr_id, place.item("ldp_neighbor", n).key("lsr_id")))
            .collect();
        for (lsr_id, place) in &places {
            self.host_address((*lsr_id).into(), place);
            if *lsr_id == node.lsr_id {
                let message = format!("{} would be its own LDP neighbor", node.name);
                self.error(message, "write the LSR-id of the other end", &[(place, "this node's own")]);
            }
        }
        for (n, neighbor) in neighbors() {
            let place = place.item("ldp_neighbor", n);
            if let Some(address) = neighbor.transport_address {
                let place = place.key("transport_address");
                self.host_address(address, &place);
                let (spoken, family) = match address {
                    IpAddr::V4(_) => (node.transport_address().is_some(), "IPv4"),
                    IpAddr::V6(_) => (node.transport_address_v6.is_some(), "IPv6"),
                };
                if !spoken {
                    let message = format!("{} speaks no LDP over {family}", node.name);
                    let help = "write the neighbor's address of the other family, or give the node a transport address of \
                                this one";
                    self.error(message, help, &[(&place, "no session can be held with this address")]);
                }
            }
            self.gtsm_of_a_remote(&place, node, neighbor);
            self.unanswered(&place, node, neighbor);
        }
        self.unique("the LDP neighbor", "name each neighbor of a node once", places);
    }

    /// Who may be several hops away cannot have GTSM.
    fn gtsm_of_a_remote(&mut self, place: &Place, node: &Node, neighbor: &LdpNeighbor) {
        let protection = neighbor.session_protection.unwrap_or(self.model.ldp.session_protection);
        let (why, help) = if neighbor.targeted != TargetedMode::Off {
            ("is a targeted neighbor", "leave `gtsm` out: a password secures such sessions")
        } else if protection != SessionProtection::Off {
            (
                "has a protected session, which is to outlive the link",
                "leave `gtsm` out, or write `session_protection = \"off\"` for this neighbor",
            )
        } else {
            return;
        };
        if neighbor.gtsm == GtsmMode::On {
            let message = format!("{} of {} {why}, and GTSM", neighbor.lsr_id, node.name);
            self.error(message, help, &[(&place.key("gtsm"), "refuses what came through a router")]);
        }
    }

    /// Another node of the file that gets targeted Hellos is to answer them.
    fn unanswered(&mut self, place: &Place, node: &Node, neighbor: &LdpNeighbor) {
        let other = self.model.nodes.iter().find(|other| other.lsr_id == neighbor.lsr_id);
        let Some(other) = other.filter(|_| neighbor.targeted == TargetedMode::On) else { return };
        let here = other.ldp_neighbors.iter().find(|back| back.lsr_id == node.lsr_id);
        if here.is_none_or(|back| back.targeted == TargetedMode::Off) {
            let message =
                format!("{} sends targeted Hellos to {}, which does not answer them", node.name, other.name);
            let help = format!(
                "write a `[[node.ldp_neighbor]]` of {} with `lsr_id = \"{}\"` and `targeted = \"answer\"`",
                other.name, node.lsr_id
            );
            self.warning(message, help, &[(&place.key("targeted"), "at this end only")]);
        }
    }

    /// Reports an address that cannot be one host's.
    pub(super) fn host_address(&mut self, address: IpAddr, place: &Place) {
        if let Some(why) = not_a_host(address) {
            let message = format!("{address} {why}");
            self.error(
                message,
                "write a unicast address that is routed",
                &[(place, "no host has this address")],
            );
        }
    }
}
