//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use crate::MacAddr;

/// What an ARP packet is (RFC 826, `ar$op`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ArpOperation {
    /// Who has the target protocol address?
    Request,
    /// The sender has the sender protocol address.
    Reply,
}

/// An ARP packet for IPv4 over Ethernet, as in the payload of a frame of EtherType 0x0806.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ArpPacket {
    /// Request or reply.
    pub operation: ArpOperation,
    /// The sender's Ethernet address; a station's ([`MacAddr::is_unicast`]) in every packet that was parsed.
    pub sender_mac: MacAddr,
    /// The sender's IPv4 address; 0.0.0.0 in a probe (RFC 5227 §1.1).
    pub sender_ip: Ipv4Addr,
    /// The target's Ethernet address; means nothing in a request.
    pub target_mac: MacAddr,
    /// The target's IPv4 address; the sender's own in an announcement (RFC 5227 §1.1).
    pub target_ip: Ipv4Addr,
}

/// Why octets are no [`ArpPacket`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArpError {
    /// Shorter than 28 octets.
    #[error("{0} octets are too few for an ARP packet")]
    Truncated(usize),
    /// Other hardware, protocol or lengths than IPv4 over Ethernet.
    #[error("not ARP for IPv4 over Ethernet")]
    NotIpv4OverEthernet,
    /// Neither request nor reply.
    #[error("ARP operation {0} is neither request nor reply")]
    Operation(u16),
    /// A sender's Ethernet address that no station can have: a group address or zero.
    #[error("{0} is not the address of a station")]
    Sender(MacAddr),
}

impl ArpPacket {
    /// Octets of a packet.
    pub const LEN: usize = 28;

    /// Hardware type 1, protocol 0x0800, address lengths 6 and 4.
    const IPV4_OVER_ETHERNET: [u8; 6] = [0, 1, 8, 0, 6, 4];

    /// Reads a packet; what follows it (Ethernet padding) is not looked at.
    pub fn parse(octets: &[u8]) -> Result<Self, ArpError> {
        let packet: &[u8; Self::LEN] = octets.first_chunk().ok_or(ArpError::Truncated(octets.len()))?;
        if packet[..6] != Self::IPV4_OVER_ETHERNET {
            return Err(ArpError::NotIpv4OverEthernet);
        }
        let operation = match u16::from_be_bytes([packet[6], packet[7]]) {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            other => return Err(ArpError::Operation(other)),
        };
        let mac = |at: usize| MacAddr(std::array::from_fn(|i| packet[at + i]));
        let ip = |at: usize| Ipv4Addr::from(std::array::from_fn::<u8, 4, _>(|i| packet[at + i]));
        let sender_mac = mac(8);
        if !sender_mac.is_unicast() {
            return Err(ArpError::Sender(sender_mac));
        }
        Ok(Self { operation, sender_mac, sender_ip: ip(14), target_mac: mac(18), target_ip: ip(24) })
    }

    /// The packet in network order.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut packet = [0; Self::LEN];
        packet[..6].copy_from_slice(&Self::IPV4_OVER_ETHERNET);
        packet[7] = match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        };
        packet[8..14].copy_from_slice(&self.sender_mac.0);
        packet[14..18].copy_from_slice(&self.sender_ip.octets());
        packet[18..24].copy_from_slice(&self.target_mac.0);
        packet[24..28].copy_from_slice(&self.target_ip.octets());
        packet
    }

    /// Whether nothing is said about the sender's address: it asks whether anyone has the target's (RFC 5227 §2.1.1).
    pub const fn is_probe(&self) -> bool {
        self.sender_ip.is_unspecified()
    }

    /// Whether the sender announces its own address, by request or by reply ("gratuitous ARP", RFC 5227 §3).
    pub fn is_announcement(&self) -> bool {
        self.sender_ip == self.target_ip
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// "Who has 192.168.0.1? Tell 192.168.0.21" as Linux sends it, and the answer.
    const REQUEST: [u8; 28] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x00, 0x1b, 0x21, 0x0f, 0x91, 0x9b, 0xc0, 0xa8, 0x00,
        0x15, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01,
    ];
    const REPLY: [u8; 28] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, 0x00, 0x1e, 0x58, 0x2e, 0x10, 0x0a, 0xc0, 0xa8, 0x00,
        0x01, 0x00, 0x1b, 0x21, 0x0f, 0x91, 0x9b, 0xc0, 0xa8, 0x00, 0x15,
    ];

    fn request() -> ArpPacket {
        ArpPacket {
            operation: ArpOperation::Request,
            sender_mac: MacAddr([0x00, 0x1b, 0x21, 0x0f, 0x91, 0x9b]),
            sender_ip: Ipv4Addr::new(192, 168, 0, 21),
            target_mac: MacAddr([0; 6]),
            target_ip: Ipv4Addr::new(192, 168, 0, 1),
        }
    }

    fn reply() -> ArpPacket {
        ArpPacket {
            operation: ArpOperation::Reply,
            sender_mac: MacAddr([0x00, 0x1e, 0x58, 0x2e, 0x10, 0x0a]),
            sender_ip: Ipv4Addr::new(192, 168, 0, 1),
            target_mac: request().sender_mac,
            target_ip: request().sender_ip,
        }
    }

    #[test]
    fn request_and_reply_are_laid_out_as_in_rfc_826() {
        assert_eq!((request().to_bytes(), reply().to_bytes()), (REQUEST, REPLY));
        let padded: Vec<u8> = REQUEST.iter().copied().chain([0; 18]).collect();
        assert_eq!(ArpPacket::parse(&padded), Ok(request()));
        assert_eq!(ArpPacket::parse(&REPLY), Ok(reply()));
    }

    #[test]
    fn another_reader_sees_the_same() {
        let read = etherparse::ArpPacketSlice::from_slice(&REPLY).unwrap().to_packet();
        let eth = read.try_eth_ipv4().unwrap();
        assert_eq!(eth.operation.0, 2);
        assert_eq!((eth.sender_mac, eth.target_mac), (reply().sender_mac.0, reply().target_mac.0));
        assert_eq!((eth.sender_ipv4_addr(), eth.target_ipv4_addr()), (reply().sender_ip, reply().target_ip));
    }

    #[test]
    fn what_is_no_packet_is_refused_with_its_reason() {
        let changed = |at: usize, to: u8| {
            let mut octets = REQUEST;
            octets[at] = to;
            ArpPacket::parse(&octets)
        };
        for length in 0..ArpPacket::LEN {
            assert_eq!(ArpPacket::parse(&REQUEST[..length]), Err(ArpError::Truncated(length)));
        }
        for (at, to) in [(1, 6), (2, 0x86), (4, 8), (5, 16)] {
            assert_eq!(changed(at, to), Err(ArpError::NotIpv4OverEthernet));
        }
        assert_eq!(changed(7, 3), Err(ArpError::Operation(3)));
        assert_eq!(changed(7, 0), Err(ArpError::Operation(0)));
        assert!(matches!(changed(8, 0x01), Err(ArpError::Sender(_))));
    }

    #[test]
    fn probes_and_announcements_are_told_apart() {
        let probe = ArpPacket { sender_ip: Ipv4Addr::UNSPECIFIED, ..request() };
        let announcement = ArpPacket { target_ip: request().sender_ip, ..request() };
        assert!(probe.is_probe() && !probe.is_announcement());
        assert!(announcement.is_announcement() && !announcement.is_probe());
        assert!(!request().is_probe() && !request().is_announcement());
    }

    proptest! {
        #[test]
        fn what_parses_is_written_back_as_it_was(mut octets in any::<[u8; 28]>(), operation in 0_u8..4) {
            octets[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
            octets[6..8].copy_from_slice(&[0, operation]);
            match ArpPacket::parse(&octets) {
                Ok(packet) => prop_assert_eq!(packet.to_bytes(), octets),
                Err(error) => prop_assert!(octets[8] & 1 == 1 || octets[8..14] == [0; 6] || operation % 3 == 0, "{}", error),
            }
        }
    }
}
