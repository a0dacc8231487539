//! A port whose other end is in the same process.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::MacAddr;
use wire::frame::{Frame, FramePool};

use crate::{Backend, Link, Port, Refusal, RxResult, Statistics, TxOutcome};

/// Frames that wait in one direction at most, so that a test that forgets to read fails instead of growing.
const QUEUE: usize = 65_536;

/// A port in memory, for tests: what it sends, its other end receives. See [`Memory::pair`] and [`Memory::with_far`].
#[derive(Debug)]
pub struct Memory {
    mac: MacAddr,
    mtu: u32,
    rx: Queue,
    tx: Queue,
    link: Arc<Mutex<Link>>,
    statistics: Statistics,
}

/// The other end of a [`Memory`] port, in the hands of a test.
#[derive(Clone, Debug)]
pub struct Far {
    rx: Queue,
    tx: Queue,
    link: Arc<Mutex<Link>>,
}

type Queue = Arc<Mutex<VecDeque<Vec<u8>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// Two ports joined by a cable.
    pub fn pair(a: MacAddr, b: MacAddr, mtu: u32) -> (Self, Self) {
        let (near, far) = Self::with_far(a, mtu);
        let b =
            Self { mac: b, mtu, rx: far.rx, tx: far.tx, link: far.link, statistics: Statistics::default() };
        (near, b)
    }

    /// A port and its other end.
    pub fn with_far(mac: MacAddr, mtu: u32) -> (Self, Far) {
        let (to_far, to_near) = (Queue::default(), Queue::default());
        let link = Arc::new(Mutex::new(Link::Up));
        let far = Far { rx: Arc::clone(&to_far), tx: Arc::clone(&to_near), link: Arc::clone(&link) };
        (Self { mac, mtu, rx: to_near, tx: to_far, link, statistics: Statistics::default() }, far)
    }

    fn send(&self, octets: &[u8]) -> TxOutcome {
        if *lock(&self.link) != Link::Up {
            return TxOutcome::Refused(Refusal::LinkDown);
        }
        if let Err(refusal) = crate::offload::check_length(octets, self.mtu) {
            return TxOutcome::Refused(refusal);
        }
        let mut queue = lock(&self.tx);
        if queue.len() >= QUEUE {
            return TxOutcome::Refused(Refusal::QueueFull);
        }
        queue.push_back(octets.to_vec());
        TxOutcome::Sent
    }
}

impl Port for Memory {
    fn rx_burst(&mut self, pool: &mut FramePool, out: &mut Vec<Frame>, max: usize) -> RxResult {
        let mut result = RxResult::default();
        let mut queue = lock(&self.rx);
        while result.frames < max {
            let Some(octets) = queue.front() else { return result };
            if octets.len() > pool.frame_len() {
                self.statistics.rx_too_long += 1;
            } else if let Some(frame) = pool.alloc_from(octets) {
                out.push(frame);
                result.frames += 1;
            } else {
                self.statistics.starved += 1;
                result.starved = true;
                break;
            }
            queue.pop_front();
        }
        result.more = !queue.is_empty();
        result
    }

    fn tx_burst(&mut self, pool: &mut FramePool, frames: &mut Vec<Frame>, outcomes: &mut Vec<TxOutcome>) {
        for frame in frames.drain(..) {
            let outcome = self.send(pool.octets(&frame));
            self.statistics.tx_refused += u64::from(outcome != TxOutcome::Sent);
            outcomes.push(outcome);
            pool.free(frame);
        }
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn backend(&self) -> Backend {
        Backend::Memory
    }

    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u32 {
        self.mtu
    }

    fn link(&mut self) -> Link {
        *lock(&self.link)
    }

    fn statistics(&mut self) -> Statistics {
        self.statistics
    }
}

impl Far {
    /// Has the port receive this frame.
    pub fn send(&self, octets: &[u8]) {
        lock(&self.tx).push_back(octets.to_vec());
    }

    /// Takes the next frame that the port sent.
    pub fn receive(&self) -> Option<Vec<u8>> {
        lock(&self.rx).pop_front()
    }

    /// Sets how the link is, for both ends.
    pub fn set_link(&self, link: Link) {
        *lock(&self.link) = link;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    #[test]
    fn frames_cross_in_order_and_every_buffer_comes_back() {
        let (mut a, mut b) = Memory::pair(A, B, 1500);
        let mut pool = FramePool::new(4, 1600);
        let (mut frames, mut outcomes) = (Vec::new(), Vec::new());
        for n in 0..3_u8 {
            frames.push(pool.alloc_from(&[n; 60]).unwrap());
        }
        frames.push(pool.alloc_from(&[9; 1515]).unwrap());
        a.tx_burst(&mut pool, &mut frames, &mut outcomes);
        assert_eq!(outcomes[..3], [TxOutcome::Sent; 3]);
        assert_eq!(outcomes[3], TxOutcome::Refused(Refusal::TooLong));
        assert_eq!((pool.available(), a.statistics().tx_refused), (4, 1));

        let held: Vec<_> = (0..2).map(|_| pool.alloc(1).unwrap()).collect();
        let got = b.rx_burst(&mut pool, &mut frames, 8);
        assert_eq!(got, RxResult { frames: 2, more: true, starved: true });
        held.into_iter().for_each(|frame| pool.free(frame));
        assert_eq!(
            b.rx_burst(&mut pool, &mut frames, 8),
            RxResult { frames: 1, more: false, starved: false }
        );
        for (n, frame) in frames.drain(..).enumerate() {
            assert_eq!(pool.octets(&frame), [n as u8; 60]);
            pool.free(frame);
        }
        assert_eq!(pool.available(), pool.capacity());
    }

    #[test]
    fn nothing_leaves_a_port_that_is_down() {
        let (mut port, far) = Memory::with_far(A, 1500);
        far.set_link(Link::Down);
        let mut pool = FramePool::new(1, 100);
        let (mut frames, mut outcomes) = (vec![pool.alloc_from(&[0; 60]).unwrap()], Vec::new());
        port.tx_burst(&mut pool, &mut frames, &mut outcomes);
        assert_eq!(outcomes, [TxOutcome::Refused(Refusal::LinkDown)]);
        assert_eq!((far.receive(), port.link(), pool.available()), (None, Link::Down, 1));
    }
}
