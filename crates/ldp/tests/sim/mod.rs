//! Several nodes, their links and their TCP connections under virtual time in one process.
//!
//! A node is a speaker (control), which may be gone, and a FIB (the forwarder), which outlives it and takes what it is told
//! some time later. After every single event the world checks that no label leads from one FEC into another, and, while
//! no control dies, that no label leads to a forwarder that does not know it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use contract::{Fec, Label, Tick};
use ipnet::IpNet;
use ldp::{
    Action, AddressFamily, Config, ConnId, Event, FecState, Installation, InterfaceId, NextHop, Role, Speaker,
};

const LATENCY: Duration = Duration::from_millis(1);

/// A small generator, so that a seed repeats a run exactly.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

pub(crate) struct Node {
    pub(crate) speaker: Option<Speaker>,
    pub(crate) config: Config,
    /// What the forwarder has: outlives control.
    pub(crate) fib: BTreeMap<Fec, FecState>,
    /// Labels that it has beside those, and what they stand for.
    pub(crate) retired: BTreeMap<Label, Fec>,
    /// How often control was started.
    starts: u32,
    /// FECs told since control started.
    told: BTreeSet<Fec>,
    pub(crate) events: Vec<Event>,
    pub(crate) egress: BTreeSet<Fec>,
    /// FECs whose entries the forwarder refuses.
    pub(crate) refused: BTreeSet<Fec>,
    /// Links whose other ends' Ethernet addresses the kernel does not know.
    pub(crate) unresolved: BTreeSet<usize>,
    /// When the forwarder has taken all that it was told.
    pub(crate) fib_delay: Duration,
}

#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) ends: [usize; 2],
    pub(crate) up: bool,
    /// Hellos are lost on it, all else passes.
    pub(crate) mute: bool,
}

enum What {
    Datagram {
        node: usize,
        interface: InterfaceId,
        source: IpAddr,
        octets: Vec<u8>,
    },
    Targeted {
        node: usize,
        source: IpAddr,
        octets: Vec<u8>,
    },
    Connect {
        node: usize,
        conn: ConnId,
        remote: IpAddr,
    },
    Stream {
        node: usize,
        conn: ConnId,
        octets: Vec<u8>,
    },
    Written {
        node: usize,
        conn: ConnId,
        octets: usize,
    },
    Closed {
        node: usize,
        conn: ConnId,
    },
    /// The forwarder takes what it was told.
    Fib {
        node: usize,
        starts: u32,
        event: Event,
    },
    /// The forwarder has waited long enough for control to come back.
    Forget {
        node: usize,
        starts: u32,
    },
}

pub(crate) struct World {
    pub(crate) now: Tick,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
    queue: BTreeMap<(Tick, u64), What>,
    sequence: u64,
    /// The other end of a connection's end.
    conns: BTreeMap<(usize, ConnId), (usize, ConnId)>,
    next_conn: u64,
    pub(crate) random: Random,
    /// FECs and the nodes that may be their egress.
    pub(crate) owners: BTreeMap<Fec, BTreeSet<usize>>,
    /// How many of a hundred Hellos are lost.
    pub(crate) hello_loss_percent: usize,
    /// Nodes that take nothing from their connections.
    pub(crate) stuck: BTreeSet<usize>,
    /// Whether every label that a forwarder sends must be known where it arrives.
    pub(crate) strict: bool,
    /// Whether there is independent control: then LSPs are there whether or not there is an egress at their end.
    pub(crate) independent: bool,
}

pub(crate) fn fec(a: u8, b: u8) -> Fec {
    Fec(IpNet::from(IpAddr::from([10, 254, a, b])))
}

/// As [`fec`], of IPv6.
pub(crate) fn fec_v6(a: u16, b: u16) -> Fec {
    Fec(IpNet::from(IpAddr::from([0x2001, 0xdb8, 0xfec, 0, 0, 0, a, b])))
}

/// Where a node's sessions are over IPv6. The greatest LSR-id has the least of them.
pub(crate) fn transport_v6(node: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xff - node as u16)
}

/// The link-local address of a link's end.
pub(crate) fn link_local(link: usize, side: usize) -> IpAddr {
    // The same on every link: it means something there only.
    let _ = link;
    IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, side as u16 + 1])
}

pub(crate) fn lsr_id(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 255, 0, node as u8 + 1)
}

impl World {
    /// Nodes with these links, by node number; there may be several between two.
    pub(crate) fn new(seed: u64, nodes: usize, links: &[[usize; 2]]) -> Self {
        let mut world = Self {
            now: Tick(0),
            nodes: Vec::new(),
            links: links.iter().map(|&ends| Link { ends, up: true, mute: false }).collect(),
            queue: BTreeMap::new(),
            sequence: 0,
            conns: BTreeMap::new(),
            next_conn: 1,
            random: Random::new(seed),
            owners: BTreeMap::new(),
            hello_loss_percent: 0,
            stuck: BTreeSet::new(),
            strict: true,
            independent: false,
        };
        for node in 0..nodes {
            let config = Config::new(lsr_id(node));
            world.nodes.push(Node {
                speaker: None,
                config,
                fib: BTreeMap::new(),
                retired: BTreeMap::new(),
                starts: 0,
                told: BTreeSet::new(),
                events: Vec::new(),
                egress: BTreeSet::new(),
                refused: BTreeSet::new(),
                unresolved: BTreeSet::new(),
                fib_delay: LATENCY,
            });
        }
        world
    }

    pub(crate) fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
    }

    /// Starts a node's control as it is started in earnest: what the forwarder has is what it begins with.
    pub(crate) fn start(&mut self, node: usize) {
        let mut config = self.nodes[node].config.clone();
        let label = |state: &FecState| state.in_label.map(|label| (state.fec, label));
        config.allocations = self.nodes[node].fib.values().filter_map(label).collect();
        config.restarting = !self.nodes[node].fib.is_empty();
        self.nodes[node].starts += 1;
        config.configuration_sequence = self.nodes[node].starts;
        config.first_label = Label::new(self.nodes[node].starts * 100).unwrap();
        self.nodes[node].told.clear();
        self.nodes[node].retired.clear();
        self.nodes[node].speaker = Some(Speaker::new(config, self.now));
        for link in 0..self.links.len() {
            self.tell_link(node, link);
        }
        for fec in self.nodes[node].egress.clone() {
            self.with(node, |speaker, now| speaker.handle_egress(now, fec, true));
        }
        self.route_all();
    }

    /// Kills a node's control: its connections are closed by the kernel, nothing is said.
    pub(crate) fn kill(&mut self, node: usize) {
        self.strict = false;
        self.nodes[node].speaker = None;
        let starts = self.nodes[node].starts;
        self.later(self.nodes[node].config.reconnect, What::Forget { node, starts });
        let conns: Vec<_> = self.conns.keys().filter(|(end, _)| *end == node).copied().collect();
        for end in conns {
            self.cut(end);
        }
    }

    /// Stops a node's control in order.
    pub(crate) fn stop(&mut self, node: usize) {
        self.strict = false;
        self.with(node, Speaker::shutdown);
        self.nodes[node].speaker = None;
        self.nodes[node].starts += 1;
        self.nodes[node].fib.clear();
        self.nodes[node].retired.clear();
    }

    /// Cuts every connection between two nodes.
    pub(crate) fn cut_sessions(&mut self, a: usize, b: usize) {
        let ends: Vec<_> = self
            .conns
            .iter()
            .filter(|(end, other)| end.0 == a && other.0 == b)
            .map(|(&end, _)| end)
            .collect();
        for end in ends {
            self.cut(end);
            self.later(LATENCY, What::Closed { node: end.0, conn: end.1 });
        }
    }

    fn cut(&mut self, end: (usize, ConnId)) {
        if let Some(other) = self.conns.remove(&end) {
            self.conns.remove(&other);
            self.later(LATENCY, What::Closed { node: other.0, conn: other.1 });
        }
    }

    /// Takes a link down or up, as both its ends notice.
    pub(crate) fn set_link(&mut self, link: usize, up: bool) {
        self.links[link].up = up;
        for node in self.links[link].ends {
            self.tell_link(node, link);
        }
        self.route_all();
    }

    pub(crate) fn set_egress(&mut self, node: usize, fec: Fec, live: bool) {
        if self.owners.entry(fec).or_default().insert(node) {
            self.route_all();
        }
        if live {
            self.nodes[node].egress.insert(fec);
        } else {
            self.nodes[node].egress.remove(&fec);
        }
        self.with(node, |speaker, now| speaker.handle_egress(now, fec, live));
    }

    /// The kernel finds, or loses, the Ethernet address of a link's other end.
    pub(crate) fn set_resolved(&mut self, node: usize, link: usize, resolved: bool) {
        if resolved {
            self.nodes[node].unresolved.remove(&link);
        } else {
            self.nodes[node].unresolved.insert(link);
        }
        let side = 1 - self.side(node, link);
        for address in [address(link, side), link_local(link, side)] {
            let hop = NextHop { interface: InterfaceId(link as u32 + 1), address };
            self.with(node, |speaker, now| speaker.handle_next_hop(now, hop, resolved));
        }
    }

    /// The forwarder refuses the entries of a FEC, or takes them.
    pub(crate) fn set_refused(&mut self, node: usize, fec: Fec, refused: bool) {
        if refused {
            self.nodes[node].refused.insert(fec);
        } else {
            self.nodes[node].refused.remove(&fec);
        }
        self.ack(node, fec);
    }

    /// What the forwarder says of a FEC's entry.
    fn ack(&mut self, node: usize, fec: Fec) {
        let refused = self.nodes[node].refused.contains(&fec);
        let Some(label) = self.nodes[node].fib.get(&fec).and_then(|state| state.in_label) else { return };
        let installation = if refused { Installation::Refused } else { Installation::Held };
        self.with(node, |speaker, now| speaker.handle_installed(now, fec, label, installation));
    }

    fn tell_link(&mut self, node: usize, link: usize) {
        if !self.links[link].ends.contains(&node) {
            return;
        }
        let (up, side) = (self.links[link].up, self.side(node, link));
        let transport = self.nodes[node].config.transport;
        let v4 = transport.ipv4.map(|_| address(link, side));
        let v6 = transport.ipv6.map(|_| link_local(link, side));
        let addresses: Vec<IpAddr> = v4.into_iter().chain(v6).collect();
        self.with(node, |speaker, now| {
            let interface = InterfaceId(link as u32 + 1);
            if up {
                speaker.handle_interface_up(now, interface, &format!("bb{link}"), &addresses);
            } else {
                speaker.handle_interface_down(now, interface);
            }
        });
    }

    fn side(&self, node: usize, link: usize) -> usize {
        usize::from(self.links[link].ends[1] == node)
    }

    /// Gives every node the routes to every FEC's owners: shortest paths over links that are up, all of equal cost.
    pub(crate) fn route_all(&mut self) {
        for (fec, owners) in self.owners.clone() {
            let distance = self.distances(&owners);
            for node in (0..self.nodes.len()).filter(|node| !owners.contains(node)) {
                let mut next_hops = Vec::new();
                for (link, to) in self.neighbors(node) {
                    if let (Some(here), Some(there)) = (distance[node], distance[to])
                        && there < here
                    {
                        let interface = InterfaceId(link as u32 + 1);
                        let side = self.side(to, link);
                        let address = match fec.0 {
                            IpNet::V4(_) => address(link, side),
                            IpNet::V6(_) => link_local(link, side),
                        };
                        next_hops.push(NextHop { interface, address });
                    }
                }
                let unresolved = self.nodes[node].unresolved.clone();
                self.with(node, |speaker, now| {
                    for &hop in &next_hops {
                        let resolved = !unresolved.contains(&(hop.interface.0 as usize - 1));
                        speaker.handle_next_hop(now, hop, resolved);
                    }
                    speaker.handle_route(now, fec.0, &next_hops);
                });
            }
        }
    }

    fn neighbors(&self, node: usize) -> Vec<(usize, usize)> {
        let links = self.links.iter().enumerate().filter(|(_, link)| link.up);
        links
            .filter_map(|(id, link)| match link.ends {
                [a, b] if a == node => Some((id, b)),
                [a, b] if b == node => Some((id, a)),
                _ => None,
            })
            .collect()
    }

    fn distances(&self, from: &BTreeSet<usize>) -> Vec<Option<usize>> {
        let mut distance = vec![None; self.nodes.len()];
        let mut queue: VecDeque<usize> = from.iter().copied().collect();
        from.iter().for_each(|&node| distance[node] = Some(0));
        while let Some(node) = queue.pop_front() {
            for (_, to) in self.neighbors(node) {
                if distance[to].is_none() {
                    distance[to] = distance[node].map(|d| d + 1);
                    queue.push_back(to);
                }
            }
        }
        distance
    }

    /// Calls a node's speaker, if it has one, and does what it asks for.
    pub(crate) fn with(&mut self, node: usize, call: impl FnOnce(&mut Speaker, Tick)) {
        let Some(mut speaker) = self.nodes[node].speaker.take() else { return };
        call(&mut speaker, self.now);
        while let Some(action) = speaker.poll_action() {
            self.act(node, action);
        }
        while let Some(event) = speaker.poll_event() {
            self.note(node, event);
        }
        self.nodes[node].speaker = Some(speaker);
        self.check_isolation();
    }

    fn note(&mut self, node: usize, event: Event) {
        if let Event::Fec(state) = &event {
            self.nodes[node].told.insert(state.fec);
        }
        if matches!(
            event,
            Event::Fec(_) | Event::Retired { .. } | Event::Freed { .. } | Event::RecoveryOver { .. }
        ) {
            let (starts, event) = (self.nodes[node].starts, event.clone());
            self.later(self.nodes[node].fib_delay, What::Fib { node, starts, event });
        }
        self.nodes[node].events.push(event);
    }

    fn take(&mut self, node: usize, event: Event) {
        let forwarder = &mut self.nodes[node];
        match event {
            Event::Fec(state) => {
                let fec = state.fec;
                if state.in_label.is_none() && state.next_hops.is_empty() {
                    forwarder.fib.remove(&fec);
                } else {
                    forwarder.fib.insert(fec, state);
                }
                self.ack(node, fec);
            }
            Event::Retired { fec, label } => drop(forwarder.retired.insert(label, fec)),
            Event::Freed { label } => drop(forwarder.retired.remove(&label)),
            Event::RecoveryOver { .. } => forwarder.fib.retain(|fec, _| forwarder.told.contains(fec)),
            _ => {}
        }
        self.check_isolation();
    }

    fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::SendHello { interface, family, octets } => {
                let id = interface.0 as usize - 1;
                let link = self.links[id];
                let lost = self.random.below(100) < self.hello_loss_percent;
                if link.up && !link.mute && !lost {
                    let side = self.side(node, id);
                    let source = match family {
                        AddressFamily::Ipv4 => address(id, side),
                        AddressFamily::Ipv6 => link_local(id, side),
                    };
                    self.later(
                        LATENCY,
                        What::Datagram { node: link.ends[1 - side], interface, source, octets },
                    );
                }
            }
            Action::Connect { conn, remote, .. } => {
                self.later(LATENCY, What::Connect { node, conn, remote: remote.ip() });
            }
            Action::SendTargetedHello { to, octets } => {
                let family = AddressFamily::of_address(to);
                let transport = |node: usize| self.nodes[node].config.transport.of(family);
                let source = transport(node).expect("it sends from an address that it has");
                let Some(to) = (0..self.nodes.len()).find(|&node| transport(node) == Some(to)) else {
                    return;
                };
                let reached = self.distances(&BTreeSet::from([node]))[to].is_some();
                if reached && self.random.below(100) >= self.hello_loss_percent {
                    self.later(LATENCY, What::Targeted { node: to, source, octets });
                }
            }
            Action::RequireGtsm { .. } | Action::WaiveGtsm { .. } | Action::Sign { .. } => {}
            Action::Write { conn, octets } => {
                let Some(&(to, other)) = self.conns.get(&(node, conn)) else { return };
                if self.stuck.contains(&to) {
                    return;
                }
                self.later(LATENCY, What::Written { node, conn, octets: octets.len() });
                let mut rest = octets.as_slice();
                while !rest.is_empty() {
                    let (some, more) = rest.split_at(1 + self.random.below(rest.len()));
                    self.later(LATENCY, What::Stream { node: to, conn: other, octets: some.to_vec() });
                    rest = more;
                }
            }
            Action::Close { conn } => self.cut((node, conn)),
        }
    }

    fn later(&mut self, after: Duration, what: What) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), what);
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut stays_due = 0;
        loop {
            let timers = self.nodes.iter().enumerate().filter_map(|(id, node)| {
                node.speaker.as_ref().and_then(Speaker::poll_timeout).map(|at| (at, id))
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
                    self.with(node, Speaker::handle_timeout);
                    let again = self.nodes[node].speaker.as_ref().and_then(Speaker::poll_timeout);
                    // Where a call decides few FECs at a time, there are many calls.
                    stays_due = if again.is_none_or(|at| at > self.now) { 0 } else { stays_due + 1 };
                    assert!(stays_due < 1000, "node {node}: a timer that stays due");
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Datagram { node, interface, source, octets } => {
                if self.links[interface.0 as usize - 1].up {
                    let source = SocketAddr::from((source, 646));
                    self.with(node, |speaker, now| speaker.handle_datagram(now, interface, source, &octets));
                }
            }
            What::Targeted { node, source, octets } => {
                let source = SocketAddr::from((source, 646));
                self.with(node, |speaker, now| speaker.handle_targeted_datagram(now, source, &octets));
            }
            What::Connect { node, conn, remote } => self.connect(node, conn, remote),
            What::Stream { node, conn, octets } => {
                self.with(node, |speaker, now| speaker.handle_stream(now, conn, &octets));
            }
            What::Written { node, conn, octets } => {
                self.with(node, |speaker, now| speaker.handle_written(now, conn, octets));
            }
            What::Fib { node, starts, event } => {
                if self.nodes[node].starts == starts {
                    self.take(node, event);
                }
            }
            What::Forget { node, starts } => {
                if self.nodes[node].starts == starts {
                    self.nodes[node].fib.clear();
                    self.nodes[node].retired.clear();
                }
            }
            What::Closed { node, conn } => self.with(node, |speaker, now| speaker.handle_closed(now, conn)),
        }
    }

    fn connect(&mut self, node: usize, conn: ConnId, remote: IpAddr) {
        let family = AddressFamily::of_address(remote);
        let transport = |node: usize| self.nodes[node].config.transport.of(family);
        let listens = |to: usize| transport(to) == Some(remote) && self.nodes[to].speaker.is_some();
        let to = (0..self.nodes.len()).find(|&to| listens(to));
        let source = transport(node).expect("it connects from an address that it has");
        let reached = to.filter(|&to| self.distances(&BTreeSet::from([node]))[to].is_some());
        let Some(to) = reached else {
            self.with(node, |speaker, now| speaker.handle_connect_failed(now, conn));
            return;
        };
        let other = ConnId(self.next_conn);
        self.next_conn += 1;
        self.conns.insert((node, conn), (to, other));
        self.conns.insert((to, other), (node, conn));
        let source = SocketAddr::from((source, 40000));
        self.with(to, |speaker, now| speaker.handle_accepted(now, other, source));
        self.with(node, |speaker, now| speaker.handle_connected(now, conn));
    }

    /// No label that anybody sends leads into another FEC, or goes to another than its peer, at any moment.
    fn check_isolation(&self) {
        for (id, node) in self.nodes.iter().enumerate() {
            for state in node.fib.values() {
                for next_hop in &state.next_hops {
                    let to = self.node_of(next_hop.peer.lsr_id);
                    let ends = self.links[next_hop.interface.0 as usize - 1].ends;
                    assert!(
                        ends.contains(&id) && ends.contains(&to),
                        "{:?}: node {id} sends {} over a link that node {to} has no end of",
                        self.now,
                        state.fec
                    );
                    let retired = self.nodes[to].retired.get(&next_hop.label).copied();
                    let bound = self.bound(to, next_hop.label).map(|there| there.fec);
                    for there in bound.into_iter().chain(retired) {
                        assert_eq!(
                            there, state.fec,
                            "{:?}: node {id} sends {} to node {to} with {}, which is of another FEC there",
                            self.now, state.fec, next_hop.label
                        );
                    }
                    assert!(
                        !self.strict || bound.is_some() || retired.is_some(),
                        "{:?}: node {id} sends {} to node {to} with {}, which is not known there",
                        self.now,
                        state.fec,
                        next_hop.label
                    );
                }
            }
            let labels: BTreeSet<_> = node.fib.values().filter_map(|state| state.in_label).collect();
            let bound = node.fib.values().filter(|state| state.in_label.is_some()).count();
            assert_eq!(labels.len(), bound, "node {id} has one label for two FECs");
        }
    }

    fn node_of(&self, lsr: Ipv4Addr) -> usize {
        usize::from(lsr.octets()[3]) - 1
    }

    /// What a node's forwarder has for a label.
    pub(crate) fn bound(&self, node: usize, label: Label) -> Option<&FecState> {
        self.nodes[node].fib.values().find(|state| state.in_label == Some(label))
    }

    /// At quiet: every LSP that should exist does, from every node that reaches a live egress, over all equal-cost next
    /// hops; and no other does.
    pub(crate) fn check_complete(&self) {
        for (&fec, owners) in &self.owners {
            let live: BTreeSet<usize> =
                owners.iter().copied().filter(|&owner| self.nodes[owner].egress.contains(&fec)).collect();
            let distance = self.distances(owners);
            if self.independent && live.is_empty() {
                continue;
            }
            for node in 0..self.nodes.len() {
                let should = distance[node].is_some() && !live.is_empty() && owners.len() == 1;
                let state = self.nodes[node].fib.get(&fec);
                if owners.len() == 1 {
                    assert_eq!(state.is_some(), should, "{:?}: node {node}, {fec}: {state:?}", self.now);
                }
                let Some(state) = state else { continue };
                assert!(state.in_label.is_some(), "node {node}, {fec}: no label");
                if !owners.contains(&node) {
                    let routed =
                        self.neighbors(node).into_iter().filter(|&(_, to)| distance[to] < distance[node]);
                    if owners.len() == 1 {
                        let expected = routed.filter(|&(link, _)| !self.links[link].mute).count();
                        assert_eq!(state.next_hops.len(), expected, "node {node}, {fec}: {state:?}");
                    }
                }
                self.walk(node, fec, &live, 0);
            }
        }
    }

    fn walk(&self, node: usize, fec: Fec, live: &BTreeSet<usize>, hops: usize) {
        assert!(hops <= self.nodes.len(), "{fec} loops at node {node}");
        let state = &self.nodes[node].fib[&fec];
        if state.role == Role::Egress {
            assert!(live.contains(&node), "{fec} ends at node {node}, which is no egress");
            return;
        }
        assert!(!state.next_hops.is_empty(), "{fec} ends at node {node} without next hops");
        for next_hop in &state.next_hops {
            let link = next_hop.interface.0 as usize - 1;
            assert!(self.links[link].up, "{fec} goes over link {link}, which is down");
            let to = self.links[link].ends[1 - self.side(node, link)];
            assert_eq!(to, self.node_of(next_hop.peer.lsr_id));
            let there = self.bound(to, next_hop.label);
            assert_eq!(
                there.map(|there| there.fec),
                Some(fec),
                "node {node} to {to}: label {}",
                next_hop.label
            );
            self.walk(to, fec, live, hops + 1);
        }
    }

    pub(crate) fn sessions_up(&self, node: usize) -> usize {
        let speaker = self.nodes[node].speaker.as_ref();
        let neighbors = speaker.map(|speaker| speaker.neighbors(self.now)).unwrap_or_default();
        neighbors.iter().filter(|neighbor| neighbor.session == ldp::SessionState::Operational).count()
    }
}

/// The address of a link's end.
pub(crate) fn address(link: usize, side: usize) -> IpAddr {
    IpAddr::from([10, 1, link as u8, side as u8 + 1])
}
