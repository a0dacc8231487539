//! Frames, built by etherparse where it can, so that what the crate under test sends is judged by other code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{EtherType, Ethernet2Header, PacketBuilder, SingleVlanHeader, VlanId};

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const MPLS: u16 = 0x8847;
pub(crate) const VLAN: u16 = 0x8100;
pub(crate) const SERVICE: u16 = 0x88a8;

/// An Ethernet frame with these tags (EtherType and VLAN), outermost first.
pub(crate) fn ethernet(
    to: [u8; 6],
    from: [u8; 6],
    tags: &[(u16, u16)],
    kind: u16,
    payload: &[u8],
) -> Vec<u8> {
    let types: Vec<u16> = tags.iter().map(|tag| tag.0).chain([kind]).collect();
    let header = Ethernet2Header { destination: to, source: from, ether_type: EtherType(types[0]) };
    let mut frame = header.to_bytes().to_vec();
    for (tag, next) in tags.iter().zip(&types[1..]) {
        let header = SingleVlanHeader {
            vlan_id: VlanId::try_new(tag.1).unwrap(),
            ether_type: EtherType(*next),
            ..Default::default()
        };
        frame.extend(header.to_bytes());
    }
    frame.extend(payload);
    frame
}

/// A UDP packet over IPv4 or IPv6, whichever the addresses are.
pub(crate) fn udp(from: &str, to: &str, ttl: u8, payload: &[u8]) -> Vec<u8> {
    udp_ports(from, to, ttl, (5000, 53), payload)
}

pub(crate) fn udp_ports(from: &str, to: &str, ttl: u8, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let builder = match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            PacketBuilder::ipv4(Ipv4Addr::octets(&from), Ipv4Addr::octets(&to), ttl)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            PacketBuilder::ipv6(Ipv6Addr::octets(&from), Ipv6Addr::octets(&to), ttl)
        }
        _ => panic!("{from} and {to} are of two versions"),
    };
    let mut packet = Vec::new();
    builder.udp(ports.0, ports.1).write(&mut packet, payload).unwrap();
    packet
}

/// An ICMPv6 message of this type and hop limit.
pub(crate) fn icmpv6(from: &str, to: &str, hop_limit: u8, kind: u8) -> Vec<u8> {
    let octets = |address: &str| address.parse::<Ipv6Addr>().unwrap().octets();
    let mut packet = Vec::new();
    PacketBuilder::ipv6(octets(from), octets(to), hop_limit)
        .icmpv6_raw(kind, 0, [0; 4])
        .write(&mut packet, &[0; 16])
        .unwrap();
    packet
}

/// Gives an IPv4 packet new header fields by hand, and the checksum that etherparse computes for them.
pub(crate) fn ipv4_with(packet: &[u8], change: impl Fn(&mut etherparse::Ipv4Header)) -> Vec<u8> {
    let (mut header, payload) = etherparse::Ipv4Header::from_slice(packet).unwrap();
    change(&mut header);
    header.set_payload_len(payload.len()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], payload].concat()
}

/// A label stack entry, laid out by hand as in RFC 3032 §2.1.
pub(crate) fn label(label: u32, tc: u8, bottom: bool, ttl: u8) -> [u8; 4] {
    (label << 12 | u32::from(tc) << 9 | u32::from(bottom) << 8 | u32::from(ttl)).to_be_bytes()
}

pub(crate) fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An ICMP or ICMPv6 message as routers send it: over IPv4 of precedence 6, and to be fragmented.
pub(crate) fn icmp(
    from: &str,
    to: &str,
    ttl: u8,
    (kind, code): (u8, u8),
    rest: [u8; 4],
    data: &[u8],
) -> Vec<u8> {
    let mut packet = Vec::new();
    match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            PacketBuilder::ipv4(Ipv4Addr::octets(&from), Ipv4Addr::octets(&to), ttl)
                .icmpv4_raw(kind, code, rest)
                .write(&mut packet, data)
                .unwrap();
            packet = ipv4_with(&packet, |header| {
                header.dscp = 48.try_into().unwrap();
                header.dont_fragment = false;
            });
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            PacketBuilder::ipv6(Ipv6Addr::octets(&from), Ipv6Addr::octets(&to), ttl)
                .icmpv6_raw(kind, code, rest)
                .write(&mut packet, data)
                .unwrap();
        }
        _ => panic!("{from} and {to} are of two versions"),
    }
    packet
}

/// The EtherType of an IP packet.
pub(crate) fn ether_type(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 6 { IPV6 } else { IPV4 }
}
