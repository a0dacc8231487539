//! What is between nodes: cables that carry frames and Hellos, and TCP connections.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ldp::{Action, ConnId, InterfaceId};

use super::packet;
use super::plan::{Behind, Line, STRANGER_CABLE, cable_address, lsr_id};
use super::world::{End, What, World};
use crate::control::Input;
use crate::control::ldp_io::LdpInput;

/// How long a message of LDP is on its way.
const LATENCY: Duration = Duration::from_millis(2);

/// What is on its way to an end of a connection.
#[derive(Debug)]
pub(super) struct Pipe {
    /// The other end.
    other: End,
    inbox: VecDeque<Piece>,
}

#[derive(Debug)]
enum Piece {
    Octets(Vec<u8>),
    Closed,
}

impl World {
    /// Does what a speaker asks for.
    pub(super) fn act(&mut self, node: usize, action: Action) {
        match action {
            Action::SendHello { interface, octets, .. } => self.send_hello(node, interface, octets),
            Action::Connect { conn, remote, .. } => {
                self.later(LATENCY, What::Connect { from: (node, conn), remote: remote.ip() });
            }
            Action::SendTargetedHello { to, octets } => self.send_targeted_hello(node, to, octets),
            Action::RequireGtsm { .. } | Action::WaiveGtsm { .. } | Action::Sign { .. } => {}
            Action::Write { conn, octets } => {
                let end = (node, conn);
                self.later(LATENCY, What::Written { end, octets: octets.len() });
                self.write(end, octets);
            }
            Action::Close { conn } => self.close((node, conn)),
        }
    }

    fn send_hello(&mut self, node: usize, interface: InterfaceId, octets: Vec<u8>) {
        let port = interface.0 as usize - 1;
        match self.plan.nodes[node].ports.get(port).map(|port| port.1) {
            Some(Behind::Cable(cable, end)) if self.cables[cable] && !self.mute.contains(&cable) => {
                let Some((to, port)) = self.plan.end_of_cable(cable, 1 - end) else { return };
                let interface = InterfaceId(port as u32 + 1);
                let source = cable_address(cable, end);
                self.later(LATENCY, What::Datagram { node: to, interface, source, octets });
            }
            Some(Behind::Stranger) => self.later(LATENCY, What::StrangerHears { octets }),
            _ => {}
        }
    }

    fn send_targeted_hello(&mut self, node: usize, to: IpAddr, octets: Vec<u8>) {
        let other = (0..self.members.len()).find(|&other| lsr_id(other) == to);
        if let Some(other) = other.filter(|&other| self.reaches(node, other)) {
            let source = lsr_id(node);
            self.later(LATENCY, What::TargetedDatagram { node: other, source, octets });
        }
    }

    /// Sends octets by a connection.
    pub(super) fn write(&mut self, end: End, octets: Vec<u8>) {
        let Some(other) = self.pipes.get(&end).map(|pipe| pipe.other) else { return };
        let half = self.random.below(octets.len() + 1);
        let Some(pipe) = self.pipes.get_mut(&other) else { return };
        // Streams are cut anywhere.
        let (first, second) = octets.split_at(half);
        for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
            pipe.inbox.push_back(Piece::Octets(part.to_vec()));
        }
        self.later(LATENCY, What::Read { end: other });
    }

    /// Closes a connection from one end; the other hears of it.
    pub(super) fn close(&mut self, end: End) {
        let Some(pipe) = self.pipes.remove(&end) else { return };
        if let Some(other) = self.pipes.get_mut(&pipe.other) {
            other.inbox.push_back(Piece::Closed);
            self.later(LATENCY, What::Read { end: pipe.other });
        }
    }

    /// Cuts all connections between two nodes, as a firewall would: both hear of it.
    pub(super) fn cut_sessions(&mut self, a: usize, b: usize) {
        let between = |end: &&End, pipe: &Pipe| end.0 == a && pipe.other.0 == b;
        let ends: Vec<_> = self.pipes.iter().filter(|(end, pipe)| between(end, pipe)).collect();
        let ends: Vec<(End, End)> = ends.into_iter().map(|(end, pipe)| (*end, pipe.other)).collect();
        for (end, other) in ends {
            for end in [end, other] {
                if let Some(pipe) = self.pipes.get_mut(&end) {
                    pipe.inbox.push_back(Piece::Closed);
                    self.later(LATENCY, What::Read { end });
                }
            }
        }
    }

    pub(super) fn connect(&mut self, from: End, remote: IpAddr) {
        let to = (0..=self.members.len()).find(|&node| lsr_id(node) == remote);
        let listens = |node: usize| match self.members.get(node) {
            Some(member) => member.control.is_some(),
            None => self.stranger.as_ref().is_some_and(|stranger| stranger.listens),
        };
        let Some(to) = to.filter(|&to| listens(to) && self.reaches(from.0, to)) else {
            return self.control_hears(from.0, None, Input::Ldp(LdpInput::ConnectFailed(from.1)));
        };
        self.accepted += 1;
        let other = (to, ConnId(self.accepted));
        self.pipes.insert(from, Pipe { other, inbox: VecDeque::new() });
        self.pipes.insert(other, Pipe { other: from, inbox: VecDeque::new() });
        if to == self.members.len() {
            self.stranger_accepts(other);
        } else {
            let remote = SocketAddr::from((lsr_id(from.0), 40_000));
            self.control_hears(to, None, Input::Ldp(LdpInput::Accepted(other.1, remote)));
        }
        if from.0 == self.members.len() {
            self.stranger_connected(from);
        } else {
            self.control_hears(from.0, None, Input::Ldp(LdpInput::Connected(from.1)));
        }
    }

    /// What came by a connection is read, unless the network is cut in two: then TCP keeps trying.
    pub(super) fn read(&mut self, end: End) {
        let Some(other) = self.pipes.get(&end).map(|pipe| pipe.other.0) else { return };
        if !self.reaches(end.0, other) {
            return self.later(Duration::from_secs(1), What::Read { end });
        }
        while let Some(piece) = self.pipes.get_mut(&end).and_then(|pipe| pipe.inbox.pop_front()) {
            match piece {
                Piece::Octets(octets) if end.0 == self.members.len() => self.stranger_reads(end, &octets),
                Piece::Octets(octets) => {
                    self.control_hears(end.0, None, Input::Ldp(LdpInput::Stream(end.1, octets)));
                }
                Piece::Closed => {
                    self.pipes.remove(&end);
                    if end.0 == self.members.len() {
                        self.stranger_closed(end);
                    } else {
                        self.control_hears(end.0, None, Input::Ldp(LdpInput::Closed(end.1)));
                    }
                }
            }
        }
    }

    /// A frame leaves a node by a port.
    pub(super) fn leaves(&mut self, node: usize, port: usize, mut octets: Vec<u8>) {
        let behind = self.plan.nodes[node].ports[port].1;
        if let Some(fault) = &mut self.fault
            && matches!(behind, Behind::Cable(..))
        {
            fault.on_backbone(&mut octets);
        }
        let Some(parsed) = packet::parse(&octets) else { return };
        match behind {
            Behind::Cable(cable, _) => {
                self.checker.backbone(node, port, &parsed);
                if self.cables[cable]
                    && let Some((to, port)) = self.plan.other_end(node, port)
                {
                    let delay = self.frame_delay();
                    self.later(delay, What::Frame { node: to, port, octets });
                }
            }
            Behind::Stranger => {
                self.checker.backbone(node, port, &parsed);
                self.later(LATENCY, What::StrangerFrame { octets });
            }
            Behind::Access | Behind::Handoff => {
                let line = Line { node, port, tags: parsed.tags };
                self.later(Duration::from_micros(200), What::Outside { line, octets });
            }
        }
    }

    /// Most frames are quick; some are still under way when everything has changed.
    pub(super) fn frame_delay(&mut self) -> Duration {
        Duration::from_micros(match self.random.below(10) {
            0 => self.random.within(100_000, 2_000_000),
            1 | 2 => self.random.within(5_000, 100_000),
            _ => self.random.within(50, 5_000),
        } as u64)
    }

    pub(super) fn frame(&mut self, node: usize, port: usize, octets: &[u8]) {
        let (mut port, mut octets) = (port, octets.to_vec());
        if let Some(fault) = &mut self.fault {
            fault.arrives(&self.plan, node, &mut port, &mut octets);
        }
        let now = self.now;
        let up = self.carrier(node, port);
        if let Some(shell) = self.members[node].shell.as_mut().filter(|_| up) {
            shell.receive(now, port, &octets);
            self.follow_up(node);
        }
    }

    /// Whether a device has a carrier.
    pub(super) fn carrier(&self, node: usize, port: usize) -> bool {
        match self.plan.nodes[node].ports[port].1 {
            Behind::Cable(cable, _) => self.cables[cable],
            Behind::Stranger => true,
            Behind::Access | Behind::Handoff => !self.dark.contains(&(node, port)),
        }
    }

    /// The address of a backbone port.
    pub(super) fn port_address(&self, node: usize, port: usize) -> Option<Ipv4Addr> {
        match self.plan.nodes[node].ports[port].1 {
            Behind::Cable(cable, end) => Some(cable_address(cable, end)),
            Behind::Stranger => Some(cable_address(STRANGER_CABLE, 0)),
            _ => None,
        }
    }
}
