//! What peers say of addresses and labels, step by step as in RFC 5036 Appendix A. Steps that are taken elsewhere are named
//! there: [`super::decide`], [`super::advertise`], [`super::demand`]. This LSR merges (LMp.30, LRl.5).

use std::collections::BTreeSet;

use contract::{Fec, Label, Tick};
use wire::ldp::{
    AddressFamily, Body, FecTlv, LabelAbortRequest, LabelMapping, LabelRelease, LabelRequest, LabelWithdraw,
    LdpId, Message, MessageId, MessageType, Notification, RequestFec, Status, StatusCode,
};

use super::Speaker;
use crate::bindings::Binding;
use crate::distribution::{Attributes, Retention};
use crate::family::{self, is_tellable};
use crate::peer::{Peer, Pending, Told};
use crate::requests::Asked;
use crate::transitive::Transitive;
use crate::{Event, Owner};

/// What is done with a Label Mapping.
enum Verdict {
    Take,
    Ignore,
    Refuse,
}

impl Speaker {
    /// A message of an operational session.
    pub(super) fn label_message(&mut self, now: Tick, id: LdpId, message: Message) {
        if self.refuses_typed_wildcard(id, message.id, &message.body) {
            return;
        }
        match message.body {
            Body::Address(addresses) => {
                let limit = self.config.limits.addresses_per_peer;
                let Some(peer) = self.peers.get_mut(&id) else { return };
                let mut new = BTreeSet::new();
                // RFC 7552 §7.1.
                for address in
                    family::addresses(addresses).into_iter().filter(|address| is_tellable(*address))
                {
                    if peer.addresses.len() < limit || peer.addresses.contains_key(&address) {
                        peer.addresses.insert(address, false);
                        if self.stations.tell(address, id) {
                            new.insert(address);
                        }
                    }
                }
                self.by_hop.touch(|hop| new.contains(&hop.address));
            }
            Body::AddressWithdraw(addresses) => {
                let Some(peer) = self.peers.get_mut(&id) else { return };
                let mut gone = BTreeSet::new();
                for address in family::addresses(addresses) {
                    if peer.addresses.remove(&address).is_some() {
                        self.stations.untell(address, id);
                        gone.insert(address);
                    }
                }
                self.by_hop.touch(|hop| gone.contains(&hop.address));
            }
            Body::LabelMapping(mapping) => self.label_mapping(now, id, message.id, &mapping),
            Body::LabelWithdraw(withdraw) => self.label_withdraw(id, withdraw),
            Body::LabelRelease(release) => self.label_release(now, id, &release),
            Body::LabelRequest(request) => self.label_request(id, message.id, &request),
            Body::LabelAbortRequest(abort) => self.label_abort_request(id, &abort),
            Body::Notification(notification) => {
                self.notified(now, id, &notification);
                self.notified_of_request(now, id, &notification);
            }
            Body::Capability(change) => self.capability_change(id, message.id, change),
            // These do not come here.
            Body::Hello(_) | Body::Initialization(_) | Body::KeepAlive => {}
        }
    }

    /// RFC 5036 A.1.2.
    fn label_mapping(&mut self, now: Tick, id: LdpId, name: MessageId, mapping: &LabelMapping) {
        let attributes = Attributes::of_mapping(mapping);
        let is_loop = attributes.show_loop(self.local.lsr_id, self.config.distribution.loop_detection);
        for &prefix in mapping.fecs.prefixes() {
            let fec = Fec(prefix);
            self.forget_taken(id, fec, mapping.label);
            match self.judge(id, fec, mapping) {
                // LMp.3 to 8. Of a peer that is no next hop (RFC 5036 §2.8.2) it is no loop yet: most often it says what
                // it learned from us. It is looked at again when it becomes one.
                Verdict::Take | Verdict::Ignore if is_loop && self.is_next_hop(fec, id) => {
                    self.break_loop(now, id, fec, mapping.label);
                }
                Verdict::Take => self.take_mapping(id, name, fec, mapping, &attributes),
                Verdict::Ignore => {}
                Verdict::Refuse => self.refuse_mapping(id, fec, mapping.label),
            }
        }
    }

    /// LMp.1, LMp.2, LMp.11 to 13. A label that was given back of our own accord may be told again by a mapping that was
    /// sent before the peer knew, and is not held in its eyes when it does. So what may have been given back is taken only
    /// as the answer to a request that went out later: under conservative retention always (other than LMp.12 has it), and
    /// after a loop.
    fn judge(&mut self, id: LdpId, fec: Fec, mapping: &LabelMapping) -> Verdict {
        let conservative = self.config.distribution.retention == Retention::Conservative;
        let needed = !conservative || self.is_next_hop(fec, id);
        let given_back = conservative || self.deferred.contains((id, fec));
        let Some(peer) = self.peers.get_mut(&id) else { return Verdict::Ignore };
        let asked = peer.asks.of(fec);
        // On demand it cannot be anything else.
        let answers = |asked: &Asked| mapping.request.map_or(peer.on_demand(), |name| name == asked.name);
        // What is kept from before its restart has not been given back in this session.
        let is_held = peer.received.of(fec).is_some_and(|held| held.stale || held.label == mapping.label);
        match asked {
            Some(asked) if answers(&asked) => {
                peer.asks.complete(fec);
                if needed && !asked.aborted { Verdict::Take } else { Verdict::Refuse }
            }
            _ if is_held && needed => Verdict::Take,
            // The answer follows.
            Some(asked) if !asked.aborted && needed => Verdict::Ignore,
            None if !given_back => Verdict::Take,
            _ => Verdict::Refuse,
        }
    }

    /// A restarted peer that gives a label to this FEC does not know it as another's any more: packets sent by what it told
    /// before would come to this FEC's ISP.
    fn forget_taken(&mut self, id: LdpId, fec: Fec, label: Label) {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.stale.is_some()) else { return };
        let others: Vec<Fec> = peer.received.fecs_of(label).filter(|&other| other != fec).collect();
        for other in others {
            if peer.received.of(other).is_some_and(|binding| binding.stale) {
                peer.received.remove(other);
                self.touched.insert(other);
            }
        }
    }

    /// LMp.9, LMp.10, LMp.10a, LMp.13, LMp.16.
    fn take_mapping(
        &mut self,
        id: LdpId,
        name: MessageId,
        fec: Fec,
        mapping: &LabelMapping,
        attributes: &Attributes,
    ) {
        let limit = self.binding_limit(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.received.of(fec).copied() {
            // LMp.9: there is no earlier mapping. One too many is not kept, and said to be not kept.
            None if peer.received.len() >= limit => {
                let about = Some((name, MessageType::LABEL_MAPPING));
                notify(peer, StatusCode::NO_LABEL_RESOURCES, about);
                release(peer, fec, Some(mapping.label));
                if !std::mem::replace(&mut peer.at_limit, true) {
                    self.events.push_back(Event::TooManyBindings { peer: id });
                }
                return;
            }
            // LMp.10, 10a: another label than before; the earlier one is used no more (on demand neither: one is kept of
            // each FEC). What the peer told before its restart it does not know any more.
            Some(old) if old.label != mapping.label && !old.stale => release(peer, fec, Some(old.label)),
            _ => {}
        }
        let binding = Binding {
            label: mapping.label,
            hop_count: mapping.hop_count,
            owner: Owner::named(&mapping.unknown),
            stale: false,
            alarmed: false,
        };
        let detects = self.config.distribution.loop_detection.is_some();
        // Whose a FEC of ours is we say ourselves.
        let owned = self.config.owners.contains_key(&fec) && binding.owner.is_some();
        let others =
            || mapping.unknown.iter().filter(|tlv| !Owner::is_named_by(tlv)).cloned().collect::<Vec<_>>();
        let transitive = if owned { Transitive::of(&others()) } else { attributes.transitive.clone() };
        peer.received.insert(fec, binding);
        peer.received.set_transitive(fec, transitive);
        peer.received.set_path(fec, attributes.path.clone().filter(|_| detects));
        self.deferred.remove((id, fec));
        // LMp.14, 15 and 17 to 31 follow from the decision.
        self.touched.insert(fec);
    }

    /// LMp.13, LMp.32.
    fn refuse_mapping(&mut self, id: LdpId, fec: Fec, label: Label) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(held) = peer.received.remove(fec)
            && held.label != label
            && !held.stale
        {
            release(peer, fec, Some(held.label));
        }
        release(peer, fec, Some(label));
        // If it is needed, it is asked for.
        self.touched.insert(fec);
    }

    /// RFC 5036 A.1.5.
    fn label_withdraw(&mut self, id: LdpId, withdraw: LabelWithdraw) {
        let answer = LabelRelease { fec: withdraw.fec.clone(), label: withdraw.label, status: None };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let matches = |binding: &Binding| withdraw.label.is_none_or(|label| label == binding.label);
        // LWd.3, LWd.4: forget the mapping; LWd.1 and LWd.5 to 12 follow from the decision.
        match &withdraw.fec {
            // Of how many FECs it is does not show: they are decided some at a time, and the answer goes when the last
            // of them is used no more.
            FecTlv::Wildcard | FecTlv::TypedWildcard(_) => {
                let before = peer.received.len();
                let named: Vec<Fec> = match withdraw.label {
                    None => peer.received.iter().map(|(fec, _)| fec).collect(),
                    Some(label) => peer.received.fecs_of(label).collect(),
                };
                for fec in named.into_iter().filter(|fec| withdraw.fec.covers(&fec.0)) {
                    peer.received.remove(fec);
                }
                if peer.received.len() < before {
                    peer.answers.push(answer);
                    self.touch_peer(id);
                    return;
                }
            }
            FecTlv::Prefixes(fecs) => {
                for &prefix in fecs.prefixes() {
                    let fec = Fec(prefix);
                    if peer.received.of(fec).is_some_and(matches) {
                        peer.received.remove(fec);
                        self.touched.insert(fec);
                    }
                }
            }
        }
        // LWd.2: always, or the peer could never use the label again.
        peer.send(Body::LabelRelease(answer));
    }

    /// RFC 5036 A.1.4.
    fn label_release(&mut self, now: Tick, id: LdpId, release: &LabelRelease) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let fecs: Vec<Fec> = match &release.fec {
            FecTlv::Prefixes(fecs) => fecs.prefixes().iter().map(|&prefix| Fec(prefix)).collect(),
            FecTlv::Wildcard | FecTlv::TypedWildcard(_) => {
                let told = peer.sent.keys().chain(peer.withdrawn.iter().map(|(fec, _)| fec));
                told.copied().filter(|fec| release.fec.covers(&fec.0)).collect()
            }
        };
        for fec in fecs {
            // LRl.1, LRl.2: of an unknown FEC there is nothing to find below.
            // LRl.3, LRl.4: the answer to a Withdraw. LRl.5 to 10 are for labels that LSPs share.
            for label in peer.withdrawn_of(fec, release.label) {
                peer.withdrawn.remove(&(fec, label));
                // It may be to have the label again.
                peer.dirty.insert(fec);
                self.labels.release(now, label, id);
            }
            // LRl.6: given back of its own accord.
            let named = |told: &&Told| release.label.is_none_or(|label| label == told.label);
            if let Some(&told) = peer.sent.get(&fec).filter(named) {
                peer.sent.remove(&fec);
                peer.released.insert(fec, told);
                self.labels.release(now, told.label, id);
            }
        }
        // LRl.11 to 13: what nobody has any more is free after its hold time.
    }

    /// RFC 5036 A.1.1.
    fn label_request(&mut self, id: LdpId, name: MessageId, request: &LabelRequest) {
        let limit = self.config.limits.bindings_per_peer;
        let attributes = Attributes::of_request(request);
        let is_loop = attributes.show_loop(self.local.lsr_id, self.config.distribution.loop_detection);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let about = Some((name, MessageType::LABEL_REQUEST));
        let fecs: Vec<Fec> = match &request.fec {
            RequestFec::Prefixes(fecs) => fecs.prefixes().iter().map(|&prefix| Fec(prefix)).collect(),
            // RFC 5918 §4: all that match and have a label; those that get one later are told unsolicited.
            RequestFec::TypedWildcard(family) => {
                let labeled = self.fecs.iter().filter(|(_, entry)| entry.is_labeled()).map(|(&fec, _)| fec);
                labeled.filter(|fec| AddressFamily::of(&fec.0) == *family).collect()
            }
        };
        let is_wildcard = matches!(request.fec, RequestFec::TypedWildcard(_));
        for fec in fecs {
            // LRq.1, LRq.4, CRa.6, CRa.7: said once.
            if is_loop {
                notify(peer, StatusCode::LOOP_DETECTED, about);
                continue;
            }
            // LRq.2: is there a next hop?
            let entry = self.fecs.get(&fec).filter(|entry| entry.is_egress() || !entry.route().is_empty());
            let Some(entry) = entry else {
                // LRq.5.
                notify(peer, StatusCode::NO_ROUTE, about);
                continue;
            };
            // LRq.3: is it who asks, and nobody else?
            let via_source = |&hop: &crate::NextHop| self.stations.is(hop, id);
            if !entry.is_egress() && entry.route().iter().all(via_source) {
                // LRq.4. Nobody asked for this one in particular.
                if !is_wildcard {
                    notify(peer, StatusCode::LOOP_DETECTED, about);
                }
                continue;
            }
            // LRq.6 to 8: recorded, once. LRq.9, LRq.11, LRq.12: answered when there is a label, which is now or later
            // (under independent control it is now). LRq.10: for a FEC that is routed a label has been asked for already
            // where one has to be; the decision sees to it.
            if peer.requests.len() < limit && !peer.requests.contains_key(&fec) {
                peer.requests.insert(fec, Pending { name, attributes: attributes.clone() });
                peer.dirty.insert(fec);
                self.touched.insert(fec);
            }
        }
    }

    /// RFC 5036 A.1.3.
    fn label_abort_request(&mut self, id: LdpId, abort: &LabelAbortRequest) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = peer.requests.len();
        // LAbR.1 to 3: a request that was answered already stays answered.
        peer.requests.retain(|_, request| request.name != abort.request);
        if peer.requests.len() < before {
            // LAbR.3. LAbR.4 to 10: a request downstream is this LSR's own as well, as long as it routes the FEC, and so
            // is never taken back for that (LAbR.8); LAbR.6: the peer was told nothing, so it holds nothing.
            let status = Status {
                message: Some((abort.request, MessageType::LABEL_REQUEST)),
                ..Status::new(StatusCode::LABEL_REQUEST_ABORTED)
            };
            let aborted = Notification { request: Some(abort.request), ..Notification::new(status) };
            peer.send(Body::Notification(aborted));
        }
    }
}

fn release(peer: &mut Peer, fec: Fec, label: Option<Label>) {
    peer.send(Body::LabelRelease(LabelRelease { fec: FecTlv::from(fec.0), label, status: None }));
}

fn notify(peer: &mut Peer, code: StatusCode, message: Option<(MessageId, MessageType)>) {
    peer.send(Body::Notification(Notification::new(Status { message, ..Status::new(code) })));
}
