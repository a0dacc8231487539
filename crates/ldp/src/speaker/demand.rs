//! Labels that are asked for: downstream on demand, conservative retention, and what a loop took (RFC 5036 §2.6.3,
//! A.1.6 to A.1.12, A.1.15, A.2.2).
//!
//! This LSR merges and asks when it needs a label (Request When Needed): for every FEC that is routed to the peer. So a
//! request from upstream asks nothing new of downstream, and is answered when there is a label.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::{Fec, Tick};
use wire::ldp::{
    Body, FecTlv, LabelAbortRequest, LabelRelease, LabelRequest, LdpId, MessageType, Notification, Status,
    StatusCode,
};

use super::Speaker;
use super::decide::FecEntry;
use crate::bindings::FIRST;
use crate::distribution::{Attributes, Retention};
use crate::peer::Peer;

/// Label No Route procedure (RFC 5036 A.1.10): Request Retry, after this time. What stood in the way may be gone when
/// routes have settled.
const RETRY_REQUEST: Duration = Duration::from_secs(15);

impl Speaker {
    /// Whether labels are ever asked for.
    fn demands(&self) -> bool {
        self.any_on_demand || self.config.distribution.retention == Retention::Conservative
    }

    /// Asks the FEC's next hops for the labels that are missing, and gives back what is not needed: the end of Recognize
    /// New FEC (FEC.2 to 6) and of Detect Change in FEC Next Hop (NH.1 to 15).
    pub(super) fn demand(&mut self, fec: Fec) {
        if !self.demands() {
            return;
        }
        let entry = self.fecs.get(&fec);
        let route = entry.filter(|entry| !entry.is_egress()).map(FecEntry::route).unwrap_or_default();
        let next_hops: BTreeSet<LdpId> = route.iter().flat_map(|&hop| self.stations.at(hop)).collect();
        let in_use = entry.map(FecEntry::peers_in_use).unwrap_or_default();
        // NH.10.
        for &id in &next_hops {
            self.want(fec, id);
        }
        // NH.3, NH.7.
        if self.config.distribution.retention == Retention::Conservative {
            for (&id, peer) in &mut self.peers {
                if !next_hops.contains(&id) && !in_use.contains(&id) {
                    give_up(peer, fec);
                }
            }
        }
    }

    /// A label of the FEC is needed of this next hop.
    fn want(&mut self, fec: Fec, id: LdpId) {
        let deferred = self.deferred.contains((id, fec));
        let conservative = self.config.distribution.retention == Retention::Conservative;
        let accepted = self.policy(id).is_some_and(|policy| policy.accept.has(fec));
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.is_operational()) else { return };
        // FEC.2, NH.11: what is kept from before its restart it may not know any more.
        let retained = peer.received.of(fec).is_some_and(|binding| !binding.stale);
        // FEC.4, NH.13: in downstream unsolicited and liberal retention it says so by itself.
        if !retained && !deferred && accepted && (peer.on_demand() || conservative) {
            peer.asks.unsent.insert(fec);
        }
    }

    /// Sends the next request that is due to a peer; whether there was one to look at.
    pub(super) fn send_label_request(&mut self, id: LdpId) -> bool {
        let Some(fec) = self.peers.get_mut(&id).and_then(|peer| peer.asks.unsent.pop_first()) else {
            return false;
        };
        // Res.3, TO.2: things may have changed since it was found that a label is needed.
        let needed = self.is_next_hop(fec, id);
        let upstream = self.peers.values().find_map(|peer| peer.requests.get(&fec));
        let detects = self.config.distribution.loop_detection.is_some();
        let attributes =
            Attributes::for_request(upstream.map(|request| &request.attributes), self.local.lsr_id, detects);
        let too_long = attributes.are_too_long(self.config.distribution.loop_detection);
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let retained = peer.received.of(fec).is_some_and(|binding| !binding.stale);
        if needed && !retained && !too_long && peer.asks.may_send(fec) {
            // SLRq.3.
            let (hop_count, path_vector) = (attributes.hop_count, attributes.path_vector());
            let name = peer.send(Body::LabelRequest(LabelRequest {
                hop_count,
                path_vector,
                unknown: attributes.transitive.tlvs().to_vec(),
                ..LabelRequest::new(fec.0.into())
            }));
            if let Some(name) = name {
                peer.asks.sent(fec, name);
            }
        }
        true
    }

    /// Whether the FEC is routed to this peer, or goes there.
    pub(super) fn is_next_hop(&self, fec: Fec, id: LdpId) -> bool {
        let Some(entry) = self.fecs.get(&fec).filter(|entry| !entry.is_egress()) else { return false };
        entry.route().iter().any(|&hop| self.stations.is(hop, id)) || entry.peers_in_use().contains(&id)
    }

    /// The LSP by this peer is a loop (LMp.6 to 8): its label is given back, and asked for again after a while.
    pub(super) fn break_loop(&mut self, now: Tick, id: LdpId, fec: Fec, label: contract::Label) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.received.of(fec).is_some_and(|binding| binding.label == label || binding.stale) {
            peer.received.remove(fec);
            self.touched.insert(fec);
        }
        let status = Some(Status::new(StatusCode::LOOP_DETECTED));
        peer.send(Body::LabelRelease(LabelRelease { fec: FecTlv::from(fec.0), label: Some(label), status }));
        // Its answer may have been sent before the peer knew of this.
        take_back(peer, fec);
        self.deferred.insert((id, fec), now + RETRY_REQUEST);
    }

    /// What a Notification says of a request (A.1.8 to A.1.12).
    pub(super) fn notified_of_request(&mut self, now: Tick, id: LdpId, notification: &Notification) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let status = notification.status;
        let about =
            status.message.filter(|&(_, kind)| kind == MessageType::LABEL_REQUEST).map(|(name, _)| name);
        let asked = |name| peer.asks.fec_of(name).and_then(|fec| Some((fec, peer.asks.of(fec)?)));
        match status.code {
            // LRqA.1, LRqA.2: if it is needed again by now, it is asked for again.
            StatusCode::LABEL_REQUEST_ABORTED => {
                if let Some((fec, _)) =
                    notification.request.or(about).and_then(asked).filter(|(_, a)| a.aborted)
                {
                    peer.asks.complete(fec);
                    self.touched.insert(fec);
                }
            }
            StatusCode::NO_LABEL_RESOURCES => {
                if let Some((fec, _)) = about.and_then(asked) {
                    // NoRes.1; NoRes.2, NoRes.3.
                    peer.asks.complete(fec);
                    peer.asks.pause(fec);
                }
            }
            // The same for both (A.1.11).
            StatusCode::NO_ROUTE | StatusCode::LOOP_DETECTED => {
                if let Some((fec, _)) = about.and_then(asked) {
                    // NoNH.1, NoNH.2.
                    peer.asks.complete(fec);
                    self.deferred.insert((id, fec), now + RETRY_REQUEST);
                }
            }
            StatusCode::LABEL_RESOURCES_AVAILABLE => peer.asks.resume(),
            _ => {}
        }
    }

    /// Timeout of Deferred Label Request (A.1.15).
    pub(super) fn deferred_timeouts(&mut self, now: Tick) {
        let due: Vec<(LdpId, Fec)> =
            self.deferred.due(now).take(self.config.limits.decisions.max(1)).collect();
        for (id, fec) in due {
            // TO.1 to 3.
            self.deferred.remove((id, fec));
            if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.is_operational()) {
                peer.asks.unsent.insert(fec);
            }
        }
    }

    /// A session is lost: nothing is asked of the peer any more.
    pub(super) fn forget_deferred(&mut self, id: LdpId) {
        let first = (id, FIRST);
        let fecs: Vec<_> = self.deferred.from(first).take_while(|(of, _)| *of == id).collect();
        fecs.into_iter().for_each(|key| self.deferred.remove(key));
    }

    /// Labels are free again: peers that were refused one are told (ResA.1 to 4). Labels that other peers are to be told
    /// of follow by themselves (ResA.5 to 8).
    pub(super) fn tell_resources(&mut self) {
        for peer in self.peers.values_mut().filter(|peer| peer.lacked_label) {
            peer.lacked_label = false;
            let status = Status::new(StatusCode::LABEL_RESOURCES_AVAILABLE);
            peer.send(Body::Notification(Notification::new(status)));
        }
    }
}

/// The peer is no next hop of the FEC: its label is given back (NH.1 to 5), and one that was asked for is not wanted any
/// more (NH.6 to 9).
fn give_up(peer: &mut Peer, fec: Fec) {
    if peer.received.of(fec).is_some_and(|binding| !binding.stale)
        && let Some(binding) = peer.received.remove(fec)
    {
        let label = Some(binding.label);
        peer.send(Body::LabelRelease(LabelRelease { fec: FecTlv::from(fec.0), label, status: None }));
    }
    take_back(peer, fec);
}

fn take_back(peer: &mut Peer, fec: Fec) {
    if let Some(request) = peer.asks.abort(fec) {
        peer.send(Body::LabelAbortRequest(LabelAbortRequest { fecs: fec.0.into(), request }));
    }
}
