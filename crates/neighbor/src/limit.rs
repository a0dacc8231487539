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

/// Announcements in defense of an address (RFC 5227 §2.4 c: DEFEND_INTERVAL).
pub(crate) const DEFENSE: Rate = Rate { every: Duration::from_secs(10), burst: 1 };

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
    }
}
