//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use std::net::{Ipv4Addr, Ipv6Addr};

/// A one's complement sum in the making. Parts are added in any order; a part of odd length is padded with a zero
/// octet, so only the last part of a contiguous whole may be odd (RFC 1071 §1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing summed yet.
    pub const fn new() -> Self {
        Self(0)
    }

    /// With these octets.
    #[must_use]
    pub fn octets(self, octets: &[u8]) -> Self {
        // Four octets at a time: one's complement sums of 16 bits fold out of wider ones (RFC 1071 §2 C).
        let (words, rest) = octets.as_chunks::<4>();
        let mut sum = words.iter().fold(self.0, |sum, word| sum + u64::from(u32::from_be_bytes(*word)));
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_be_bytes(last));
        Self(sum)
    }

    /// With this 16-bit word.
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// With the pseudo-header of an IPv4 packet's payload (RFC 9293 §3.1, RFC 768).
    #[must_use]
    pub fn ipv4_pseudo_header(self, source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, len: u16) -> Self {
        self.octets(&source.octets()).octets(&destination.octets()).word(u16::from(protocol)).word(len)
    }

    /// With the pseudo-header of an IPv6 packet's payload (RFC 8200 §8.1).
    #[must_use]
    pub fn ipv6_pseudo_header(
        self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        next_header: u8,
        len: u32,
    ) -> Self {
        self.octets(&source.octets())
            .octets(&destination.octets())
            .octets(&len.to_be_bytes())
            .word(u16::from(next_header))
    }

    /// The checksum: the sum's complement. Zero over octets that hold their own right checksum.
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }

    /// The sum itself, not complemented: what a partial checksum (offloaded to a device) starts from.
    pub const fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }
}

/// The checksum of these octets; zero if they hold their own right checksum.
pub fn checksum(octets: &[u8]) -> u16 {
    Sum::new().octets(octets).checksum()
}

/// The checksum after one aligned 16-bit word changed from `old` to `new` (RFC 1624 §3, equation 3).
#[must_use]
pub const fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    let mut sum = !checksum as u32 + !old as u32 + new as u32;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().octets(&octets).fold(), 0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_section_4() {
        assert_eq!(updated(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn udp_over_ipv4_and_icmp_over_ipv6_agree_with_etherparse() {
        let (source, destination) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7));
        let payload = b"odd octets!";
        let udp = etherparse::UdpHeader::with_ipv4_checksum(
            53,
            5353,
            &etherparse::Ipv4Header::new(
                8 + payload.len() as u16,
                64,
                etherparse::IpNumber::UDP,
                source.octets(),
                destination.octets(),
            )
            .unwrap(),
            payload,
        )
        .unwrap();
        let len = 8 + payload.len() as u16;
        let sum = Sum::new().ipv4_pseudo_header(source, destination, 17, len).octets(&udp.to_bytes());
        assert_eq!(sum.octets(payload).checksum(), 0);

        let (source, destination) = ("2001:db8::1".parse().unwrap(), "2001:db8::ffff:2".parse().unwrap());
        let icmp = etherparse::Icmpv6Header::with_checksum(
            etherparse::Icmpv6Type::EchoRequest(etherparse::IcmpEchoHeader { id: 1, seq: 2 }),
            Ipv6Addr::octets(&source),
            Ipv6Addr::octets(&destination),
            payload,
        )
        .unwrap();
        let sum = Sum::new().ipv6_pseudo_header(source, destination, 58, 8 + payload.len() as u32);
        assert_eq!(sum.octets(&icmp.to_bytes()).octets(payload).checksum(), 0);
    }

    proptest! {
        #[test]
        fn sums_by_definition(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut sum = 0u32;
            for pair in octets.chunks(2) {
                sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
                sum = (sum & 0xffff) + (sum >> 16);
            }
            prop_assert_eq!(checksum(&octets), !(sum as u16));
        }

        #[test]
        fn an_update_is_what_a_new_sum_would_be(
            mut octets in prop::collection::vec(any::<u8>(), 20), at in 0usize..9, new in any::<u16>(),
        ) {
            // Words of which one is not zero, as in every header: only all-zero data can sum to +0 (RFC 1624 §3).
            octets[18] = 0x45;
            let old = checksum(&octets);
            let word = [octets[2 * at], octets[2 * at + 1]];
            octets[2 * at..2 * at + 2].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(updated(old, u16::from_be_bytes(word), new), checksum(&octets));
        }
    }
}
