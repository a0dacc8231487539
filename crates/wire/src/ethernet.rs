//! Ethernet headers with up to two VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use std::fmt;

use crate::{MacAddr, VlanId, VlanTags};

/// An EtherType (IEEE 802.3 §3.2.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// An 802.1Q customer VLAN tag.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self(0x86dd);
    /// MPLS, downstream-assigned labels (RFC 5332 §3): the only MPLS frames we take or send.
    pub const MPLS: Self = Self(0x8847);
    /// MPLS, upstream-assigned labels (RFC 5332 §3; once "multicast").
    pub const MPLS_UPSTREAM: Self = Self(0x8848);
    /// An 802.1ad service VLAN tag.
    pub const SERVICE_VLAN: Self = Self(0x88a8);

    /// Whether a VLAN tag follows.
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::SERVICE_VLAN)
    }

    /// Whether labels follow, of whichever kind.
    pub const fn is_mpls(self) -> bool {
        matches!(self, Self::MPLS | Self::MPLS_UPSTREAM)
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtherType({:#06x})", self.0)
    }
}

/// An Ethernet header with the tags that name a circuit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EthernetHeader {
    /// To whom.
    pub destination: MacAddr,
    /// From whom.
    pub source: MacAddr,
    /// The VLAN tags; their priorities are not kept, and are sent as zero.
    pub tags: VlanTags,
    /// What follows the header, tags included.
    pub ether_type: EtherType,
}

/// Why octets are no Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EthernetError {
    /// They end before the header does.
    #[error("the frame ends within its Ethernet header")]
    Truncated,
    /// More than two VLAN tags, priority tags included.
    #[error("the frame has more than {} VLAN tags", VlanTags::MAX)]
    TooManyTags,
    /// A tag with the reserved VLAN identifier 4095.
    #[error("the frame is tagged with the reserved VLAN 4095")]
    ReservedVlan,
}

impl EthernetHeader {
    /// Octets of a header without tags.
    pub const LEN: usize = 14;
    /// Octets of one tag.
    pub const TAG_LEN: usize = 4;
    /// Octets of the longest header.
    pub const MAX_LEN: usize = Self::LEN + VlanTags::MAX * Self::TAG_LEN;

    /// The header of a frame and how many of its octets it takes, which is more than [`Self::len`] where there are
    /// priority tags (VLAN 0), since these count as no tag.
    pub fn parse(octets: &[u8]) -> Result<(Self, usize), EthernetError> {
        let (head, mut rest) = octets.split_first_chunk::<{ Self::LEN }>().ok_or(EthernetError::Truncated)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *head;
        let mut ether_type = EtherType(u16::from_be_bytes([t0, t1]));
        let mut len = Self::LEN;
        let mut tags = VlanTags::None;
        while ether_type.is_vlan() {
            if len == Self::MAX_LEN {
                return Err(EthernetError::TooManyTags);
            }
            let ([c0, c1, t0, t1], behind) =
                rest.split_first_chunk::<{ Self::TAG_LEN }>().ok_or(EthernetError::Truncated)?;
            // The upper four bits are priority and drop eligibility.
            let id = u16::from_be_bytes([*c0, *c1]) & 0xfff;
            if id != 0 {
                let id = VlanId::new(id).map_err(|_| EthernetError::ReservedVlan)?;
                tags = match tags {
                    VlanTags::Single(outer) => VlanTags::Double { outer, inner: id },
                    _ => VlanTags::Single(id),
                };
            }
            ether_type = EtherType(u16::from_be_bytes([*t0, *t1]));
            rest = behind;
            len += Self::TAG_LEN;
        }
        let header = Self {
            destination: MacAddr([d0, d1, d2, d3, d4, d5]),
            source: MacAddr([s0, s1, s2, s3, s4, s5]),
            tags,
            ether_type,
        };
        Ok((header, len))
    }

    /// Octets that [`Self::write`] writes: 14, 18 or 22.
    #[allow(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        Self::LEN + self.tags.count() * Self::TAG_LEN
    }

    /// Writes the header to the first [`Self::len`] octets; a shorter slice gets as much as it holds.
    pub fn write(&self, out: &mut [u8]) {
        let mut octets = [0; Self::MAX_LEN];
        octets[..6].copy_from_slice(&self.destination.0);
        octets[6..12].copy_from_slice(&self.source.0);
        match self.tags {
            VlanTags::None => {}
            VlanTags::Single(id) => octets[12..16].copy_from_slice(&tag(EtherType::VLAN, id)),
            VlanTags::Double { outer, inner } => {
                octets[12..16].copy_from_slice(&tag(EtherType::SERVICE_VLAN, outer));
                octets[16..20].copy_from_slice(&tag(EtherType::VLAN, inner));
            }
        }
        let len = self.len();
        octets[len - 2..len].copy_from_slice(&self.ether_type.0.to_be_bytes());
        for (place, octet) in out.iter_mut().zip(&octets[..len]) {
            *place = *octet;
        }
    }
}

fn tag(ether_type: EtherType, id: VlanId) -> [u8; EthernetHeader::TAG_LEN] {
    let ([a, b], [c, d]) = (ether_type.0.to_be_bytes(), id.number().to_be_bytes());
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATIONS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

    fn vlan(id: u16) -> VlanId {
        VlanId::new(id).unwrap()
    }

    fn parse(tail: &[u8]) -> Result<(VlanTags, u16, usize), EthernetError> {
        let (header, len) = EthernetHeader::parse(&[&STATIONS, tail].concat())?;
        assert_eq!((header.destination.0[5], header.source.0[5]), (1, 2));
        Ok((header.tags, header.ether_type.0, len))
    }

    #[test]
    fn tags_are_read_in_either_order_and_vlan_zero_is_no_tag() {
        let double = VlanTags::Double { outer: vlan(5), inner: vlan(6) };
        let rows: [(&[u8], _); 9] = [
            (&[8, 0], Ok((VlanTags::None, 0x800, 14))),
            (&[0x81, 0, 0xe0, 5, 8, 6], Ok((VlanTags::Single(vlan(5)), 0x806, 18))),
            (&[0x88, 0xa8, 0, 5, 8, 0], Ok((VlanTags::Single(vlan(5)), 0x800, 18))),
            (&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0], Ok((double, 0x800, 22))),
            (&[0x81, 0, 0, 5, 0x88, 0xa8, 0, 6, 8, 0], Ok((double, 0x800, 22))),
            (&[0x81, 0, 0x20, 0, 8, 0], Ok((VlanTags::None, 0x800, 18))),
            (&[0x81, 0, 0, 0, 0x81, 0, 0, 6, 8, 0], Ok((VlanTags::Single(vlan(6)), 0x800, 22))),
            (&[0x81, 0, 0x0f, 0xff, 8, 0], Err(EthernetError::ReservedVlan)),
            (&[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0], Err(EthernetError::TooManyTags)),
        ];
        for (tail, expected) in rows {
            assert_eq!(parse(tail), expected, "{tail:02x?}");
        }
    }

    #[test]
    fn a_header_cut_anywhere_is_truncated() {
        let octets = [&STATIONS[..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]].concat();
        for len in 0..octets.len() {
            assert_eq!(EthernetHeader::parse(&octets[..len]), Err(EthernetError::Truncated), "{len}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same_to_etherparse() {
        let header = EthernetHeader {
            destination: MacAddr([2, 0, 0, 0, 0, 1]),
            source: MacAddr([2, 0, 0, 0, 0, 2]),
            tags: VlanTags::Double { outer: vlan(100), inner: vlan(4094) },
            ether_type: EtherType::IPV6,
        };
        let mut octets = [0; EthernetHeader::MAX_LEN];
        header.write(&mut octets);
        let (outer, rest) = etherparse::Ethernet2Header::from_slice(&octets).unwrap();
        let (service, rest) = etherparse::SingleVlanHeader::from_slice(rest).unwrap();
        let (customer, rest) = etherparse::SingleVlanHeader::from_slice(rest).unwrap();
        assert_eq!((outer.destination, outer.source), (header.destination.0, header.source.0));
        assert_eq!(
            (outer.ether_type.0, service.ether_type.0, customer.ether_type.0),
            (0x88a8, 0x8100, 0x86dd)
        );
        assert_eq!((service.vlan_id.value(), customer.vlan_id.value()), (100, 4094));
        assert!(rest.is_empty());
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            stations in any::<[u8; 12]>(), outer in 1u16..4095, inner in 1u16..4095, count in 0usize..3, ether_type in any::<u16>(),
        ) {
            let ether_type = EtherType(ether_type);
            prop_assume!(!ether_type.is_vlan());
            let (destination, source) = stations.split_at(6);
            let header = EthernetHeader {
                destination: MacAddr(destination.try_into().unwrap()),
                source: MacAddr(source.try_into().unwrap()),
                tags: match count {
                    0 => VlanTags::None,
                    1 => VlanTags::Single(vlan(outer)),
                    _ => VlanTags::Double { outer: vlan(outer), inner: vlan(inner) },
                },
                ether_type,
            };
            let mut octets = vec![0; header.len()];
            header.write(&mut octets);
            prop_assert_eq!(EthernetHeader::parse(&octets), Ok((header, octets.len())));
        }
    }
}
