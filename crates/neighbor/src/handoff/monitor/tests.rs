//! The whole transition table.

use std::time::Duration;

use super::*;

const M: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const THIRD: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);
const NOW: Tick = Tick(1_000_000_000_000);

fn monitor(phase: Phase) -> Monitor {
    let address = |last| IpAddr::from([192, 0, 2, last]);
    Monitor { phase, ..Monitor::new(NOW, address(1), address(2)) }
}

#[test]
fn every_input_in_every_phase() {
    use Input::{Assume, PortDown, Spoke, Timeout};
    use Output::{Ask, AskAll, AskBoth, Nothing};
    use Phase::Down;
    let answer = |mac| Input::Answer { mac, said: true };
    let silent_answer = |mac| Input::Answer { mac, said: false };
    let up = |mac, missed, awaiting| Phase::Up { mac, missed, awaiting };
    let confirming = |missed, old_answers, other_answers| Phase::Confirming {
        mac: M,
        missed,
        old_answers,
        other: OTHER,
        other_answers,
    };
    let rows = [
        // phase, input, output, next phase
        (Down, Timeout, AskAll, Down),
        (Down, answer(M), Nothing, up(M, 0, false)),
        (Down, silent_answer(M), Nothing, Down),
        (Down, Spoke { mac: M }, Ask(M), Down),
        (Down, PortDown, Nothing, Down),
        (Down, Assume { mac: M }, Nothing, up(M, 0, false)),
        (up(M, 0, false), Timeout, Ask(M), up(M, 0, true)),
        (up(M, 3, false), Timeout, Ask(M), up(M, 3, true)),
        (up(M, 0, true), Timeout, Ask(M), up(M, 1, true)),
        (up(M, 1, true), Timeout, Ask(M), up(M, 2, true)),
        (up(M, 2, true), Timeout, Ask(M), up(M, 3, true)),
        (up(M, 3, true), Timeout, AskAll, Down),
        (up(M, 2, true), answer(M), Nothing, up(M, 0, false)),
        (up(M, 2, true), silent_answer(M), Nothing, up(M, 0, false)),
        (up(M, 1, true), Spoke { mac: M }, Nothing, up(M, 1, true)),
        (up(M, 1, true), Spoke { mac: OTHER }, AskBoth(M, OTHER), confirming(1, false, false)),
        (up(M, 0, true), answer(OTHER), AskBoth(M, OTHER), confirming(0, false, false)),
        (up(M, 0, true), PortDown, Nothing, Down),
        (up(M, 1, true), Assume { mac: OTHER }, Nothing, up(OTHER, 0, false)),
        (confirming(0, false, false), answer(M), Nothing, confirming(0, true, false)),
        (confirming(0, false, false), answer(OTHER), Nothing, confirming(0, false, true)),
        (confirming(0, false, false), silent_answer(OTHER), Nothing, confirming(0, false, true)),
        (confirming(0, false, false), answer(THIRD), Nothing, confirming(0, false, false)),
        (confirming(0, false, false), Spoke { mac: THIRD }, Nothing, confirming(0, false, false)),
        (confirming(1, true, false), Timeout, Ask(M), up(M, 0, true)),
        (confirming(1, true, true), Timeout, Ask(M), up(M, 0, true)),
        (confirming(1, false, true), Timeout, Ask(OTHER), up(OTHER, 0, true)),
        (confirming(1, false, false), Timeout, Ask(M), up(M, 2, true)),
        (confirming(3, false, false), Timeout, AskAll, Down),
        (confirming(1, true, true), PortDown, Nothing, Down),
        (confirming(1, true, true), Assume { mac: M }, Nothing, up(M, 0, false)),
    ];
    for (phase, input, output, next) in rows {
        let mut monitor = monitor(phase);
        let got = monitor.step(NOW, input, &HandoffSettings::default());
        assert_eq!((got, monitor.phase), (output, next), "{phase:?} {input:?}");
        assert!(monitor.due > NOW || input != Timeout, "{phase:?}");
    }
}

#[test]
fn both_are_listened_for_during_the_confirm_interval_and_no_longer() {
    let settings = HandoffSettings::default();
    let mut monitor = monitor(Phase::Up { mac: M, missed: 0, awaiting: false });
    monitor.step(NOW, Input::Spoke { mac: OTHER }, &settings);
    assert_eq!(monitor.due, NOW + Duration::from_millis(300));
    monitor.step(NOW, Input::Answer { mac: M, said: true }, &settings);
    monitor.step(monitor.due, Input::Timeout, &settings);
    let held = monitor.challenge_after;
    assert_eq!(held, NOW + Duration::from_millis(300) + settings.challenge_hold);
    assert_eq!(monitor.step(Tick(held.0 - 1), Input::Spoke { mac: OTHER }, &settings), Output::Nothing);
    assert_ne!(monitor.step(held, Input::Spoke { mac: OTHER }, &settings), Output::Nothing);
}

#[test]
fn a_talkative_next_hop_that_does_not_answer_is_asked_once_between_probes() {
    let settings = HandoffSettings::default();
    let mut monitor = monitor(Phase::Down);
    let spoke = Input::Spoke { mac: M };
    let outputs =
        [spoke, spoke, Input::Timeout, spoke, spoke].map(|input| monitor.step(NOW, input, &settings));
    let (ask, nothing) = (Output::Ask(M), Output::Nothing);
    assert_eq!(outputs, [ask, nothing, Output::AskAll, ask, nothing]);
}
