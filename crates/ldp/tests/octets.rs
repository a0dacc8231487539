//! What comes by a connection, octet by octet: cut anywhere, with lengths that lie, with elements that are mixed.

mod bench;

use bench::{Bench, fec, initialization, label, mapping, octets, peer};
use contract::Fec;
use ldp::{ConnId, Event, StatusCode};
use wire::ldp::{Addresses, Body, LabelMapping, MessageId, MessageType, Notification, PrefixFecs, Status};

fn received(bench: &Bench) -> Vec<(Fec, u32)> {
    let rows = bench.speaker.lib().into_iter();
    rows.filter_map(|row| Some((row.fec, row.received?.label.value()))).collect()
}

fn notification(code: StatusCode, message: Option<(u32, MessageType)>) -> Body {
    let message = message.map(|(id, kind)| (MessageId(id), kind));
    Body::Notification(Notification::new(Status { message, ..Status::new(code) }))
}

/// A peer that is heard, and its connection.
fn connected() -> (Bench, ConnId) {
    let mut bench = Bench::new(|_| {});
    bench.hello(1, 2);
    let conn = bench.accept(2);
    (bench, conn)
}

/// All that brings a session up and labels in, in PDUs of one and of several messages.
fn whole() -> Vec<u8> {
    let addresses = Body::Address(Addresses::V4(vec![bench::address(1, 2)]));
    let mappings = [mapping(fec(1), label(501)), mapping(fec(2), label(502))];
    [
        octets(peer(2), &[initialization(None)]),
        octets(peer(2), &[Body::KeepAlive, addresses]),
        octets(peer(2), &mappings),
    ]
    .concat()
}

#[test]
fn pdus_may_be_cut_at_every_octet() {
    let whole = whole();
    let expected = [(fec(1), 501), (fec(2), 502)];
    let feed = |parts: &[&[u8]]| {
        let (mut bench, conn) = connected();
        for part in parts {
            bench.call(|speaker, now| speaker.handle_stream(now, conn, part));
        }
        assert!(!bench.closed(conn));
        received(&bench)
    };
    for cut in 0..=whole.len() {
        assert_eq!(feed(&[&whole[..cut], &whole[cut..]]), expected, "cut at {cut}");
    }
    for size in 1..=20 {
        assert_eq!(feed(&whole.chunks(size).collect::<Vec<_>>()), expected, "in parts of {size}");
    }
}

/// And so before the peer was heard, when the connection waits for its Hello.
#[test]
fn what_comes_before_the_hello_may_be_cut_at_every_octet() {
    let first = octets(peer(2), &[initialization(None)]);
    for cut in 0..=first.len() {
        let mut bench = Bench::new(|_| {});
        let conn = bench.accept(2);
        for part in [&first[..cut], &first[cut..]] {
            bench.call(|speaker, now| speaker.handle_stream(now, conn, part));
        }
        bench.hello(1, 2);
        assert!(
            matches!(bench.bodies(conn).as_slice(), [Body::Initialization(_), Body::KeepAlive]),
            "cut at {cut}"
        );
    }
}

/// A Label Mapping of 10.254.0.1/32 with label 501: octets of its lengths, and where they are in its PDU.
const LENGTHS: [(&str, usize); 4] = [("PDU", 2), ("message", 12), ("FEC TLV", 20), ("label TLV", 32)];

/// Each length field of a Label Mapping with each value: what comes of it is the mapping, nothing yet, or the RFC's
/// notification (§3.5.1.2); never another binding, and never a session that goes on after a fatal one.
#[test]
fn lengths_that_lie_are_named() {
    let whole = octets(peer(2), &[mapping(fec(1), label(501))]);
    let mut table = String::new();
    for (name, at) in LENGTHS {
        let right = u16::from_be_bytes([whole[at], whole[at + 1]]);
        let mut before = None;
        for length in (0..80_u16).chain([255, 256, 4096, 4097, 0x7fff, 0xffff]) {
            let answers = lie(&whole, at, length, length == right);
            if before.as_ref() != Some(&answers) {
                table.push_str(&format!("{name} of {length}: {answers}\n"));
            }
            before = Some(answers);
        }
    }
    assert_eq!(table, LIES, "\n{table}");
}

/// What is answered when the length at this place is that.
fn lie(whole: &[u8], at: usize, length: u16, is_right: bool) -> String {
    let mut bench = Bench::new(|_| {});
    let conn = bench.session(2, None);
    bench.clear();
    let mut lying = whole.to_vec();
    lying[at..at + 2].copy_from_slice(&length.to_be_bytes());
    bench.call(|speaker, now| speaker.handle_stream(now, conn, &lying));
    let answers: Vec<Status> = bench
        .bodies(conn)
        .into_iter()
        .map(|body| match body {
            Body::Notification(notification) => notification.status,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(answers.iter().all(|status| status.fatal == status.code.is_fatal()));
    assert_eq!(bench.closed(conn), answers.last().is_some_and(|status| status.fatal));
    let malformed = bench.speaker.neighbors(bench.now)[0].counters.malformed;
    assert_eq!(malformed, answers.len() as u64);
    let kept = if is_right { vec![(fec(1), 501)] } else { Vec::new() };
    assert_eq!(received(&bench), kept);
    let names: Vec<String> = answers.iter().map(|status| status.code.to_string()).collect();
    match names.as_slice() {
        _ if is_right => "a binding".to_owned(),
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

/// From each length on until the next one. A PDU of 35 and more is waited for. Where a message is cut short, its rest is
/// read as another one.
const LIES: &str = "\
PDU of 0: Bad PDU Length
PDU of 14: Bad Message Length
PDU of 34: a binding
PDU of 35: nothing
PDU of 4097: Bad PDU Length
message of 0: Bad Message Length
message of 4: Missing Message Parameters, Bad TLV Length
message of 5: Bad TLV Length
message of 16: Missing Message Parameters, Missing Message Parameters
message of 17: Bad TLV Length
message of 24: a binding
message of 25: Bad Message Length
FEC TLV of 0: Malformed TLV Value
FEC TLV of 1: Bad TLV Length
FEC TLV of 8: a binding
FEC TLV of 9: Bad TLV Length
FEC TLV of 11: Unsupported Address Family
FEC TLV of 17: Bad TLV Length
label TLV of 0: Bad TLV Length
label TLV of 4: a binding
label TLV of 5: Bad TLV Length
";

/// RFC 5036 §3.4.1.1: decoding ends at an element that is not known, and with it the message; the session goes on.
#[test]
fn a_mapping_that_mixes_element_types_costs_itself() {
    let prefix = [2, 0, 1, 32, 10, 254, 0, 1];
    let pseudowire = [0x80, 0, 5, 0, 0, 0, 0, 0];
    let host_of_the_draft = [3, 0, 1, 4, 10, 254, 0, 1];
    let appletalk = [2, 0, 12, 8, 10];
    let typed_wildcard = [5, 2, 2, 0, 1];
    let mixes: [(&str, Vec<u8>, StatusCode); 7] = [
        ("prefix, pseudowire", [prefix, pseudowire].concat(), StatusCode::UNKNOWN_FEC),
        ("pseudowire, prefix", [pseudowire, prefix].concat(), StatusCode::UNKNOWN_FEC),
        ("prefix, host address", [prefix, host_of_the_draft].concat(), StatusCode::UNKNOWN_FEC),
        ("prefix, family", [&prefix[..], &appletalk].concat(), StatusCode::UNSUPPORTED_ADDRESS_FAMILY),
        ("prefix, typed wildcard", [&prefix[..], &typed_wildcard].concat(), StatusCode::UNKNOWN_FEC),
        ("typed wildcard", typed_wildcard.to_vec(), StatusCode::UNKNOWN_FEC),
        ("wildcard", vec![1], StatusCode::UNKNOWN_FEC),
    ];
    let mut bench = Bench::new(|_| {});
    let conn = bench.session(2, None);
    for (n, (name, elements, status)) in mixes.into_iter().enumerate() {
        bench.clear();
        let mut parameters = vec![1, 0, 0, elements.len() as u8];
        parameters.extend(elements);
        parameters.extend([2, 0, 0, 4, 0, 0, 1, 245]);
        let mut message = vec![4, 0, 0, parameters.len() as u8 + 4, 0, 0, 0, 77];
        message.extend(parameters);
        let mut pdu = vec![0, 1, 0, message.len() as u8 + 6, 10, 255, 0, 2, 0, 0];
        pdu.extend(message);
        bench.call(|speaker, now| speaker.handle_stream(now, conn, &pdu));
        let answer = notification(status, Some((77, MessageType::LABEL_MAPPING)));
        assert_eq!(bench.bodies(conn), [answer], "{name}");
        assert_eq!(received(&bench), [], "{name}");
        assert!(!bench.events.iter().any(|event| matches!(event, Event::SessionDown { .. })), "{name}");
        assert_eq!(bench.speaker.neighbors(bench.now)[0].counters.malformed, n as u64 + 1);
    }
    // What is known may be mixed, and each element is a binding of its own (A.1.2).
    let v6 = Fec("2001:db8::1/128".parse().unwrap());
    let fecs = PrefixFecs::new(vec![fec(1).0, v6.0, fec(2).0]).unwrap();
    bench.say(conn, 2, &[Body::LabelMapping(LabelMapping::new(fecs, label(501)))]);
    assert_eq!(received(&bench), [(fec(1), 501), (fec(2), 501), (v6, 501)]);
}
