//! The node's state, and what follows when something happens.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use api::Event;
use contract::{
    Change, Circuit, Fec, Generation, Label, PortConfig, PortId, PortKind, PortState, PuntReason, Settings,
    Tick, ToControl, ToForwarder,
};
use ipnet::IpNet;
use ldp::{Installation, InterfaceId, LdpId, Speaker};
use network::{LspMtu, Network, NodeView};
use tokio::sync::mpsc;

use super::Input;
use super::directory::{Desk, DirectoryInput, Follows};
use super::error::StartError;
use super::events::EventBus;
use super::forwarder_link::{ForwarderInput, ForwarderLink, Inherited};
use super::handoffs::{self, Handoffs};
use super::inherited::Inheritance;
use super::kernel::{Interface, KernelEvent};
use super::ldp_io::{LdpInput, LdpTransport};
use super::ledger::Key;
use super::lsp::{KernelView, LspRow, Places};
use super::recovery::Contradicted;
use super::retired::Retired;
use super::start::Parts;
use super::subscribers::{self, Subscribers};
use crate::netlink::LinkIndex;

mod backbone;
mod directory;
mod fecs;
mod operate;
mod refresh;
mod reload;

/// The node's state. Handlers take what happened; [`Node::settle`] says what follows.
pub(crate) struct Node {
    pub(super) network: Network,
    pub(super) view: NodeView,
    /// When the network file was read, in seconds since the Unix epoch.
    pub(super) loaded_at: u32,
    pub(super) events: EventBus,
    pub(super) counters: PathBuf,
    pub(super) link: ForwarderLink,
    io: Box<dyn LdpTransport>,
    pub(super) speaker: Speaker,
    pub(super) kernel: KernelView,
    pub(super) handoffs: Handoffs,
    pub(super) subscribers: Subscribers,
    desk: Desk,
    /// When control was started: monotonic, and of day.
    started: (Tick, u32),
    pub(super) ports: BTreeMap<PortId, PortState>,
    /// What LDP decided of each FEC.
    ldp_fecs: BTreeMap<Fec, ldp::FecState>,
    /// Labels that were withdrawn and that peers may still send by, with their FECs.
    retired: Retired,
    /// Those whose FECs are another's by now, or nobody's: nothing is carried by them, and a restart is to know of them.
    dead: BTreeMap<Label, Fec>,
    /// What the speaker was told of the entries for its labels.
    installations: BTreeMap<Fec, (Label, Installation)>,
    /// Backbone ports whose sockets could not be opened.
    unopened: BTreeMap<PortId, backbone::Unopened>,
    /// FECs to which the peer that they are routed to bound a null label.
    null_labels: BTreeMap<Fec, LdpId>,
    /// Labels that a peer bound to FECs of several ISPs.
    shared_labels: BTreeSet<(LdpId, Label)>,
    /// What was last worked out of all that.
    rows: BTreeMap<Fec, Vec<LspRow>>,
    /// What has happened since then.
    news: refresh::News,
    /// Whether any of it is from before a neighbor's restart.
    any_stale: bool,
    places: Places,
    /// What the forwarder held when this process began and may stay, for as long as recovery goes on.
    inherited: Vec<Change>,
    /// What of it is good no more.
    contradicted: Contradicted,
    pub(super) recovering: bool,
    /// At a first start, until each port was heard of: one that cannot be used ends the node.
    starting: bool,
    fatal: Option<StartError>,
}

impl Node {
    /// A node that goes on from what the forwarder held.
    pub(crate) fn new(
        now: Tick,
        parts: Parts,
        (inherited, held, outgoing): (Inherited, Generation, mpsc::Sender<ToForwarder>),
    ) -> Self {
        let Parts { network, view, directory, desk, io, events, counters, started, ldp: mut config } = parts;
        if !config.quarantine.is_zero() {
            tracing::warn!(
                "this node, or its machine, was ended without a word a moment ago and has few labels: neighbors may still \
                 use any of them, so that none is given out for {} s",
                config.quarantine.as_secs()
            );
        }
        let inherited = inherited.changes;
        let had_lsps = inherited.iter().any(|change| change.scope() == contract::Scope::Learned);
        config.restarting = had_lsps;
        let starting = !inherited.iter().any(|change| matches!(change, Change::Port(..)));
        let Inheritance { kept: inherited, corrections, labels, dead_labels } =
            Inheritance::new(inherited, &view);
        config.allocations = labels;
        let dead = dead_labels.iter().map(|&(fec, label)| (label, fec)).collect();
        config.dead_labels = dead_labels;
        let directory = if desk.is_broken() {
            subscribers::rebuilt(now + view.move_grace, view.name.as_str(), desk.facts(), &inherited)
        } else {
            directory
        };
        let mut link = ForwarderLink::default();
        link.ledger().correct_first(corrections);
        let mut node = Self {
            link,
            io,
            speaker: Speaker::new(config, now),
            kernel: KernelView::default(),
            handoffs: Handoffs::new(now, &view, &inherited),
            subscribers: Subscribers::new(now, directory, &inherited),
            desk,
            started: (now, started),
            ports: BTreeMap::new(),
            ldp_fecs: BTreeMap::new(),
            retired: Retired::default(),
            dead,
            installations: BTreeMap::new(),
            unopened: BTreeMap::new(),
            null_labels: BTreeMap::new(),
            shared_labels: BTreeSet::new(),
            rows: BTreeMap::new(),
            news: refresh::News { all: true, ..Default::default() },
            any_stale: false,
            places: Places::of(&view),
            starting,
            // Bindings are the directory's from here on, and there may be millions.
            inherited: inherited
                .into_iter()
                .filter(|change| !matches!(change, Change::Binding(..)))
                .collect(),
            contradicted: Contradicted::default(),
            recovering: true,
            fatal: None,
            network,
            view,
            loaded_at: started,
            events,
            counters,
        };
        node.begin(now, had_lsps);
        node.forwarder(now, ForwarderInput::Connected(held, outgoing));
        node
    }

    /// What the configuration alone says.
    fn begin(&mut self, now: Tick, had_lsps: bool) {
        self.link.ledger().set_configured(Self::configured(&self.view));
        for headend in &self.view.headends {
            self.speaker.handle_egress(now, headend.return_fec, true);
        }
        if had_lsps {
            tracing::info!("the forwarder kept its tables: recovering what they were made from");
        } else {
            self.recovered();
        }
    }

    /// Takes what happened.
    pub(crate) fn handle(&mut self, now: Tick, input: Input) {
        match input {
            Input::Kernel(event) => self.kernel_said(now, event),
            Input::Ldp(input) => self.ldp_input(now, input),
            Input::Forwarder(input) => self.forwarder(now, input),
            Input::Directory(input) => self.directory_input(now, input),
            Input::Operate(operation) => self.operate(now, operation),
            Input::Reload(proposal) => {
                let mut loaded = None;
                proposal.settle(|file| self.judge(file), |file| loaded = Some(file));
                if let Some(loaded) = loaded {
                    self.reload(now, loaded);
                }
            }
            Input::Api(query) => {
                self.settle(now);
                let answer = self.answer(now, query.what);
                // Who asked may be gone.
                let _ = query.answer.send(answer);
            }
        }
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Tick) {
        self.speaker.handle_timeout(now);
        self.handoffs.timeout(now);
        self.subscribers.timeout(now);
        self.open_interfaces(now);
    }

    /// When [`Self::timeout`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Tick> {
        let due = [
            self.speaker.poll_timeout(),
            self.handoffs.poll_timeout(),
            self.subscribers.poll_timeout(),
            self.unopened.values().map(|unopened| unopened.due).min(),
        ];
        due.into_iter().flatten().min()
    }

    /// Does what follows from what happened, until nothing more follows. Neighbours hear of a label only when the forwarder
    /// has said that it holds it, and the forwarder removes it only when they have released it; see [`ldp::Installation`].
    pub(crate) fn settle(&mut self, now: Tick) {
        let mut refreshed = false;
        loop {
            let mut quiet = true;
            while let Some(event) = self.speaker.poll_event() {
                quiet = false;
                self.ldp_said(event);
            }
            while let Some(happened) = self.handoffs.poll() {
                quiet = false;
                self.handoff_said(now, happened);
            }
            while let Some(happened) = self.subscribers.poll() {
                quiet = false;
                self.subscriber_said(now, happened);
            }
            while let Some(follows) = self.desk.poll() {
                quiet = false;
                self.desk_said(now, follows);
            }
            if quiet && refreshed {
                break;
            }
            self.refresh_lsps(now);
            self.begin_handoffs(now);
            refreshed = true;
        }
        self.link.pump(self.subscribers.directory());
        while let Some((circuit, frame)) = self.handoffs.poll_transmit() {
            self.link.transmit(circuit, frame);
        }
        while let Some((circuit, frame)) = self.subscribers.poll_transmit() {
            self.link.transmit(circuit, frame);
        }
        while let Some(action) = self.speaker.poll_action() {
            self.io.act(action);
        }
    }

    /// Why the node cannot go on, if it cannot.
    pub(crate) fn take_fatal(&mut self) -> Option<StartError> {
        self.fatal.take()
    }

    /// Tells the neighbours that this node goes.
    pub(crate) async fn stop(mut self, now: Tick) {
        self.speaker.shutdown(now);
        while let Some(action) = self.speaker.poll_action() {
            self.io.act(action);
        }
        self.io.finish().await;
    }

    fn ldp_input(&mut self, now: Tick, input: LdpInput) {
        if !self.io.concerns(&input) {
            return;
        }
        match input {
            LdpInput::Datagram(interface, source, octets) => {
                self.speaker.handle_datagram(now, interface, source, &octets);
            }
            LdpInput::Targeted(source, octets) => {
                self.speaker.handle_targeted_datagram(now, source, &octets);
            }
            LdpInput::Accepted(conn, remote) => self.speaker.handle_accepted(now, conn, remote),
            LdpInput::Connected(conn) => self.speaker.handle_connected(now, conn),
            LdpInput::ConnectFailed(conn) => self.speaker.handle_connect_failed(now, conn),
            LdpInput::Stream(conn, octets) => {
                self.speaker.handle_stream(now, conn, &octets);
                // What a neighbour binds to a FEC that is not routed there matters too: see `lsp::shared_labels`.
                self.news.bindings = true;
            }
            LdpInput::Written(conn, octets) => self.speaker.handle_written(now, conn, octets),
            LdpInput::Closed(conn) => self.speaker.handle_closed(now, conn),
        }
        // What the speaker asks for is done before anything else comes by the same socket.
        while let Some(action) = self.speaker.poll_action() {
            self.io.act(action);
        }
    }

    fn forwarder(&mut self, now: Tick, input: ForwarderInput) {
        match input {
            ForwarderInput::Connected(held, outgoing) => {
                tracing::info!("the forwarder is connected");
                self.link.connected(held, outgoing, self.subscribers.directory());
                self.events.tell(Event::Forwarder { connected: true });
                self.news.all = true;
            }
            ForwarderInput::Lost(why) => {
                tracing::error!("the forwarder is lost: {why}");
                self.link.lost();
                self.events.tell(Event::Forwarder { connected: false });
                self.news.all = true;
            }
            ForwarderInput::Message(message) => self.forwarder_said(now, message),
        }
    }

    fn forwarder_said(&mut self, now: Tick, message: ToControl) {
        match message {
            ToControl::Applied { changes } => {
                let applied = self.link.ledger().applied(changes);
                self.news.entries.extend(applied);
            }
            ToControl::Refused { change, error } => {
                self.news.entries.insert(Key::of(&change));
                if self.link.ledger().refused(&change, &error) {
                    self.events.alarm(format!("the forwarder refuses {change:?}: {error}"));
                }
            }
            ToControl::Port(port, state) => self.port_is(now, port, state),
            ToControl::Punt { circuit, reason, frame } => self.punted(now, circuit, reason, &frame),
            ToControl::SubscriberUnresolved { isp, address } => {
                self.subscribers.unresolved(now, isp, address);
            }
            // Said once, and asked for before this state began.
            ToControl::Hello { .. } | ToControl::Installed(_) | ToControl::InstalledEnd { .. } => {}
        }
    }

    fn port_is(&mut self, now: Tick, port: PortId, state: PortState) {
        let Some((_, kind)) = self.port_of(port) else { return };
        let name = self.port_name(port);
        match kind {
            PortKind::Access => self.subscribers.port(port, &state),
            PortKind::Handoff => self.handoffs.port(now, port, &state),
            PortKind::Backbone => {}
        }
        let (up, reason) = match &state {
            PortState::Open { carrier: true, .. } => (true, None),
            PortState::Open { .. } => (false, Some("no carrier".to_owned())),
            PortState::Unusable(why) => (false, Some(why.clone())),
        };
        if let (true, PortState::Unusable(why)) = (self.starting, &state) {
            self.fatal.get_or_insert(StartError::PortUnusable { port: name.clone(), why: why.clone() });
        }
        if self.ports.get(&port) != Some(&state) {
            match &reason {
                None => tracing::info!("port {name} is up"),
                Some(why) => tracing::warn!("port {name} is down: {why}"),
            }
            self.events.tell(Event::Port { port: name, up, reason });
            if self.ports.get(&port).and_then(mtu) != mtu(&state) {
                self.check_mtu(port, &state);
            }
            self.ports.insert(port, state);
        }
        self.starting &= self.ports.len() < self.view.ports.len();
    }

    fn punted(&mut self, now: Tick, circuit: Circuit, reason: PuntReason, frame: &[u8]) {
        let kind = self.port_of(circuit.port).map(|(_, kind)| kind);
        match (reason, kind) {
            (PuntReason::Arp | PuntReason::NeighborDiscovery, Some(PortKind::Access)) => {
                self.subscribers.frame(now, circuit, frame);
            }
            (PuntReason::Arp | PuntReason::NeighborDiscovery, Some(PortKind::Handoff)) => {
                self.handoffs.frame(now, circuit, frame);
            }
            // TODO-correctness(RFC 3032 §2.4, RFC 8029): no ICMP for an expired label TTL, no LSP ping yet.
            _ => {}
        }
    }

    fn handoff_said(&mut self, now: Tick, happened: handoffs::Happened) {
        use handoffs::Happened;
        self.news.handoffs = true;
        let (circuit, up, held_until) = match happened {
            Happened::Up(circuit) => (circuit, true, None),
            Happened::Down(circuit, held_until) => (circuit, false, held_until),
            Happened::Held(circuit, until) => (circuit, false, Some(until)),
            Happened::Changed => return,
            Happened::Begun(circuit, timed_out) => return self.handoff_begun(circuit, timed_out),
            Happened::Conflict(circuit, address, mac) => {
                let at = self.circuit_name(circuit);
                return self.events.alarm(format!("{mac} at {at} uses our address {address}"));
            }
        };
        if let Some(handoff) = self.handoffs.configured(circuit) {
            let (isp, name) = (handoff.isp, self.isp_name(handoff.isp));
            let port = self.circuit_name(circuit);
            let held_for = held_until.map(|until| until.since(now).as_secs() + 1);
            match held_for {
                Some(held_for) => tracing::warn!(
                    "handoff {port} to {name} fails again and again: it is held down for {held_for} s"
                ),
                None => tracing::info!("handoff {port} to {name} is {}", if up { "up" } else { "down" }),
            }
            self.events.tell(Event::Handoff { isp, port, up, held_for });
        }
        for (fec, live) in self.handoffs.fecs() {
            self.speaker.handle_egress(now, fec, live);
        }
    }

    fn handoff_begun(&self, circuit: Circuit, timed_out: bool) {
        let port = self.circuit_name(circuit);
        if timed_out {
            tracing::warn!("handoff {port} begins although LSPs to its ISP's subscribers are missing");
        } else {
            tracing::info!("handoff {port} begins: the LSPs to its ISP's subscribers are up");
        }
    }

    fn subscriber_said(&mut self, now: Tick, happened: subscribers::Happened) {
        use subscribers::Happened;
        match happened {
            Happened::Changed { subscriber, learned, changes } => {
                for change in changes {
                    self.link.ledger().set(change);
                }
                let name = subscriber.and_then(|id| self.subscribers.directory().name(id));
                if let Some(subscriber) = name.filter(|_| learned).map(str::to_owned) {
                    self.events.tell(Event::Learned { subscriber });
                }
            }
            Happened::Ended(changes) => {
                for change in changes {
                    self.link.ledger().set(change);
                }
            }
            Happened::Replaced(old) => self.directory_replaced(now, old),
            Happened::GatewayClaimed(circuit, address, mac) => {
                let at = self.circuit_name(circuit);
                self.events.alarm(format!("{mac} at {at} claims the gateway's address {address}"));
            }
        }
    }

    fn port_of(&self, port: PortId) -> Option<(&str, PortKind)> {
        let port = self.view.ports.get(&port)?;
        Some((port.name.as_str(), port.kind))
    }

    /// A port's name.
    pub(super) fn port_name(&self, port: PortId) -> String {
        self.port_of(port).map_or_else(|| format!("port {}", port.0), |(name, _)| name.to_owned())
    }

    /// A circuit's name: `port`, `port.vlan` or `port.outer.inner`.
    pub(super) fn circuit_name(&self, circuit: Circuit) -> String {
        let port = self.port_name(circuit.port);
        if circuit.tags == contract::VlanTags::None { port } else { format!("{port}.{}", circuit.tags) }
    }

    /// An ISP's name.
    pub(super) fn isp_name(&self, isp: contract::Asn) -> String {
        self.view.isp_names.get(&isp).map_or_else(|| isp.to_string(), |name| name.as_str().to_owned())
    }

    /// The backbone port of an address's interface.
    pub(super) fn interface_name(&self, interface: InterfaceId) -> Option<String> {
        self.kernel.port(LinkIndex(interface.0)).map(|port| self.port_name(port))
    }
}

/// The MTU of a port that is open.
fn mtu(state: &PortState) -> Option<u32> {
    match state {
        PortState::Open { mtu, .. } => Some(*mtu),
        PortState::Unusable(_) => None,
    }
}
