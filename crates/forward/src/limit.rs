//! How often control is told, so that no subscriber, neighbour or scanner can keep it busy.

use std::hash::BuildHasher;

use contract::counters::PORT_SLOTS;
use contract::{Circuit, PuntReason, Tick};
use foldhash::fast::FixedState;

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

/// Circuits share these buckets by their hash.
const CIRCUIT_BUCKETS: usize = 4096;
/// Bindings share these places by their row; a binding that takes another's place may be noticed early.
const NOTICE_PLACES: usize = 4096;

const REASONS: usize = PuntReason::LoopbackDestination as usize + 1;

/// Limits of frames and notices to control. One worker's own.
pub(crate) struct Limits {
    ports: Vec<[Bucket; REASONS]>,
    circuits: Vec<Bucket>,
    bindings: Vec<(u32, Bucket)>,
    notices: Bucket,
}

impl Limits {
    pub(crate) fn new() -> Self {
        Self {
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
        let mut limits = Limits::new();
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
    fn a_binding_is_noticed_once_a_second_and_all_of_them_within_a_limit() {
        let mut limits = Limits::new();
        let mut now = Tick(1);
        assert!(limits.unresolved(now, 7) && !limits.unresolved(now, 7) && limits.unresolved(now, 8));
        now = now + Duration::from_secs(1);
        assert!(limits.unresolved(now, 7));
        now = now + Duration::from_secs(1);
        assert_eq!((0..100_000).filter(|&row| limits.unresolved(now, row)).count(), 500);
    }
}
