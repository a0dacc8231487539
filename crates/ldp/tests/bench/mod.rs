//! One speaker on the bench: the test is all of its peers.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use contract::{Fec, Label, Tick};
use ipnet::IpNet;
use ldp::{Action, Config, ConnId, Event, Installation, InterfaceId, LdpId, NextHop, Speaker};
use wire::ldp::{
    Addresses, Body, DEFAULT_MAX_PDU_LENGTH, FtSession, Hello, HoldTime, Incoming, Initialization,
    KeepaliveTime, LabelMapping, Message, MessageId, PduReader, PduWriter,
};

/// Below all of its peers, which therefore connect to it (RFC 5036 §2.5.2).
pub(crate) const LOCAL: LdpId = LdpId::platform(Ipv4Addr::new(10, 254, 255, 100));

pub(crate) struct Bench {
    pub(crate) speaker: Speaker,
    pub(crate) now: Tick,
    pub(crate) actions: Vec<Action>,
    pub(crate) events: Vec<Event>,
    /// What the forwarder says of each entry at once; `None`: nothing.
    pub(crate) forwarder: Option<Installation>,
}

pub(crate) fn peer(n: u8) -> LdpId {
    LdpId::platform(Ipv4Addr::new(10, 255, 0, n))
}

/// A peer's address on an interface.
pub(crate) fn address(interface: u32, n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, interface as u8, n)
}

pub(crate) fn fec(n: u8) -> Fec {
    Fec(IpNet::from(std::net::IpAddr::from([10, 254, 0, n])))
}

pub(crate) fn prefix(n: u8) -> IpNet {
    IpNet::from(IpAddr::from([10, 254, 0, n]))
}

pub(crate) fn label(value: u32) -> Label {
    Label::new(value).unwrap()
}

pub(crate) fn octets(sender: LdpId, bodies: &[Body]) -> Vec<u8> {
    let mut writer = PduWriter::new(sender, DEFAULT_MAX_PDU_LENGTH);
    for (id, body) in bodies.iter().enumerate() {
        writer.push(&Message { id: MessageId(id as u32 + 100), body: body.clone() }).unwrap();
    }
    writer.finish()
}

pub(crate) fn hello(transport: Option<Ipv4Addr>) -> Hello {
    Hello { transport_address: transport, ..Hello::link(HoldTime(15)) }
}

pub(crate) fn initialization(fault_tolerance: Option<FtSession>) -> Body {
    Body::Initialization(Initialization {
        fault_tolerance,
        ..Initialization::new(KeepaliveTime(NonZeroU16::new(30).unwrap()), LOCAL)
    })
}

pub(crate) fn mapping(fec: Fec, label: Label) -> Body {
    Body::LabelMapping(LabelMapping::new(fec.0.into(), label))
}

impl Bench {
    /// With two interfaces up, 1 and 2.
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(LOCAL.lsr_id);
        change(&mut config);
        let speaker = Speaker::new(config, Tick(0));
        let forwarder = Some(Installation::Held);
        let mut bench = Self { speaker, now: Tick(0), actions: Vec::new(), events: Vec::new(), forwarder };
        for interface in [1, 2] {
            bench.call(|speaker, now| {
                let own = address(interface, 100);
                speaker.handle_interface_up(
                    now,
                    InterfaceId(interface),
                    &format!("bb{interface}"),
                    &[own.into()],
                );
            });
        }
        bench
    }

    /// Calls the speaker and takes what follows; octets written are reported as written at once.
    pub(crate) fn call(&mut self, call: impl FnOnce(&mut Speaker, Tick)) {
        call(&mut self.speaker, self.now);
        self.take_actions();
        while let Some(event) = self.speaker.poll_event() {
            if let Event::Fec(ldp::FecState { fec, in_label: Some(label), .. }) = &event
                && let Some(installation) = self.forwarder
            {
                self.speaker.handle_installed(self.now, *fec, *label, installation);
            }
            self.events.push(event);
            self.take_actions();
        }
    }

    fn take_actions(&mut self) {
        while let Some(action) = self.speaker.poll_action() {
            if let Action::Write { conn, octets } = &action {
                self.speaker.handle_written(self.now, *conn, octets.len());
            }
            self.actions.push(action);
        }
    }

    /// Lets time pass, with Hellos of these peers coming on interface 1.
    pub(crate) fn pass(&mut self, duration: Duration, heard: &[u8]) {
        let end = self.now + duration;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_secs(1));
            heard.iter().for_each(|&n| self.hello(1, n));
            self.call(Speaker::handle_timeout);
        }
    }

    /// A label that all have released from now on rests for its time, and is free then.
    #[allow(dead_code, reason = "not every test file needs it")]
    pub(crate) fn rests(&mut self, value: u32) {
        let freed = Event::Freed { label: label(value) };
        let hold = Config::new(LOCAL.lsr_id).label_hold;
        self.pass(hold - Duration::from_secs(1), &[]);
        assert!(!self.events.contains(&freed));
        self.pass(Duration::from_secs(1), &[]);
        assert!(self.events.contains(&freed));
    }

    pub(crate) fn hello(&mut self, interface: u32, n: u8) {
        self.hello_with(interface, n, hello(Some(peer(n).lsr_id)));
    }

    pub(crate) fn hello_with(&mut self, interface: u32, n: u8, hello: Hello) {
        let octets = octets(peer(n), &[Body::Hello(hello)]);
        let source = SocketAddr::from((address(interface, n), 646));
        self.call(|speaker, now| speaker.handle_datagram(now, InterfaceId(interface), source, &octets));
    }

    pub(crate) fn accept(&mut self, n: u8) -> ConnId {
        let conn = ConnId(self.now.0 + u64::from(n));
        let source = SocketAddr::from((peer(n).lsr_id, 50000));
        self.call(|speaker, now| speaker.handle_accepted(now, conn, source));
        conn
    }

    pub(crate) fn say(&mut self, conn: ConnId, n: u8, bodies: &[Body]) {
        let octets = octets(peer(n), bodies);
        self.call(|speaker, now| speaker.handle_stream(now, conn, &octets));
    }

    /// A session with a peer that opens the connection, its address told.
    pub(crate) fn session(&mut self, n: u8, ft: Option<FtSession>) -> ConnId {
        self.hello(1, n);
        let conn = self.accept(n);
        self.say(conn, n, &[initialization(ft), Body::KeepAlive]);
        let addresses = vec![address(1, n), address(2, n)];
        self.say(conn, n, &[Body::Address(Addresses::V4(addresses))]);
        assert!(self.events.contains(&Event::SessionUp { peer: peer(n) }), "{:?}", self.events);
        conn
    }

    pub(crate) fn route(&mut self, fec: u8, next_hops: &[(u32, u8)]) {
        let next_hop = |&(interface, n): &(u32, u8)| NextHop {
            interface: InterfaceId(interface),
            address: address(interface, n).into(),
        };
        let next_hops: Vec<NextHop> = next_hops.iter().map(next_hop).collect();
        for &hop in &next_hops {
            self.call(|speaker, now| speaker.handle_next_hop(now, hop, true));
        }
        self.call(|speaker, now| speaker.handle_route(now, prefix(fec), &next_hops));
    }

    /// Takes what was said on a connection.
    pub(crate) fn said(&mut self, conn: ConnId) -> Vec<Message> {
        let mut reader = PduReader::default();
        for action in &self.actions {
            match action {
                Action::Write { conn: on, octets } if *on == conn => reader.push(octets),
                _ => {}
            }
        }
        self.actions.retain(|action| !matches!(action, Action::Write { conn: on, .. } if *on == conn));
        let mut said = Vec::new();
        while let Some(pdu) = reader.next().unwrap() {
            assert_eq!(pdu.sender, LOCAL);
            said.extend(pdu.messages().map(|message| match message {
                Ok(Incoming::Message(message)) => message,
                other => panic!("{other:?}"),
            }));
        }
        said
    }

    pub(crate) fn bodies(&mut self, conn: ConnId) -> Vec<Body> {
        self.said(conn).into_iter().map(|message| message.body).collect()
    }

    pub(crate) fn closed(&self, conn: ConnId) -> bool {
        self.actions.contains(&Action::Close { conn })
    }

    /// Forgets what was said and what happened so far.
    pub(crate) fn clear(&mut self) {
        self.actions.clear();
        self.events.clear();
    }
}
