//! Checks of the network as a whole: what single values cannot say.

mod addresses;
mod attachments;
mod fecs;
mod icmp_sources;
mod isps;
mod nodes;
mod pools;

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::Problem;
use crate::model::Model;
use crate::names::Name;
use crate::read::{Place, Places};

/// What is wrong or odd with the network as a whole.
pub(crate) fn whole_network(model: &Model, places: &Places) -> Vec<Problem> {
    let mut checker = Checker { model, places, problems: Vec::new() };
    checker.nodes();
    checker.isps();
    checker.handoffs();
    checker.fecs();
    checker.headends();
    checker.pools();
    checker.own_addresses();
    checker.problems
}

/// What has been found out so far.
struct Checker<'m> {
    model: &'m Model,
    places: &'m Places,
    problems: Vec<Problem>,
}

impl<'m> Checker<'m> {
    /// Reports an error at a place and, where two are in each other's way, at another. Says nothing if one of them could
    /// not be read: that has been reported.
    fn error(&mut self, message: String, help: impl Into<String>, at: &[(&Place, &str)]) {
        self.report(Problem::error(message), help, at);
    }

    /// Like [`Self::error`], for what works and is probably not meant.
    fn warning(&mut self, message: String, help: impl Into<String>, at: &[(&Place, &str)]) {
        self.report(Problem::warning(message), help, at);
    }

    fn report(&mut self, mut problem: Problem, help: impl Into<String>, at: &[(&Place, &str)]) {
        if at.iter().any(|(place, _)| self.places.is_poisoned(place)) {
            return;
        }
        for (place, label) in at {
            problem = problem.at(self.places.span(place), *label);
        }
        self.problems.push(problem.help(help));
    }

    /// Reports each value that an earlier one has too.
    fn unique<K: Ord + Display>(&mut self, what: &str, help: &str, values: Vec<(K, Place)>) {
        let mut seen = BTreeMap::new();
        for (value, place) in values {
            if self.places.is_poisoned(&place) {
                continue;
            }
            match seen.get(&value) {
                None => drop(seen.insert(value, place)),
                Some(first) => {
                    let message = format!("{what} {value} is there twice");
                    self.error(message, help, &[(&place, "here again"), (first, "first here")]);
                }
            }
        }
    }

    /// The node that is named at this place; reports that there is none.
    fn node_named(&mut self, name: &Name, place: &Place) -> Option<usize> {
        let found = self.model.nodes.iter().position(|node| node.name == *name);
        let unsure = self.places.any_poisoned(&Place::root(), self.model.nodes.len(), "node", "name");
        if found.is_none() && !unsure {
            let mut names: Vec<_> = self.model.nodes.iter().map(|node| node.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let help = match names.as_slice() {
                [] => "add a `[[node]]`".to_owned(),
                names => format!("the nodes are {}", names.join(", ")),
            };
            self.error(format!("there is no node `{name}`"), help, &[(place, "no node has this name")]);
        }
        found.filter(|_| !self.places.is_poisoned(place))
    }
}
