//! Octets that FRR 8.4's ldpd sent to another FRR (10.255.9.2 to 10.255.9.1), captured from the wire.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use super::*;
use crate::Label;

const HELLO: &str = "000100260aff090200000100001c0000000104000004000f2000040100040aff09020402000400000002";
const INITIALIZATION: &str =
    "0001002f0aff0902000002000025000000030500000e000100b4000000000aff090100008506000180850b0001808603000180";
const KEEPALIVE_AND_ADDRESS: &str = "0001000e0aff0902000002010004000000040001\
     00200aff0902000003000016000000050101000e00010a0900020aff09020afe0902";
const MAPPINGS: &str = "000100910aff09020000040000170000000601000007020001180a090002000004000000030400001800000007\
     01000008020001200afe09010200000400000010040000180000000801000008020001200afe09020200000400000003\
     040000180000000901000008020001200aff09010200000400000011040000180000000a01000008020001200aff0902\
     0200000400000003";
const SHUTDOWN: &str = "0001001c0aff09020000000100120000000f0300000a8000000a000000000000";

const FRR: LdpId = LdpId::platform(Ipv4Addr::new(10, 255, 9, 2));
const OTHER: LdpId = LdpId::platform(Ipv4Addr::new(10, 255, 9, 1));

pub(super) fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

/// The messages, all of them; and that writing them again gives the same octets.
fn read(hex: &str) -> Vec<Body> {
    let octets = octets(hex);
    let mut reader = PduReader::default();
    reader.push(&octets);
    let mut bodies = Vec::new();
    let mut again = Vec::new();
    while let Some(pdu) = reader.next().unwrap() {
        assert_eq!(pdu.sender, FRR);
        let mut writer = PduWriter::new(FRR, DEFAULT_MAX_PDU_LENGTH);
        for message in pdu.messages() {
            let Ok(Incoming::Message(message)) = message else { panic!("{message:?}") };
            writer.push(&message).unwrap();
            bodies.push(message.body);
        }
        again.extend(writer.finish());
    }
    assert_eq!(reader.pending(), 0);
    assert_eq!(again, octets, "written again");
    bodies
}

#[test]
fn a_hello() {
    let hello = Hello {
        hold: HoldTime(15),
        targeted: false,
        request_targeted: false,
        gtsm: true,
        transport_address: Some(FRR.lsr_id),
        transport_address_v6: None,
        configuration_sequence: Some(2),
        dual_stack: None,
    };
    assert_eq!(read(HELLO), [Body::Hello(hello)]);
}

#[test]
fn an_initialization_with_capabilities() {
    let initialization = Initialization {
        keepalive: KeepaliveTime(NonZeroU16::new(180).unwrap()),
        advertisement: Advertisement::DownstreamUnsolicited,
        path_vector_limit: None,
        max_pdu_length: 0,
        receiver: OTHER,
        fault_tolerance: None,
        capabilities: Capability::ALL.into(),
        unknown: vec![],
        unsupported: vec![],
    };
    assert_eq!(read(INITIALIZATION), [Body::Initialization(initialization)]);
}

#[test]
fn a_keepalive_and_addresses() {
    let addresses = [Ipv4Addr::new(10, 9, 0, 2), FRR.lsr_id, Ipv4Addr::new(10, 254, 9, 2)];
    let address = Body::Address(Addresses::V4(addresses.to_vec()));
    assert_eq!(read(KEEPALIVE_AND_ADDRESS), [Body::KeepAlive, address]);
}

#[test]
fn mappings() {
    let mapping = |prefix: &str, label| {
        let fecs = prefix.parse::<ipnet::IpNet>().unwrap().into();
        Body::LabelMapping(LabelMapping::new(fecs, Label::new(label).unwrap()))
    };
    let expected = [
        mapping("10.9.0.0/24", 3),
        mapping("10.254.9.1/32", 16),
        mapping("10.254.9.2/32", 3),
        mapping("10.255.9.1/32", 17),
        mapping("10.255.9.2/32", 3),
    ];
    assert_eq!(read(MAPPINGS), expected);
}

#[test]
fn a_shutdown() {
    let notification = Notification::new(Status::new(StatusCode::SHUTDOWN));
    assert_eq!(read(SHUTDOWN), [Body::Notification(notification)]);
}
