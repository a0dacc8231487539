//! Subscribers on access circuits: answering for gateways and pools, learning Ethernet addresses.
//!
//! **Who is answered.** Whoever asks in the name of an address that is bound to the circuit, from the Ethernet address
//! in the directory where there is one. Answered are questions for the pool's gateway and, by proxy, for the rest of
//! the pool, but never for a prefix of the asker's own: whoever else has such an address is on the asker's side, and a
//! gratuitous ARP must not look like a conflict. Duplicate address detection (ARP probes, solicitations from `::`) is
//! not answered, so no subscriber's address ever seems taken, except for a gateway's address that nobody on the circuit
//! is bound to: that one is ours, and is defended (RFC 5227 §2.4, RFC 4862 §5.4.3).
//!
//! **Link-local askers.** A solicitation from a link-local source (Linux probes a known neighbor in this way) names no
//! binding. It is answered where the frame's Ethernet source tells whose it is: by the directory
//! ([`Access::station`]: the circuit's only subscriber, or a configured address), or by what was learned on this
//! circuit; on a shared segment a host must have spoken once from its bound address. The rejected option, to answer any
//! link-local asker on a shared segment, would answer hosts that nobody knows.
//!
//! **What is believed.** One Ethernet address is learned for each bound prefix, since that is what the forwarder keeps;
//! so the table is bounded by the directory, whatever subscribers send. It is given up only after it failed to answer
//! (see [`entry`]). Where two stations of a shared segment both answer for one address, the first one stays; only an
//! Ethernet address in the directory protects better.
//!
//! **Floods.** Answers are limited for each learned neighbor, and for all others of a circuit together; so who floods
//! in another's name spends the others' share, not that neighbor's. What is sent without knowing the asker at all
//! (defending a gateway) is limited for each port.

mod entry;
mod table;
mod types;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use contract::{Circuit, MacAddr, PortId, Tick};
use ipnet::IpNet;

use crate::limit::{Bucket, DEFENSE, Rate};
use crate::outbox::Outbox;
use crate::packet::{self, Message, Station};
use crate::{Counters, Ignored, Neighbor};
use entry::{Entry, Input, Output, Phase};
use table::{Key, Table};
pub use types::{Access, AccessEvent, AccessSettings, Bound, Owner, Pool};

/// Answers to one neighbor. A host asks three times a second apart for each address that it uses (RFC 4861 §10).
const ANSWERS: Rate = Rate { every: Duration::from_millis(50), burst: 64 };
/// Answers to all others of a circuit together.
const STRANGERS: Rate = Rate { every: Duration::from_millis(50), burst: 64 };
/// Subscribers that one Ethernet address on one circuit is looked up for.
const MAX_ROLES: usize = 8;

/// Subscribers' Ethernet addresses on the access circuits of a headend.
#[derive(Debug, Default)]
pub struct AccessNeighbors {
    settings: AccessSettings,
    ports: BTreeMap<PortId, Port>,
    table: Table,
    outbox: Outbox,
    events: VecDeque<AccessEvent>,
    counters: Counters,
}

#[derive(Debug)]
struct Port {
    station: Station,
    defense: Bucket,
    probes_answered: Bucket,
}

/// Who asks, and whose allowance the answer is taken from: an entry's, or that of the circuit's others.
type Role = (Owner, Option<Key>);

impl AccessNeighbors {
    /// Nobody is known yet.
    pub fn new(mut settings: AccessSettings) -> Self {
        // What is due must come to be due later than now.
        settings.retry_interval = settings.retry_interval.max(Duration::from_millis(1));
        settings.probe_interval = settings.probe_interval.max(Duration::from_millis(1));
        Self { settings, ..Self::default() }
    }

    /// A port can be used, with this Ethernet address of ours.
    pub fn set_port_mac(&mut self, port: PortId, mac: MacAddr) {
        let fresh =
            Port { station: Station(mac), defense: Bucket::default(), probes_answered: Bucket::default() };
        self.ports.entry(port).or_insert(fresh).station = Station(mac);
    }

    /// A port cannot be used: nothing is sent to it or taken from it. Those behind it are still held to be there.
    pub fn port_down(&mut self, port: PortId) {
        self.ports.remove(&port);
    }

    /// Takes a frame that was punted.
    pub fn handle_frame(&mut self, now: Tick, circuit: Circuit, frame: &[u8], access: &dyn Access) {
        match self.take(now, circuit, frame, access) {
            Ok(()) => self.counters.heard += 1,
            Err(reason) => self.counters.ignore(reason),
        }
    }

    /// Asks who has this bound address, unless that is being asked or was in vain a moment ago. What is known is told
    /// again: the directory may have forgotten it when an Ethernet address was configured and taken out again.
    pub fn resolve(&mut self, now: Tick, circuit: Circuit, address: IpAddr, access: &dyn Access) {
        let Some(bound) = access.binding(circuit, address).filter(|bound| bound.mac.is_none()) else {
            return;
        };
        let key = (circuit, bound.prefix);
        self.drop_if_outdated(key, &bound);
        if let Some(entry) = self.table.entry(key) {
            // Known here, and forgotten where it is needed.
            if let Some(mac) = entry.phase.mac() {
                let (prefix, address) = (bound.prefix, entry.address);
                self.events.push_back(AccessEvent::Learned { circuit, prefix, address, mac });
            }
            return;
        }
        if !self.ports.contains_key(&circuit.port) {
            return;
        }
        if !self.has_room() || !self.may_ask(circuit, 1) {
            self.counters.table_full += 1;
            return;
        }
        let mut entry = Entry::new(bound.owner, address, Phase::Resolving { asked: 1 });
        entry.due = Some(now + self.settings.retry_interval);
        self.table.insert(key, entry);
        self.ask(circuit, &bound, address, None, access);
    }

    /// Takes this Ethernet address for true until the subscriber fails to answer a probe (after a restart). Makes no
    /// event. `false`: the address is not bound there, another Ethernet address is configured for it or already known,
    /// or there are too many.
    pub fn assume(
        &mut self,
        now: Tick,
        circuit: Circuit,
        address: IpAddr,
        mac: MacAddr,
        access: &dyn Access,
    ) -> bool {
        let Some(bound) = access.binding(circuit, address) else { return false };
        let key = (circuit, bound.prefix);
        self.drop_if_outdated(key, &bound);
        if let Some(entry) = self.table.entry(key) {
            return entry.phase.mac() == Some(mac);
        }
        if bound.mac.is_some_and(|configured| configured != mac) || !mac.is_unicast() || !self.has_room() {
            return false;
        }
        let phase = if bound.mac.is_some() { Phase::Configured { mac } } else { Phase::Reachable { mac } };
        let mut entry = Entry::new(bound.owner, address, phase);
        if bound.mac.is_none() {
            // All are assumed at once, and probed one by one over the interval.
            let wait = entry::spread(address, self.settings.probe_interval);
            entry.due = Some(now + self.settings.retry_interval + wait);
        }
        self.table.insert(key, entry);
        true
    }

    /// A prefix is no longer bound to this circuit, or bound to someone else. Makes no event.
    pub fn forget(&mut self, circuit: Circuit, prefix: IpNet) {
        self.table.remove((circuit, prefix));
    }

    /// Does what is due at this time.
    pub fn handle_timeout(&mut self, now: Tick, access: &dyn Access) {
        while let Some(key) = self.table.due(now) {
            let Some(entry) = self.table.entry(key).copied() else { break };
            let (circuit, prefix) = key;
            let bound = access.binding(circuit, entry.address);
            let unchanged =
                |bound: &Bound| bound.prefix == prefix && bound.owner == entry.owner && bound.mac.is_none();
            match bound.filter(unchanged) {
                Some(bound) => self.step(now, key, &bound, Input::Timeout, access),
                None => drop(self.table.remove(key)),
            }
        }
    }

    /// When [`Self::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Tick> {
        self.table.next_due()
    }

    /// The next frame to transmit.
    pub fn poll_transmit(&mut self) -> Option<(Circuit, Vec<u8>)> {
        self.outbox.pop()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<AccessEvent> {
        self.events.pop_front()
    }

    /// What was done with the frames that went in.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Everyone known, by circuit and prefix.
    pub fn neighbors(&self) -> impl Iterator<Item = Neighbor> {
        self.table.iter().map(|(&(circuit, _), entry)| Neighbor {
            circuit,
            address: entry.address,
            mac: entry.phase.mac(),
            state: entry.phase.state(),
            heard: entry.heard,
        })
    }

    fn take(
        &mut self,
        now: Tick,
        circuit: Circuit,
        frame: &[u8],
        access: &dyn Access,
    ) -> Result<(), Ignored> {
        let station = self.ports.get(&circuit.port).ok_or(Ignored::UnknownCircuit)?.station;
        let heard = packet::parse(frame, station.0)?;
        let source = heard.source;
        let (Message::Ask { mac, .. } | Message::Tell { mac, .. }) = heard.message;
        if mac.is_some_and(|mac| mac != source) {
            return Err(Ignored::MacMismatch);
        }
        match heard.message {
            Message::Ask { sender, target, .. } if sender.is_unspecified() => {
                self.probed(now, circuit, source, target, access)
            }
            Message::Ask { sender, target, .. } => {
                let roles = self.roles(now, circuit, sender, source, access)?;
                self.asked(now, circuit, (sender, source), &roles, target, access)
            }
            Message::Tell { address, .. } => {
                let bound = self.bound(now, circuit, address, source, access)?;
                self.hear(now, circuit, &bound, address, source, access);
                Ok(())
            }
        }
    }

    /// Duplicate address detection.
    fn probed(
        &mut self,
        now: Tick,
        circuit: Circuit,
        source: MacAddr,
        target: IpAddr,
        access: &dyn Access,
    ) -> Result<(), Ignored> {
        if !access.is_gateway(target) || access.binding(circuit, target).is_some() {
            return Err(Ignored::Probe);
        }
        let port = self.ports.get_mut(&circuit.port).ok_or(Ignored::UnknownCircuit)?;
        if !port.probes_answered.take(now, STRANGERS) {
            return Err(Ignored::RateLimited);
        }
        let nobody = match target {
            IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        };
        let frame = port.station.answer(target, (nobody, source), false);
        self.answer(circuit, frame);
        Ok(())
    }

    /// In whose name a question is asked.
    fn roles(
        &mut self,
        now: Tick,
        circuit: Circuit,
        sender: IpAddr,
        source: MacAddr,
        access: &dyn Access,
    ) -> Result<Vec<Role>, Ignored> {
        if matches!(sender, IpAddr::V6(sender) if sender.is_unicast_link_local()) {
            let learned = self.table.by_mac(circuit, source).map(|(key, entry)| (entry.owner, Some(key)));
            let mut roles: Vec<Role> = learned.take(MAX_ROLES).collect();
            roles.retain(|&(owner, key)| key.is_some_and(|key| still_bound(key, owner, access)));
            if roles.is_empty() {
                let owner = access.station(circuit, source).ok_or(Ignored::SenderNotBound)?;
                roles.push((owner, None));
            }
            return Ok(roles);
        }
        let bound = self.bound(now, circuit, sender, source, access)?;
        let known = self.hear(now, circuit, &bound, sender, source, access);
        Ok(vec![(bound.owner, known.then_some((circuit, bound.prefix)))])
    }

    fn asked(
        &mut self,
        now: Tick,
        circuit: Circuit,
        asker: (IpAddr, MacAddr),
        roles: &[Role],
        target: IpAddr,
        access: &dyn Access,
    ) -> Result<(), Ignored> {
        let owner_of_target = access.binding(circuit, target).map(|bound| bound.owner);
        if roles.iter().any(|(owner, _)| Some(*owner) == owner_of_target) {
            return Err(Ignored::OwnTarget);
        }
        let in_pool = |&(owner, key): &Role| Some((access.pool(owner.isp, target)?, key));
        let (pool, key) = roles.iter().find_map(in_pool).ok_or(Ignored::TargetNotOurs)?;
        if !self.may_answer(now, circuit, key) {
            return Err(Ignored::RateLimited);
        }
        let station = self.ports.get(&circuit.port).ok_or(Ignored::UnknownCircuit)?.station;
        self.answer(circuit, station.answer(target, asker, target != pool.gateway));
        Ok(())
    }

    /// The binding that a sender speaks for; who claims a gateway's address is told off.
    fn bound(
        &mut self,
        now: Tick,
        circuit: Circuit,
        sender: IpAddr,
        source: MacAddr,
        access: &dyn Access,
    ) -> Result<Bound, Ignored> {
        match access.binding(circuit, sender) {
            Some(bound) if bound.mac.is_none_or(|mac| mac == source) => Ok(bound),
            Some(_) => Err(Ignored::WrongMac),
            None if access.is_gateway(sender) => {
                self.defend(now, circuit, sender, source);
                Err(Ignored::Conflict)
            }
            None => Err(Ignored::SenderNotBound),
        }
    }

    fn defend(&mut self, now: Tick, circuit: Circuit, gateway: IpAddr, claimant: MacAddr) {
        let Some(port) = self.ports.get_mut(&circuit.port) else { return };
        if port.defense.take(now, DEFENSE) {
            let frame = port.station.announce(gateway);
            self.send(circuit, frame);
            self.events.push_back(AccessEvent::GatewayClaimed { circuit, address: gateway, mac: claimant });
        }
    }

    /// Takes note that this Ethernet address speaks for this binding. Whether it is the one that is known.
    fn hear(
        &mut self,
        now: Tick,
        circuit: Circuit,
        bound: &Bound,
        address: IpAddr,
        mac: MacAddr,
        access: &dyn Access,
    ) -> bool {
        let key = (circuit, bound.prefix);
        self.drop_if_outdated(key, bound);
        if self.table.entry(key).is_none() {
            if !self.has_room() {
                self.counters.table_full += 1;
                return false;
            }
            let phase = match bound.mac {
                Some(mac) => Phase::Configured { mac },
                // The step that follows makes it reachable.
                None => Phase::Failed,
            };
            self.table.insert(key, Entry::new(bound.owner, address, phase));
        }
        self.step(now, key, bound, Input::Heard { address, mac }, access);
        self.table.entry(key).is_some_and(|entry| entry.phase.mac() == Some(mac))
    }

    fn step(&mut self, now: Tick, key: Key, bound: &Bound, input: Input, access: &dyn Access) {
        let (circuit, prefix) = key;
        // Whoever speaks in another's name gets its owner probed; that must not keep us from probing on our own account.
        let share = if matches!(input, Input::Heard { .. }) { 2 } else { 1 };
        let may_ask = self.may_ask(circuit, share);
        let settings = self.settings;
        let step = |entry: &mut Entry| (entry.step(now, input, &settings, may_ask), entry.address);
        let Some((output, address)) = self.table.change(key, step) else { return };
        match output {
            Output::Nothing => {}
            Output::AskAll => self.ask(circuit, bound, address, None, access),
            Output::Ask(mac) => self.ask(circuit, bound, address, Some(mac), access),
            Output::Learned(mac) => {
                self.events.push_back(AccessEvent::Learned { circuit, prefix, address, mac });
            }
            Output::Lost(mac) => {
                self.table.remove(key);
                self.events.push_back(AccessEvent::Lost { circuit, prefix, address, mac });
            }
            Output::Gone => drop(self.table.remove(key)),
        }
    }

    /// Asks in the gateway's name. Where the gateway is not known, the question is as good as lost on its way.
    fn ask(
        &mut self,
        circuit: Circuit,
        bound: &Bound,
        address: IpAddr,
        of: Option<MacAddr>,
        access: &dyn Access,
    ) {
        let (Some(port), Some(pool)) = (self.ports.get(&circuit.port), access.pool(bound.owner.isp, address))
        else {
            return;
        };
        if let Some(frame) = port.station.ask(pool.gateway, address, of) {
            self.counters.asked += 1;
            self.send(circuit, frame);
        }
    }

    fn answer(&mut self, circuit: Circuit, frame: Option<Vec<u8>>) {
        if let Some(frame) = frame {
            self.counters.answered += 1;
            self.send(circuit, frame);
        }
    }

    fn send(&mut self, circuit: Circuit, frame: Vec<u8>) {
        if !self.outbox.push(circuit, frame) {
            self.counters.not_sent += 1;
        }
    }

    /// Forgets what was known of another owner's station, or of one whose Ethernet address was configured otherwise.
    fn drop_if_outdated(&mut self, key: Key, bound: &Bound) {
        let outdated = |entry: &Entry| match bound.mac {
            _ if entry.owner != bound.owner => true,
            Some(mac) => entry.phase != Phase::Configured { mac },
            None => matches!(entry.phase, Phase::Configured { .. }),
        };
        if self.table.entry(key).is_some_and(outdated) {
            self.table.remove(key);
        }
    }

    fn has_room(&self) -> bool {
        self.table.len() < self.settings.max_neighbors
    }

    /// Whether one more answer may be waited for, with this part (one in …) of the bounds to oneself.
    fn may_ask(&self, circuit: Circuit, share: usize) -> bool {
        let (in_all, here) = self.table.outstanding(circuit);
        in_all < self.settings.max_outstanding / share
            && here < self.settings.max_outstanding_per_circuit / share
    }

    fn may_answer(&mut self, now: Tick, circuit: Circuit, known: Option<Key>) -> bool {
        if let Some(taken) = known.and_then(|key| self.table.change(key, |e| e.answers.take(now, ANSWERS))) {
            return taken;
        }
        match (self.table.circuit_mut(circuit), self.ports.get_mut(&circuit.port)) {
            (Some(state), _) => state.strangers.take(now, STRANGERS),
            // Nobody is known on this circuit yet: only for want of room, or an asker by link-local address.
            (None, Some(port)) => port.probes_answered.take(now, STRANGERS),
            (None, None) => false,
        }
    }
}

fn still_bound(key: Key, owner: Owner, access: &dyn Access) -> bool {
    let (circuit, prefix) = key;
    access.binding(circuit, prefix.addr()).is_some_and(|bound| bound.owner == owner)
}

#[cfg(test)]
pub(crate) mod tests;
