//! tshark reads each LDP message that can be written, whether a lab's nodes have a reason to send it or not.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ipnet::IpNet;
use port::capture::{Captured, Direction, Writer};
use wire::Label;
use wire::ip::NewHeader;
use wire::ldp::{
    AddressFamily, Addresses, Advertisement, Body, Capability, CapabilityChange, DEFAULT_MAX_PDU_LENGTH,
    FecTlv, FtSession, Hello, HoldTime, Initialization, KeepaliveTime, LabelAbortRequest, LabelMapping,
    LabelRelease, LabelRequest, LabelWithdraw, LdpId, Message, MessageId, MessageType, Milliseconds,
    Notification, PORT, PathVector, PduWriter, PrefixFecs, RawTlv, RequestFec, Status, StatusCode,
    TransportPreference, UnknownTlv,
};

use crate::installed;
use crate::lab::tshark;

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 2);
const TCP: u8 = 6;
const UDP: u8 = 17;

#[test]
fn tshark_reads_every_message() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("messages.pcapng");
    let bodies = bodies();
    write(&file, &bodies);

    assert_eq!(tshark(&file, "ldp", &["ldp.msg.type"]), kinds(&bodies), "one in each frame");
    let all = [
        MessageType::NOTIFICATION,
        MessageType::HELLO,
        MessageType::INITIALIZATION,
        MessageType::KEEPALIVE,
        MessageType::CAPABILITY,
        MessageType::ADDRESS,
        MessageType::ADDRESS_WITHDRAW,
        MessageType::LABEL_MAPPING,
        MessageType::LABEL_REQUEST,
        MessageType::LABEL_WITHDRAW,
        MessageType::LABEL_RELEASE,
        MessageType::LABEL_ABORT_REQUEST,
    ];
    assert!(all.iter().all(|kind| bodies.iter().any(|body| body.kind() == *kind)));
    // 0x600000 is Wireshark's severity "warning".
    let marked = "!ldp || _ws.malformed || _ws.expert.severity >= 0x600000";
    assert_eq!(tshark(&file, marked, &["frame.number", "_ws.expert.message"]), Vec::<Vec<String>>::new());

    let fields = |filter: &str, names: &[&str]| tshark(&file, filter, names);
    assert_eq!(
        fields("ldp.msg.type == 0x0202", &["ldp.msg.tlv.type", "ldp.msg.tlv.unknown"]),
        [["0x050b,0x0603", "0x02,0x02"]]
    );
    assert_eq!(
        fields("ldp.msg.tlv.type == 0x0506", &["ldp.msg.tlv.type"]),
        [["0x0500,0x0503,0x0506,0x050b,0x0603,0x3e01"]]
    );
    assert_eq!(
        fields("ldp.msg.tlv.type == 0x0701", &["ldp.msg.tlv.ipv4.taddr", "ldp.msg.tlv.ipv6.taddr"]),
        [["10.255.0.1", "2001:db8::1"]]
    );
    assert_eq!(
        fields("ldp.msg.tlv.fec.type == 1", &["ldp.msg.type", "ldp.msg.tlv.generic.label"]),
        [["0x0402,0x0201", "16"]]
    );
    let returned =
        fields("ldp.msg.tlv.status.data == 0x2e", &["ldp.msg.tlv.status.ebit", "ldp.msg.tlv.type"]);
    assert_eq!(returned, [["0", "0x0300,0x0304"]]);
}

/// Wireshark (4.0 as well as 4.4) takes a typed wildcard for a pseudowire's FEC element, of which it then says that it is
/// too short. So only what is around the element is read here; that it is right is for FRR to say, which acts on it.
#[test]
fn tshark_reads_up_to_typed_wildcards() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("messages.pcapng");
    let ipv4 = AddressFamily::Ipv4;
    let bodies = [
        Body::Notification(Notification::end_of_lib(ipv4)),
        Body::LabelRequest(LabelRequest::new(RequestFec::TypedWildcard(ipv4))),
        Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::TypedWildcard(ipv4), label: None }),
        Body::LabelRelease(LabelRelease { fec: FecTlv::TypedWildcard(ipv4), label: None, status: None }),
    ];
    write(&file, &bodies);
    assert_eq!(tshark(&file, "ldp", &["ldp.msg.type"]), kinds(&bodies));
    let fields = ["ldp.msg.tlv.status.ebit", "ldp.msg.tlv.type"];
    assert_eq!(tshark(&file, "ldp.msg.tlv.status.data == 0x2f", &fields), [["0", "0x0300,0x0100"]]);
    let marked = "_ws.malformed || _ws.expert.severity >= 0x600000";
    for row in tshark(&file, marked, &["_ws.expert.message"]) {
        assert_eq!(row, ["Error in FEC Element 1"], "and nothing else");
    }
}

/// The types of messages in each frame.
fn kinds(bodies: &[Body]) -> Vec<Vec<String>> {
    let filler = |body: &Body| if matches!(body, Body::Hello(_)) { "" } else { ",0x0201" };
    bodies.iter().map(|body| vec![format!("{:#06x}{}", body.kind().0, filler(body))]).collect()
}

/// The names of status codes, as Wireshark has them from IANA's registry.
#[test]
fn tshark_has_the_same_names_for_status_codes() {
    if !installed() {
        return;
    }
    let output = Command::new("tshark").args(["-G", "values"]).output().expect("tshark runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let names: BTreeMap<u32, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("V\tldp.msg.tlv.status.data\t0x")?.split_once('\t'))
        .filter_map(|(value, name)| Some((u32::from_str_radix(value, 16).ok()?, name)))
        .collect();
    for code in StatusCode::NAMED {
        let ours = code.name().map(|name| name.replace(" / ", "/"));
        assert_eq!(names.get(&code.value()).copied(), ours.as_deref(), "{:#x}", code.value());
    }
}

/// One of each kind of message at least, and each TLV in one of them.
fn bodies() -> Vec<Body> {
    let prefix = |text: &str| text.parse::<IpNet>().expect("a prefix");
    let one = || PrefixFecs::from(prefix("10.254.0.1/32"));
    let label = Label::FIRST_UNRESERVED;
    let vector = PathVector::new(vec![RECEIVER, SENDER]);
    let vendor = UnknownTlv { kind: 0x3e01, forward: true, value: vec![0, 2, 111, 109, 1] };
    let unsupported = Status {
        message: Some((MessageId(7), MessageType::CAPABILITY)),
        ..Status::new(StatusCode::UNSUPPORTED_CAPABILITY)
    };
    let changes = [(Capability::TypedWildcardFec, false), (Capability::UnrecognizedNotification, true)];
    let mut bodies = sessions(vendor.clone());
    bodies.extend([
        Body::Notification(Notification {
            returned_tlvs: vec![RawTlv { word: 0x050a, value: vec![0x80] }],
            ..Notification::new(unsupported)
        }),
        Body::Capability(CapabilityChange { changes: changes.into(), ..CapabilityChange::default() }),
        Body::Address(Addresses::V4(vec![SENDER, RECEIVER])),
        Body::AddressWithdraw(Addresses::V6(vec![Ipv6Addr::LOCALHOST])),
        Body::LabelMapping(LabelMapping {
            request: Some(MessageId(7)),
            hop_count: Some(3),
            path_vector: vector.clone(),
            unknown: vec![vendor],
            ..LabelMapping::new(one(), label)
        }),
        Body::LabelMapping(LabelMapping::new(
            PrefixFecs::new(vec![prefix("10.254.0.1/32"), prefix("0.0.0.0/0"), prefix("2001:db8::/33")])
                .expect("not too many"),
            label,
        )),
        Body::LabelRequest(LabelRequest {
            hop_count: Some(3),
            path_vector: vector,
            ..LabelRequest::new(RequestFec::Prefixes(one()))
        }),
        Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::Wildcard, label: Some(label) }),
        Body::LabelRelease(LabelRelease {
            fec: FecTlv::Prefixes(one()),
            label: Some(label),
            status: Some(Status::new(StatusCode::LOOP_DETECTED)),
        }),
        Body::LabelAbortRequest(LabelAbortRequest { fecs: one(), request: MessageId(7) }),
    ]);
    bodies
}

/// Discovery and what sessions begin with.
fn sessions(vendor: UnknownTlv) -> Vec<Body> {
    let ft = FtSession {
        flags: FtSession::LEARN_FROM_NETWORK,
        reconnect: Milliseconds(60_000),
        recovery: Milliseconds(120_000),
    };
    vec![
        Body::Hello(Hello {
            transport_address: Some(SENDER),
            transport_address_v6: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            configuration_sequence: Some(7),
            dual_stack: Some(TransportPreference::Ipv6),
            ..Hello::link(HoldTime(15))
        }),
        Body::Initialization(Initialization {
            advertisement: Advertisement::DownstreamOnDemand,
            path_vector_limit: Some(32),
            max_pdu_length: 4096,
            fault_tolerance: Some(ft),
            capabilities: Capability::ALL.into(),
            unknown: vec![vendor],
            ..Initialization::new(
                KeepaliveTime(NonZeroU16::new(30).expect("not zero")),
                LdpId::platform(RECEIVER),
            )
        }),
        Body::KeepAlive,
    ]
}

/// Each message in a PDU and a packet of its own, with a KeepAlive behind it.
fn write(file: &Path, bodies: &[Body]) {
    let to = std::fs::File::create(file).expect("a file");
    let mut writer = Writer::new(to, "codec", 65535).expect("a capture file");
    let mut sequence = 1;
    for (n, body) in bodies.iter().enumerate() {
        let mut pdus = PduWriter::new(LdpId::platform(SENDER), DEFAULT_MAX_PDU_LENGTH);
        pdus.push(&Message { id: MessageId(n as u32 + 1), body: body.clone() }).expect("it fits");
        if !matches!(body, Body::Hello(_)) {
            // Wireshark looks ten octets beyond the beginning of a FEC TLV's value, however short that is.
            pdus.push(&Message { id: MessageId(u32::MAX), body: Body::KeepAlive }).expect("it fits");
        }
        let pdu = pdus.finish();
        let transport = match body {
            Body::Hello(_) => udp(pdu.len()),
            _ => tcp(sequence),
        };
        let hello = matches!(body, Body::Hello(_));
        if !hello {
            sequence += pdu.len() as u32;
        }
        let header = NewHeader {
            source: IpAddr::V4(SENDER),
            destination: IpAddr::V4(RECEIVER),
            protocol: if hello { UDP } else { TCP },
            ttl: 255,
            traffic_class: 0xc0,
            identification: 0,
            payload_len: (transport.len() + pdu.len()) as u16,
        };
        let mut frame = [[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]].concat();
        frame.extend([0x08, 0x00]);
        let start = frame.len();
        frame.resize(start + header.len(), 0);
        assert!(header.write(&mut frame[start..]));
        frame.extend(transport);
        frame.extend(pdu);
        let captured = Captured {
            time: Duration::from_millis(n as u64),
            direction: Direction::Out,
            octets: &frame,
            len: frame.len() as u32,
        };
        writer.write(&captured).expect("it is written");
    }
}

fn udp(payload: usize) -> Vec<u8> {
    let length = (payload + 8) as u16;
    [PORT.to_be_bytes(), PORT.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat()
}

/// A segment's header: 40000 to 646, ACK and PSH, checksum left to be done.
fn tcp(sequence: u32) -> Vec<u8> {
    let mut header = [40_000_u16.to_be_bytes(), PORT.to_be_bytes()].concat();
    header.extend(sequence.to_be_bytes());
    header.extend([0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    header
}
