//! What came in: by the port's kind, the Ethernet header and, at the edge, the IP header.

use std::net::{IpAddr, Ipv6Addr};

use contract::{DropReason, PortKind, PuntReason};
use wire::ip::{self, IpError, IpHeader};
use wire::{EtherType, EthernetError, EthernetHeader, MacAddr};

use crate::PortFacts;
use crate::packet::{Packet, Stop};
use crate::tables::Tables;

/// What a frame is, as far as the port that it came in by may take it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// An IP packet on an access port.
    FromSubscriber(IpHeader),
    /// An IP packet on a handoff port.
    FromIsp(IpHeader),
    /// A labelled frame on a backbone port.
    Labelled,
}

/// The Ethernet header and its length, or why there is none.
pub(crate) fn ethernet(octets: &[u8], kind: PortKind) -> Result<(EthernetHeader, usize), DropReason> {
    EthernetHeader::parse(octets).map_err(|error| match (error, kind) {
        (EthernetError::Truncated, _) => DropReason::Truncated,
        (EthernetError::TooManyTags, _) => DropReason::TooManyTags,
        // No circuit can have the reserved VLAN.
        (EthernetError::ReservedVlan, PortKind::Access) => DropReason::NoSuchCircuit,
        (EthernetError::ReservedVlan, PortKind::Handoff) => DropReason::NoSuchHandoff,
        (EthernetError::ReservedVlan, PortKind::Backbone) => DropReason::UnknownEtherType,
    })
}

/// Sorts a frame by what may come in at this kind of port.
pub(crate) fn classify(tables: &Tables, port: &PortFacts, packet: &Packet<'_>) -> Result<Arrival, Stop> {
    let header = &packet.ethernet;
    if header.destination != port.mac && !header.destination.is_group() {
        return Err(DropReason::NotForUs.into());
    }
    match port.kind {
        PortKind::Backbone => backbone(port.mac, packet),
        PortKind::Access => {
            let arrival = edge(port.mac, packet).map(Arrival::FromSubscriber);
            // Nothing of an unknown line reaches control.
            if matches!(arrival, Err(Stop::Punt(_))) && !tables.has_circuit(packet.circuit()) {
                return Err(DropReason::NoSuchCircuit.into());
            }
            arrival
        }
        PortKind::Handoff => edge(port.mac, packet).map(Arrival::FromIsp),
    }
}

/// Only untagged MPLS frames with downstream-assigned labels, to this station alone. What else there is on a backbone
/// port is the kernel's.
fn backbone(own: MacAddr, packet: &Packet<'_>) -> Result<Arrival, Stop> {
    let header = &packet.ethernet;
    let reason = match header.ether_type {
        _ if header.destination != own => DropReason::NotForUs,
        EtherType::MPLS if packet.header_len == EthernetHeader::LEN => return Ok(Arrival::Labelled),
        other if other.is_mpls() => DropReason::UnknownEtherType,
        _ => DropReason::UnlabelledOnBackbone,
    };
    Err(reason.into())
}

/// IP packets to this station; ARP and Neighbor Discovery to it or to all.
fn edge(own: MacAddr, packet: &Packet<'_>) -> Result<IpHeader, Stop> {
    let header = &packet.ethernet;
    let to_us = header.destination == own;
    match header.ether_type {
        EtherType::ARP if to_us || header.destination == MacAddr::BROADCAST => {
            Err(Stop::Punt(PuntReason::Arp))
        }
        EtherType::IPV4 if to_us => checked_ip(header.ether_type, packet.payload()),
        EtherType::IPV6 => {
            // Multicast floods are mostly not for us: look before everything is checked.
            if !to_us && !is_neighbor_discovery(packet.payload()) {
                return Err(DropReason::NotForUs.into());
            }
            checked_ip(header.ether_type, packet.payload())
        }
        EtherType::IPV4 | EtherType::ARP => Err(DropReason::NotForUs.into()),
        other if other.is_mpls() => Err(DropReason::LabelledOnEdge.into()),
        _ => Err(DropReason::UnknownEtherType.into()),
    }
}

/// An IP packet whose header is right and whose addresses may be forwarded.
fn checked_ip(ether_type: EtherType, octets: &[u8]) -> Result<IpHeader, Stop> {
    let header = ip_header(octets)?;
    if header.ether_type() != ether_type {
        return Err(DropReason::NotIp.into());
    }
    if is_neighbor_discovery(octets.get(..header.total_len as usize).unwrap_or_default()) {
        return Err(Stop::Punt(PuntReason::NeighborDiscovery));
    }
    if stays_on_link(header.destination) || is_link_local(header.source) {
        return Err(DropReason::LinkScope.into());
    }
    if stays_on_link(header.source) {
        // Multicast, unspecified, loopback: nobody's address, whatever is bound (RFC 1122 §3.2.1.3, RFC 4291 §2.5).
        return Err(DropReason::SourceNotBound.into());
    }
    Ok(header)
}

/// The IP header, its lengths and checksum verified.
pub(crate) fn ip_header(octets: &[u8]) -> Result<IpHeader, DropReason> {
    let header = IpHeader::parse(octets).map_err(|error| match error {
        IpError::Truncated => DropReason::Truncated,
        IpError::Version(_) => DropReason::NotIp,
        IpError::Lengths => DropReason::BadIpHeader,
    })?;
    if ip::ipv4_checksum_holds(octets, &header) { Ok(header) } else { Err(DropReason::BadChecksum) }
}

/// Router and neighbour solicitations and neighbour advertisements that did not come over a router (RFC 4861 §6.1, §7.1).
/// Advertisements of routers and redirects concern hosts, which we are not.
fn is_neighbor_discovery(octets: &[u8]) -> bool {
    const ROUTER_SOLICITATION: u8 = 133;
    const NEIGHBOR_SOLICITATION: u8 = 135;
    const NEIGHBOR_ADVERTISEMENT: u8 = 136;
    let Some([first, _, _, _, _, _, next_header, 255]) = octets.first_chunk() else { return false };
    first >> 4 == 6
        && *next_header == ip::protocol::ICMPV6
        && matches!(
            octets.get(40),
            Some(&(ROUTER_SOLICITATION | NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT))
        )
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whether an address may be one host's beyond its link: what ICMP is sent to (RFC 1812 §4.3.2.7, RFC 4443 §2.4 e).
pub(crate) fn is_unicast_host(address: IpAddr) -> bool {
    let reserved = matches!(address, IpAddr::V4(v4) if v4.octets()[0] >= 240);
    !stays_on_link(address) && !reserved
}

/// Whether packets with this address are never forwarded (RFC 6890: not "forwardable"; and multicast, which we do not
/// route). IPv4-mapped IPv6 addresses are among them: MPLS OAM relies on nobody's being able to send to
/// ::ffff:127.0.0.0/104 (RFC 8029 §2.1).
fn stays_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.octets()[0] == 0
                || v4.is_loopback()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_link_local()
        }
        IpAddr::V6(v6) => {
            v6.is_multicast()
                || v6.is_unicast_link_local()
                || v6.is_loopback()
                || v6 == Ipv6Addr::UNSPECIFIED
                || v6.to_ipv4_mapped().is_some()
        }
    }
}
