//! The ring's memory as the kernel shares it.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::RingSize;
use super::abi::{BLOCK_HEADER, BLOCK_STATUS, TP_STATUS_KERNEL, TP_STATUS_USER};
use super::ring::Blocks;
use super::socket::{DeviceError, PacketSocket};

/// A mapped TPACKET_V3 receive ring. Unmapped when dropped; the kernel keeps its side until the socket is closed.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    block_len: usize,
    blocks: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is reached only through `&self` and `&mut self`.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Sets up a ring on the socket and maps it.
    pub(super) fn new(socket: &PacketSocket, size: RingSize) -> Result<Self, DeviceError> {
        let (block_len, blocks) = (size.block_len as usize, size.blocks as usize);
        socket.set_up_ring(size)?;
        let start = socket.map(block_len * blocks)?;
        Ok(Self { start, block_len, blocks })
    }

    fn block(&self, block: usize) -> NonNull<u8> {
        assert!(block < self.blocks, "block {block} of {}", self.blocks);
        // SAFETY: within the mapping, since there are that many blocks of that length in it.
        unsafe { self.start.add(block * self.block_len) }
    }

    fn status(&self, block: usize) -> &AtomicU32 {
        const { assert!(BLOCK_STATUS.is_multiple_of(align_of::<AtomicU32>())) };
        // SAFETY: within the block (the kernel takes no block smaller than a page) and aligned, since blocks begin at
        // page boundaries. Kernel and we both reach this word only as a whole. It lives as long as `self`.
        unsafe { AtomicU32::from_ptr(self.block(block).add(BLOCK_STATUS).cast().as_ptr()) }
    }
}

impl Blocks for Mapping {
    fn count(&self) -> usize {
        self.blocks
    }

    fn ours(&self, block: usize) -> Option<&[u8]> {
        // Acquire: what the kernel wrote before it closed the block is seen.
        if self.status(block).load(Ordering::Acquire) & TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: within the mapping, initialised by the kernel, and not written by it while the status says that the
        // block is ours. The status goes back only in `give_back`, which takes `&mut self` and so ends this borrow.
        Some(unsafe { std::slice::from_raw_parts(self.block(block).as_ptr(), self.block_len) })
    }

    fn give_back(&mut self, block: usize) {
        const { assert!(BLOCK_HEADER > BLOCK_STATUS) };
        // Release: our reads are over before the kernel writes again.
        self.status(block).store(TP_STATUS_KERNEL, Ordering::Release);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.block_len * self.blocks) };
    }
}
