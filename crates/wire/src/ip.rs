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

/// Octets of the IPv6 header.
pub const IPV6_LEN: usize = 40;
/// Octets of the IPv4 header without options.
pub const IPV4_LEN: usize = 20;

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

/// What the IP header, or the last of the IPv6 extension headers, says is next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpperLayer {
    /// The protocol.
    pub protocol: u8,
    /// Where it begins, from the IP header's first octet.
    pub at: usize,
    /// Whether it begins elsewhere, in the packet's first fragment: what is here is from its middle.
    pub later_fragment: bool,
}

/// Extension headers that are walked over. More than a sender has reason for (RFC 8200 §4.1 names seven).
const MAX_EXTENSIONS: usize = 8;

/// Finds the upper layer behind options and extension headers (RFC 8200 §4.1). `None` where the extension headers are cut
/// off or too many. Only for octets that [`IpHeader::parse`] took.
pub fn upper_layer(octets: &[u8], header: &IpHeader) -> Option<UpperLayer> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    let octets = octets.get(..header.total_len as usize)?;
    let mut upper = UpperLayer {
        protocol: header.protocol,
        at: usize::from(header.header_len),
        later_fragment: header.source.is_ipv4() && fragment_offset(octets) != 0,
    };
    if header.source.is_ipv4() {
        return Some(upper);
    }
    for _ in 0..MAX_EXTENSIONS {
        let extension = octets.get(upper.at..).unwrap_or_default();
        let &[next, len, offset, low, ..] = extension else {
            return (!matches!(
                upper.protocol,
                HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION
            ))
            .then_some(upper);
        };
        let len = match upper.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION => (usize::from(len) + 1) * 8,
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            FRAGMENT => {
                upper.later_fragment = u16::from_be_bytes([offset, low]) >> 3 != 0;
                8
            }
            _ => return Some(upper),
        };
        (upper.protocol, upper.at) = (next, upper.at + len);
        if upper.later_fragment {
            return Some(upper);
        }
    }
    None
}

/// Whether an IPv4 packet's sender lets it be fragmented; IPv6 packets never are on their way (RFC 8200 §4.5).
pub fn may_fragment(octets: &[u8]) -> bool {
    const DONT_FRAGMENT: u8 = 0x40;
    matches!(octets, [first, _, _, _, _, _, flags, ..] if *first >> 4 == 4 && flags & DONT_FRAGMENT == 0)
}

/// The fragment offset of an IPv4 packet, in units of 8 octets.
pub(crate) fn fragment_offset(octets: &[u8]) -> u16 {
    match octets {
        [_, _, _, _, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]) & 0x1fff,
        _ => 0,
    }
}

/// A header to be written, without options or extension headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewHeader {
    /// From whom; of the same version as `destination`.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// What follows.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Of an IPv4 packet, which may be fragmented.
    pub identification: u16,
    /// Octets that follow.
    pub payload_len: u16,
}

impl NewHeader {
    /// Octets of the header.
    pub const fn len(&self) -> usize {
        if self.source.is_ipv4() { IPV4_LEN } else { IPV6_LEN }
    }

    /// A header is never empty.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header to the first [`Self::len`] octets, checksum included. `false`, and nothing written, where there
    /// are fewer or where the addresses are of two versions.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> bool {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.write_ipv4(source, destination, out),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.write_ipv6(source, destination, out),
            _ => false,
        }
    }

    fn write_ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr, out: &mut [u8]) -> bool {
        let Some(header) = out.first_chunk_mut::<IPV4_LEN>() else { return false };
        *header = [0; IPV4_LEN];
        header[0] = 0x45;
        header[1] = self.traffic_class;
        header[2..4].copy_from_slice(&self.payload_len.saturating_add(IPV4_LEN as u16).to_be_bytes());
        header[4..6].copy_from_slice(&self.identification.to_be_bytes());
        header[8] = self.ttl;
        header[9] = self.protocol;
        header[12..16].copy_from_slice(&source.octets());
        header[16..20].copy_from_slice(&destination.octets());
        let sum = checksum::checksum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        true
    }

    fn write_ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr, out: &mut [u8]) -> bool {
        let Some(header) = out.first_chunk_mut::<IPV6_LEN>() else { return false };
        header[..4].copy_from_slice(&(6 << 28 | u32::from(self.traffic_class) << 20).to_be_bytes());
        header[4..6].copy_from_slice(&self.payload_len.to_be_bytes());
        header[6] = self.protocol;
        header[7] = self.ttl;
        header[8..24].copy_from_slice(&source.octets());
        header[24..40].copy_from_slice(&destination.octets());
        true
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

    #[test]
    fn the_upper_layer_is_behind_options_and_extensions() {
        let found = |packet: &[u8]| {
            let upper = upper_layer(packet, &IpHeader::parse(packet).unwrap());
            upper.map(|upper| (upper.protocol, upper.at, upper.later_fragment))
        };
        assert_eq!(found(&ipv4(&[1; 8], &[0; 8])), Some((17, 28, false)));
        let mut later = ipv4(&[], &[0; 8]);
        later[7] = 1;
        assert_eq!(found(&later), Some((17, 20, true)));
        assert_eq!(found(&ipv6(&[0; 3])), Some((6, 40, false)), "the payload may be short");
        let chain = |first: u8, headers: &[&[u8]]| {
            let mut packet = ipv6(&headers.concat());
            packet[6] = first;
            packet
        };
        let hop = [60, 0, 0, 0, 0, 0, 0, 0];
        let options = [44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (first, later) = ([58, 0, 0, 1, 0, 0, 0, 9], [58, 0, 0, 8, 0, 0, 0, 9]);
        let authentication = [58, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(found(&chain(0, &[&hop, &options, &first, &[3; 4]])), Some((58, 72, false)));
        assert_eq!(found(&chain(0, &[&hop, &options, &later, &[0; 4]])), Some((58, 72, true)));
        assert_eq!(found(&chain(51, &[&authentication, &[3; 4]])), Some((58, 64, false)));
        assert_eq!(found(&chain(0, &[&hop[..3]])), None, "cut off");
        assert_eq!(found(&chain(60, &[&hop[..]; 9])), None, "endless");
    }

    #[test]
    fn new_headers_are_read_by_etherparse() {
        for (source, destination) in [("192.0.2.1", "198.51.100.9"), ("2001:db8::1", "2001:db8::2")] {
            let header = NewHeader {
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                protocol: protocol::UDP,
                ttl: 64,
                traffic_class: 0xc0,
                identification: 0x1234,
                payload_len: 4,
            };
            let mut packet = vec![0xff; header.len() + 4];
            assert!(header.write(&mut packet) && !header.write(&mut [0; 19]));
            let read = etherparse::IpHeaders::from_slice(&packet).unwrap().0;
            let parsed = IpHeader::parse(&packet).unwrap();
            assert_eq!((parsed.source, parsed.destination), (header.source, header.destination));
            assert!(ipv4_checksum_holds(&packet, &parsed));
            match read {
                etherparse::IpHeaders::Ipv4(v4, _) => {
                    assert_eq!((v4.identification, v4.dscp.value(), v4.time_to_live), (0x1234, 48, 64));
                    assert_eq!(v4.header_checksum, v4.calc_header_checksum());
                    assert!(may_fragment(&packet));
                }
                etherparse::IpHeaders::Ipv6(v6, _) => {
                    assert_eq!((v6.traffic_class, v6.hop_limit, v6.payload_length), (0xc0, 64, 4));
                    assert!(!may_fragment(&packet));
                }
            }
            let mixed = NewHeader {
                destination: "::1".parse().unwrap(),
                source: Ipv4Addr::LOCALHOST.into(),
                ..header
            };
            assert!(!mixed.write(&mut packet));
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
                upper_layer(&octets, &header);
            }
            may_fragment(&octets);
            set_ttl(&mut octets, 1);
        }
    }
}
