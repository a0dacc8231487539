//! The main thread: between control, the worker and the devices.
//!
//! Nothing here waits for the worker or for control. Commands queue in `pending` while the worker's ring is full, and
//! no more is taken from control until they are gone; messages for control queue in its sender, and while that queue is
//! long no more is taken from control or from the worker, which then drops (and counts) what it would have punted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use contract::counters::PORT_SLOTS;
use contract::{
    Change, EndOfReplay, FORWARDING_HOLD, Generation, PortId, PortKind, PortState, Scope, ToControl,
    ToForwarder, VERSION,
};
use forward::PortFacts;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::absence::Absence;
use super::custody::CustodyError;
use super::devices::{DeviceEvent, Devices, Outcome};
use super::rings::{Command, Connection, MainEnd, Report};
use crate::channel::{ChannelError, Listener, Receiver, Sender, check_version};
use crate::clock;
use crate::supervisor::Pulse;

/// Octets for control that may wait before nothing more is taken from it and from the worker.
const OUTBOX: usize = 1 << 20;

/// Commands that are collected before the worker is given them.
const BATCH: usize = 256;

/// Why the forwarder ends.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(super) enum HubError {
    /// The worker thread has ended (a defect, which it has logged).
    #[error("the worker thread has ended")]
    WorkerGone,
    /// The socket, or an event.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The devices.
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

/// All that the main thread owns.
pub(super) struct Hub {
    listener: Listener,
    devices: Devices,
    rings: MainEnd,
    woken: Arc<Notify>,
    pending: VecDeque<Command>,
    control: Option<Control>,
    /// Connected, but has not said `Hello` yet.
    candidate: Option<Control>,
    connections: u32,
    /// The highest generation of anything that control said.
    generation: Generation,
    kinds: BTreeMap<PortId, PortKind>,
    absence: Absence,
    /// The supervisor asks here whether this process works.
    pulse: Pulse,
}

/// A connection.
struct Control {
    id: Connection,
    sender: Sender,
    receiver: Receiver,
}

/// What the main thread waits for.
enum Event {
    Stop,
    Asked,
    Accepted(Result<(Sender, Receiver), ChannelError>),
    Greeted(Result<Option<ToForwarder>, ChannelError>),
    Said(Result<Option<ToForwarder>, ChannelError>),
    Flushed(Result<(), ChannelError>),
    Device(DeviceEvent),
    Woken,
    Abandoned,
}

impl Hub {
    /// Nobody connected yet.
    pub(super) fn new(
        listener: Listener,
        devices: Devices,
        rings: MainEnd,
        woken: Arc<Notify>,
        pulse: Pulse,
    ) -> Self {
        Self {
            listener,
            devices,
            rings,
            woken,
            pending: VecDeque::new(),
            control: None,
            candidate: None,
            connections: 0,
            generation: Generation::default(),
            kinds: BTreeMap::new(),
            absence: Absence::default(),
            pulse,
        }
    }

    /// Runs until told to stop (SIGTERM, SIGINT). Dropping what remains ends the worker; the devices are to be given
    /// back after that.
    pub(super) async fn run(mut self) -> Result<Devices, HubError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // A reload is control's: the signal is nobody's here, and does not end the process.
        let _hangup = signal(SignalKind::hangup())?;
        loop {
            self.pump()?;
            match self.next(&mut terminate, &mut interrupt).await {
                Event::Stop => break,
                Event::Asked => {
                    self.rings.beat.ask();
                    self.rings.wake_worker.wake();
                }
                Event::Accepted(Ok((sender, receiver))) => self.greet(sender, receiver),
                Event::Accepted(Err(error)) => tracing::warn!("a connection was refused: {error}"),
                Event::Greeted(first) => self.greeted(first),
                Event::Said(Ok(Some(message))) => {
                    self.said(message).await;
                    self.said_more().await;
                }
                Event::Said(Ok(None)) => {
                    self.disconnect(&format!(
                        "control is gone; without one, packets flow on for {FORWARDING_HOLD:?}"
                    ));
                }
                Event::Said(Err(error)) | Event::Flushed(Err(error)) => {
                    self.disconnect(&format!("control is disconnected: {error}"));
                }
                Event::Flushed(Ok(())) => {}
                Event::Device(event) => {
                    let outcomes = self.devices.handle(event).await?;
                    self.outcomes(outcomes);
                }
                Event::Woken => {
                    if self.rings.beat.take() {
                        self.pulse.alive();
                    }
                }
                Event::Abandoned => self.forget_learned(),
            }
        }
        let Self { devices, rings, .. } = self;
        let wake = rings.wake_worker.clone();
        drop(rings);
        wake.wake();
        Ok(devices)
    }

    async fn next(&mut self, terminate: &mut Signal, interrupt: &mut Signal) -> Event {
        let listening = self.pending.is_empty();
        let Self { listener, devices, woken, control, candidate, absence, pulse, .. } = self;
        let abandoned = if control.is_some() { None } else { absence.left(clock::now()) };
        let (sender, receiver) = match control {
            Some(control) => (Some(&mut control.sender), Some(&mut control.receiver)),
            None => (None, None),
        };
        let room = sender.as_ref().is_some_and(|sender| sender.queued() < OUTBOX);
        let queued = sender.as_ref().is_some_and(|sender| sender.queued() > 0);
        let candidates = candidate.is_some();
        tokio::select! {
            biased;
            _ = terminate.recv() => Event::Stop,
            _ = interrupt.recv() => Event::Stop,
            () = pulse.asked() => Event::Asked,
            flushed = flush(sender), if queued => Event::Flushed(flushed),
            event = devices.next() => Event::Device(event),
            () = woken.notified() => Event::Woken,
            accepted = listener.accept() => Event::Accepted(accepted),
            first = hear(candidate.as_mut().map(|c| &mut c.receiver)), if candidates => Event::Greeted(first),
            said = hear(receiver), if listening && room => Event::Said(said),
            () = expire(abandoned) => Event::Abandoned,
        }
    }

    /// Moves what waits: commands to the worker, reports and punted frames to control.
    fn pump(&mut self) -> Result<(), HubError> {
        let mut wake = false;
        while !self.pending.is_empty() && !self.rings.commands.is_full() {
            if let Some(command) = self.pending.pop_front() {
                wake |= self.rings.commands.push(command).is_ok();
            }
        }
        while self.room()
            && let Ok((connection, report)) = self.rings.reports.pop()
        {
            wake = true;
            self.report(connection, report);
        }
        while self.room()
            && let Ok(punted) = self.rings.punts.pop()
        {
            let (connection, circuit, reason) = (punted.connection, punted.circuit, punted.reason);
            let mut message = ToControl::Punt { circuit, reason, frame: punted.frame };
            self.say(connection, &message);
            if let ToControl::Punt { frame, .. } = &mut message {
                // There is room: the ring is as long as there are buffers.
                let _ = self.rings.empties.push(std::mem::take(frame));
            }
        }
        if wake {
            self.rings.wake_worker.wake();
        }
        if self.rings.reports.is_abandoned() { Err(HubError::WorkerGone) } else { Ok(()) }
    }

    fn room(&self) -> bool {
        self.control.as_ref().is_none_or(|control| control.sender.queued() < OUTBOX)
    }

    fn report(&mut self, connection: Connection, report: Report) {
        let message = match report {
            Report::Applied(changes) => ToControl::Applied { changes },
            Report::Refused(change, error) => ToControl::Refused { change, error },
            Report::Installed(change) => ToControl::Installed(change),
            Report::InstalledEnd => ToControl::InstalledEnd { whole: self.absence.is_whole() },
            Report::Unresolved(unresolved) => {
                ToControl::SubscriberUnresolved { isp: unresolved.isp, address: unresolved.address }
            }
            Report::Closed(port) => return drop(port),
        };
        self.say(connection, &message);
    }

    /// Queues a message for this connection, if it is still the one there is.
    fn say(&mut self, connection: Connection, message: &ToControl) {
        let Some(control) = self.control.as_mut().filter(|control| control.id == connection) else { return };
        if let Err(error) = control.sender.queue(message) {
            tracing::error!("cannot tell control: {error}");
        }
    }

    fn greet(&mut self, sender: Sender, receiver: Receiver) {
        self.connections = self.connections.wrapping_add(1).max(1);
        self.candidate = Some(Control { id: Connection(self.connections), sender, receiver });
    }

    fn greeted(&mut self, first: Result<Option<ToForwarder>, ChannelError>) {
        let Some(mut candidate) = self.candidate.take() else { return };
        match first {
            Ok(Some(ToForwarder::Hello { version })) => {
                let hello = ToControl::Hello { version: VERSION, generation: self.generation };
                let queued = candidate.sender.queue(&hello).and_then(|()| check_version(version));
                if let Err(error) = queued {
                    return tracing::warn!("a connection is closed: {error}");
                }
                tracing::info!("control is connected");
                self.pending.push_back(Command::Connected(candidate.id));
                self.control = Some(candidate);
            }
            Ok(Some(_)) => tracing::warn!("a connection is closed: it did not begin with Hello"),
            Ok(None) => {}
            Err(error) => tracing::warn!("a connection is closed: {error}"),
        }
    }

    fn disconnect(&mut self, why: &str) {
        tracing::warn!("{why}");
        self.control = None;
        self.absence.begin(clock::now());
        self.pending.push_back(Command::Connected(Connection::default()));
    }

    /// Control is away for too long: neighbours may have given the labels that it learned to other FECs.
    fn forget_learned(&mut self) {
        tracing::error!(
            "control is away for {FORWARDING_HOLD:?}: LSPs and handoffs are removed, packets stop"
        );
        self.absence.give_up();
        self.generation = Generation(self.generation.0 + 1);
        let end = EndOfReplay { generation: self.generation, scope: Scope::Learned };
        self.pending.push_back(Command::EndOfReplay(end));
    }

    /// What came together with a message: a replay is a stream of small ones.
    async fn said_more(&mut self) {
        while self.pending.len() < BATCH {
            let Some(control) = self.control.as_mut().filter(|control| control.sender.queued() < OUTBOX)
            else {
                return;
            };
            match control.receiver.read_already() {
                Ok(Some(message)) => self.said(message).await,
                Ok(None) => return,
                Err(error) => return self.disconnect(&format!("control is disconnected: {error}")),
            }
        }
    }

    async fn said(&mut self, message: ToForwarder) {
        match message {
            ToForwarder::Hello { .. } => self.disconnect("control is disconnected: it said Hello twice"),
            ToForwarder::ShowInstalled => self.pending.push_back(Command::ShowInstalled),
            ToForwarder::Change { generation, change } => self.change(generation, change).await,
            ToForwarder::EndOfReplay(end) => self.end_of_replay(end).await,
            ToForwarder::Transmit { circuit, frame } => {
                self.pending.push_back(Command::Transmit(circuit, frame));
            }
        }
    }

    async fn change(&mut self, generation: Generation, change: Change) {
        self.generation = self.generation.max(generation);
        let port = match &change {
            Change::Port(id, config) if usize::from(id.0) < PORT_SLOTS => Some((*id, config.clone())),
            _ => None,
        };
        self.pending.push_back(Command::Change(generation, change));
        if let Some((id, config)) = port {
            match &config {
                Some(config) => self.kinds.insert(id, config.kind),
                None => self.kinds.remove(&id),
            };
            let outcomes = self.devices.want(id, config, generation).await;
            self.outcomes(outcomes);
        }
    }

    async fn end_of_replay(&mut self, end: EndOfReplay) {
        self.generation = self.generation.max(end.generation);
        self.pending.push_back(Command::EndOfReplay(end));
        match end.scope {
            Scope::Learned => self.absence.end(),
            Scope::Configuration => {
                let outcomes = self.devices.sweep(end.generation).await;
                self.outcomes(outcomes);
            }
        }
    }

    fn outcomes(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Opened(id, port) => self.pending.push_back(Command::Open(id, port)),
                Outcome::Closed(id) => {
                    self.pending.push_back(Command::Facts(id, None));
                    self.pending.push_back(Command::Close(id));
                }
                Outcome::State(id, state) => {
                    let facts = self.kinds.get(&id).and_then(|&kind| facts(kind, &state));
                    self.pending.push_back(Command::Facts(id, facts));
                    if let Some(connection) = self.control.as_ref().map(|control| control.id) {
                        self.say(connection, &ToControl::Port(id, state));
                    }
                }
            }
        }
    }
}

fn facts(kind: PortKind, state: &PortState) -> Option<PortFacts> {
    match *state {
        PortState::Open { mac, mtu, carrier, .. } => Some(PortFacts { kind, mac, mtu, carrier }),
        PortState::Unusable(_) => None,
    }
}

async fn flush(sender: Option<&mut Sender>) -> Result<(), ChannelError> {
    match sender {
        Some(sender) => sender.flush().await,
        None => Ok(()),
    }
}

async fn expire(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::timeout(left, std::future::pending()).await.unwrap_or(()),
        None => std::future::pending().await,
    }
}

async fn hear(receiver: Option<&mut Receiver>) -> Result<Option<ToForwarder>, ChannelError> {
    match receiver {
        Some(receiver) => receiver.next().await,
        None => std::future::pending().await,
    }
}
