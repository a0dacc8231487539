//! No label is told before the forwarder has it, and none is taken from it before all were told.

mod bench;

use bench::{Bench, fec, label, mapping};
use contract::Label;
use ldp::{Event, FecState, Installation, Role};
use wire::ldp::{Body, FecTlv, LabelRelease, LabelWithdraw};

const OWN: u8 = 9;

fn withdraw(value: u32) -> Body {
    Body::LabelWithdraw(LabelWithdraw { fec: FecTlv::from(fec(OWN).0), label: Some(label(value)) })
}

fn release(value: u32) -> Body {
    let label = Some(label(value));
    Body::LabelRelease(LabelRelease { fec: FecTlv::from(fec(OWN).0), label, status: None })
}

fn own(in_label: Option<Label>) -> Event {
    let role = if in_label.is_some() { Role::Egress } else { Role::Transit };
    Event::Fec(FecState { fec: fec(OWN), in_label, role, next_hops: Vec::new() })
}

/// A FEC ends at a node whose forwarder says nothing by itself.
fn bench() -> Bench {
    let mut bench = Bench::new(|_| {});
    bench.forwarder = None;
    bench
}

fn says(bench: &mut Bench, value: u32, installation: Installation) {
    bench.call(|speaker, now| speaker.handle_installed(now, fec(OWN), label(value), installation));
}

#[test]
fn a_label_is_told_once_the_forwarder_has_it() {
    let mut bench = bench();
    let first = bench.session(1, None);
    bench.clear();
    bench.call(|speaker, now| speaker.handle_egress(now, fec(OWN), true));
    assert_eq!(bench.events, [own(Some(label(16)))]);
    assert_eq!(bench.bodies(first), []);
    says(&mut bench, 17, Installation::Held);
    assert_eq!(bench.bodies(first), [], "of another label that was not said");
    says(&mut bench, 16, Installation::Held);
    assert_eq!(bench.bodies(first), [mapping(fec(OWN), label(16))]);
    says(&mut bench, 16, Installation::Held);
    assert_eq!(bench.bodies(first), [], "once");
    // The forwarder is away: who knows the label keeps it, nobody else is told.
    says(&mut bench, 16, Installation::Awaited);
    let second = bench.session(2, None);
    let mappings =
        |bodies: Vec<Body>| bodies.into_iter().filter(|b| matches!(b, Body::LabelMapping(_))).count();
    assert_eq!(mappings(bench.bodies(second)), 0);
    assert_eq!(bench.bodies(first), []);
    says(&mut bench, 16, Installation::Held);
    assert_eq!(bench.bodies(second), [mapping(fec(OWN), label(16))]);
    assert_eq!(bench.bodies(first), []);
}

#[test]
fn a_refused_label_is_never_told_and_one_that_was_told_is_taken_back() {
    let mut bench = bench();
    let conn = bench.session(1, None);
    bench.clear();
    bench.call(|speaker, now| speaker.handle_egress(now, fec(OWN), true));
    says(&mut bench, 16, Installation::Refused);
    assert_eq!(bench.bodies(conn), []);
    assert_eq!(bench.events, [own(Some(label(16)))], "nobody has it: it may be taken yet");
    says(&mut bench, 16, Installation::Held);
    assert_eq!(bench.bodies(conn), [mapping(fec(OWN), label(16))]);
    bench.clear();
    says(&mut bench, 16, Installation::Refused);
    assert_eq!(bench.bodies(conn), [withdraw(16)]);
    let retired = Event::Retired { fec: fec(OWN), label: label(16) };
    assert_eq!(bench.events, [retired, own(Some(label(17)))]);
    says(&mut bench, 17, Installation::Refused);
    says(&mut bench, 16, Installation::Held);
    assert_eq!(bench.bodies(conn), [], "the old one comes back no more");
    bench.clear();
    says(&mut bench, 17, Installation::Held);
    assert_eq!(bench.bodies(conn), [mapping(fec(OWN), label(17))]);
    bench.say(conn, 1, &[release(16)]);
    bench.rests(16);
}

#[test]
fn a_withdraw_waits_for_nothing_and_the_entry_for_all_releases() {
    let mut bench = bench();
    let conns = [bench.session(1, None), bench.session(2, None)];
    bench.call(|speaker, now| speaker.handle_egress(now, fec(OWN), true));
    says(&mut bench, 16, Installation::Held);
    for conn in conns {
        assert_eq!(bench.bodies(conn).last(), Some(&mapping(fec(OWN), label(16))));
    }
    says(&mut bench, 16, Installation::Awaited);
    bench.clear();
    bench.call(|speaker, now| speaker.handle_egress(now, fec(OWN), false));
    for conn in conns {
        assert_eq!(bench.bodies(conn), [withdraw(16)], "also while the forwarder is away");
    }
    assert_eq!(bench.events, [Event::Retired { fec: fec(OWN), label: label(16) }, own(None)]);
    bench.clear();
    bench.say(conns[0], 1, &[release(16)]);
    assert_eq!(bench.events, []);
    bench.say(conns[1], 2, &[release(16)]);
    bench.rests(16);
}
