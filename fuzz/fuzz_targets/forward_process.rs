//! Sequences of changes and frames through `forward`.
//!
//! Nothing may panic; every frame is sent, punted, consumed or dropped and its buffer comes back; of frames, in +
//! originated = out + dropped + consumed + punted, and of each ISP's packets and octets, received + originated + extra
//! fragments = sent + dropped + consumed; what leaves a backbone port has a real label, what leaves by a circuit is a sound
//! IP packet or control's own; nothing is longer than its port's MTU.

#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use contract::counters::{Memory, PORT_SLOTS, Point, PortCounter, Tally, memory_len};
use contract::{
    Asn, Binding, BindingKey, Change, Circuit, DropReason, EndOfReplay, Fec, Ftn, FtnChoice, Generation, Handoff,
    IcmpSource, Ilm, IlmAction, IspConfig, IspPrefix, Label, LabelStack, MacAddr, Nhlfe, PortId, PortKind, ReturnRoute, Scope, Settings,
    SubscriberId, Tick, TtlModel, VlanId, VlanTags,
};
use forward::{Capacities, Forwarder, Options, Output, PortFacts};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use libfuzzer_sys::fuzz_target;
use wire::frame::FramePool;
use wire::{EthernetHeader, checksum, ip, stack};

const KINDS: [PortKind; 6] = [
    PortKind::Access,
    PortKind::Access,
    PortKind::Backbone,
    PortKind::Backbone,
    PortKind::Handoff,
    PortKind::Handoff,
];

const MTU: u32 = 90;

/// Octets of the input, zero where it has ended.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.octet() % bound
    }

    fn port(&mut self) -> PortId {
        PortId(u16::from(self.below(KINDS.len() as u8 + 1)))
    }

    fn tags(&mut self) -> VlanTags {
        let vlan = |id| VlanId::new(id).unwrap();
        match self.below(3) {
            0 => VlanTags::None,
            1 => VlanTags::Single(vlan(1)),
            _ => VlanTags::Double { outer: vlan(1), inner: vlan(2) },
        }
    }

    fn circuit(&mut self) -> Circuit {
        Circuit { port: self.port(), tags: self.tags() }
    }

    fn isp(&mut self) -> Asn {
        Asn(64501 + u32::from(self.below(3)))
    }

    fn prefix(&mut self) -> IspPrefix {
        let (low, len) = (self.below(8), self.octet());
        let prefix: IpNet = if len & 0x80 == 0 {
            Ipv4Net::new(Ipv4Addr::new(100, 64, 0, low), 28 + len % 5).unwrap().trunc().into()
        } else {
            Ipv6Net::new(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low)), 124 + len % 5).unwrap().trunc().into()
        };
        IspPrefix { isp: self.isp(), prefix }
    }

    fn low(&mut self) -> u8 {
        self.below(8)
    }

    fn nhlfes(&mut self) -> Vec<Nhlfe> {
        (0..self.below(4))
            .map(|_| {
                let labels: Vec<_> =
                    (0..self.below(5)).map(|_| Label::new(16 + u32::from(self.below(32))).unwrap()).collect();
                Nhlfe {
                    push: LabelStack::new(&labels).unwrap(),
                    port: self.port(),
                    next_hop: Ipv4Addr::LOCALHOST.into(),
                    mac: MacAddr([self.octet() & 3, 0, 0, 0, 0, 9]),
                }
            })
            .collect()
    }

    fn fec(&mut self) -> Fec {
        Fec(Ipv4Net::new(Ipv4Addr::new(10, 254, 1, self.below(4)), 32).unwrap().into())
    }

    fn mac(&mut self) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, self.below(4)])
    }

    fn change(&mut self) -> Change {
        let gone = self.below(4) == 0;
        match self.below(7) {
            0 => {
                let key = BindingKey { circuit: self.circuit(), prefix: self.prefix() };
                let known = self.octet();
                let binding = Binding {
                    subscriber: SubscriberId(u64::from(self.below(4))),
                    mac: (known & 1 == 0).then(|| self.mac()),
                    verify_mac: known & 2 != 0,
                    leaving: known & 4 != 0,
                };
                Change::Binding(key, (!gone).then_some(binding))
            }
            1 => {
                let which = self.octet();
                let handoff = Handoff {
                    isp: self.isp(),
                    ipv4: (which & 1 == 0).then(|| (Ipv4Addr::LOCALHOST, self.mac())),
                    ipv6: (which & 2 == 0).then(|| (Ipv6Addr::LOCALHOST, self.mac())),
                };
                Change::Handoff(self.circuit(), (!gone).then_some(handoff))
            }
            2 => {
                let route = ReturnRoute { fec: self.fec(), nhlfes: self.nhlfes() };
                Change::ReturnRoute(self.prefix(), (!gone).then_some(route))
            }
            3 => {
                let choices = (0..self.below(4)).map(|_| FtnChoice { fec: self.fec(), nhlfes: self.nhlfes() }).collect();
                Change::Ftn(self.isp(), (!gone).then_some(Ftn { choices }))
            }
            4 => {
                let action = match self.below(3) {
                    0 => {
                        let isp = (self.below(4) != 0).then(|| self.isp());
                        IlmAction::Swap { isp, nhlfes: self.nhlfes() }
                    }
                    1 => IlmAction::PopToHandoff { isp: self.isp(), handoff: self.circuit() },
                    _ => IlmAction::PopToSubscribers { isp: self.isp() },
                };
                let label = Label::new(u32::from(self.below(40))).unwrap();
                Change::Ilm(label, (!gone).then_some(Ilm { fec: self.fec(), action }))
            }
            5 => {
                let own = self.low();
                let icmp_source = IcmpSource { ipv4: Some(v4(self.low())), ipv6: (own & 1 == 0).then(|| v6(own)) };
                let config = IspConfig {
                    icmp_source,
                    own: vec![v4(own).into(), v6(own).into()],
                    icmp_sources: vec![v4(self.low()).into(), v6(self.low()).into()],
                    clamp_mss: self.below(2) == 0,
                };
                Change::Isp(self.isp(), (!gone).then_some(config))
            }
            _ => {
                let ttl = if gone { TtlModel::Uniform } else { TtlModel::Pipe };
                let lsp_mtu = Some(u32::from(self.octet())).filter(|&mtu| mtu > 27);
                Change::Settings(Settings { ttl, lsp_mtu })
            }
        }
    }

    /// A frame that is sound but for what the input overwrites: without this, hardly any would pass its checksum.
    fn frame(&mut self, port: PortId) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend(if self.below(8) == 0 { [0xff; 6] } else { ours(port).0 });
        frame.extend(self.mac().0);
        for _ in 0..self.below(4) {
            frame.extend([0x81, 0, 0, self.below(3)]);
        }
        let packet = self.packet();
        let v6 = packet[0] >> 4 == 6;
        match self.below(8) {
            0 => frame.extend([8, 6]),
            1..4 if !v6 => frame.extend([8, 0]),
            1..4 => frame.extend([0x86, 0xdd]),
            _ => {
                frame.extend([0x88, 0x47]);
                let depth = 1 + self.below(4);
                for n in 1..=depth {
                    let bottom = u8::from(n == depth);
                    frame.extend([0, self.below(3), self.below(16) << 4 | bottom, self.octet()]);
                }
            }
        }
        frame.extend(packet);
        for _ in 0..self.below(4) {
            let at = usize::from(self.octet()) % frame.len();
            frame[at] = self.octet();
        }
        let len = usize::from(self.octet());
        frame.truncate(if len < 128 { len } else { usize::MAX });
        frame
    }

    fn packet(&mut self) -> Vec<u8> {
        let payload = usize::from(self.octet() % 100);
        if self.below(2) == 0 {
            let protocol = [1, 6, 17, 1][usize::from(self.below(4))];
            let mut packet = vec![0x45, 0, 0, 20 + payload as u8, 0, 0, self.octet() & 0x60, 0, self.octet(), protocol, 0, 0];
            packet.extend([100, 64, 0, self.below(8), 100, 64, 0, self.below(8)]);
            let sum = checksum::checksum(&packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            let message = self.message(protocol == 1, payload);
            packet.extend(message);
            packet
        } else {
            let mut packet = vec![0x60, 0, 0, 0, 0, payload as u8, [6, 17, 58, 44][usize::from(self.below(4))], self.octet()];
            for _ in 0..2 {
                packet.extend((0x2001_0db8u128 << 96 | u128::from(self.below(8))).to_be_bytes());
            }
            packet.resize(40 + payload, 0x87);
            packet
        }
    }

    /// What is behind an IPv4 header: an ICMP message whose checksum holds, or a TCP SYN with an MSS.
    fn message(&mut self, icmp: bool, len: usize) -> Vec<u8> {
        let mut message = vec![self.below(12), 0, 0, 0, 0, 0, 0, 0];
        if icmp {
            message.resize(len, 7);
            let sum = checksum::checksum(&message);
            if let Some(place) = message.get_mut(2..4) {
                place.copy_from_slice(&sum.to_be_bytes());
            }
        } else {
            message.extend([0, 0, 0, 0, 0x60, 2, 0, 0, 0, 0, 0, 0, 2, 4, self.octet(), self.octet()]);
            message.resize(len, 1);
        }
        message
    }
}

fn v4(low: u8) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, 0, low)
}

fn v6(low: u8) -> Ipv6Addr {
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low))
}

fn ours(port: PortId) -> MacAddr {
    MacAddr([2, 0, 0, 0, 1, port.0 as u8])
}

fn facts(port: PortId, carrier: bool) -> Option<PortFacts> {
    let kind = *KINDS.get(usize::from(port.0))?;
    Some(PortFacts { kind, mac: ours(port), mtu: MTU, carrier })
}

fn finish(forwarder: &Forwarder<'_>, pool: &mut FramePool, out: &mut Output, originated: bool) {
    for departure in out.departures.drain(..) {
        let octets = pool.octets(&departure.frame);
        let (header, len) = EthernetHeader::parse(octets).expect("what is sent is a frame");
        assert!(octets.len() - len <= MTU as usize);
        if KINDS[usize::from(departure.port.0)] == PortKind::Backbone {
            assert!(!originated && header.ether_type == wire::EtherType::MPLS);
            let top = stack::entries(&octets[len..]).next().expect("what crosses the backbone has a label");
            assert!(top.label.is_real() && top.ttl > 0);
        } else if !originated {
            let header = ip::IpHeader::parse(&octets[len..]).expect("what leaves by a circuit is IP");
            assert!(header.total_len as usize == octets.len() - len && header.ttl > 0);
            assert!(ip::ipv4_checksum_holds(&octets[len..], &header));
        }
        forwarder.accepted(departure.port, octets.len(), departure.charge);
        pool.free(departure.frame);
    }
    for punt in out.punts.drain(..) {
        assert_eq!(EthernetHeader::parse(pool.octets(&punt.frame)).expect("a frame").0.tags, VlanTags::None);
        forwarder.punted(punt.circuit.port);
        pool.free(punt.frame);
    }
    out.unresolved.clear();
    assert_eq!(pool.available(), pool.capacity());
}

fn balance(memory: &Memory<'_>) {
    let sum = |counter| (0..PORT_SLOTS as u16).map(|port| memory.port(PortId(port), counter)).sum::<u64>();
    let dropped: u64 = (0..PORT_SLOTS as u16)
        .flat_map(|port| DropReason::ALL.iter().map(move |&reason| memory.port_drops(PortId(port), reason)))
        .sum();
    assert_eq!(
        sum(PortCounter::RxFrames) + sum(PortCounter::Originated),
        sum(PortCounter::TxFrames) + sum(PortCounter::Punted) + sum(PortCounter::Consumed) + dropped
    );
    for (isp, slot) in memory.isps() {
        for point in Point::ALL {
            let sum = |tallies: [Tally; 3]| {
                tallies.map(|tally| memory.tally(slot, point, tally)).iter().fold((0, 0), |sum: (u64, u64), tally| {
                    (sum.0 + tally.packets, sum.1 + tally.octets)
                })
            };
            assert_eq!(
                sum([Tally::Received, Tally::Originated, Tally::ExtraFragments]),
                sum([Tally::Sent, Tally::Dropped, Tally::Consumed]),
                "{isp} {point:?}"
            );
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let words: Vec<AtomicU64> = (0..memory_len(1) / 8).map(|_| AtomicU64::new(0)).collect();
    let memory = Memory::create(&words, 1).expect("fresh words");
    let capacities = Capacities { bindings: 8, incoming_labels: 8, handoffs: 4, return_routes: 8, isps: 3 };
    let mut forwarder = Forwarder::new(memory, 0, &Options { capacities, seed: 1 }).expect("one worker");
    let mut pool = FramePool::new(6, 256);
    let mut out = Output::default();
    let (mut now, mut generation) = (Tick(1), 1);
    for port in 0..KINDS.len() as u16 {
        forwarder.set_port(PortId(port), facts(PortId(port), true));
    }
    let mut input = Input(data);
    while !input.0.is_empty() {
        match input.below(8) {
            0..3 => {
                let _ = forwarder.apply(Generation(generation), input.change());
            }
            3..6 => {
                let port = input.port();
                let frame = pool.alloc_from(&input.frame(port)).expect("room for one frame");
                forwarder.process(now, port, &mut pool, [frame], &mut out);
                finish(&forwarder, &mut pool, &mut out, false);
            }
            6 => {
                let circuit = input.circuit();
                let frame = pool.alloc_from(&input.frame(circuit.port)).expect("room for one frame");
                forwarder.originate(&mut pool, circuit, frame, &mut out);
                finish(&forwarder, &mut pool, &mut out, true);
            }
            _ => match input.below(4) {
                0 => now = now + Duration::from_millis(u64::from(input.octet())),
                1 => {
                    let port = input.port();
                    forwarder.set_port(port, facts(port, input.below(2) == 0));
                }
                2 => generation += 1,
                _ => {
                    let scope = if input.below(2) == 0 { Scope::Configuration } else { Scope::Learned };
                    forwarder.end_of_replay(EndOfReplay { generation: Generation(generation), scope });
                    let installed: Vec<_> = forwarder.installed().collect();
                    for change in &installed {
                        forwarder.apply(Generation(generation), change.clone()).expect("what is installed is right");
                    }
                    assert_eq!(forwarder.installed().count(), installed.len());
                }
            },
        }
    }
    balance(&memory);
});
