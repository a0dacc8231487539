//! What peers are told of FECs.

use contract::{Fec, Label};
use wire::ldp::{
    AddressFamily, Body, FecTlv, LabelMapping, LabelWithdraw, LdpId, MessageType, Notification, Status,
    StatusCode, UnknownTlv,
};

use super::Speaker;
use super::decide::FecEntry;
use crate::distribution::Attributes;
use crate::peer::{Peer, Told};
use crate::{LoopDetection, Owner};

/// Label Mappings are held back while so many octets wait for a peer: what it is told is then as new as can be, and what
/// it does not take costs no memory.
const WINDOW: usize = 64 * 1024;

impl Speaker {
    /// Every peer may have to be told something of the FEC.
    pub(super) fn tell_all(&mut self, fec: Fec) {
        for peer in self.peers.values_mut().filter(|peer| peer.is_operational()) {
            peer.dirty.insert(fec);
        }
    }

    /// Tells a peer what it does not know yet, and asks it for what is needed, as long as it takes what it is told (RFC
    /// 5036 A.1.2 LMp.17 to 31, A.1.5 LWd.8 to 12, A.1.6 FEC.1, A.1.7 NH.16 to 19, A.1.14).
    pub(super) fn advertise(&mut self, id: LdpId) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.is_operational()) else { return };
        if self.by_hop.is_settled() {
            let answers = std::mem::take(&mut peer.answers);
            for answer in answers {
                peer.send(Body::LabelRelease(answer));
            }
        }
        while let Some(peer) = self.peers.get_mut(&id)
            && peer.session().is_some_and(|session| session.outstanding() < WINDOW)
        {
            if let Some((fec, label)) = peer.unsaid.pop_first() {
                withdraw(peer, fec, label);
                continue;
            }
            if let Some(fec) = peer.dirty.pop_first() {
                self.tell(id, fec);
            } else if !self.send_label_request(id) {
                return;
            }
        }
    }

    /// Tells a peer what it does not know of a FEC. A label is told when the forwarder holds its entry, and not again
    /// before the peer has released what was withdrawn: its release names no message.
    fn tell(&mut self, id: LdpId, fec: Fec) {
        let detection = self.config.distribution.loop_detection;
        let advertised = self.config.neighbors.policy(id.lsr_id).map(|policy| &policy.advertise);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let entry = self.fecs.get(&fec);
        let may_know = |entry: &&FecEntry| {
            advertised.is_some_and(|filter| filter.has(fec))
                && peer.families.contains(&AddressFamily::of(&fec.0))
                && !entry.is_withheld_from(id)
        };
        let label = entry.filter(may_know).and_then(|entry| entry.label);
        let told = peer.told(fec);
        let before = told.filter(|(told, _)| Some(told.label) == label);
        // LMp.20, LMp.24, LMp.29, LRq.9, FEC.1.
        let prepare = |entry: &FecEntry| {
            let before = before.map(|(told, _)| told.hop_count);
            entry.received().0.for_mapping(self.local.lsr_id, detection.is_some(), entry.way(), before)
        };
        let attributes = entry.map(prepare).unwrap_or_default();
        let label = label.filter(|_| !attributes.are_too_long(detection));
        if let Some((told, released)) = told
            && Some(told.label) != label
        {
            peer.sent.remove(&fec);
            peer.released.remove(&fec);
            // LWd.9 to 11, NH.17, NH.18, NoLS.1: only who still has it is told to stop.
            if !released {
                withdraw(peer, fec, told.label);
            }
        }
        let Some(label) = label else {
            // SL.9 to 12; SL.13: all who do not ask are told when there is one.
            if self.starving.contains(&fec)
                && let Some(request) = peer.requests.remove(&fec)
            {
                peer.lacked_label = true;
                let message = Some((request.name, MessageType::LABEL_REQUEST));
                let status = Status { message, ..Status::new(StatusCode::NO_LABEL_RESOURCES) };
                peer.send(Body::Notification(Notification::new(status)));
            }
            return;
        };
        // SL.1 to 3 are the decision's and the forwarder's.
        if !entry.is_some_and(|entry| entry.installed) || peer.withdrawn.contains(&(fec, label)) {
            return;
        }
        let told_now = Told { label, hop_count: attributes.hop_count, revision: revision(entry, detection) };
        let wanted = match before {
            // LMp.18, LMp.19, FEC.1: on demand nobody is told who does not ask.
            None => !peer.on_demand(),
            // LMp.22 to 27.
            Some((told, false)) => told != told_now,
            // LRl Note 1: it gave the label back, and is told again when it asks.
            Some((_, true)) => false,
        };
        // LMp.28, LMp.29, SL.6, SL.7.
        let request = peer.requests.remove(&fec);
        if wanted || request.is_some() {
            // SL.4, SL.5.
            peer.sent.insert(fec, told_now);
            peer.released.remove(&fec);
            self.labels.hold(label, id);
            let owner = self.config.owners.get(&fec).copied();
            let mapping = LabelMapping {
                request: request.map(|request| request.name),
                hop_count: attributes.hop_count,
                path_vector: attributes.path_vector(),
                unknown: owner.map(Owner::tlv).into_iter().chain(passed_on(&attributes, owner)).collect(),
                ..LabelMapping::new(fec.0.into(), label)
            };
            peer.send(Body::LabelMapping(mapping));
        }
    }
}

/// Which attributes a mapping says. Without loop detection and what is passed on unread only the hop count counts, which is
/// compared by itself.
fn revision(entry: Option<&FecEntry>, detection: Option<LoopDetection>) -> u32 {
    let counts = |entry: &&FecEntry| detection.is_some() || !entry.received().0.transitive.is_none();
    entry.filter(counts).map_or(0, |entry| entry.received().1)
}

/// What goes with a FEC's label unread; whose it is, if we say so ourselves, once.
fn passed_on(attributes: &Attributes, owner: Option<Owner>) -> impl Iterator<Item = UnknownTlv> {
    let tlvs = attributes.transitive.tlvs().iter();
    tlvs.filter(move |tlv| owner.is_none() || !Owner::is_named_by(tlv)).cloned()
}

/// Send_Label_Withdraw (RFC 5036 A.2.3).
fn withdraw(peer: &mut Peer, fec: Fec, label: Label) {
    // SWd.1, SWd.2.
    peer.send(Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::from(fec.0), label: Some(label) }));
    peer.withdrawn.insert((fec, label));
}
