//! The forwarder: tables, a burst's way through them, and what is counted.

use contract::counters::{IspSlot, Memory, PortCounter, Tally, WorkerCounters};
use contract::{
    Change, ChangeError, Circuit, DropReason, EndOfReplay, Generation, PortId, PortKind, PuntReason, Tick,
};
use wire::frame::{Frame, FramePool};
use wire::icmp::IcmpError;
use wire::{MacAddr, VlanTags};

use crate::access_in::access_in;
use crate::access_out::access_out;
use crate::answer::{self, Answer, Answered};
use crate::classify::{self, Arrival, classify};
use crate::depart::{Books, depart};
use crate::handoff_in::handoff_in;
use crate::handoff_out::handoff_out;
use crate::impose::{Entry, impose};
use crate::label_switch::{Switched, label_switch};
use crate::leave::retag;
use crate::limit::Limits;
use crate::output::{Charge, ChargeKind, Departure, Output, Punt, Unresolved};
use crate::packet::{Packet, Passage, Stop};
use crate::tables::{Capacities, Tables};

/// A port as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortFacts {
    /// What is behind it.
    pub kind: PortKind,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Octets that may follow an untagged Ethernet header: labels count, VLAN tags and FCS do not.
    pub mtu: u32,
    /// Whether it is up and has a carrier.
    pub carrier: bool,
}

const _: () = assert!(size_of::<Option<PortFacts>>() <= 16, "a port's facts are read for every packet");

/// How a forwarder is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// How much the tables hold.
    pub capacities: Capacities,
    /// A number of this node's own (such as its LSR-id), the same after a restart: among equal-cost ways, neighbouring
    /// nodes must not choose alike.
    pub seed: u64,
}

/// One worker: tables, limits, counters.
pub struct Forwarder<'m> {
    tables: Tables,
    memory: Memory<'m>,
    counters: WorkerCounters<'m>,
    limits: Limits,
    seed: u64,
}

impl<'m> Forwarder<'m> {
    /// A forwarder with empty tables that counts in this worker's words; `None` for a worker that the memory was not
    /// laid out for.
    pub fn new(memory: Memory<'m>, worker: usize, options: &Options) -> Option<Self> {
        Some(Self {
            tables: Tables::new(&options.capacities),
            counters: memory.worker(worker)?,
            memory,
            limits: Limits::new(options.capacities.isps),
            seed: options.seed,
        })
    }

    /// The highest generation that anything installed has, or that a replay had.
    pub fn generation(&self) -> Generation {
        self.tables.generation()
    }

    /// A port as it is now; `None` where it is not open. Ports beyond the contract's number of slots are not taken.
    pub fn set_port(&mut self, port: PortId, facts: Option<PortFacts>) {
        self.tables.set_port(port, facts);
    }

    /// Installs or removes an entry. Refused changes leave everything as it was. Changes of an earlier generation than
    /// one already seen are refused.
    ///
    /// [`Change::Port`] is kept for [`Self::installed`] only: whoever opens the port calls [`Self::set_port`].
    pub fn apply(&mut self, generation: Generation, change: Change) -> Result<(), ChangeError> {
        self.tables.apply(generation, change, &self.memory)
    }

    /// Removes what was not named in this generation; how many entries that was. The end of a generation that is over
    /// removes nothing.
    pub fn end_of_replay(&mut self, end: EndOfReplay) -> usize {
        self.tables.end_of_replay(end)
    }

    /// Everything installed, as the changes that would install it, learned Ethernet addresses included.
    pub fn installed(&self) -> impl Iterator<Item = Change> + '_ {
        self.tables.installed()
    }

    /// Everything installed but bindings, of which there may be too many for one go: see [`Self::binding_from`].
    pub fn installed_but_bindings(&self) -> impl Iterator<Item = Change> + '_ {
        self.tables.installed_but_bindings()
    }

    /// The first binding from this place on (0: from the start), as the change that would install it, and the place after
    /// it. One that comes or goes between two calls may be said or not, all others are said once.
    pub fn binding_from(&self, place: u32) -> Option<(u32, Change)> {
        self.tables.binding_from(place)
    }

    /// Takes frames that came in by a port, counts them, and appends what becomes of them to `out`. Frames that are
    /// dropped are counted and freed.
    pub fn process(
        &mut self,
        now: Tick,
        port: PortId,
        pool: &mut FramePool,
        frames: impl IntoIterator<Item = Frame>,
        out: &mut Output,
    ) {
        let facts = self.tables.port(port).copied();
        let (mut count, mut octets) = (0, 0);
        for frame in frames {
            count += 1;
            octets += frame.len() as u64;
            self.one(now, port, facts.as_ref(), pool, frame, out);
        }
        self.counters.port(port, PortCounter::RxFrames, count);
        self.counters.port(port, PortCounter::RxOctets, octets);
    }

    /// Takes a frame of control's (untagged, without FCS) for an access or handoff circuit, counts it, and appends it to
    /// `out` with the circuit's tags; dropped, counted and freed where it cannot be sent.
    pub fn originate(&mut self, pool: &mut FramePool, circuit: Circuit, mut frame: Frame, out: &mut Output) {
        self.counters.port(circuit.port, PortCounter::Originated, 1);
        match self.originated(pool, circuit, &mut frame) {
            Ok(()) => out.departures.push(Departure {
                port: circuit.port,
                frame,
                charge: Charge::of_none(circuit.port, 0, ChargeKind::Originated),
            }),
            Err(reason) => {
                self.counters.drop(IspSlot::NONE, circuit.port, reason, 1);
                pool.free(frame);
            }
        }
    }

    /// A port accepted a frame of this many octets (Ethernet header included, FCS not) for transmission.
    pub fn accepted(&self, port: PortId, octets: usize, charge: Charge) {
        self.counters.port(port, PortCounter::TxFrames, 1);
        self.counters.port(port, PortCounter::TxOctets, octets as u64);
        match charge.kind {
            ChargeKind::Edge(point) => {
                self.counters.count(charge.isp, point, Tally::Sent, 1, u64::from(charge.octets))
            }
            ChargeKind::Switched => {
                self.counters.port(charge.arrived, PortCounter::SwitchedPackets, 1);
                self.counters.port(charge.arrived, PortCounter::SwitchedOctets, u64::from(charge.octets));
            }
            ChargeKind::Originated => {}
        }
    }

    /// A port did not accept a frame, which was freed.
    pub fn refused(&self, charge: Charge) {
        let Charge { arrived, isp, octets, kind } = charge;
        self.counters.drop(isp, arrived, DropReason::TxRefused, 1);
        if let ChargeKind::Edge(point) = kind {
            self.counters.count(isp, point, Tally::Dropped, 1, octets.into());
        }
    }

    /// Control was handed a punted frame that came in by this port.
    pub fn punted(&self, port: PortId) {
        self.counters.port(port, PortCounter::Punted, 1);
    }

    /// Control could not be handed a punted frame that came in by this port, which was freed.
    pub fn punt_refused(&self, port: PortId) {
        self.counters.drop(IspSlot::NONE, port, DropReason::PuntLimited, 1);
    }

    /// One frame's way, and what became of it.
    fn one(
        &mut self,
        now: Tick,
        port: PortId,
        facts: Option<&PortFacts>,
        pool: &mut FramePool,
        frame: Frame,
        out: &mut Output,
    ) {
        let books = self.books();
        let parsed = facts
            .ok_or(DropReason::PortDown)
            .and_then(|facts| Ok((facts, classify::ethernet(pool.octets(&frame), facts.kind)?)));
        let (facts, (ethernet, header_len)) = match parsed {
            Ok(parsed) => parsed,
            Err(reason) => {
                books.drop(port, None, reason);
                return pool.free(frame);
            }
        };
        let mut packet =
            Packet { pool, frame, arrived: port, ethernet, header_len, edge: None, origin: None };
        let end = way(&self.tables, self.seed, facts, &mut packet);
        if let Err(Stop::Punt(reason)) = end {
            return self.punt(now, packet, reason, out);
        }
        books.count(packet.edge, Tally::Received);
        match end {
            Ok(passage) => depart(books, packet, &passage, out),
            Err(stop) => self.stop(now, packet, stop, out),
        }
    }

    /// A packet that goes no further, and what its sender is told.
    fn stop(&mut self, now: Tick, mut packet: Packet<'_>, stop: Stop, out: &mut Output) {
        let (reason, answer) = match stop {
            Stop::Own => return self.own(now, packet, out),
            Stop::Drop(reason) => (reason, answer::error_for(reason, packet.edge)),
            Stop::TooLong(mtu) => (DropReason::TooLong, Some(IcmpError::TooLong { mtu })),
            Stop::Unresolved { isp, row, address } => {
                if self.limits.unresolved(now, row) {
                    out.unresolved.push(Unresolved { isp, address });
                }
                (DropReason::SubscriberUnresolved, None)
            }
            // Dealt with before: in nobody's account.
            Stop::Punt(reason) => return self.punt(now, packet, reason, out),
        };
        if let Some(error) = answer {
            self.answer(now, &mut packet, Answer::Error(error), out);
        }
        self.drop(packet, reason);
    }

    /// A packet to an address of this node's own.
    fn own(&mut self, now: Tick, mut packet: Packet<'_>, out: &mut Output) {
        let reply = packet.origin.and_then(|origin| answer::reply_for(&packet, &origin));
        let Some(reply) = reply else { return self.drop(packet, DropReason::OwnAddress) };
        if !self.answer(now, &mut packet, reply, out) {
            return self.drop(packet, DropReason::AnswerLimited);
        }
        self.counters.port(packet.arrived, PortCounter::Consumed, 1);
        self.books().count(packet.edge, Tally::Consumed);
        packet.pool.free(packet.frame);
    }

    /// Answers a packet where it may have an answer; whether it did.
    fn answer(&mut self, now: Tick, packet: &mut Packet<'_>, what: Answer, out: &mut Output) -> bool {
        let answer = answer::answer(&self.tables, self.seed, &mut self.limits, now, packet, what);
        let Some(Answered { frame, passage, edge }) = answer else { return false };
        let books = Books(self.counters);
        books.count(edge, Tally::Originated);
        self.counters.port(passage.port, PortCounter::Originated, 1);
        let &mut Packet { ref mut pool, arrived, ethernet, .. } = packet;
        let made = Packet { pool, frame, arrived, ethernet, header_len: 0, edge, origin: None };
        depart(books, made, &passage, out);
        true
    }

    fn drop(&self, packet: Packet<'_>, reason: DropReason) {
        self.books().drop(packet.arrived, packet.edge, reason);
        packet.pool.free(packet.frame);
    }

    fn punt(&mut self, now: Tick, packet: Packet<'_>, reason: PuntReason, out: &mut Output) {
        let circuit = packet.circuit();
        let Packet { pool, mut frame, ethernet, header_len, .. } = packet;
        let stop = if !self.limits.punt(now, circuit, reason) {
            DropReason::PuntLimited
        } else if !retag(pool, &mut frame, ethernet, header_len, VlanTags::None) {
            DropReason::NoBuffer
        } else {
            return out.punts.push(Punt { circuit, reason, frame });
        };
        self.books().drop(circuit.port, None, stop);
        pool.free(frame);
    }

    fn books(&self) -> Books<'m> {
        Books(self.counters)
    }

    fn originated(
        &self,
        pool: &mut FramePool,
        circuit: Circuit,
        frame: &mut Frame,
    ) -> Result<(), DropReason> {
        let port = self
            .tables
            .port(circuit.port)
            .filter(|port| port.kind != PortKind::Backbone && port.carrier)
            .ok_or(DropReason::PortDown)?;
        let (header, len) = classify::ethernet(pool.octets(frame), port.kind)?;
        if frame.len() - len > port.mtu as usize {
            return Err(DropReason::TooLong);
        }
        if retag(pool, frame, header, len, circuit.tags) { Ok(()) } else { Err(DropReason::NoBuffer) }
    }
}

/// A packet's way: one of the straight lines.
fn way<'t>(
    tables: &'t Tables,
    seed: u64,
    port: &PortFacts,
    packet: &mut Packet<'_>,
) -> Result<Passage<'t>, Stop> {
    match classify(tables, port, packet)? {
        Arrival::FromSubscriber(ip) => {
            let (isp, nhlfes) = access_in(tables, packet, &ip)?;
            impose(tables, seed, packet.payload(), &Entry::arrived(tables, packet, &ip, isp)?, nhlfes)
        }
        Arrival::FromIsp(ip) => {
            let (isp, nhlfes) = handoff_in(tables, packet, &ip)?;
            impose(tables, seed, packet.payload(), &Entry::arrived(tables, packet, &ip, isp)?, nhlfes)
        }
        Arrival::Labelled => match label_switch(tables, seed, packet)? {
            Switched::Onward(passage) => Ok(passage),
            Switched::ToHandoff(circuit, popped) => handoff_out(tables, seed, packet, circuit, &popped),
            Switched::ToSubscriber(popped) => access_out(tables, seed, packet, &popped),
        },
    }
}
