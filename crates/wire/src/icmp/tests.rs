use super::*;
use etherparse::{Icmpv4Type, Icmpv6Type, PacketBuilder, TransportHeader, icmpv4, icmpv6};
use proptest::prelude::*;

const ERRORS: [IcmpError; 5] = [
    IcmpError::NetworkUnreachable,
    IcmpError::HostUnreachable,
    IcmpError::PortUnreachable,
    IcmpError::TooLong { mtu: 1234 },
    IcmpError::TimeExceeded,
];

fn source(v6: bool) -> IpAddr {
    if v6 { "2001:db8::f" } else { "192.0.2.254" }.parse().unwrap()
}

fn builder(v6: bool) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    if v6 {
        PacketBuilder::ipv6([0x20; 16], [0x21; 16], 9)
    } else {
        PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 2], 9)
    }
}

fn udp(v6: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    builder(v6).udp(1, 2).write(&mut packet, payload).unwrap();
    packet
}

fn echo(v6: bool, data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = builder(v6);
    if v6 {
        builder.icmpv6_echo_request(7, 8).write(&mut packet, data).unwrap();
    } else {
        builder.icmpv4_echo_request(7, 8).write(&mut packet, data).unwrap();
    }
    packet
}

fn written(error: IcmpError, original: &[u8], labels: &[u8]) -> Vec<u8> {
    let of = IpHeader::parse(original).unwrap();
    let new = NewError::new(error, source(of.source.is_ipv6()), 64, &of, original, labels).unwrap();
    let mut out = vec![0xee; new.len()];
    assert!(new.write(&mut out) && !new.write(&mut vec![0; new.len() + 1]));
    out
}

/// Sums 16-bit words by the definition (RFC 1071 §1).
fn sums_to_zero(icmp: &[u8], pseudo_header: &[u8]) -> bool {
    let words = |octets: &[u8]| {
        let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        octets.chunks(2).map(word).sum::<u32>()
    };
    (words(icmp) + words(pseudo_header)).is_multiple_of(0xffff)
}

/// What etherparse makes of a message; its checksum holds, by etherparse too where that knows all of the header.
fn read(packet: &[u8]) -> String {
    let headers = etherparse::PacketHeaders::from_ip_slice(packet).unwrap();
    let (icmp, pseudo_header) = match headers.net.as_ref().unwrap() {
        etherparse::NetHeaders::Ipv6(ip, _) => {
            let len = ip.payload_length.to_be_bytes();
            (&packet[40..], [&ip.source[..], &ip.destination, &len, &[0, 58]].concat())
        }
        _ => (&packet[20..], Vec::new()),
    };
    assert!(sums_to_zero(icmp, &pseudo_header));
    let extended = icmp[4..6] != [0, 0];
    let payload = headers.payload.slice();
    match headers.transport.unwrap() {
        TransportHeader::Icmpv4(icmp) => {
            assert!(extended || icmp.icmp_type.calc_checksum(payload) == icmp.checksum);
            match icmp.icmp_type {
                Icmpv4Type::DestinationUnreachable(header) => format!("{header:?}"),
                Icmpv4Type::TimeExceeded(icmpv4::TimeExceededCode::TtlExceededInTransit) => "expired".into(),
                other => format!("{other:?}"),
            }
        }
        TransportHeader::Icmpv6(icmp) => {
            let Some(etherparse::NetHeaders::Ipv6(ip, _)) = headers.net else { panic!("not IPv6") };
            let sum = icmp.icmp_type.calc_checksum(ip.source, ip.destination, payload).unwrap();
            assert!(extended || sum == icmp.checksum);
            match icmp.icmp_type {
                Icmpv6Type::DestinationUnreachable(code) => format!("{code:?}"),
                Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::HopLimitExceeded) => "expired".into(),
                other => format!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_are_read_by_etherparse() {
    let expected = [
        ["Network", "Host", "Port", "FragmentationNeeded { next_hop_mtu: 1234 }", "expired"],
        ["NoRoute", "Address", "Port", "PacketTooBig { mtu: 1234 }", "expired"],
    ];
    for (v6, expected) in [(false, expected[0]), (true, expected[1])] {
        let original = udp(v6, &[5; 100]);
        for (error, expected) in ERRORS.into_iter().zip(expected) {
            let message = written(error, &original, &[]);
            assert_eq!(read(&message), expected);
            let header = IpHeader::parse(&message).unwrap();
            assert_eq!((header.source, header.ttl), (source(v6), 64));
            assert_eq!(header.destination, IpHeader::parse(&original).unwrap().source);
        }
    }
}

#[test]
fn as_much_is_quoted_as_the_standards_allow() {
    for (v6, longest) in [(false, 576), (true, 1280)] {
        for (payload, padding) in [(0, 9), (500, 0), (1500, 3)] {
            let mut original = udp(v6, &vec![5; payload]);
            let whole = original.len();
            original.extend(vec![0xaa; padding]);
            let message = written(IcmpError::TimeExceeded, &original, &[]);
            let head = if v6 { 48 } else { 28 };
            assert_eq!(message.len(), (whole + head).min(longest));
            assert_eq!(message[head..], original[..message.len() - head]);
        }
    }
}

#[test]
fn a_label_stack_follows_128_octets_of_the_original() {
    let labels = [0x00, 0x01, 0x00, 0x01, 0x12, 0x34, 0x5b, 0x01];
    for (v6, head) in [(false, 28), (true, 48)] {
        for payload in [3, 1000] {
            let original = udp(v6, &vec![5; payload]);
            let message = written(IcmpError::TimeExceeded, &original, &labels);
            assert_eq!(read(&message), "expired");
            assert_eq!(message.len(), head + 128 + 16);
            assert_eq!(message[head - 4 + usize::from(!v6)], if v6 { 16 } else { 32 });
            let quoted = original.len().min(128);
            assert_eq!(message[head..head + quoted], original[..quoted]);
            assert!(message[head + quoted..head + 128].iter().all(|&octet| octet == 0));
            // RFC 4884 §7, RFC 4950 §3.
            let extension = &message[head + 128..];
            assert_eq!((extension[0], checksum(extension)), (0x20, 0));
            assert_eq!(extension[4..], [&[0, 12, 1, 1], &labels[..]].concat());
        }
    }
    let too_big = written(IcmpError::TooLong { mtu: 1400 }, &udp(true, &[5; 9]), &labels);
    assert_eq!(too_big.len(), 48 + 57, "Packet Too Big cannot be extended");
    let needed = written(IcmpError::TooLong { mtu: 70_000 }, &udp(false, &[5; 9]), &labels);
    assert_eq!(needed[24..28], [0, 32, 0xff, 0xff]);
}

#[test]
fn an_error_is_of_the_originals_version() {
    let original = udp(false, b"");
    let of = IpHeader::parse(&original).unwrap();
    assert!(NewError::new(IcmpError::TimeExceeded, source(true), 64, &of, &original, &[]).is_none());
}

#[test]
fn an_echo_request_is_answered_in_kind() {
    for v6 in [false, true] {
        let mut request = echo(v6, b"data!");
        request[1] |= 0xb0;
        if !v6 {
            request[1] = 0xb9;
            request[10..12].fill(0);
            let sum = checksum(&request[..20]);
            request[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        let of = IpHeader::parse(&request).unwrap();
        let mut padded = request.clone();
        padded.extend([9; 9]);
        let new = NewEchoReply::new(&of, &padded, 64).unwrap();
        let mut reply = vec![0xee; new.len()];
        assert!(new.write(&mut reply) && !new.write(&mut vec![0; 500]));
        assert!(read(&reply).contains("EchoReply(IcmpEchoHeader { id: 7, seq: 8 })"), "{}", read(&reply));
        let header = IpHeader::parse(&reply).unwrap();
        assert_eq!((header.source, header.destination, header.ttl), (of.destination, of.source, 64));
        assert!(ip::ipv4_checksum_holds(&reply, &header));
        let data = Echo { identifier: 7, sequence: 8, data: b"data!" };
        assert_eq!(Message::parse(&header, &reply), Ok(Message::EchoReply(data)));
        assert!(NewEchoReply::new(&header, &reply, 64).is_none(), "a reply is not answered");
        *request.last_mut().unwrap() ^= 1;
        assert!(NewEchoReply::new(&of, &request, 64).is_none(), "checksum");
        assert_eq!(Message::parse(&of, &request), Err(IcmpParseError::Checksum));
    }
}

#[test]
fn options_are_not_in_a_reply() {
    let (mut header, rest) =
        etherparse::Ipv4Header::from_slice(&echo(false, b"x")).map(|(h, r)| (h, r.to_vec())).unwrap();
    header.options = [7, 7, 4, 0, 0, 0, 0, 0].into();
    header.set_payload_len(rest.len()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    let request = [&header.to_bytes()[..], &rest].concat();
    let of = IpHeader::parse(&request).unwrap();
    assert_eq!(NewEchoReply::new(&of, &request, 64).unwrap().len(), 20 + 9);
}

#[test]
fn errors_redirects_and_later_fragments_get_no_answer() {
    let answered = |packet: &[u8]| may_be_answered(&IpHeader::parse(packet).unwrap(), packet);
    for v6 in [false, true] {
        assert!(answered(&udp(v6, b"")) && answered(&echo(v6, b"")));
        let mut message = echo(v6, b"");
        let at = if v6 { 40 } else { 20 };
        let all: Vec<u8> = (0..=255)
            .filter(|&kind| {
                message[at] = kind;
                answered(&message)
            })
            .collect();
        if v6 {
            assert_eq!(all, (128..=255).filter(|kind| *kind != 137).collect::<Vec<_>>());
        } else {
            assert_eq!(all, [0, 8, 9, 10, 13, 14, 15, 16, 17, 18]);
        }
        for error in ERRORS {
            assert!(!answered(&written(error, &udp(v6, b""), &[])));
        }
    }
    let mut packet = udp(false, &[0; 16]);
    packet[6] = 0x20;
    assert!(answered(&packet), "the first fragment");
    packet[7] = 1;
    assert!(!answered(&packet), "a later fragment");
    let mut short = echo(false, b"");
    short[3] = 20;
    assert!(!answered(&short), "no type");
    // An error behind a fragment header.
    let mut hidden = udp(true, &[0; 8]);
    (hidden[6], hidden[40]) = (44, 58);
    hidden[41..48].fill(0);
    hidden[48] = 3;
    assert!(!answered(&hidden));
    hidden[48] = 128;
    assert!(answered(&hidden));
    hidden[43] = 8;
    assert!(!answered(&hidden), "a later fragment");
}

#[test]
fn what_is_no_message_is_said_so() {
    let parse = |packet: &[u8]| Message::parse(&IpHeader::parse(packet).unwrap(), packet).unwrap_err();
    assert_eq!(parse(&udp(false, b"")), IcmpParseError::NotIcmp);
    let mut fragment = echo(false, b"");
    fragment[6] = 0x20;
    assert_eq!(parse(&fragment), IcmpParseError::NotIcmp);
    let mut short = echo(true, b"");
    short[5] = 7;
    assert_eq!(parse(&short), IcmpParseError::Truncated);
    let query = {
        let mut packet = Vec::new();
        builder(false).icmpv4_raw(13, 0, [0; 4]).write(&mut packet, b"").unwrap();
        packet
    };
    let header = IpHeader::parse(&query).unwrap();
    assert_eq!(Message::parse(&header, &query), Ok(Message::Other { kind: 13 }));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        v6: bool, which in 0usize..5, mtu in 0u32..65536, payload in prop::collection::vec(any::<u8>(), 0..1600),
        depth in 0usize..20,
    ) {
        let error = match ERRORS[which] {
            IcmpError::TooLong { .. } => IcmpError::TooLong { mtu },
            other => other,
        };
        let labels: Vec<u8> = (0..depth).flat_map(|n| [0, 1, u8::from(n + 1 == depth), 7]).collect();
        let original = udp(v6, &payload);
        let message = written(error, &original, &labels);
        let longest = if v6 { 1280 } else { 576 };
        prop_assert!(message.len() <= longest);
        let header = IpHeader::parse(&message).unwrap();
        prop_assert!(ip::ipv4_checksum_holds(&message, &header));
        let Ok(Message::Error { error: found, original: quoted, labels: shown }) = Message::parse(&header, &message)
        else { panic!("not an error") };
        prop_assert_eq!(found, error);
        let common = quoted.len().min(original.len());
        prop_assert_eq!(&quoted[..common], &original[..common]);
        let extended = !(v6 && which == 3);
        prop_assert_eq!(shown, &labels[..if extended { labels.len().min(64) } else { 0 }]);
        read(&message);
    }

    #[test]
    fn no_octets_are_too_strange(v6: bool, mut icmp in prop::collection::vec(any::<u8>(), 0..200), sound: bool) {
        let mut packet = if v6 { echo(true, b"")[..40].to_vec() } else { echo(false, b"")[..20].to_vec() };
        if v6 { packet[5] = icmp.len() as u8 } else { packet[3] = 20 + icmp.len() as u8 }
        let parsed = |packet: &[u8]| IpHeader::parse(packet).unwrap();
        if sound && icmp.len() >= 8 {
            let mut whole = packet.clone();
            whole.extend(&icmp);
            let header = parsed(&whole);
            icmp[2..4].fill(0);
            let sum = pseudo_header(header.source, header.destination, icmp.len()).octets(&icmp).checksum();
            icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet.extend(&icmp);
        let header = parsed(&packet);
        let message = Message::parse(&header, &packet);
        prop_assert!(!sound || icmp.len() < 8 || message.is_ok());
        may_be_answered(&header, &packet);
        NewEchoReply::new(&header, &packet, 1);
        NewError::new(IcmpError::TimeExceeded, source(v6), 1, &header, &packet, &icmp);
    }
}
