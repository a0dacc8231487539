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
    whole: bool,
}

impl Absence {
    /// Control went.
    pub(crate) fn begin(&mut self, now: Tick) {
        self.since.get_or_insert(now);
    }

    /// Control has said all that it knows: the tables hold every label that it told neighbors.
    pub(crate) fn end(&mut self) {
        *self = Self { since: None, whole: true };
    }

    /// What control had learned was removed: labels that neighbors know are forgotten.
    pub(crate) fn give_up(&mut self) {
        *self = Self::default();
    }

    /// Whether the tables hold every label that a control has told neighbors since there are tables.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
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
        assert!(!absence.is_whole());
        absence.end();
        assert!(absence.is_whole());
        absence.begin(at(1000));
        assert_eq!(absence.left(at(1000)), Some(FORWARDING_HOLD));
        assert!(absence.is_whole());
        absence.give_up();
        assert_eq!((absence.left(at(1001)), absence.is_whole()), (None, false));
    }
}
