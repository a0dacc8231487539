//! Where counters are in the memory that forwarder, control and whoever reads them share.
//!
//! The memory is an array of 64-bit words: a header, a directory of ISPs and of ports, then one region per worker. A
//! word has one writer, which adds with a relaxed load and a relaxed store; a reader sums over the workers. Words only
//! grow. A slot, once given to an ISP or a port, stays its own for as long as the memory exists.
//!
//! What is counted is the IP packet, its length by its IP header. For each ISP and [`Point`] there is an account of it, in
//! packets and in octets:
//!
//! ```text
//! received + originated + extra fragments = sent + dropped + consumed + what is still queued
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{Asn, DropReason};

/// First word of the memory: "openmile" and the version of this layout.
pub const MAGIC: u64 = u64::from_be_bytes(*b"openmil2");
/// ISPs that have counters of their own.
pub const ISP_SLOTS: usize = 1024;
/// Ports that have counters of their own; a port's slot is its `PortId`.
pub const PORT_SLOTS: usize = 256;

/// Where a packet of an ISP is counted: once at each end of its LSP. An error of a transit node that the end of its LSP
/// turns round (RFC 3032 §2.3) is counted at the point by which it goes on, so that each account is one of one way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Point {
    /// Headend, accepted for a backbone port.
    HeadendToIsp,
    /// Headend, accepted for an access port.
    HeadendToSubscriber,
    /// Tailend, accepted for a handoff.
    TailendToIsp,
    /// Tailend, accepted for a backbone port.
    TailendToSubscriber,
}

impl Point {
    /// All points, in the order of their numbers.
    pub const ALL: [Self; 4] =
        [Self::HeadendToIsp, Self::HeadendToSubscriber, Self::TailendToIsp, Self::TailendToSubscriber];
}

/// One side of an account of packets and octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Tally {
    /// Arrived, and known to be this ISP's.
    Received,
    /// Accepted for transmission: what an ISP is billed by.
    Sent,
    /// Made by this node: ICMP errors and echo replies.
    Originated,
    /// What fragmentation added: fragments beyond a packet's first, and the octets that all of them have more than it had.
    ExtraFragments,
    /// Dropped, for one of the [`DropReason`]s.
    Dropped,
    /// Ended here: echo requests and the like, to addresses of this node's own.
    Consumed,
}

impl Tally {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Received, Self::Sent, Self::Originated, Self::ExtraFragments, Self::Dropped, Self::Consumed];
}

/// What is counted of a port's frames.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PortCounter {
    /// Frames received (after segmentation offload was undone).
    RxFrames,
    /// Octets in them, Ethernet header included, FCS not.
    RxOctets,
    /// Frames sent.
    TxFrames,
    /// Octets in them, Ethernet header included, FCS not.
    TxOctets,
    /// Frames handed to control.
    Punted,
    /// Frames that this node made and gave to this port: control's, ICMP messages, fragments beyond a packet's first.
    Originated,
    /// Label-switched (swapped) packets that arrived here.
    SwitchedPackets,
    /// Octets in them, by the length of the packet under the labels.
    SwitchedOctets,
    /// Frames that ended here: packets to addresses of this node's own.
    Consumed,
}

const HEADER_WORDS: usize = 8;
const DIRECTORY: usize = HEADER_WORDS;
const WORKERS: usize = DIRECTORY + ISP_SLOTS;
const PORT_COUNTERS: usize = 9;
/// Each point's tallies follow one another: what every packet adds to is on one cache line.
const POINT_WORDS: usize = Tally::ALL.len() * 2;
const POINTS_WORDS: usize = Point::ALL.len() * POINT_WORDS;
const ISP_WORDS: usize = POINTS_WORDS + DropReason::COUNT;
const PORT_WORDS: usize = PORT_COUNTERS + DropReason::COUNT;
const PORTS: usize = (ISP_SLOTS + 1) * ISP_WORDS;
const WORKER_WORDS: usize = PORTS + PORT_SLOTS * PORT_WORDS;

/// The memory's size in octets for this many workers.
pub const fn memory_len(workers: usize) -> usize {
    (WORKERS + workers * WORKER_WORDS) * size_of::<u64>()
}

/// The place of an ISP's counters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IspSlot(u16);

impl IspSlot {
    /// For packets that no ISP was found for, and for ISPs beyond [`ISP_SLOTS`].
    pub const NONE: Self = Self(0);
}

/// The shared words, all of them.
#[derive(Clone, Copy)]
pub struct Memory<'a>(&'a [AtomicU64]);

/// Packets and the octets in them, by their IP headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

/// Why the shared words cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Written by another version.
    #[error("the counters were laid out by another version of openmile, or are no counters")]
    Foreign,
    /// Fewer words than the header says.
    #[error("the counters' memory is cut short")]
    Short,
}

impl<'a> Memory<'a> {
    /// Lays out fresh (zero) words, or takes over words already laid out for as many workers.
    pub fn create(words: &'a [AtomicU64], workers: usize) -> Result<Self, LayoutError> {
        if words.len() * size_of::<u64>() < memory_len(workers) {
            return Err(LayoutError::Short);
        }
        match words[0].load(Relaxed) {
            0 => {
                for (word, value) in words[1..].iter().zip(Self::shape(workers)) {
                    word.store(value, Relaxed);
                }
                words[0].store(MAGIC, std::sync::atomic::Ordering::Release);
            }
            MAGIC if words[1..].iter().zip(Self::shape(workers)).all(|(w, v)| w.load(Relaxed) == v) => {}
            _ => return Err(LayoutError::Foreign),
        }
        Ok(Self(words))
    }

    /// Words that another process laid out.
    pub fn open(words: &'a [AtomicU64]) -> Result<Self, LayoutError> {
        let workers = match words.first_chunk::<HEADER_WORDS>() {
            None => return Err(LayoutError::Short),
            Some(header) if header[0].load(std::sync::atomic::Ordering::Acquire) == MAGIC => {
                header[4].load(Relaxed) as usize
            }
            Some(_) => return Err(LayoutError::Foreign),
        };
        if workers > 1024 {
            return Err(LayoutError::Foreign);
        }
        Self::create(words, workers)
    }

    fn shape(workers: usize) -> [u64; 4] {
        [ISP_SLOTS as u64, PORT_SLOTS as u64, DropReason::COUNT as u64, workers as u64]
    }

    /// How many workers count here.
    pub fn workers(&self) -> usize {
        self.0[4].load(Relaxed) as usize
    }

    /// The ISP's slot, given to it now if it had none. Only one thread of the forwarder calls this.
    pub fn assign(&self, isp: Asn) -> IspSlot {
        let stored = u64::from(isp.0) + 1;
        for (index, word) in self.directory().iter().enumerate() {
            match word.load(Relaxed) {
                0 => word.store(stored, std::sync::atomic::Ordering::Release),
                held if held != stored => continue,
                _ => {}
            }
            return IspSlot(index as u16 + 1);
        }
        IspSlot::NONE
    }

    /// All ISPs that have slots.
    pub fn isps(&self) -> impl Iterator<Item = (Asn, IspSlot)> + use<'a> {
        let directory: &'a [AtomicU64] = &self.0[DIRECTORY..WORKERS];
        directory.iter().enumerate().map_while(|(index, word)| {
            let asn = word.load(std::sync::atomic::Ordering::Acquire).checked_sub(1)?;
            Some((Asn(asn as u32), IspSlot(index as u16 + 1)))
        })
    }

    /// One worker's words; `None` for a worker that there is not.
    pub fn worker(&self, worker: usize) -> Option<WorkerCounters<'a>> {
        let at = WORKERS + worker * WORKER_WORDS;
        (worker < self.workers()).then(|| WorkerCounters(&self.0[at..at + WORKER_WORDS]))
    }

    /// Packets of an ISP that were accepted for transmission at a point.
    pub fn traffic(&self, isp: IspSlot, point: Point) -> Traffic {
        self.tally(isp, point, Tally::Sent)
    }

    /// One side of an ISP's account at a point.
    pub fn tally(&self, isp: IspSlot, point: Point, tally: Tally) -> Traffic {
        let at = tally_words(isp, point, tally);
        Traffic { packets: self.sum(at), octets: self.sum(at + 1) }
    }

    /// Drops of an ISP's packets ([`IspSlot::NONE`]: of packets of no known ISP), wherever they came in.
    pub fn isp_drops(&self, isp: IspSlot, reason: DropReason) -> u64 {
        self.sum(isp_words(isp) + POINTS_WORDS + reason as usize)
    }

    /// What a port counted; zero for a port beyond [`PORT_SLOTS`].
    pub fn port(&self, port: crate::PortId, counter: PortCounter) -> u64 {
        port_words(port).map_or(0, |at| self.sum(at + counter as usize))
    }

    /// Drops of what came in by a port.
    pub fn port_drops(&self, port: crate::PortId, reason: DropReason) -> u64 {
        port_words(port).map_or(0, |at| self.sum(at + PORT_COUNTERS + reason as usize))
    }

    fn directory(&self) -> &'a [AtomicU64] {
        &self.0[DIRECTORY..WORKERS]
    }

    fn sum(&self, word: usize) -> u64 {
        (0..self.workers()).map(|w| self.0[WORKERS + w * WORKER_WORDS + word].load(Relaxed)).sum()
    }
}

fn isp_words(isp: IspSlot) -> usize {
    usize::from(isp.0) * ISP_WORDS
}

fn tally_words(isp: IspSlot, point: Point, tally: Tally) -> usize {
    isp_words(isp) + point as usize * POINT_WORDS + tally as usize * 2
}

fn port_words(port: crate::PortId) -> Option<usize> {
    let index = usize::from(port.0);
    (index < PORT_SLOTS).then_some(PORTS + index * PORT_WORDS)
}

/// One worker's words: it alone adds to them.
#[derive(Clone, Copy)]
pub struct WorkerCounters<'a>(&'a [AtomicU64]);

impl WorkerCounters<'_> {
    /// Adds to one side of an ISP's account at a point.
    #[inline]
    pub fn count(&self, isp: IspSlot, point: Point, tally: Tally, packets: u64, octets: u64) {
        let at = tally_words(isp, point, tally);
        self.add(at, packets);
        self.add(at + 1, octets);
    }

    /// Counts `frames` drops by their reason, both for the ISP and for the port that the frames came in by. Where the
    /// packet is in an ISP's account, [`Tally::Dropped`] is counted besides.
    #[inline]
    pub fn drop(&self, isp: IspSlot, port: crate::PortId, reason: DropReason, frames: u64) {
        self.add(isp_words(isp) + POINTS_WORDS + reason as usize, frames);
        if let Some(at) = port_words(port) {
            self.add(at + PORT_COUNTERS + reason as usize, frames);
        }
    }

    /// Adds to what a port counts.
    #[inline]
    pub fn port(&self, port: crate::PortId, counter: PortCounter, amount: u64) {
        if let Some(at) = port_words(port) {
            self.add(at + counter as usize, amount);
        }
    }

    #[inline]
    fn add(&self, word: usize, amount: u64) {
        let word = &self.0[word];
        word.store(word.load(Relaxed).wrapping_add(amount), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PortId;

    fn words(workers: usize) -> Vec<AtomicU64> {
        (0..memory_len(workers) / 8).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn every_counter_has_a_word_of_its_own() {
        let words = words(2);
        let memory = Memory::create(&words, 2).unwrap();
        let (a, b) = (memory.assign(Asn(64501)), memory.assign(Asn(64502)));
        assert_eq!(memory.assign(Asn(64501)), a);
        assert_eq!(memory.isps().collect::<Vec<_>>(), [(Asn(64501), a), (Asn(64502), b)]);
        let (first, second) = (memory.worker(0).unwrap(), memory.worker(1).unwrap());
        assert!(memory.worker(2).is_none());
        first.count(a, Point::TailendToSubscriber, Tally::Sent, 1, 100);
        second.count(a, Point::TailendToSubscriber, Tally::Sent, 1, 50);
        first.count(a, Point::TailendToSubscriber, Tally::Consumed, 3, 30);
        first.count(b, Point::HeadendToIsp, Tally::Sent, 1, 7);
        let last = *DropReason::ALL.last().unwrap();
        second.drop(b, PortId(PORT_SLOTS as u16 - 1), last, 3);
        first.drop(IspSlot::NONE, PortId(0), DropReason::Truncated, 1);
        first.port(PortId(0), PortCounter::SwitchedOctets, 9);
        first.port(PortId(0), PortCounter::Consumed, 9);
        assert_eq!(memory.traffic(a, Point::TailendToSubscriber), Traffic { packets: 2, octets: 150 });
        assert_eq!(memory.traffic(b, Point::HeadendToIsp), Traffic { packets: 1, octets: 7 });
        let consumed = memory.tally(a, Point::TailendToSubscriber, Tally::Consumed);
        assert_eq!(consumed, Traffic { packets: 3, octets: 30 });
        assert_eq!(memory.isp_drops(b, last), 3);
        assert_eq!(memory.port_drops(PortId(PORT_SLOTS as u16 - 1), last), 3);
        assert_eq!(memory.isp_drops(IspSlot::NONE, DropReason::Truncated), 1);
        assert_eq!(memory.port(PortId(0), PortCounter::SwitchedOctets), 9);
        let nonzero = words[WORKERS..].iter().filter(|w| w.load(Relaxed) != 0).count();
        assert_eq!(nonzero, 2 + 2 + 2 + 2 + 2 + 2 + 1 + 1);
    }

    #[test]
    fn only_words_of_this_layout_are_taken_over() {
        let words = words(1);
        assert_eq!(Memory::open(&words).err(), Some(LayoutError::Foreign));
        Memory::create(&words, 1).unwrap().assign(Asn(5));
        assert_eq!(Memory::open(&words).unwrap().isps().count(), 1);
        assert_eq!(Memory::create(&words, 1).unwrap().isps().count(), 1);
        assert_eq!(Memory::open(&words[..100]).err(), Some(LayoutError::Short));
    }
}
