//! Sending a burst with few system calls.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::frame::{Frame, FramePool};

use super::socket::PacketSocket;
use crate::offload::check_length;
use crate::{Refusal, TxOutcome};

/// Frames per system call.
const BATCH: usize = 64;
/// Times per burst that a full queue is waited for or tried again.
const RETRIES: u32 = 4;
/// How long a full queue is waited for each time.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// Sends `frames`, which stay the caller's, and appends an outcome for each.
pub(super) fn burst(
    socket: &PacketSocket,
    mtu: u32,
    pool: &FramePool,
    frames: &[Frame],
    outcomes: &mut Vec<TxOutcome>,
) {
    let mut retries = RETRIES;
    let mut rest = frames;
    while let [first, ..] = rest {
        if let Err(refusal) = check_length(pool.octets(first), mtu) {
            outcomes.push(TxOutcome::Refused(refusal));
            rest = &rest[1..];
            continue;
        }
        // A frame that cannot be sent ends the batch and is found at the head of the next.
        let fit = |frame: &&Frame| check_length(pool.octets(frame), mtu).is_ok();
        let batch = rest.iter().take(BATCH).take_while(fit).count();
        let sent = match send(socket, pool, &rest[..batch]) {
            Ok(sent) => {
                outcomes.extend(std::iter::repeat_n(TxOutcome::Sent, sent));
                sent
            }
            Err(error) => failed(socket, &error, rest.len(), &mut retries, outcomes),
        };
        rest = &rest[sent..];
    }
}

/// Deals with the failure of the first of `left` frames: how many frames are given up.
fn failed(
    socket: &PacketSocket,
    error: &io::Error,
    left: usize,
    retries: &mut u32,
    outcomes: &mut Vec<TxOutcome>,
) -> usize {
    let (refusal, given_up) = match error.raw_os_error() {
        Some(libc::EINTR) => return 0,
        // Our buffer is full: wait for the device.
        Some(libc::EAGAIN) if *retries > 0 => {
            *retries -= 1;
            let _ = poll(&mut [PollFd::new(&socket.as_fd(), PollFlags::OUT)], Some(&WAIT));
            return 0;
        }
        Some(libc::EAGAIN) => (Refusal::QueueFull, left),
        // The device's queue took all but this one.
        Some(libc::ENOBUFS | libc::ENOMEM) if *retries > 0 => {
            *retries -= 1;
            return 0;
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => (Refusal::QueueFull, 1),
        Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => (Refusal::LinkDown, left),
        // The MTU has become smaller than we know.
        Some(libc::EMSGSIZE) => (Refusal::TooLong, 1),
        _ => (Refusal::Malformed, 1),
    };
    outcomes.extend(std::iter::repeat_n(TxOutcome::Refused(refusal), given_up));
    given_up
}

/// Sends up to [`BATCH`] frames with one call; an error is about the first of them.
fn send(socket: &PacketSocket, pool: &FramePool, frames: &[Frame]) -> io::Result<usize> {
    let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH];
    let mut messages = [const { MaybeUninit::<libc::mmsghdr>::zeroed() }; BATCH];
    let mut count = 0;
    for ((frame, part), message) in frames.iter().zip(&mut parts).zip(&mut messages) {
        let octets = pool.octets(frame);
        // The kernel only reads through this pointer.
        let part =
            part.write(libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() });
        // SAFETY: all octets zero are a valid `mmsghdr`.
        let message = unsafe { message.assume_init_mut() };
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` messages are initialised, and each points to one part, which points to octets of the
    // pool; all of them outlive the call.
    let sent = unsafe {
        libc::sendmmsg(socket.as_fd().as_raw_fd(), messages.as_mut_ptr().cast(), count, libc::MSG_DONTWAIT)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
