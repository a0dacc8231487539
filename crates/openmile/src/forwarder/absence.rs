//! How long the forwarder goes on with what an absent control had learned.

use std::time::Duration;

use contract::{FORWARDING_HOLD, Tick};

/// Whether control is away, and since when. Neighbours keep what they know of this node for [`FORWARDING_HOLD`] and may
/// then give its labels to other FECs: who forwarded by them any longer would send one ISP's packets to another.
///
/// A control that came back and is still learning (it has not ended its replay) counts as present while it is there,
/// but not as recovered: one that dies again and again does not lengthen the time.
#[derive(Debug, Default)]
pub(crate) struct Absence {
    since: Option<Tick>,
}

impl Absence {
    /// Control went.
    pub(crate) fn begin(&mut self, now: Tick) {
        self.since.get_or_insert(now);
    }

    /// Control knows again what it knew, or what it had learned was removed.
    pub(crate) fn end(&mut self) {
        self.since = None;
    }

    /// How long what control had learned may still be used while control is away.
    pub(crate) fn left(&self, now: Tick) -> Option<Duration> {
        self.since.map(|since| FORWARDING_HOLD.saturating_sub(now.since(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_that_die_before_they_recover_do_not_lengthen_the_time() {
        let at = |seconds| Tick(0) + Duration::from_secs(seconds);
        let mut absence = Absence::default();
        assert_eq!(absence.left(at(5)), None);
        absence.begin(at(10));
        assert_eq!(absence.left(at(10)), Some(FORWARDING_HOLD));
        absence.begin(at(40));
        assert_eq!(absence.left(at(40)), Some(FORWARDING_HOLD - Duration::from_secs(30)));
        assert_eq!(absence.left(at(1000)), Some(Duration::ZERO));
        absence.end();
        absence.begin(at(1000));
        assert_eq!(absence.left(at(1000)), Some(FORWARDING_HOLD));
    }
}
