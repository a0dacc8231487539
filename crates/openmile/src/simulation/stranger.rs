//! A neighbour that is none of ours: a scripted LDP speaker on a cable of its own that binds what nobody asked for (null
//! labels, one label to several FECs), sends by labels that were withdrawn, and by labels that it was never given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::time::Duration;

use contract::{Label, Tick};
use ipnet::IpNet;
use ldp::{ConnId, InterfaceId, LdpId};
use wire::ldp::{
    Addresses, Body, FecTlv, FtSession, Hello, HoldTime, Incoming, Initialization, KeepaliveTime,
    LabelMapping, LabelRelease, LabelWithdraw, Message, MessageId, Milliseconds, PduReader, PduWriter,
};

use super::plan::{Behind, STRANGER_CABLE, cable_address, lsr_id};
use super::world::{End, What, World};

/// Its Ethernet address.
pub(super) const MAC: [u8; 6] = [0x02, 0x04, 0, 0, 0, 1];
/// Between two of its Hellos and KeepAlives.
const INTERVAL: Duration = Duration::from_secs(4);
/// How long it goes on with a label that was withdrawn: less than labels rest.
const LAZY: Duration = Duration::from_secs(5);

/// The neighbour.
pub(super) struct Stranger {
    /// The node that it is attached to.
    pub(super) node: usize,
    number: usize,
    /// Whether it is there at all.
    pub(super) listens: bool,
    conn: Option<End>,
    conns: u64,
    reader: PduReader,
    /// What the node bound, and until when it is used once the node said otherwise.
    pub(super) learned: BTreeMap<(Ipv4Addr, u32), Option<Tick>>,
    /// What it has bound itself.
    pub(super) bound: BTreeMap<Ipv4Addr, u32>,
    /// When it bound something last, or spoke anew.
    changed: Tick,
    /// Addresses that the node's kernel routes to it.
    pub(super) routed: BTreeSet<Ipv4Addr>,
}

impl Stranger {
    /// Attached to this node of a network of so many.
    pub(super) fn new(node: usize, nodes: usize) -> Self {
        Self {
            node,
            number: nodes,
            listens: true,
            conn: None,
            conns: 0,
            reader: PduReader::default(),
            learned: BTreeMap::new(),
            bound: BTreeMap::new(),
            changed: Tick(0),
            routed: BTreeSet::new(),
        }
    }

    fn pdu(&self, bodies: Vec<Body>) -> Vec<u8> {
        let mut writer = PduWriter::new(LdpId::platform(lsr_id(self.number)), 4096);
        for body in bodies {
            writer.push(&Message { id: MessageId(1), body }).expect("a short message");
        }
        writer.finish()
    }

    /// Whether the node has had time to act on what it said last.
    pub(super) fn is_settled(&self, now: Tick) -> bool {
        now > self.changed + Duration::from_secs(3)
    }

    /// The labels that it would send by now.
    pub(super) fn usable(&self, now: Tick) -> Vec<(Ipv4Addr, u32)> {
        let good = |until: &Option<Tick>| until.is_none_or(|until| now < until);
        self.learned.iter().filter(|(_, until)| good(until)).map(|(&key, _)| key).collect()
    }
}

fn real(label: u32) -> Label {
    Label::new(label).unwrap_or(Label::MAX)
}

fn host(address: Ipv4Addr) -> IpNet {
    IpNet::from(IpAddr::V4(address))
}

impl World {
    /// Hellos and KeepAlives, and an attempt at a session.
    pub(super) fn stranger_due(&mut self) {
        self.later(INTERVAL, What::StrangerDue);
        let Some(stranger) = self.stranger.as_ref().filter(|stranger| stranger.listens) else { return };
        let hello = Hello { transport_address: Some(lsr_id(stranger.number)), ..Hello::link(HoldTime(15)) };
        let (node, octets) = (stranger.node, stranger.pdu(vec![Body::Hello(hello)]));
        let alive = stranger.pdu(vec![Body::KeepAlive]);
        let (conn, number) = (stranger.conn, stranger.number);
        let Some(&port) = self.plan.ports_behind(node, Behind::Stranger).first() else { return };
        let (interface, source) = (InterfaceId(port as u32 + 1), cable_address(STRANGER_CABLE, 1));
        self.later(Duration::from_millis(1), What::Datagram { node, interface, source, octets });
        match conn {
            Some(end) => self.write(end, alive),
            None => {
                let Some(stranger) = &mut self.stranger else { return };
                stranger.conns += 1;
                let from = (number, ConnId(ConnId::OUTGOING | stranger.conns));
                let remote = lsr_id(node);
                self.later(Duration::from_millis(20), What::Connect { from, remote: remote.into() });
            }
        }
    }

    /// It only sends Hellos: what it hears is of no use to it.
    #[allow(clippy::unused_self, reason = "one of the things that happen")]
    pub(super) fn stranger_hears(&mut self, _: &[u8]) {}

    pub(super) fn stranger_accepts(&mut self, end: End) {
        self.close(end);
    }

    pub(super) fn stranger_connected(&mut self, end: End) {
        let (now, preserves) = (self.now, self.random.chance(50));
        let Some(stranger) = &mut self.stranger else { return };
        let minute = Milliseconds(if preserves { 60_000 } else { 0 });
        let ft = FtSession { flags: FtSession::LEARN_FROM_NETWORK, reconnect: minute, recovery: minute };
        let keepalive = KeepaliveTime(NonZeroU16::new(30).unwrap_or(NonZeroU16::MIN));
        let initialization = Initialization {
            fault_tolerance: preserves.then_some(ft),
            ..Initialization::new(keepalive, LdpId::platform(lsr_id(stranger.node)))
        };
        stranger.reader = PduReader::default();
        stranger.conn = Some(end);
        stranger.changed = now;
        let octets = stranger.pdu(vec![Body::Initialization(initialization)]);
        self.write(end, octets);
    }

    pub(super) fn stranger_reads(&mut self, end: End, octets: &[u8]) {
        let now = self.now;
        let Some(stranger) = self.stranger.as_mut().filter(|stranger| stranger.conn == Some(end)) else {
            return;
        };
        stranger.reader.push(octets);
        let mut heard = Vec::new();
        while let Ok(Some(pdu)) = stranger.reader.next() {
            heard.extend(pdu.messages().flatten());
        }
        let mut answers = Vec::new();
        for message in heard {
            let Incoming::Message(Message { body, .. }) = message else { continue };
            match body {
                Body::Initialization(_) => {
                    // A new session tells all of it again.
                    stranger.learned.values_mut().for_each(|until| *until = until.or(Some(now + LAZY)));
                    answers.push(Body::KeepAlive);
                    answers.push(Body::Address(Addresses::V4(vec![cable_address(STRANGER_CABLE, 1)])));
                    for (&address, &label) in &stranger.bound {
                        let mapping = LabelMapping::new(host(address).into(), real(label));
                        answers.push(Body::LabelMapping(mapping));
                    }
                }
                Body::LabelMapping(mapping) => {
                    for address in addresses(mapping.fecs.prefixes()) {
                        stranger.learned.insert((address, mapping.label.value()), None);
                    }
                }
                Body::LabelWithdraw(LabelWithdraw { fec, label }) => {
                    if let FecTlv::Prefixes(fecs) = &fec {
                        for address in addresses(fecs.prefixes()) {
                            let name = |key: &(Ipv4Addr, u32)| {
                                key.0 == address && label.is_none_or(|label| label.value() == key.1)
                            };
                            let used = stranger.learned.iter_mut().filter(|(key, _)| name(key));
                            used.for_each(|(_, until)| *until = until.or(Some(now + LAZY)));
                        }
                    }
                    answers.push(Body::LabelRelease(LabelRelease { fec, label, status: None }));
                }
                _ => {}
            }
        }
        let octets = stranger.pdu(answers);
        if !octets.is_empty() {
            self.write(end, octets);
        }
    }

    pub(super) fn stranger_closed(&mut self, end: End) {
        let now = self.now;
        if let Some(stranger) = self.stranger.as_mut().filter(|stranger| stranger.conn == Some(end)) {
            stranger.conn = None;
            stranger.learned.values_mut().for_each(|until| *until = until.or(Some(now + LAZY)));
        }
    }

    /// It binds labels that nobody asked for, or takes some back.
    pub(super) fn stranger_binds(&mut self) {
        let addresses = self.service_addresses();
        let Some(address) = self.random.pick(&addresses) else { return };
        let label = match self.random.below(6) {
            0 => self.random.pick(&[0, 2, 3]).unwrap_or(3),
            1 | 2 => 777,
            _ => self.random.within(16, 120) as u32,
        };
        let withdraws = self.random.chance(25);
        self.note(|| format!("the stranger binds {label} to {address} (or not: {withdraws})"));
        let now = self.now;
        // While there is no session, it keeps what it said: that is what graceful restart asks of it.
        let Some(stranger) = self.stranger.as_mut().filter(|stranger| stranger.conn.is_some()) else {
            return;
        };
        stranger.changed = now;
        let fec = host(address);
        let body = if withdraws {
            stranger.bound.remove(&address);
            Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::from(fec), label: None })
        } else {
            stranger.bound.insert(address, label);
            Body::LabelMapping(LabelMapping::new(fec.into(), real(label)))
        };
        let octets = stranger.pdu(vec![body]);
        if let Some(end) = stranger.conn {
            self.write(end, octets);
        }
    }
}

fn addresses(prefixes: &[IpNet]) -> impl Iterator<Item = Ipv4Addr> {
    prefixes.iter().filter_map(|prefix| match prefix {
        IpNet::V4(prefix) => Some(prefix.addr()),
        IpNet::V6(_) => None,
    })
}
