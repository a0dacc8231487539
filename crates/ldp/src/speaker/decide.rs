//! What is done with a FEC: its label, its equal-cost next hops, and the way that it keeps until another is complete.
//!
//! Everything that a decision depends on marks the FEC as touched; a decision looks at the whole of it anew. So there is
//! one rule and no order of events to get wrong: a FEC has a label if packets can go on from here (or end here; or, under
//! independent control, if it is routed), and peers have the label if the FEC has one ([`super::advertise`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contract::{Fec, Label, Tick};
use wire::ldp::{AddressFamily, LdpId};

use super::Speaker;
use crate::distribution::{Attributes, Control, Way};
use crate::{Event, FecState, InterfaceId, LabeledNextHop, NextHop, Owner, Role, Via};

/// How long after a change of its route a FEC may be on the way that it had before, while the new one has no label or no
/// Ethernet address. A route may change to a link that has just come up (RFC 5443): its neighbor is heard within the Hello
/// interval of 5 s, and tells its labels at once; three intervals are what discovery allows for lost Hellos, too. A new
/// way that is not complete by then is no way, and upstream is to know.
pub(super) const KEEP: Duration = Duration::from_secs(15);

/// A FEC that is routed, ends here, or had a label before a restart.
#[derive(Debug, Default)]
pub(super) struct FecEntry {
    egress: bool,
    route: Vec<NextHop>,
    /// What packets took when the route last changed, and until when they may take it again.
    before: (Vec<NextHop>, Tick),
    pub(super) label: Option<Label>,
    /// Whether the forwarder holds the label's entry: else no peer is told of the label that does not know it.
    pub(super) installed: bool,
    /// Peers that are not told the label: packets go on through them only until a better way is complete, and were they to
    /// send theirs here, those would go round in a circle.
    withheld: BTreeSet<LdpId>,
    /// The label that it had before a restart and has not got again yet.
    pub(super) preserved: Option<Label>,
    /// What its next hops said with their labels, as far as it is passed on, and how often that changed.
    received: (Attributes, u32),
    /// What control was told last; `None`: nothing, or that there is nothing.
    told: Option<FecState>,
}

impl FecEntry {
    pub(super) fn preserved(label: Label) -> Self {
        Self { preserved: Some(label), ..Self::default() }
    }

    pub(super) const fn is_labeled(&self) -> bool {
        self.label.is_some()
    }

    pub(super) const fn is_egress(&self) -> bool {
        self.egress
    }

    pub(super) fn route(&self) -> &[NextHop] {
        &self.route
    }

    /// Whether packets of the FEC go to this peer with this label.
    pub(super) fn uses(&self, peer: LdpId, label: Label) -> bool {
        let told = self.told.iter().flat_map(|told| &told.next_hops);
        told.into_iter().any(|next_hop| next_hop.peer == peer && next_hop.label == label)
    }

    /// How it goes on.
    pub(super) fn way(&self) -> Way {
        let goes_on = self.told.as_ref().is_some_and(|told| !told.next_hops.is_empty());
        match (self.egress, goes_on) {
            (true, _) => Way::Ends,
            (false, true) => Way::GoesOn,
            (false, false) => Way::Open,
        }
    }

    pub(super) const fn received(&self) -> &(Attributes, u32) {
        &self.received
    }

    pub(super) fn is_withheld_from(&self, id: LdpId) -> bool {
        self.withheld.contains(&id)
    }

    /// Whose labels are in use.
    pub(super) fn peers_in_use(&self) -> BTreeSet<LdpId> {
        self.told.iter().flat_map(|told| &told.next_hops).map(|hop| hop.peer).collect()
    }

    /// The next hops in use.
    fn in_use(&self) -> Vec<NextHop> {
        let told = self.told.iter().flat_map(|told| &told.next_hops);
        told.map(|hop| NextHop { interface: hop.interface, address: hop.address }).collect()
    }

    /// The next hops by which it is found when something happens to them.
    fn hops(&self) -> Vec<NextHop> {
        let mut hops = self.route.clone();
        hops.extend(self.before.0.iter().filter(|hop| !self.route.contains(hop)));
        hops
    }

    fn is_idle(&self) -> bool {
        !self.egress && self.route.is_empty() && self.label.is_none() && self.preserved.is_none()
    }
}

impl Speaker {
    pub(super) fn route(&mut self, now: Tick, fec: Fec, next_hops: &[NextHop]) {
        let mut route = next_hops.to_vec();
        route.sort_unstable();
        route.dedup();
        let is_kept = self.kept.contains(fec);
        let entry = self.fecs.entry(fec).or_default();
        let hops = entry.hops();
        let in_use = entry.in_use();
        // One that is kept already is kept no longer for that.
        if entry.route != route && !in_use.is_empty() && !is_kept {
            entry.before = (in_use, now + KEEP);
        }
        entry.route = route;
        self.reindex(fec, &hops);
        self.touched.insert(fec);
    }

    /// A FEC's next hops, which were these, are others now.
    fn reindex(&mut self, fec: Fec, before: &[NextHop]) {
        let after = self.fecs.get(&fec).map(FecEntry::hops).unwrap_or_default();
        before.iter().filter(|hop| !after.contains(hop)).for_each(|&hop| self.by_hop.remove(hop, fec));
        after.iter().filter(|hop| !before.contains(hop)).for_each(|&hop| self.by_hop.insert(hop, fec));
    }

    pub(super) fn egress(&mut self, fec: Fec, live: bool) {
        self.fecs.entry(fec).or_default().egress = live;
        self.touched.insert(fec);
    }

    /// FECs that go out by this interface are to be decided again.
    pub(super) fn touch_interface(&mut self, interface: InterfaceId) {
        self.links.changed();
        self.by_hop.touch(|hop| hop.interface == interface);
    }

    /// FECs that are routed to this peer are to be decided again: call it while its addresses are known.
    pub(super) fn touch_peer(&mut self, id: LdpId) {
        self.links.changed();
        let stations = &self.stations;
        self.by_hop.touch(|hop| stations.is(hop, id));
    }

    pub(super) fn kept_timeouts(&mut self, now: Tick) {
        self.touched.extend(self.kept.due(now).take(self.config.limits.decisions.max(1)));
    }

    pub(super) fn decide_touched(&mut self, now: Tick) {
        for fec in std::mem::take(&mut self.touched) {
            self.decide(now, fec);
        }
    }

    fn decide(&mut self, now: Tick, fec: Fec) {
        let Some(entry) = self.fecs.get(&fec) else { return };
        let egress = entry.egress;
        let route = if egress { Vec::new() } else { entry.route.clone() };
        let (next_hops, attributes) = match self.labeled_next_hops(now, fec, &route) {
            (none, _) if none.is_empty() && !route.is_empty() => self.keep(now, fec),
            complete => {
                self.kept.remove(fec);
                self.withhold(fec, BTreeSet::new());
                complete
            }
        };
        let independent = self.config.distribution.control == Control::Independent
            && !self.config.owners.contains_key(&fec)
            && !route.is_empty();
        self.assign_label(now, fec, egress || !next_hops.is_empty() || independent, attributes);
        let Some(entry) = self.fecs.get_mut(&fec) else { return };
        let role = if egress { Role::Egress } else { Role::Transit };
        let state = FecState { fec, in_label: entry.label, role, next_hops };
        let something = (state.in_label.is_some() || !state.next_hops.is_empty()).then(|| state.clone());
        let changed = entry.told != something;
        entry.told = something;
        if entry.is_idle() {
            let hops = entry.hops();
            self.fecs.remove(&fec);
            self.reindex(fec, &hops);
        }
        if changed {
            self.events.push_back(Event::Fec(state));
        }
        self.demand(fec);
    }

    /// Make before break: a route without a complete next hop leaves the FEC on those that it had before, for as long as
    /// they are good in themselves and at most for [`KEEP`]. Their LSRs may have changed their own routes to lead here by
    /// now, so they get no label of ours, and stay on the way that they had in the same manner. Circles are possible
    /// until that is said, and longer ones while routes change, as without LDP; TTL and [`KEEP`] end them.
    fn keep(&mut self, now: Tick, fec: Fec) -> (Vec<LabeledNextHop>, Attributes) {
        let before = self.fecs.get(&fec).map(|entry| entry.before.clone());
        let (before, until) = before.filter(|(_, until)| *until > now).unwrap_or_default();
        let (next_hops, attributes) = self.labeled_next_hops(now, fec, &before);
        if next_hops.is_empty() {
            self.kept.remove(fec);
        } else {
            self.kept.insert(fec, until);
        }
        self.withhold(fec, next_hops.iter().map(|next_hop| next_hop.peer).collect());
        (next_hops, attributes)
    }

    /// From now on these peers, and no others, are not told the FEC's label.
    fn withhold(&mut self, fec: Fec, from: BTreeSet<LdpId>) {
        let Some(entry) = self.fecs.get_mut(&fec) else { return };
        let before = std::mem::replace(&mut entry.withheld, from);
        for id in before.symmetric_difference(&entry.withheld) {
            if let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.is_operational()) {
                peer.dirty.insert(fec);
            }
        }
        let new: BTreeSet<LdpId> = entry.withheld.difference(&before).copied().collect();
        if let Some(label) = entry.label.filter(|_| !new.is_empty()) {
            self.unsay(fec, label, |id| new.contains(&id));
        }
    }

    /// The labels that a peer is not told, with their FECs.
    pub(super) fn withheld_from(&self, id: LdpId) -> Vec<(Fec, Label)> {
        // Only those that are kept have any.
        let kept = self.kept.iter().filter_map(|fec| Some((fec, self.fecs.get(&fec)?)));
        let withheld = kept.filter(|(_, entry)| entry.withheld.contains(&id));
        withheld.filter_map(|(fec, entry)| Some((fec, entry.label?))).collect()
    }

    /// The FEC's next hops that frames can be sent to and whose LSRs bound real labels to it, and what they said with them.
    /// A label whose LSP is a loop is given back (Use If Loop Not Detected; for a label that was kept when its peer was no
    /// next hop: FEC.5 and NH.12 lead to LMp.3).
    ///
    /// RFC 5036 §2.7: a next hop is whose peer told its address. The peer must also be heard on the interface itself: a
    /// session says nothing about a parallel link, nor one over targeted Hellos about any. While what a peer told is kept over its restart, that is not asked.
    fn labeled_next_hops(
        &mut self,
        now: Tick,
        fec: Fec,
        route: &[NextHop],
    ) -> (Vec<LabeledNextHop>, Attributes) {
        let (mut labeled, mut ways, mut loops) = (Vec::new(), Vec::new(), Vec::new());
        let detection = self.config.distribution.loop_detection;
        let neighbors = &self.config.neighbors;
        for &NextHop { interface, address } in route {
            let can_send = self.resolved.contains(&NextHop { interface, address });
            if !can_send || self.discovery.interface(interface).is_none() {
                continue;
            }
            let family = AddressFamily::of_address(address);
            for id in self.stations.at(NextHop { interface, address }) {
                let Some(peer) = self.peers.get_mut(&id) else { continue };
                let reached = peer.is_trusted()
                    && (peer.stale.is_some() || self.discovery.is_heard_in(id, Via::Link(interface), family));
                let accepted = neighbors.policy(id.lsr_id).is_some_and(|policy| policy.accept.has(fec));
                let Some(&binding) = peer.received.of(fec).filter(|_| reached && accepted) else { continue };
                let label = binding.label;
                let attributes = peer.received.attributes(fec);
                if attributes.show_loop(self.local.lsr_id, detection) {
                    loops.push((id, label));
                    continue;
                }
                let owner = self.config.owners.get(&fec);
                let other = binding.owner.filter(|other| owner.is_some_and(|owner| owner != other));
                if label.is_real() && other.is_none() {
                    labeled.push(LabeledNextHop { interface, address, peer: id, label });
                    ways.push(attributes);
                    break;
                }
                if !binding.alarmed {
                    peer.received.set_alarmed(fec, true);
                    self.events.push_back(match other {
                        Some(owner) => Event::OtherOwner { peer: id, fec, owner },
                        None => Event::NullLabel { peer: id, fec, label },
                    });
                }
            }
        }
        labeled.sort_unstable();
        for (id, label) in loops {
            self.break_loop(now, id, fec, label);
        }
        (labeled, Attributes::joined(&ways))
    }

    /// Gives the FEC a label if it is to have one, takes it if not, and has the peers told.
    fn assign_label(&mut self, now: Tick, fec: Fec, usable: bool, attributes: Attributes) {
        let Some(entry) = self.fecs.get_mut(&fec) else { return };
        let before = (entry.label, entry.received.1);
        let mut tells = false;
        if usable && entry.label.is_none() {
            let preserved = entry.preserved.take();
            entry.label = preserved.or_else(|| self.labels.allocate(fec));
            entry.installed = false;
            if entry.label.is_some() {
                self.awaited.insert(fec);
            } else if self.starving.insert(fec) {
                self.events.push_back(Event::NoFreeLabel { fec });
                // Who asks for it is to know.
                tells = true;
            }
            if preserved.is_some() {
                self.found(fec);
            }
        }
        let Some(entry) = self.fecs.get_mut(&fec) else { return };
        if entry.label.is_some() || !usable {
            self.starving.remove(&fec);
        }
        if entry.received.0 != attributes {
            entry.received = (attributes, entry.received.1.wrapping_add(1));
        }
        let retired = if usable { None } else { entry.label.take() };
        if tells || before != (entry.label, entry.received.1) {
            self.tell_all(fec);
        }
        if let Some(label) = retired {
            self.retire(now, fec, label);
        }
    }

    /// FECs are these owners' from now on. A FEC that becomes another's gets another label: packets under way by the one
    /// that it had are still its former owner's.
    pub(super) fn owners(&mut self, now: Tick, owners: BTreeMap<Fec, Owner>) {
        let before = std::mem::replace(&mut self.config.owners, owners);
        let owners = &self.config.owners;
        let fecs = before.keys().chain(owners.keys()).copied().collect::<BTreeSet<_>>();
        let moved: Vec<Fec> = fecs.into_iter().filter(|fec| before.get(fec) != owners.get(fec)).collect();
        for fec in moved {
            let hops = self.fecs.get(&fec).map(FecEntry::hops).unwrap_or_default();
            let retired = self.fecs.get_mut(&fec).and_then(|entry| {
                entry.before = Default::default();
                entry.preserved.take().or(entry.label.take())
            });
            self.reindex(fec, &hops);
            self.found(fec);
            if let Some(label) = retired {
                self.tell_all(fec);
                self.retire(now, fec, label);
            }
            for peer in self.peers.values_mut() {
                peer.received.set_alarmed(fec, false);
            }
            self.touched.insert(fec);
        }
    }
}
