//! How often control is told and ICMP is sent, so that no subscriber, neighbour or scanner can keep control, this worker or
//! a third party busy.

use std::hash::BuildHasher;
use std::net::IpAddr;

use contract::counters::PORT_SLOTS;
use contract::{Circuit, PuntReason, Tick};
use foldhash::fast::FixedState;

use crate::tables::IspIndex;

/// A rate with a burst.
struct Rate {
    interval: u64,
    tolerance: u64,
}

impl Rate {
    const fn new(per_second: u64, burst: u64) -> Self {
        let interval = 1_000_000_000 / per_second;
        Self { interval, tolerance: interval * (burst - 1) }
    }
}

/// A token bucket, kept as the time at which it will be full again (the "virtual scheduling" form of the leaky bucket,
/// ITU-T I.371 annex A): one word, and nothing to refill.
#[derive(Clone, Copy, Default)]
struct Bucket(u64);

impl Bucket {
    fn take(&mut self, now: Tick, rate: &Rate) -> bool {
        let full_at = self.0.max(now.0);
        let taken = full_at - now.0 <= rate.tolerance;
        if taken {
            self.0 = full_at.saturating_add(rate.interval);
        }
        taken
    }
}

/// One circuit and reason: a shared segment of a thousand subscribers refreshes its neighbour caches some 50 times a
/// second; a flood on one line leaves nine tenths of [`PORT`] to the others.
const CIRCUIT: Rate = Rate::new(200, 200);
/// One port and reason.
const PORT: Rate = Rate::new(2000, 2000);
/// Notices about one binding: as often as a neighbour is solicited (RetransTimer, RFC 4861 §10).
const BINDING: Rate = Rate::new(1, 1);
/// Notices in all.
const NOTICES: Rate = Rate::new(500, 500);

/// ICMP of one kind to one sender: a line or handoff, or an address under a label. A trace of many probes at once needs some
/// 50 answers in a burst, a diagnosis with several of them a few in a second; nobody needs more of the same.
const SENDER: Rate = Rate::new(100, 100);
/// ICMP of one kind in one ISP's name: a thousand lines in trouble at once hear of it within a second, while even all the
/// ISPs of a large node together cannot make it a source of more than a fraction of the packets that it forwards.
const ISP: Rate = Rate::new(1000, 1000);

/// Senders share these buckets by their hash.
const SENDER_BUCKETS: usize = 4096;

/// Circuits share these buckets by their hash.
const CIRCUIT_BUCKETS: usize = 4096;
/// Bindings share these places by their row; a binding that takes another's place may be noticed early.
const NOTICE_PLACES: usize = 4096;

const REASONS: usize = PuntReason::LoopbackDestination as usize + 1;

/// ICMP that is limited by itself: a flood of pings leaves errors to others, and the other way round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum AnswerKind {
    /// Errors.
    Error,
    /// Echo replies.
    Reply,
}

/// Who is answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Sender {
    /// A subscriber's line or a handoff.
    Circuit(Circuit),
    /// An address of an ISP's, where the packet came under a label.
    Address(IspIndex, IpAddr),
}

/// Limits of frames and notices to control and of ICMP. One worker's own.
pub(crate) struct Limits {
    senders: Vec<Bucket>,
    isps: Vec<[Bucket; 2]>,
    ports: Vec<[Bucket; REASONS]>,
    circuits: Vec<Bucket>,
    bindings: Vec<(u32, Bucket)>,
    notices: Bucket,
}

impl Limits {
    /// Limits for this many ISPs.
    pub(crate) fn new(isps: usize) -> Self {
        Self {
            senders: vec![Bucket::default(); SENDER_BUCKETS],
            isps: vec![Default::default(); isps],
            ports: vec![Default::default(); PORT_SLOTS],
            circuits: vec![Bucket::default(); CIRCUIT_BUCKETS],
            bindings: vec![(u32::MAX, Bucket::default()); NOTICE_PLACES],
            notices: Bucket::default(),
        }
    }

    /// Whether control gets this frame. A circuit over its own limit takes nothing from its port's.
    pub(crate) fn punt(&mut self, now: Tick, circuit: Circuit, reason: PuntReason) -> bool {
        let hash = FixedState::default().hash_one((circuit, reason));
        let own = self.circuits.get_mut(hash as usize % CIRCUIT_BUCKETS);
        let port =
            self.ports.get_mut(usize::from(circuit.port.0)).and_then(|port| port.get_mut(reason as usize));
        match (own, port) {
            (Some(own), Some(port)) => own.take(now, &CIRCUIT) && port.take(now, &PORT),
            _ => false,
        }
    }

    /// Whether a packet of this ISP's gets an answer. A sender over its own limit takes nothing from its ISP's.
    pub(crate) fn answer(&mut self, now: Tick, to: Sender, isp: IspIndex, kind: AnswerKind) -> bool {
        let hash = FixedState::default().hash_one((to, kind));
        let own = self.senders.get_mut(hash as usize % SENDER_BUCKETS);
        let isp = self.isps.get_mut(isp.place()).and_then(|isp| isp.get_mut(kind as usize));
        match (own, isp) {
            (Some(own), Some(isp)) => own.take(now, &SENDER) && isp.take(now, &ISP),
            _ => false,
        }
    }

    /// Whether control is told that the binding in this row lacks an Ethernet address.
    pub(crate) fn unresolved(&mut self, now: Tick, row: u32) -> bool {
        let Some((held, bucket)) = self.bindings.get_mut(row as usize % NOTICE_PLACES) else { return false };
        if *held != row {
            (*held, *bucket) = (row, Bucket::default());
        }
        bucket.take(now, &BINDING) && self.notices.take(now, &NOTICES)
    }
}

const _: () = assert!(size_of::<Bucket>() == 8);

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{PortId, VlanId, VlanTags};
    use std::time::Duration;

    fn circuit(port: u16, vlan: u16) -> Circuit {
        Circuit { port: PortId(port), tags: VlanTags::Single(VlanId::new(vlan).unwrap()) }
    }

    fn taken(limits: &mut Limits, now: Tick, circuit: Circuit, reason: PuntReason) -> usize {
        (0..10_000).filter(|_| limits.punt(now, circuit, reason)).count()
    }

    #[test]
    fn a_flood_on_one_line_leaves_the_port_to_the_others() {
        let mut limits = Limits::new(2);
        let now = Tick(5);
        assert_eq!(taken(&mut limits, now, circuit(1, 1), PuntReason::Arp), 200);
        assert_eq!(taken(&mut limits, now, circuit(1, 2), PuntReason::Arp), 200);
        assert_eq!(taken(&mut limits, now, circuit(1, 1), PuntReason::NeighborDiscovery), 200);
        let later = now + Duration::from_millis(100);
        assert_eq!(taken(&mut limits, later, circuit(1, 1), PuntReason::Arp), 20);
        let all: usize =
            (1..4095).map(|vlan| taken(&mut limits, later, circuit(2, vlan), PuntReason::Arp)).sum();
        assert_eq!(all, 2000);
    }

    #[test]
    fn a_flood_of_one_sender_leaves_its_isps_answers_to_others() {
        let mut limits = Limits::new(2);
        let (now, mut isps) = (Tick(5), (0..).map(IspIndex::new));
        let (alpha, beta, none) = (isps.next().unwrap(), isps.next().unwrap(), isps.next().unwrap());
        let mut taken =
            |now, sender, isp, kind| (0..2000).filter(|_| limits.answer(now, sender, isp, kind)).count();
        let line = |vlan| Sender::Circuit(circuit(1, vlan));
        let host = Sender::Address(alpha, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(taken(now, line(1), alpha, AnswerKind::Error), 100);
        assert_eq!(taken(now, line(1), alpha, AnswerKind::Reply), 100);
        assert_eq!(taken(now, host, alpha, AnswerKind::Error), 100);
        assert_eq!(taken(now, line(2), none, AnswerKind::Error), 0, "no such ISP");
        let all: usize = (2..300).map(|vlan| taken(now, line(vlan), alpha, AnswerKind::Error)).sum();
        assert_eq!(all, 800, "a thousand in all");
        assert_eq!(taken(now, line(4000), beta, AnswerKind::Error), 100);
        assert_eq!(taken(now + Duration::from_millis(50), line(1), alpha, AnswerKind::Error), 5);
    }

    #[test]
    fn a_binding_is_noticed_once_a_second_and_all_of_them_within_a_limit() {
        let mut limits = Limits::new(2);
        let mut now = Tick(1);
        assert!(limits.unresolved(now, 7) && !limits.unresolved(now, 7) && limits.unresolved(now, 8));
        now = now + Duration::from_secs(1);
        assert!(limits.unresolved(now, 7));
        now = now + Duration::from_secs(1);
        assert_eq!((0..100_000).filter(|&row| limits.unresolved(now, row)).count(), 500);
    }
}
