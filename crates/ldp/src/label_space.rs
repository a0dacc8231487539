//! Which label is whose, and when it may be another's.
//!
//! A peer that was told of a label holds it until it releases it. When its session is lost, it may go on sending packets
//! with it all the same: since it keeps what we told it (RFC 3478), or since its forwarder goes on while its control
//! restarts. From then on it holds the label on a lease that only time ends, whatever it says.
//!
//! What the speaker before told to whom is not known. Its labels are held by somebody, [`SOMEBODY`], on a lease; and where
//! not even its labels are all known, no label at all is given out before such a lease is over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use contract::{Fec, Label, Tick};
use wire::ldp::LdpId;

/// Each label that becomes free may be given to a FEC that waits for one: that is decided at once.
const FREED_AT_ONCE: usize = 1024;

/// In place of the peers that the speaker before this one told a label. No LSR has this id.
const SOMEBODY: LdpId = LdpId::platform(Ipv4Addr::UNSPECIFIED);

/// The platform's label space. A label is not given to another FEC before every peer that was told of it has released it
/// or is gone, and a hold time has passed since.
///
/// Labels that were never used go first, then those that have been unused for longest.
#[derive(Debug)]
pub(crate) struct LabelSpace {
    range: RangeInclusive<u32>,
    /// The next label that was never used, and how many of them are left.
    fresh: (u32, u32),
    /// Until when they may not be given out, since any of them may be in use.
    quarantine: Option<Tick>,
    /// Labels that a restart took out of turn: they are not fresh.
    reserved: BTreeSet<Label>,
    taken: BTreeMap<Label, Taken>,
    /// Those of them that stand for nothing any more but may still be used by a peer.
    retired: BTreeSet<Label>,
    holders: BTreeMap<LdpId, Holder>,
    /// Released by all, with the time from which they may be used again.
    resting: VecDeque<(Tick, Label)>,
    recycled: VecDeque<Label>,
    /// May be used again since it was last asked.
    freed: Vec<Label>,
    hold: Duration,
}

#[derive(Debug)]
struct Taken {
    fec: Fec,
    /// How many peers may send packets with it.
    holders: u32,
}

/// The labels that a peer may send packets with.
#[derive(Debug, Default)]
struct Holder {
    /// Until it says that it does not.
    by_session: BTreeSet<Label>,
    /// Until the lease ends.
    leased: BTreeSet<Label>,
    lease: Option<Tick>,
}

impl Holder {
    fn holds(&self, label: Label) -> bool {
        self.by_session.contains(&label) || self.leased.contains(&label)
    }

    fn is_idle(&self) -> bool {
        self.by_session.is_empty() && self.leased.is_empty() && self.lease.is_none()
    }
}

impl LabelSpace {
    pub(crate) fn new(range: &RangeInclusive<Label>, first: Label, hold: Duration) -> Self {
        let low = (*range.start()).max(Label::FIRST_UNRESERVED).value();
        let high = range.end().value();
        let count = if low <= high { high - low + 1 } else { 0 };
        let first = if (low..=high).contains(&first.value()) { first.value() } else { low };
        Self {
            range: low..=high,
            fresh: (first, count),
            quarantine: None,
            reserved: BTreeSet::new(),
            taken: BTreeMap::new(),
            retired: BTreeSet::new(),
            holders: BTreeMap::new(),
            resting: VecDeque::new(),
            recycled: VecDeque::new(),
            freed: Vec::new(),
            hold,
        }
    }

    /// Takes this very label, as a restart needs it, before any other is allocated. Somebody may use it until then. `false`
    /// where it is taken or no real label.
    pub(crate) fn reserve(&mut self, label: Label, fec: Fec, until: Tick) -> bool {
        if !label.is_real() || self.taken.contains_key(&label) {
            return false;
        }
        self.reserved.insert(label);
        let somebody = self.holders.entry(SOMEBODY).or_default();
        somebody.leased.insert(label);
        somebody.lease = Some(until);
        self.taken.insert(label, Taken { fec, holders: 1 });
        true
    }

    /// Somebody may use any label until then: after that and a hold time, labels are given out.
    pub(crate) fn quarantine(&mut self, until: Tick) {
        self.quarantine = Some(until + self.hold);
    }

    /// A label for this FEC; `None` if none is free.
    pub(crate) fn allocate(&mut self, fec: Fec) -> Option<Label> {
        let label = self.next_free()?;
        self.taken.insert(label, Taken { fec, holders: 0 });
        Some(label)
    }

    fn next_free(&mut self) -> Option<Label> {
        while self.quarantine.is_none() && self.fresh.1 > 0 {
            let (value, left) = self.fresh;
            let next = if value >= *self.range.end() { *self.range.start() } else { value + 1 };
            self.fresh = (next, left - 1);
            match Label::new(value) {
                // Each is passed over once.
                Ok(label) if !self.reserved.remove(&label) => return Some(label),
                _ => {}
            }
        }
        self.recycled.pop_front()
    }

    /// A peer was told of the label.
    pub(crate) fn hold(&mut self, label: Label, peer: LdpId) {
        if let Some(taken) = self.taken.get_mut(&label) {
            let holder = self.holders.entry(peer).or_default();
            let leased = holder.leased.remove(&label);
            if holder.by_session.insert(label) && !leased {
                taken.holders += 1;
            }
        }
    }

    /// A peer says that it does not use the label.
    pub(crate) fn release(&mut self, now: Tick, label: Label, peer: LdpId) {
        if self.holders.get_mut(&peer).is_some_and(|holder| holder.by_session.remove(&label)) {
            self.let_go(now, label);
            self.forget_if_idle(peer);
        }
    }

    /// A peer is gone for good, its forwarding too.
    pub(crate) fn release_all(&mut self, now: Tick, peer: LdpId) {
        if let Some(holder) = self.holders.remove(&peer) {
            holder.by_session.into_iter().chain(holder.leased).for_each(|label| self.let_go(now, label));
        }
    }

    /// A peer's session is lost: what it holds it holds until then.
    pub(crate) fn lease_all(&mut self, peer: LdpId, until: Tick) {
        let holder = self.holders.entry(peer).or_default();
        holder.leased.append(&mut holder.by_session);
        holder.lease = Some(until);
    }

    /// A peer's session is back: what it holds from before it holds until then.
    pub(crate) fn renew_lease(&mut self, peer: LdpId, until: Tick) {
        if let Some(lease) = self.holders.get_mut(&peer).and_then(|holder| holder.lease.as_mut()) {
            *lease = until;
        }
    }

    /// The peers that may send packets by the label.
    pub(crate) fn holders(&self, label: Label) -> impl Iterator<Item = LdpId> {
        let held = self.taken.get(&label).is_some_and(|taken| taken.holders > 0);
        let holders = self.holders.iter().filter(move |_| held);
        holders.filter(move |(_, holder)| holder.holds(label)).map(|(&peer, _)| peer)
    }

    /// The labels that stand for nothing any more, that no peer uses, and that have rested, since it was last asked.
    pub(crate) fn take_freed(&mut self) -> Vec<Label> {
        std::mem::take(&mut self.freed)
    }

    /// The labels that stand for nothing any more but that a peer may still use, with the FECs that they stood for.
    pub(crate) fn retired_of(&self, peer: LdpId) -> impl Iterator<Item = (Fec, Label)> {
        let holder = self.holders.get(&peer);
        let held = self.retired.iter().filter(move |&&label| holder.is_some_and(|h| h.holds(label)));
        held.filter_map(|&label| Some((self.taken.get(&label)?.fec, label)))
    }

    fn let_go(&mut self, now: Tick, label: Label) {
        if let Some(taken) = self.taken.get_mut(&label) {
            taken.holders = taken.holders.saturating_sub(1);
            self.rest(now, label);
        }
    }

    /// The label stands for nothing any more; whoever was told of it must release it.
    pub(crate) fn retire(&mut self, now: Tick, label: Label) {
        if self.taken.contains_key(&label) {
            self.retired.insert(label);
            self.rest(now, label);
        }
    }

    fn rest(&mut self, now: Tick, label: Label) {
        if self.taken.get(&label).is_some_and(|taken| taken.holders == 0) && self.retired.remove(&label) {
            self.taken.remove(&label);
            self.resting.push_back((now + self.hold, label));
        }
    }

    /// Ends leases and frees what has rested long enough, [`FREED_AT_ONCE`] labels at most; how many are free that were not.
    pub(crate) fn handle_timeout(&mut self, now: Tick) -> usize {
        let due = |holder: &Holder| holder.lease.is_some_and(|until| until <= now);
        let ended: Vec<LdpId> =
            self.holders.iter().filter(|(_, holder)| due(holder)).map(|(&peer, _)| peer).collect();
        for peer in ended {
            let Some(holder) = self.holders.get_mut(&peer) else { continue };
            holder.lease = None;
            for label in std::mem::take(&mut holder.leased) {
                self.let_go(now, label);
            }
            self.forget_if_idle(peer);
        }
        let mut freed = 0;
        if self.quarantine.take_if(|until| *until <= now).is_some() {
            freed += self.fresh.1 as usize;
        }
        while freed < FREED_AT_ONCE
            && let Some(&(_, label)) = self.resting.front().filter(|(at, _)| *at <= now)
        {
            self.resting.pop_front();
            self.freed.push(label);
            if self.range.contains(&label.value()) {
                self.recycled.push_back(label);
            }
            freed += 1;
        }
        freed
    }

    fn forget_if_idle(&mut self, peer: LdpId) {
        if self.holders.get(&peer).is_some_and(Holder::is_idle) {
            self.holders.remove(&peer);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Tick> {
        let leases = self.holders.values().filter_map(|holder| holder.lease);
        self.resting.front().map(|&(at, _)| at).into_iter().chain(self.quarantine).chain(leases).min()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn fec(n: u8) -> Fec {
        Fec(ipnet::IpNet::from(std::net::IpAddr::from([10, 0, 0, n])))
    }

    fn peer(n: u8) -> LdpId {
        LdpId::platform(Ipv4Addr::new(10, 255, 0, n))
    }

    fn label(value: u32) -> Label {
        Label::new(value).unwrap()
    }

    #[test]
    fn a_label_is_not_reused_before_all_have_released_it_and_it_has_rested() {
        let mut space = LabelSpace::new(&(label(16)..=label(17)), label(17), Duration::from_secs(30));
        assert_eq!(space.allocate(fec(1)), Some(label(17)));
        assert_eq!(space.allocate(fec(2)), Some(label(16)));
        assert_eq!(space.allocate(fec(3)), None);
        space.hold(label(17), peer(1));
        space.hold(label(17), peer(2));
        space.retire(Tick(0), label(17));
        space.release(Tick(1), label(17), peer(1));
        assert_eq!(space.poll_timeout(), None);
        space.release_all(Tick(2), peer(2));
        let free = Tick(2) + Duration::from_secs(30);
        assert_eq!(space.poll_timeout(), Some(free));
        assert_eq!(space.handle_timeout(Tick(free.0 - 1)), 0);
        assert_eq!(space.allocate(fec(3)), None);
        assert_eq!(space.handle_timeout(free), 1);
        assert_eq!(space.allocate(fec(3)), Some(label(17)));
    }

    #[test]
    fn reserved_labels_are_passed_over() {
        let mut space = LabelSpace::new(&(label(16)..=label(17)), label(16), Duration::ZERO);
        assert!(space.reserve(label(16), fec(1), Tick(0)));
        assert!(!space.reserve(label(16), fec(2), Tick(0)));
        assert!(!space.reserve(Label::IMPLICIT_NULL, fec(2), Tick(0)));
        assert_eq!(space.allocate(fec(2)), Some(label(17)));
        assert_eq!(space.allocate(fec(3)), None);
    }

    #[test]
    fn a_reserved_label_that_rests_is_not_taken_for_a_fresh_one() {
        let mut space = LabelSpace::new(&(label(16)..=label(17)), label(16), Duration::from_secs(1));
        assert!(space.reserve(label(16), fec(1), Tick(0)));
        space.retire(Tick(0), label(16));
        assert_eq!(space.allocate(fec(2)), Some(label(17)));
        assert_eq!(space.allocate(fec(3)), None);
    }

    #[test]
    fn what_the_speaker_before_told_nobody_gets_while_somebody_may_have_it() {
        let mut space = LabelSpace::new(&(label(16)..=label(16)), label(16), Duration::from_nanos(5));
        assert!(space.reserve(label(16), fec(1), Tick(100)));
        space.hold(label(16), peer(1));
        space.retire(Tick(1), label(16));
        space.release(Tick(2), label(16), peer(1));
        assert_eq!(space.handle_timeout(Tick(99)), 0);
        assert_eq!(space.handle_timeout(Tick(100)), 0);
        assert_eq!((space.allocate(fec(2)), space.take_freed()), (None, vec![]));
        assert_eq!(space.handle_timeout(Tick(105)), 1);
        assert_eq!((space.allocate(fec(2)), space.take_freed()), (Some(label(16)), vec![label(16)]));
    }

    #[test]
    fn in_quarantine_a_label_is_taken_over_and_none_is_given_out() {
        let mut space = LabelSpace::new(&(label(16)..=label(17)), label(16), Duration::from_nanos(5));
        space.quarantine(Tick(100));
        assert!(space.reserve(label(16), fec(1), Tick(100)));
        assert_eq!(space.allocate(fec(2)), None);
        assert_eq!(space.handle_timeout(Tick(104)), 0);
        assert_eq!((space.allocate(fec(2)), space.poll_timeout()), (None, Some(Tick(105))));
        assert_eq!(space.handle_timeout(Tick(105)), 2);
        assert_eq!(space.allocate(fec(2)), Some(label(17)));
    }

    #[test]
    fn a_peer_that_may_still_forward_keeps_its_labels_whatever_it_says() {
        let mut space = LabelSpace::new(&(label(16)..=label(16)), label(16), Duration::ZERO);
        assert_eq!(space.allocate(fec(1)), Some(label(16)));
        space.hold(label(16), peer(1));
        space.lease_all(peer(1), Tick(100));
        space.retire(Tick(1), label(16));
        assert_eq!(space.retired_of(peer(1)).collect::<Vec<_>>(), [(fec(1), label(16))]);
        space.release(Tick(2), label(16), peer(1));
        space.renew_lease(peer(1), Tick(50));
        assert_eq!(space.handle_timeout(Tick(49)), 0);
        assert_eq!(space.allocate(fec(2)), None);
        assert_eq!(space.poll_timeout(), Some(Tick(50)));
        assert_eq!(space.handle_timeout(Tick(50)), 1);
        assert_eq!(space.allocate(fec(2)), Some(label(16)));
    }
}
