//! Frames: owned, move-only handles to buffers of a pool.
//!
//! A frame is an index and the part of its buffer that holds octets. It is neither `Clone` nor may it be dropped: who
//! has it either passes it on or gives it back with [`FramePool::free`]. So `free + outstanding = total` holds at every
//! moment ([`FramePool::available`], [`FramePool::capacity`]), and a frame in two queues is a type error.

/// A pool of buffers of one size, used by one thread. The most recently freed buffer is handed out first, so that a
/// lightly loaded node touches little memory.
pub struct FramePool {
    memory: Box<[u8]>,
    buffer_len: usize,
    free: Vec<u32>,
    capacity: u32,
}

/// A frame in a buffer of a [`FramePool`]; must be given back to the pool it came from.
#[derive(Debug)]
#[must_use = "a frame is passed on or freed"]
pub struct Frame {
    index: u32,
    start: u32,
    len: u32,
}

/// Octets left free before a received frame, for two VLAN tags and a stack of labels.
pub const HEADROOM: usize = 64;

impl FramePool {
    /// A pool of `capacity` buffers, each with room for [`HEADROOM`] and a frame of `frame_len` octets.
    pub fn new(capacity: u32, frame_len: usize) -> Self {
        let buffer_len = (HEADROOM + frame_len).next_multiple_of(64);
        Self {
            memory: vec![0; buffer_len * capacity as usize].into_boxed_slice(),
            buffer_len,
            free: (0..capacity).rev().collect(),
            capacity,
        }
    }

    /// Buffers in all.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Buffers that are not handed out.
    pub fn available(&self) -> u32 {
        self.free.len() as u32
    }

    /// The longest frame that a buffer holds behind its headroom.
    pub fn frame_len(&self) -> usize {
        self.buffer_len - HEADROOM
    }

    /// A frame of `len` octets behind [`HEADROOM`], its content undefined (but initialised); `None` when the pool is
    /// empty or `len` exceeds [`Self::frame_len`].
    pub fn alloc(&mut self, len: usize) -> Option<Frame> {
        if len > self.frame_len() {
            return None;
        }
        let index = self.free.pop()?;
        Some(Frame { index, start: HEADROOM as u32, len: len as u32 })
    }

    /// A frame with a copy of `octets`; `None` as for [`Self::alloc`].
    pub fn alloc_from(&mut self, octets: &[u8]) -> Option<Frame> {
        let mut frame = self.alloc(octets.len())?;
        self.octets_mut(&mut frame).copy_from_slice(octets);
        Some(frame)
    }

    /// Gives a frame back.
    pub fn free(&mut self, frame: Frame) {
        self.free.push(frame.index);
        debug_assert!(self.free.len() <= self.capacity as usize, "a frame of another pool was freed");
        std::mem::forget(frame);
    }

    /// The frame's octets.
    pub fn octets(&self, frame: &Frame) -> &[u8] {
        let at = self.offset(frame);
        &self.memory[at..at + frame.len as usize]
    }

    /// The frame's octets, to be written.
    pub fn octets_mut(&mut self, frame: &mut Frame) -> &mut [u8] {
        let at = self.offset(frame);
        &mut self.memory[at..at + frame.len as usize]
    }

    /// The octets of one frame, and those of another to be written.
    pub fn octets_of_both<'a>(&'a mut self, one: &Frame, other: &mut Frame) -> (&'a [u8], &'a mut [u8]) {
        let (at, to) = (self.offset(one), self.offset(other));
        // Two frames have two buffers, one of which is behind the other.
        if one.index < other.index {
            let (low, high) = self.memory.split_at_mut(to);
            (&low[at..at + one.len as usize], &mut high[..other.len as usize])
        } else {
            let (low, high) = self.memory.split_at_mut(at);
            (&high[..one.len as usize], &mut low[to..to + other.len as usize])
        }
    }

    /// Puts `octets` octets before the frame; their content is undefined. `false`, and nothing changed, where the
    /// headroom does not suffice.
    #[must_use]
    pub fn push_front(&self, frame: &mut Frame, octets: usize) -> bool {
        match frame.start.checked_sub(octets as u32) {
            Some(start) => {
                frame.start = start;
                frame.len += octets as u32;
                true
            }
            None => false,
        }
    }

    /// Takes `octets` octets off the front. `false`, and nothing changed, where the frame is shorter.
    #[must_use]
    pub fn pull_front(&self, frame: &mut Frame, octets: usize) -> bool {
        match frame.len.checked_sub(octets as u32) {
            Some(len) => {
                frame.start += octets as u32;
                frame.len = len;
                true
            }
            None => false,
        }
    }

    /// Cuts the frame to `len` octets (Ethernet padding); longer frames only.
    pub fn truncate(&self, frame: &mut Frame, len: usize) {
        frame.len = frame.len.min(len as u32);
    }

    fn offset(&self, frame: &Frame) -> usize {
        frame.index as usize * self.buffer_len + frame.start as usize
    }
}

impl Frame {
    /// Octets in the frame.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the frame has no octets.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // In a release build the buffer is lost, which the pool's balance shows; a panic would cost every ISP's packets.
        debug_assert!(std::thread::panicking(), "a frame was dropped instead of freed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_out_and_what_is_free_make_the_whole() {
        let mut pool = FramePool::new(2, 100);
        let a = pool.alloc_from(&[1; 100]).unwrap();
        let b = pool.alloc(10).unwrap();
        assert_eq!(pool.available(), 0);
        assert!(pool.alloc(1).is_none());
        pool.free(a);
        pool.free(b);
        assert_eq!((pool.available(), pool.capacity()), (2, 2));
        assert!(pool.alloc(pool.frame_len() + 1).is_none());
    }

    #[test]
    fn headers_go_on_and_come_off_at_the_front() {
        let mut pool = FramePool::new(1, 100);
        let mut frame = pool.alloc_from(&[7, 8, 9]).unwrap();
        assert!(pool.push_front(&mut frame, 2));
        pool.octets_mut(&mut frame)[..2].copy_from_slice(&[5, 6]);
        assert_eq!(pool.octets(&frame), [5, 6, 7, 8, 9]);
        assert!(pool.pull_front(&mut frame, 3));
        assert_eq!(pool.octets(&frame), [8, 9]);
        assert!(!pool.pull_front(&mut frame, 3));
        assert!(!pool.push_front(&mut frame, HEADROOM + 4));
        pool.truncate(&mut frame, 1);
        assert_eq!(pool.octets(&frame), [8]);
        pool.free(frame);
    }

    #[test]
    fn one_frame_is_copied_to_another_whichever_is_first() {
        let mut pool = FramePool::new(2, 100);
        let (mut a, mut b) = (pool.alloc_from(&[1; 100]).unwrap(), pool.alloc_from(&[2; 90]).unwrap());
        for _ in 0..2 {
            let (from, to) = pool.octets_of_both(&a, &mut b);
            to[..2].copy_from_slice(&from[98..]);
            assert_eq!((from.len(), to.len(), &to[1..3]), (100, 90, &[1, 2][..]));
            pool.octets_mut(&mut b)[..2].fill(2);
            (a, b) = (b, a);
            pool.octets_mut(&mut a)[..].fill(1);
            assert!(pool.push_front(&mut a, 10) && pool.pull_front(&mut b, 10));
            pool.octets_mut(&mut a)[..].fill(1);
            pool.octets_mut(&mut b)[..].fill(2);
        }
        pool.free(a);
        pool.free(b);
    }

    #[test]
    #[should_panic(expected = "dropped instead of freed")]
    fn a_dropped_frame_is_noticed() {
        let mut pool = FramePool::new(1, 100);
        drop(pool.alloc(1));
    }
}
