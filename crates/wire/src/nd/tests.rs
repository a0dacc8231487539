//! Neighbor Discovery packets against octets from elsewhere, and every validity check.

use super::*;
use proptest::prelude::*;

/// What a Linux 6 host sent (captured): `2001:db8:f:1::1` asks all for `2001:db8:f:1::2` …
const SOLICITATION: &str = "6000000000203aff20010db8000f00010000000000000001ff0200000000000000000001ff000002\
    87001bfe0000000020010db8000f00010000000000000002010102000000000a";
/// … and is answered.
const ADVERTISEMENT: &str = "6000000000203aff20010db8000f0001000000000000000220010db8000f00010000000000000001\
    88008a386000000020010db8000f00010000000000000002020102000000000b";
/// Duplicate address detection, with a nonce (RFC 7527), for `2001:db8:f:1::1`.
const DETECTION: &str = "6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff000001\
    8700d02c0000000020010db8000f000100000000000000010e01d4d9e706b2c6";
/// Whether `2001:db8:f:1::1` is still there is asked from a link-local address.
const PROBE: &str = "6000000000203afffe80000000000000000000fffe00000b20010db8000f00010000000000000001\
    87001c790000000020010db8000f00010000000000000001010102000000000b";
/// A Router Solicitation.
const ROUTER_SOLICITATION: &str = "6000000000103afffe80000000000000000000fffe00000bff020000000000000000000000000002\
    85007b1800000000010102000000000b";

fn octets(hex: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn solicitation() -> NdPacket {
    NdPacket {
        source: ip("2001:db8:f:1::1"),
        destination: ip("ff02::1:ff00:2"),
        message: NdMessage::Solicitation { target: ip("2001:db8:f:1::2"), source_mac: Some(mac(10)) },
    }
}

fn advertisement() -> NdPacket {
    let flags = NaFlags { router: false, solicited: true, override_cached: true };
    NdPacket {
        source: ip("2001:db8:f:1::2"),
        destination: ip("2001:db8:f:1::1"),
        message: NdMessage::Advertisement { target: ip("2001:db8:f:1::2"), target_mac: Some(mac(11)), flags },
    }
}

/// The packet with the octet at `at` (in the IPv6 packet) set, its checksum made right again.
fn with(hex: &str, changes: &[(usize, u8)]) -> Result<NdPacket, NdError> {
    let mut packet = octets(hex);
    for &(at, to) in changes {
        packet[at] = to;
    }
    NdPacket::parse(&resummed(packet))
}

fn resummed(mut packet: Vec<u8>) -> Vec<u8> {
    packet[42..44].fill(0);
    let (from, to) = (address(&packet, 8), address(&packet, 24));
    let sum = checksum(from, to, &packet[40..]);
    packet[42..44].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn what_linux_sends_is_read_and_written_octet_for_octet() {
    for (hex, packet) in [(SOLICITATION, solicitation()), (ADVERTISEMENT, advertisement())] {
        assert_eq!(NdPacket::parse(&octets(hex)), Ok(packet));
        assert_eq!(packet.to_bytes(), octets(hex));
    }
    let read = NdPacket::parse(&octets(DETECTION)).unwrap();
    assert!(read.source.is_unspecified());
    assert_eq!(read.message, NdMessage::Solicitation { target: ip("2001:db8:f:1::1"), source_mac: None });
    let read = NdPacket::parse(&octets(PROBE)).unwrap();
    assert_eq!((read.source, read.destination), (ip("fe80::ff:fe00:b"), ip("2001:db8:f:1::1")));
    assert_eq!(NdPacket::parse(&octets(ROUTER_SOLICITATION)), Err(NdError::Type(133)));
    let padded = [octets(PROBE), vec![0xee; 6]].concat();
    assert_eq!(NdPacket::parse(&padded), Ok(read));
}

#[test]
fn another_reader_sees_the_same_flags_and_checksum() {
    let flags = NaFlags { router: true, solicited: false, override_cached: true };
    let message = NdMessage::Advertisement { target: ip("2001:db8::1"), target_mac: Some(mac(1)), flags };
    let packet = NdPacket { source: ip("2001:db8::1"), destination: ip("ff02::1"), message }.to_bytes();
    let (header, rest) = etherparse::Ipv6Header::from_slice(&packet).unwrap();
    assert_eq!((header.hop_limit, usize::from(header.payload_length)), (255, rest.len()));
    let icmp = etherparse::Icmpv6Slice::from_slice(rest).unwrap();
    assert!(icmp.is_checksum_valid(header.source, header.destination));
    let etherparse::Icmpv6Type::NeighborAdvertisement(read) = icmp.icmp_type() else {
        panic!("{:?}", icmp.icmp_type());
    };
    assert!(read.router && !read.solicited && read.r#override);
}

#[test]
fn every_validity_check_of_rfc_4861_section_7_1() {
    // Both: hop limit, checksum, code, length, options.
    for hex in [SOLICITATION, ADVERTISEMENT] {
        let whole = octets(hex);
        assert_eq!(with(hex, &[(7, 254)]), Err(NdError::HopLimit(254)));
        let mut wrong = whole.clone();
        wrong[42] ^= 1;
        assert_eq!(NdPacket::parse(&wrong), Err(NdError::Checksum));
        assert_eq!(with(hex, &[(41, 1)]), Err(NdError::Code(1)));
        assert!(matches!(with(hex, &[(48, 0xff)]), Err(NdError::MulticastTarget(_))));
        assert_eq!(with(hex, &[(65, 0)]), Err(NdError::OptionLength), "length zero");
        assert_eq!(with(hex, &[(65, 2)]), Err(NdError::OptionLength), "beyond the packet");
        assert_eq!(with(hex, &[(66, 1)]), Err(NdError::LinkLayerAddress), "a group address");
        assert_eq!(with(hex, &[(6, 44)]), Err(NdError::NextHeader(44)), "a fragment (RFC 6980)");
        assert_eq!(with(hex, &[(0, 0x40)]), Err(NdError::NotIpv6));
        assert!(matches!(with(hex, &[(8, 0xff)]), Err(NdError::MulticastSource(_))));
        for length in 0..whole.len() {
            assert!(NdPacket::parse(&whole[..length]).is_err(), "{length}");
        }
        // A shorter ICMP message, sound but for that.
        for length in 1..24 {
            let mut short = whole[..40 + length].to_vec();
            short[5] = length as u8;
            let short = if length < 4 { short } else { resummed(short) };
            assert_eq!(NdPacket::parse(&short), Err(NdError::Truncated(40 + length)));
        }
    }
    // §7.1.1: duplicate address detection goes to a solicited-node address, without a source address option.
    assert_eq!(with(DETECTION, &[(36, 0xfe)]), Err(NdError::ProbeDestination(ip("ff02::1:fe00:1"))));
    assert_eq!(with(DETECTION, &[(64, 1), (66, 2)]), Err(NdError::ProbeLinkLayerAddress));
    // §7.1.2: what goes to all answers nobody.
    let all_nodes: Vec<_> = (24..40).zip(ip("ff02::1").octets()).collect();
    assert_eq!(with(ADVERTISEMENT, &all_nodes), Err(NdError::SolicitedMulticast));
    let unsolicited = [all_nodes, vec![(44, 0x20)]].concat();
    assert!(with(ADVERTISEMENT, &unsolicited).is_ok());
}

#[test]
fn options_other_than_link_layer_addresses_are_skipped() {
    let mut packet = octets(SOLICITATION);
    packet.splice(64..64, [253, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    packet[5] += 16;
    assert_eq!(NdPacket::parse(&resummed(packet.clone())), Ok(solicitation()));
    packet.push(0);
    packet[5] += 1;
    assert_eq!(NdPacket::parse(&resummed(packet)), Err(NdError::OptionLength), "a lone octet");
}

#[test]
fn groups_are_derived_as_the_rfcs_say() {
    // The examples of RFC 4291 §2.7.1 and RFC 2464 §7.
    assert_eq!(solicited_node(ip("4037::01:800:200e:8c6c")), ip("ff02::1:ff0e:8c6c"));
    assert_eq!(multicast_mac(ip("ff02::1:ff0e:8c6c")), MacAddr([0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c]));
    assert!(is_solicited_node(ip("ff02::1:ff0e:8c6c")) && !is_solicited_node(ip("ff02::1")));
}

fn packets() -> impl Strategy<Value = NdPacket> {
    let address = any::<[u8; 16]>().prop_map(|mut octets| {
        octets[0] &= 0x7f;
        Ipv6Addr::from(octets)
    });
    let mac = proptest::option::of(any::<[u8; 5]>().prop_map(|[a, b, c, d, e]| MacAddr([2, a, b, c, d, e])));
    (address.clone(), address.clone(), address, mac, any::<[bool; 4]>()).prop_map(
        |(source, destination, target, mac, [solicitation, router, solicited, override_cached])| {
            let message = if solicitation {
                NdMessage::Solicitation { target, source_mac: mac }
            } else {
                let flags = NaFlags { router, solicited, override_cached };
                NdMessage::Advertisement { target, target_mac: mac, flags }
            };
            NdPacket { source, destination, message }
        },
    )
}

proptest! {
    #[test]
    fn packets_round_trip(packet in packets()) {
        prop_assert_eq!(NdPacket::parse(&packet.to_bytes()), Ok(packet));
    }

    #[test]
    fn whatever_comes_is_read_or_refused(mut noise in proptest::collection::vec(any::<u8>(), 0..120), resum: bool) {
        if resum && noise.len() >= 64 {
            let (length, kind) = ((noise.len() - 40) as u8, 135 + noise[40] % 2);
            noise[0] = 0x60;
            noise[4..8].copy_from_slice(&[0, length, 58, 255]);
            noise[40..42].copy_from_slice(&[kind, 0]);
            noise = resummed(noise);
        }
        if let Ok(packet) = NdPacket::parse(&noise) {
            prop_assert_eq!(NdPacket::parse(&packet.to_bytes()), Ok(packet));
        }
    }
}
