//! Checks of the network as a whole.

use crate::Problem;
use crate::model::Model;
use crate::read::{Place, Places};

/// What is wrong or odd with the network as a whole.
pub(crate) fn whole_network(model: &Model, places: &Places) -> Vec<Problem> {
    let checker = Checker { model, places, problems: Vec::new() };
    checker.problems
}

/// What has been found out so far.
#[allow(dead_code)]
struct Checker<'m> {
    model: &'m Model,
    places: &'m Places,
    problems: Vec<Problem>,
}
#[allow(dead_code)]
fn unused(_: Place) {}
