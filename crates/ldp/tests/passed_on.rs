//! TLVs that nobody here knows and that are to be passed on with the message that they came in (the F bit, RFC 5036 §3.3).

mod bench;

use bench::{Bench, address, fec, label};
use contract::Asn;
use ldp::{Advertisement, ConnId, Owner};
use wire::ldp::{Addresses, Body, Initialization, LabelMapping, LabelRequest, UnknownTlv};

fn tlv(kind: u16, forward: bool, octet: u8) -> UnknownTlv {
    UnknownTlv { kind, forward, value: vec![octet] }
}

fn mapping(n: u8, value: u32, unknown: &[UnknownTlv]) -> Body {
    Body::LabelMapping(LabelMapping {
        unknown: unknown.to_vec(),
        ..LabelMapping::new(fec(n).0.into(), label(value))
    })
}

/// What each Label Mapping on a connection had that is unknown.
fn told(bench: &mut Bench, conn: ConnId) -> Vec<Vec<UnknownTlv>> {
    let bodies = bench.bodies(conn).into_iter();
    let told = bodies.filter_map(|body| match body {
        Body::LabelMapping(mapping) => Some(mapping.unknown),
        _ => None,
    });
    let told = told.collect();
    bench.clear();
    told
}

#[test]
fn a_mapping_takes_them_along_and_is_told_again_when_they_change() {
    let mut bench = Bench::new(|_| {});
    let (down, up) = (bench.session(2, None), bench.session(3, None));
    bench.route(7, &[(1, 2)]);
    bench.clear();
    bench.say(down, 2, &[mapping(7, 700, &[tlv(0x3f01, true, 1), tlv(0x3f02, false, 2)])]);
    assert_eq!(told(&mut bench, up), [[tlv(0x3f01, true, 1)]]);
    bench.say(down, 2, &[mapping(7, 700, &[tlv(0x3f01, true, 1)])]);
    assert_eq!(told(&mut bench, up), [[]; 0], "it is the same");
    bench.say(down, 2, &[mapping(7, 700, &[tlv(0x3f01, true, 9)])]);
    assert_eq!(told(&mut bench, up), [[tlv(0x3f01, true, 9)]]);
    bench.say(down, 2, &[mapping(7, 700, &[])]);
    assert_eq!(told(&mut bench, up), [[]]);
}

#[test]
fn whose_a_fec_is_comes_through_a_node_that_does_not_know_it_and_is_said_once_by_one_that_does() {
    let owner = Owner { isp: Asn(64_501), to_isp: true };
    let named = |conn: ConnId, bench: &mut Bench| told(bench, conn).pop().map(|tlvs| tlvs.len());
    for known in [false, true] {
        let mut bench = Bench::new(|config| {
            config.owners.extend([(fec(8), owner)]);
            config.owners.extend(known.then_some((fec(7), owner)));
        });
        let (down, up) = (bench.session(2, None), bench.session(3, None));
        // As another node says it of its own.
        bench.call(|speaker, now| speaker.handle_egress(now, fec(8), true));
        let said = told(&mut bench, up).pop().unwrap();
        bench.route(7, &[(1, 2)]);
        bench.clear();
        bench.say(down, 2, &[mapping(7, 700, &said)]);
        assert_eq!(named(up, &mut bench), Some(1), "known: {known}");
    }
}

#[test]
fn a_request_takes_them_along() {
    let on_demand = |config: &mut ldp::Config| {
        let policy = config.neighbors.others.as_mut().expect("anybody may be a neighbor");
        policy.advertisement = Advertisement::DownstreamOnDemand;
    };
    let session = |bench: &mut Bench, n: u8| {
        bench.hello(1, n);
        let conn = bench.accept(n);
        let Body::Initialization(theirs) = bench::initialization(None) else { unreachable!() };
        let theirs = Initialization { advertisement: Advertisement::DownstreamOnDemand, ..theirs };
        let addresses = Addresses::V4(vec![address(1, n)]);
        bench.say(conn, n, &[Body::Initialization(theirs), Body::KeepAlive, Body::Address(addresses)]);
        conn
    };
    let mut bench = Bench::new(on_demand);
    let up = session(&mut bench, 3);
    bench.route(7, &[(1, 2)]);
    let unknown = vec![tlv(0x3f01, true, 1), tlv(0x3f02, false, 2)];
    bench.say(up, 3, &[Body::LabelRequest(LabelRequest { unknown, ..LabelRequest::new(fec(7).0.into()) })]);
    bench.clear();
    let down = session(&mut bench, 2);
    let asked = bench.bodies(down).into_iter().find_map(|body| match body {
        Body::LabelRequest(request) => Some(request.unknown),
        _ => None,
    });
    assert_eq!(asked, Some(vec![tlv(0x3f01, true, 1)]));
}
