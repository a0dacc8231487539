//! A.1.1 Receive Label Request, A.1.3 Receive Label Abort Request.

use super::*;

#[test]
fn lrq_1_lrq_4_a_request_that_went_round_is_refused() {
    let mut bench = Bench::new(|config| {
        on_demand(config);
        detecting(config);
    });
    let up = join(&mut bench, 1);
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), true));
    for (hop_count, path) in [(Some(6), None), (Some(2), Some(&[1, 100][..])), (Some(4), Some(&[1, 2, 3, 4]))]
    {
        bench.say(up, 1, &[request_with(9, hop_count, path)]);
        assert_eq!(bench.bodies(up), [about(StatusCode::LOOP_DETECTED, MessageId(100))], "{path:?}");
    }
    bench.say(up, 1, &[request_with(9, Some(1), None)]);
    assert_eq!(bench.bodies(up).len(), 1, "another one is answered");
}

#[test]
fn lrq_2_lrq_5_without_a_route_there_is_none() {
    let mut bench = Bench::new(on_demand);
    let up = join(&mut bench, 1);
    bench.say(up, 1, &[request(9)]);
    assert_eq!(bench.bodies(up), [about(StatusCode::NO_ROUTE, MessageId(100))]);
}

#[test]
fn lrq_3_lrq_4_who_is_the_next_hop_itself_is_refused() {
    let mut bench = Bench::new(on_demand);
    let up = join(&mut bench, 1);
    bench.route(9, &[(1, 1)]);
    bench.clear();
    bench.say(up, 1, &[request(9)]);
    assert_eq!(bench.bodies(up), [about(StatusCode::LOOP_DETECTED, MessageId(100))]);
}

#[test]
fn lrq_6_to_8_a_request_is_recorded_once() {
    let mut bench = Bench::new(on_demand);
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    let name = the_request(&mut bench, down);
    bench.say(up, 1, &[request(9), request(9)]);
    bench.say(down, 2, &[answer(9, 500, name)]);
    assert_eq!(bench.bodies(up), [answer(9, 16, MessageId(100))]);
}

#[test]
fn lrq_9_on_demand_an_egress_answers_at_once_and_nobody_is_told_who_does_not_ask() {
    let mut bench = Bench::new(on_demand);
    let (up, other) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), true));
    assert_eq!((bench.bodies(up), bench.bodies(other)), (vec![], vec![]));
    bench.say(up, 1, &[request(9)]);
    assert_eq!((bench.bodies(up), bench.bodies(other)), (vec![answer(9, 16, MessageId(100))], vec![]));
}

#[test]
fn lrq_9_under_independent_control_the_answer_waits_for_no_next_hop() {
    let mut bench = Bench::new(|config| {
        on_demand(config);
        independent(config);
    });
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    bench.say(up, 1, &[request(9)]);
    assert_eq!(bench.bodies(up), [answer(9, 16, MessageId(100))]);
    let name = the_request(&mut bench, down);
    bench.say(down, 2, &[answer(9, 500, name)]);
    assert_eq!((out(&bench, 9), bench.bodies(up)), (vec![500], vec![]));
}

#[test]
fn lrq_10_to_12_under_ordered_control_the_request_goes_on_and_its_answer_comes_back() {
    let mut bench = Bench::new(on_demand);
    let up = join(&mut bench, 1);
    bench.route(9, &[(1, 2)]);
    bench.say(up, 1, &[request(9)]);
    assert_eq!(bench.bodies(up), []);
    // The next hop's session comes later.
    let down = {
        bench.hello(1, 2);
        let conn = bench.accept(2);
        let Body::Initialization(mut initialization) = initialization(None) else { panic!() };
        initialization.advertisement = Advertisement::DownstreamOnDemand;
        bench.say(conn, 2, &[Body::Initialization(initialization), Body::KeepAlive]);
        bench.clear();
        bench.say(conn, 2, &[Body::Address(Addresses::V4(vec![address(1, 2)]))]);
        conn
    };
    let name = the_request(&mut bench, down);
    bench.say(down, 2, &[answer(9, 500, name)]);
    assert_eq!((out(&bench, 9), bench.bodies(up)), (vec![500], vec![answer(9, 16, MessageId(100))]));
}

#[test]
fn lrq_10_unsolicited_nothing_is_asked() {
    for (ours, theirs) in [
        (Advertisement::DownstreamUnsolicited, Advertisement::DownstreamOnDemand),
        (Advertisement::DownstreamOnDemand, Advertisement::DownstreamUnsolicited),
    ] {
        let mut bench = Bench::new(|config| {
            on_demand(config);
            config.neighbors.others.as_mut().unwrap().advertisement = ours;
        });
        let down = join_as(&mut bench, 2, theirs);
        bench.route(9, &[(1, 2)]);
        assert_eq!(bench.bodies(down), []);
    }
}

#[test]
fn labr_1_to_3_labr_11_labr_12_a_request_is_taken_back_while_it_waits() {
    let mut bench = Bench::new(on_demand);
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    let name = the_request(&mut bench, down);
    bench.say(up, 1, &[request(9)]);
    bench.say(up, 1, &[abort(9, MessageId(99))]);
    assert_eq!(bench.bodies(up), [], "LAbR.1");
    bench.say(up, 1, &[abort(9, MessageId(100))]);
    let Body::Notification(aborted) = about(StatusCode::LABEL_REQUEST_ABORTED, MessageId(100)) else {
        panic!()
    };
    let aborted = Notification { request: Some(MessageId(100)), ..aborted };
    assert_eq!(bench.bodies(up), [Body::Notification(aborted)]);
    bench.say(down, 2, &[answer(9, 500, name)]);
    assert_eq!(bench.bodies(up), [], "it is forgotten");
    // LAbR.2.
    bench.say(up, 1, &[request(9)]);
    assert_eq!(bench.bodies(up), [answer(9, 16, MessageId(100))]);
    bench.say(up, 1, &[abort(9, MessageId(100))]);
    assert_eq!(bench.bodies(up), []);
}

#[test]
fn labr_4_to_10_what_this_lsr_asked_for_itself_is_not_taken_back() {
    let mut bench = Bench::new(on_demand);
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    let name = the_request(&mut bench, down);
    bench.say(up, 1, &[request(9)]);
    bench.say(up, 1, &[abort(9, MessageId(100))]);
    assert_eq!(bench.bodies(down), []);
    bench.say(down, 2, &[answer(9, 500, name)]);
    assert_eq!(out(&bench, 9), [500]);
}
