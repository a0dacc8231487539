//! A handoff that fails again and again is held down for a while (route flap damping, RFC 2439 §4.4, for one link).
//!
//! ```text
//! penalty
//!  3000 ┤        ╭╮ third failure: held down
//!       │      ╭╮│╰──╮
//!  2000 ┤- - - ││╯ - ╰──╮- - - - - - - - suppress above
//!       │ ╭╮   │        ╰────╮
//!  1000 ┤-│╰──╮│- - - - - - -╰────── - - reuse at or below
//!       └─┴───┴┴─────────────────────▶ time
//! ```
//!
//! A failure is never delayed, nor is the first recovery or the second. The penalty halves in each half-life, so that who
//! fails less than about once in 15 s is never held down. It has a ceiling, so that nobody is held down for longer than
//! [`DampingSettings::longest`] after the last failure.

use std::time::Duration;

use contract::Tick;

/// When a handoff that fails again and again is held down, and for how long.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DampingSettings {
    /// What each failure adds to the penalty.
    pub failure: f64,
    /// A penalty above this holds the handoff down.
    pub suppress: f64,
    /// A penalty of no more than this lets it up again.
    pub reuse: f64,
    /// The time in which the penalty halves; never zero.
    pub half_life: Duration,
    /// The longest that a handoff is held down after its last failure.
    pub longest: Duration,
}

impl Default for DampingSettings {
    /// Two failures in a row are an accident, three within some 20 s are a pattern. A minute is what LDP peers, too, wait
    /// for a neighbor to come back; an ISP with one handoff only must not be punished for longer.
    fn default() -> Self {
        Self {
            failure: 1000.0,
            suppress: 2000.0,
            reuse: 1000.0,
            half_life: Duration::from_secs(15),
            longest: Duration::from_secs(60),
        }
    }
}

/// The penalty of one handoff.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damping {
    /// As it was at `since`.
    penalty: f64,
    since: Tick,
    held_until: Option<Tick>,
    failures: u64,
}

impl Damping {
    /// The handoff was up and is down.
    pub(super) fn failed(&mut self, now: Tick, settings: &DampingSettings) {
        let half_life = settings.half_life.as_secs_f64();
        let ceiling = settings.reuse * (settings.longest.as_secs_f64() / half_life).exp2();
        self.penalty = (self.penalty(now, settings) + settings.failure).min(ceiling);
        self.since = now;
        self.failures += 1;
        if self.penalty > settings.suppress || self.held_until.is_some() {
            let half_lives = (self.penalty / settings.reuse).log2().max(0.0);
            self.held_until = Some(now + Duration::from_secs_f64(half_lives * half_life));
        }
    }

    /// Lets it up again if it is time.
    pub(super) fn release(&mut self, now: Tick) {
        self.held_until = self.held_until.filter(|until| *until > now);
    }

    /// Until when the handoff is held down.
    pub(super) const fn held_until(&self) -> Option<Tick> {
        self.held_until
    }

    /// How often it failed.
    pub(super) const fn failures(&self) -> u64 {
        self.failures
    }

    /// The penalty now.
    pub(super) fn penalty(&self, now: Tick, settings: &DampingSettings) -> f64 {
        let half_lives = now.since(self.since).as_secs_f64() / settings.half_life.as_secs_f64();
        self.penalty * (-half_lives).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Tick {
        Tick(1_000_000_000_000 + ms * 1_000_000)
    }

    /// Seconds for which it is held down after failures at these times.
    fn held_after(failures: &[u64]) -> Option<f64> {
        let (mut damping, settings) = (Damping::default(), DampingSettings::default());
        for &ms in failures {
            damping.release(at(ms));
            damping.failed(at(ms), &settings);
        }
        let last = at(failures.last().copied().unwrap_or_default());
        damping.held_until().map(|until| until.since(last).as_secs_f64())
    }

    #[test]
    fn the_third_failure_in_a_short_time_is_one_too_many() {
        for (failures, expected) in [
            (&[0][..], None),
            (&[0, 1000], None),
            (&[0, 1000, 2000], Some(23.0)),
            (&[0, 10_000, 20_000], Some(15.5)),
            (&[0, 11_000, 22_000], None),
            (&[0, 15_000, 30_000, 45_000, 60_000, 75_000], None),
            (&[0, 12_000, 24_000, 36_000, 48_000], Some(16.9)),
            (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Some(60.0)),
        ] {
            let held = held_after(failures);
            let close = match (held, expected) {
                (Some(held), Some(expected)) => (held - expected).abs() < 0.6,
                (held, expected) => held.is_none() && expected.is_none(),
            };
            assert!(close, "{failures:?}: {held:?}, not {expected:?}");
        }
    }

    #[test]
    fn the_penalty_halves_and_the_handoff_comes_up_when_it_is_small() {
        let (mut damping, settings) = (Damping::default(), DampingSettings::default());
        (0..3).for_each(|_| damping.failed(at(0), &settings));
        assert_eq!(damping.penalty(at(15_000), &settings).round(), 1500.0);
        let until = damping.held_until().unwrap();
        assert!((damping.penalty(until, &settings) - settings.reuse).abs() < 1.0);
        damping.release(Tick(until.0 - 1));
        assert!(damping.held_until().is_some());
        damping.release(until);
        assert_eq!((damping.held_until(), damping.failures()), (None, 3));
    }

    #[test]
    fn who_fails_while_held_down_is_held_down_longer_but_not_for_ever() {
        let (mut damping, settings) = (Damping::default(), DampingSettings::default());
        for ms in (0..600_000).step_by(1000) {
            damping.failed(at(ms), &settings);
            let held = damping.held_until().map(|until| until.since(at(ms)));
            assert!(held.is_none_or(|held| held <= settings.longest + Duration::from_millis(1)), "{held:?}");
            assert!(ms < 2000 || held.is_some());
        }
    }
}
