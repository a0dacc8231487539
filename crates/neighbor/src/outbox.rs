//! Frames waiting to be transmitted.

use std::collections::VecDeque;

use contract::Circuit;

/// Frames that may wait: a few milliseconds' worth at a port's speed. More are dropped, as a link would.
const CAPACITY: usize = 4096;

/// A bounded queue; what does not fit is dropped and counted by the caller.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<(Circuit, Vec<u8>)>);

impl Outbox {
    /// `false`: full, the frame is gone.
    #[must_use]
    pub(crate) fn push(&mut self, circuit: Circuit, frame: Vec<u8>) -> bool {
        let fits = self.0.len() < CAPACITY;
        if fits {
            self.0.push_back((circuit, frame));
        }
        fits
    }

    pub(crate) fn pop(&mut self) -> Option<(Circuit, Vec<u8>)> {
        self.0.pop_front()
    }
}
