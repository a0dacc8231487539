//! Each message and TLV beyond RFC 5036's own as the RFCs draw it, octet by octet; and what is to be refused of them.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use super::captured::octets;
use super::*;
use crate::Label;

const SENDER: LdpId = LdpId::platform(Ipv4Addr::new(10, 255, 0, 1));

/// A message of this type, its ID 9, with these parameters, in a PDU.
fn pdu(kind: u16, parameters: &str) -> Vec<u8> {
    let parameters = octets(parameters);
    let mut message = kind.to_be_bytes().to_vec();
    message.extend((parameters.len() as u16 + 4).to_be_bytes());
    message.extend([0, 0, 0, 9]);
    message.extend(parameters);
    let mut pdu = vec![0, 1];
    pdu.extend((message.len() as u16 + 6).to_be_bytes());
    pdu.extend([10, 255, 0, 1, 0, 0]);
    pdu.extend(message);
    pdu
}

fn read(octets: &[u8]) -> Result<Body, DecodeError> {
    let pdu = Pdu::from_datagram(octets)?;
    match pdu.messages().next().expect("a message")? {
        Incoming::Message(message) => Ok(message.body),
        ignored @ Incoming::Ignored(..) => panic!("{ignored:?}"),
    }
}

/// These parameters mean this, and this is written so.
fn is(kind: u16, parameters: &str, body: &Body) {
    let octets = pdu(kind, parameters);
    assert_eq!(read(&octets).as_ref(), Ok(body), "{parameters}");
    let mut writer = PduWriter::new(SENDER, DEFAULT_MAX_PDU_LENGTH);
    writer.push(&Message { id: MessageId(9), body: body.clone() }).unwrap();
    assert_eq!(writer.finish(), octets, "{parameters}");
}

fn refused(kind: u16, parameters: &str) -> (StatusCode, bool) {
    let error = read(&pdu(kind, parameters)).expect_err(parameters);
    assert!(error.message.is_some());
    (error.status, error.is_fatal())
}

const COMMON_SESSION: &str = "0500 000e 0001 001e 00 00 0000 0aff0001 0000";

fn initialization() -> Initialization {
    Initialization::new(KeepaliveTime(NonZeroU16::new(30).unwrap()), SENDER)
}

#[test]
fn capabilities_of_an_initialization() {
    use Capability::{DynamicAnnouncement, TypedWildcardFec, UnrecognizedNotification};
    let with = |tlvs: &str| format!("{COMMON_SESSION} {tlvs}");
    let all = with("8506 0001 80  850b 0001 80  8603 0001 80");
    is(
        0x0200,
        &all,
        &Body::Initialization(Initialization { capabilities: Capability::ALL.into(), ..initialization() }),
    );
    for (tlv, capability) in [
        ("8506 0001 80", DynamicAnnouncement),
        ("850b 0001 80", TypedWildcardFec),
        ("8603 0001 80", UnrecognizedNotification),
    ] {
        let one = Initialization { capabilities: [capability].into(), ..initialization() };
        is(0x0200, &with(tlv), &Body::Initialization(one.clone()));
        // RFC 5561 §6: the S bit must be 1 here and is not looked at; the U bit is of no concern to who knows the type.
        let lax = tlv.replace("80", "00").replacen('8', "0", 1);
        assert_eq!(read(&pdu(0x0200, &with(&lax))), Ok(Body::Initialization(one)), "{lax}");
        assert_eq!(Capability::of_kind(capability.kind()), Some(capability));
    }
    // A P2MP capability (RFC 6388) is passed over; a vendor's that must be understood is for an answer.
    let others = Initialization {
        unknown: vec![UnknownTlv { kind: 0x0508, forward: false, value: vec![0x80] }],
        unsupported: vec![RawTlv { word: 0x3e01, value: vec![1, 2, 3, 4] }],
        ..initialization()
    };
    is(0x0200, &with("8508 0001 80  3e01 0004 01020304"), &Body::Initialization(others));
    // RFC 5561 §3: not twice; RFC 5561 §9, RFC 5918 §5, RFC 5919 §5: one octet.
    let refused = |tlvs: &str| refused(0x0200, &with(tlvs));
    assert_eq!(refused("850b 0001 80 850b 0001 80"), (StatusCode::MALFORMED_TLV_VALUE, true));
    assert_eq!(refused("850b 0002 8000"), (StatusCode::BAD_TLV_LENGTH, true));
    assert_eq!(refused("850b 0000"), (StatusCode::BAD_TLV_LENGTH, true));
}

#[test]
fn capability_messages() {
    use Capability::{TypedWildcardFec, UnrecognizedNotification};
    let change = |changes: &[(Capability, bool)]| CapabilityChange {
        changes: changes.iter().copied().collect(),
        ..CapabilityChange::default()
    };
    is(0x0202, "850b 0001 80", &Body::Capability(change(&[(TypedWildcardFec, true)])));
    is(
        0x0202,
        "850b 0001 00 8603 0001 80",
        &Body::Capability(change(&[(TypedWildcardFec, false), (UnrecognizedNotification, true)])),
    );
    is(0x0202, "", &Body::Capability(change(&[])));
    let unknown = CapabilityChange {
        unknown: vec![UnknownTlv { kind: 0x0508, forward: false, value: vec![0x80] }],
        unsupported: vec![RawTlv { word: 0x050a, value: vec![0x80] }],
        ..change(&[(TypedWildcardFec, true)])
    };
    is(0x0202, "850b 0001 80 8508 0001 80 050a 0001 80", &Body::Capability(unknown));
    assert_eq!(refused(0x0202, "850b 0001 80 850b 0001 00"), (StatusCode::MALFORMED_TLV_VALUE, true));
    assert_eq!(refused(0x0202, "850b 0001"), (StatusCode::BAD_TLV_LENGTH, true));
}

#[test]
fn typed_wildcards() {
    for (family, hex) in
        [(AddressFamily::Ipv4, "0100 0005 05 02 02 0001"), (AddressFamily::Ipv6, "0100 0005 05 02 02 0002")]
    {
        let request = RequestFec::TypedWildcard(family);
        is(0x0401, hex, &Body::LabelRequest(LabelRequest::new(request)));
        let fec = FecTlv::TypedWildcard(family);
        is(0x0402, hex, &Body::LabelWithdraw(LabelWithdraw { fec: fec.clone(), label: None }));
        let label = Some(Label::FIRST_UNRESERVED);
        let with_label = format!("{hex} 0200 0004 00000010");
        is(0x0402, &with_label, &Body::LabelWithdraw(LabelWithdraw { fec: fec.clone(), label }));
        is(0x0403, &with_label, &Body::LabelRelease(LabelRelease { fec, label, status: None }));
        // RFC 5918 §4: Label Request, Label Withdraw and Label Release.
        assert_eq!(refused(0x0400, &with_label), (StatusCode::UNKNOWN_FEC, false));
        assert_eq!(refused(0x0404, &format!("{hex} 0600 0004 00000001")), (StatusCode::UNKNOWN_FEC, false));
    }
    for (hex, status, fatal) in [
        // Of pseudowires, of another family, of no family, cut short.
        ("0100 0005 05 80 02 0005", StatusCode::UNKNOWN_FEC, false),
        ("0100 0005 05 02 02 0006", StatusCode::UNSUPPORTED_ADDRESS_FAMILY, false),
        ("0100 0003 05 02 00", StatusCode::MALFORMED_TLV_VALUE, true),
        ("0100 0004 05 02 02 00", StatusCode::BAD_TLV_LENGTH, true),
        ("0100 0002 05 02", StatusCode::BAD_TLV_LENGTH, true),
        // Beside others, in either order.
        ("0100 0009 05 02 02 0001 02 0001 00", StatusCode::UNKNOWN_FEC, false),
        ("0100 0009 02 0001 00 05 02 02 0001", StatusCode::UNKNOWN_FEC, false),
        ("0100 000a 05 02 02 0001 05 02 02 0002", StatusCode::UNKNOWN_FEC, false),
        ("0100 0006 01 05 02 02 0001", StatusCode::MALFORMED_TLV_VALUE, true),
        ("0100 0002 01 01", StatusCode::MALFORMED_TLV_VALUE, true),
    ] {
        assert_eq!(refused(0x0402, hex), (status, fatal), "{hex}");
    }
}

/// RFC 5036 §3.4.1: in Label Withdraw and Label Release only.
#[test]
fn wildcards() {
    let label = Some(Label::FIRST_UNRESERVED);
    let hex = "0100 0001 01 0200 0004 00000010";
    is(0x0402, hex, &Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::Wildcard, label }));
    is(0x0403, hex, &Body::LabelRelease(LabelRelease { fec: FecTlv::Wildcard, label, status: None }));
    for kind in [0x0400, 0x0401, 0x0404] {
        let hex = format!("{hex} 0600 0004 00000001");
        assert_eq!(refused(kind, &hex), (StatusCode::UNKNOWN_FEC, false), "{kind:#x}");
    }
}

/// RFC 5036 §3.4.1.1: elements of several types in one Label Mapping, which ends whole at the first that is not known.
#[test]
fn mixed_elements_cost_the_message() {
    let (prefix, label) = ("02 0001 20 0afe0001", "0200 0004 00000010");
    let two = format!("0100 000d {prefix} 02 0002 08 fd {label}");
    let fecs = PrefixFecs::new(vec!["10.254.0.1/32".parse().unwrap(), "fd00::/8".parse().unwrap()]).unwrap();
    is(0x0400, &two, &Body::LabelMapping(LabelMapping::new(fecs, Label::FIRST_UNRESERVED)));
    for (element, len, status) in [
        ("01", 1, StatusCode::MALFORMED_TLV_VALUE),
        ("05 02 02 0001", 5, StatusCode::UNKNOWN_FEC),
        ("80 0005 00 00000000", 8, StatusCode::UNKNOWN_FEC),
        ("03 0001 04 0afe0001", 8, StatusCode::UNKNOWN_FEC),
        ("02 0019 08 01", 5, StatusCode::UNSUPPORTED_ADDRESS_FAMILY),
        ("02 0001 21 0afe000100", 9, StatusCode::MALFORMED_TLV_VALUE),
        ("02 0001 20 0afe00", 7, StatusCode::BAD_TLV_LENGTH),
    ] {
        let length = len + 8;
        let hex = format!("0100 {length:04x} {prefix} {element} {label}");
        assert_eq!(refused(0x0400, &hex).0, status, "{element} behind a prefix");
        if len != 7 {
            let hex = format!("0100 {length:04x} {element} {prefix} {label}");
            assert_eq!(refused(0x0400, &hex).0, status, "{element} before a prefix");
        }
    }
}

#[test]
fn notifications() {
    let end = |family| Body::Notification(Notification::end_of_lib(family));
    is(0x0001, "0300 000a 0000002f 00000000 0000 0100 0005 05 02 02 0001", &end(AddressFamily::Ipv4));
    is(0x0001, "0300 000a 0000002f 00000000 0000 0100 0005 05 02 02 0002", &end(AddressFamily::Ipv6));
    // RFC 5561 §8: the capability that is not supported goes back.
    let status = Status {
        message: Some((MessageId(7), MessageType::INITIALIZATION)),
        ..Status::new(StatusCode::UNSUPPORTED_CAPABILITY)
    };
    let unsupported = Notification {
        returned_tlvs: vec![RawTlv { word: 0x050a, value: vec![0x80] }],
        ..Notification::new(status)
    };
    is(0x0001, "0300 000a 0000002e 00000007 0200 8304 0005 050a 0001 80", &Body::Notification(unsupported));
    assert_eq!(
        refused(0x0001, "0300 000a 0000002e 00000007 0200 8304 0005 050a 0002 80"),
        (StatusCode::BAD_TLV_LENGTH, true)
    );
    // The end of what we have no FECs of, or of nothing, costs nobody a message.
    let bare = Body::Notification(Notification::new(Status::new(StatusCode::END_OF_LIB)));
    for fec in ["", "0100 0004 05 80 01 05", "0100 0005 05 02 02 0006"] {
        let octets = pdu(0x0001, &format!("0300 000a 0000002f 00000000 0000 {fec}"));
        assert_eq!(read(&octets).as_ref(), Ok(&bare), "{fec}");
    }
    assert_eq!(
        refused(0x0001, "0300 000a 0000002f 00000000 0000 0100 0001 02"),
        (StatusCode::BAD_TLV_LENGTH, true)
    );
}

#[test]
fn hellos_of_two_families() {
    let ours = Hello {
        transport_address: Some(Ipv4Addr::new(10, 255, 0, 1)),
        transport_address_v6: Some("2001:db8::1".parse().unwrap()),
        dual_stack: Some(TransportPreference::Ipv6),
        ..Hello::link(HoldTime(15))
    };
    let v6 = "20010db8000000000000000000000001";
    let common = "0400 0004 000f 0000";
    let both = format!("{common} 0401 0004 0aff0001 0403 0010 {v6} 8701 0004 60000000");
    is(0x0100, &both, &Body::Hello(ours.clone()));
    let v4 =
        Hello { transport_address_v6: None, dual_stack: Some(TransportPreference::Ipv4), ..ours.clone() };
    is(0x0100, &format!("{common} 0401 0004 0aff0001 8701 0004 40000000"), &Body::Hello(v4));
    // RFC 7552 §6.1: of several transport addresses only the first of each family; §6.1.1: reserved bits are ignored.
    let more = format!("{common} 0401 0004 0aff0001 0403 0010 {v6} 0401 0004 0aff0002 8701 0004 6fffffff");
    assert_eq!(read(&pdu(0x0100, &more)), Ok(Body::Hello(ours)));
    for tlv in ["8701 0004 50000000", "8701 0004 00000000"] {
        let hex = format!("{common} {tlv}");
        assert_eq!(refused(0x0100, &hex), (StatusCode::MALFORMED_TLV_VALUE, true), "{tlv}");
    }
    assert_eq!(refused(0x0100, &format!("{common} 8701 0002 6000")), (StatusCode::BAD_TLV_LENGTH, true));
    let (link, targeted) = (HoldTime::DEFAULT.link(), HoldTime::DEFAULT.targeted());
    assert_eq!((link, targeted), (Some(HoldTime::LINK_DEFAULT), Some(HoldTime::TARGETED_DEFAULT)));
    assert_eq!(HoldTime::INFINITE.targeted(), None);
}

/// RFC 5036 §3.4.4, §3.4.5, §3.5.7, §3.5.8: loop detection, the request that is answered, and what others may have added.
#[test]
fn attributes_of_an_lsp() {
    let fecs = || PrefixFecs::from("10.254.0.1/32".parse::<ipnet::IpNet>().unwrap());
    let fec = "0100 0008 02 0001 20 0afe0001";
    let attributes = "0103 0001 05 0104 0008 0aff0002 0aff0001";
    let vector = PathVector::new(vec![Ipv4Addr::new(10, 255, 0, 2), Ipv4Addr::new(10, 255, 0, 1)]);
    let unknown = vec![UnknownTlv { kind: 0x3e00, forward: true, value: vec![0, 2, 111, 109] }];
    let mapping = LabelMapping {
        request: Some(MessageId(7)),
        hop_count: Some(5),
        path_vector: vector.clone(),
        unknown: unknown.clone(),
        ..LabelMapping::new(fecs(), Label::FIRST_UNRESERVED)
    };
    let hex = format!("{fec} 0200 0004 00000010 0600 0004 00000007 {attributes} fe00 0004 00026f6d");
    is(0x0400, &hex, &Body::LabelMapping(mapping));
    let request = LabelRequest {
        hop_count: Some(5),
        path_vector: vector,
        unknown,
        ..LabelRequest::new(RequestFec::Prefixes(fecs()))
    };
    is(0x0401, &format!("{fec} {attributes} fe00 0004 00026f6d"), &Body::LabelRequest(request));
    assert_eq!(refused(0x0401, &format!("{fec} 0103 0002 0005")), (StatusCode::BAD_TLV_LENGTH, true));
    assert_eq!(refused(0x0401, &format!("{fec} 0104 0003 0aff00")), (StatusCode::BAD_TLV_LENGTH, true));
    assert_eq!(refused(0x0401, &format!("{fec} 3e00 0000")), (StatusCode::UNKNOWN_TLV, false));
}
