//! The codec against octets, and against itself.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::*;
use crate::Label;

const SENDER: LdpId = LdpId::platform(Ipv4Addr::new(10, 255, 0, 1));

fn pdu(messages: &[Message]) -> Vec<u8> {
    let mut writer = PduWriter::new(SENDER, DEFAULT_MAX_PDU_LENGTH);
    messages.iter().for_each(|message| writer.push(message).unwrap());
    writer.finish()
}

/// A message's octets: type, parameters.
fn raw(kind: u16, parameters: &[u8]) -> Vec<u8> {
    let mut octets = kind.to_be_bytes().to_vec();
    octets.extend((parameters.len() as u16 + 4).to_be_bytes());
    octets.extend([0, 0, 0, 9]);
    octets.extend(parameters);
    octets
}

fn raw_pdu(message: &[u8]) -> Vec<u8> {
    let mut octets = vec![0, 1];
    octets.extend((message.len() as u16 + 6).to_be_bytes());
    octets.extend([10, 255, 0, 1, 0, 0]);
    octets.extend(message);
    octets
}

fn first(octets: &[u8]) -> Result<Incoming, DecodeError> {
    let mut reader = PduReader::default();
    reader.push(octets);
    let pdu = reader.next()?.expect("a whole PDU");
    pdu.messages().next().expect("a message")
}

fn status_of(octets: &[u8]) -> (StatusCode, bool) {
    let error = first(octets).expect_err("octets that are to be refused");
    (error.status, error.is_fatal())
}

fn addresses() -> impl Strategy<Value = Addresses> {
    prop_oneof![
        prop::collection::vec(any::<Ipv4Addr>(), 0..40).prop_map(Addresses::V4),
        prop::collection::vec(any::<Ipv6Addr>(), 0..40).prop_map(Addresses::V6),
    ]
}

fn prefix() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<Ipv4Addr>(), 0u8..=32).prop_map(|(a, len)| Ipv4Net::new(a, len).unwrap().trunc().into()),
        (any::<Ipv6Addr>(), 0u8..=128).prop_map(|(a, len)| Ipv6Net::new(a, len).unwrap().trunc().into()),
    ]
}

fn fecs() -> impl Strategy<Value = PrefixFecs> {
    prop::collection::vec(prefix(), 1..20).prop_map(|prefixes| PrefixFecs::new(prefixes).unwrap())
}

fn family() -> impl Strategy<Value = AddressFamily> {
    prop_oneof![Just(AddressFamily::Ipv4), Just(AddressFamily::Ipv6)]
}

fn fec_tlv() -> impl Strategy<Value = FecTlv> {
    prop_oneof![
        Just(FecTlv::Wildcard),
        family().prop_map(FecTlv::TypedWildcard),
        fecs().prop_map(FecTlv::Prefixes)
    ]
}

fn request_fec() -> impl Strategy<Value = RequestFec> {
    prop_oneof![family().prop_map(RequestFec::TypedWildcard), fecs().prop_map(RequestFec::Prefixes)]
}

fn label() -> impl Strategy<Value = Label> {
    (0u32..=0xf_ffff).prop_map(|value| Label::new(value).unwrap())
}

fn id() -> impl Strategy<Value = MessageId> {
    any::<u32>().prop_map(MessageId)
}

fn path_vector() -> impl Strategy<Value = Option<PathVector>> {
    prop::option::of(
        prop::collection::vec(any::<Ipv4Addr>(), 0..20).prop_map(|v| PathVector::new(v).unwrap()),
    )
}

fn status() -> impl Strategy<Value = Status> {
    let message = prop::option::of((1..=u32::MAX, 0u16..0x8000))
        .prop_map(|message| message.map(|(id, kind)| (MessageId(id), MessageType(kind))));
    (any::<u32>(), any::<bool>(), any::<bool>(), message).prop_map(|(code, fatal, forward, message)| Status {
        code: StatusCode::new(code),
        fatal,
        forward,
        message,
    })
}

fn unknown() -> impl Strategy<Value = Vec<UnknownTlv>> {
    // Types of vendors (RFC 5036 §3.6.1).
    let tlv = (0x3e00u16..=0x3eff, any::<bool>(), prop::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(kind, forward, value)| UnknownTlv { kind, forward, value });
    prop::collection::vec(tlv, 0..4)
}

/// TLVs without the U bit of types that are not known here: vendors' and experimental ones.
fn unsupported() -> impl Strategy<Value = Vec<RawTlv>> {
    let tlv = (0x3e00u16..=0x3fff, any::<bool>(), prop::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(kind, forward, value)| RawTlv { word: kind | if forward { 0x4000 } else { 0 }, value });
    prop::collection::vec(tlv, 0..3)
}

fn raw_tlvs() -> impl Strategy<Value = Vec<RawTlv>> {
    let tlv = (any::<u16>(), prop::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(word, value)| RawTlv { word, value });
    prop::collection::vec(tlv, 0..4)
}

fn capability() -> impl Strategy<Value = Capability> {
    prop::sample::select(Capability::ALL.to_vec())
}

fn octets() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40))
}

fn initialization() -> impl Strategy<Value = Initialization> {
    let ft = (any::<u16>(), any::<u32>(), any::<u32>()).prop_map(|(flags, reconnect, recovery)| FtSession {
        flags,
        reconnect: Milliseconds(reconnect),
        recovery: Milliseconds(recovery),
    });
    let receiver = (any::<Ipv4Addr>(), any::<u16>());
    let common = (1..=u16::MAX, any::<bool>(), any::<Option<u8>>(), any::<u16>(), receiver);
    let capabilities = prop::collection::btree_set(capability(), 0..4);
    let others = (capabilities, unknown(), unsupported());
    (common, prop::option::of(ft), others).prop_map(|(common, fault_tolerance, others)| {
        let (capabilities, unknown, unsupported) = others;
        let (keepalive, on_demand, path_vector_limit, max_pdu_length, (lsr_id, label_space)) = common;
        Initialization {
            keepalive: KeepaliveTime(NonZeroU16::new(keepalive).unwrap()),
            advertisement: if on_demand {
                Advertisement::DownstreamOnDemand
            } else {
                Advertisement::DownstreamUnsolicited
            },
            path_vector_limit,
            max_pdu_length,
            receiver: LdpId { lsr_id, label_space },
            fault_tolerance,
            capabilities,
            unknown,
            unsupported,
        }
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let bits = (any::<bool>(), any::<bool>(), any::<bool>());
    let addresses = (any::<Option<Ipv4Addr>>(), any::<Option<Ipv6Addr>>());
    let preference = prop_oneof![Just(TransportPreference::Ipv4), Just(TransportPreference::Ipv6)];
    (any::<u16>(), bits, addresses, any::<Option<u32>>(), prop::option::of(preference)).prop_map(
        |(hold, bits, (v4, v6), configuration_sequence, dual_stack)| {
            let (targeted, request_targeted, gtsm) = bits;
            Hello {
                hold: HoldTime(hold),
                targeted,
                request_targeted,
                gtsm,
                transport_address: v4,
                transport_address_v6: v6,
                configuration_sequence,
                dual_stack,
            }
        },
    )
}

fn label_body() -> impl Strategy<Value = Body> {
    let mapping = (fecs(), label(), prop::option::of(id()), any::<Option<u8>>(), path_vector(), unknown());
    prop_oneof![
        mapping.prop_map(|(fecs, label, request, hop_count, path_vector, unknown)| {
            Body::LabelMapping(LabelMapping { fecs, label, request, hop_count, path_vector, unknown })
        }),
        (request_fec(), any::<Option<u8>>(), path_vector(), unknown()).prop_map(
            |(fec, hop_count, path_vector, unknown)| {
                Body::LabelRequest(LabelRequest { fec, hop_count, path_vector, unknown })
            }
        ),
        (fec_tlv(), prop::option::of(label()))
            .prop_map(|(fec, label)| Body::LabelWithdraw(LabelWithdraw { fec, label })),
        (fec_tlv(), prop::option::of(label()), prop::option::of(status()))
            .prop_map(|(fec, label, status)| Body::LabelRelease(LabelRelease { fec, label, status })),
        (fecs(), id())
            .prop_map(|(fecs, request)| Body::LabelAbortRequest(LabelAbortRequest { fecs, request })),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let returned = (octets(), octets(), raw_tlvs());
    let notification =
        (status(), any::<Option<u32>>(), prop::option::of(id()), returned, prop::option::of(fec_tlv()));
    let changes = prop::collection::btree_map(capability(), any::<bool>(), 0..4);
    prop_oneof![
        notification.prop_map(|(status, extended, request, returned, fec)| {
            let (returned_pdu, returned_message, returned_tlvs) = returned;
            Body::Notification(Notification {
                status,
                extended,
                request,
                returned_pdu,
                returned_message,
                returned_tlvs,
                fec,
            })
        }),
        (changes, unknown(), unsupported()).prop_map(|(changes, unknown, unsupported)| {
            Body::Capability(CapabilityChange { changes, unknown, unsupported })
        }),
        hello().prop_map(Body::Hello),
        initialization().prop_map(Body::Initialization),
        Just(Body::KeepAlive),
        addresses().prop_map(Body::Address),
        addresses().prop_map(Body::AddressWithdraw),
        label_body(),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (id(), body()).prop_map(|(id, body)| Message { id, body })
}

proptest! {
    /// Whatever is written is read as it was, however the stream is cut.
    #[test]
    fn messages_round_trip(messages in prop::collection::vec(message(), 1..20), cut in 1usize..100) {
        let octets = pdu(&messages);
        let mut reader = PduReader::default();
        let mut read = Vec::new();
        for some in octets.chunks(cut) {
            reader.push(some);
            while let Some(pdu) = reader.next().unwrap() {
                prop_assert_eq!(pdu.sender, SENDER);
                for message in pdu.messages() {
                    read.push(message.unwrap());
                }
            }
            prop_assert!(reader.pending() < usize::from(DEFAULT_MAX_PDU_LENGTH) + 4);
        }
        prop_assert_eq!(reader.pending(), 0);
        prop_assert_eq!(read, messages.into_iter().map(Incoming::Message).collect::<Vec<_>>());
    }

    /// Whatever comes is taken or refused; what is taken can be written again and means the same.
    #[test]
    fn any_octets_are_survived(kind in 0u16..0x500, parameters in prop::collection::vec(any::<u8>(), 0..100)) {
        let octets = raw_pdu(&raw(kind, &parameters));
        if let Ok(Incoming::Message(message)) = first(&octets) {
            prop_assert_eq!(first(&pdu(std::slice::from_ref(&message))), Ok(Incoming::Message(message)));
        }
    }

    /// As above, but starting from something right: a few octets are changed.
    #[test]
    fn changed_octets_are_survived(message in message(), changes in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        let mut octets = pdu(&[message]);
        for (at, value) in changes {
            let at = usize::from(at) % octets.len();
            octets[at] = value;
        }
        let mut reader = PduReader::default();
        reader.push(&octets);
        while let Ok(Some(pdu)) = reader.next() {
            for message in pdu.messages().flatten() {
                if let Incoming::Message(message) = message {
                    message.encode(&mut Vec::new());
                }
            }
        }
    }
}

#[test]
fn a_stream_may_be_cut_at_every_octet() {
    let body =
        Body::LabelMapping(LabelMapping::new("10.254.1.1/32".parse::<IpNet>().unwrap().into(), Label::MAX));
    let message = Message { id: MessageId(1), body };
    let octets = [pdu(&[message.clone(), message.clone()]), pdu(&[message])].concat();
    for cut in 0..=octets.len() {
        let mut reader = PduReader::default();
        let mut messages = 0;
        for part in [&octets[..cut], &octets[cut..]] {
            reader.push(part);
            while let Some(pdu) = reader.next().unwrap() {
                messages += pdu.messages().filter(Result::is_ok).count();
            }
        }
        assert_eq!((messages, reader.pending()), (3, 0), "cut at {cut}");
    }
}

#[test]
fn pdus_are_filled_and_not_overfilled() {
    let body =
        Body::LabelMapping(LabelMapping::new("10.254.1.1/32".parse::<IpNet>().unwrap().into(), Label::MAX));
    let messages: Vec<Message> =
        (0..1000).map(|n| Message { id: MessageId(n), body: body.clone() }).collect();
    let octets = pdu(&messages);
    let mut reader = PduReader::default();
    reader.push(&octets);
    let mut sizes = Vec::new();
    while let Some(pdu) = reader.next().unwrap() {
        sizes.push(pdu.messages().count());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 1000);
    // 28 octets each in 4086.
    assert_eq!((sizes.len(), sizes[0]), (7, 145));
    let long = Body::Address(Addresses::V4(vec![Ipv4Addr::LOCALHOST; 1100]));
    let mut writer = PduWriter::new(SENDER, DEFAULT_MAX_PDU_LENGTH);
    assert!(writer.push(&Message { id: MessageId(1), body: long }).is_err());
    assert!(writer.is_empty());
}

/// What RFC 5036 §3.5.1.2 asks for, one by one.
#[test]
fn what_is_wrong_is_named() {
    use StatusCode as S;
    let fec = [0x01, 0x00, 0, 8, 2, 0, 1, 32, 10, 254, 1, 1];
    let label = [0x02, 0x00, 0, 4, 0, 0, 0, 16];
    let mapping = |parts: &[&[u8]]| raw_pdu(&raw(0x0400, &parts.concat()));
    assert!(first(&mapping(&[&fec, &label])).is_ok());
    let rows: Vec<(&str, Vec<u8>, S, bool)> = vec![
        ("version", vec![0, 2, 0, 14, 10, 255, 0, 1, 0, 0], S::BAD_PROTOCOL_VERSION, true),
        ("PDU too short", vec![0, 1, 0, 13, 10, 255, 0, 1, 0, 0], S::BAD_PDU_LENGTH, true),
        ("PDU too long", vec![0, 1, 0x10, 1, 10, 255, 0, 1, 0, 0], S::BAD_PDU_LENGTH, true),
        ("message beyond its PDU", raw_pdu(&[2, 1, 0, 5, 0, 0, 0, 1]), S::BAD_MESSAGE_LENGTH, true),
        ("message too short", raw_pdu(&[2, 1, 0, 3, 0, 0, 0, 1]), S::BAD_MESSAGE_LENGTH, true),
        ("unknown message", raw_pdu(&raw(0x3f00, &[])), S::UNKNOWN_MESSAGE_TYPE, false),
        ("no label", mapping(&[&fec]), S::MISSING_MESSAGE_PARAMETERS, false),
        ("no FEC", mapping(&[&label]), S::MISSING_MESSAGE_PARAMETERS, false),
        (
            "TLV beyond its message",
            mapping(&[&[1, 0, 0, 9, 2, 0, 1, 32, 10, 254, 1, 1]]),
            S::BAD_TLV_LENGTH,
            true,
        ),
        ("half a TLV header", mapping(&[&fec, &label, &[1, 0]]), S::BAD_TLV_LENGTH, true),
        ("unknown TLV", mapping(&[&fec, &label, &[0x3e, 0, 0, 0]]), S::UNKNOWN_TLV, false),
        ("ATM label", mapping(&[&fec, &[2, 1, 0, 4, 0, 0, 0, 16]]), S::UNKNOWN_TLV, false),
        ("label of 21 bits", mapping(&[&fec, &[2, 0, 0, 4, 0, 16, 0, 0]]), S::MALFORMED_TLV_VALUE, true),
        ("label of 3 octets", mapping(&[&fec, &[2, 0, 0, 3, 0, 0, 0]]), S::BAD_TLV_LENGTH, true),
        (
            "prefix of 33 bits",
            mapping(&[&[1, 0, 0, 9, 2, 0, 1, 33, 1, 2, 3, 4, 5], &label]),
            S::MALFORMED_TLV_VALUE,
            true,
        ),
        ("prefix cut short", mapping(&[&[1, 0, 0, 6, 2, 0, 1, 32, 1, 2], &label]), S::BAD_TLV_LENGTH, true),
        ("no FEC elements", mapping(&[&[1, 0, 0, 0], &label]), S::MALFORMED_TLV_VALUE, true),
        ("unknown FEC", mapping(&[&[1, 0, 0, 4, 128, 0, 5, 0], &label]), S::UNKNOWN_FEC, false),
        (
            "prefix, then unknown FEC",
            mapping(&[&[1, 0, 0, 6, 2, 0, 1, 0, 128, 1], &label]),
            S::UNKNOWN_FEC,
            false,
        ),
        ("wildcard mapping", mapping(&[&[1, 0, 0, 1, 1], &label]), S::UNKNOWN_FEC, false),
        ("family", mapping(&[&[1, 0, 0, 5, 2, 0, 6, 8, 1], &label]), S::UNSUPPORTED_ADDRESS_FAMILY, false),
        (
            "wildcard and prefix",
            raw_pdu(&raw(0x0402, &[1, 0, 0, 5, 1, 2, 0, 1, 0])),
            S::MALFORMED_TLV_VALUE,
            true,
        ),
        (
            "addresses of a family",
            raw_pdu(&raw(0x0300, &[1, 1, 0, 2, 0, 6])),
            S::UNSUPPORTED_ADDRESS_FAMILY,
            false,
        ),
        ("half an address", raw_pdu(&raw(0x0300, &[1, 1, 0, 4, 0, 1, 1, 2])), S::BAD_TLV_LENGTH, true),
        ("no keepalive", init(1, 0), S::BAD_KEEPALIVE_TIME, true),
        ("session version", init(2, 30), S::BAD_PROTOCOL_VERSION, true),
        ("no session parameters", raw_pdu(&raw(0x0200, &[])), S::MISSING_MESSAGE_PARAMETERS, false),
        ("ATM session", raw_pdu(&raw(0x0200, &[5, 1, 0, 0])), S::BAD_LABEL_RANGE, true),
    ];
    for (name, octets, status, fatal) in rows {
        assert_eq!(status_of(&octets), (status, fatal), "{name}");
    }
    let unknown = first(&raw_pdu(&raw(0xbf00, &[1, 2, 3])));
    assert_eq!(unknown, Ok(Incoming::Ignored(MessageId(9), MessageType(0x3f00))), "the U bit says so");
}

fn init(version: u8, keepalive: u8) -> Vec<u8> {
    let common = [5, 0, 0, 14, 0, version, 0, keepalive, 0, 0, 0, 0, 10, 255, 0, 2, 0, 0];
    raw_pdu(&raw(0x0200, &common))
}

#[test]
fn an_error_that_is_not_fatal_costs_one_message() {
    let good = raw(0x0201, &[]);
    let bad = raw(0x0400, &[0x3e, 0, 0, 0]);
    let octets = raw_pdu(&[good.clone(), bad, good].concat());
    let pdu = Pdu::from_datagram(&octets).unwrap();
    let outcomes: Vec<bool> = pdu.messages().map(|message| message.is_ok()).collect();
    assert_eq!(outcomes, [true, false, true]);
    let fatal = raw(0x0400, &[1, 0, 0, 9]);
    let octets = raw_pdu(&[fatal, raw(0x0201, &[])].concat());
    let pdu = Pdu::from_datagram(&octets).unwrap();
    assert_eq!(pdu.messages().count(), 1, "nothing is read after a fatal error");
}
