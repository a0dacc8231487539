//! When the IGP may use a link (RFC 5443).

mod bench;

use std::time::Duration;

use bench::{Bench, LOCAL};
use ldp::{AddressFamily, Capability, ConnId, Event, IgpSync, InterfaceId};
use wire::ldp::{Body, FtSession, Initialization, KeepaliveTime, Milliseconds, Notification};

/// A session that is up.
fn session(bench: &mut Bench, n: u8, capabilities: &[Capability], ft: Option<FtSession>) -> ConnId {
    let initialization = Initialization {
        capabilities: capabilities.iter().copied().collect(),
        fault_tolerance: ft,
        ..Initialization::new(KeepaliveTime(30.try_into().unwrap()), LOCAL)
    };
    bench.hello(1, n);
    let conn = bench.accept(n);
    bench.say(conn, n, &[Body::Initialization(initialization), Body::KeepAlive]);
    conn
}

fn end_of_lib() -> Body {
    Body::Notification(Notification::end_of_lib(AddressFamily::Ipv4))
}

fn state(bench: &Bench) -> IgpSync {
    bench.speaker.igp_sync().find(|(id, ..)| *id == InterfaceId(1)).unwrap().2
}

/// What was told of the link since the last time.
fn told(bench: &mut Bench) -> Vec<bool> {
    let told = bench.events.iter().filter_map(|event| match event {
        Event::IgpSync { interface: InterfaceId(1), achieved } => Some(*achieved),
        _ => None,
    });
    let told = told.collect();
    bench.events.clear();
    told
}

#[test]
fn a_link_is_ready_when_all_neighbors_there_have_said_all() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(state(&bench), IgpSync::NoNeighbor);
    bench.hello(1, 2);
    assert_eq!(state(&bench), IgpSync::NoSession);
    let conn = session(&mut bench, 2, &Capability::ALL, None);
    assert_eq!((state(&bench), told(&mut bench)), (IgpSync::Exchanging, vec![]));
    bench.say(conn, 2, &[end_of_lib()]);
    assert_eq!((state(&bench), told(&mut bench)), (IgpSync::Achieved, vec![true]));
    bench.hello(1, 3);
    assert_eq!((state(&bench), told(&mut bench)), (IgpSync::NoSession, vec![false]), "there is another now");
    let other = session(&mut bench, 3, &Capability::ALL, None);
    bench.say(other, 3, &[end_of_lib()]);
    assert_eq!((state(&bench), told(&mut bench)), (IgpSync::Achieved, vec![true]));
    bench.call(|speaker, now| speaker.handle_closed(now, conn));
    assert_eq!((state(&bench), told(&mut bench)), (IgpSync::NoSession, vec![false]));
    bench.call(|speaker, now| speaker.handle_interface_down(now, InterfaceId(1)));
    assert_eq!(told(&mut bench), [false; 0], "it was not ready");
}

#[test]
fn a_neighbor_that_does_not_say_when_it_has_said_all_is_given_time() {
    let mut bench = Bench::new(|_| {});
    let conn = session(&mut bench, 2, &[], None);
    for _ in 0..29 {
        bench.pass(Duration::from_secs(1), &[2]);
        bench.say(conn, 2, &[Body::KeepAlive]);
        assert_eq!((state(&bench), told(&mut bench)), (IgpSync::Exchanging, vec![]));
    }
    bench.pass(Duration::from_secs(1), &[2]);
    assert_eq!((state(&bench), told(&mut bench)), (IgpSync::Achieved, vec![true]));
}

/// Its labels are kept, and packets go on by them: no reason to take another way.
#[test]
fn a_link_stays_ready_while_a_neighbor_restarts_and_is_ready_no_more_if_it_does_not_come_back() {
    let mut bench = Bench::new(|_| {});
    let ft = FtSession {
        flags: FtSession::LEARN_FROM_NETWORK,
        reconnect: Milliseconds(20_000),
        recovery: Milliseconds(0),
    };
    let conn = session(&mut bench, 2, &Capability::ALL, Some(ft));
    bench.say(conn, 2, &[end_of_lib()]);
    assert_eq!(told(&mut bench), [true]);
    bench.call(|speaker, now| speaker.handle_closed(now, conn));
    bench.pass(Duration::from_secs(19), &[2]);
    assert_eq!((state(&bench), told(&mut bench)), (IgpSync::Achieved, vec![]));
    bench.pass(Duration::from_secs(2), &[2]);
    assert_eq!((state(&bench), told(&mut bench)), (IgpSync::NoSession, vec![false]));
}
