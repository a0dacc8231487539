//! A.1.2 Receive Label Mapping.

use super::*;

#[test]
fn lmp_1_lmp_2_an_answer_ends_its_request_and_no_other() {
    let mut bench = Bench::new(on_demand);
    let down = join(&mut bench, 2);
    bench.route(9, &[(1, 2)]);
    let name = the_request(&mut bench, down);
    bench.say(down, 2, &[answer(9, 500, MessageId(name.0 + 7))]);
    bench.say(down, 2, &[withdraw(9, 500)]);
    assert_eq!(bench.bodies(down), [release(9, 500)], "the request is still under way: no other is sent");
    bench.say(down, 2, &[answer(9, 501, name), withdraw(9, 501)]);
    let (requests, others) = asked(&mut bench, down);
    assert_eq!((requests.len(), others), (1, vec![release(9, 501)]));
}

#[test]
fn lmp_9_lmp_10_lmp_10a_another_label_takes_the_place_of_the_first() {
    let mut bench = Bench::new(|_| {});
    let down = join(&mut bench, 2);
    bench.route(9, &[(1, 2)]);
    bench.say(down, 2, &[mapping(9, 500)]);
    bench.clear();
    bench.say(down, 2, &[mapping(9, 500)]);
    assert_eq!((bench.bodies(down), bench.events.len()), (vec![], 0));
    bench.say(down, 2, &[mapping(9, 501)]);
    assert_eq!((bench.bodies(down), out(&bench, 9)), (vec![release(9, 500)], vec![501]));
}

#[test]
fn lmp_11_to_13_liberal_retention_keeps_what_is_no_next_hops() {
    let mut bench = Bench::new(|_| {});
    let (first, second) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 1)]);
    bench.say(first, 1, &[mapping(9, 500)]);
    bench.say(second, 2, &[mapping(9, 600)]);
    bench.clear();
    bench.route(9, &[(1, 2)]);
    assert_eq!(out(&bench, 9), [600]);
}

#[test]
fn lmp_11_to_13_lmp_32_conservative_retention_gives_it_back() {
    let mut bench = Bench::new(conservative);
    let (first, second) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 1)]);
    let name = the_request(&mut bench, first);
    bench.clear();
    bench.say(first, 1, &[answer(9, 500, name)]);
    bench.say(second, 2, &[mapping(9, 600)]);
    assert!(bench.bodies(second).contains(&release(9, 600)));
    assert_eq!(out(&bench, 9), [500]);
    let kept =
        bench.speaker.neighbors(bench.now).iter().map(|neighbor| neighbor.received).collect::<Vec<_>>();
    assert_eq!(kept, [1, 0]);
}

/// What is told of its own accord may have been told before the peer knew that its label was given back.
#[test]
fn lmp_12_under_conservative_retention_only_answers_count() {
    let mut bench = Bench::new(conservative);
    let down = join(&mut bench, 2);
    bench.say(down, 2, &[mapping(9, 500)]);
    assert_eq!(bench.bodies(down), [release(9, 500)]);
    bench.route(9, &[(1, 2)]);
    let name = the_request(&mut bench, down);
    bench.say(down, 2, &[mapping(9, 500)]);
    assert_eq!((bench.bodies(down), out(&bench, 9)), (vec![], vec![]), "the answer follows");
    bench.say(down, 2, &[answer(9, 500, name)]);
    assert_eq!(out(&bench, 9), [500]);
    bench.clear();
    bench.say(down, 2, &[mapping_with(9, 500, Some(7), None)]);
    assert_eq!(
        (bench.bodies(down), bench.events.len()),
        (vec![mapping_with(9, 16, Some(8), None)], 0),
        "news of it"
    );
    bench.say(down, 2, &[mapping(9, 501)]);
    let (requests, others) = asked(&mut bench, down);
    assert_eq!(others[..2], [release(9, 500), release(9, 501)], "LMp.10a");
    bench.say(down, 2, &[answer(9, 501, requests[0].1)]);
    assert_eq!(out(&bench, 9), [501]);
}

/// Found by the simulation: the label that was kept was given back and used all the same.
#[test]
fn lmp_12_under_conservative_retention_a_restarted_peer_tells_again_what_is_kept() {
    let mut bench = Bench::new(conservative);
    let ft = wire::ldp::FtSession {
        flags: wire::ldp::FtSession::LEARN_FROM_NETWORK,
        reconnect: wire::ldp::Milliseconds(60_000),
        recovery: wire::ldp::Milliseconds(60_000),
    };
    let down = bench.session(2, Some(ft));
    bench.route(9, &[(1, 2)]);
    let name = asked(&mut bench, down).0[0].1;
    bench.say(down, 2, &[answer(9, 500, name)]);
    bench.call(|speaker, now| speaker.handle_closed(now, down));
    bench.pass(std::time::Duration::from_secs(2), &[2]);
    bench.clear();
    let down = bench.session(2, Some(ft));
    bench.say(down, 2, &[mapping(9, 500)]);
    assert!(!bench.bodies(down).contains(&release(9, 500)));
    assert_eq!(bench.speaker.received().map(|(_, _, received)| received.stale).collect::<Vec<_>>(), [false]);
}

#[test]
fn lmp_14_to_16_a_label_of_the_next_hop_is_used() {
    let mut bench = Bench::new(|_| {});
    let down = join(&mut bench, 2);
    bench.route(9, &[(1, 2)]);
    bench.say(down, 2, &[mapping(9, 500)]);
    assert_eq!(out(&bench, 9), [500]);
}

#[test]
fn lmp_17_to_21_unsolicited_every_peer_is_told() {
    let mut bench = Bench::new(|_| {});
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    bench.say(down, 2, &[mapping(9, 500)]);
    assert_eq!((bench.bodies(up), bench.bodies(down)), (vec![mapping(9, 16)], vec![mapping(9, 16)]));
}

#[test]
fn lmp_22_to_27_who_was_told_before_learns_what_changed() {
    let mut bench = Bench::new(|config| {
        independent(config);
        detecting(config);
    });
    let up = join(&mut bench, 1);
    bench.route(9, &[(1, 2)]);
    assert_eq!(bench.bodies(up), [mapping_with(9, 16, Some(0), Some(&[100]))]);
    let down = join(&mut bench, 2);
    bench.say(down, 2, &[mapping_with(9, 500, Some(2), Some(&[2, 3]))]);
    assert_eq!(bench.bodies(up), [mapping_with(9, 16, Some(3), Some(&[100, 2, 3]))]);
    // LMp.23.
    bench.say(down, 2, &[mapping_with(9, 500, Some(2), Some(&[2, 3]))]);
    assert_eq!(bench.bodies(up), []);
    bench.say(down, 2, &[mapping_with(9, 500, Some(2), Some(&[2, 4]))]);
    assert_eq!(bench.bodies(up), [mapping_with(9, 16, Some(3), Some(&[100, 2, 4]))]);
}

#[test]
fn lmp_28_to_30_pending_requests_are_answered() {
    for change in [on_demand, |_: &mut Config| {}] {
        let mut bench = Bench::new(change);
        let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
        bench.route(9, &[(1, 2)]);
        bench.clear();
        bench.say(up, 1, &[request(9)]);
        assert_eq!(bench.bodies(up), []);
        bench.say(down, 2, &[mapping(9, 500)]);
        assert_eq!(bench.bodies(up), [answer(9, 16, MessageId(100))]);
    }
}

#[test]
fn under_independent_control_an_owned_fec_is_under_ordered_control_all_the_same() {
    let mut bench = Bench::new(|config| {
        independent(config);
        let owner = ldp::Owner { isp: contract::Asn(64501), to_isp: true };
        config.owners.insert(fec(9), owner);
    });
    let up = join(&mut bench, 1);
    bench.route(9, &[(1, 2)]);
    bench.route(8, &[(1, 2)]);
    assert_eq!(bench.bodies(up), [mapping(8, 16)]);
}
