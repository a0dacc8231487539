//! A.1.8 to A.1.13, A.1.15: notifications about requests, and labels that run out; A.2.1 Send_Label.

use std::time::Duration;

use super::*;

/// A FEC that is routed to peer 2, which has been asked for its label.
fn waiting() -> (Bench, ConnId, MessageId) {
    let mut bench = Bench::new(on_demand);
    let down = join(&mut bench, 2);
    bench.route(9, &[(1, 2)]);
    let name = the_request(&mut bench, down);
    (bench, down, name)
}

#[test]
fn lrqa_1_to_3_an_abort_that_nobody_asked_for_means_nothing() {
    let (mut bench, down, name) = waiting();
    bench.say(down, 2, &[about(StatusCode::LABEL_REQUEST_ABORTED, name)]);
    bench.route(9, &[(1, 2)]);
    assert_eq!(bench.bodies(down), []);
    // `nh_6_to_9` has the other case.
}

#[test]
fn nores_1_to_4_res_1_to_7_a_peer_without_labels_is_asked_again_when_it_has_some() {
    let (mut bench, down, name) = waiting();
    bench.say(down, 2, &[about(StatusCode::NO_LABEL_RESOURCES, name)]);
    bench.route(8, &[(1, 2)]);
    bench.route(7, &[(1, 2)]);
    bench.route(7, &[]);
    assert_eq!(bench.bodies(down), [], "NoRes.3, SLRq.6");
    let available = Notification::new(Status::new(StatusCode::LABEL_RESOURCES_AVAILABLE));
    bench.say(down, 2, &[Body::Notification(available)]);
    let fecs: Vec<u8> = asked(&mut bench, down).0.iter().map(|&(n, _)| n).collect();
    assert_eq!(fecs, [8, 9], "Res.3: 7 is not routed there any more");
}

#[test]
fn nores_1_what_is_said_of_a_mapping_is_nothing_about_requests() {
    let (mut bench, down, _) = waiting();
    let message = Some((MessageId(1), MessageType::LABEL_MAPPING));
    let status = Status { message, ..Status::new(StatusCode::NO_LABEL_RESOURCES) };
    bench.say(down, 2, &[Body::Notification(Notification::new(status))]);
    bench.route(8, &[(1, 2)]);
    the_request(&mut bench, down);
}

#[test]
fn nonh_1_to_3_to_1_to_4_a_request_that_failed_is_tried_again_after_a_while() {
    for code in [StatusCode::NO_ROUTE, StatusCode::LOOP_DETECTED] {
        let (mut bench, down, name) = waiting();
        bench.say(down, 2, &[about(code, name)]);
        bench.route(9, &[(1, 2)]);
        bench.pass(Duration::from_secs(14), &[2]);
        assert_eq!(asked(&mut bench, down).0, [], "{code}");
        bench.say(down, 2, &[Body::KeepAlive]);
        bench.pass(Duration::from_secs(1), &[2]);
        assert_eq!(asked(&mut bench, down).0.len(), 1, "{code}");
    }
}

#[test]
fn to_2_what_is_not_routed_there_any_more_is_not_asked_for() {
    let (mut bench, down, name) = waiting();
    bench.say(down, 2, &[about(StatusCode::NO_ROUTE, name)]);
    bench.route(9, &[]);
    bench.pass(Duration::from_secs(16), &[2]);
    assert_eq!(asked(&mut bench, down).0, []);
}

#[test]
fn sl_1_to_8_resa_1_to_4_who_was_refused_a_label_hears_when_there_is_one() {
    let mut bench = Bench::new(|config| {
        on_demand(config);
        config.label_range = label(16)..=label(16);
    });
    let up = join(&mut bench, 1);
    for n in [8, 9] {
        bench.call(|speaker, now| speaker.handle_egress(now, fec(n), true));
    }
    bench.say(up, 1, &[request(9)]);
    assert_eq!(bench.bodies(up), [about(StatusCode::NO_LABEL_RESOURCES, MessageId(100))], "SL.9 to 12");
    bench.call(|speaker, now| speaker.handle_egress(now, fec(8), false));
    bench.clear();
    bench.pass(Duration::from_secs(29), &[1]);
    bench.say(up, 1, &[Body::KeepAlive]);
    bench.clear();
    bench.pass(Duration::from_secs(1), &[1]);
    let available = Notification::new(Status::new(StatusCode::LABEL_RESOURCES_AVAILABLE));
    assert!(bench.bodies(up).contains(&Body::Notification(available)));
    bench.say(up, 1, &[request(9)]);
    assert_eq!(bench.bodies(up), [answer(9, 16, MessageId(100))], "SL.1 to 8");
}

#[test]
fn sl_13_resa_5_to_9_unsolicited_the_label_is_told_when_there_is_one() {
    let mut bench = Bench::new(|config| config.label_range = label(16)..=label(16));
    let up = join(&mut bench, 1);
    for n in [8, 9] {
        bench.call(|speaker, now| speaker.handle_egress(now, fec(n), true));
    }
    bench.call(|speaker, now| speaker.handle_egress(now, fec(8), false));
    bench.say(up, 1, &[release(8, 16)]);
    bench.pass(Duration::from_secs(29), &[1]);
    bench.say(up, 1, &[Body::KeepAlive]);
    bench.clear();
    bench.pass(Duration::from_secs(1), &[1]);
    assert!(bench.bodies(up).contains(&mapping(9, 16)));
}

#[test]
fn slrq_1_to_7_a_request_is_not_repeated_but_with_another_session() {
    let (mut bench, down, _) = waiting();
    bench.route(9, &[(1, 2), (2, 2)]);
    assert_eq!(bench.bodies(down), []);
    bench.call(|speaker, now| speaker.handle_closed(now, down));
    bench.pass(Duration::from_secs(2), &[2]);
    bench.hello(1, 2);
    let conn = bench.accept(2);
    let Body::Initialization(mut initialization) = initialization(None) else { panic!() };
    initialization.advertisement = Advertisement::DownstreamOnDemand;
    bench.say(conn, 2, &[Body::Initialization(initialization), Body::KeepAlive]);
    bench.say(conn, 2, &[Body::Address(Addresses::V4(vec![address(1, 2)]))]);
    assert_eq!(asked(&mut bench, conn).0.len(), 1);
}
