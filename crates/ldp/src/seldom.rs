//! What is told of seldom, however often it happens.

use std::time::Duration;

use contract::Tick;

/// How often something is told of at most.
const INTERVAL: Duration = Duration::from_secs(60);

/// Something that a neighbor, or anybody, can make happen as often as it likes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seldom {
    /// It may be told of again from then on.
    next: Tick,
    /// How often it happened since it was told of.
    times: u64,
}

impl Seldom {
    /// It happened so many times. How often in all since it was told of last, if it is to be told of now.
    pub(crate) fn happened(&mut self, now: Tick, times: u64) -> Option<u64> {
        self.times = self.times.saturating_add(times);
        if now < self.next {
            return None;
        }
        self.next = now + INTERVAL;
        Some(std::mem::take(&mut self.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_passed_over_is_counted_when_it_is_told_of() {
        let at = |seconds| Tick::default() + Duration::from_secs(seconds);
        let mut seldom = Seldom::default();
        let rows = [
            (5, 1, Some(1)),
            (6, 2, None),
            (64, 1, None),
            (65, 1, Some(4)),
            (66, 1, None),
            (500, 1, Some(2)),
        ];
        for (seconds, times, told) in rows {
            assert_eq!(seldom.happened(at(seconds), times), told, "{seconds}");
        }
    }
}
