//! Packets with numbers: each goes from a subscriber to whichever ISP the network takes it to, and that ISP answers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use port::{AfPacket, Port, TxOutcome};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::MacAddr;
use wire::frame::FramePool;

use crate::SUBSCRIBERS;
use crate::frames::{ethernet, ipv4};
use crate::place::Place;

/// Packets under way: fewer than any ring on the way holds, so that a slow machine loses none.
const WINDOW: usize = 128;
/// A host of every ISP.
const SERVICE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The handoffs' next hop.
const NEXT_HOP: [u8; 4] = [192, 0, 2, 2];
/// Marks a packet of the test's.
const MARK: [u8; 4] = *b"move";
/// Numbers of packets that only try whether there is a way.
const TRIAL: u32 = 1 << 31;

/// A subscriber's line.
pub(crate) struct Line {
    pub(crate) outer: u16,
    pub(crate) inner: u16,
    pub(crate) mac: MacAddr,
    pub(crate) address: Ipv4Addr,
}

/// The line of the subscriber of this number.
pub(crate) fn line(n: u32) -> Line {
    let [_, _, high, low] = n.to_be_bytes();
    Line {
        outer: 1 + (n / 4000) as u16,
        inner: 1 + (n % 4000) as u16,
        mac: MacAddr([2, 0, 0, 1, high, low]),
        address: Ipv4Addr::from_bits(0x6440_0100 + n),
    }
}

/// The far end of a cable.
struct End {
    port: AfPacket,
    pool: FramePool,
}

impl End {
    fn open(place: &Place, device: &str) -> Self {
        let port = place.outside.run(|| AfPacket::options(device).open().unwrap());
        Self { port, pool: FramePool::new(512, 4000) }
    }

    fn send(&mut self, octets: &[u8]) {
        let mut frames = vec![self.pool.alloc_from(octets).unwrap()];
        let mut outcomes = Vec::new();
        self.port.tx_burst(&mut self.pool, &mut frames, &mut outcomes);
        assert_eq!(outcomes, [TxOutcome::Sent]);
    }

    fn receive(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        self.port.rx_burst(&mut self.pool, &mut frames, 64);
        let octets = frames.iter().map(|frame| self.pool.octets(frame).to_vec()).collect();
        frames.into_iter().for_each(|frame| self.pool.free(frame));
        octets
    }
}

/// All ends, and what became of each packet.
pub(crate) struct Traffic {
    line: End,
    isps: [End; 2],
    headend: MacAddr,
    next: u32,
    /// Packets on their way: whose, by which ISP they went (once they did).
    under_way: BTreeMap<u32, Option<usize>>,
    /// Packets whose answers have come, by ISP.
    done: [u32; 2],
    trials: u32,
}

impl Traffic {
    pub(crate) fn new(place: &Place, headend: MacAddr) -> Self {
        Self {
            line: End::open(place, "line1far"),
            isps: ["isp0far", "isp1far"].map(|device| End::open(place, device)),
            headend,
            next: 0,
            under_way: BTreeMap::new(),
            done: [0; 2],
            trials: 0,
        }
    }

    /// Answers for the next hops until this is so.
    pub(crate) fn answer_until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..1000 {
            if is_so() {
                return;
            }
            self.turn(100);
        }
        panic!("{what}: not for long");
    }

    /// Until the first and the last subscriber's packets get through: then everybody's do.
    pub(crate) fn warm_up(&mut self) {
        for subscriber in [0, SUBSCRIBERS - 1] {
            let before = self.trials;
            let mut tries = 0;
            while self.trials == before {
                assert!(tries < 1000, "no packet of subscriber {subscriber} comes through");
                tries += 1;
                self.send(subscriber, TRIAL | subscriber);
                self.turn(100);
            }
            // Answers to the others are out of the way before anything counts.
            for _ in 0..20 {
                self.turn(50);
            }
        }
    }

    /// Sends packets of all subscribers in turn for as long as this says so, and waits for all answers.
    pub(crate) fn run(&mut self, go_on: impl Fn(u32) -> bool) {
        while go_on(self.next) {
            while self.under_way.len() < WINDOW {
                // Not in the order of the moves.
                let subscriber = (u64::from(self.next) * 7919 % u64::from(SUBSCRIBERS)) as u32;
                self.under_way.insert(self.next, None);
                self.send(subscriber, self.next);
                self.next += 1;
            }
            self.turn(1000);
        }
        let mut silent = 0;
        while !self.under_way.is_empty() && silent < 20 {
            silent = if self.turn(1000) { 0 } else { silent + 1 };
        }
    }

    /// Nothing is missing: how many packets there were, and how many of them went to the first ISP.
    pub(crate) fn check(&self) -> (u32, u32) {
        assert!(self.under_way.is_empty(), "lost, and by which ISP they went: {:?}", self.under_way);
        (self.done[0] + self.done[1], self.done[0])
    }

    /// One packet of each subscriber: how many went to which ISP.
    pub(crate) fn round(&mut self) -> (u32, u32) {
        let (before, until) = (self.done, self.next + SUBSCRIBERS);
        self.run(|sent| sent < until - WINDOW as u32);
        // The window may have been filled beyond.
        while self.next < until {
            let subscriber = (u64::from(self.next) * 7919 % u64::from(SUBSCRIBERS)) as u32;
            self.under_way.insert(self.next, None);
            self.send(subscriber, self.next);
            self.next += 1;
            self.turn(1000);
        }
        self.run(|_| false);
        self.check();
        (self.done[0] - before[0], self.done[1] - before[1])
    }

    fn send(&mut self, subscriber: u32, number: u32) {
        let line = line(subscriber);
        let payload = payload(subscriber, number);
        let tags = [(0x88a8, line.outer), (0x8100, line.inner)];
        let packet = ipv4(line.address, SERVICE, 64, &payload);
        self.line.send(&ethernet(self.headend, line.mac, &tags, 0x0800, &packet));
    }

    /// Takes what has come, waiting for it at most this many milliseconds; whether anything came.
    fn turn(&mut self, milliseconds: i64) -> bool {
        self.wait(milliseconds);
        let mut any = false;
        for isp in 0..self.isps.len() {
            for frame in self.isps[isp].receive() {
                any = true;
                self.at_isp(isp, &frame);
            }
        }
        for frame in self.line.receive() {
            any = true;
            self.at_subscriber(&frame);
        }
        any
    }

    fn wait(&self, milliseconds: i64) {
        let ends = [&self.line, &self.isps[0], &self.isps[1]];
        let fds = ends.map(|end| end.port.poll_fd().unwrap());
        let mut fds = fds.each_ref().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        let timeout = Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 };
        poll(&mut fds, Some(&timeout)).unwrap();
    }

    fn at_isp(&mut self, isp: usize, frame: &[u8]) {
        let (mac, from) = (self.isps[isp].port.mac(), MacAddr(frame[6..12].try_into().unwrap()));
        if frame[12..14] == [0x08, 0x06] {
            // A request for the next hop.
            if frame[20..22] == [0, 1] && frame[38..42] == NEXT_HOP {
                let mut answer = frame[14..20].to_vec();
                answer.extend([0, 2]);
                answer.extend(mac.0);
                answer.extend(NEXT_HOP);
                answer.extend(&frame[22..32]);
                self.isps[isp].send(&ethernet(from, mac, &[], 0x0806, &answer));
            }
            return;
        }
        let Some((subscriber, number)) = marked(frame, 14) else { return };
        let source: [u8; 4] = frame[26..30].try_into().unwrap();
        assert_eq!(Ipv4Addr::from(source), line(subscriber).address);
        if number & TRIAL == 0 {
            let went = self.under_way.get_mut(&number).unwrap_or_else(|| panic!("{number} came once more"));
            assert_eq!(went.replace(isp), None, "{number} came twice");
        }
        let packet = ipv4(SERVICE, source.into(), 64, &payload(subscriber, number));
        self.isps[isp].send(&ethernet(from, mac, &[], 0x0800, &packet));
    }

    fn at_subscriber(&mut self, frame: &[u8]) {
        let Some((subscriber, number)) = marked(frame, 22) else { return };
        let line = line(subscriber);
        assert_eq!(frame[0..6], line.mac.0, "{number}");
        let tags = [frame[14..16].to_vec(), frame[18..20].to_vec()].concat();
        assert_eq!(tags, [line.outer.to_be_bytes(), line.inner.to_be_bytes()].concat(), "{number}");
        if number & TRIAL != 0 {
            self.trials += 1;
            return;
        }
        match self.under_way.remove(&number) {
            Some(Some(isp)) => self.done[isp] += 1,
            other => panic!("an answer to {number}, which is {other:?}"),
        }
    }
}

fn payload(subscriber: u32, number: u32) -> Vec<u8> {
    let mut payload = [&MARK[..], &subscriber.to_be_bytes(), &number.to_be_bytes()].concat();
    payload.resize(64, 0);
    payload
}

/// The subscriber and the number of a packet of the test's, whose IP header is here.
fn marked(frame: &[u8], ip: usize) -> Option<(u32, u32)> {
    let payload = frame.get(ip + 28..ip + 40)?;
    let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    (payload[..4] == MARK).then(|| (number(4), number(8)))
}
