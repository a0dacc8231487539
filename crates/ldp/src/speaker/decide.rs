//! What is done with a FEC, and what peers are told of it: ordered control, liberal retention, equal-cost next hops.
//!
//! Everything that a decision depends on marks the FEC as touched; a decision looks at the whole of it anew. So there is
//! one rule and no order of events to get wrong: a FEC has a label if packets can go on from here (or end here), and
//! peers have the label if the FEC has one.

use contract::{Fec, Label, Tick};
use wire::ldp::{Body, FecTlv, LabelMapping, LabelWithdraw, LdpId, MessageId};

use super::Speaker;
use crate::peer::{Peer, Told};
use crate::{Event, FecState, LabeledNextHop, NextHop, Role};

/// Label Mappings are held back while so many octets wait for a peer: what it is told is then as new as can be, and what
/// it does not take costs no memory.
const WINDOW: usize = 64 * 1024;

/// A FEC that is routed, ends here, or had a label before a restart.
#[derive(Debug, Default)]
pub(super) struct FecEntry {
    egress: bool,
    route: Vec<NextHop>,
    label: Option<Label>,
    /// The label that it had before a restart and has not got again yet.
    pub(super) preserved: Option<Label>,
    hop_count: Option<u8>,
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

    fn is_idle(&self) -> bool {
        !self.egress && self.route.is_empty() && self.label.is_none() && self.preserved.is_none()
    }
}

/// Whether the FEC is a host address: only those are switched.
pub(super) fn is_host(fec: Fec) -> bool {
    fec.0.prefix_len() == fec.0.max_prefix_len()
}

impl Speaker {
    pub(super) fn route(&mut self, fec: Fec, next_hops: &[NextHop]) {
        let mut route = next_hops.to_vec();
        route.sort_unstable();
        route.dedup();
        self.fecs.entry(fec).or_default().route = route;
        self.touched.insert(fec);
    }

    pub(super) fn egress(&mut self, fec: Fec, live: bool) {
        self.fecs.entry(fec).or_default().egress = live;
        self.touched.insert(fec);
    }

    pub(super) fn touch_all(&mut self) {
        self.touched.extend(self.fecs.keys());
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
        let (next_hops, hop_count) = self.labeled_next_hops(fec, &route);
        self.assign_label(now, fec, egress || !next_hops.is_empty(), hop_count);
        let Some(entry) = self.fecs.get_mut(&fec) else { return };
        let role = if egress { Role::Egress } else { Role::Transit };
        let state = FecState { fec, in_label: entry.label, role, next_hops };
        let something = (state.in_label.is_some() || !state.next_hops.is_empty()).then(|| state.clone());
        let changed = entry.told != something;
        entry.told = something;
        if entry.is_idle() {
            self.fecs.remove(&fec);
        }
        if changed {
            self.events.push_back(Event::Fec(state));
        }
    }

    /// The FEC's next hops whose LSRs bound real labels to it, and the hop count to pass on
    /// (RFC 5036 A.2.8, PMpA.1 to 8; 0: not known).
    ///
    /// RFC 5036 §2.7: a next hop is whose peer told its address. The peer must also be heard on the interface itself: a
    /// session says nothing about a parallel link. While what a peer told is kept over its restart, that is not asked.
    fn labeled_next_hops(&mut self, fec: Fec, route: &[NextHop]) -> (Vec<LabeledNextHop>, Option<u8>) {
        let mut labeled = Vec::new();
        let mut hop_counts = Vec::new();
        for &NextHop { interface, address } in route {
            if self.discovery.interface(interface).is_none() {
                continue;
            }
            for (&id, peer) in &mut self.peers {
                let reached = peer.addresses.contains_key(&address)
                    && peer.is_trusted()
                    && (peer.stale.is_some() || self.discovery.is_heard_on(id, interface));
                let Some(binding) = peer.received.get_mut(&fec).filter(|_| reached) else { continue };
                let label = binding.label;
                if label.is_real() {
                    labeled.push(LabeledNextHop { interface, address, peer: id, label });
                    hop_counts.push(binding.hop_count);
                    break;
                }
                if !binding.alarmed {
                    binding.alarmed = true;
                    self.events.push_back(Event::NullLabel { peer: id, fec, label });
                }
            }
        }
        labeled.sort_unstable();
        let told = hop_counts.iter().any(Option::is_some);
        let longest = hop_counts.iter().map(|count| count.filter(|&count| count > 0)).min().flatten();
        let most = hop_counts.iter().flatten().max().copied().unwrap_or(0);
        (labeled, told.then(|| longest.map_or(0, |_| most.saturating_add(1))))
    }

    /// Gives the FEC a label if it is to have one, takes it if not, and has the peers told.
    fn assign_label(&mut self, now: Tick, fec: Fec, usable: bool, hop_count: Option<u8>) {
        let Some(entry) = self.fecs.get_mut(&fec) else { return };
        let before = (entry.label, entry.hop_count);
        if usable && entry.label.is_none() {
            entry.label = entry.preserved.take().or_else(|| self.labels.allocate(fec));
            if entry.label.is_none() && self.starving.insert(fec) {
                self.events.push_back(Event::NoFreeLabel { fec });
            }
        }
        if entry.label.is_some() || !usable {
            self.starving.remove(&fec);
        }
        entry.hop_count = hop_count;
        if !usable && let Some(label) = entry.label.take() {
            self.labels.retire(now, label);
        }
        if before != (entry.label, entry.hop_count) {
            for peer in self.peers.values_mut().filter(|peer| peer.is_operational()) {
                peer.dirty.insert(fec);
            }
        }
    }

    /// Tells a peer what it does not know yet, as long as it takes what it is told: Label Mapping and Label Withdraw to
    /// every peer, in downstream unsolicited ordered control (RFC 5036 A.1.2 LMp.17 to 27, A.1.5 LWd.8 to 12).
    pub(super) fn advertise(&mut self, id: LdpId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.is_operational()) else { return };
        while peer.session().is_some_and(|session| session.outstanding() < WINDOW) {
            if let Some((fec, label)) = peer.unsaid.pop_first() {
                withdraw(peer, fec, label);
                continue;
            }
            let Some(fec) = peer.dirty.pop_first() else { return };
            let entry = self.fecs.get(&fec);
            let label = entry.and_then(|entry| entry.label);
            let hop_count = entry.and_then(|entry| entry.hop_count);
            let told = peer.sent.get(&fec).copied();
            if let Some(told) = told
                && Some(told.label) != label
            {
                peer.sent.remove(&fec);
                // RFC 5036 A.1.5: only who still has it is told to stop.
                if !told.released {
                    withdraw(peer, fec, told.label);
                }
            }
            let Some(label) = label else { continue };
            let request = peer.requests.remove(&fec);
            let knows = told.is_some_and(|told| told.label == label && told.hop_count == hop_count);
            if !knows || request.is_some() {
                peer.sent.insert(fec, Told { label, hop_count, released: false });
                self.labels.hold(label, id);
                peer.send(Body::LabelMapping(mapping(fec, label, hop_count, request)));
            }
        }
    }
}

fn withdraw(peer: &mut Peer, fec: Fec, label: Label) {
    peer.withdrawn.insert((fec, label));
    peer.send(Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::from(fec.0), label: Some(label) }));
}

fn mapping(fec: Fec, label: Label, hop_count: Option<u8>, request: Option<MessageId>) -> LabelMapping {
    LabelMapping { request, hop_count, ..LabelMapping::new(fec.0.into(), label) }
}
