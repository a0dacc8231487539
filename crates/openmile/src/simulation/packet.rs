//! Frames as the hosts of the simulation and the checker write and read them: plain octets, none of the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::plan::Tags;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
const VLAN: u16 = 0x8100;
const SERVICE: u16 = 0x88a8;
/// Marks the payload of every packet that is followed.
const MARK: [u8; 8] = *b"followed";

/// A frame taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parsed {
    pub(super) to: [u8; 6],
    pub(super) from: [u8; 6],
    pub(super) tags: Tags,
    pub(super) labels: Vec<u32>,
    pub(super) inside: Inside,
}

/// What is in a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Inside {
    /// An IP packet; with the number of the packet if it is one that is followed.
    Ip { source: IpAddr, destination: IpAddr, followed: Option<u64>, icmp: bool },
    /// "Who has this address?", for ARP and Neighbor Discovery alike.
    Asks { target: IpAddr, sender: IpAddr },
    /// Something else.
    Other,
}

impl Parsed {
    /// The number of the packet, if it is one that is followed.
    pub(super) fn followed(&self) -> Option<u64> {
        match self.inside {
            Inside::Ip { followed, .. } => followed,
            _ => None,
        }
    }

    /// Whether it is ICMP: an error has a copy of the packet that it is about.
    pub(super) fn is_icmp(&self) -> bool {
        matches!(self.inside, Inside::Ip { icmp: true, .. })
    }
}

/// Takes a frame apart; `None` if it is cut short.
pub(super) fn parse(octets: &[u8]) -> Option<Parsed> {
    let to = *octets.first_chunk()?;
    let from = *octets.get(6..)?.first_chunk()?;
    let (mut ether_type, mut at) = (word(octets, 12)?, 14);
    let mut vlans = Vec::new();
    while matches!(ether_type, VLAN | SERVICE) {
        vlans.push(word(octets, at)? & 0xfff);
        ether_type = word(octets, at + 2)?;
        at += 4;
    }
    let tags = match vlans[..] {
        [] => Tags::Untagged,
        [vlan] => Tags::Vlan(vlan),
        [outer, inner, ..] => Tags::Double(outer, inner),
    };
    let mut labels = Vec::new();
    if ether_type == MPLS {
        loop {
            let entry = u32::from_be_bytes(*octets.get(at..)?.first_chunk()?);
            labels.push(entry >> 12);
            at += 4;
            if entry & 0x100 != 0 {
                break;
            }
        }
        ether_type = if octets.get(at)? >> 4 == 4 { IPV4 } else { IPV6 };
    }
    let inside = inside(ether_type, octets.get(at..)?).unwrap_or(Inside::Other);
    Some(Parsed { to, from, tags, labels, inside })
}

fn word(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*octets.get(at..)?.first_chunk()?))
}

fn inside(ether_type: u16, packet: &[u8]) -> Option<Inside> {
    let v4 = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?)));
    let v6 = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?)));
    Some(match ether_type {
        ARP if word(packet, 6)? == 1 => Inside::Asks { target: v4(24)?, sender: v4(14)? },
        IPV4 => {
            let icmp = packet.get(9) == Some(&1);
            Inside::Ip { source: v4(12)?, destination: v4(16)?, followed: followed(packet), icmp }
        }
        IPV6 if packet.get(6) == Some(&58) && packet.get(40) == Some(&135) => {
            Inside::Asks { target: v6(48)?, sender: v6(8)? }
        }
        IPV6 => {
            let icmp = packet.get(6) == Some(&58);
            Inside::Ip { source: v6(8)?, destination: v6(24)?, followed: followed(packet), icmp }
        }
        _ => Inside::Other,
    })
}

/// The number behind the mark, wherever in the packet: also in the copy that an ICMP error has of another.
fn followed(packet: &[u8]) -> Option<u64> {
    let at = packet.windows(MARK.len()).position(|octets| octets == MARK)?;
    Some(u64::from_be_bytes(*packet.get(at + MARK.len()..)?.first_chunk()?))
}

/// A frame with these parts.
pub(super) fn frame(to: [u8; 6], from: [u8; 6], tags: Tags, labels: &[u32], packet: &[u8]) -> Vec<u8> {
    let mut octets = [to, from].concat();
    let mut tag = |kind: u16, vlan: u16| octets.extend([kind.to_be_bytes(), vlan.to_be_bytes()].concat());
    match tags {
        Tags::Untagged => {}
        Tags::Vlan(vlan) => tag(VLAN, vlan),
        Tags::Double(outer, inner) => {
            tag(SERVICE, outer);
            tag(VLAN, inner);
        }
    }
    let bare = if packet.first().is_some_and(|first| first >> 4 == 4) { IPV4 } else { IPV6 };
    octets.extend(if labels.is_empty() { bare } else { MPLS }.to_be_bytes());
    for (depth, label) in labels.iter().enumerate() {
        let bottom = u32::from(depth + 1 == labels.len()) << 8;
        octets.extend((label << 12 | bottom | 64).to_be_bytes());
    }
    octets.extend(packet);
    octets
}

/// A UDP packet that is followed.
pub(super) fn packet(source: IpAddr, destination: IpAddr, number: u64) -> Vec<u8> {
    let mut udp = [7u16.to_be_bytes(), 9u16.to_be_bytes(), 24u16.to_be_bytes(), [0; 2]].concat();
    udp.extend(MARK);
    udp.extend(number.to_be_bytes());
    let mut octets = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            octets.extend([0x45, 0, 0, 20 + udp.len() as u8, 0, 0, 0x40, 0, 64, 17, 0, 0]);
            octets.extend([source.octets(), destination.octets()].concat());
            let sum = checksum(&octets, 0);
            octets[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            octets.extend([0x60, 0, 0, 0, 0, udp.len() as u8, 17, 64]);
            octets.extend([source.octets(), destination.octets()].concat());
            let sum = checksum(&[&octets[8..], &udp].concat(), 17 + udp.len() as u32);
            udp[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        _ => {}
    }
    octets.extend(udp);
    octets
}

/// The answer of a station that has the address that a frame asks for.
pub(super) fn answer(asked: &Parsed, own: [u8; 6]) -> Option<Vec<u8>> {
    let Inside::Asks { target, sender } = asked.inside else { return None };
    match (target, sender) {
        (IpAddr::V4(target), IpAddr::V4(sender)) => {
            let mut octets = frame(asked.from, own, asked.tags, &[], &[]);
            let end = octets.len();
            octets[end - 2..].copy_from_slice(&ARP.to_be_bytes());
            octets.extend([0, 1, 8, 0, 6, 4, 0, 2]);
            octets.extend(own);
            octets.extend(target.octets());
            octets.extend(asked.from);
            octets.extend(sender.octets());
            Some(octets)
        }
        (IpAddr::V6(target), IpAddr::V6(sender)) => {
            let mut advertisement = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
            advertisement.extend(target.octets());
            advertisement.extend([2, 1]);
            advertisement.extend(own);
            let mut octets = vec![0x60, 0, 0, 0, 0, advertisement.len() as u8, 58, 255];
            octets.extend([target.octets(), sender.octets()].concat());
            let sum = checksum(&[&octets[8..], &advertisement].concat(), 58 + advertisement.len() as u32);
            advertisement[2..4].copy_from_slice(&sum.to_be_bytes());
            octets.extend(advertisement);
            Some(frame(asked.from, own, asked.tags, &[], &octets))
        }
        _ => None,
    }
}

/// The Internet checksum (RFC 1071) of octets, and of what a pseudo header adds.
fn checksum(octets: &[u8], more: u32) -> u16 {
    let words = octets.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(high) << 8 | u32::from(low),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let mut sum = words.sum::<u32>() + more;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
