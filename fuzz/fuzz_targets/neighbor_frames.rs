//! Operation sequences on both sides of `neighbor`: frames (sound ones, bent ones, noise), time, resolutions, ports.
//!
//! Nothing may panic; the table stays within the directory; every frame is counted once; what we send is sound ARP or
//! ND from our own address; nobody unbound is ever learned; timers always lead on.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use contract::{Asn, Circuit, MacAddr, PortId, SubscriberId, Tick, VlanTags};
use libfuzzer_sys::fuzz_target;
use neighbor::{
    Access, AccessEvent, AccessNeighbors, AccessSettings, Bound, Counters, HandoffConfig, HandoffNeighbors,
    HandoffSettings, Ignored, Owner, Pool,
};
use wire::arp::{ArpOperation, ArpPacket};
use wire::nd::{NaFlags, NdMessage, NdPacket};
use wire::{EtherType, EthernetHeader};

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xff]);
const CIRCUIT: Circuit = Circuit { port: PortId(0), tags: VlanTags::None };
const V6: u128 = 0x2001_0db8_000a << 80;

/// Eight subscribers on one circuit, some of them with an Ethernet address, each with an IPv4 and an IPv6 prefix.
struct Directory;

impl Access for Directory {
    fn binding(&self, circuit: Circuit, address: IpAddr) -> Option<Bound> {
        let (number, prefix) = match address {
            IpAddr::V4(v4) if v4.octets()[..3] == [100, 64, 0] => (v4.octets()[3], IpAddr::V4(v4)),
            IpAddr::V6(v6) if v6.segments()[..3] == [0x2001, 0xdb8, 0xa] => {
                (v6.octets()[7], IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)))
            }
            _ => return None,
        };
        let length = if prefix.is_ipv4() { 32 } else { 64 };
        let fits = circuit == CIRCUIT && (8..16).contains(&number) && (!prefix.is_ipv6() || clean(prefix));
        fits.then_some(Bound {
            owner: Owner { isp: Asn(1), subscriber: SubscriberId(u64::from(number)) },
            prefix: ipnet::IpNet::new(prefix, length).unwrap(),
            mac: (number % 4 == 0).then_some(station(number)),
        })
    }

    fn station(&self, circuit: Circuit, mac: MacAddr) -> Option<Owner> {
        let bound = self.binding(circuit, IpAddr::from([100, 64, 0, mac.0[5]]))?;
        (bound.mac == Some(mac)).then_some(bound.owner)
    }

    fn pool(&self, _: Asn, address: IpAddr) -> Option<Pool> {
        let pool = |prefix: &str, gateway: &str| Pool {
            prefix: prefix.parse().unwrap(),
            gateway: gateway.parse().unwrap(),
        };
        let pools = [pool("100.64.0.0/24", "100.64.0.1"), pool("2001:db8:a::/48", "2001:db8:a::1")];
        pools.into_iter().find(|pool| pool.prefix.contains(&address))
    }

    fn is_gateway(&self, address: IpAddr) -> bool {
        [IpAddr::from([100, 64, 0, 1]), IpAddr::V6(Ipv6Addr::from_bits(V6 | 1))].contains(&address)
    }
}

/// Whether the upper octet of the fourth group is zero, so that its lower one is the subscriber.
fn clean(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.octets()[6] == 0)
}

fn station(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, number])
}

fn v4(number: u8) -> Ipv4Addr {
    if number == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(100, 64, 0, number % 20) }
}

fn v6(number: u8) -> Ipv6Addr {
    match number {
        0 => Ipv6Addr::UNSPECIFIED,
        1 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        _ => Ipv6Addr::from_bits(V6 | u128::from(number % 20) << 64 | u128::from(number % 3)),
    }
}

/// A frame from eight octets, sound but for its last octet's wish to bend one.
fn frame(spec: [u8; 8]) -> Vec<u8> {
    let [kind, source, sender, target, mac, flags, at, bend] = spec;
    let (ether_type, payload) = match kind % 4 {
        kind @ (0 | 1) => {
            let operation = if kind == 0 { ArpOperation::Request } else { ArpOperation::Reply };
            let packet = ArpPacket {
                operation,
                sender_mac: station(mac),
                sender_ip: v4(sender),
                target_mac: OURS,
                target_ip: v4(target),
            };
            (EtherType::ARP, packet.to_bytes().to_vec())
        }
        kind => {
            let destination = if flags & 8 == 0 { v6(target) } else { wire::nd::solicited_node(v6(target)) };
            let option = (flags & 16 == 0).then_some(station(mac));
            let message = if kind == 2 {
                NdMessage::Solicitation { target: v6(target), source_mac: option }
            } else {
                let flags = NaFlags {
                    router: flags & 1 != 0,
                    solicited: flags & 2 != 0,
                    override_cached: flags & 4 != 0,
                };
                NdMessage::Advertisement { target: v6(sender), target_mac: option, flags }
            };
            (EtherType::IPV6, NdPacket { source: v6(sender), destination, message }.to_bytes())
        }
    };
    let destination = if flags & 32 == 0 { OURS } else { MacAddr::BROADCAST };
    let header = EthernetHeader { destination, source: station(source), tags: VlanTags::None, ether_type };
    let mut frame = vec![0; EthernetHeader::LEN];
    header.write(&mut frame);
    frame.extend(payload);
    if bend != 0 {
        let at = usize::from(at) % frame.len();
        frame[at] ^= bend;
    }
    frame
}

fn sound(frame: &[u8]) {
    let (header, length) = EthernetHeader::parse(frame).unwrap();
    assert_eq!((header.source, header.tags), (OURS, VlanTags::None));
    match header.ether_type {
        EtherType::ARP => assert_eq!(ArpPacket::parse(&frame[length..]).unwrap().sender_mac, OURS),
        EtherType::IPV6 => drop(NdPacket::parse(&frame[length..]).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn counted(counters: &Counters) -> u64 {
    counters.heard + Ignored::ALL.iter().map(|reason| counters.ignored(*reason)).sum::<u64>()
}

fuzz_target!(|data: &[u8]| {
    let mut access = AccessNeighbors::new(AccessSettings {
        max_outstanding: 6,
        max_outstanding_per_circuit: 4,
        max_neighbors: 12,
        ..AccessSettings::default()
    });
    let mut handoff = HandoffNeighbors::new(HandoffSettings::default());
    let mut now = Tick(1_000_000_000_000);
    let config = HandoffConfig {
        circuit: CIRCUIT,
        ipv4: Some(("100.64.0.1/24".parse().unwrap(), v4(8))),
        ipv6: Some(("2001:db8:a::1/48".parse().unwrap(), v6(8))),
    };
    access.set_port_mac(CIRCUIT.port, OURS);
    handoff.set_port_mac(now, CIRCUIT.port, OURS);
    handoff.add_handoff(now, config);
    let (mut data, mut frames) = (data, 0);
    while let [operation, a, rest @ ..] = data {
        data = rest;
        let address = if a & 1 == 0 { IpAddr::V4(v4(a >> 1)) } else { IpAddr::V6(v6(a >> 1)) };
        match operation % 8 {
            0..=3 => {
                let taken = if operation % 8 < 3 { 8 } else { usize::from(*a) };
                let (head, rest) = data.split_at(taken.min(data.len()));
                data = rest;
                let frame = head.try_into().map_or_else(|_| head.to_vec(), frame);
                access.handle_frame(now, CIRCUIT, &frame, &Directory);
                handoff.handle_frame(now, CIRCUIT, &frame);
                frames += 1;
            }
            4 => {
                now = now + Duration::from_millis(u64::from(*a) * u64::from(*a));
                access.handle_timeout(now, &Directory);
                handoff.handle_timeout(now);
                assert!(access.poll_timeout().is_none_or(|due| due > now));
                assert!(handoff.poll_timeout().is_none_or(|due| due > now));
            }
            5 => access.resolve(now, CIRCUIT, address, &Directory),
            6 => {
                access.assume(now, CIRCUIT, address, station(*a), &Directory);
                handoff.assume(now, CIRCUIT, address, station(*a));
            }
            _ => match a % 5 {
                0 => access.port_down(CIRCUIT.port),
                1 => handoff.port_down(CIRCUIT.port),
                2 => handoff.remove_handoff(CIRCUIT),
                3 => handoff.add_handoff(now, config),
                _ => {
                    access.set_port_mac(CIRCUIT.port, OURS);
                    handoff.set_port_mac(now, CIRCUIT.port, OURS);
                }
            },
        }
        while let Some((_, frame)) = access.poll_transmit().or_else(|| handoff.poll_transmit()) {
            sound(&frame);
        }
        while let Some(event) = access.poll_event() {
            if let AccessEvent::Learned { circuit, address, prefix, mac } = event {
                let bound = Directory.binding(circuit, address).unwrap();
                assert!(bound.prefix == prefix && bound.mac.is_none() && mac.is_unicast());
            }
        }
        while handoff.poll_event().is_some() {}
    }
    assert!(access.neighbors().count() <= 12);
    assert_eq!((counted(access.counters()), counted(handoff.counters())), (frames, frames));
});
