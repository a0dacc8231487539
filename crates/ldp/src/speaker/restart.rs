//! Graceful restart (RFC 3478): ours, and a peer's.
//!
//! ```text
//! our restart            preserved labels ──a FEC is usable again──▶ its old label
//!                               └──────recovery time is up─────────▶ retired
//! a peer's restart       bindings ──session lost──▶ stale, Waiting ──session up──▶ stale, Recovering
//!                                                         └─reconnect time, or nothing recovered─▶ flushed
//!                                                            told again ▶ fresh; recovery time is up ▶ flushed
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use contract::{Fec, Tick};
use wire::ldp::{LdpId, StatusCode};

use super::Speaker;
use super::decide::FecEntry;
use crate::config::MARGIN;
use crate::family::is_switched;
use crate::peer::{Peer, Stale};
use crate::session::Session;
use crate::{DownReason, Event};

/// The longest that bindings of a lost session are kept, whatever the peer wishes (RFC 3478 §3.3, Neighbor Liveness
/// Timer; its default there is 120 s).
const NEIGHBOR_LIVENESS: Duration = Duration::from_secs(120);

/// A restart of ours.
#[derive(Debug)]
pub(super) struct Recovery {
    deadline: Tick,
    /// FECs whose labels are not in use again yet.
    missing: BTreeSet<Fec>,
}

impl Recovery {
    pub(super) const fn deadline(&self) -> Tick {
        self.deadline
    }
}

impl Speaker {
    /// Whether a restart's recovery is under way.
    pub fn recovering(&self) -> bool {
        self.recovery.is_some()
    }

    pub(super) fn begin_recovery(&mut self, now: Tick) {
        let forgotten = now + self.config.forgetting();
        if !self.config.quarantine.is_zero() {
            self.labels.quarantine(now + self.config.quarantine);
        }
        if !self.config.restarting && self.config.allocations.is_empty() && self.config.dead_labels.is_empty()
        {
            return;
        }
        let mut missing = BTreeSet::new();
        let mut dead = std::mem::take(&mut self.config.dead_labels);
        for (fec, label) in std::mem::take(&mut self.config.allocations) {
            if !is_switched(fec) || self.fecs.contains_key(&fec) {
                dead.push((fec, label));
            } else if self.labels.reserve(label, fec, forgotten) {
                self.fecs.insert(fec, FecEntry::preserved(label));
                missing.insert(fec);
            }
        }
        for (fec, label) in dead {
            if self.labels.reserve(label, fec, forgotten) {
                self.retire(now, fec, label);
            }
        }
        self.recovery = Some(Recovery { deadline: now + self.config.recovery, missing });
    }

    /// What a peer is told as the Recovery Time: how long what we told it before may still hold. With whom we had a
    /// session since we started, only the session was lost and nothing here.
    pub(super) fn recovery_left(&self, now: Tick, id: LdpId) -> Duration {
        match &self.recovery {
            _ if self.peers.get(&id).is_some_and(|peer| peer.counters.sessions > 0) => self.config.recovery,
            Some(recovery) if self.config.restarting => recovery.deadline.since(now),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn check_recovery(&mut self, now: Tick) {
        if self.recovery.as_ref().is_some_and(|recovery| recovery.missing.is_empty()) {
            self.end_recovery(now, true);
        }
    }

    /// A FEC has its label again, or is not to have it.
    pub(super) fn found(&mut self, fec: Fec) {
        if let Some(recovery) = &mut self.recovery {
            recovery.missing.remove(&fec);
        }
    }

    pub(super) fn recovery_timeout(&mut self, now: Tick) {
        if self.recovery.as_ref().is_some_and(|recovery| recovery.deadline <= now) {
            self.end_recovery(now, false);
        }
    }

    fn end_recovery(&mut self, now: Tick, complete: bool) {
        let Some(recovery) = self.recovery.take() else { return };
        for fec in recovery.missing {
            if let Some(label) = self.fecs.get_mut(&fec).and_then(|entry| entry.preserved.take()) {
                self.retire(now, fec, label);
                self.touched.insert(fec);
            }
        }
        self.events.push_back(Event::RecoveryOver { complete });
    }

    /// An operational session is lost: what the peer told is kept if it said that it preserves its forwarding, and if it
    /// is its control that went, not the peer by its own will nor the way to it (RFC 3478 §3.3). Whether it is kept. Of who
    /// is heard on no link there is nothing to keep: no packets go there.
    pub(super) fn lose(&mut self, now: Tick, id: LdpId, reason: DownReason, session: &Session) -> bool {
        self.touch_peer(id);
        self.forget_deferred(id);
        let is_near = self.discovery.is_heard_on_link(id);
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let control_lost =
            matches!(reason, DownReason::Closed | DownReason::Local(StatusCode::KEEPALIVE_TIMER_EXPIRED));
        let wish =
            session.peer_ft.map_or(Duration::ZERO, |ft| ft.reconnect.duration()).min(NEIGHBOR_LIVENESS);
        let kept = control_lost && is_near && !wish.is_zero() && !self.stopped;
        if kept {
            peer.stale = Some(Stale::Waiting(now + wish));
            peer.addresses.values_mut().for_each(|stale| *stale = true);
            peer.received.grow_stale();
        } else {
            peer.stale = None;
            for address in std::mem::take(&mut peer.addresses).into_keys() {
                self.stations.untell(address, id);
            }
            peer.received.clear();
        }
        peer.forget_sent();
        if reason == DownReason::Peer(StatusCode::SHUTDOWN) {
            self.labels.release_all(now, id);
        } else {
            let lease = now + self.config.forgetting_after(session.hold, wish);
            self.labels.lease_all(id, lease);
        }
        kept
    }

    /// A peer's session is operational again: what was kept is given time to be told anew, if the peer says that it
    /// preserved its forwarding (RFC 3478 §3.3.1).
    pub(super) fn peer_returned(&mut self, now: Tick, id: LdpId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let ft = peer.session().and_then(|session| session.peer_ft);
        let theirs = ft.map_or(Duration::ZERO, |ft| ft.recovery.duration());
        self.labels.renew_lease(id, now + self.config.recovery.max(theirs.min(NEIGHBOR_LIVENESS)) + MARGIN);
        // Labels that were withdrawn while it could not be told: it need not find out by waiting.
        peer.unsaid.extend(self.labels.retired_of(id));
        for (fec, label) in self.withheld_from(id) {
            self.unsay(fec, label, |holder| holder == id);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.stale.is_none() {
            return;
        }
        let recovery = theirs.min(self.config.recovery);
        if recovery.is_zero() {
            self.flush_stale(id);
        } else {
            peer.stale = Some(Stale::Recovering(now + recovery));
        }
    }

    pub(super) fn stale_timeouts(&mut self, now: Tick) {
        let due = |peer: &Peer| peer.stale.is_some_and(|stale| stale.deadline() <= now);
        let ids: Vec<LdpId> = self.peers.iter().filter(|(_, peer)| due(peer)).map(|(&id, _)| id).collect();
        for id in ids {
            self.flush_stale(id);
            self.remove_if_gone(id);
        }
    }

    pub(super) fn flush_stale(&mut self, id: LdpId) {
        self.touch_peer(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.stale = None;
        let stations = &mut self.stations;
        peer.addresses.retain(|&address, stale| {
            if *stale {
                stations.untell(address, id);
            }
            !*stale
        });
        peer.received.forget_stale();
    }
}
