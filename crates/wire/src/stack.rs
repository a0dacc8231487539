//! Label stacks (RFC 3032 §2.1): reading them, and pushing and popping at the front of a frame.

use crate::LabelStackEntry;
use crate::frame::{Frame, FramePool};

/// The entries of a stack, from the top to its bottom.
///
/// Ends with the bottom entry, or before it where the octets end: [`Entries::payload`] tells.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    octets: &'a [u8],
    bottom: bool,
}

/// The stack that these octets start with (behind the Ethernet header).
pub fn entries(octets: &[u8]) -> Entries<'_> {
    Entries { octets, bottom: false }
}

impl<'a> Entries<'a> {
    /// What is behind the bottom entry, once that was read.
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.bottom.then_some(self.octets)
    }
}

impl Iterator for Entries<'_> {
    type Item = LabelStackEntry;

    fn next(&mut self) -> Option<LabelStackEntry> {
        if self.bottom {
            return None;
        }
        let (bytes, rest) = self.octets.split_first_chunk::<{ LabelStackEntry::LEN }>()?;
        self.octets = rest;
        let entry = LabelStackEntry::from_bytes(*bytes);
        self.bottom = entry.bottom;
        Some(entry)
    }
}

/// Takes the first entry off a frame that starts with a stack; `None`, and nothing changed, where there is none.
pub fn pop(pool: &FramePool, frame: &mut Frame) -> Option<LabelStackEntry> {
    let entry = entries(pool.octets(frame)).next()?;
    pool.pull_front(frame, LabelStackEntry::LEN).then_some(entry)
}

/// Puts an entry before a frame's first octet. `false`, and nothing changed, where the headroom does not suffice.
#[must_use]
pub fn push(pool: &mut FramePool, frame: &mut Frame, entry: LabelStackEntry) -> bool {
    let fits = pool.push_front(frame, LabelStackEntry::LEN);
    if fits && let Some(place) = pool.octets_mut(frame).first_chunk_mut() {
        *place = entry.to_bytes();
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Label;

    fn entry(label: u32, bottom: bool) -> LabelStackEntry {
        LabelStackEntry { label: Label::new(label).unwrap(), tc: 0, bottom, ttl: 7 }
    }

    #[test]
    fn a_stack_ends_at_its_bottom_or_where_the_octets_end() {
        let (a, b) = (entry(16, false), entry(17, true));
        let octets = [&a.to_bytes()[..], &b.to_bytes(), b"ip"].concat();
        let mut stack = entries(&octets);
        assert_eq!(stack.payload(), None);
        assert_eq!(stack.by_ref().collect::<Vec<_>>(), [a, b]);
        assert_eq!(stack.payload(), Some(&b"ip"[..]));
        for len in 0..8 {
            let mut stack = entries(&octets[..len]);
            assert_eq!((stack.by_ref().count(), stack.payload()), (len / 4, None));
        }
    }

    #[test]
    fn what_is_pushed_is_popped() {
        let mut pool = FramePool::new(1, 64);
        let mut frame = pool.alloc_from(b"ip").unwrap();
        assert!(
            push(&mut pool, &mut frame, entry(17, true)) && push(&mut pool, &mut frame, entry(16, false))
        );
        assert_eq!(pool.octets(&frame), b"\x00\x01\x00\x07\x00\x01\x11\x07ip");
        assert_eq!(pop(&pool, &mut frame), Some(entry(16, false)));
        assert_eq!(pop(&pool, &mut frame), Some(entry(17, true)));
        assert_eq!((pop(&pool, &mut frame), frame.len()), (None, 2));
        while push(&mut pool, &mut frame, entry(18, false)) {}
        assert_eq!(frame.len(), 2 + crate::frame::HEADROOM);
        pool.free(frame);
    }
}
