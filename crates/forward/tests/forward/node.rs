//! A forwarder with its pool, and everything that can be observed of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use contract::counters::{IspSlot, Memory, PORT_SLOTS, Point, PortCounter, Tally, Traffic, memory_len};
use contract::{Asn, Change, Circuit, DropReason, Generation, PortId, PortKind, PuntReason, Tick};
use forward::{Capacities, Forwarder, Options, Output, PortFacts, Unresolved};
use wire::MacAddr;
use wire::frame::FramePool;

pub(crate) const CAPACITIES: Capacities =
    Capacities { bindings: 64, incoming_labels: 64, handoffs: 16, return_routes: 32, isps: 16 };

/// The words that a node counts in.
pub(crate) fn words() -> Vec<AtomicU64> {
    (0..memory_len(1) / 8).map(|_| AtomicU64::new(0)).collect()
}

pub(crate) struct Node<'m> {
    pub(crate) forwarder: Forwarder<'m>,
    pub(crate) pool: FramePool,
    pub(crate) now: Tick,
    words: &'m [AtomicU64],
    memory: Memory<'m>,
    output: Output,
}

/// One counter that is not zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Counter {
    Packets(u32, Point, Tally),
    Octets(u32, Point, Tally),
    /// Zero for no ISP.
    IspDrop(u32, DropReason),
    Port(u16, &'static str),
    PortDrop(u16, DropReason),
}

pub(crate) type Counters = BTreeMap<Counter, u64>;

/// All that became of frames.
#[derive(PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) sent: Vec<(u16, Vec<u8>)>,
    pub(crate) punted: Vec<(Circuit, PuntReason, Vec<u8>)>,
    pub(crate) unresolved: Vec<Unresolved>,
}

impl<'m> Node<'m> {
    pub(crate) fn new(words: &'m [AtomicU64], seed: u64) -> Self {
        let memory = Memory::create(words, 1).unwrap();
        Self {
            forwarder: Forwarder::new(memory, 0, &Options { capacities: CAPACITIES, seed }).unwrap(),
            pool: FramePool::new(64, 2048),
            now: Tick(1_000_000_000_000),
            words,
            memory,
            output: Output::default(),
        }
    }

    pub(crate) fn port(&mut self, port: u16, kind: PortKind, mac: [u8; 6], mtu: u32, carrier: bool) {
        self.forwarder.set_port(PortId(port), Some(PortFacts { kind, mac: MacAddr(mac), mtu, carrier }));
    }

    pub(crate) fn install(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            let shown = format!("{change:?}");
            self.forwarder.apply(Generation(1), change).unwrap_or_else(|error| panic!("{shown}: {error}"));
        }
    }

    /// Processes frames as one burst; every departure is accepted, every punt handed over.
    pub(crate) fn take(&mut self, port: u16, frames: &[Vec<u8>]) -> Seen {
        let frames: Vec<_> = frames.iter().map(|octets| self.pool.alloc_from(octets).unwrap()).collect();
        self.forwarder.process(self.now, PortId(port), &mut self.pool, frames, &mut self.output);
        self.finish(true)
    }

    /// As [`Self::take`] of one frame, but no port accepts anything and control takes nothing.
    pub(crate) fn take_refused(&mut self, port: u16, frame: &[u8]) -> Seen {
        let frame = self.pool.alloc_from(frame).unwrap();
        self.forwarder.process(self.now, PortId(port), &mut self.pool, [frame], &mut self.output);
        self.finish(false)
    }

    pub(crate) fn originate(&mut self, circuit: Circuit, frame: &[u8]) -> Seen {
        let frame = self.pool.alloc_from(frame).unwrap();
        self.forwarder.originate(&mut self.pool, circuit, frame, &mut self.output);
        self.finish(true)
    }

    fn finish(&mut self, accept: bool) -> Seen {
        let mut seen = Seen::default();
        for departure in self.output.departures.drain(..) {
            let octets = self.pool.octets(&departure.frame).to_vec();
            self.pool.free(departure.frame);
            if accept {
                self.forwarder.accepted(departure.port, octets.len(), departure.charge);
                seen.sent.push((departure.port.0, octets));
            } else {
                self.forwarder.refused(departure.charge);
            }
        }
        for punt in self.output.punts.drain(..) {
            if accept {
                self.forwarder.punted(punt.circuit.port);
                seen.punted.push((punt.circuit, punt.reason, self.pool.octets(&punt.frame).to_vec()));
            } else {
                self.forwarder.punt_refused(punt.circuit.port);
            }
            self.pool.free(punt.frame);
        }
        seen.unresolved.append(&mut self.output.unresolved);
        assert_eq!(self.pool.available(), self.pool.capacity(), "all frames came back");
        self.balance();
        seen
    }

    /// Of frames: in + originated = out + dropped + consumed + punted. Of each ISP's packets and octets at each point:
    /// received + originated + extra fragments = sent + dropped + consumed.
    fn balance(&self) {
        let ports = || (0..PORT_SLOTS as u16).map(PortId);
        let sum = |counter| ports().map(|port| self.memory.port(port, counter)).sum::<u64>();
        let drops = |port| DropReason::ALL.iter().map(move |&reason| self.memory.port_drops(port, reason));
        let dropped: u64 = ports().flat_map(drops).sum();
        assert_eq!(
            sum(PortCounter::RxFrames) + sum(PortCounter::Originated),
            sum(PortCounter::TxFrames) + sum(PortCounter::Punted) + sum(PortCounter::Consumed) + dropped,
        );
        let by_isp: u64 = self
            .slots()
            .flat_map(|(_, slot)| {
                DropReason::ALL.iter().map(move |&reason| self.memory.isp_drops(slot, reason))
            })
            .sum();
        assert_eq!(by_isp, dropped);
        for (isp, slot) in self.memory.isps() {
            for point in Point::ALL {
                let sum = |tallies: [Tally; 3]| {
                    tallies.map(|tally| self.memory.tally(slot, point, tally)).into_iter().fold(
                        Traffic::default(),
                        |sum, tally| Traffic {
                            packets: sum.packets + tally.packets,
                            octets: sum.octets + tally.octets,
                        },
                    )
                };
                assert_eq!(
                    sum([Tally::Received, Tally::Originated, Tally::ExtraFragments]),
                    sum([Tally::Sent, Tally::Dropped, Tally::Consumed]),
                    "{isp} {point:?}"
                );
            }
            let dropped = Point::ALL.map(|point| self.memory.tally(slot, point, Tally::Dropped).packets);
            let reasons = DropReason::ALL.iter().map(|&reason| self.memory.isp_drops(slot, reason));
            assert_eq!(dropped.iter().sum::<u64>(), reasons.sum::<u64>(), "{isp}: every drop has its reason");
        }
    }

    fn slots(&self) -> impl Iterator<Item = (u32, IspSlot)> {
        std::iter::once((0, IspSlot::NONE)).chain(self.memory.isps().map(|(Asn(isp), slot)| (isp, slot)))
    }

    /// Every counter that is not zero. Asserts that no word is anything else.
    pub(crate) fn counters(&self) -> Counters {
        let mut all = Counters::new();
        for (isp, slot) in self.slots() {
            for point in Point::ALL {
                for tally in Tally::ALL {
                    let traffic = self.memory.tally(slot, point, tally);
                    all.insert(Counter::Packets(isp, point, tally), traffic.packets);
                    all.insert(Counter::Octets(isp, point, tally), traffic.octets);
                }
            }
            for &reason in DropReason::ALL {
                all.insert(Counter::IspDrop(isp, reason), self.memory.isp_drops(slot, reason));
            }
        }
        for port in 0..PORT_SLOTS as u16 {
            for (counter, name) in PORT_COUNTERS {
                all.insert(Counter::Port(port, name), self.memory.port(PortId(port), counter));
            }
            for &reason in DropReason::ALL {
                all.insert(Counter::PortDrop(port, reason), self.memory.port_drops(PortId(port), reason));
            }
        }
        all.retain(|_, count| *count > 0);
        let words = &self.words[memory_len(0) / 8..];
        assert_eq!(all.values().sum::<u64>(), words.iter().map(|word| word.load(Relaxed)).sum::<u64>());
        all
    }
}

const PORT_COUNTERS: [(PortCounter, &str); 9] = [
    (PortCounter::RxFrames, "rx_frames"),
    (PortCounter::RxOctets, "rx_octets"),
    (PortCounter::TxFrames, "tx_frames"),
    (PortCounter::TxOctets, "tx_octets"),
    (PortCounter::Punted, "punted"),
    (PortCounter::Originated, "originated"),
    (PortCounter::SwitchedPackets, "switched_packets"),
    (PortCounter::SwitchedOctets, "switched_octets"),
    (PortCounter::Consumed, "consumed"),
];

/// Gives a node one frame and compares what is sent, octet for octet, and every counter but those of received and sent
/// frames, which follow from it: these grew by so much.
pub(crate) fn check_grown(
    name: &str,
    node: &mut Node<'_>,
    port: u16,
    frame: &[u8],
    sent: &[(u16, Vec<u8>)],
    grown: &[(Counter, u64)],
) {
    let mut counters = node.counters();
    let seen = node.take(port, &[frame.to_vec()]);
    assert_eq!(seen, Seen { sent: sent.to_vec(), ..Seen::default() }, "{name}");
    let mut count = |counter, amount| *counters.entry(counter).or_default() += amount;
    count(Counter::Port(port, "rx_frames"), 1);
    count(Counter::Port(port, "rx_octets"), frame.len() as u64);
    for (by, octets) in sent {
        count(Counter::Port(*by, "tx_frames"), 1);
        count(Counter::Port(*by, "tx_octets"), octets.len() as u64);
    }
    grown.iter().for_each(|&(counter, amount)| count(counter, amount));
    assert_eq!(node.counters(), counters, "{name}");
}

/// Both counters of a part of an account.
pub(crate) fn account(
    isp: u32,
    point: Point,
    tally: Tally,
    packets: u64,
    octets: u64,
) -> [(Counter, u64); 2] {
    [(Counter::Packets(isp, point, tally), packets), (Counter::Octets(isp, point, tally), octets)]
}

/// What a row expects of its one frame.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// Sent by this port, an ISP's packet of so many octets.
    Sent(u16, Vec<u8>, (u32, Point, u64)),
    /// Label-switched to this port, a packet of so many octets.
    Switched(u16, Vec<u8>, u64),
    /// For control, from this circuit, as this frame.
    Punted(Circuit, PuntReason, Vec<u8>),
    /// Dropped; the ISP, or zero.
    Dropped(u32, DropReason),
}

/// Gives a node one frame and compares all that becomes of it: what is sent and punted, octet for octet, and every
/// counter.
pub(crate) fn check(name: &str, node: &mut Node<'_>, port: u16, frame: &[u8], expected: Expected) {
    let before = node.counters();
    let mut seen = node.take(port, &[frame.to_vec()]);
    seen.unresolved.clear();
    let mut counters = before;
    let mut count = |counter, amount| *counters.entry(counter).or_default() += amount;
    count(Counter::Port(port, "rx_frames"), 1);
    count(Counter::Port(port, "rx_octets"), frame.len() as u64);
    let mut wanted = Seen::default();
    match expected {
        Expected::Sent(by, octets, (isp, point, ip)) => {
            count(Counter::Port(by, "tx_frames"), 1);
            count(Counter::Port(by, "tx_octets"), octets.len() as u64);
            for tally in [Tally::Received, Tally::Sent] {
                count(Counter::Packets(isp, point, tally), 1);
                count(Counter::Octets(isp, point, tally), ip);
            }
            wanted.sent.push((by, octets));
        }
        Expected::Switched(by, octets, ip) => {
            count(Counter::Port(by, "tx_frames"), 1);
            count(Counter::Port(by, "tx_octets"), octets.len() as u64);
            count(Counter::Port(port, "switched_packets"), 1);
            count(Counter::Port(port, "switched_octets"), ip);
            wanted.sent.push((by, octets));
        }
        Expected::Punted(circuit, reason, octets) => {
            count(Counter::Port(port, "punted"), 1);
            wanted.punted.push((circuit, reason, octets));
        }
        Expected::Dropped(isp, reason) => {
            count(Counter::IspDrop(isp, reason), 1);
            count(Counter::PortDrop(port, reason), 1);
            if isp != 0 {
                count_dropped(node, isp, counters.clone(), &mut counters);
            }
        }
    }
    counters.retain(|_, count| *count > 0);
    assert_eq!(seen, wanted, "{name}");
    assert_eq!(node.counters(), counters, "{name}");
}

/// Adds a packet that an ISP's account received and dropped: at one point, whichever the node says, with all its octets.
fn count_dropped(node: &Node<'_>, isp: u32, before: Counters, counters: &mut Counters) {
    let now = node.counters();
    let of = |counters: &Counters, counter| counters.get(&counter).copied().unwrap_or_default();
    let grown = |counter| of(&now, counter) - of(&before, counter);
    let mut points = Point::ALL.into_iter().filter(|&p| grown(Counter::Packets(isp, p, Tally::Received)) > 0);
    let point = points.next().expect("the drop of an ISP's packet is in its account");
    let octets = grown(Counter::Octets(isp, point, Tally::Received));
    for tally in [Tally::Received, Tally::Dropped] {
        *counters.entry(Counter::Packets(isp, point, tally)).or_default() += 1;
        *counters.entry(Counter::Octets(isp, point, tally)).or_default() += octets;
    }
}
