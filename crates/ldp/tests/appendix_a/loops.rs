//! Loop detection (RFC 5036 §2.8): LMp.3 to 8, and with peers that have none.

use std::time::Duration;

use super::*;

/// Peers 1 (upstream) and 2 (the next hop of FEC 9).
fn between() -> (Bench, ConnId, ConnId) {
    let mut bench = Bench::new(detecting);
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    bench.clear();
    (bench, up, down)
}

#[test]
fn the_limit_is_said_in_the_initialization() {
    for (change, limit) in [(detecting as fn(&mut Config), Some(3)), (|_: &mut Config| {}, None)] {
        let mut bench = Bench::new(change);
        bench.hello(1, 1);
        let conn = bench.accept(1);
        bench.say(conn, 1, &[initialization(None)]);
        let said = bench.bodies(conn);
        assert!(matches!(&said[0], Body::Initialization(i) if i.path_vector_limit == limit), "{said:?}");
    }
}

#[test]
fn lmp_3_lmp_4_lmp_8_a_label_of_a_loop_is_given_back_and_asked_for_again() {
    for (hop_count, path) in [(Some(6), None), (Some(2), Some(&[2, 100][..])), (Some(4), Some(&[2, 3, 4, 5]))]
    {
        let (mut bench, up, down) = between();
        bench.say(down, 2, &[mapping_with(9, 500, hop_count, path)]);
        assert_eq!((bench.bodies(down), bench.bodies(up)), (vec![release_of_loop(9, 500)], vec![]));
        bench.pass(Duration::from_secs(14), &[1, 2]);
        assert_eq!(asked(&mut bench, down).0, []);
        bench.say(down, 2, &[Body::KeepAlive]);
        bench.pass(Duration::from_secs(1), &[1, 2]);
        assert_eq!(asked(&mut bench, down).0.len(), 1, "A.1.11");
    }
}

#[test]
fn lmp_5_to_7_a_label_in_use_that_turns_out_to_be_a_loops_is_used_no_more() {
    let (mut bench, up, down) = between();
    bench.say(down, 2, &[mapping_with(9, 500, Some(1), Some(&[2]))]);
    assert_eq!(
        (out(&bench, 9), bench.bodies(up)),
        (vec![500], vec![mapping_with(9, 16, Some(2), Some(&[100, 2]))])
    );
    bench.clear();
    // LMp.5: another label that is a loop's is no reason to give up this one.
    bench.say(down, 2, &[mapping_with(9, 501, Some(3), Some(&[2, 100]))]);
    assert_eq!((bench.bodies(down), bench.events.len()), (vec![release_of_loop(9, 501)], 0));
    bench.say(down, 2, &[mapping_with(9, 500, Some(3), Some(&[2, 100]))]);
    assert_eq!(bench.bodies(down)[0], release_of_loop(9, 500));
    assert_eq!((out(&bench, 9), bench.bodies(up)), (vec![], vec![withdraw(9, 16)]));
}

#[test]
fn nh_12_a_label_that_was_kept_is_looked_at_when_its_peer_becomes_the_next_hop() {
    let (mut bench, up, _) = between();
    bench.say(up, 1, &[mapping_with(9, 600, Some(3), Some(&[1, 100]))]);
    assert_eq!(bench.bodies(up), [], "it says what it learned from us");
    bench.route(9, &[(1, 1)]);
    assert_eq!(bench.bodies(up), [release_of_loop(9, 600)]);
    assert_eq!(out(&bench, 9), [] as [u32; 0]);
}

#[test]
fn a_path_that_would_be_too_long_ends_here() {
    let (mut bench, up, down) = between();
    bench.say(down, 2, &[mapping_with(9, 500, Some(3), Some(&[2, 3, 4]))]);
    assert_eq!((out(&bench, 9), bench.bodies(up)), (vec![500], vec![]));
    bench.say(down, 2, &[mapping_with(9, 500, Some(2), Some(&[2, 3]))]);
    assert_eq!(bench.bodies(up), [mapping_with(9, 16, Some(3), Some(&[100, 2, 3]))]);
}

#[test]
fn peers_without_loop_detection_are_understood() {
    let (mut bench, up, down) = between();
    bench.say(down, 2, &[mapping(9, 500)]);
    assert_eq!(bench.bodies(up), [mapping_with(9, 16, Some(0), Some(&[100]))]);
    // And we, without it, pass hop counts on but no path vectors.
    let mut bench = Bench::new(|_| {});
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    bench.clear();
    bench.say(down, 2, &[mapping_with(9, 500, Some(4), Some(&[2, 100]))]);
    assert_eq!(bench.bodies(up), [mapping_with(9, 16, Some(5), None)]);
}

#[test]
fn an_egress_counts_one_hop() {
    let mut bench = Bench::new(detecting);
    let up = join(&mut bench, 1);
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), true));
    assert_eq!(bench.bodies(up), [mapping_with(9, 16, Some(1), None)]);
}

#[test]
fn prqa_7_prqa_12_a_request_from_upstream_gives_its_way_to_ours() {
    let mut bench = Bench::new(|config| {
        on_demand(config);
        detecting(config);
    });
    let up = join(&mut bench, 1);
    bench.route(9, &[(1, 2)]);
    bench.say(up, 1, &[request_with(9, Some(2), Some(&[1, 7]))]);
    bench.hello(1, 2);
    let conn = bench.accept(2);
    let Body::Initialization(mut initialization) = initialization(None) else { panic!() };
    initialization.advertisement = Advertisement::DownstreamOnDemand;
    bench.say(conn, 2, &[Body::Initialization(initialization), Body::KeepAlive]);
    bench.clear();
    bench.say(conn, 2, &[Body::Address(Addresses::V4(vec![address(1, 2)]))]);
    assert_eq!(bench.bodies(conn), [request_with(9, Some(3), Some(&[100, 1, 7]))]);
    bench.route(8, &[(1, 2)]);
    assert_eq!(bench.bodies(conn), [request_with(8, Some(1), None)]);
}
