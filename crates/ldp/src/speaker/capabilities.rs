//! Capabilities in sessions (RFC 5561), and the end of what there is to tell (RFC 5919).

use std::collections::BTreeSet;

use contract::Tick;
use wire::ldp::{
    Body, Capability, CapabilityChange, FecTlv, LdpId, MessageId, MessageType, Notification, RequestFec,
    Status, StatusCode,
};

use super::Speaker;
use crate::Event;
use crate::peer::{Peer, Stale};

impl Speaker {
    /// From now on this speaker announces these capabilities: at once to neighbors that take such changes while a session
    /// is up, to the others in their next session. Whether it takes changes itself never changes within a session
    /// (RFC 5561 §9).
    pub fn handle_capabilities(&mut self, now: Tick, capabilities: BTreeSet<Capability>) {
        for peer in self.peers.values_mut().filter(|peer| peer.is_operational()) {
            let change = peer.session_mut().and_then(|session| session.capabilities.retell(&capabilities));
            if let Some(change) = change {
                peer.send(Body::Capability(change));
            }
        }
        self.config.capabilities = capabilities;
        self.settle(now);
    }

    /// A Capability message of an operational session.
    pub(super) fn capability_change(&mut self, id: LdpId, name: MessageId, change: CapabilityChange) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(session) = peer.session_mut() else { return };
        if session.capabilities.local.contains(&Capability::DynamicAnnouncement) {
            session.capabilities.change(change);
            self.refuse_capabilities(id, name, MessageType::CAPABILITY);
        } else {
            // Who does not announce it does not know the message.
            let about = (name, MessageType::CAPABILITY);
            peer.refuse(Status { message: Some(about), ..Status::new(StatusCode::UNKNOWN_MESSAGE_TYPE) });
        }
    }

    /// Tells the peer which of the capabilities that it announced with this message are not known here and had to be
    /// (RFC 5561 §8).
    pub(super) fn refuse_capabilities(&mut self, id: LdpId, name: MessageId, kind: MessageType) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let refused = peer.session_mut().and_then(|session| session.capabilities.take_refused());
        if let Some(returned_tlvs) = refused {
            let status =
                Status { message: Some((name, kind)), ..Status::new(StatusCode::UNSUPPORTED_CAPABILITY) };
            peer.refuse_with(Notification { returned_tlvs, ..Notification::new(status) });
        }
    }

    /// An advisory Notification of an operational session. One that is not known is passed over, as announced (RFC 5919
    /// §5), and one that is known asks for nothing but this.
    pub(super) fn notified(&mut self, now: Tick, id: LdpId, notification: &Notification) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let status = notification.status.code;
        peer.last_notified = Some((status, now));
        if status != StatusCode::END_OF_LIB
            && let Some(times) = peer.notifications.happened(now, 1)
        {
            self.events.push_back(Event::Notified { peer: id, status, times });
        }
        let (stale, families) = (peer.stale, peer.families.clone());
        let Some(session) = peer.session_mut() else { return };
        match (status, &notification.fec) {
            (StatusCode::UNSUPPORTED_CAPABILITY, _) => {
                session.capabilities.returned(&notification.returned_tlvs);
            }
            (StatusCode::END_OF_LIB, Some(FecTlv::TypedWildcard(family))) => {
                session.capabilities.end_heard.insert(*family);
                self.links.changed();
                // All that it has not told again by now it has not preserved (RFC 5919 §1, RFC 3478 §3.3.1); on demand it
                // tells what it is asked for.
                let tells_all = !session.on_demand && families.is_subset(&session.capabilities.end_heard);
                if tells_all && matches!(stale, Some(Stale::Recovering(_))) {
                    self.flush_stale(id);
                }
            }
            _ => {}
        }
    }

    /// Refuses a typed wildcard if we did not say that we know them: whether it was one, and was refused.
    pub(super) fn refuses_typed_wildcard(&mut self, id: LdpId, name: MessageId, body: &Body) -> bool {
        let is_typed = match body {
            Body::LabelRequest(request) => matches!(request.fec, RequestFec::TypedWildcard(_)),
            Body::LabelWithdraw(withdraw) => matches!(withdraw.fec, FecTlv::TypedWildcard(_)),
            Body::LabelRelease(release) => matches!(release.fec, FecTlv::TypedWildcard(_)),
            _ => false,
        };
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let known = |peer: &Peer| {
            peer.session().is_some_and(|s| s.capabilities.local.contains(&Capability::TypedWildcardFec))
        };
        if !is_typed || known(peer) {
            return false;
        }
        let about = Some((name, body.kind()));
        peer.refuse(Status { message: about, ..Status::new(StatusCode::UNKNOWN_FEC) });
        true
    }

    /// Tells a peer that it has been told all labels of the families that it is told of, once in a session and as soon as that is so: not
    /// while our own restart goes on or a label waits for the forwarder, or the peer would give up what it kept of us and
    /// is still to come (RFC 5919 §4).
    pub(super) fn tell_end(&mut self, id: LdpId) {
        let complete = self.recovery.is_none() && self.awaited.is_empty() && self.by_hop.is_settled();
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.is_operational()) else { return };
        if !complete || !peer.dirty.is_empty() || !peer.unsaid.is_empty() {
            return;
        }
        let Some(session) = peer.session_mut().filter(|session| session.capabilities.owes_end()) else {
            return;
        };
        session.capabilities.end_told = true;
        self.links.changed();
        for family in peer.families.clone() {
            peer.send(Body::Notification(Notification::end_of_lib(family)));
        }
    }
}
