//! Captures: what passes a device, both ways, as a file that Wireshark opens.
//!
//! A capture sees frames as the kernel has them, so those of a virtual device may be up to 64 KiB long and their
//! checksums partial, as in any capture tool. It does not take frames away from anybody.

mod socket;
mod writer;

use std::time::Duration;

pub use socket::Capture;
pub use writer::Writer;

/// A captured frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Captured<'a> {
    /// As much of the frame as was asked for, VLAN tags included.
    pub octets: &'a [u8],
    /// Octets of the whole frame.
    pub len: u32,
    /// When the kernel saw it, since the Unix epoch.
    pub time: Duration,
    /// Which way it went.
    pub direction: Direction,
}

/// Which way a captured frame went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// It came in by the device.
    In,
    /// It was sent by the device.
    Out,
}
