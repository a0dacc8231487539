//! What the forwarder held when this control process began, and what of it may stay until it is known anew.
//!
//! The network file may be another one by now. Recovery keeps packets on the ways that they went, so a way that led to
//! one ISP and is another's now would bring one ISP's packets to the other for as long as recovery takes; and port
//! numbers are places in the file, so that the same number may be another device. What does not agree with the file is
//! therefore taken away before anything else is said. Its labels are given to nobody for a while; the forwarder has entries
//! for them that lead nowhere, so that they are still known if control is killed again.

use std::collections::BTreeSet;

use contract::{Change, Fec, Ftn, FtnChoice, Ilm, IlmAction, Label, Nhlfe, PortId, ReturnRoute};
use network::NodeView;

use super::ledger::Key;
use super::lsp;

/// What was inherited, sorted.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    /// What may stay until it is known anew.
    pub(crate) kept: Vec<Change>,
    /// What the forwarder is to be told before all else: what must not be as it is.
    pub(crate) corrections: Vec<Change>,
    /// FECs that get their labels again.
    pub(crate) labels: Vec<(Fec, Label)>,
    /// Labels that stood for something else: packets under way still have them.
    pub(crate) dead_labels: Vec<(Fec, Label)>,
}

impl Inheritance {
    /// Compares what the forwarder held with what the network file says now.
    pub(crate) fn new(held: Vec<Change>, view: &NodeView) -> Self {
        let moved = moved_ports(&held, view);
        let mut sorted = Self::default();
        for change in held {
            if let Change::Ilm(label, Some(ilm)) = &change {
                let labels =
                    if is_same_fec(ilm, view) { &mut sorted.labels } else { &mut sorted.dead_labels };
                labels.push((ilm.fec, *label));
            }
            let stays = what_stays(&change, view, &moved);
            if stays.as_ref() != Some(&change) {
                sorted.corrections.extend(stays.clone().or_else(|| Key::of(&change).removal()));
            }
            sorted.kept.extend(stays);
        }
        sorted
    }
}

/// Ports whose numbers stood for other devices or kinds.
fn moved_ports(held: &[Change], view: &NodeView) -> BTreeSet<PortId> {
    let moved = held.iter().filter_map(|change| match change {
        Change::Port(id, Some(config)) => {
            let now = view.ports.get(id);
            let same = now.is_some_and(|now| now.name.as_str() == config.device && now.kind == config.kind);
            (!same).then_some(*id)
        }
        _ => None,
    });
    moved.collect()
}

/// What may stay of a change; `None`: nothing.
fn what_stays(change: &Change, view: &NodeView, moved: &BTreeSet<PortId>) -> Option<Change> {
    let ways = |nhlfes: &[Nhlfe]| -> Vec<Nhlfe> {
        nhlfes.iter().filter(|nhlfe| !moved.contains(&nhlfe.port)).copied().collect()
    };
    match change {
        // Configuration is told anew, and the rest of it removed, at once.
        Change::Settings(_) | Change::Isp(..) | Change::Port(..) => Some(change.clone()),
        Change::Binding(key, _) => (!moved.contains(&key.circuit.port)).then(|| change.clone()),
        Change::Handoff(circuit, handoff) => {
            let isp = handoff.as_ref()?.isp;
            let same = view.handoffs.iter().any(|now| now.circuit == *circuit && now.isp == isp);
            (same && !moved.contains(&circuit.port)).then(|| change.clone())
        }
        Change::ReturnRoute(prefix, route) => {
            let ReturnRoute { fec, nhlfes } = route.as_ref()?;
            let same = view.return_routes.iter().any(|now| now.prefix == *prefix && now.fec == *fec);
            let route = ReturnRoute { fec: *fec, nhlfes: ways(nhlfes) };
            same.then_some(Change::ReturnRoute(*prefix, Some(route)))
        }
        Change::Ftn(isp, ftn) => {
            let headend = view.headends.iter().find(|headend| headend.isp == *isp)?;
            let choices = ftn.as_ref()?.choices.iter();
            let choices = choices.filter(|choice| headend.fecs.iter().any(|now| now.fec == choice.fec));
            let choices = choices.map(|choice| FtnChoice { fec: choice.fec, nhlfes: ways(&choice.nhlfes) });
            let choices = choices.filter(|choice| !choice.nhlfes.is_empty()).collect();
            Some(Change::Ftn(*isp, Some(Ftn { choices })))
        }
        Change::Ilm(label, ilm) => {
            let ilm = ilm.as_ref()?;
            let nothing = lsp::leads_nowhere(*label, ilm.fec);
            if !is_same_fec(ilm, view) {
                return Some(nothing);
            }
            let action = match &ilm.action {
                IlmAction::Swap { nhlfes, .. } => {
                    let isp = view.fec_owner(&ilm.fec).map(|owner| owner.isp);
                    IlmAction::Swap { isp, nhlfes: ways(nhlfes) }
                }
                IlmAction::PopToHandoff { handoff, .. } => {
                    let mut ways = view.handoffs.iter().filter(|now| now.fec == ilm.fec);
                    if moved.contains(&handoff.port) || !ways.any(|now| now.circuit == *handoff) {
                        return Some(nothing);
                    }
                    ilm.action.clone()
                }
                IlmAction::PopToSubscribers { .. } => ilm.action.clone(),
            };
            Some(Change::Ilm(*label, Some(Ilm { fec: ilm.fec, action })))
        }
    }
}

/// Whether the entry's FEC leads where it led: to this ISP's handoff, to this ISP's subscribers, or through.
fn is_same_fec(ilm: &Ilm, view: &NodeView) -> bool {
    match ilm.action {
        IlmAction::PopToHandoff { isp, .. } => {
            view.handoffs.iter().any(|now| now.fec == ilm.fec && now.isp == isp)
        }
        IlmAction::PopToSubscribers { isp } => {
            view.headends.iter().any(|now| now.return_fec == ilm.fec && now.isp == isp)
        }
        // Upstream the label stands for the ISP whose FEC it was when it was given out.
        IlmAction::Swap { isp, .. } => {
            let owner = view.fec_owner(&ilm.fec);
            owner.is_some_and(|owner| Some(owner.isp) == isp) && !view.own_fecs().contains(&ilm.fec)
        }
    }
}

#[cfg(test)]
#[path = "inherited/tests.rs"]
mod tests;
