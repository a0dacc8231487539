//! A.1.4 Receive Label Release, A.1.5 Receive Label Withdraw, A.2.3 Send_Label_Withdraw.

use super::*;

fn no_rest(config: &mut Config) {
    config.label_hold = std::time::Duration::ZERO;
}

fn freed(bench: &mut Bench) -> bool {
    bench.call(ldp::Speaker::handle_timeout);
    bench.events.contains(&Event::Freed { label: label(16) })
}

#[test]
fn lrl_1_to_4_swd_1_swd_2_a_release_answers_a_withdraw() {
    let mut bench = Bench::new(no_rest);
    let up = join(&mut bench, 1);
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), true));
    bench.say(up, 1, &[release(77, 16), release(9, 17)]);
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), false));
    assert_eq!(bench.bodies(up), [mapping(9, 16), withdraw(9, 16)]);
    assert!(!freed(&mut bench));
    bench.say(up, 1, &[release(9, 16)]);
    assert!(freed(&mut bench));
    bench.say(up, 1, &[release(9, 16)]);
    assert_eq!(bench.bodies(up), [], "once");
}

#[test]
fn lrl_2_note_1_who_gave_a_label_back_is_told_again_when_it_asks() {
    let mut bench = Bench::new(|config| {
        independent(config);
        detecting(config);
    });
    let up = join(&mut bench, 1);
    bench.route(9, &[(1, 2)]);
    bench.say(up, 1, &[release(9, 16)]);
    bench.clear();
    let down = join(&mut bench, 2);
    bench.say(down, 2, &[mapping_with(9, 500, Some(1), None)]);
    assert_eq!(bench.bodies(up), [], "also when something changes");
    bench.say(up, 1, &[request(9)]);
    assert!(matches!(&bench.bodies(up)[..], [Body::LabelMapping(m)] if m.request == Some(MessageId(100))));
}

#[test]
fn lrl_5_to_10_releases_are_not_passed_on() {
    let mut bench = Bench::new(on_demand);
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    let name = the_request(&mut bench, down);
    bench.say(down, 2, &[answer(9, 500, name)]);
    bench.say(up, 1, &[request(9)]);
    bench.say(up, 1, &[release(9, 16)]);
    assert_eq!(bench.bodies(down), [], "packets may enter the LSP here");
}

#[test]
fn lrl_11_to_13_a_label_is_free_when_nobody_holds_it() {
    let mut bench = Bench::new(no_rest);
    let (first, second) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), true));
    bench.call(|speaker, now| speaker.handle_egress(now, fec(9), false));
    bench.say(first, 1, &[release(9, 16)]);
    assert!(!freed(&mut bench), "LRl.12");
    bench.say(second, 2, &[release(9, 16)]);
    assert!(freed(&mut bench), "LRl.13");
}

#[test]
fn lwd_1_to_4_a_withdrawn_label_is_released_and_used_no_more() {
    let mut bench = Bench::new(|_| {});
    let down = join(&mut bench, 2);
    bench.route(9, &[(1, 2)]);
    bench.say(down, 2, &[mapping(9, 500)]);
    bench.clear();
    bench.say(down, 2, &[withdraw(9, 501)]);
    assert_eq!((bench.bodies(down), bench.events.len()), (vec![release(9, 501)], 0), "LWd.3");
    bench.say(down, 2, &[withdraw(9, 500)]);
    assert_eq!(bench.bodies(down)[0], release(9, 500));
    assert_eq!(out(&bench, 9), [] as [u32; 0]);
}

#[test]
fn lwd_5_to_7_under_independent_control_the_label_stays_and_another_is_asked_for() {
    let mut bench = Bench::new(|config| {
        on_demand(config);
        independent(config);
    });
    let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
    bench.route(9, &[(1, 2)]);
    let name = the_request(&mut bench, down);
    bench.say(down, 2, &[answer(9, 500, name)]);
    bench.say(up, 1, &[request(9)]);
    bench.clear();
    bench.say(down, 2, &[withdraw(9, 500)]);
    let (requests, others) = asked(&mut bench, down);
    assert_eq!((requests.len(), others), (1, vec![release(9, 500)]));
    assert_eq!((bench.bodies(up), out(&bench, 9)), (vec![], vec![]));
    bench.say(down, 2, &[answer(9, 501, requests[0].1)]);
    assert_eq!(out(&bench, 9), [501]);
}

#[test]
fn lwd_8_to_12_under_ordered_control_the_withdraw_goes_on() {
    for change in [on_demand, |_: &mut Config| {}] {
        let mut bench = Bench::new(change);
        let (up, down) = (join(&mut bench, 1), join(&mut bench, 2));
        bench.route(9, &[(1, 2)]);
        bench.say(up, 1, &[request(9)]);
        bench.say(down, 2, &[mapping(9, 500)]);
        bench.clear();
        bench.say(down, 2, &[withdraw(9, 500)]);
        assert_eq!(bench.bodies(up), [withdraw(9, 16)]);
    }
}
