//! What becomes of peers that were restarted, or that have this node's name.

mod bench;

use std::time::Duration;

use bench::{Bench, fec, hello, label, mapping, peer};
use contract::Label;
use ldp::{Action, Config, Event, InterfaceId, Via};
use wire::ldp::{FtSession, Milliseconds};

fn hellos(bench: &Bench) -> usize {
    let on_first = |action: &&Action| matches!(action, Action::SendHello { interface: InterfaceId(1), .. });
    bench.actions.iter().filter(on_first).count()
}

#[test]
fn a_restarted_peer_is_answered_at_once() {
    let mut bench = Bench::new(|_| {});
    let hello =
        |sequence| wire::ldp::Hello { configuration_sequence: Some(sequence), ..hello(Some(peer(2).lsr_id)) };
    bench.hello_with(1, 2, hello(1));
    bench.now = bench.now + Duration::from_secs(1);
    bench.call(ldp::Speaker::handle_timeout);
    bench.now = bench.now + Duration::from_secs(1);
    bench.clear();
    bench.hello_with(1, 2, hello(1));
    assert_eq!(hellos(&bench), 0, "the next one is due in some seconds");
    bench.hello_with(1, 2, hello(2));
    assert_eq!(hellos(&bench), 1);
    bench.hello_with(1, 2, hello(3));
    assert_eq!(hellos(&bench), 1, "no flood is answered by a flood");
}

#[test]
fn a_label_that_a_restarted_peer_gives_to_another_fec_is_not_used_for_the_first_any_more() {
    let minute = Milliseconds(60_000);
    let ft = FtSession { flags: FtSession::LEARN_FROM_NETWORK, reconnect: minute, recovery: minute };
    let mut bench = Bench::new(|_| {});
    let conn = bench.session(2, Some(ft));
    for n in [2, 3] {
        bench.route(n, &[(1, 2)]);
        bench.say(conn, 2, &[mapping(fec(n), label(500 + u32::from(n)))]);
    }
    bench.call(|speaker, now| speaker.handle_closed(now, conn));
    let conn = bench.session(2, Some(ft));
    bench.clear();
    bench.say(conn, 2, &[mapping(fec(3), label(502))]);
    let states = bench.events.iter().filter_map(|event| match event {
        Event::Fec(state) => Some((state.fec, state.next_hops.iter().map(|hop| hop.label).collect())),
        _ => None,
    });
    let mut states: Vec<(_, Vec<Label>)> = states.collect();
    states.sort();
    assert_eq!(states, [(fec(2), vec![]), (fec(3), vec![label(502)])]);
}

#[test]
fn dead_labels_are_given_to_nobody_before_peers_have_forgotten_them() {
    let restarted = |config: &mut Config| {
        config.label_range = label(16)..=label(17);
        config.dead_labels = vec![(fec(8), label(16))];
        // A FEC gets one label again; another that it had is as dead.
        config.allocations = vec![(fec(9), label(40)), (fec(9), label(17))];
        config.restarting = true;
    };
    nobody_gets_a_label_before_all_have_forgotten(restarted);
}

#[test]
fn where_labels_are_few_and_not_known_nobody_gets_any_before_peers_have_forgotten_them() {
    nobody_gets_a_label_before_all_have_forgotten(|config| config.quarantine = config.forgetting());
}

fn nobody_gets_a_label_before_all_have_forgotten(config: impl FnOnce(&mut Config)) {
    // Who hears nothing of the loss before its hold time is over loses its own control after it has kept what it knew for
    // the reconnect time, has another control as late as it may, and that one finds out in the recovery time.
    let times = Config::new(bench::LOCAL.lsr_id);
    let forgotten = times.keepalive + 2 * times.reconnect + times.recovery + Duration::from_secs(1);
    let forgotten = forgotten + times.label_hold;
    let mut bench = Bench::new(config);
    bench.call(|speaker, now| speaker.handle_egress(now, fec(1), true));
    assert!(bench.events.contains(&Event::NoFreeLabel { fec: fec(1) }), "{:?}", bench.events);
    bench.pass(forgotten - Duration::from_secs(1), &[]);
    let given = |bench: &Bench| {
        bench
            .events
            .iter()
            .any(|event| matches!(event, Event::Fec(s) if s.fec == fec(1) && s.in_label.is_some()))
    };
    assert!(!given(&bench));
    bench.pass(Duration::from_secs(1), &[]);
    assert!(given(&bench));
}

#[test]
fn who_has_our_name_is_told_of_once_a_minute_and_we_ourselves_are_not() {
    let mut bench = Bench::new(|_| {});
    let mut hear = |interface: u32, source, transport, pass| {
        bench.clear();
        bench.pass(Duration::from_secs(pass), &[]);
        let octets = bench::octets(bench::LOCAL, &[wire::ldp::Body::Hello(hello(Some(transport)))]);
        let source = std::net::SocketAddr::from((source, 646));
        bench.call(|speaker, now| speaker.handle_datagram(now, InterfaceId(interface), source, &octets));
        assert!(bench.speaker.neighbors(bench.now).is_empty());
        bench.events.clone()
    };
    let own = bench::LOCAL.lsr_id;
    assert_eq!(hear(1, bench::address(2, 100), own, 0), [], "our other interface, on the same segment");
    let source = bench::address(1, 7);
    let impostor = [Event::Impostor { via: Via::Link(InterfaceId(1)), source: source.into() }];
    assert_eq!(hear(1, source, own, 0), impostor);
    assert_eq!(hear(1, source, peer(7).lsr_id, 30), []);
    assert_eq!(hear(1, source, peer(7).lsr_id, 30), impostor);
}
