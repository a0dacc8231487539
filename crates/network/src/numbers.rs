//! Which number a port has: its own for as long as it is the same port, whatever its place in the file.

use std::collections::{BTreeMap, BTreeSet};

use contract::{PortConfig, PortId};

use crate::NodeView;
use crate::model::Port;

/// The numbers that a node's ports have and had. A port that stays (same device, same kind) keeps its number; a new one
/// gets one that no other port has had, as long as there is one: what its counters say is its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortNumbers {
    held: BTreeMap<PortId, PortConfig>,
    retired: BTreeSet<PortId>,
}

impl PortNumbers {
    /// The numbers that are in use.
    pub fn new(held: impl IntoIterator<Item = (PortId, PortConfig)>) -> Self {
        Self { held: held.into_iter().collect(), retired: BTreeSet::new() }
    }

    /// The numbers once the node's ports are those of `view`.
    pub fn after(mut self, view: &NodeView) -> Self {
        self.retired.extend(self.held.keys());
        self.held = view.ports().map(|(id, port)| (id, config(port))).collect();
        self.retired.retain(|id| !self.held.contains_key(id));
        self
    }

    /// The numbers of these ports, which come in the order of the file.
    pub(crate) fn give(&self, ports: &[Port]) -> BTreeMap<PortId, Port> {
        let same = |port: &Port| self.held.iter().find(|(_, held)| **held == config(port)).map(|(id, _)| *id);
        let mut given: BTreeMap<_, _> =
            ports.iter().filter_map(|port| Some((same(port)?, port.clone()))).collect();
        for (place, port) in ports.iter().enumerate().filter(|(_, port)| same(port).is_none()) {
            let fresh = |id: &PortId| !self.held.contains_key(id) && !self.retired.contains(id);
            // Its place, as in a node that has just begun; then the first that nobody had; then any that is free.
            let all = || (0..=u16::MAX).map(PortId);
            let place = u16::try_from(place).ok().map(PortId);
            let candidates = place.into_iter().chain(all().take(contract::counters::PORT_SLOTS));
            let unheld = all().filter(|id| !self.held.contains_key(id));
            let candidates = candidates.filter(fresh).chain(unheld).chain(all());
            if let Some(id) = candidates.into_iter().find(|id| !given.contains_key(id)) {
                given.insert(id, port.clone());
            }
        }
        given
    }
}

fn config(port: &Port) -> PortConfig {
    PortConfig { device: port.name.as_str().to_owned(), kind: port.kind }
}

#[cfg(test)]
mod tests {
    use contract::PortKind::{self, Access, Backbone, Handoff};

    use super::*;

    fn ports(ports: &[(&str, PortKind)]) -> Vec<Port> {
        ports.iter().map(|(name, kind)| Port { name: name.parse().unwrap(), kind: *kind }).collect()
    }

    fn given(numbers: &PortNumbers, all: &[(&str, PortKind)]) -> Vec<(u16, String)> {
        numbers.give(&ports(all)).into_iter().map(|(id, port)| (id.0, port.name.to_string())).collect()
    }

    fn held(all: &[(u16, &str, PortKind)]) -> PortNumbers {
        let config = |name: &str, kind| PortConfig { device: name.to_owned(), kind };
        PortNumbers::new(all.iter().map(|(id, name, kind)| (PortId(*id), config(name, *kind))))
    }

    #[test]
    fn at_first_a_port_s_number_is_its_place() {
        let all = [("a", Backbone), ("b", Access), ("c", Handoff)];
        let expected = [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())];
        assert_eq!(given(&PortNumbers::default(), &all), expected);
    }

    #[test]
    fn a_port_keeps_its_number_and_another_gets_one_that_nobody_had() {
        let mut numbers = held(&[(0, "a", Backbone), (1, "b", Access), (2, "c", Handoff)]);
        // Another order, one gone, one new in its place, one of another kind.
        let all = [("c", Handoff), ("new", Access), ("a", Access)];
        let expected = [(2, "c".to_owned()), (3, "new".to_owned()), (4, "a".to_owned())];
        assert_eq!(given(&numbers, &all), expected);
        numbers.retired.insert(PortId(3));
        assert_eq!(given(&numbers, &all[..2]), [(2, "c".to_owned()), (4, "new".to_owned())]);
    }

    #[test]
    fn when_all_numbers_were_had_a_free_one_is_given_again() {
        let mut numbers = held(&[(7, "a", Backbone)]);
        numbers.retired = (0..contract::counters::PORT_SLOTS as u16).map(PortId).collect();
        numbers.retired.remove(&PortId(7));
        let expected = [(0, "b".to_owned()), (7, "a".to_owned())];
        assert_eq!(given(&numbers, &[("a", Backbone), ("b", Access)]), expected);
    }
}
