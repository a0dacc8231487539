//! A frame on its way through, and how a way ends.

use std::net::IpAddr;

use contract::counters::{IspSlot, Point};
use contract::{Asn, Circuit, DropReason, PortId, PuntReason};
use wire::EthernetHeader;
use wire::frame::{Frame, FramePool};

use crate::output::ChargeKind;

/// A frame and what its Ethernet header says. No stage changes the frame before all that could stop it was checked, so
/// that a punted frame is as it came in.
pub(crate) struct Packet<'p> {
    pub(crate) pool: &'p mut FramePool,
    pub(crate) frame: Frame,
    pub(crate) arrived: PortId,
    pub(crate) ethernet: EthernetHeader,
    /// Octets of the Ethernet header as received.
    pub(crate) header_len: usize,
}

impl Packet<'_> {
    /// What is behind the Ethernet header.
    pub(crate) fn payload(&self) -> &[u8] {
        self.pool.octets(&self.frame).get(self.header_len..).unwrap_or_default()
    }

    /// Where the frame came in.
    pub(crate) fn circuit(&self) -> Circuit {
        Circuit { port: self.arrived, tags: self.ethernet.tags }
    }
}

/// The frame is ready to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) port: PortId,
    pub(crate) isp: IspSlot,
    pub(crate) octets: u32,
    pub(crate) kind: ChargeKind,
}

/// Whose packet it is and which end of its LSP this is, once that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) isp: IspSlot,
    pub(crate) point: Point,
}

impl Edge {
    /// The end of the packet's way here.
    pub(crate) fn drop(self, reason: DropReason) -> Stop {
        Stop::Drop(self.isp, reason)
    }
}

/// The frame goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// Dropped.
    Drop(IspSlot, DropReason),
    /// Dropped, and control may be told: the binding in this row has no Ethernet address.
    Unresolved { slot: IspSlot, isp: Asn, row: u32, address: IpAddr },
    /// For control.
    Punt(PuntReason),
}

impl From<DropReason> for Stop {
    /// A drop before it is known whose packet it is.
    fn from(reason: DropReason) -> Self {
        Self::Drop(IspSlot::NONE, reason)
    }
}
