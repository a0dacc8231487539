//! A token bucket.

use std::time::Duration;

use contract::Tick;

/// How often something may be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate {
    /// The time after which one more is allowed.
    pub(crate) every: Duration,
    /// How many at once.
    pub(crate) burst: u32,
}

/// A token bucket in one word: the time until which the tokens that were taken have been paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bucket(Tick);

impl Bucket {
    /// Takes a token if there is one.
    #[must_use]
    pub(crate) fn take(&mut self, now: Tick, rate: Rate) -> bool {
        let paid = self.0.max(now) + rate.every;
        let allowed = paid <= now + rate.every * rate.burst;
        if allowed {
            self.0 = paid;
        }
        allowed
    }

    /// Whether it is full again, so that a fresh one would be the same.
    pub(crate) fn is_full(&self, now: Tick) -> bool {
        self.0 <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate { every: Duration::from_millis(100), burst: 3 };
        let (mut bucket, start) = (Bucket::default(), Tick(5_000_000_000));
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(
            [0, 0, 0, 0, 99, 100, 100, 350].map(|ms| bucket.take(at(ms), rate)),
            [true, true, true, false, false, true, false, true]
        );
        assert!(!bucket.is_full(at(350)) && bucket.is_full(at(700)));
    }
}
