//! Planted faults: what a broken node would do, put between real parts. The checker must find every one.

use std::collections::BTreeMap;

use contract::{
    Asn, Binding, BindingKey, Change, Circuit, Ftn, Ilm, IlmAction, IspPrefix, Label, ReturnRoute, Scope,
    ToForwarder,
};

use super::packet::{self, Inside};
use super::plan::{Behind, Customer, Plan, Tags, port_mac};

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// A label is given to another FEC at once.
    LabelReuse,
    /// The ISP is left out of a subscriber's key: a binding is seen under another ISP as well.
    IspLeftOut,
    /// A null label is taken for a label.
    NullLabel,
    /// A labelled frame is taken from an access port.
    LabelFromAccess,
    /// The headend goes on with what was withdrawn.
    StaleFtn,
    /// A label leads to another ISP's handoff.
    WrongHandoff,
    /// What an earlier network file said stays.
    NotRemoved,
    /// A label that stands for FECs of two ISPs is used.
    SharedLabel,
    /// An ISP's packets to its subscribers take the way of another's.
    ReturnRoute,
    /// A subscriber's source is not held against its line.
    SourceUnchecked,
    /// The end of a replay sweeps nothing.
    NoSweep,
}

/// A planted fault.
pub(super) struct Fault {
    pub(super) broken: Broken,
    /// How often it did something.
    pub(super) acted: u64,
    /// What passed here before: each node's handoffs, return routes and FTNs.
    doors: BTreeMap<(usize, Circuit), Asn>,
    returns: BTreeMap<(usize, IspPrefix), ReturnRoute>,
    to_isp: BTreeMap<(usize, Asn), Ftn>,
    labels: BTreeMap<(usize, Label), Ilm>,
}

impl Fault {
    /// This fault, in all nodes.
    pub(super) fn new(broken: Broken) -> Self {
        let (doors, returns, to_isp) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { broken, acted: 0, doors, returns, to_isp, labels: BTreeMap::new() }
    }

    /// What control says to the forwarder passes here.
    pub(super) fn on_the_way(&mut self, plan: &Plan, node: usize, messages: &mut Vec<ToForwarder>) {
        for message in std::mem::take(messages) {
            match message {
                ToForwarder::EndOfReplay(end) if self.keeps(end.scope) => self.acted += 1,
                ToForwarder::Change { generation, change } => {
                    for change in self.change(plan, node, change) {
                        messages.push(ToForwarder::Change { generation, change });
                    }
                }
                other => messages.push(other),
            }
        }
    }

    fn keeps(&self, scope: Scope) -> bool {
        match self.broken {
            Broken::NoSweep => true,
            Broken::NotRemoved => scope == Scope::Learned,
            _ => false,
        }
    }

    /// What becomes of a change.
    fn change(&mut self, plan: &Plan, node: usize, change: Change) -> Vec<Change> {
        let before = change.clone();
        let mut changes = vec![change];
        match (self.broken, &mut changes[0]) {
            (Broken::IspLeftOut, Change::Binding(key, binding)) => {
                let (key, binding) = (*key, binding.map(|binding| Binding { leaving: true, ..binding }));
                let others = plan.isps.iter().map(|isp| Asn(isp.asn)).filter(|isp| *isp != key.prefix.isp);
                let others: Vec<_> = others
                    .map(|isp| BindingKey { prefix: IspPrefix { isp, ..key.prefix }, ..key })
                    .map(|key| Change::Binding(key, binding))
                    .collect();
                self.acted += others.len() as u64;
                changes.extend(others);
                return changes;
            }
            (Broken::StaleFtn, Change::Ftn(isp, Some(ftn))) => {
                let known =
                    !ftn.choices.is_empty() && self.to_isp.insert((node, *isp), ftn.clone()).is_none();
                if !known && self.to_isp.contains_key(&(node, *isp)) {
                    changes.clear();
                }
            }
            (Broken::WrongHandoff, Change::Handoff(circuit, Some(handoff))) => {
                self.doors.insert((node, *circuit), handoff.isp);
            }
            (Broken::WrongHandoff, Change::Ilm(_, Some(ilm))) => {
                if let IlmAction::PopToHandoff { isp, handoff } = &mut ilm.action
                    && let Some((&(_, circuit), &other)) =
                        self.doors.iter().find(|((at, _), other)| *at == node && *other != isp)
                {
                    (*isp, *handoff) = (other, circuit);
                }
            }
            (Broken::LabelReuse, Change::Ilm(label, Some(ilm))) => {
                // What a transit node withdraws leads nowhere until it may be given out again.
                if !matches!(&ilm.action, IlmAction::Swap { nhlfes, .. } if nhlfes.is_empty()) {
                    self.labels.insert((node, *label), ilm.clone());
                } else if let Some(old) = self.labels.remove(&(node, *label)) {
                    let here = self.labels.iter().filter(|((at, _), _)| *at == node).map(|(_, ilm)| ilm);
                    let mut others = here.filter(|ilm| owner(&ilm.action) != owner(&old.action));
                    if let Some(other) = others.next() {
                        ilm.clone_from(other);
                    }
                }
            }
            (Broken::NotRemoved, Change::Ilm(_, None)) => changes.clear(),
            // What is another's by now is made to lead nowhere.
            (Broken::NotRemoved, Change::Ilm(_, Some(ilm))) if owner(&ilm.action).is_none() => {
                changes.clear()
            }
            (Broken::SharedLabel, Change::Ftn(isp, Some(ftn))) => {
                let mine = ftn.clone();
                let other = self.to_isp.iter().find(|((at, other), _)| *at == node && other != isp);
                if let (Some((_, other)), Some(choice)) = (other, ftn.choices.first_mut()) {
                    choice.nhlfes.clone_from(&other.choices[0].nhlfes);
                }
                if !mine.choices.is_empty() {
                    self.to_isp.insert((node, *isp), mine);
                }
            }
            (Broken::ReturnRoute, Change::ReturnRoute(prefix, Some(route))) => {
                let mine = route.clone();
                let same = |(at, other): &(usize, IspPrefix)| {
                    *at == node && other.prefix == prefix.prefix && other.isp != prefix.isp
                };
                if let Some((_, other)) = self.returns.iter().find(|(key, _)| same(key)) {
                    route.nhlfes.clone_from(&other.nhlfes);
                }
                self.returns.insert((node, *prefix), mine);
            }
            _ => {}
        }
        self.acted += u64::from(changes.first() != Some(&before));
        changes
    }

    /// A frame on a cable passes here.
    pub(super) fn on_backbone(&mut self, octets: &mut Vec<u8>) {
        let label = packet::parse(octets).and_then(|parsed| parsed.labels.first().copied());
        if self.broken == Broken::NullLabel && label.is_some_and(|label| label % 4 == 0) {
            // As if the next hop had asked for it to be taken off (implicit null).
            self.acted += 1;
            octets.drain(14..18);
            octets[12..14].copy_from_slice(&[0x08, 0]);
        }
    }

    /// A frame that arrives at a node passes here.
    pub(super) fn arrives(&mut self, plan: &Plan, node: usize, port: &mut usize, octets: &mut Vec<u8>) {
        let Some(parsed) = packet::parse(octets) else { return };
        if plan.nodes[node].ports[*port].1 != Behind::Access {
            return;
        }
        let backbone = plan.nodes[node].ports.iter().position(|port| matches!(port.1, Behind::Cable(..)));
        match (self.broken, &parsed.inside, backbone) {
            (Broken::LabelFromAccess, _, Some(backbone)) if !parsed.labels.is_empty() => {
                self.acted += 1;
                *port = backbone;
                let tags = match parsed.tags {
                    Tags::Untagged => 0,
                    Tags::Vlan(_) => 4,
                    Tags::Double(..) => 8,
                };
                octets.drain(12..12 + tags);
                octets[..6].copy_from_slice(&port_mac(node, backbone));
            }
            (Broken::SourceUnchecked, Inside::Ip { source, destination, followed: Some(number), .. }, _) => {
                let here = |customer: &&Customer| {
                    customer.line.node == node && customer.addresses().contains(source)
                };
                let Some(customer) = plan.customers.iter().find(here) else { return };
                if customer.line.port != *port || customer.line.tags != parsed.tags {
                    self.acted += 1;
                    *port = customer.line.port;
                    let packet = packet::packet(*source, *destination, *number);
                    let mac = port_mac(node, *port);
                    *octets = packet::frame(mac, customer.mac, customer.line.tags, &[], &packet);
                }
            }
            _ => {}
        }
    }
}

/// Whose a label's entry is.
fn owner(action: &IlmAction) -> Option<Asn> {
    match action {
        IlmAction::Swap { isp, .. } => *isp,
        IlmAction::PopToHandoff { isp, .. } | IlmAction::PopToSubscribers { isp } => Some(*isp),
    }
}
