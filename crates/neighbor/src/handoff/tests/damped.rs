//! How fast silence is noticed, and what becomes of a handoff that fails again and again.

use super::*;

/// A tailend whose next hop answers every question, until this time.
fn answered(settings: HandoffSettings, until: Tick) -> HandoffNeighbors {
    let mut tailend = HandoffNeighbors::new(settings);
    tailend.set_port_mac(at(0), HANDOFF.port, US);
    tailend.add_handoff(at(0), HandoffConfig { ipv6: None, ..config(1, 2) });
    pass(&mut tailend, until, true);
    tailend
}

/// Lets time pass, with a next hop that answers or not.
fn pass(tailend: &mut HandoffNeighbors, to: Tick, answers: bool) {
    while let Some(due) = tailend.poll_timeout().filter(|due| *due <= to) {
        tailend.handle_timeout(due);
        let question = |frame: &Vec<u8>| frame[20..22] == [0, 1] && frame[38..42] == [192, 0, 2, 2];
        if sent(tailend).iter().any(question) && answers {
            tailend.handle_frame(due, HANDOFF, &octets(ARP_REPLY));
        }
    }
}

fn is_up(tailend: &HandoffNeighbors, now: Tick) -> bool {
    tailend.health(now, HANDOFF).unwrap().up
}

#[test]
fn silence_is_noticed_within_thirteen_tenths_of_a_second_whenever_it_begins() {
    let mut slowest = Duration::ZERO;
    for seed in 0..200 {
        let silent_from = at(5_000 + seed * 7);
        let mut tailend = answered(HandoffSettings { seed, ..HandoffSettings::default() }, silent_from);
        assert!(is_up(&tailend, silent_from), "seed {seed}");
        pass(&mut tailend, at(60_000), false);
        let health = tailend.health(at(60_000), HANDOFF).unwrap();
        let took = health.since.since(silent_from);
        assert!(!health.up && took >= Duration::from_millis(800), "seed {seed}: {took:?}");
        slowest = slowest.max(took);
    }
    println!("noticed after {slowest:?} at most");
    assert!(slowest <= Duration::from_millis(1_300), "{slowest:?}");
    assert!(slowest > Duration::from_millis(1_200), "{slowest:?}: the worst case was not among them");
}

#[test]
fn probes_are_two_or_three_a_second_and_not_in_step() {
    let mut tailend = answered(HandoffSettings::default(), at(2_500));
    let before = tailend.counters().asked;
    let mut intervals = BTreeSet::new();
    let mut last = at(2_500);
    while last < at(12_500) {
        let due = tailend.poll_timeout().unwrap();
        intervals.insert(due.since(last));
        last = due;
        pass(&mut tailend, due, true);
    }
    let asked = tailend.counters().asked - before;
    assert!((20..=27).contains(&asked), "{asked} in ten seconds");
    assert!(intervals.len() > 15, "{intervals:?}");
}

#[test]
fn the_first_failures_are_not_delayed_and_the_third_is_held_down() {
    let mut tailend = up();
    let mut now = 1_000;
    let mut flap = |tailend: &mut HandoffNeighbors| {
        tailend.port_down(at(now), HANDOFF.port);
        assert!(!is_up(tailend, at(now)), "down is down at once");
        tailend.set_port_mac(at(now + 100), HANDOFF.port, US);
        for answer in [ARP_REPLY, ADVERTISEMENT] {
            tailend.handle_frame(at(now + 100), HANDOFF, &octets(answer));
        }
        now += 1_000;
        is_up(tailend, at(now - 900))
    };
    assert!(flap(&mut tailend));
    assert!(flap(&mut tailend));
    events(&mut tailend);
    assert!(!flap(&mut tailend));
    let health = tailend.health(at(4_000), HANDOFF).unwrap();
    let until = health.held_until.unwrap();
    assert_eq!((health.failures, health.up, health.since), (3, false, at(3_000)));
    let held = until.since(at(3_000)).as_secs();
    assert!((20..25).contains(&held), "{held} s");
    let whole = |held_until| HandoffEvent::NextHop {
        circuit: HANDOFF,
        ipv4: Some(ROUTER),
        ipv6: Some(ROUTER),
        held_until,
    };
    assert_eq!(events(&mut tailend).last(), Some(&whole(Some(until))), "its next hops answer all the same");
    assert!(tailend.poll_timeout().is_some_and(|due| due <= until));
    // They go on answering.
    while let Some(due) = tailend.poll_timeout().filter(|due| *due < until) {
        tailend.handle_timeout(due);
        for answer in [ARP_REPLY, ADVERTISEMENT] {
            tailend.handle_frame(due, HANDOFF, &octets(answer));
        }
    }
    assert_eq!(events(&mut tailend), []);
    advance(&mut tailend, until);
    assert_eq!(events(&mut tailend), [whole(None)]);
    assert!(is_up(&tailend, until));
}

#[test]
fn a_handoff_that_is_configured_anew_has_not_failed() {
    let mut tailend = up();
    for _ in 0..10 {
        tailend.add_handoff(at(2), config(1, 3));
        tailend.add_handoff(at(2), config(1, 2));
        for answer in [ARP_REPLY, ADVERTISEMENT] {
            tailend.handle_frame(at(3), HANDOFF, &octets(answer));
        }
        assert!(is_up(&tailend, at(3)));
    }
    assert_eq!(tailend.health(at(3), HANDOFF).unwrap().failures, 0);
    tailend.remove_handoff(HANDOFF);
    assert_eq!(tailend.health(at(3), HANDOFF), None);
}
