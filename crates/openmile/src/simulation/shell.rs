//! A forwarder process: the real tables and packet path; what stands around them (hub, worker, devices) is done here the
//! same way in one thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use contract::counters::{Memory, memory_len};
use contract::{
    Change, EndOfReplay, Generation, MacAddr, PortBackend, PortId, PortState, Scope, Tick, ToControl,
    ToForwarder,
};
use forward::{Capacities, Departure, Forwarder, Options, Output, PortFacts};
use wire::frame::FramePool;

use super::plan::port_mac;
use crate::forwarder::absence::Absence;

const CAPACITIES: Capacities =
    Capacities { bindings: 128, incoming_labels: 256, handoffs: 32, return_routes: 64, isps: 16 };
const MTU: u32 = 1500;

thread_local! {
    /// Counters live as long as the process; runs after one another count on in the same ones.
    static COUNTERS: RefCell<BTreeMap<usize, Memory<'static>>> = const { RefCell::new(BTreeMap::new()) };
}

fn counters(node: usize) -> Memory<'static> {
    COUNTERS.with_borrow_mut(|all| {
        *all.entry(node).or_insert_with(|| {
            let words: Vec<AtomicU64> = (0..memory_len(1) / 8).map(|_| AtomicU64::new(0)).collect();
            Memory::create(words.leak(), 1).expect("fresh words")
        })
    })
}

/// A forwarder process.
pub(super) struct Shell {
    node: usize,
    forwarder: Forwarder<'static>,
    pool: FramePool,
    output: Output,
    /// Device names, in the order of the plan.
    devices: Vec<String>,
    carriers: Vec<bool>,
    ports: BTreeMap<PortId, (usize, contract::PortKind, Generation)>,
    generation: Generation,
    absence: Absence,
    /// Which control process is connected.
    pub(super) control: Option<u64>,
    /// Messages for it.
    pub(super) says: Vec<ToControl>,
    /// Frames that leave, with the plan's number of the port.
    pub(super) sent: Vec<(usize, Vec<u8>)>,
    /// Whether tables changed since this was last taken.
    pub(super) changed: bool,
}

impl Shell {
    /// A process that has just begun, with the devices of the node.
    pub(super) fn new(node: usize, devices: Vec<String>, carriers: Vec<bool>) -> Self {
        let options = Options { capacities: CAPACITIES, seed: node as u64 * 7919 + 1 };
        Self {
            node,
            forwarder: Forwarder::new(counters(node), 0, &options).expect("a place for one worker"),
            pool: FramePool::new(64, 2048),
            output: Output::default(),
            devices,
            carriers,
            ports: BTreeMap::new(),
            generation: Generation::default(),
            absence: Absence::default(),
            control: None,
            says: Vec::new(),
            sent: Vec::new(),
            changed: true,
        }
    }

    /// A control process says Hello; what is said back.
    pub(super) fn connect(&mut self, control: u64) -> Generation {
        self.control = Some(control);
        self.says.clear();
        self.generation
    }

    /// Control is gone.
    pub(super) fn disconnect(&mut self, now: Tick) {
        self.control = None;
        self.says.clear();
        self.absence.begin(now);
    }

    /// When an absent control is given up.
    pub(super) fn due(&self, now: Tick) -> Option<Tick> {
        self.absence.left(now).filter(|_| self.control.is_none()).map(|left| now + left)
    }

    /// Gives up an absent control, if it is time.
    pub(super) fn timeout(&mut self, now: Tick) {
        if self.control.is_none() && self.absence.left(now).is_some_and(|left| left.is_zero()) {
            self.absence.give_up();
            self.generation = Generation(self.generation.0 + 1);
            let end = EndOfReplay { generation: self.generation, scope: Scope::Learned };
            self.forwarder.end_of_replay(end);
            self.changed = true;
        }
    }

    /// Control says something.
    pub(super) fn take(&mut self, message: ToForwarder) {
        match message {
            ToForwarder::Hello { .. } => {}
            ToForwarder::ShowInstalled => {
                self.says.extend(self.forwarder.installed().map(ToControl::Installed));
                self.says.push(ToControl::InstalledEnd { whole: self.absence.is_whole() });
            }
            ToForwarder::Change { generation, change } => self.change(generation, change),
            ToForwarder::EndOfReplay(end) => {
                self.changed = true;
                self.generation = self.generation.max(end.generation);
                self.forwarder.end_of_replay(end);
                match end.scope {
                    Scope::Learned => self.absence.end(),
                    Scope::Configuration => self.sweep_ports(end.generation),
                }
            }
            ToForwarder::Transmit { circuit, frame } => {
                if let Some(frame) = self.pool.alloc_from(&frame) {
                    self.forwarder.originate(&mut self.pool, circuit, frame, &mut self.output);
                    self.dispatch();
                }
            }
        }
    }

    fn change(&mut self, generation: Generation, change: Change) {
        self.changed = true;
        self.generation = self.generation.max(generation);
        let port = match &change {
            Change::Port(id, config) => Some((*id, config.clone())),
            _ => None,
        };
        if let Err(error) = self.forwarder.apply(generation, change.clone()) {
            self.says.push(ToControl::Refused { change, error });
        }
        self.says.push(ToControl::Applied { changes: 1 });
        let Some((id, config)) = port else { return };
        match config {
            Some(config) => match self.devices.iter().position(|device| *device == config.device) {
                Some(device) => {
                    self.ports.insert(id, (device, config.kind, generation));
                    self.tell_port(id);
                }
                None => self.says.push(ToControl::Port(id, PortState::Unusable("no such device".into()))),
            },
            None => self.drop_port(id),
        }
    }

    fn drop_port(&mut self, id: PortId) {
        self.ports.remove(&id);
        self.forwarder.set_port(id, None);
    }

    fn sweep_ports(&mut self, generation: Generation) {
        let stale = |(id, port): (&PortId, &(usize, _, Generation))| (port.2 < generation).then_some(*id);
        for id in self.ports.iter().filter_map(stale).collect::<Vec<_>>() {
            self.drop_port(id);
        }
    }

    fn tell_port(&mut self, id: PortId) {
        let Some(&(device, kind, _)) = self.ports.get(&id) else { return };
        let (mac, carrier) = (MacAddr(port_mac(self.node, device)), self.carriers[device]);
        self.forwarder.set_port(id, Some(PortFacts { kind, mac, mtu: MTU, carrier }));
        let state = PortState::Open { mac, mtu: MTU, carrier, backend: PortBackend::Memory };
        self.says.push(ToControl::Port(id, state));
    }

    /// A device's carrier comes or goes.
    pub(super) fn carrier(&mut self, device: usize, up: bool) {
        self.carriers[device] = up;
        let id = self.ports.iter().find(|(_, port)| port.0 == device).map(|(id, _)| *id);
        if let Some(id) = id {
            self.tell_port(id);
        }
    }

    /// A frame comes in by a device.
    pub(super) fn receive(&mut self, now: Tick, device: usize, octets: &[u8]) {
        let Some(id) = self.ports.iter().find(|(_, port)| port.0 == device).map(|(id, _)| *id) else {
            return;
        };
        let Some(frame) = self.pool.alloc_from(octets) else { return };
        self.forwarder.process(now, id, &mut self.pool, [frame], &mut self.output);
        self.dispatch();
    }

    fn dispatch(&mut self) {
        for Departure { port, frame, charge, .. } in self.output.departures.drain(..) {
            match self.ports.get(&port).filter(|(device, ..)| self.carriers[*device]) {
                Some(&(device, ..)) => {
                    let octets = self.pool.octets(&frame).to_vec();
                    self.forwarder.accepted(port, octets.len(), charge);
                    self.sent.push((device, octets));
                }
                None => self.forwarder.refused(charge),
            }
            self.pool.free(frame);
        }
        for punt in self.output.punts.drain(..) {
            if self.control.is_some() {
                let frame = self.pool.octets(&punt.frame).to_vec();
                let (circuit, reason) = (punt.circuit, punt.reason);
                self.says.push(ToControl::Punt { circuit, reason, frame });
                self.forwarder.punted(circuit.port);
            } else {
                self.forwarder.punt_refused(punt.circuit.port);
            }
            self.pool.free(punt.frame);
        }
        for unresolved in self.output.unresolved.drain(..) {
            if self.control.is_some() {
                let (isp, address) = (unresolved.isp, unresolved.address);
                self.says.push(ToControl::SubscriberUnresolved { isp, address });
            }
        }
        assert_eq!(self.pool.available(), self.pool.capacity(), "all frames came back");
    }

    /// Everything installed.
    pub(super) fn installed(&self) -> Vec<Change> {
        self.forwarder.installed().collect()
    }

    /// The plan's number of a port.
    pub(super) fn device(&self, id: PortId) -> Option<usize> {
        self.ports.get(&id).map(|port| port.0)
    }
}
