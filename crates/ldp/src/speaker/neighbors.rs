//! What the operator says of neighbors: who they may be, and to end or shut a session.

use std::net::Ipv4Addr;

use contract::Tick;
use wire::ldp::{LdpId, StatusCode};

use super::Speaker;
use crate::discovery::Holds;
use crate::peer::Link;
use crate::{Action, DownReason, NeighborPolicy, Neighbors, Proposals};

impl Speaker {
    /// Neighbors are treated like this from now on. Sessions that may go on do so: filters and limits hold at once, a
    /// session ends where its neighbor is one no more, or where what was agreed on when it began is otherwise now.
    pub fn handle_neighbors(&mut self, now: Tick, neighbors: Neighbors) {
        let before = std::mem::replace(&mut self.config.neighbors, neighbors);
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            let new = self.policy(id).cloned();
            if before.policy(id.lsr_id) != new.as_ref() {
                self.policy_changed(now, id, before.policy(id.lsr_id), new.as_ref());
            }
        }
        self.retarget_all(now);
        self.send_hellos(now);
        self.by_hop.touch(|_| true);
        self.settle(now);
    }

    /// This is proposed from now on: in Hellos, and when sessions begin.
    pub fn handle_proposals(&mut self, now: Tick, proposals: Proposals) {
        let Proposals { hello_hold, targeted_hello_hold, keepalive, max_pdu_length } = proposals;
        self.config.hello_hold = hello_hold;
        self.config.targeted_hello_hold = targeted_hello_hold;
        self.config.keepalive = keepalive;
        self.config.max_pdu_length = max_pdu_length;
        self.discovery.set_holds(now, Holds { link: hello_hold, targeted: targeted_hello_hold });
        self.send_hellos(now);
        self.settle(now);
    }

    fn policy_changed(
        &mut self,
        now: Tick,
        id: LdpId,
        before: Option<&NeighborPolicy>,
        new: Option<&NeighborPolicy>,
    ) {
        let Some(new) = new else { return self.dismiss(now, id) };
        let connection =
            |policy: &NeighborPolicy| (policy.password.clone(), policy.gtsm, policy.advertisement);
        if before.is_none_or(|before| connection(before) != connection(new)) {
            self.end_session(now, id, DownReason::Local(StatusCode::SHUTDOWN), None);
            self.sign(id);
        }
        if new.may_be_remote() {
            self.waive_gtsm(id);
        }
        let labeled = self.fecs.iter().filter(|(_, entry)| entry.is_labeled()).map(|(&fec, _)| fec);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.at_limit = false;
            peer.dirty.extend(labeled);
        }
    }

    /// Ends the session with a neighbor; it comes back at once, and all that was told is told anew. `false` if there is no
    /// such neighbor.
    pub fn handle_clear(&mut self, now: Tick, neighbor: Ipv4Addr) -> bool {
        let id = LdpId::platform(neighbor);
        let known = self.peers.contains_key(&id);
        self.end_session(now, id, DownReason::Local(StatusCode::SHUTDOWN), None);
        if let Some(peer) = self.peers.get_mut(&id)
            && let Link::Idle(at) = &mut peer.link
        {
            *at = now;
        }
        self.settle(now);
        known
    }

    /// A neighbor is shut, or not any more, whatever [`Neighbors`] says of it, as long as this speaker lives. One may be
    /// shut before it is heard.
    pub fn handle_shut(&mut self, now: Tick, neighbor: Ipv4Addr, shut: bool) {
        if shut {
            self.shut.insert(neighbor);
            self.dismiss(now, LdpId::platform(neighbor));
        } else {
            self.shut.remove(&neighbor);
            self.retarget(now, LdpId::platform(neighbor));
            self.send_hellos(now);
        }
        self.settle(now);
    }

    /// The neighbors that [`Self::handle_shut`] shut.
    pub fn shut(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.shut.iter().copied()
    }

    /// How this neighbor is treated; `None`: it is not listened to.
    pub(super) fn policy(&self, id: LdpId) -> Option<&NeighborPolicy> {
        self.config.neighbors.policy(id.lsr_id).filter(|_| !self.shut.contains(&id.lsr_id))
    }

    /// Bindings kept of this neighbor.
    pub(super) fn binding_limit(&self, id: LdpId) -> usize {
        let most = self.config.limits.bindings_per_peer;
        self.policy(id).and_then(|policy| policy.max_bindings).map_or(most, |limit| limit.min(most))
    }

    /// It is a neighbor no more.
    fn dismiss(&mut self, now: Tick, id: LdpId) {
        self.end_session(now, id, DownReason::Local(StatusCode::SHUTDOWN), None);
        let lost = self.discovery.forget(id);
        self.adjacencies_lost(now, lost);
        // It may have been a target without having been heard.
        self.retarget(now, id);
        self.remove_if_gone(id);
    }

    /// Has the neighbor's connections signed as its policy says, before any is taken.
    pub(super) fn sign(&mut self, id: LdpId) {
        let password = self.policy(id).and_then(|policy| policy.password.clone());
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let signed = password.map(|password| (peer.transport, password));
        if peer.signed == signed {
            return;
        }
        let before = std::mem::replace(&mut peer.signed, signed.clone());
        if let Some((remote, _)) =
            before.filter(|(remote, _)| signed.as_ref().is_none_or(|(new, _)| new != remote))
        {
            self.actions.push_back(Action::Sign { remote, password: None });
        }
        if let Some((remote, password)) = signed {
            self.actions.push_back(Action::Sign { remote, password: Some(password) });
        }
    }
}
