//! Frames in and out: `rx` and `tx` of both straight lines, and the home of I/O `unsafe`.
//!
//! A [`Port`] takes frames from a device into a worker's [`FramePool`] and sends frames out of it, a burst at a time.
//! What a port delivers and accepts are complete Ethernet frames without FCS: VLAN tags are in the frame, checksums
//! are full, and no frame is longer than what its sender would have put on a wire. Whatever a virtual device leaves
//! undone (partial checksums, segmentation offload, tags as metadata) is done here ([`offload`]).
//!
//! [`AfPacket`] works on any Ethernet device and in an unprivileged user namespace. [`Memory`] is for tests. AF_XDP is
//! to come as a third: its frames live in a UMEM, so a [`FramePool`] will be able to be one, and a frame that
//! [`Port::tx_burst`] accepted will come back to the pool on completion instead of at once; nothing else changes for
//! the caller.

mod af_packet;
pub mod capture;
mod memory;
pub mod offload;

use std::io;
use std::os::fd::BorrowedFd;

use wire::MacAddr;
use wire::frame::{Frame, FramePool};

pub use af_packet::{AfPacket, Options, Protocol, RingSize};
pub use memory::{Far, Memory};

/// A device that frames come from and go to. Used by one thread at a time.
pub trait Port: Send {
    /// Takes up to `max` frames into `pool`, appended to `out`. Never waits. Frames for which there is no buffer stay
    /// where they are until the next call.
    fn rx_burst(&mut self, pool: &mut FramePool, out: &mut Vec<Frame>, max: usize) -> RxResult;

    /// Sends all of `frames`, in order, and leaves it empty: each frame is back in `pool` (or with the device, which
    /// will give it back). One outcome per frame, in order, is appended to `outcomes`. Waits at most a few
    /// milliseconds for a full queue.
    ///
    /// A device without a carrier may take frames and lose them, so the caller asks [`Self::link`] when it hears of a
    /// change (the kernel's link messages, or now and then). A port whose link was not up when last heard of asks by
    /// itself before it sends.
    fn tx_burst(&mut self, pool: &mut FramePool, frames: &mut Vec<Frame>, outcomes: &mut Vec<TxOutcome>);

    /// What becomes readable when [`Self::rx_burst`] has something, and reports an error (`POLLERR`) when
    /// [`Self::link`] should be asked; `None` where there is nothing to wait on ([`Memory`]).
    fn poll_fd(&self) -> Option<BorrowedFd<'_>>;

    /// How frames get in and out.
    fn backend(&self) -> Backend;

    /// The device's Ethernet address, as of opening or the last [`Self::link`].
    fn mac(&self) -> MacAddr;

    /// The device's MTU in octets (what may follow the Ethernet header; labels count, one 802.1Q tag does not), as of
    /// opening or the last [`Self::link`].
    fn mtu(&self) -> u32;

    /// Asks how the device is now, and takes a pending error off [`Self::poll_fd`]. A port whose device was
    /// [`Link::Down`] works again by itself when the device is up; one that is [`Link::Gone`] has to be opened anew.
    fn link(&mut self) -> Link;

    /// What was counted since opening.
    fn statistics(&mut self) -> Statistics;
}

/// What came of [`Port::rx_burst`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RxResult {
    /// Frames appended.
    pub frames: usize,
    /// There may be more: call again before waiting.
    pub more: bool,
    /// The pool ran out of buffers.
    pub starved: bool,
}

/// What became of a frame that was to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TxOutcome {
    /// The device has it.
    Sent,
    /// It went nowhere.
    Refused(Refusal),
}

/// Why a frame was not sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Refusal {
    /// Longer than the device's MTU allows.
    TooLong,
    /// Shorter than an Ethernet header, or the device did not take it for what it is.
    Malformed,
    /// The device's queue stayed full.
    QueueFull,
    /// The device is down, gone or without a carrier: see [`Port::link`].
    LinkDown,
}

/// How frames get in and out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Backend {
    /// AF_PACKET: a TPACKET_V3 ring in, `sendmmsg` out.
    AfPacket,
    /// Memory.
    Memory,
}

/// How a device is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Link {
    /// Up, with a carrier.
    Up,
    /// Up, without a carrier.
    NoCarrier,
    /// Taken down by the operator.
    Down,
    /// Deleted, or moved to another network namespace. This port is of no more use.
    Gone,
}

/// What a port counted since it was opened; frames that were delivered or sent are counted by the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Frames (before segmentation) that the kernel dropped since the ring was full.
    pub ring_drops: u64,
    /// Frames dropped since their offload metadata make no sense or ask for what we cannot do.
    pub bad_offload: u64,
    /// Frames dropped since no buffer of the pool is as long, or the ring's blocks are too short for them.
    pub rx_too_long: u64,
    /// Frames for other stations or in VLANs, dropped on a port for MPLS ([`Protocol::Mpls`]).
    pub not_for_us: u64,
    /// Times that receiving stopped since the pool was empty. Nothing is lost by that alone.
    pub starved: u64,
    /// Frames refused by [`Port::tx_burst`], all of them.
    pub tx_refused: u64,
    /// Frames that were segments of larger ones, and so are more than the kernel counts.
    pub segments: u64,
}

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// No device of that name in this network namespace.
    #[error("there is no device `{0}` in this network namespace")]
    NoSuchDevice(String),
    /// Opening packet sockets is not permitted.
    #[error(
        "opening a packet socket is not permitted: CAP_NET_RAW is needed in the device's network namespace"
    )]
    NotPermitted,
    /// Not an Ethernet device.
    #[error("device `{0}` is not an Ethernet device")]
    NotEthernet(String),
    /// Anything else.
    #[error("device `{device}`: {doing}: {source}")]
    System {
        /// The device.
        device: String,
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}
