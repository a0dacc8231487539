//! What becomes of frames: values for the composition root to act on.

use std::net::IpAddr;

use contract::counters::{IspSlot, Point};
use contract::{Asn, Circuit, PortId, PuntReason};
use wire::frame::{Frame, FramePool};

use crate::packet::Edge;

/// What [`crate::Forwarder::process`] made of frames. The owner drains it and passes it in again, so that its memory is
/// allocated once.
#[derive(Debug, Default)]
pub struct Output {
    /// To be sent.
    pub departures: Vec<Departure>,
    /// For control.
    pub punts: Vec<Punt>,
    /// Subscribers whose Ethernet address control should find out (already rate-limited).
    pub unresolved: Vec<Unresolved>,
}

/// A frame to be sent. The port that takes it is followed by [`crate::Forwarder::accepted`], one that does not by
/// [`crate::Forwarder::refused`]: a packet counts when it is accepted for transmission, not before.
#[derive(Debug)]
pub struct Departure {
    /// The port to send by.
    pub port: PortId,
    /// The frame as it goes on the wire, without FCS, perhaps shorter than Ethernet's least 60 octets.
    pub frame: Frame,
    /// What is counted once it is accepted, or refused.
    pub charge: Charge,
}

/// What is counted for a frame once a port accepted it or refused it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Charge {
    /// The port that it came in by; for a frame of control's, the one that it leaves by.
    pub(crate) arrived: PortId,
    pub(crate) isp: IspSlot,
    /// Octets of the IP packet by its header.
    pub(crate) octets: u32,
    pub(crate) kind: ChargeKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChargeKind {
    /// An ISP's packet at one end of its LSP.
    Edge(Point),
    /// A label-switched packet.
    Switched,
    /// A frame of control's, or an error of this node's in the middle of an LSP.
    Originated,
}

/// A frame for control. Whoever hands it over says so with [`crate::Forwarder::punted`], or with
/// [`crate::Forwarder::punt_refused`] where that was not possible.
#[derive(Debug)]
pub struct Punt {
    /// Where it came in; a backbone port has no tags.
    pub circuit: Circuit,
    /// Why control gets it.
    pub reason: PuntReason,
    /// The frame; VLAN tags are taken off, labels are not.
    pub frame: Frame,
}

/// A packet was dropped since its subscriber's Ethernet address is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unresolved {
    /// The ISP.
    pub isp: Asn,
    /// The packet's destination.
    pub address: IpAddr,
}

impl Charge {
    /// That of an ISP's packet at one end of its LSP.
    pub(crate) fn of_edge(arrived: PortId, edge: Edge) -> Self {
        Self { arrived, isp: edge.isp, octets: edge.octets, kind: ChargeKind::Edge(edge.point) }
    }

    /// That of a packet in nobody's account.
    pub(crate) fn of_none(arrived: PortId, octets: u32, kind: ChargeKind) -> Self {
        Self { arrived, isp: IspSlot::NONE, octets, kind }
    }
}

impl Output {
    /// Gives all frames back to their pool and forgets the rest.
    pub fn clear(&mut self, pool: &mut FramePool) {
        self.departures.drain(..).for_each(|departure| pool.free(departure.frame));
        self.punts.drain(..).for_each(|punt| pool.free(punt.frame));
        self.unresolved.clear();
    }
}

const _: () = assert!(size_of::<Departure>() <= 32, "departures are written and read once per packet");
