//! What peers say of addresses and labels, step by step as in RFC 5036 Appendix A. Steps that the decision of
//! [`super::decide`] takes are named there and here; loop detection (LMp.3 to 8, LRq.1) is off, labels are never asked
//! for (LMp.1, 2, 28, 29: downstream unsolicited only), and streams are merged (LMp.30).

use std::collections::BTreeSet;

use contract::{Fec, Label, Tick};
use wire::ldp::{
    AddressFamily, Addresses, Body, FecTlv, LabelAbortRequest, LabelMapping, LabelRelease, LabelRequest,
    LabelWithdraw, LdpId, Message, MessageId, MessageType, Notification, RequestFec, Status, StatusCode,
};

use super::Speaker;
use crate::bindings::Binding;
use crate::peer::{Peer, Told};
use crate::{Event, Owner};

impl Speaker {
    /// A message of an operational session.
    pub(super) fn label_message(&mut self, now: Tick, id: LdpId, message: Message) {
        if self.refuses_typed_wildcard(id, message.id, &message.body) {
            return;
        }
        match message.body {
            Body::Address(Addresses::V4(addresses)) => {
                let limit = self.config.limits.addresses_per_peer;
                let Some(peer) = self.peers.get_mut(&id) else { return };
                let mut new = BTreeSet::new();
                for address in addresses {
                    if peer.addresses.len() < limit || peer.addresses.contains_key(&address) {
                        peer.addresses.insert(address, false);
                        if self.stations.insert((address, id)) {
                            new.insert(address);
                        }
                    }
                }
                self.by_hop.touch(|hop| new.contains(&hop.address));
            }
            Body::AddressWithdraw(Addresses::V4(addresses)) => {
                let Some(peer) = self.peers.get_mut(&id) else { return };
                let mut gone = BTreeSet::new();
                for address in addresses {
                    if peer.addresses.remove(&address).is_some() {
                        self.stations.remove(&(address, id));
                        gone.insert(address);
                    }
                }
                self.by_hop.touch(|hop| gone.contains(&hop.address));
            }
            Body::LabelMapping(mapping) => self.label_mapping(id, message.id, &mapping),
            Body::LabelWithdraw(withdraw) => self.label_withdraw(id, withdraw),
            Body::LabelRelease(release) => self.label_release(now, id, &release),
            Body::LabelRequest(request) => self.label_request(id, message.id, &request),
            Body::LabelAbortRequest(abort) => self.label_abort_request(id, &abort),
            Body::Notification(notification) => self.notified(id, &notification),
            Body::Capability(change) => self.capability_change(id, message.id, change),
            // IPv6 addresses are of no use to IPv4 next hops; the others do not come here.
            Body::Address(Addresses::V6(_))
            | Body::AddressWithdraw(Addresses::V6(_))
            | Body::Hello(_)
            | Body::Initialization(_)
            | Body::KeepAlive => {}
        }
    }

    /// RFC 5036 A.1.2.
    fn label_mapping(&mut self, id: LdpId, name: MessageId, mapping: &LabelMapping) {
        let limit = self.binding_limit(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for &prefix in mapping.fecs.prefixes() {
            let fec = Fec(prefix);
            match peer.received.of(fec).copied() {
                // LMp.9: there is no earlier mapping. One too many is not kept, and said to be not kept.
                None if peer.received.len() >= limit => {
                    let about = Some((name, MessageType::LABEL_MAPPING));
                    notify(peer, StatusCode::NO_LABEL_RESOURCES, about);
                    release(peer, fec, Some(mapping.label));
                    if !std::mem::replace(&mut peer.at_limit, true) {
                        self.events.push_back(Event::TooManyBindings { peer: id });
                    }
                    continue;
                }
                // LMp.10, 10a: another label than before; the earlier one is used no more. What the peer told before
                // its restart it does not know any more.
                Some(old) if old.label != mapping.label && !old.stale => release(peer, fec, Some(old.label)),
                _ => {}
            }
            // A restarted peer that gives the label to this FEC does not know it as another's any more: packets sent by
            // what it told before would come to this FEC's ISP.
            if peer.stale.is_some() {
                let others = peer.received.fecs_of(mapping.label).filter(|&other| other != fec);
                for other in others.collect::<Vec<_>>() {
                    if peer.received.of(other).is_some_and(|binding| binding.stale) {
                        peer.received.remove(other);
                        self.touched.insert(other);
                    }
                }
            }
            // LMp.13, LMp.16: liberal retention, recorded whoever the next hop is.
            // TODO-correctness(RFC 5036 §3.3): unknown TLVs with the F bit are not passed on.
            let binding = Binding {
                label: mapping.label,
                hop_count: mapping.hop_count,
                owner: Owner::named(&mapping.unknown),
                stale: false,
                alarmed: false,
            };
            peer.received.insert(fec, binding);
            // LMp.11, 12, 14, 15 and 17 to 27 follow from the decision.
            self.touched.insert(fec);
        }
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
            // LRq.2: is there a next hop?
            let entry = self.fecs.get(&fec).filter(|entry| entry.is_egress() || !entry.route().is_empty());
            let Some(entry) = entry else {
                // LRq.5.
                notify(peer, StatusCode::NO_ROUTE, about);
                continue;
            };
            // LRq.3: is it who asks, and nobody else?
            let via_source = |next_hop: &crate::NextHop| peer.addresses.contains_key(&next_hop.address);
            if !entry.is_egress() && entry.route().iter().all(via_source) {
                // LRq.4. Nobody asked for this one in particular.
                if !is_wildcard {
                    notify(peer, StatusCode::LOOP_DETECTED, about);
                }
                continue;
            }
            // LRq.6 to 8: recorded, once. LRq.9: answered when there is a label, which is now or unsolicited later.
            // LRq.10 to 12: nothing is asked downstream, since all who have a label say so.
            if peer.requests.len() < limit && !peer.requests.contains_key(&fec) {
                peer.requests.insert(fec, name);
                peer.dirty.insert(fec);
            }
        }
    }

    /// RFC 5036 A.1.3.
    fn label_abort_request(&mut self, id: LdpId, abort: &LabelAbortRequest) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = peer.requests.len();
        // LAbR.1 to 3: a request that was answered already stays answered.
        peer.requests.retain(|_, &mut request| request != abort.request);
        if peer.requests.len() < before {
            // LAbR.4; LAbR.5 to 8 are for requests passed on.
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
