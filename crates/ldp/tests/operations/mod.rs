//! One speaker driven by octets: each few are something that happens to it. Shared with the fuzz target.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use contract::{Fec, Label, Tick};
use ipnet::{IpNet, Ipv4Net};
use ldp::{
    Action, Advertisement, Config, ConnId, Control, Distribution, Event, FecState, Installation, InterfaceId,
    LdpId, LoopDetection, NeighborPolicy, NextHop, Protection, Retention, Role, Speaker, Targeted,
};
use wire::ldp::{
    AddressFamily, Addresses, Body, Capability, CapabilityChange, DEFAULT_MAX_PDU_LENGTH, FecTlv, FtSession,
    Hello, HoldTime, Incoming, Initialization, KeepaliveTime, LabelAbortRequest, LabelMapping, LabelRelease,
    LabelRequest, LabelWithdraw, Message, MessageId, MessageType, Milliseconds, Notification, PathVector,
    PduReader, PduWriter, RequestFec, Status, StatusCode, TransportPreference,
};

const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 4);

struct Driver<'a> {
    octets: &'a [u8],
    speaker: Speaker,
    now: Tick,
    /// Open connections, what is said on them, and whose they are.
    conns: BTreeMap<ConnId, (PduReader, LdpId)>,
    next_conn: u64,
    /// What the forwarder would have.
    states: BTreeMap<Fec, FecState>,
    /// Entries that it said it has.
    held: BTreeSet<(Fec, Label)>,
    /// Labels that were retired and not freed.
    retired: BTreeMap<Label, Fec>,
    reached: Reached,
}

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Reached {
    pub(crate) sessions: u32,
    pub(crate) switched: u32,
}

/// Does what the octets say; panics where the speaker breaks a promise.
pub(crate) fn drive(octets: &[u8]) -> Reached {
    let mut config = Config::new(LOCAL);
    let label = |value| Label::new(value).unwrap_or(Label::MAX);
    config.label_range = label(16)..=label(19);
    config.label_hold = Duration::from_secs(1);
    config.limits.adjacencies = 6;
    config.limits.pending_connections = 2;
    config.limits.bindings_per_peer = 4;
    config.limits.addresses_per_peer = 4;
    config.limits.outbound = 20_000;
    config.limits.decisions = 1 + octets.len() % 3;
    any_modes(&mut config, octets.len() / 2);
    any_targets(&mut config, octets.len() / 3);
    if octets.len().is_multiple_of(2) {
        config.restarting = true;
        config.allocations = (0..3).map(|n| (fec(n), label(16 + u32::from(n)))).collect();
    }
    let speaker = Speaker::new(config, Tick(0));
    let mut driver = Driver {
        octets,
        speaker,
        now: Tick(0),
        conns: BTreeMap::new(),
        next_conn: 1,
        states: BTreeMap::new(),
        held: BTreeSet::new(),
        retired: BTreeMap::new(),
        reached: Reached::default(),
    };
    driver.settle();
    while !driver.octets.is_empty() {
        driver.step();
        driver.settle();
    }
    driver.reached
}

fn fec(n: u8) -> Fec {
    Fec(IpNet::from(IpAddr::from([10, 254, 0, n % 6])))
}

fn peer(n: u8) -> LdpId {
    LdpId::platform(Ipv4Addr::new(10, 255, 0, n % 8))
}

/// The peer whose transport address it is.
fn peer_at(transport: IpAddr) -> LdpId {
    match transport {
        IpAddr::V4(transport) => LdpId::platform(transport),
        IpAddr::V6(_) => unreachable!("none was told"),
    }
}

fn address(interface: u8, n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, interface % 3, n % 8)
}

impl Driver<'_> {
    fn next(&mut self) -> u8 {
        match self.octets.split_first() {
            Some((&first, rest)) => {
                self.octets = rest;
                first
            }
            None => 0,
        }
    }

    fn step(&mut self) {
        let (what, a, b) = (self.next() % 19, self.next(), self.next());
        let (now, interface) = (self.now, InterfaceId(u32::from(a % 3)));
        match what {
            0 => self.speaker.handle_interface_up(
                now,
                interface,
                "bb",
                &[address(a, 4).into(), address(b, 4).into()],
            ),
            1 => self.speaker.handle_interface_down(now, interface),
            2 => {
                let source = SocketAddr::from((address(a, b), 646));
                let octets = self.hello(b);
                self.speaker.handle_datagram(now, interface, source, &octets);
            }
            3 => {
                let raw: Vec<u8> = (0..a % 40).map(|_| self.next()).collect();
                self.speaker.handle_datagram(now, interface, SocketAddr::from((address(a, b), 646)), &raw);
            }
            4 => {
                let conn = ConnId(self.next_conn);
                self.next_conn += 1;
                self.conns.insert(conn, (PduReader::default(), peer(b)));
                self.speaker.handle_accepted(now, conn, SocketAddr::from((peer(b).lsr_id, 1024)));
            }
            5 => self.speaker.handle_connected(now, self.conn(a)),
            6 if a % 4 == 0 => self.speaker.handle_connect_failed(now, self.conn(b)),
            7 if a % 4 == 0 => self.close(b),
            8 => {
                let raw: Vec<u8> = (0..b % 60).map(|_| self.next()).collect();
                self.speaker.handle_stream(now, self.conn(a), &raw);
            }
            9 | 10 => self.say(a, b),
            11 => self.session(a, b),
            12 => self.speaker.handle_written(now, self.conn(a), usize::from(b) * 64),
            13 => {
                let next_hops: Vec<NextHop> = (0..b % 3)
                    .map(|n| NextHop {
                        interface: InterfaceId(u32::from(n)),
                        address: address(n, b / 3).into(),
                    })
                    .collect();
                if let IpNet::V4(prefix) = fec(a).0 {
                    let len = if b == 7 { 24 } else { 32 };
                    let prefix = Ipv4Net::new(prefix.addr(), len).unwrap_or(prefix);
                    for &next_hop in &next_hops {
                        self.speaker.handle_next_hop(now, next_hop, b % 8 > 0);
                    }
                    self.speaker.handle_route(now, prefix.into(), &next_hops);
                }
            }
            16 => {
                let next_hop = NextHop { interface, address: address(a, b).into() };
                self.speaker.handle_next_hop(now, next_hop, b >= 64);
            }
            17 => self.install(fec(a), b),
            18 => {
                // From the transport address, mostly.
                let source = if a % 8 == 0 { address(a, b) } else { peer(b).lsr_id };
                let octets = self.hello(b);
                self.speaker.handle_targeted_datagram(now, SocketAddr::from((source, 646)), &octets);
            }
            14 => self.speaker.handle_egress(now, fec(a), b % 2 == 0),
            _ => self.wait(Duration::from_millis(u64::from(a) * u64::from(b))),
        }
    }

    fn conn(&self, n: u8) -> ConnId {
        let count = self.conns.len().max(1);
        self.conns.keys().nth(usize::from(n) % count).copied().unwrap_or(ConnId(0))
    }

    fn close(&mut self, n: u8) {
        let conn = self.conn(n);
        self.conns.remove(&conn);
        self.speaker.handle_closed(self.now, conn);
    }

    fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..64 {
            let Some(due) = self.speaker.poll_timeout().filter(|&due| due <= end) else { break };
            self.now = self.now.max(due);
            // Few FECs are decided in one call.
            for turn in 0.. {
                self.speaker.handle_timeout(self.now);
                self.settle();
                if self.speaker.poll_timeout().is_none_or(|at| at > self.now) {
                    break;
                }
                assert!(turn < 1000, "a timer stays due");
            }
        }
        self.now = self.now.max(end);
        self.speaker.handle_timeout(self.now);
    }

    fn hello(&mut self, n: u8) -> Vec<u8> {
        let (hold, bits) = (self.next(), self.next());
        let hello = Hello {
            hold: HoldTime(u16::from(hold % 20)),
            targeted: bits & 0xc0 == 0xc0,
            request_targeted: bits & 2 != 0,
            gtsm: bits & 4 != 0,
            transport_address: (bits & 8 == 0).then_some(peer(n).lsr_id),
            transport_address_v6: None,
            configuration_sequence: (bits & 16 != 0).then_some(u32::from(bits)),
            dual_stack: (bits & 32 != 0).then_some(TransportPreference::Ipv4),
        };
        pdu(peer(n), Body::Hello(hello))
    }

    /// A whole session and an LSP, as far as the peer has a say in it.
    fn session(&mut self, a: u8, b: u8) {
        let octets = self.hello(b);
        let interface = InterfaceId(u32::from(a % 3));
        self.speaker.handle_interface_up(self.now, interface, "bb", &[address(a, 4).into()]);
        self.speaker.handle_datagram(self.now, interface, SocketAddr::from((address(a, b), 646)), &octets);
        self.settle();
        let conn = if peer(b).lsr_id > LOCAL {
            let conn = ConnId(self.next_conn);
            self.next_conn += 1;
            self.conns.insert(conn, (PduReader::default(), peer(b)));
            self.speaker.handle_accepted(self.now, conn, SocketAddr::from((peer(b).lsr_id, 1024)));
            conn
        } else {
            let conn = self.conns.keys().next_back().copied().unwrap_or(ConnId(0));
            self.speaker.handle_connected(self.now, conn);
            conn
        };
        self.settle();
        for body in [self.initialization(), Body::KeepAlive] {
            self.speaker.handle_stream(self.now, conn, &pdu(peer(b), body));
            self.settle();
        }
        let addresses = Addresses::V4((0..3).map(|interface| address(interface, b)).collect());
        self.speaker.handle_stream(self.now, conn, &pdu(peer(b), Body::Address(addresses)));
        self.settle();
        // And an LSP by it, mostly.
        let label = Label::new(u32::from(a)).unwrap_or(Label::MAX);
        let mapping = Body::LabelMapping(LabelMapping::new(fec(a).0.into(), label));
        self.speaker.handle_stream(self.now, conn, &pdu(peer(b), mapping));
        if let IpNet::V4(prefix) = fec(a).0 {
            let next_hop = NextHop { interface, address: address(a, b).into() };
            self.speaker.handle_next_hop(self.now, next_hop, true);
            self.speaker.handle_route(self.now, prefix.into(), &[next_hop]);
        }
    }

    fn initialization(&mut self) -> Body {
        let (keepalive, reconnect, recovery) = (self.next(), self.next(), self.next());
        let keepalive_time = KeepaliveTime(NonZeroU16::new(u16::from(keepalive)).unwrap_or(NonZeroU16::MIN));
        Body::Initialization(Initialization {
            max_pdu_length: u16::from(reconnect) * 20,
            fault_tolerance: (reconnect % 3 > 0).then_some(FtSession {
                flags: FtSession::LEARN_FROM_NETWORK,
                reconnect: Milliseconds(u32::from(reconnect) * 100),
                recovery: Milliseconds(u32::from(recovery) * 100),
            }),
            advertisement: match reconnect % 4 {
                0 => Advertisement::DownstreamUnsolicited,
                _ => Advertisement::DownstreamOnDemand,
            },
            path_vector_limit: (recovery % 2 > 0).then_some(recovery),
            capabilities: Capability::ALL.into_iter().filter(|_| keepalive % 2 > 0).collect(),
            ..Initialization::new(keepalive_time, LdpId::platform(LOCAL))
        })
    }

    fn say(&mut self, a: u8, b: u8) {
        let (kind, c, d) = (self.next(), self.next(), self.next());
        let label = Label::new(u32::from(d)).unwrap_or(Label::MAX);
        let some = (d > 3).then_some(label);
        let one = match d {
            255 => FecTlv::Wildcard,
            254 => FecTlv::TypedWildcard(AddressFamily::Ipv4),
            253 => FecTlv::TypedWildcard(AddressFamily::Ipv6),
            _ => FecTlv::from(fec(c).0),
        };
        let body = match kind % 12 {
            0 if d == 255 => Body::Notification(Notification::end_of_lib(AddressFamily::Ipv4)),
            0 if d > 200 => Body::Capability(CapabilityChange {
                changes: Capability::ALL.into_iter().map(|capability| (capability, c % 2 > 0)).collect(),
                ..CapabilityChange::default()
            }),
            0 => {
                let message =
                    (d & 1 != 0).then_some((MessageId(u32::from(b % 16)), MessageType::LABEL_REQUEST));
                let status = Status { message, ..Status::new(StatusCode::new(u32::from(c % 64))) };
                Body::Notification(Notification::new(status))
            }
            1 => self.initialization(),
            2 => Body::KeepAlive,
            3 => Body::Address(Addresses::V4((0..c % 9).map(|n| address(n, b)).collect())),
            4 => Body::AddressWithdraw(Addresses::V4(vec![address(c, b)])),
            5 | 6 => Body::LabelMapping(LabelMapping {
                hop_count: (d & 1 != 0).then_some(c),
                path_vector: path_vector(b, d),
                // The names of the first requests that are sent.
                request: (d & 8 != 0).then_some(MessageId(u32::from(c % 16))),
                ..LabelMapping::new(fec(c).0.into(), label)
            }),
            7 if d == 255 => {
                Body::LabelRequest(LabelRequest::new(RequestFec::TypedWildcard(AddressFamily::Ipv4)))
            }
            7 => Body::LabelRequest(LabelRequest {
                hop_count: (d & 1 != 0).then_some(d),
                path_vector: path_vector(b, d),
                ..LabelRequest::new(fec(c).0.into())
            }),
            8 => Body::LabelWithdraw(LabelWithdraw { fec: one, label: some }),
            9 | 10 => Body::LabelRelease(LabelRelease { fec: one, label: some, status: None }),
            _ => Body::LabelAbortRequest(LabelAbortRequest { fecs: fec(c).0.into(), request: MessageId(1) }),
        };
        let conn = self.conn(a);
        // Mostly in its own name.
        let owner = self.conns.get(&conn).map(|&(_, owner)| owner).filter(|_| b < 250);
        self.speaker.handle_stream(self.now, conn, &pdu(owner.unwrap_or(peer(b)), body));
    }

    /// The forwarder says something of a FEC's entry.
    fn install(&mut self, fec: Fec, how: u8) {
        let Some(label) = self.states.get(&fec).and_then(|state| state.in_label) else { return };
        let installation = match how % 4 {
            0 => Installation::Refused,
            1 => Installation::Awaited,
            _ => Installation::Held,
        };
        self.held.remove(&(fec, label));
        if installation == Installation::Held {
            self.held.insert((fec, label));
        }
        self.speaker.handle_installed(self.now, fec, label, installation);
    }

    /// What is said of labels holds: none is told that the forwarder does not have.
    fn check_said(&self, message: &Message) {
        if let Body::LabelMapping(mapping) = &message.body {
            for &prefix in mapping.fecs.prefixes() {
                let held = self.held.contains(&(Fec(prefix), mapping.label));
                assert!(held, "{prefix} is told with {}, which the forwarder has not", mapping.label);
            }
        }
    }

    /// Takes what follows and checks it.
    fn settle(&mut self) {
        self.take();
        // The forwarder takes most entries at once.
        let taken: Vec<Fec> = self.states.keys().copied().filter(|&fec| fec != self::fec(1)).collect();
        for fec in taken {
            let label = self.states.get(&fec).and_then(|state| state.in_label);
            if label.is_some_and(|label| !self.held.contains(&(fec, label))) {
                self.install(fec, 2);
                self.take();
            }
        }
    }

    fn take(&mut self) {
        while let Some(action) = self.speaker.poll_action() {
            match action {
                Action::Connect { conn, remote, .. } => {
                    assert!(conn.0 >= ConnId::OUTGOING);
                    self.conns.insert(conn, (PduReader::default(), peer_at(remote.ip())));
                }
                Action::Write { conn, octets } => {
                    let (reader, _) = self.conns.get_mut(&conn).expect("a connection that is open");
                    reader.push(&octets);
                    let mut said = Vec::new();
                    while let Some(pdu) = reader.next().expect("PDUs") {
                        said.extend(
                            pdu.messages().map(|message| message.expect("what is said is well-formed")),
                        );
                    }
                    assert_eq!(reader.pending(), 0, "whole PDUs");
                    for message in said {
                        if let Incoming::Message(message) = message {
                            self.check_said(&message);
                        }
                    }
                }
                Action::Close { conn } => {
                    assert!(self.conns.remove(&conn).is_some(), "closed once");
                }
                Action::RequireGtsm { conn } | Action::WaiveGtsm { conn } => {
                    assert!(self.conns.contains_key(&conn))
                }
                Action::Sign { .. } => {}
                Action::SendHello { .. } | Action::SendTargetedHello { .. } => {}
            }
        }
        while let Some(event) = self.speaker.poll_event() {
            self.reached.sessions += u32::from(matches!(event, Event::SessionUp { .. }));
            if let Event::Fec(state) = event {
                self.reached.switched += u32::from(!state.next_hops.is_empty());
                assert!(state.role == Role::Transit || state.next_hops.is_empty());
                assert!(state.next_hops.iter().all(|next_hop| next_hop.label.is_real()));
                let before = self.states.insert(state.fec, state.clone());
                assert_ne!(before, Some(state), "an event that tells nothing new");
            } else if let Event::Retired { fec, label } = event {
                assert!(self.retired.insert(label, fec).is_none(), "retired once");
                self.held.remove(&(fec, label));
            } else if let Event::Freed { label } = event {
                self.retired.remove(&label);
            }
        }
        let labels: Vec<Label> = self.states.values().filter_map(|state| state.in_label).collect();
        assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len(), "one label, one FEC");
        assert!(labels.iter().all(|label| (16..=19).contains(&label.value())));
        assert!(
            labels.iter().all(|label| !self.retired.contains_key(label)),
            "a retired label is used again"
        );
        for neighbor in self.speaker.neighbors(self.now) {
            assert!(
                neighbor.received <= 4 && neighbor.addresses.len() <= 4 && neighbor.adjacencies.len() <= 6
            );
        }
        self.speaker.lib();
    }
}

/// Each of the ways to distribute labels.
fn any_modes(config: &mut Config, bits: usize) {
    let on = |bit: usize| bits & bit != 0;
    for policy in config.neighbors.others.iter_mut().filter(|_| on(1)) {
        policy.advertisement = Advertisement::DownstreamOnDemand;
    }
    config.distribution = Distribution {
        control: if on(2) { Control::Independent } else { Control::Ordered },
        retention: if on(4) { Retention::Conservative } else { Retention::Liberal },
        loop_detection: on(8).then_some(LoopDetection { max_hops: 100, path_vector_limit: 3 }),
    };
}

/// Neighbors by targeted Hellos, and protected ones.
fn any_targets(config: &mut Config, bits: usize) {
    if bits & 1 == 0 {
        return;
    }
    let [on, answer] = [1, 2].map(|n| peer(n).lsr_id);
    let targeted = |targeted| NeighborPolicy { targeted, ..NeighborPolicy::default() };
    config.neighbors.named.insert(on, targeted(Targeted::On(on.into())));
    config.neighbors.named.insert(answer, targeted(Targeted::Answer(answer.into())));
    for policy in config.neighbors.others.iter_mut() {
        let time = Duration::from_secs(2);
        policy.protection = if bits & 2 == 0 { Protection::For(time) } else { Protection::Forever };
    }
}

/// None, or a few LSRs, sometimes the speaker itself among them.
fn path_vector(a: u8, b: u8) -> Option<PathVector> {
    let lsrs = (0..b % 6).map(|n| peer(a.wrapping_add(n)).lsr_id).collect();
    PathVector::new(lsrs).filter(|_| b & 2 != 0)
}

fn pdu(sender: LdpId, body: Body) -> Vec<u8> {
    let mut writer = PduWriter::new(sender, DEFAULT_MAX_PDU_LENGTH);
    writer.push(&Message { id: MessageId(1), body }).expect("a short message");
    writer.finish()
}
