//! The worker: takes bursts off all ports, has [`forward`] decide, sends, and does what the main thread asks in between.
//!
//! While there are frames, it makes no system call but those of sending a burst, allocates nothing and takes no lock. It
//! sleeps only when a round over all ports brought nothing.

use std::collections::VecDeque;
use std::mem::MaybeUninit;

use contract::counters::{IspSlot, Memory, PORT_SLOTS};
use contract::{Change, DropReason, PortId, Tick};
use forward::{Capacities, Charge, Departure, Forwarder, Options, Output};
use port::{Port, Statistics, TxOutcome};
use rustix::event::{Timespec, epoll};
use wire::frame::{Frame, FramePool};

use super::rings::{Command, Connection, Punted, Report, WorkerEnd};
use crate::clock::now;

/// Frames taken off a port at once.
const BURST: usize = 64;
/// Commands dealt with between two rounds over the ports, so that a replay of a million entries does not stop packets.
const COMMANDS: usize = 32;
/// Reports that a command or a round may need room for.
const REPORT_ROOM: usize = COMMANDS * 2 + BURST;
/// Buffers for frames.
const BUFFERS: u32 = 8192;
/// The longest frame: an IP MTU of 9216 octets, Ethernet header, two tags, some labels.
pub(super) const FRAME_LEN: usize = 9216 + 64;
/// After this many rounds without sleep, drops in the kernel are looked up (which takes a system call per port).
const STATISTICS_ROUNDS: u32 = 4096;
/// While frames were received since the last look-up, how long to sleep before it.
const STATISTICS_DELAY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Prefixes of subscribers: two million subscribers with an address and a prefix. Memory is used as they come, about 250
/// octets for each; what is reserved for the rest costs nothing but address space and two octets each.
const BINDINGS: usize = 1 << 22;
/// This worker's number.
const WORKER: usize = 0;
/// Stands for the wake-up event among the ports' numbers.
const WOKEN: u64 = u64::MAX;

/// All that the worker thread owns.
pub(super) struct Worker {
    tables: Forwarder<'static>,
    pool: FramePool,
    ports: Vec<Option<Open>>,
    /// The numbers of the ports that are open.
    open: Vec<PortId>,
    rings: WorkerEnd,
    connection: Connection,
    events: std::os::fd::OwnedFd,
    /// Frames just received; kept for its memory.
    received: Vec<Frame>,
    output: Output,
    /// What is left to say of what is installed, and the place of the next binding after that.
    dump: VecDeque<Change>,
    dumped: Option<u32>,
    memory: Memory<'static>,
    /// The main thread is to be woken.
    reported: bool,
    /// Busy rounds since statistics were counted.
    rounds: u32,
}

/// A port whose device is open.
struct Open {
    port: Box<dyn Port>,
    frames: Vec<Frame>,
    /// What is counted of each of them, and its length.
    charges: Vec<(Charge, usize)>,
    outcomes: Vec<TxOutcome>,
    /// What was counted of its device so far.
    counted: Statistics,
}

impl Worker {
    /// A worker without ports; the seed is the node's own ([`Options::seed`]).
    pub(super) fn new(rings: WorkerEnd, memory: Memory<'static>, seed: u64) -> std::io::Result<Self> {
        let capacities = Capacities { bindings: BINDINGS, ..Capacities::default() };
        let options = Options { capacities, seed };
        let tables = Forwarder::new(memory, WORKER, &options)
            .ok_or_else(|| std::io::Error::other("the counters have no place for this worker"))?;
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&events, &rings.woken, epoll::EventData::new_u64(WOKEN), epoll::EventFlags::IN)?;
        Ok(Self {
            tables,
            pool: FramePool::new(BUFFERS, FRAME_LEN),
            ports: (0..PORT_SLOTS).map(|_| None).collect(),
            open: Vec::with_capacity(PORT_SLOTS),
            rings,
            connection: Connection::default(),
            events,
            received: Vec::with_capacity(BURST),
            output: Output::default(),
            dump: VecDeque::new(),
            dumped: None,
            memory,
            reported: false,
            rounds: 0,
        })
    }

    /// Works until the main thread lets go of its end of the rings.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        while !self.rings.commands.is_abandoned() || !self.rings.commands.is_empty() {
            let busy = self.round(now());
            if busy {
                self.rounds += 1;
            }
            if self.rounds >= STATISTICS_ROUNDS {
                self.count_statistics();
            }
            self.reported |= self.rings.beat.answer();
            if self.reported {
                self.reported = false;
                self.rings.wake_main.notify_one();
            }
            if !busy {
                self.sleep()?;
            }
        }
        Ok(())
    }

    /// Once over commands and ports; whether there was anything to do.
    fn round(&mut self, now: Tick) -> bool {
        let mut busy = self.commands();
        busy |= self.say_installed();
        for at in 0..self.open.len() {
            busy |= self.receive(self.open[at], now);
        }
        busy
    }

    fn receive(&mut self, id: PortId, now: Tick) -> bool {
        let Some(open) = self.ports.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return false };
        let result = open.port.rx_burst(&mut self.pool, &mut self.received, BURST);
        if self.received.is_empty() {
            return result.more && !result.starved;
        }
        self.tables.process(now, id, &mut self.pool, self.received.drain(..), &mut self.output);
        self.dispatch();
        true
    }

    /// Sends and punts what a burst has become.
    fn dispatch(&mut self) {
        for Departure { port, frame, charge } in self.output.departures.drain(..) {
            match self.ports.get_mut(usize::from(port.0)).and_then(Option::as_mut) {
                Some(open) => {
                    open.charges.push((charge, frame.len()));
                    open.frames.push(frame);
                }
                None => {
                    self.pool.free(frame);
                    self.tables.refused(charge);
                }
            }
        }
        for &id in &self.open {
            let Some(open) = self.ports.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { continue };
            if !open.frames.is_empty() {
                open.send(&mut self.pool, &self.tables, id);
            }
        }
        self.punt();
        for unresolved in self.output.unresolved.drain(..) {
            // Rate-limited already, and said again when the next packet comes.
            if self.connection != Connection::default() && self.rings.reports.slots() > REPORT_ROOM {
                let _ = self.rings.reports.push((self.connection, Report::Unresolved(unresolved)));
                self.reported = true;
            }
        }
    }

    fn punt(&mut self) {
        for punt in self.output.punts.drain(..) {
            let empty =
                if self.connection == Connection::default() { None } else { self.rings.empties.pop().ok() };
            match empty {
                Some(mut buffer) => {
                    buffer.clear();
                    buffer.extend_from_slice(self.pool.octets(&punt.frame));
                    let (circuit, reason, connection) = (punt.circuit, punt.reason, self.connection);
                    // There is room: the ring is as long as there are buffers.
                    let _ = self.rings.punts.push(Punted { connection, circuit, reason, frame: buffer });
                    self.reported = true;
                    self.tables.punted(punt.circuit.port);
                }
                None => self.tables.punt_refused(punt.circuit.port),
            }
            self.pool.free(punt.frame);
        }
    }

    fn commands(&mut self) -> bool {
        let mut changes = 0;
        let mut busy = false;
        for _ in 0..COMMANDS {
            if self.rings.reports.slots() < REPORT_ROOM {
                break;
            }
            let Ok(command) = self.rings.commands.pop() else { break };
            busy = true;
            self.command(command, &mut changes);
        }
        if changes > 0 {
            self.report(Report::Applied(changes));
        }
        // The main thread may be waiting for room.
        self.reported |= busy;
        busy
    }

    fn command(&mut self, command: Command, changes: &mut u32) {
        match command {
            Command::Connected(connection) => {
                self.connection = connection;
                self.dump.clear();
                self.dumped = None;
                *changes = 0;
            }
            Command::Change(generation, change) => {
                *changes += 1;
                // A copy, since a refused change is said back; changes are no hot path.
                if let Err(error) = self.tables.apply(generation, change.clone()) {
                    self.report(Report::Refused(change, error));
                }
            }
            Command::EndOfReplay(end) => {
                let removed = self.tables.end_of_replay(end);
                tracing::info!(
                    "end of replay {} ({:?}): {removed} stale entries removed",
                    end.generation.0,
                    end.scope
                );
            }
            Command::ShowInstalled => {
                // Bindings come one by one: a million need no copy and no pause.
                self.dump = self.tables.installed_but_bindings().collect();
                self.dumped = Some(0);
            }
            Command::Transmit(circuit, octets) => {
                let Some(frame) = self.pool.alloc_from(&octets) else {
                    return drop_frames(&self.memory, circuit.port, DropReason::NoBuffer, 1);
                };
                self.tables.originate(&mut self.pool, circuit, frame, &mut self.output);
                self.dispatch();
            }
            Command::Open(id, port) => self.open(id, port),
            Command::Facts(id, facts) => self.tables.set_port(id, facts),
            Command::Close(id) => self.close(id),
        }
    }

    fn open(&mut self, id: PortId, port: Box<dyn Port>) {
        let Some(place) = self.ports.get_mut(usize::from(id.0)) else { return };
        if let Some(fd) = port.poll_fd() {
            let data = epoll::EventData::new_u64(id.0.into());
            if let Err(error) = epoll::add(&self.events, fd, data, epoll::EventFlags::IN) {
                tracing::error!("port {} cannot be waited for: {error}", id.0);
            }
        }
        *place = Some(Open {
            port,
            frames: Vec::with_capacity(BURST),
            charges: Vec::with_capacity(BURST),
            outcomes: Vec::with_capacity(BURST),
            counted: Statistics::default(),
        });
        if !self.open.contains(&id) {
            self.open.push(id);
        }
    }

    fn close(&mut self, id: PortId) {
        let Some(mut open) = self.ports.get_mut(usize::from(id.0)).and_then(Option::take) else { return };
        self.open.retain(|other| *other != id);
        count(&mut open, id, &self.memory);
        if let Some(fd) = open.port.poll_fd() {
            // It may be gone already; closing it removes it too.
            let _ = epoll::delete(&self.events, fd);
        }
        self.report(Report::Closed(open.port));
    }

    /// Says a part of what is installed, as much as there is room for; whether there was any.
    fn say_installed(&mut self) -> bool {
        let Some(mut place) = self.dumped else { return false };
        for _ in 0..COMMANDS.min(self.rings.reports.slots().saturating_sub(REPORT_ROOM)) {
            let next = self.dump.pop_front().or_else(|| {
                let (after, change) = self.tables.binding_from(place)?;
                place = after;
                Some(change)
            });
            self.dumped = next.is_some().then_some(place);
            match next {
                Some(change) => self.report(Report::Installed(change)),
                None => {
                    self.report(Report::InstalledEnd);
                    break;
                }
            }
        }
        // Without room there is nothing to do until the main thread has made some, which wakes this one.
        self.reported = true;
        self.rings.reports.slots() > REPORT_ROOM
    }

    fn report(&mut self, report: Report) {
        if self.rings.reports.push((self.connection, report)).is_err() {
            tracing::error!("a report to control was lost: the ring is shorter than it should be");
        }
        self.reported = true;
    }

    fn count_statistics(&mut self) {
        self.rounds = 0;
        for &id in &self.open {
            if let Some(open) = self.ports.get_mut(usize::from(id.0)).and_then(Option::as_mut) {
                count(open, id, &self.memory);
            }
        }
    }

    fn sleep(&mut self) -> std::io::Result<()> {
        let mut events = [const { MaybeUninit::uninit() }; 16];
        let timeout = (self.rounds > 0).then_some(&STATISTICS_DELAY);
        let (events, _) = match epoll::wait(&self.events, &mut events, timeout) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            waited => waited?,
        };
        if events.is_empty() {
            self.count_statistics();
        }
        for event in events {
            let (flags, data) = (event.flags, event.data.u64());
            match data {
                WOKEN => self.rings.woken.clear(),
                id if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) => {
                    let Ok(id) = u16::try_from(id).map(PortId) else { continue };
                    if let Some(open) = self.ports.get_mut(usize::from(id.0)).and_then(Option::as_mut) {
                        // Takes the error off the socket, or this would never sleep again. What happened to the device
                        // the main thread hears from netlink.
                        open.port.link();
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.output.clear(&mut self.pool);
        self.received.drain(..).for_each(|frame| self.pool.free(frame));
    }
}

impl Open {
    fn send(&mut self, pool: &mut FramePool, tables: &Forwarder<'_>, id: PortId) {
        self.port.tx_burst(pool, &mut self.frames, &mut self.outcomes);
        for ((charge, octets), outcome) in self.charges.drain(..).zip(self.outcomes.drain(..)) {
            match outcome {
                TxOutcome::Sent => tables.accepted(id, octets, charge),
                TxOutcome::Refused(_) => tables.refused(charge),
            }
        }
    }
}

/// Counts frames of no known ISP that were dropped here. This is the thread that writes these counters.
fn drop_frames(memory: &Memory<'static>, port: PortId, reason: DropReason, frames: u64) {
    if let Some(counters) = memory.worker(WORKER) {
        counters.drop(IspSlot::NONE, port, reason, frames);
    }
}

/// Adds what the device counted since the last time.
fn count(open: &mut Open, id: PortId, memory: &Memory<'static>) {
    let (before, now) = (open.counted, open.port.statistics());
    open.counted = now;
    for (reason, before, now) in [
        (DropReason::RxRingFull, before.ring_drops, now.ring_drops),
        (DropReason::BadOffload, before.bad_offload, now.bad_offload),
        (DropReason::TooLong, before.rx_too_long, now.rx_too_long),
    ] {
        if now > before {
            drop_frames(memory, id, reason, now - before);
        }
    }
}
