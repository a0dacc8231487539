//! What the starts of a node leave behind of the labels that neighbors may still send by.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Kept in the runtime directory, which a reboot clears: there while labels are given out, and afterwards if the node was
/// ended without a word, or if a start before it had not waited long enough yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LabelMemory {
    /// The number of the last start.
    pub(crate) number: u32,
    /// Until when neighbors may send by labels of which nobody here knows any more: by the time since the machine's boot.
    pub(crate) doubt_until: Duration,
}

impl LabelMemory {
    /// A start of this number or, if that is no greater than the last one's, a greater.
    pub(crate) fn begin(before: Option<Self>, number: u32) -> Self {
        let before_or_none = before.unwrap_or_default();
        let least = before.map_or(0, |before| before.number.saturating_add(1));
        Self { number: number.max(least), ..before_or_none }
    }

    /// How long no label is to be given out: `longest` unless the forwarder holds every label that was told, and what an
    /// earlier start has left of that in any case.
    pub(crate) fn wait(&mut self, now: Duration, forwarder_knows: bool, longest: Duration) -> Duration {
        let left = self.doubt_until.saturating_sub(now).min(longest);
        let wait = if forwarder_knows { left } else { longest };
        self.doubt_until = now + wait;
        wait
    }

    /// Whether a start now would have to wait, though the one before was ended in order.
    pub(crate) fn is_in_doubt(&self, now: Duration) -> bool {
        now < self.doubt_until
    }
}

impl fmt::Display for LabelMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.doubt_until.as_secs())
    }
}

/// The text of a file that was cut off, or is another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoMemory;

impl FromStr for LabelMemory {
    type Err = NoMemory;

    fn from_str(text: &str) -> Result<Self, NoMemory> {
        let (number, seconds) = text.trim().split_once(' ').ok_or(NoMemory)?;
        let number = number.parse().map_err(|_| NoMemory)?;
        let doubt_until = Duration::from_secs(seconds.parse().map_err(|_| NoMemory)?);
        Ok(Self { number, doubt_until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(240);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn no_start_has_the_number_of_one_before() {
        let first = LabelMemory::begin(None, 100);
        assert_eq!(first.number, 100);
        let second = LabelMemory::begin(Some(first), 100);
        assert_eq!(second.number, 101);
        assert_eq!(LabelMemory::begin(Some(second), 99).number, 102);
        assert_eq!(LabelMemory::begin(Some(second), 200).number, 200);
    }

    #[test]
    fn a_start_goes_on_waiting_where_the_one_before_was_killed() {
        let mut memory = LabelMemory::begin(None, 1);
        assert_eq!(memory.wait(at(1000), false, LONGEST), LONGEST);
        // Its forwarder knows all that it told, which is nothing; not what was told before.
        let mut second = LabelMemory::begin(Some(memory), 2);
        assert_eq!(second.wait(at(1100), true, LONGEST), at(140));
        let mut third = LabelMemory::begin(Some(second), 3);
        assert_eq!(third.wait(at(1300), true, LONGEST), Duration::ZERO);
        assert!(memory.is_in_doubt(at(1239)) && !memory.is_in_doubt(at(1240)));
    }

    #[test]
    fn what_is_written_is_read() {
        let memory = LabelMemory { number: 7, doubt_until: at(99) };
        assert_eq!(memory.to_string().parse(), Ok(memory));
        for text in ["", "7", "7 ", "x 1", "7 1 1", "-7 1"] {
            assert_eq!(text.parse::<LabelMemory>(), Err(NoMemory), "{text:?}");
        }
    }
}
