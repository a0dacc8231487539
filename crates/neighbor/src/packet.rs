//! Frames to messages and back: ARP and ND say the same two things.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::MacAddr;
use wire::arp::{ArpOperation, ArpPacket};
use wire::nd::{NaFlags, NdError, NdMessage, NdPacket, multicast_mac, solicited_node};
use wire::{EtherType, EthernetHeader};

use crate::Ignored;

/// All nodes on the link (RFC 4291 §2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What a frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    /// The Ethernet source.
    pub(crate) source: MacAddr,
    /// Whether it was sent to us alone.
    pub(crate) unicast: bool,
    /// What it says.
    pub(crate) message: Message,
}

/// An ARP or ND message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    /// ARP request, Neighbor Solicitation.
    Ask {
        /// Who asks; unspecified in duplicate address detection.
        sender: IpAddr,
        /// The sender's Ethernet address as the message says it; `None`: it does not.
        mac: Option<MacAddr>,
        /// The address asked for.
        target: IpAddr,
    },
    /// ARP reply or announcement, Neighbor Advertisement.
    Tell {
        /// The address that is spoken of.
        address: IpAddr,
        /// Its Ethernet address; `None`: as known.
        mac: Option<MacAddr>,
        /// Whether it says that it answers a question.
        solicited: bool,
    },
}

/// Reads a frame without tags that came to a station of address `own`.
pub(crate) fn parse(frame: &[u8], own: MacAddr) -> Result<Heard, Ignored> {
    let (header, length) = EthernetHeader::parse(frame).map_err(|_| Ignored::OtherEtherType)?;
    if header.tags != wire::VlanTags::None {
        return Err(Ignored::OtherEtherType);
    }
    if header.source == own || !header.source.is_unicast() {
        return Err(Ignored::BadSource);
    }
    let unicast = header.destination == own;
    if !unicast && !header.destination.is_group() {
        return Err(Ignored::NotForUs);
    }
    let payload = frame.get(length..).unwrap_or_default();
    let message = match header.ether_type {
        EtherType::ARP => arp(ArpPacket::parse(payload).map_err(|_| Ignored::MalformedArp)?),
        EtherType::IPV6 => nd(NdPacket::parse(payload).map_err(|error| match error {
            NdError::Type(_) => Ignored::OtherIcmpv6,
            _ => Ignored::MalformedNd,
        })?),
        _ => return Err(Ignored::OtherEtherType),
    };
    Ok(Heard { source: header.source, unicast, message })
}

fn arp(packet: ArpPacket) -> Message {
    let (sender, target) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
    let mac = Some(packet.sender_mac);
    let reply = packet.operation == ArpOperation::Reply;
    if reply || packet.is_announcement() && !packet.is_probe() {
        Message::Tell { address: sender, mac, solicited: reply && !packet.is_announcement() }
    } else {
        Message::Ask { sender, mac, target }
    }
}

fn nd(packet: NdPacket) -> Message {
    match packet.message {
        NdMessage::Solicitation { target, source_mac } => {
            Message::Ask { sender: IpAddr::V6(packet.source), mac: source_mac, target: IpAddr::V6(target) }
        }
        NdMessage::Advertisement { target, target_mac, flags } => {
            Message::Tell { address: IpAddr::V6(target), mac: target_mac, solicited: flags.solicited }
        }
    }
}

/// One of our stations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Station(pub(crate) MacAddr);

impl Station {
    /// Who has `target`? Asked in the name of `from`, of everyone or (to see whether it is still there) of one
    /// station. `None` where the two addresses are of different families.
    pub(crate) fn ask(self, from: IpAddr, target: IpAddr, of: Option<MacAddr>) -> Option<Vec<u8>> {
        match (from, target) {
            (IpAddr::V4(sender_ip), IpAddr::V4(target_ip)) => {
                // In a request the target's Ethernet address is "whatever is convenient" (RFC 826).
                let packet = self.arp(ArpOperation::Request, sender_ip, MacAddr([0; 6]), target_ip);
                Some(self.arp_frame(of.unwrap_or(MacAddr::BROADCAST), packet))
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let destination = if of.is_some() { target } else { solicited_node(target) };
                let message = NdMessage::Solicitation { target, source_mac: Some(self.0) };
                let to = of.unwrap_or(multicast_mac(destination));
                Some(self.nd_frame(to, NdPacket { source, destination, message }))
            }
            _ => None,
        }
    }

    /// `address` is ours: the answer to `asker`. `proxy` where we answer for another, whose own answer is to win (RFC
    /// 4861 §7.2.8). `None` where the two addresses are of different families.
    pub(crate) fn answer(self, address: IpAddr, asker: (IpAddr, MacAddr), proxy: bool) -> Option<Vec<u8>> {
        let (to_ip, to_mac) = asker;
        match (address, to_ip) {
            (IpAddr::V4(address), IpAddr::V4(to_ip)) => {
                Some(self.arp_frame(to_mac, self.arp(ArpOperation::Reply, address, to_mac, to_ip)))
            }
            (IpAddr::V6(address), IpAddr::V6(to_ip)) => {
                // The asker may be unspecified: duplicate address detection is answered to all (RFC 4861 §7.2.4).
                let solicited = !to_ip.is_unspecified();
                let (destination, to_mac) =
                    if solicited { (to_ip, to_mac) } else { (ALL_NODES, multicast_mac(ALL_NODES)) };
                let flags = NaFlags { router: true, solicited, override_cached: !proxy };
                Some(self.nd_frame(to_mac, self.advertisement(address, destination, flags)))
            }
            _ => None,
        }
    }

    /// `address` is ours: told to all (RFC 5227 §2.3, RFC 4861 §7.2.6).
    pub(crate) fn announce(self, address: IpAddr) -> Vec<u8> {
        match address {
            IpAddr::V4(address) => {
                let packet = self.arp(ArpOperation::Request, address, MacAddr([0; 6]), address);
                self.arp_frame(MacAddr::BROADCAST, packet)
            }
            IpAddr::V6(address) => {
                let flags = NaFlags { router: true, solicited: false, override_cached: true };
                self.nd_frame(multicast_mac(ALL_NODES), self.advertisement(address, ALL_NODES, flags))
            }
        }
    }

    fn arp(
        self,
        operation: ArpOperation,
        sender_ip: Ipv4Addr,
        target_mac: MacAddr,
        target_ip: Ipv4Addr,
    ) -> ArpPacket {
        ArpPacket { operation, sender_mac: self.0, sender_ip, target_mac, target_ip }
    }

    fn advertisement(self, address: Ipv6Addr, destination: Ipv6Addr, flags: NaFlags) -> NdPacket {
        let message = NdMessage::Advertisement { target: address, target_mac: Some(self.0), flags };
        NdPacket { source: address, destination, message }
    }

    fn arp_frame(self, to: MacAddr, packet: ArpPacket) -> Vec<u8> {
        self.frame(to, EtherType::ARP, &packet.to_bytes())
    }

    fn nd_frame(self, to: MacAddr, packet: NdPacket) -> Vec<u8> {
        self.frame(to, EtherType::IPV6, &packet.to_bytes())
    }

    fn frame(self, destination: MacAddr, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
        let header = EthernetHeader { destination, source: self.0, tags: wire::VlanTags::None, ether_type };
        let mut frame = vec![0; EthernetHeader::LEN];
        header.write(&mut frame);
        frame.extend_from_slice(payload);
        frame
    }
}

#[cfg(test)]
pub(crate) mod tests;
