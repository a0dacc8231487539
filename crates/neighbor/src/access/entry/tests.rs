//! The whole transition table.

use contract::{Asn, SubscriberId};

use super::*;

const M: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const THIRD: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(100, 64, 0, 11));
/// Late enough that anything may be due.
const NOW: Tick = Tick(1_000_000_000_000);

fn entry(phase: Phase) -> Entry {
    let owner = Owner { isp: Asn(64501), subscriber: SubscriberId(1) };
    let mut entry = Entry::new(owner, ADDRESS, phase);
    entry.due = Some(NOW);
    entry.heard = phase.mac().map(|_| Tick(0));
    entry
}

#[test]
fn every_input_in_every_phase() {
    use Output::{Ask, AskAll, Gone, Learned, Lost, Nothing};
    use Phase::{Configured, Failed, Probing, Reachable, Resolving};
    let heard = |mac| Input::Heard { address: ADDRESS, mac };
    let (up, timeout) = (Reachable { mac: M }, Input::Timeout);
    let probing = |asked, challenger| Probing { mac: M, asked, challenger };
    let resolving = |asked| Resolving { asked };
    let configured = Configured { mac: M };
    let rows = [
        // phase, input, output, next phase (None: to be removed)
        (resolving(1), heard(M), Learned(M), Some(up)),
        (resolving(1), timeout, AskAll, Some(resolving(2))),
        (resolving(2), timeout, AskAll, Some(resolving(3))),
        (resolving(3), timeout, Nothing, Some(Failed)),
        (up, heard(M), Nothing, Some(up)),
        (up, heard(OTHER), Ask(M), Some(probing(1, Some(OTHER)))),
        (up, timeout, Ask(M), Some(probing(1, None))),
        (probing(1, None), heard(M), Nothing, Some(up)),
        (probing(1, None), heard(OTHER), Nothing, Some(probing(1, Some(OTHER)))),
        (probing(1, None), timeout, Ask(M), Some(probing(2, None))),
        (probing(2, None), timeout, Ask(M), Some(probing(3, None))),
        (probing(3, None), timeout, Lost(M), None),
        (probing(1, Some(OTHER)), heard(M), Nothing, Some(up)),
        (probing(1, Some(OTHER)), heard(OTHER), Nothing, Some(probing(1, Some(OTHER)))),
        (probing(1, Some(OTHER)), heard(THIRD), Nothing, Some(probing(1, Some(OTHER)))),
        (probing(1, Some(OTHER)), timeout, Ask(M), Some(probing(2, Some(OTHER)))),
        (probing(3, Some(OTHER)), timeout, Learned(OTHER), Some(Reachable { mac: OTHER })),
        (Failed, heard(M), Learned(M), Some(up)),
        (Failed, timeout, Gone, None),
        (configured, heard(M), Nothing, Some(configured)),
        (configured, heard(OTHER), Nothing, Some(configured)),
        (configured, timeout, Nothing, Some(configured)),
    ];
    for (phase, input, output, next) in rows {
        let mut entry = entry(phase);
        let got = entry.step(NOW, input, &AccessSettings::default(), true);
        assert_eq!(got, output, "{phase:?} {input:?}");
        if let Some(next) = next {
            assert_eq!(entry.phase, next, "{phase:?} {input:?}");
            // Whatever was due has been done, or comes later; a timer is never lost but where none is needed.
            let waits = entry.due.is_some_and(|due| due > NOW);
            assert!(
                waits || input != timeout || phase == configured,
                "{phase:?} {input:?}: due {:?}",
                entry.due
            );
        }
    }
}

#[test]
fn without_room_to_ask_nothing_is_lost_but_time() {
    let settings = AccessSettings::default();
    let mut reachable = entry(Phase::Reachable { mac: M });
    assert_eq!(reachable.step(NOW, Input::Timeout, &settings, false), Output::Nothing);
    assert_eq!(reachable.phase, Phase::Reachable { mac: M });
    assert_eq!(reachable.due, Some(NOW + settings.retry_interval));
    let heard = Input::Heard { address: ADDRESS, mac: OTHER };
    assert_eq!(reachable.step(NOW, heard, &settings, false), Output::Nothing);
    assert_eq!(reachable.phase, Phase::Reachable { mac: M });
}

#[test]
fn who_speaks_is_not_probed() {
    let settings = AccessSettings::default();
    let mut entry = entry(Phase::Reachable { mac: M });
    entry.step(NOW, Input::Heard { address: ADDRESS, mac: M }, &settings, true);
    assert_eq!(entry.step(NOW, Input::Timeout, &settings, true), Output::Nothing);
    let due = entry.due.unwrap();
    let spread = due.since(NOW + settings.probe_interval);
    assert!(due >= NOW + settings.probe_interval && spread < settings.probe_interval / 4);
    assert_eq!(entry.step(due, Input::Timeout, &settings, true), Output::Ask(M));
}

#[test]
fn a_refused_challenger_waits() {
    let settings = AccessSettings::default();
    let mut entry = entry(Phase::Reachable { mac: M });
    let heard = |mac| Input::Heard { address: ADDRESS, mac };
    assert_eq!(entry.step(NOW, heard(OTHER), &settings, true), Output::Ask(M));
    entry.step(NOW, heard(M), &settings, true);
    let held = NOW + settings.challenge_hold;
    assert_eq!(entry.step(Tick(held.0 - 1), heard(OTHER), &settings, true), Output::Nothing);
    assert_eq!(entry.step(held, heard(OTHER), &settings, true), Output::Ask(M));
}

#[test]
fn probes_are_spread_evenly() {
    let over = Duration::from_secs(60);
    let mut quarters = [0; 4];
    for last in 0..=255_u8 {
        let wait = spread(IpAddr::from([100, 64, 0, last]), over);
        assert!(wait < over);
        quarters[(wait.as_secs() / 15) as usize] += 1;
    }
    assert!(quarters.iter().all(|count| (48..=80).contains(count)), "{quarters:?}");
    assert_ne!(spread("2001:db8:1::".parse().unwrap(), over), spread("2001:db8:2::".parse().unwrap(), over));
}
