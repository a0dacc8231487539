//! IPv4 and IPv6 headers, as far as forwarding reads and writes them (RFC 791, RFC 8200).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{EtherType, checksum};

/// IP protocol numbers (IANA) that we name.
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}

/// What forwarding reads of an IP header. That it exists means that version and lengths were checked against the octets
/// it was read from; the IPv4 header checksum was not ([`ipv4_checksum_holds`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpHeader {
    /// From whom.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// Octets of the packet by its header, this header included; what follows them is padding.
    pub total_len: u32,
    /// Octets of the header: options included, extension headers not.
    pub header_len: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Protocol, or the next header of the fixed IPv6 header.
    pub protocol: u8,
    /// Whether it is an IPv4 fragment, the first included. (That of an IPv6 packet shows as its next header, 44.)
    pub fragment: bool,
}

/// Why octets are no IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpError {
    /// They end before the header does.
    #[error("the packet ends within its IP header")]
    Truncated,
    /// Neither IPv4 nor IPv6.
    #[error("IP version {0} is neither 4 nor 6")]
    Version(u8),
    /// The lengths in the header contradict each other or the octets there are.
    #[error("the lengths in the IP header are wrong")]
    Lengths,
}

/// Octets of the IPv6 header and of the shortest IPv4 header.
const IPV6_LEN: usize = 40;
const IPV4_LEN: usize = 20;

impl IpHeader {
    /// Reads the header of the packet that these octets start with, of the version that their first four bits name.
    pub fn parse(octets: &[u8]) -> Result<Self, IpError> {
        match octets.first().ok_or(IpError::Truncated)? >> 4 {
            4 => Self::parse_ipv4(octets),
            6 => Self::parse_ipv6(octets),
            version => Err(IpError::Version(version)),
        }
    }

    /// The EtherType of such packets.
    pub const fn ether_type(&self) -> EtherType {
        match self.source {
            IpAddr::V4(_) => EtherType::IPV4,
            IpAddr::V6(_) => EtherType::IPV6,
        }
    }

    /// Source and destination port, as they are on the wire, of a transport protocol that has them first and of a packet
    /// whose fragments, if any, all show them: so never of an IPv4 fragment, nor behind an IPv6 extension header.
    pub fn ports(&self, octets: &[u8]) -> Option<[u8; 4]> {
        use protocol::{SCTP, TCP, UDP, UDP_LITE};
        if self.fragment || !matches!(self.protocol, TCP | UDP | SCTP | UDP_LITE) {
            return None;
        }
        octets.get(..self.total_len as usize)?.get(usize::from(self.header_len)..)?.first_chunk().copied()
    }

    fn parse_ipv4(octets: &[u8]) -> Result<Self, IpError> {
        let h = octets.first_chunk::<IPV4_LEN>().ok_or(IpError::Truncated)?;
        let header_len = usize::from(h[0] & 0xf) * 4;
        let total_len = usize::from(u16::from_be_bytes([h[2], h[3]]));
        if header_len < IPV4_LEN || total_len < header_len || total_len > octets.len() {
            return Err(IpError::Lengths);
        }
        // All but the "don't fragment" and the reserved bit: more fragments, and the offset.
        let fragment = u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0;
        Ok(Self {
            source: Ipv4Addr::new(h[12], h[13], h[14], h[15]).into(),
            destination: Ipv4Addr::new(h[16], h[17], h[18], h[19]).into(),
            total_len: total_len as u32,
            header_len: header_len as u8,
            ttl: h[8],
            protocol: h[9],
            fragment,
        })
    }

    fn parse_ipv6(octets: &[u8]) -> Result<Self, IpError> {
        let h = octets.first_chunk::<IPV6_LEN>().ok_or(IpError::Truncated)?;
        let total_len = IPV6_LEN + usize::from(u16::from_be_bytes([h[4], h[5]]));
        if total_len > octets.len() {
            return Err(IpError::Lengths);
        }
        let address = |at: usize| {
            let mut address = [0; 16];
            address.copy_from_slice(&h[at..at + 16]);
            IpAddr::from(Ipv6Addr::from(address))
        };
        Ok(Self {
            source: address(8),
            destination: address(24),
            total_len: total_len as u32,
            header_len: IPV6_LEN as u8,
            ttl: h[7],
            protocol: h[6],
            fragment: false,
        })
    }
}

/// Whether the header checksum of an IPv4 packet holds. Only for octets that [`IpHeader::parse`] took; the IPv6 header
/// has none, and so holds.
pub fn ipv4_checksum_holds(octets: &[u8], header: &IpHeader) -> bool {
    header.source.is_ipv6()
        || octets.get(..usize::from(header.header_len)).is_some_and(|header| checksum::checksum(header) == 0)
}

/// Gives a packet that [`IpHeader::parse`] took this TTL or hop limit; the IPv4 checksum follows (RFC 1624), so one that
/// was wrong stays wrong.
pub fn set_ttl(octets: &mut [u8], ttl: u8) {
    match octets {
        [first, _, _, _, _, _, _, _, place, protocol, c0, c1, ..] if *first >> 4 == 4 => {
            let old = u16::from_be_bytes([*place, *protocol]);
            *place = ttl;
            let new = u16::from_be_bytes([ttl, *protocol]);
            let sum = checksum::updated(u16::from_be_bytes([*c0, *c1]), old, new);
            [*c0, *c1] = sum.to_be_bytes();
        }
        [first, _, _, _, _, _, _, place, ..] if *first >> 4 == 6 => *place = ttl,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ipv4(options: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut header = etherparse::Ipv4Header::new(
            payload.len() as u16,
            64,
            etherparse::IpNumber::UDP,
            [192, 0, 2, 1],
            [198, 51, 100, 2],
        )
        .unwrap();
        header.options = options.try_into().unwrap();
        header.set_payload_len(payload.len()).unwrap();
        header.header_checksum = header.calc_header_checksum();
        [&header.to_bytes()[..], payload].concat()
    }

    fn ipv6(payload: &[u8]) -> Vec<u8> {
        let header = etherparse::Ipv6Header {
            payload_length: payload.len() as u16,
            next_header: etherparse::IpNumber::TCP,
            hop_limit: 9,
            source: "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets(),
            destination: "2001:db8::2".parse::<Ipv6Addr>().unwrap().octets(),
            ..Default::default()
        };
        [&header.to_bytes()[..], payload].concat()
    }

    #[test]
    fn headers_are_read_with_padding_behind_them() {
        let mut packet = ipv4(&[1, 1, 1, 1], &[1, 2, 3, 4, 5]);
        packet.extend([0; 9]);
        let header = IpHeader::parse(&packet).unwrap();
        assert_eq!((header.total_len, header.header_len, header.ttl, header.protocol), (29, 24, 64, 17));
        assert_eq!(
            header.source.to_string() + " " + &header.destination.to_string(),
            "192.0.2.1 198.51.100.2"
        );
        assert_eq!(header.ports(&packet), Some([1, 2, 3, 4]));
        assert!(ipv4_checksum_holds(&packet, &header));
        packet[21] ^= 1;
        assert!(!ipv4_checksum_holds(&packet, &header), "options are summed too");

        let packet = ipv6(&[1, 2, 3]);
        let header = IpHeader::parse(&packet).unwrap();
        assert_eq!((header.total_len, header.header_len, header.ttl, header.protocol), (43, 40, 9, 6));
        assert_eq!(
            header.source.to_string() + " " + &header.destination.to_string(),
            "2001:db8::1 2001:db8::2"
        );
        assert_eq!(header.ports(&packet), None, "cut ports are none");
    }

    #[test]
    fn fragments_show_no_ports() {
        for (flags, fragment) in [([0x40, 0], false), ([0x80, 0], false), ([0x20, 0], true), ([0, 1], true)] {
            let mut packet = ipv4(&[], &[1, 2, 3, 4]);
            packet[6..8].copy_from_slice(&flags);
            let header = IpHeader::parse(&packet).unwrap();
            assert_eq!((header.fragment, header.ports(&packet).is_none()), (fragment, fragment));
        }
    }

    #[test]
    fn lengths_that_lie_are_found_out_and_every_cut_is_an_error() {
        for (at, value) in [(0, 0x44), (0, 0x4f), (3, 19), (2, 1)] {
            let mut packet = ipv4(&[], &[0; 8]);
            packet[at] = value;
            assert_eq!(IpHeader::parse(&packet), Err(IpError::Lengths), "{at} {value}");
        }
        assert_eq!(IpHeader::parse(&[0x50; 60]), Err(IpError::Version(5)));
        for packet in [ipv4(&[1; 8], &[0; 8]), ipv6(&[0; 8])] {
            for len in 0..packet.len() {
                assert!(IpHeader::parse(&packet[..len]).is_err(), "{len}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_new_ttl_keeps_the_checksum(ttl in any::<u8>(), payload in prop::collection::vec(any::<u8>(), 0..9)) {
            for mut packet in [ipv4(&[], &payload), ipv6(&payload)] {
                let before = packet.clone();
                set_ttl(&mut packet, ttl);
                let header = IpHeader::parse(&packet).unwrap();
                prop_assert_eq!(header.ttl, ttl);
                prop_assert!(ipv4_checksum_holds(&packet, &header));
                set_ttl(&mut packet, IpHeader::parse(&before).unwrap().ttl);
                prop_assert_eq!(packet, before);
            }
        }

        #[test]
        fn no_octets_are_too_strange(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut octets = octets;
            if let Ok(header) = IpHeader::parse(&octets) {
                prop_assert!(header.total_len as usize <= octets.len());
                header.ports(&octets);
                ipv4_checksum_holds(&octets, &header);
            }
            set_ttl(&mut octets, 1);
        }
    }
}
