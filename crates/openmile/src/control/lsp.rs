//! From what is known of each FEC to what the forwarder should hold of it, and what an operator is shown.
//!
//! Pure: [`Known`] in, [`Lsps`] out; nothing is remembered in between.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::{FecOperation, FecState};
use contract::{
    Asn, Change, Circuit, Fec, Ftn, FtnChoice, Handoff, Ilm, IlmAction, IspPrefix, Label, LabelStack,
    MacAddr, Nhlfe, PortId, ReturnRoute, Tick,
};
use ldp::{LabeledNextHop, LdpId, Role};
use network::{HandoffView, HeadendView, NodeView, ReturnRouteView};

use super::kernel::Interface;
use super::ledger::Key;
use super::retired::Retired;
use crate::netlink::LinkIndex;
use crate::netlink::route::{HostRoute, NextHop};

/// What the kernel said.
#[derive(Debug, Default)]
pub(crate) struct KernelView {
    /// Backbone ports that are up.
    pub(crate) interfaces: BTreeMap<PortId, Interface>,
    /// Routes to FECs' addresses.
    pub(crate) routes: BTreeMap<IpAddr, HostRoute>,
    /// Ethernet addresses of their next hops.
    pub(crate) macs: BTreeMap<NextHop, MacAddr>,
}

impl KernelView {
    /// The backbone port of a device.
    pub(crate) fn port(&self, link: LinkIndex) -> Option<PortId> {
        self.interfaces.iter().find(|(_, interface)| interface.link == link).map(|(port, _)| *port)
    }
}

/// What FECs are at a node, for as long as its view is what it is: places in the view's lists.
#[derive(Debug, Default)]
pub(crate) struct Places {
    handoffs: BTreeMap<Fec, Vec<usize>>,
    /// By their return FECs.
    headends: BTreeMap<Fec, usize>,
    /// What the forwarder holds for packets that enter the LSP here.
    entrances: BTreeMap<Fec, Key>,
    /// The headends whose ISPs' packets may enter the LSP.
    pushes: BTreeMap<Fec, BTreeSet<usize>>,
    /// The return routes that lead into the LSP.
    return_routes: BTreeMap<Fec, Vec<usize>>,
    /// The headends of ISPs.
    isps: BTreeMap<Asn, usize>,
    /// FECs by what the forwarder holds for packets that enter their LSPs.
    prefixes: BTreeMap<IspPrefix, Fec>,
}

impl Places {
    /// Those of this view.
    pub(crate) fn of(view: &NodeView) -> Self {
        let mut places = Self::default();
        for (n, handoff) in view.handoffs.iter().enumerate() {
            places.handoffs.entry(handoff.fec).or_default().push(n);
        }
        for (n, headend) in view.headends.iter().enumerate() {
            places.headends.entry(headend.return_fec).or_insert(n);
            places.isps.entry(headend.isp).or_insert(n);
            for isp_fec in &headend.fecs {
                places.entrances.entry(isp_fec.fec).or_insert(Key::Ftn(headend.isp));
                places.pushes.entry(isp_fec.fec).or_default().insert(n);
            }
        }
        for (n, route) in view.return_routes.iter().enumerate() {
            places.entrances.entry(route.fec).or_insert(Key::ReturnRoute(route.prefix));
            places.return_routes.entry(route.fec).or_default().push(n);
            places.prefixes.insert(route.prefix, route.fec);
        }
        places
    }

    /// The FECs with handoffs at this node.
    pub(crate) fn handoff_fecs(&self) -> impl Iterator<Item = Fec> {
        self.handoffs.keys().copied()
    }

    /// The FECs whose packets enter their LSPs here by this entry.
    pub(crate) fn fecs_of(&self, entrance: Key, view: &NodeView) -> Vec<Fec> {
        match entrance {
            Key::Ftn(isp) => {
                let headend = self.isps.get(&isp).and_then(|n| view.headends.get(*n));
                headend.into_iter().flat_map(|headend| headend.fecs.iter().map(|of| of.fec)).collect()
            }
            Key::ReturnRoute(prefix) => self.prefixes.get(&prefix).copied().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// All that LSPs depend on.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    /// What the network file says of this node.
    pub(crate) view: &'a NodeView,
    /// The same by FEC.
    pub(crate) places: &'a Places,
    /// What LDP decided.
    pub(crate) ldp: &'a BTreeMap<Fec, ldp::FecState>,
    /// FECs to which the next hop bound a null label.
    pub(crate) null_labels: &'a BTreeSet<Fec>,
    /// Labels that a neighbour bound to FECs of several ISPs, see [`shared_labels`].
    pub(crate) shared_labels: &'a BTreeSet<(LdpId, Label)>,
    /// Labels that were withdrawn and that neighbours may still send by, with their FECs.
    pub(crate) retired: &'a Retired,
    /// Those of them that nothing is carried by, since their FECs are another's by now.
    pub(crate) dead: &'a BTreeMap<Label, Fec>,
    /// Bindings in use that are kept from before the neighbour's restart.
    pub(crate) stale: &'a BTreeSet<(Fec, LdpId)>,
    /// What the kernel said.
    pub(crate) kernel: &'a KernelView,
    /// The handoffs whose next hops all answer.
    pub(crate) handoffs: &'a BTreeMap<Circuit, Handoff>,
    /// Those that are held down all the same.
    pub(crate) held: &'a BTreeMap<Circuit, Tick>,
    /// Those that wait for LSPs to subscribers.
    pub(crate) waiting: &'a BTreeSet<Circuit>,
}

impl<'a> Known<'a> {
    fn handoffs_of(self, fec: Fec) -> impl Iterator<Item = &'a HandoffView> + Clone {
        let places = self.places.handoffs.get(&fec).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(move |n| self.view.handoffs.get(*n))
    }

    fn headend_of(self, fec: Fec) -> Option<&'a HeadendView> {
        self.view.headends.get(*self.places.headends.get(&fec)?)
    }

    fn is_live(self, handoff: &HandoffView) -> bool {
        self.handoffs.contains_key(&handoff.circuit) && !self.held.contains_key(&handoff.circuit)
    }
}

/// What follows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Lsps {
    /// Everything learned that the forwarder should hold.
    pub(crate) changes: Vec<Change>,
    /// What an operator is shown.
    pub(crate) rows: Vec<LspRow>,
}

/// A row of the FEC table, without names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LspRow {
    /// The FEC.
    pub(crate) fec: Fec,
    /// The label that packets arrive with.
    pub(crate) in_label: Option<Label>,
    /// What is done.
    pub(crate) operation: FecOperation,
    /// Where packets go, and with which label.
    pub(crate) out: Out,
    /// [`FecState::Up`]: as far as control is concerned.
    pub(crate) state: FecState,
    /// What the forwarder must hold for it.
    pub(crate) installed_as: Option<Key>,
}

/// Where packets of a row go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Out {
    /// Nowhere.
    Nowhere,
    /// To a backbone neighbour.
    Neighbor(Label, IpAddr, Option<PortId>),
    /// Out of a handoff.
    Handoff(Circuit),
    /// To this node's subscribers of the ISP.
    Subscribers,
}

/// What follows from what is known.
pub(crate) fn lsps(known: Known) -> Lsps {
    let mut lsps = Lsps::default();
    lsps.changes.extend(handoff_entries(known));
    known.view.fecs.keys().for_each(|&fec| lsps.of_fec(fec, known));
    lsps.changes.extend(known.retired.labels().filter_map(|(label, fec)| ilm(label, fec, known)));
    lsps.changes.extend(known.dead.iter().map(|(&label, &fec)| leads_nowhere(label, fec)));
    lsps.changes.extend(known.view.headends.iter().map(|headend| ftn(headend, known)));
    lsps.changes.extend(known.view.return_routes.iter().map(|route| return_route(route, known)));
    lsps
}

/// What follows for these FECs and labels alone, where nothing else that is known is news. A label in use is news together
/// with its FEC.
pub(crate) fn lsps_of(fecs: &BTreeSet<Fec>, labels: &BTreeSet<Label>, known: Known) -> Lsps {
    let mut lsps = Lsps::default();
    lsps.changes.extend(labels.iter().map(|label| Change::Ilm(*label, None)));
    let (mut headends, mut routes) = (BTreeSet::<usize>::new(), BTreeSet::<usize>::new());
    for &fec in fecs {
        if known.view.fecs.contains_key(&fec) {
            lsps.of_fec(fec, known);
        }
        lsps.changes.extend(known.retired.labels_of(fec).filter_map(|label| ilm(label, fec, known)));
        headends.extend(known.places.pushes.get(&fec).into_iter().flatten());
        routes.extend(known.places.return_routes.get(&fec).into_iter().flatten());
    }
    for &label in labels {
        let retired = known.retired.fec_of(label).and_then(|fec| ilm(label, fec, known));
        let dead = known.dead.get(&label).map(|&fec| leads_nowhere(label, fec));
        lsps.changes.extend(dead.or(retired));
    }
    let headends = headends.into_iter().filter_map(|n| known.view.headends.get(n));
    lsps.changes.extend(headends.map(|headend| ftn(headend, known)));
    let routes = routes.into_iter().filter_map(|n| known.view.return_routes.get(n));
    lsps.changes.extend(routes.map(|route| return_route(route, known)));
    lsps
}

/// Labels that a neighbour bound to FECs of several ISPs, or both to an ISP's and to its subscribers'. The label alone
/// says whose a packet is, so by such a label one ISP's packets would come to another. All bindings count, whether or not
/// the FEC is routed there: what the neighbour does with the label is one thing. So do those of FECs that are nobody's here:
/// another node's network file may have them as an ISP's.
pub(crate) fn shared_labels(
    bindings: impl IntoIterator<Item = (LdpId, Label, Fec)>,
    view: &NodeView,
) -> BTreeSet<(LdpId, Label)> {
    let mut owners = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for (peer, label, fec) in bindings {
        let owner = view.fec_owner(&fec).map(|owner| (owner.isp, owner.kind));
        if label.is_real() && *owners.entry((peer, label)).or_insert(owner) != owner {
            shared.insert((peer, label));
        }
    }
    shared
}

/// Whether packets get on by this entry.
pub(crate) fn leads_somewhere(change: &Change) -> bool {
    match change {
        Change::Ilm(_, Some(ilm)) => {
            !matches!(&ilm.action, IlmAction::Swap { nhlfes, .. } if nhlfes.is_empty())
        }
        Change::Ftn(_, Some(ftn)) => !ftn.choices.is_empty(),
        Change::ReturnRoute(_, Some(route)) => !route.nhlfes.is_empty(),
        // Handoffs are assumed and probed at once: what is known of them is never less than what was inherited.
        _ => false,
    }
}

/// The entries for this node's handoffs.
pub(crate) fn handoff_entries(known: Known) -> impl Iterator<Item = Change> {
    known.view.handoffs.iter().map(move |handoff| handoff_entry(handoff, known))
}

/// The ISP may send before its router has answered, and goes on sending while a flapping handoff is held down: what comes
/// from it is the ISP's either way. Only what goes to it needs to know who answers.
fn handoff_entry(view: &HandoffView, known: Known) -> Change {
    let silent = Handoff { isp: view.isp, ipv4: None, ipv6: None };
    Change::Handoff(view.circuit, Some(known.handoffs.get(&view.circuit).copied().unwrap_or(silent)))
}

fn egress_label(state: Option<&ldp::FecState>) -> Option<Label> {
    state.filter(|state| state.role == Role::Egress)?.in_label
}

/// The entry for a label of ours that stands for this FEC; `None` if the FEC is nothing here. What was withdrawn stays what it
/// was for as long as neighbours may send by it: what is under way arrives where that is still possible, and what cannot
/// is dropped in its ISP's name.
fn ilm(label: Label, fec: Fec, known: Known) -> Option<Change> {
    // Of several handoffs with one FEC on one node, the preferred one of the live ones takes the packets.
    let rank = |handoff: &&HandoffView| {
        let whole = known.handoffs.contains_key(&handoff.circuit);
        (known.is_live(handoff), whole, handoff.preference, Reverse(handoff.circuit))
    };
    let handoff = known.handoffs_of(fec).max_by_key(rank);
    let headend = known.headend_of(fec);
    let action = match (headend, handoff) {
        (Some(headend), _) => IlmAction::PopToSubscribers { isp: headend.isp },
        (None, Some(handoff)) => IlmAction::PopToHandoff { isp: handoff.isp, handoff: handoff.circuit },
        (None, None) => {
            IlmAction::Swap { isp: Some(known.view.fec_owner(&fec)?.isp), nhlfes: nhlfes_of(fec, known) }
        }
    };
    Some(Change::Ilm(label, Some(Ilm { fec, action })))
}

/// The entry of a label that stood for another's FEC: nothing is carried by it, and it is to be given to nobody else yet.
pub(crate) fn leads_nowhere(label: Label, fec: Fec) -> Change {
    let action = IlmAction::Swap { isp: None, nhlfes: Vec::new() };
    Change::Ilm(label, Some(Ilm { fec, action }))
}

impl Lsps {
    /// Adds a FEC's rows, and the entry for its label.
    fn of_fec(&mut self, fec: Fec, known: Known) {
        let state = known.ldp.get(&fec);
        let (is_return, is_handoff) =
            (known.headend_of(fec).is_some(), known.handoffs_of(fec).next().is_some());
        let ends_here = is_return || is_handoff;
        let in_label = if ends_here { egress_label(state) } else { state.and_then(|state| state.in_label) };
        if let Some(label) = in_label {
            self.changes.extend(ilm(label, fec, known));
        }
        if is_return {
            self.rows.push(LspRow {
                fec,
                in_label,
                operation: FecOperation::Pop,
                out: Out::Subscribers,
                state: if in_label.is_some() { FecState::Up } else { FecState::Pending },
                installed_as: in_label.map(Key::Ilm),
            });
        } else if is_handoff {
            self.rows.extend(handoff_rows(fec, in_label, known));
        } else {
            self.passing(fec, state, known);
        }
    }

    /// A FEC of another node: swapped here, and pushed where its packets enter here.
    fn passing(&mut self, fec: Fec, state: Option<&ldp::FecState>, known: Known) {
        let in_label = state.and_then(|state| state.in_label);
        let entrance = known.places.entrances.get(&fec).copied();
        if entrance.is_some() {
            self.rows.extend(passing_rows(fec, FecOperation::Push, state, entrance, known));
        }
        if in_label.is_some() || entrance.is_none() {
            let key = in_label.map(Key::Ilm);
            self.rows.extend(passing_rows(fec, FecOperation::Swap, state, key, known));
        }
    }
}

fn handoff_rows(fec: Fec, in_label: Option<Label>, known: Known) -> impl Iterator<Item = LspRow> {
    known.handoffs_of(fec).map(move |handoff| LspRow {
        fec,
        in_label,
        operation: FecOperation::Pop,
        out: Out::Handoff(handoff.circuit),
        state: match (known.is_live(handoff), in_label) {
            (false, _) if known.held.contains_key(&handoff.circuit) => FecState::HeldDown,
            (false, _) if known.waiting.contains(&handoff.circuit) => FecState::HandoffWaits,
            (false, _) => FecState::HandoffDown,
            (true, None) => FecState::Pending,
            (true, Some(_)) => FecState::Up,
        },
        installed_as: in_label.map(Key::Ilm),
    })
}

fn passing_rows(
    fec: Fec,
    operation: FecOperation,
    state: Option<&ldp::FecState>,
    installed_as: Option<Key>,
    known: Known,
) -> Vec<LspRow> {
    let in_label = state.and_then(|s| s.in_label).filter(|_| operation == FecOperation::Swap);
    let next_hops = usable(state, known);
    let row = |out, state| LspRow { fec, in_label, operation, out, state, installed_as };
    if next_hops.is_empty() {
        return vec![row(Out::Nowhere, without_next_hops(fec, state, known))];
    }
    let rows = next_hops.iter().map(|next_hop| {
        let port = known.kernel.port(LinkIndex(next_hop.interface.0));
        let state = if nhlfe(next_hop, known.kernel).is_none() {
            FecState::Pending
        } else if known.stale.contains(&(fec, next_hop.peer)) {
            FecState::Stale
        } else {
            FecState::Up
        };
        row(Out::Neighbor(next_hop.label, next_hop.address, port), state)
    });
    rows.collect()
}

fn without_next_hops(fec: Fec, state: Option<&ldp::FecState>, known: Known) -> FecState {
    let Some(route) = known.kernel.routes.get(&fec.0.addr()) else { return FecState::NoRoute };
    let resolved = route.next_hops.iter().any(|hop| known.kernel.macs.contains_key(hop));
    if state.is_some_and(|state| !state.next_hops.is_empty()) {
        FecState::SharedLabel
    } else if known.null_labels.contains(&fec) {
        FecState::NullLabel
    } else if resolved {
        FecState::NoLabel
    } else {
        FecState::Pending
    }
}

/// The next hops whose labels name this FEC's ISP.
fn usable(state: Option<&ldp::FecState>, known: Known) -> Vec<LabeledNextHop> {
    let next_hops = state.map_or(&[][..], |state| &state.next_hops).iter();
    next_hops.filter(|hop| !known.shared_labels.contains(&(hop.peer, hop.label))).copied().collect()
}

fn nhlfes(next_hops: &[LabeledNextHop], kernel: &KernelView) -> Vec<Nhlfe> {
    next_hops.iter().filter_map(|next_hop| nhlfe(next_hop, kernel)).collect()
}

/// `None` until the next hop's Ethernet address is known.
fn nhlfe(next_hop: &LabeledNextHop, kernel: &KernelView) -> Option<Nhlfe> {
    let link = LinkIndex(next_hop.interface.0);
    Some(Nhlfe {
        // What is no real label does not come this far; if it did, it would carry no packet.
        push: LabelStack::new(&[next_hop.label]).ok()?,
        port: kernel.port(link)?,
        next_hop: next_hop.address,
        mac: *kernel.macs.get(&NextHop { address: next_hop.address, link })?,
    })
}

fn nhlfes_of(fec: Fec, known: Known) -> Vec<Nhlfe> {
    nhlfes(&usable(known.ldp.get(&fec), known), known.kernel)
}

/// An ISP's live FECs of the best preference, and among those the ones with the lowest route metric.
fn ftn(headend: &HeadendView, known: Known) -> Change {
    let live: Vec<_> = headend
        .fecs
        .iter()
        .map(|isp_fec| (isp_fec, nhlfes_of(isp_fec.fec, known)))
        .filter(|(_, nhlfes)| !nhlfes.is_empty())
        .map(|(isp_fec, nhlfes)| {
            let rank = (Reverse(isp_fec.preference), metric(isp_fec.fec, known));
            (rank, FtnChoice { fec: isp_fec.fec, nhlfes })
        })
        .collect();
    let best = live.iter().map(|(rank, _)| *rank).min();
    let mut choices: Vec<_> =
        live.into_iter().filter(|(rank, _)| Some(*rank) == best).map(|(_, choice)| choice).collect();
    choices.sort_by_key(|choice| choice.fec);
    Change::Ftn(headend.isp, Some(Ftn { choices }))
}

fn metric(fec: Fec, known: Known) -> u32 {
    known.kernel.routes.get(&fec.0.addr()).map_or(u32::MAX, |route| route.metric)
}

fn return_route(route: &ReturnRouteView, known: Known) -> Change {
    let nhlfes = nhlfes_of(route.fec, known);
    Change::ReturnRoute(route.prefix, Some(ReturnRoute { fec: route.fec, nhlfes }))
}

#[cfg(test)]
#[path = "lsp/tests.rs"]
mod tests;
