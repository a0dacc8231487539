//! A.1.6 Recognize New FEC, A.1.7 Detect Change in FEC Next Hop, A.1.14 LSR Decides to No Longer Label Switch a FEC.

use super::*;

#[test]
fn fec_1_unsolicited_an_independent_lsr_tells_at_once_and_an_ordered_one_what_it_has() {
    let mut bench = Bench::new(independent);
    let up = join(&mut bench, 1);
    bench.route(9, &[(1, 2)]);
    assert_eq!(bench.bodies(up), [mapping(9, 16)]);
    let mut bench = Bench::new(|_| {});
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.say(down, 2, &[mapping(9, 500)]);
    bench.route(8, &[(1, 2)]);
    assert_eq!(bench.bodies(up), []);
    bench.route(9, &[(1, 2)]);
    assert_eq!(bench.bodies(up), [mapping(9, 16)], "FEC.2, FEC.5");
}

#[test]
fn fec_2_to_4_fec_6_on_demand_the_next_hop_is_asked_if_it_is_a_peer() {
    let mut bench = Bench::new(on_demand);
    let (first, second) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    bench.route(8, &[(1, 7)]);
    the_request(&mut bench, second);
    assert_eq!(bench.bodies(first), []);
}

#[test]
fn nh_1_to_5_conservative_retention_gives_the_old_next_hops_label_back_once_it_is_not_needed() {
    let mut bench = Bench::new(conservative);
    let (first, second) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 1)]);
    let name = the_request(&mut bench, first);
    bench.say(first, 1, &[answer(9, 500, name)]);
    bench.clear();
    bench.route(9, &[(1, 2)]);
    let (requests, _) = asked(&mut bench, second);
    assert_eq!(requests.len(), 1, "NH.10, NH.11, NH.13 to 15");
    assert!(!bench.bodies(first).contains(&release(9, 500)), "make before break: packets are still on it");
    bench.say(second, 2, &[answer(9, 600, requests[0].1)]);
    assert_eq!(out(&bench, 9), [600]);
    assert!(bench.bodies(first).contains(&release(9, 500)));
    bench.clear();
    bench.route(9, &[]);
    assert!(bench.bodies(second).contains(&release(9, 600)));
}

#[test]
fn nh_1_to_3_nh_12_liberal_retention_keeps_it() {
    let mut bench = Bench::new(|_| {});
    let (first, second) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 1)]);
    bench.say(first, 1, &[mapping(9, 500)]);
    bench.say(second, 2, &[mapping(9, 600)]);
    bench.clear();
    for (n, value) in [(2, 600), (1, 500)] {
        bench.route(9, &[(1, n)]);
        assert_eq!(out(&bench, 9), [value]);
    }
    assert_eq!((bench.bodies(first), bench.bodies(second)), (vec![], vec![]));
}

#[test]
fn nh_6_to_9_a_request_to_the_old_next_hop_is_taken_back() {
    let mut bench = Bench::new(|config| {
        on_demand(config);
        conservative(config);
    });
    let (first, second) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 1)]);
    let name = the_request(&mut bench, first);
    bench.route(9, &[(1, 2)]);
    assert_eq!(bench.bodies(first), [abort(9, name)]);
    the_request(&mut bench, second);
    // Back before the abort is confirmed: asked again after that.
    bench.route(9, &[(1, 1)]);
    assert_eq!(bench.bodies(first), []);
    bench.say(first, 1, &[about(StatusCode::LABEL_REQUEST_ABORTED, name)]);
    the_request(&mut bench, first);
}

#[test]
fn nh_7_liberal_retention_waits_for_the_answer() {
    let mut bench = Bench::new(on_demand);
    let (first, second) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 1)]);
    let name = the_request(&mut bench, first);
    bench.route(9, &[(1, 2)]);
    assert_eq!(bench.bodies(first), []);
    the_request(&mut bench, second);
    bench.say(first, 1, &[answer(9, 500, name)]);
    bench.clear();
    bench.route(9, &[(1, 1)]);
    assert_eq!(out(&bench, 9), [500]);
}

#[test]
fn nh_16_to_20_without_a_next_hop_the_label_is_withdrawn() {
    let mut bench = Bench::new(independent);
    let up = join(&mut bench, 1);
    bench.route(9, &[(1, 2)]);
    bench.clear();
    bench.route(9, &[]);
    assert_eq!(bench.bodies(up), [withdraw(9, 16)]);
}

#[test]
fn nols_1_nols_2_a_fec_that_is_not_switched_any_more_is_withdrawn_from_who_has_it() {
    let mut bench = Bench::new(on_demand);
    let (asks, other) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), true));
    bench.say(asks, 1, &[request(9)]);
    bench.clear();
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), false));
    assert_eq!((bench.bodies(asks), bench.bodies(other)), (vec![withdraw(9, 16)], vec![]));
}
