//! A frame on its way through, and how a way ends.

use std::net::IpAddr;

use contract::counters::{IspSlot, Point};
use contract::{Asn, Circuit, DropReason, Nhlfe, PortId, PuntReason, SubscriberId};
use wire::frame::{Frame, FramePool};
use wire::ip::IpHeader;
use wire::{EthernetHeader, Label, LabelStackEntry, MacAddr};

use crate::tables::IspIndex;

/// A frame and what is known of it so far. No stage changes the frame before all that could stop it was checked, so that a
/// punted frame is as it came in, and an ICMP error quotes the packet as its sender sent it.
pub(crate) struct Packet<'p> {
    pub(crate) pool: &'p mut FramePool,
    pub(crate) frame: Frame,
    pub(crate) arrived: PortId,
    pub(crate) ethernet: EthernetHeader,
    /// Octets of the Ethernet header as received.
    pub(crate) header_len: usize,
    /// Whose packet it is, once that is known: from then on it is in that ISP's account.
    pub(crate) edge: Option<Edge>,
    /// Who sent it, once that is known: from then on its sender may be told what became of it.
    pub(crate) origin: Option<Origin>,
}

impl Packet<'_> {
    /// What is behind the Ethernet header.
    pub(crate) fn payload(&self) -> &[u8] {
        self.octets(self.header_len)
    }

    /// What is behind this many octets.
    pub(crate) fn octets(&self, at: usize) -> &[u8] {
        self.pool.octets(&self.frame).get(at..).unwrap_or_default()
    }

    /// Where the frame came in.
    pub(crate) fn circuit(&self) -> Circuit {
        Circuit { port: self.arrived, tags: self.ethernet.tags }
    }

    /// It goes on another way than it came: turned round.
    pub(crate) fn goes(&mut self, point: Point) {
        self.edge = self.edge.map(|edge| Edge { point, ..edge });
    }
}

/// An ISP's packet at one end of its LSP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Edge {
    pub(crate) isp: IspSlot,
    pub(crate) point: Point,
    /// Octets of the IP packet by its header; of what is none, those that there are.
    pub(crate) octets: u32,
}

/// An ISP's IP packet and the way back to its sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) isp: IspIndex,
    pub(crate) ip: IpHeader,
    /// Where the IP packet begins in the frame.
    pub(crate) at: usize,
    /// Octets of label stack just before it that its sender may see (RFC 4950).
    pub(crate) labels: usize,
    pub(crate) back: Back,
}

/// The way back to the sender of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Back {
    /// Out of the circuit that it came in by, to this station.
    Circuit(MacAddr),
    /// Headend: into the LSP to the ISP that this subscriber's packets take.
    Isp(SubscriberId),
    /// Tailend: into the LSP to the headend of the sender, by the ISP's own table.
    Subscriber,
    /// Transit: on in the LSP of this incoming label, at whose end it is turned round (RFC 3032 §2.3.2).
    Onward(Label),
}

/// How a packet leaves, decided in full before its frame is touched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage<'t> {
    /// Octets that come off the frame's front.
    pub(crate) skip: usize,
    /// What is done to the IP packet behind them; `None`: it is label-switched, as it is.
    pub(crate) rewrite: Option<Rewrite>,
    /// The port that it leaves by.
    pub(crate) port: PortId,
    /// Octets by which a label-switched packet is counted.
    pub(crate) octets: u32,
    pub(crate) front: Front<'t>,
}

/// What is done to an IP packet that enters or leaves its LSP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rewrite {
    pub(crate) ip: IpHeader,
    /// The TTL or hop limit that it leaves with.
    pub(crate) ttl: u8,
    /// The longest packet that leaves whole.
    pub(crate) mtu: u32,
    /// The largest TCP segment that a SYN may announce.
    pub(crate) mss: Option<u16>,
}

/// What is put before a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Front<'t> {
    /// The entry's labels: the innermost with the fields of `inner`, those above it with the TTL `above`.
    Labels { nhlfe: &'t Nhlfe, source: MacAddr, inner: LabelStackEntry, above: u8 },
    /// The Ethernet header of a circuit.
    Circuit(EthernetHeader),
}

/// The frame goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// Dropped; its sender is told, where there is something to tell.
    Drop(DropReason),
    /// Longer than this, and not to be fragmented: dropped, and its sender told.
    TooLong(u32),
    /// Dropped, and control may be told: the binding in this row has no Ethernet address.
    Unresolved { isp: Asn, row: u32, address: IpAddr },
    /// Its destination is an address of this node's own.
    Own,
    /// For control; in nobody's account.
    Punt(PuntReason),
}

impl From<DropReason> for Stop {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}
