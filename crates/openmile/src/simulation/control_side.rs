//! A control process: the real node, with a simulated network in place of its sockets.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use contract::{Generation, Tick, ToForwarder};
use ldp::{Action, ConnId, InterfaceId};
use tokio::sync::mpsc;

use crate::control::Input;
use crate::control::api_server::Question;
use crate::control::directory::keeper::Job;
use crate::control::forwarder_link::{ForwarderInput, Inherited};
use crate::control::ldp_io::{LdpInput, LdpTransport};
use crate::control::node::Node;
use crate::control::reload::{Loaded, Proposal, Verdict};
use crate::control::start::Parts;
use crate::label_memory::LabelMemory;

/// What a speaker asked for, in order.
pub(super) type Actions = Rc<RefCell<VecDeque<Action>>>;

type Found = (Inherited, Generation, mpsc::Sender<ToForwarder>);
type Asking = Pin<Box<dyn Future<Output = (Option<Found>, Vec<Input>, mpsc::Receiver<Input>)>>>;

/// In place of the sockets.
pub(super) struct Wires {
    actions: Actions,
    hellos: BTreeSet<InterfaceId>,
    open: BTreeSet<ConnId>,
}

impl Wires {
    /// Wires that lead to these actions.
    pub(super) fn new(actions: Actions) -> Self {
        Self { actions, hellos: BTreeSet::new(), open: BTreeSet::new() }
    }
}

impl LdpTransport for Wires {
    fn open_interface(&mut self, interface: InterfaceId, _: &str) -> io::Result<()> {
        self.hellos.insert(interface);
        Ok(())
    }

    fn close_interface(&mut self, interface: InterfaceId) {
        self.hellos.remove(&interface);
    }

    fn concerns(&mut self, input: &LdpInput) -> bool {
        match input {
            LdpInput::Datagram(interface, ..) => self.hellos.contains(interface),
            LdpInput::Targeted(..) => true,
            LdpInput::Accepted(conn, _) => self.open.insert(*conn),
            LdpInput::Connected(conn) | LdpInput::Stream(conn, _) | LdpInput::Written(conn, _) => {
                self.open.contains(conn)
            }
            LdpInput::ConnectFailed(conn) | LdpInput::Closed(conn) => self.open.remove(conn),
        }
    }

    fn act(&mut self, action: Action) {
        match &action {
            Action::Connect { conn, .. } => drop(self.open.insert(*conn)),
            Action::Close { conn } => drop(self.open.remove(conn)),
            _ => {}
        }
        self.actions.borrow_mut().push_back(action);
    }

    fn finish(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::ready(()))
    }
}

/// A control process.
pub(super) struct ControlSide {
    phase: Phase,
    outgoing: Option<mpsc::Receiver<ToForwarder>>,
    pub(super) actions: Actions,
    /// What is to be stored.
    jobs: std::sync::mpsc::Receiver<Job>,
    /// What is in the node's runtime directory.
    labels: Rc<Cell<LabelMemory>>,
}

enum Phase {
    /// It asks the forwarder what is installed.
    Asking(Asking, mpsc::Sender<Input>, Box<Parts>),
    Running(Box<Node>),
    Over,
}

impl ControlSide {
    /// A process that has just begun.
    pub(super) fn new(
        parts: Parts,
        actions: Actions,
        jobs: std::sync::mpsc::Receiver<Job>,
        labels: Rc<Cell<LabelMemory>>,
    ) -> Self {
        let (sender, mut inputs) = mpsc::channel(4096);
        let asking: Asking = Box::pin(async move {
            let mut later = Vec::new();
            let found = Inherited::ask(&mut inputs, &mut later).await;
            (found, later, inputs)
        });
        Self { phase: Phase::Asking(asking, sender, Box::new(parts)), outgoing: None, actions, jobs, labels }
    }

    /// A connection to a forwarder.
    pub(super) fn connected(&mut self, now: Tick, held: Generation) {
        let (outgoing, taken) = mpsc::channel(8192);
        self.outgoing = Some(taken);
        self.take(now, Input::Forwarder(ForwarderInput::Connected(held, outgoing)));
    }

    /// The forwarder is gone.
    pub(super) fn lost(&mut self, now: Tick) {
        self.outgoing = None;
        self.take(now, Input::Forwarder(ForwarderInput::Lost("killed".into())));
    }

    /// Something happened; what follows from it is done.
    pub(super) fn take(&mut self, now: Tick, input: Input) {
        match &mut self.phase {
            Phase::Asking(asking, sender, _) => {
                let _ = sender.try_send(input);
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready((Some(found), later, mut inputs)) = asking.as_mut().poll(&mut context) {
                    self.begin(now, found, later);
                    while let Ok(input) = inputs.try_recv() {
                        self.take(now, input);
                    }
                }
            }
            Phase::Running(node) => {
                node.handle(now, input);
                node.timeout(now);
                node.settle(now);
            }
            Phase::Over => {}
        }
    }

    /// Proposes another network file; `None` as long as it asks the forwarder.
    pub(super) fn propose(&mut self, now: Tick, loaded: Box<Loaded>, dry_run: bool) -> Option<Verdict> {
        if !matches!(self.phase, Phase::Running(_)) {
            return None;
        }
        let (proposal, mut answer) = Proposal::new(loaded, dry_run);
        self.take(now, Input::Reload(proposal));
        answer.try_recv().ok()
    }

    /// The answer to a question to the API, if it is asked of a node that runs.
    pub(super) fn answer(&self, now: Tick, question: Question) -> Option<serde_json::Value> {
        match &self.phase {
            Phase::Running(node) => Some(node.answer(now, question)),
            _ => None,
        }
    }

    fn begin(&mut self, now: Tick, found: Found, later: Vec<Input>) {
        let Phase::Asking(_, _, mut parts) = std::mem::replace(&mut self.phase, Phase::Over) else { return };
        let mut labels = self.labels.get();
        parts.ldp.quarantine = labels.wait(now.since(Tick(0)), found.0.whole, parts.ldp.quarantine);
        self.labels.set(labels);
        let mut node = Node::new(now, *parts, found);
        for input in later {
            node.handle(now, input);
        }
        node.timeout(now);
        node.settle(now);
        self.phase = Phase::Running(Box::new(node));
    }

    /// Does what is due.
    pub(super) fn timeout(&mut self, now: Tick) {
        if let Phase::Running(node) = &mut self.phase {
            node.timeout(now);
            node.settle(now);
        }
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Tick> {
        match &self.phase {
            Phase::Running(node) => node.poll_timeout(),
            _ => None,
        }
    }

    /// Stops in order: the neighbours are told.
    pub(super) fn stop(&mut self, now: Tick) {
        if let Phase::Running(node) = std::mem::replace(&mut self.phase, Phase::Over) {
            let mut stopping = Box::pin(node.stop(now));
            let done = stopping.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            debug_assert!(done.is_ready());
        }
    }

    /// What it gives its keeper.
    pub(super) fn jobs(&self) -> Vec<Job> {
        self.jobs.try_iter().collect()
    }

    /// What it says to the forwarder.
    pub(super) fn says(&mut self) -> Vec<ToForwarder> {
        let Some(outgoing) = &mut self.outgoing else { return Vec::new() };
        std::iter::from_fn(|| outgoing.try_recv().ok()).collect()
    }
}
