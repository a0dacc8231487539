//! All nodes, what is between them, and virtual time.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use contract::{PortId, Tick, ToControl, ToForwarder};
use ldp::{ConnId, InterfaceId};
use network::{Network, PortNumbers};

use super::check::Checker;
use super::control_side::ControlSide;
use super::fault::Fault;
use super::links::Pipe;
use super::moves::{Asked, Disk, Left, Wish};
use super::plan::{Line, Plan};
use super::random::Random;
use super::routing::Told;
use super::shell::Shell;
use super::stranger::Stranger;
use crate::control::Input;
use crate::control::forwarder_link::ForwarderInput;
use crate::control::kernel::KernelEvent;
use crate::control::ldp_io::LdpInput;
use crate::label_memory::LabelMemory;
use crate::site::Site;

/// Events that are shown when a run fails.
const TRACE: usize = 120;

/// An end of a TCP connection: a node (the stranger is the one after the last), and the connection's name there.
pub(super) type End = (usize, ConnId);

/// A node: its two processes, either of which may be gone, and its kernel.
pub(super) struct Member {
    pub(super) control: Option<ControlSide>,
    pub(super) shell: Option<Shell>,
    /// How many processes of either kind there were; names a process.
    pub(super) controls: u64,
    pub(super) shells: u64,
    /// Which of the network files it has.
    pub(super) file: usize,
    /// Addresses on its loopback device.
    pub(super) loopback: BTreeSet<IpAddr>,
    /// What the kernel has told control.
    pub(super) told: Told,
    /// When the last message each way arrives: they stay in order.
    pub(super) arrivals: [Tick; 3],
    /// Its ports' numbers, in the order of the plan; those that its file does not have have none.
    pub(super) port_ids: Vec<Option<PortId>>,
    /// The numbers that its ports have and had.
    pub(super) numbers: PortNumbers,
    /// Addresses that control wants to know the routes to.
    pub(super) hosts: BTreeSet<IpAddr>,
    /// When control last met a forwarder, or its network file changed.
    pub(super) replayed: Tick,
    /// Where its directory is, if not in a file.
    pub(super) disk: Option<Disk>,
    /// What its directory was last asked for.
    pub(super) asked: Option<Asked>,
    /// When control was last started or reloaded, or the forwarder last killed.
    pub(super) disturbed: Tick,
    /// The number of control's last start.
    pub(super) labels: Rc<Cell<LabelMemory>>,
}

/// Something that will happen.
pub(super) enum What {
    /// Control finds the forwarder, if there is one.
    Meet {
        node: usize,
        control: u64,
    },
    ToForwarder {
        node: usize,
        control: u64,
        shell: u64,
        messages: Vec<ToForwarder>,
    },
    ToControl {
        node: usize,
        control: u64,
        shell: u64,
        messages: Vec<ToControl>,
    },
    Kernel {
        node: usize,
        control: u64,
        event: KernelEvent,
    },
    /// A node's routes follow the topology.
    Converge {
        node: usize,
    },
    Datagram {
        node: usize,
        interface: InterfaceId,
        source: Ipv4Addr,
        octets: Vec<u8>,
    },
    TargetedDatagram {
        node: usize,
        source: Ipv4Addr,
        octets: Vec<u8>,
    },
    Connect {
        from: End,
        remote: IpAddr,
    },
    Read {
        end: End,
    },
    Written {
        end: End,
        octets: usize,
    },
    /// A frame arrives at a node's port.
    Frame {
        node: usize,
        port: usize,
        octets: Vec<u8>,
    },
    /// A frame arrives behind an access or handoff port.
    Outside {
        line: Line,
        octets: Vec<u8>,
    },
    StrangerFrame {
        octets: Vec<u8>,
    },
    StrangerHears {
        octets: Vec<u8>,
    },
    StrangerDue,
    /// A disk has what it was given.
    Stored {
        node: usize,
        control: u64,
        plan: subscriber::Plan,
        wish: Wish,
    },
    StartControl {
        node: usize,
    },
    StartForwarder {
        node: usize,
    },
    /// A node is to go on with another network file.
    Reload {
        node: usize,
        file: usize,
        /// Whether it is started again with it if it cannot.
        insist: bool,
        /// Whether from now on both files may be in force.
        announced: bool,
    },
}

/// A network file that some nodes may have.
pub(super) struct File {
    pub(super) plan: Plan,
    pub(super) site: Site,
}

impl File {
    /// What an operator would have written of this plan.
    pub(super) fn new(plan: Plan) -> Result<Self, String> {
        let network = Network::parse("simulated.toml", &super::text::network(&plan));
        let rows = if plan.stored { String::new() } else { super::text::subscribers(&plan) };
        let site = network.and_then(|network| Site::new(network, super::text::SUBSCRIBERS, rows));
        Ok(Self { plan, site: site.map_err(|report| report.render(false))? })
    }
}

/// The simulation.
pub(super) struct World {
    pub(super) now: Tick,
    pub(super) random: Random,
    /// The truth.
    pub(super) plan: Plan,
    pub(super) files: Vec<File>,
    pub(super) members: Vec<Member>,
    pub(super) cables: Vec<bool>,
    /// Lines whose stations do not answer.
    pub(super) silent: BTreeSet<Line>,
    /// Access and handoff ports without carrier.
    pub(super) dark: BTreeSet<(usize, usize)>,
    /// Cables on which Hellos are lost.
    pub(super) mute: BTreeSet<usize>,
    pub(super) pipes: BTreeMap<End, Pipe>,
    pub(super) accepted: u64,
    pub(super) stranger: Option<Stranger>,
    /// What subscribers moved from.
    pub(super) left: Vec<Left>,
    pub(super) checker: Checker,
    pub(super) fault: Option<Fault>,
    pub(super) trace: VecDeque<String>,
    /// Whether everything that is said to forwarders is printed.
    verbose: bool,
    queue: BTreeMap<(Tick, u64), What>,
    sequence: u64,
}

impl World {
    /// A network whose nodes are all about to start.
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::random(&mut random);
        let base = File::new(plan.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let member = || Member {
            control: None,
            shell: None,
            controls: 0,
            shells: 0,
            file: 0,
            loopback: BTreeSet::new(),
            told: Told::default(),
            arrivals: [Tick(0); 3],
            port_ids: Vec::new(),
            numbers: PortNumbers::default(),
            hosts: BTreeSet::new(),
            replayed: Tick(0),
            disturbed: Tick(0),
            labels: Rc::default(),
            disk: None,
            asked: None,
        };
        let mut world = Self {
            now: Tick(1_000_000_000),
            members: plan.nodes.iter().map(|_| member()).collect(),
            cables: vec![true; plan.cables.len()],
            stranger: plan.stranger.map(|node| Stranger::new(node, plan.nodes.len())),
            silent: BTreeSet::new(),
            mute: BTreeSet::new(),
            dark: BTreeSet::new(),
            pipes: BTreeMap::new(),
            accepted: 0,
            left: Vec::new(),
            checker: Checker::default(),
            trace: VecDeque::new(),
            verbose: std::env::var_os("OPENMILE_VERBOSE").is_some(),
            queue: BTreeMap::new(),
            sequence: 0,
            files: vec![base],
            fault,
            random,
            plan,
        };
        world.fill_disks();
        for node in 0..world.members.len() {
            let after = Duration::from_millis(world.random.below(300) as u64);
            world.later(after, What::StartForwarder { node });
            world.later(after, What::StartControl { node });
        }
        if world.stranger.is_some() {
            world.later(Duration::ZERO, What::StrangerDue);
        }
        world
    }

    /// Notes what happened, for whoever looks at a failed run.
    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        let at = self.now.0 as f64 / 1e9;
        let line = format!("{at:10.4} {}", what());
        if self.verbose {
            eprintln!("{line}");
        }
        self.trace.push_back(line);
    }

    /// Has something happen later.
    pub(super) fn later(&mut self, after: Duration, what: What) {
        self.at(self.now + after, what);
    }

    /// No reload happens any more that was to happen.
    pub(super) fn forget_reloads(&mut self) {
        self.queue.retain(|_, what| !matches!(what, What::Reload { .. }));
    }

    fn at(&mut self, at: Tick, what: What) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), what);
    }

    /// A time at which a message to control (0), to the forwarder (1) or from the kernel (2) may arrive, after those
    /// before it.
    fn arrival(&mut self, node: usize, way: usize, delay: Duration) -> Tick {
        let at = (self.now + delay).max(self.members[node].arrivals[way]);
        self.members[node].arrivals[way] = at;
        at
    }

    /// Lets time pass, until something is wrong.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.checker.violation.is_none() {
            let timers = self.members.iter().enumerate().filter_map(|(node, member)| {
                let control = member.control.as_ref().and_then(ControlSide::due);
                let shell = member.shell.as_ref().and_then(|shell| shell.due(self.now));
                control.into_iter().chain(shell).min().map(|at| (at, node))
            });
            let timer = timers.min();
            let queued = self.queue.keys().next().map(|&(at, _)| at);
            match (queued, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = self.now.max(at);
                    if let Some((_, what)) = self.queue.pop_first() {
                        self.happen(what);
                    }
                }
                (_, Some((due, node))) if due <= end => {
                    self.now = self.now.max(due);
                    self.timeout(node);
                }
                _ => break,
            }
            self.look();
        }
        self.now = self.now.max(end);
    }

    fn timeout(&mut self, node: usize) {
        let now = self.now;
        if let Some(control) = &mut self.members[node].control {
            control.timeout(now);
        }
        if let Some(shell) = &mut self.members[node].shell {
            shell.timeout(now);
        }
        self.follow_up(node);
        let again = self.members[node].control.as_ref().and_then(ControlSide::due);
        assert!(again.is_none_or(|at| at > now), "node {node}: a timer stays due");
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Meet { node, control } => self.meet(node, control),
            What::ToForwarder { node, control, shell, messages } => {
                let member = &mut self.members[node];
                let Some(process) = member.shell.as_mut().filter(|_| member.shells == shell) else { return };
                if process.control == Some(control) {
                    if self.verbose {
                        let at = self.now.0 as f64 / 1e9;
                        messages.iter().for_each(|message| eprintln!("{at:10.4} n{node} {message:?}"));
                    }
                    messages.into_iter().for_each(|message| process.take(message));
                    self.follow_up(node);
                }
            }
            What::ToControl { node, control, shell, messages } => {
                let member = &self.members[node];
                if member.shells == shell && member.shell.is_some() {
                    for message in messages {
                        let input = Input::Forwarder(ForwarderInput::Message(message));
                        self.control_hears(node, Some(control), input);
                    }
                }
            }
            What::Kernel { node, control, event } => {
                self.control_hears(node, Some(control), Input::Kernel(event));
            }
            What::Converge { node } => self.converge(node),
            What::Datagram { node, interface, source, octets } => {
                let source = std::net::SocketAddr::from((source, 646));
                self.control_hears(node, None, Input::Ldp(LdpInput::Datagram(interface, source, octets)));
            }
            What::TargetedDatagram { node, source, octets } => {
                let source = std::net::SocketAddr::from((source, 646));
                self.control_hears(node, None, Input::Ldp(LdpInput::Targeted(source, octets)));
            }
            What::Connect { from, remote } => self.connect(from, remote),
            What::Read { end } => self.read(end),
            What::Written { end, octets } => {
                self.control_hears(end.0, None, Input::Ldp(LdpInput::Written(end.1, octets)));
            }
            What::Frame { node, port, octets } => self.frame(node, port, &octets),
            What::Outside { line, octets } => self.outside(line, &octets),
            What::StrangerFrame { octets } => self.stranger_frame(&octets),
            What::StrangerHears { octets } => self.stranger_hears(&octets),
            What::StrangerDue => self.stranger_due(),
            What::Stored { node, control, plan, wish } => self.stored(node, control, plan, wish),
            What::StartControl { node } => self.start_control(node),
            What::StartForwarder { node } => self.start_forwarder(node),
            What::Reload { node, file, insist, announced: false } => {
                // What was sent before arrives before.
                self.members[node].replayed = self.now;
                self.later(Duration::from_millis(1), What::Reload { node, file, insist, announced: true });
            }
            What::Reload { node, file, insist, .. } => self.reload(node, file, insist),
        }
    }

    /// Tells a node's control, if it is that process (or any).
    pub(super) fn control_hears(&mut self, node: usize, control: Option<u64>, input: Input) {
        let (now, Some(member)) = (self.now, self.members.get_mut(node)) else { return };
        let named = control.is_none_or(|control| control == member.controls);
        if let Some(process) = member.control.as_mut().filter(|_| named) {
            process.take(now, input);
            self.follow_up(node);
        }
    }

    /// Carries on what a node's processes said and sent.
    pub(super) fn follow_up(&mut self, node: usize) {
        let member = &mut self.members[node];
        let (control, shell) = (member.controls, member.shells);
        if let Some(process) = &mut member.control {
            let mut messages = process.says();
            let actions: Vec<_> = process.actions.borrow_mut().drain(..).collect();
            let jobs = process.jobs();
            if let Some(fault) = &mut self.fault {
                fault.on_the_way(&self.plan, node, &mut messages);
            }
            if !messages.is_empty() {
                let delay = Duration::from_micros(self.random.within(10, 3000) as u64);
                let at = self.arrival(node, 1, delay);
                self.at(at, What::ToForwarder { node, control, shell, messages });
            }
            for action in actions {
                self.act(node, action);
            }
            self.keep(node, jobs);
        }
        let Some(process) = &mut self.members[node].shell else { return };
        let (messages, sent) = (std::mem::take(&mut process.says), std::mem::take(&mut process.sent));
        if let Some(control) = process.control.filter(|_| !messages.is_empty()) {
            let delay = Duration::from_micros(self.random.within(10, 3000) as u64);
            let at = self.arrival(node, 0, delay);
            self.at(at, What::ToControl { node, control, shell, messages });
        }
        for (port, octets) in sent {
            self.leaves(node, port, octets);
        }
    }

    /// Has the kernel tell a node's control something, after what it told before.
    pub(super) fn kernel_tells(&mut self, node: usize, event: KernelEvent) {
        let control = self.members[node].controls;
        let at = self.arrival(node, 2, Duration::from_micros(100));
        self.at(at, What::Kernel { node, control, event });
    }
}
