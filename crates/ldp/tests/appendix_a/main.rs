//! RFC 5036 Appendix A: a test for each event's steps, named after them. Steps on the attributes alone (CRa, PRqA, PMpA)
//! have theirs beside the code.

#[path = "../bench/mod.rs"]
mod bench;
mod label_mapping;
mod label_request;
mod loops;
mod next_hop;
mod notifications;
mod release_withdraw;

use std::net::Ipv4Addr;

use bench::{Bench, address, fec, initialization, label, peer};
use ldp::{Advertisement, Config, ConnId, Control, Event, LoopDetection, Neighbors, Retention, StatusCode};
use wire::ldp::{
    Addresses, Body, FecTlv, LabelAbortRequest, LabelMapping, LabelRelease, LabelRequest, LabelWithdraw,
    MessageId, MessageType, Notification, PathVector, Status,
};

fn on_demand(config: &mut Config) {
    let mut neighbors = Neighbors::default();
    for policy in neighbors.others.iter_mut() {
        policy.advertisement = Advertisement::DownstreamOnDemand;
    }
    config.neighbors = neighbors;
}

fn independent(config: &mut Config) {
    config.distribution.control = Control::Independent;
}

fn conservative(config: &mut Config) {
    config.distribution.retention = Retention::Conservative;
}

fn detecting(config: &mut Config) {
    config.distribution.loop_detection = Some(LoopDetection { max_hops: 5, path_vector_limit: 3 });
}

/// A session with a peer that distributes like this.
fn join_as(bench: &mut Bench, n: u8, advertisement: Advertisement) -> ConnId {
    bench.hello(1, n);
    let conn = bench.accept(n);
    let Body::Initialization(mut initialization) = initialization(None) else { panic!() };
    initialization.advertisement = advertisement;
    bench.say(conn, n, &[Body::Initialization(initialization), Body::KeepAlive]);
    bench.say(conn, n, &[Body::Address(Addresses::V4(vec![address(1, n), address(2, n)]))]);
    assert!(bench.events.contains(&Event::SessionUp { peer: peer(n) }));
    bench.clear();
    conn
}

/// A session with a peer that distributes on demand if we do.
fn join(bench: &mut Bench, n: u8) -> ConnId {
    join_as(bench, n, Advertisement::DownstreamOnDemand)
}

fn request(n: u8) -> Body {
    Body::LabelRequest(LabelRequest::new(fec(n).0.into()))
}

fn request_with(n: u8, hop_count: Option<u8>, path: Option<&[u8]>) -> Body {
    let request = LabelRequest::new(fec(n).0.into());
    Body::LabelRequest(LabelRequest { hop_count, path_vector: path.map(path_vector), ..request })
}

fn mapping(n: u8, value: u32) -> Body {
    bench::mapping(fec(n), label(value))
}

/// The answer to a request of this name.
fn answer(n: u8, value: u32, name: MessageId) -> Body {
    let mapping = LabelMapping::new(fec(n).0.into(), label(value));
    Body::LabelMapping(LabelMapping { request: Some(name), ..mapping })
}

fn mapping_with(n: u8, value: u32, hop_count: Option<u8>, path: Option<&[u8]>) -> Body {
    let mapping = LabelMapping::new(fec(n).0.into(), label(value));
    Body::LabelMapping(LabelMapping { hop_count, path_vector: path.map(path_vector), ..mapping })
}

/// The LSR-ids of these peers; 100: our own.
fn path_vector(lsrs: &[u8]) -> PathVector {
    let lsr = |&n: &u8| if n == 100 { bench::LOCAL.lsr_id } else { peer(n).lsr_id };
    PathVector::new(lsrs.iter().map(lsr).collect::<Vec<Ipv4Addr>>()).unwrap()
}

fn withdraw(n: u8, value: u32) -> Body {
    Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::from(fec(n).0), label: Some(label(value)) })
}

fn release(n: u8, value: u32) -> Body {
    Body::LabelRelease(LabelRelease { fec: FecTlv::from(fec(n).0), label: Some(label(value)), status: None })
}

fn release_of_loop(n: u8, value: u32) -> Body {
    let status = Some(Status::new(StatusCode::LOOP_DETECTED));
    Body::LabelRelease(LabelRelease { fec: FecTlv::from(fec(n).0), label: Some(label(value)), status })
}

fn abort(n: u8, request: MessageId) -> Body {
    Body::LabelAbortRequest(LabelAbortRequest { fecs: fec(n).0.into(), request })
}

/// A notification about a request.
fn about(code: StatusCode, name: MessageId) -> Body {
    let message = Some((name, MessageType::LABEL_REQUEST));
    Body::Notification(Notification::new(Status { message, ..Status::new(code) }))
}

/// The names and FECs of the requests said on a connection, and what else was.
fn asked(bench: &mut Bench, conn: ConnId) -> (Vec<(u8, MessageId)>, Vec<Body>) {
    let (mut requests, mut others) = (Vec::new(), Vec::new());
    for message in bench.said(conn) {
        match &message.body {
            Body::LabelRequest(_) => {
                let n = (0..=255)
                    .find(|&n| matches!(&message.body, Body::LabelRequest(r) if r.fec == fec(n).0.into()));
                requests.push((n.unwrap(), message.id));
            }
            _ => others.push(message.body),
        }
    }
    (requests, others)
}

/// The one request said on a connection.
fn the_request(bench: &mut Bench, conn: ConnId) -> MessageId {
    let (requests, others) = asked(bench, conn);
    assert!(requests.len() == 1 && others.is_empty(), "{requests:?} {others:?}");
    requests[0].1
}

/// Where packets of a FEC go, as last told.
fn out(bench: &Bench, n: u8) -> Vec<u32> {
    let state = bench.events.iter().rev().find_map(|event| match event {
        Event::Fec(state) if state.fec == fec(n) => Some(state),
        _ => None,
    });
    state.map(|state| state.next_hops.iter().map(|hop| hop.label.value()).collect()).unwrap_or_default()
}
