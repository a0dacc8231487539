//! Frames against octets that Linux sent, and frames that are none.

use super::*;

/// Captured between two Linux hosts; 02:00:00:00:00:0a is 192.0.2.1 and 2001:db8:f:1::1, …0b the other.
pub(crate) const ARP_REQUEST: &str =
    "ffffffffffff02000000000a0806000108000604000102000000000ac0000201000000000000c0000202";
pub(crate) const ARP_REPLY: &str =
    "02000000000a02000000000b0806000108000604000202000000000bc000020202000000000ac0000201";
pub(crate) const SOLICITATION: &str = "3333ff00000202000000000a86dd6000000000203aff20010db8000f00010000000000000001ff0200000000000000000001ff000002\
     87001bfe0000000020010db8000f00010000000000000002010102000000000a";
/// Sent by a Linux host that is no router: its R flag is not set.
pub(crate) const ADVERTISEMENT: &str = "02000000000a02000000000b86dd6000000000203aff20010db8000f0001000000000000000220010db8000f00010000000000000001\
     88008a386000000020010db8000f00010000000000000002020102000000000b";
pub(crate) const DETECTION: &str = "3333ff00000102000000000a86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff000001\
     8700d02c0000000020010db8000f000100000000000000010e01d4d9e706b2c6";
pub(crate) const LINK_LOCAL_PROBE: &str = "02000000000a02000000000b86dd6000000000203afffe80000000000000000000fffe00000b20010db8000f00010000000000000001\
     87001c790000000020010db8000f00010000000000000001010102000000000b";

pub(crate) fn octets(hex: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0a]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0b]);

#[test]
fn what_linux_says_is_understood() {
    let heard = |source, unicast, message| Ok(Heard { source, unicast, message });
    let ask = |sender, mac, target| Message::Ask { sender: ip(sender), mac, target: ip(target) };
    let tell = |address| Message::Tell { address: ip(address), mac: Some(B), solicited: true };
    let rows = [
        (ARP_REQUEST, B, heard(A, false, ask("192.0.2.1", Some(A), "192.0.2.2"))),
        (ARP_REPLY, A, heard(B, true, tell("192.0.2.2"))),
        (SOLICITATION, B, heard(A, false, ask("2001:db8:f:1::1", Some(A), "2001:db8:f:1::2"))),
        (ADVERTISEMENT, A, heard(B, true, tell("2001:db8:f:1::2"))),
        (DETECTION, B, heard(A, false, ask("::", None, "2001:db8:f:1::1"))),
        (LINK_LOCAL_PROBE, A, heard(B, true, ask("fe80::ff:fe00:b", Some(B), "2001:db8:f:1::1"))),
    ];
    for (frame, own, expected) in rows {
        assert_eq!(parse(&octets(frame), own), expected, "{frame}");
    }
}

#[test]
fn what_we_say_is_what_linux_says() {
    let ours = Station(A);
    assert_eq!(ours.ask(ip("192.0.2.1"), ip("192.0.2.2"), None).unwrap(), octets(ARP_REQUEST));
    assert_eq!(ours.ask(ip("2001:db8:f:1::1"), ip("2001:db8:f:1::2"), None).unwrap(), octets(SOLICITATION));
    let answer = Station(B).answer(ip("192.0.2.2"), (ip("192.0.2.1"), A), false);
    assert_eq!(answer.unwrap(), octets(ARP_REPLY));
    // We are a router, the captured host is not: R is set and the checksum less by as much.
    let mut expected = octets(ADVERTISEMENT);
    expected[58] |= 0x80;
    expected[56..58].copy_from_slice(&(0x8a38_u16 - 0x8000).to_be_bytes());
    let answer = Station(B).answer(ip("2001:db8:f:1::2"), (ip("2001:db8:f:1::1"), A), false);
    assert_eq!(answer.unwrap(), expected);
    assert_eq!(ours.ask(ip("192.0.2.1"), ip("2001:db8::1"), None), None);
    assert_eq!(ours.answer(ip("192.0.2.1"), (ip("2001:db8::1"), B), false), None);
}

fn flags(frame: &[u8]) -> (Ipv6Addr, NaFlags) {
    match NdPacket::parse(&frame[14..]).unwrap() {
        NdPacket { destination, message: NdMessage::Advertisement { flags, .. }, .. } => (destination, flags),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_say_router_and_whether_it_was_asked_and_whether_to_override() {
    let (address, asker) = (ip("2001:db8::1"), ip("2001:db8::2"));
    let to = |destination: IpAddr, solicited, override_cached| {
        let IpAddr::V6(destination) = destination else { panic!() };
        (destination, NaFlags { router: true, solicited, override_cached })
    };
    let answer = |asker, proxy| flags(&Station(A).answer(address, (asker, B), proxy).unwrap());
    assert_eq!(answer(asker, false), to(asker, true, true));
    assert_eq!(answer(asker, true), to(asker, true, false), "a proxy does not override (RFC 4861 §7.2.8)");
    assert_eq!(answer(ip("::"), false), to(ip("ff02::1"), false, true));
    assert_eq!(flags(&Station(A).announce(address)), to(ip("ff02::1"), false, true));
    let frame = Station(A).answer(address, (ip("::"), B), false).unwrap();
    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 1]);
}

#[test]
fn announcements_and_probes_by_arp_are_told_apart() {
    let own = MacAddr([2, 0, 0, 0, 0, 1]);
    let announced = parse(&Station(A).announce(ip("192.0.2.1")), own).unwrap().message;
    assert_eq!(announced, Message::Tell { address: ip("192.0.2.1"), mac: Some(A), solicited: false });
    let probe = Station(A).ask(ip("0.0.0.0"), ip("192.0.2.9"), None).unwrap();
    let asked = Message::Ask { sender: ip("0.0.0.0"), mac: Some(A), target: ip("192.0.2.9") };
    assert_eq!(parse(&probe, own).unwrap().message, asked);
    let nothing = Station(A).ask(ip("0.0.0.0"), ip("0.0.0.0"), None).unwrap();
    assert!(matches!(parse(&nothing, own).unwrap().message, Message::Ask { .. }));
}

#[test]
fn a_unicast_question_goes_to_one_station() {
    let frame = Station(A).ask(ip("192.0.2.1"), ip("192.0.2.2"), Some(B)).unwrap();
    assert_eq!(frame[..6], B.0);
    let frame = Station(A).ask(ip("2001:db8::1"), ip("2001:db8::2"), Some(B)).unwrap();
    assert_eq!(frame[..6], B.0);
    assert_eq!(
        NdPacket::parse(&frame[14..]).unwrap().destination,
        "2001:db8::2".parse::<Ipv6Addr>().unwrap()
    );
}

#[test]
fn what_is_not_for_us_or_not_sound_is_ignored_with_its_reason() {
    let changed = |hex: &str, at: usize, to: &[u8]| {
        let mut frame = octets(hex);
        frame[at..at + to.len()].copy_from_slice(to);
        parse(&frame, B).map(|heard| heard.message)
    };
    assert_eq!(parse(&octets(ARP_REPLY), A).map(|h| h.unicast), Ok(true));
    assert_eq!(changed(ARP_REQUEST, 0, &[2, 0, 0, 0, 0, 0x0c]), Err(Ignored::NotForUs));
    assert_eq!(changed(ARP_REQUEST, 6, &B.0), Err(Ignored::BadSource), "our own, come back");
    assert_eq!(changed(ARP_REQUEST, 6, &[3]), Err(Ignored::BadSource), "a group");
    assert_eq!(changed(ARP_REQUEST, 12, &[8, 0]), Err(Ignored::OtherEtherType));
    assert_eq!(changed(ARP_REQUEST, 12, &[0x81, 0, 0, 5]), Err(Ignored::OtherEtherType));
    assert_eq!(changed(ARP_REQUEST, 15, &[6]), Err(Ignored::MalformedArp));
    assert_eq!(changed(SOLICITATION, 21, &[64]), Err(Ignored::MalformedNd), "hop limit");
    assert_eq!(changed(SOLICITATION, 57, &[0]), Err(Ignored::MalformedNd), "checksum");
    assert_eq!(changed(SOLICITATION, 54, &[133]), Err(Ignored::OtherIcmpv6));
    for hex in [ARP_REQUEST, SOLICITATION] {
        let frame = octets(hex);
        for length in 0..frame.len() {
            assert!(parse(&frame[..length], B).is_err(), "{length}");
        }
    }
}
