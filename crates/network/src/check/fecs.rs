//! FEC and return addresses: each leads one way, for one ISP.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Checker;
use crate::model::{Handoff, Isp};
use crate::names::Name;
use crate::read::Place;

/// The first use of an address as a FEC.
struct Use<'m> {
    isp: &'m Isp,
    node: &'m Name,
    handoff: Option<&'m Handoff>,
    place: Place,
}

impl Checker<'_> {
    pub(super) fn fecs(&mut self) {
        let mut uses = BTreeMap::<IpAddr, Vec<Use<'_>>>::new();
        for (i, isp) in self.model.isps.iter().enumerate() {
            let isp_place = Place::root().item("isp", i);
            for (h, handoff) in isp.handoffs.iter().enumerate() {
                let place = isp_place.item("handoff", h).key("fec");
                let used = Use { isp, node: &handoff.node, handoff: Some(handoff), place };
                self.fec(&mut uses, handoff.fec, used);
            }
            for (h, headend) in isp.headends.iter().enumerate() {
                let place = isp_place.item("headend", h).key("return_address");
                let used = Use { isp, node: &headend.node, handoff: None, place };
                self.fec(&mut uses, headend.return_address, used);
            }
        }
    }

    fn fec<'m>(&mut self, uses: &mut BTreeMap<IpAddr, Vec<Use<'m>>>, address: IpAddr, used: Use<'m>) {
        if self.places.is_poisoned(&used.place) {
            return;
        }
        self.host_address(address, &used.place);
        self.node_address(address, &used.place);
        let others = uses.entry(address).or_default();
        if let Some(other) = others.iter().find(|other| conflict(other, &used).is_some()) {
            let message = conflict(other, &used).unwrap_or_default();
            let help = match (other.handoff, used.handoff) {
                (Some(one), Some(two))
                    if one.preference != two.preference && other.isp.asn == used.isp.asn =>
                {
                    "one FEC has one preference: write the same one, or another address"
                }
                _ => "write an address that is used nowhere else",
            };
            self.error(message, help, &[(&used.place, "used here"), (&other.place, "and here")]);
        }
        others.push(used);
    }

    /// A FEC's address is not a node's own: LDP would bind labels to it for another reason.
    fn node_address(&mut self, address: IpAddr, place: &Place) {
        for (n, node) in self.model.nodes.iter().enumerate() {
            let own = [
                ("lsr_id", Some(IpAddr::V4(node.lsr_id))),
                ("transport_address", node.transport_address.map(IpAddr::V4)),
                ("transport_address_v6", node.transport_address_v6.map(IpAddr::V6)),
            ];
            let Some((key, _)) = own.into_iter().find(|(_, own)| *own == Some(address)) else { continue };
            let own = Place::root().item("node", n).key(key);
            let message = format!("{address} is the {key} of {}", node.name);
            let help = "a FEC or return address serves for nothing else: write another one";
            self.error(message, help, &[(place, "used as a FEC here"), (&own, "the node's own address")]);
        }
    }
}

/// Why two cannot have the same address.
fn conflict(one: &Use<'_>, two: &Use<'_>) -> Option<String> {
    let same_isp = one.isp.asn == two.isp.asn;
    match (one.handoff, two.handoff) {
        (Some(first), Some(second)) if same_isp && one.node != two.node => {
            (first.preference != second.preference).then(|| {
                let (first, second) = (first.preference, second.preference);
                format!("one FEC has preference {first} at {} and {second} at {}", one.node, two.node)
            })
        }
        (Some(_), Some(_)) if same_isp => {
            Some(format!("two handoffs of {} at {} have the same FEC", one.isp.name, one.node))
        }
        (Some(_), Some(_)) => Some(format!(
            "{} and {} have the same FEC, so their packets would mix",
            one.isp.name, two.isp.name
        )),
        (None, None) => Some("two headends have the same return address".to_owned()),
        _ => Some("a handoff's FEC and a return address are the same".to_owned()),
    }
}
