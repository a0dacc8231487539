//! Next hops behind handoffs: resolving and probing them, answering for our own addresses.
//!
//! **Next hops** are asked for as long as the handoff is there (see [`monitor`]); the tailend offers a label for a
//! handoff only while all of them answer. One that fails again and again is held down for a while (see [`damping`]).
//!
//! **Our own addresses** are answered for to whoever asks from the handoff's subnet, from a link-local address or from
//! the next hop's. They are announced twice when the port comes up or a handoff is added (RFC 5227 §2.3, RFC 4861
//! §7.2.6), so that neighbors that still know the node that was here before send to this one. A station that claims
//! one of them is answered with an announcement, at most every ten seconds, and told of as an event (RFC 5227 §2.4 c:
//! an address that others rely on is not given up).
//!
//! TODO-correctness(RFC 4862 §5.4, RFC 5227 §2.1): addresses are used without probing for a duplicate first; it shows
//! as a conflict when the other station defends itself against the announcement.

mod damping;
mod monitor;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use contract::{Circuit, MacAddr, PortId, Tick, VlanTags};

use crate::limit::{Bucket, DEFENSE, Rate};
use crate::outbox::Outbox;
use crate::packet::{self, Message, Station};
use crate::{Counters, Ignored, Neighbor};
use damping::Damping;
pub use damping::DampingSettings;
use monitor::{Input, Monitor, Output};
pub use types::{HandoffConfig, HandoffEvent, HandoffHealth, HandoffSettings};

/// Answers to the next hops of a handoff, and to all others there together.
const ANSWERS: Rate = Rate { every: Duration::from_millis(20), burst: 100 };
/// Announcements of an address of ours (RFC 5227 §1.1: ANNOUNCE_NUM) …
const ANNOUNCEMENTS: u8 = 2;
/// … and the time between them (RFC 5227 §1.1: ANNOUNCE_INTERVAL).
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// The next hops of a tailend's handoffs.
#[derive(Debug, Default)]
pub struct HandoffNeighbors {
    settings: HandoffSettings,
    ports: BTreeMap<PortId, Station>,
    handoffs: BTreeMap<Circuit, Handoff>,
    timers: BTreeSet<(Tick, Circuit)>,
    outbox: Outbox,
    events: VecDeque<HandoffEvent>,
    counters: Counters,
    random: u64,
}

#[derive(Clone, Debug)]
struct Handoff {
    config: HandoffConfig,
    /// One for each IP version that is carried.
    monitors: [Option<Monitor>; 2],
    /// The next hops' Ethernet addresses as the last event had them, and until when it was held down.
    reported: ([Option<MacAddr>; 2], Option<Tick>),
    /// Whether every next hop answers.
    whole: bool,
    damping: Damping,
    /// When it last came up or went down.
    since: Tick,
    /// How often our addresses are still to be announced, and when next.
    announcements: (u8, Tick),
    answers: Bucket,
    next_hop_answers: Bucket,
    defense: Bucket,
}

impl Handoff {
    fn due(&self) -> Option<Tick> {
        let announcement = Some(self.announcements.1).filter(|_| self.announcements.0 > 0);
        let monitors = self.monitors.iter().flatten().map(|monitor| monitor.due);
        monitors.chain(announcement).chain(self.damping.held_until()).min()
    }

    fn is_up(&self) -> bool {
        self.whole && self.damping.held_until().is_none()
    }

    fn answers(&self) -> bool {
        let mut monitors = self.monitors.iter().flatten().peekable();
        monitors.peek().is_some() && monitors.all(|monitor| monitor.phase.mac().is_some())
    }

    fn macs(&self) -> [Option<MacAddr>; 2] {
        self.monitors.map(|monitor| monitor.and_then(|monitor| monitor.phase.mac()))
    }

    fn monitor(&self, family_of: IpAddr) -> Option<&Monitor> {
        self.monitors[usize::from(family_of.is_ipv6())].as_ref()
    }

    fn is_on_link(&self, address: IpAddr) -> bool {
        let in_subnet = match address {
            IpAddr::V4(address) => self.config.ipv4.is_some_and(|(net, _)| net.contains(&address)),
            IpAddr::V6(address) => {
                address.is_unicast_link_local()
                    || self.config.ipv6.is_some_and(|(net, _)| net.contains(&address))
            }
        };
        in_subnet || self.monitor(address).is_some_and(|monitor| monitor.next_hop == address)
    }
}

impl HandoffNeighbors {
    /// No handoffs yet.
    pub fn new(mut settings: HandoffSettings) -> Self {
        // What is due must come to be due later than now.
        settings.probe_interval = settings.probe_interval.max(Duration::from_millis(1));
        settings.misses = settings.misses.max(1);
        for interval in [
            &mut settings.answer_wait,
            &mut settings.resolve_interval,
            &mut settings.confirm_interval,
            &mut settings.damping.half_life,
        ] {
            *interval = (*interval).max(Duration::from_millis(1));
        }
        settings.jitter = settings.jitter.min(90);
        Self { settings, random: settings.seed, ..Self::default() }
    }

    /// A port can be used, with this Ethernet address of ours: its handoffs' next hops are asked for at once.
    pub fn set_port_mac(&mut self, now: Tick, port: PortId, mac: MacAddr) {
        if self.ports.insert(port, Station(mac)).is_some_and(|station| station.0 == mac) {
            return;
        }
        for circuit in self.circuits_of(port) {
            self.change(now, circuit, |handoff, _| {
                handoff.announcements = (ANNOUNCEMENTS, now);
                for monitor in handoff.monitors.iter_mut().flatten() {
                    monitor.due = now;
                }
            });
        }
    }

    /// A port cannot be used (not there, or no carrier): all next hops behind it are down at once.
    pub fn port_down(&mut self, now: Tick, port: PortId) {
        self.ports.remove(&port);
        for circuit in self.circuits_of(port) {
            self.change(now, circuit, |handoff, settings| {
                for monitor in handoff.monitors.iter_mut().flatten() {
                    monitor.step(monitor.due, Input::PortDown, settings);
                }
            });
        }
    }

    /// Adds a handoff, or replaces the one on this circuit; what is known of a next hop that stays is kept.
    pub fn add_handoff(&mut self, now: Tick, config: HandoffConfig) {
        let pairs = [
            config.ipv4.map(|(net, next_hop)| (IpAddr::V4(net.addr()), IpAddr::V4(next_hop))),
            config.ipv6.map(|(net, next_hop)| (IpAddr::V6(net.addr()), IpAddr::V6(next_hop))),
        ];
        let fresh = || Handoff {
            config,
            monitors: [None; 2],
            reported: ([None; 2], None),
            whole: false,
            damping: Damping::default(),
            since: now,
            announcements: (0, now),
            answers: Bucket::default(),
            next_hop_answers: Bucket::default(),
            defense: Bucket::default(),
        };
        self.handoffs.entry(config.circuit).or_insert_with(fresh);
        self.change(now, config.circuit, |handoff, _| {
            let monitors = pairs.map(|pair| pair.map(|(own, next_hop)| Monitor::new(now, own, next_hop)));
            for (held, wanted) in handoff.monitors.iter_mut().zip(monitors) {
                let names = |monitor: &Monitor| (monitor.own, monitor.next_hop);
                if held.as_ref().map(names) != wanted.as_ref().map(names) {
                    *held = wanted;
                    // That is no failure of the handoff.
                    handoff.whole = false;
                    handoff.announcements = (ANNOUNCEMENTS, now);
                }
            }
            handoff.config = config;
        });
    }

    /// Removes the handoff on this circuit; makes no event.
    pub fn remove_handoff(&mut self, circuit: Circuit) {
        if let Some(due) = self.handoffs.remove(&circuit).and_then(|handoff| handoff.due()) {
            self.timers.remove(&(due, circuit));
        }
    }

    /// The Ethernet addresses that a handoff's next hops (IPv4, IPv6) are known to have at this moment.
    pub fn next_hops(&self, circuit: Circuit) -> (Option<MacAddr>, Option<MacAddr>) {
        let [ipv4, ipv6] = self.handoffs.get(&circuit).map_or([None; 2], Handoff::macs);
        (ipv4, ipv6)
    }

    /// Takes this Ethernet address for true until the next hop fails to answer (after a restart). Makes an event.
    /// `false`: this is no next hop of a handoff on this circuit.
    pub fn assume(&mut self, now: Tick, circuit: Circuit, next_hop: IpAddr, mac: MacAddr) -> bool {
        let known = |handoff: &Handoff| handoff.monitor(next_hop).is_some_and(|m| m.next_hop == next_hop);
        let known = mac.is_unicast() && self.handoffs.get(&circuit).is_some_and(known);
        if known {
            self.step(now, circuit, next_hop, Input::Assume { mac });
        }
        known
    }

    /// Takes a frame that was punted.
    pub fn handle_frame(&mut self, now: Tick, circuit: Circuit, frame: &[u8]) {
        match self.take(now, circuit, frame) {
            Ok(()) => self.counters.heard += 1,
            Err(reason) => self.counters.ignore(reason),
        }
    }

    /// Does what is due at this time.
    pub fn handle_timeout(&mut self, now: Tick) {
        while let Some(&(due, circuit)) = self.timers.first() {
            if due > now {
                break;
            }
            let Some(handoff) = self.handoffs.get(&circuit) else {
                self.timers.pop_first();
                continue;
            };
            let monitors = handoff.monitors;
            if handoff.announcements.0 > 0 && handoff.announcements.1 <= now {
                self.announce(now, circuit, monitors.iter().flatten());
            }
            for monitor in monitors.iter().flatten().filter(|monitor| monitor.due <= now) {
                self.step(now, circuit, monitor.next_hop, Input::Timeout);
            }
            self.change(now, circuit, |handoff, _| handoff.damping.release(now));
        }
    }

    /// When [`Self::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Tick> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// The next frame to transmit.
    pub fn poll_transmit(&mut self) -> Option<(Circuit, Vec<u8>)> {
        self.outbox.pop()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<HandoffEvent> {
        self.events.pop_front()
    }

    /// What was done with the frames that went in.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Every next hop, by circuit.
    pub fn neighbors(&self) -> impl Iterator<Item = Neighbor> {
        self.handoffs.iter().flat_map(|(&circuit, handoff)| {
            handoff.monitors.iter().flatten().map(move |monitor| Neighbor {
                circuit,
                address: monitor.next_hop,
                mac: monitor.phase.mac(),
                state: monitor.phase.state(),
                heard: monitor.heard,
            })
        })
    }

    /// How the handoff on this circuit has been.
    pub fn health(&self, now: Tick, circuit: Circuit) -> Option<HandoffHealth> {
        let handoff = self.handoffs.get(&circuit)?;
        Some(HandoffHealth {
            up: handoff.is_up(),
            since: handoff.since,
            failures: handoff.damping.failures(),
            penalty: handoff.damping.penalty(now, &self.settings.damping),
            held_until: handoff.damping.held_until(),
        })
    }

    fn take(&mut self, now: Tick, circuit: Circuit, frame: &[u8]) -> Result<(), Ignored> {
        let station = *self.ports.get(&circuit.port).ok_or(Ignored::UnknownCircuit)?;
        let handoff = self.handoffs.get(&circuit).ok_or(Ignored::UnknownCircuit)?;
        let heard = packet::parse(frame, station.0)?;
        let (Message::Ask { mac: said, .. } | Message::Tell { mac: said, .. }) = heard.message;
        // A router may speak for a shared address from another one of its own (RFC 5798 §8.1.2): what it says counts.
        let mac = said.unwrap_or(heard.source);
        let own = |address: IpAddr| handoff.monitor(address).is_some_and(|monitor| monitor.own == address);
        let next_hop = |address| handoff.monitor(address).is_some_and(|monitor| monitor.next_hop == address);
        match heard.message {
            Message::Ask { sender: address, .. } | Message::Tell { address, .. } if own(address) => {
                self.defend(now, circuit, address, mac);
                Err(Ignored::Conflict)
            }
            Message::Ask { sender, target, .. } if sender.is_unspecified() => {
                let is_ours = own(target);
                if !is_ours {
                    return Err(Ignored::Probe);
                }
                self.answer(now, circuit, target, (sender, mac), false)
            }
            Message::Ask { sender, target, .. } => {
                if !handoff.is_on_link(sender) {
                    return Err(Ignored::SenderNotBound);
                }
                let (is_ours, from_next_hop) = (own(target), next_hop(sender));
                if from_next_hop {
                    self.step(now, circuit, sender, Input::Spoke { mac });
                }
                if !is_ours {
                    return Err(Ignored::TargetNotOurs);
                }
                self.answer(now, circuit, target, (sender, mac), from_next_hop)
            }
            Message::Tell { address, .. } if !next_hop(address) => Err(Ignored::Unsolicited),
            Message::Tell { address, solicited: true, .. } if heard.unicast => {
                self.step(now, circuit, address, Input::Answer { mac, said: said.is_some() });
                Ok(())
            }
            Message::Tell { address, .. } => {
                self.step(now, circuit, address, Input::Spoke { mac });
                Ok(())
            }
        }
    }

    fn answer(
        &mut self,
        now: Tick,
        circuit: Circuit,
        own: IpAddr,
        asker: (IpAddr, MacAddr),
        next_hop: bool,
    ) -> Result<(), Ignored> {
        let station = *self.ports.get(&circuit.port).ok_or(Ignored::UnknownCircuit)?;
        let handoff = self.handoffs.get_mut(&circuit).ok_or(Ignored::UnknownCircuit)?;
        let bucket = if next_hop { &mut handoff.next_hop_answers } else { &mut handoff.answers };
        if !bucket.take(now, ANSWERS) {
            return Err(Ignored::RateLimited);
        }
        if let Some(frame) = station.answer(own, asker, false) {
            self.counters.answered += 1;
            self.send(circuit, frame);
        }
        Ok(())
    }

    fn defend(&mut self, now: Tick, circuit: Circuit, own: IpAddr, mac: MacAddr) {
        let Some(station) = self.ports.get(&circuit.port).copied() else { return };
        if self.handoffs.get_mut(&circuit).is_some_and(|handoff| handoff.defense.take(now, DEFENSE)) {
            self.send(circuit, station.announce(own));
            self.events.push_back(HandoffEvent::Conflict { circuit, address: own, mac });
        }
    }

    fn announce<'a>(&mut self, now: Tick, circuit: Circuit, monitors: impl Iterator<Item = &'a Monitor>) {
        if let Some(station) = self.ports.get(&circuit.port).copied() {
            for monitor in monitors {
                self.send(circuit, station.announce(monitor.own));
            }
        }
        self.change(now, circuit, |handoff, _| {
            handoff.announcements = (handoff.announcements.0 - 1, now + ANNOUNCE_INTERVAL);
        });
    }

    /// A step of the monitor of this next hop, and what follows from it.
    fn step(&mut self, now: Tick, circuit: Circuit, next_hop: IpAddr, input: Input) {
        let settings = self.jittered();
        let step = |handoff: &mut Handoff, _: &HandoffSettings| {
            let monitor = handoff.monitors[usize::from(next_hop.is_ipv6())].as_mut()?;
            Some((monitor.own, monitor.step(now, input, &settings)))
        };
        let Some(Some((own, output))) = self.change(now, circuit, step) else { return };
        match output {
            Output::Nothing => {}
            Output::AskAll => self.ask(circuit, own, next_hop, None),
            Output::Ask(mac) => self.ask(circuit, own, next_hop, Some(mac)),
            Output::AskBoth(mac, other) => {
                self.ask(circuit, own, next_hop, Some(mac));
                self.ask(circuit, own, next_hop, Some(other));
            }
        }
    }

    /// The settings with the intervals between probes a little shorter.
    fn jittered(&mut self) -> HandoffSettings {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let per_mille = ((mixed >> 33) % (u64::from(self.settings.jitter) * 10 + 1)) as u32;
        let shorter = |interval: Duration| interval - interval * per_mille / 1000;
        HandoffSettings {
            probe_interval: shorter(self.settings.probe_interval),
            resolve_interval: shorter(self.settings.resolve_interval),
            ..self.settings
        }
    }

    fn ask(&mut self, circuit: Circuit, own: IpAddr, next_hop: IpAddr, of: Option<MacAddr>) {
        let Some(station) = self.ports.get(&circuit.port).copied() else { return };
        if let Some(frame) = station.ask(own, next_hop, of) {
            self.counters.asked += 1;
            self.send(circuit, frame);
        }
    }

    fn send(&mut self, circuit: Circuit, frame: Vec<u8>) {
        if !self.outbox.push(circuit, frame) {
            self.counters.not_sent += 1;
        }
    }

    /// Changes a handoff, keeps its timer right, and reports its next hops where they changed.
    fn change<R>(
        &mut self,
        now: Tick,
        circuit: Circuit,
        change: impl FnOnce(&mut Handoff, &HandoffSettings) -> R,
    ) -> Option<R> {
        let handoff = self.handoffs.get_mut(&circuit)?;
        let (before, was_up) = (handoff.due(), handoff.is_up());
        let result = change(handoff, &self.settings);
        let whole = handoff.answers();
        if std::mem::replace(&mut handoff.whole, whole) && !whole {
            handoff.damping.failed(now, &self.settings.damping);
        }
        if handoff.is_up() != was_up {
            handoff.since = now;
        }
        let after = handoff.due();
        before.map(|due| self.timers.remove(&(due, circuit)));
        after.map(|due| self.timers.insert((due, circuit)));
        let macs = handoff.macs();
        let held_until = handoff.damping.held_until();
        if (macs, held_until) != handoff.reported {
            handoff.reported = (macs, held_until);
            let [ipv4, ipv6] = macs;
            self.events.push_back(HandoffEvent::NextHop { circuit, ipv4, ipv6, held_until });
        }
        Some(result)
    }

    fn circuits_of(&self, port: PortId) -> Vec<Circuit> {
        // Untagged comes before all other tags.
        let first = Circuit { port, tags: VlanTags::None };
        self.handoffs.range(first..).map(|(c, _)| *c).take_while(|c| c.port == port).collect()
    }
}

#[cfg(test)]
mod tests;
