//! A packet leaves as its passage says, in one frame or in several.

use contract::counters::{IspSlot, PortCounter, Tally, WorkerCounters};
use contract::{DropReason, PortId};
use wire::fragment::Fragments;
use wire::frame::{Frame, FramePool};
use wire::{EtherType, EthernetHeader, LabelStackEntry, VlanTags, ip, stack, tcp};

use crate::output::{Charge, ChargeKind, Departure, Output};
use crate::packet::{Edge, Front, Packet, Passage, Rewrite};

/// A worker's counters, as one packet adds to them.
#[derive(Clone, Copy)]
pub(crate) struct Books<'m>(pub(crate) WorkerCounters<'m>);

impl Books<'_> {
    /// A packet is one of its ISP's, in this part of the account.
    #[inline]
    pub(crate) fn count(&self, edge: Option<Edge>, tally: Tally) {
        if let Some(Edge { isp, point, octets }) = edge {
            self.0.count(isp, point, tally, 1, octets.into());
        }
    }

    /// A frame that came in by this port went no further.
    pub(crate) fn drop(&self, port: PortId, edge: Option<Edge>, reason: DropReason) {
        let isp = edge.map_or(IspSlot::NONE, |edge| edge.isp);
        self.0.drop(isp, port, reason, 1);
        self.count(edge, Tally::Dropped);
    }
}

/// Turns a packet into departures.
pub(crate) fn depart(books: Books<'_>, packet: Packet<'_>, passage: &Passage<'_>, out: &mut Output) {
    let Packet { pool, mut frame, arrived, edge, .. } = packet;
    // Nothing that was read is beyond the frame's end.
    let _ = pool.pull_front(&mut frame, passage.skip);
    let leaving = Leaving { books, arrived, edge, passage };
    let Some(rewrite) = &passage.rewrite else { return leaving.leave(pool, frame, passage.octets, out) };
    pool.truncate(&mut frame, rewrite.ip.total_len as usize);
    let octets = pool.octets_mut(&mut frame);
    ip::set_ttl(octets, rewrite.ttl);
    if let Some(mss) = rewrite.mss {
        tcp::clamp_mss(octets, &rewrite.ip, mss);
    }
    if rewrite.ip.total_len > rewrite.mtu {
        leaving.fragments(pool, frame, rewrite, out);
    } else {
        leaving.leave(pool, frame, rewrite.ip.total_len, out);
    }
}

/// What the fragments of one packet have in common.
struct Leaving<'a> {
    books: Books<'a>,
    arrived: PortId,
    edge: Option<Edge>,
    passage: &'a Passage<'a>,
}

impl Leaving<'_> {
    /// A frame that starts with what goes beneath the front, an IP packet of so many octets, is ready but for that.
    fn leave(&self, pool: &mut FramePool, mut frame: Frame, octets: u32, out: &mut Output) {
        let edge = self.edge.map(|edge| Edge { octets, ..edge });
        if !put_front(pool, &mut frame, &self.passage.front) {
            self.books.drop(self.arrived, edge, DropReason::NoBuffer);
            return pool.free(frame);
        }
        let charge = match (edge, &self.passage.rewrite) {
            (Some(edge), _) => Charge::of_edge(self.arrived, edge),
            (None, None) => Charge::of_none(self.arrived, octets, ChargeKind::Switched),
            // An IP packet from the middle of an LSP can only be this node's.
            (None, Some(_)) => Charge::of_none(self.arrived, octets, ChargeKind::Originated),
        };
        out.departures.push(Departure { port: self.passage.port, frame, charge });
    }

    /// All fragments of a packet leave, or none (RFC 1812 §4.2.2.7). Each has its own charge.
    fn fragments(&self, pool: &mut FramePool, mut frame: Frame, rewrite: &Rewrite, out: &mut Output) {
        let plan = Fragments::new(pool.octets(&frame), &rewrite.ip, rewrite.mtu);
        let refused = match plan {
            Some(plan) if plan.count() > pool.available() as usize + 1 => Err(DropReason::NoBuffer),
            plan => plan.ok_or(DropReason::TooLong),
        };
        let plan = match refused {
            Ok(plan) => plan,
            Err(reason) => {
                self.books.drop(self.arrived, self.edge, reason);
                return pool.free(frame);
            }
        };
        self.count(&plan);
        let first = out.departures.len();
        for number in 1..plan.count() {
            let Some(mut fragment) = pool.alloc(plan.len(number)) else { continue };
            let (whole, place) = pool.octets_of_both(&frame, &mut fragment);
            plan.write(whole, number, place);
            self.leave(pool, fragment, plan.len(number) as u32, out);
        }
        // The first is what is left of the packet itself, once the others were copied from it.
        plan.cut(pool.octets_mut(&mut frame));
        pool.truncate(&mut frame, plan.len(0));
        self.leave(pool, frame, plan.len(0) as u32, out);
        if let Some(fragments) = out.departures.get_mut(first..) {
            fragments.rotate_right(1);
        }
    }

    fn count(&self, plan: &Fragments) {
        let more = plan.count() as u64 - 1;
        if let Some(Edge { isp, point, octets }) = self.edge {
            let extra = plan.octets() as u64 - u64::from(octets);
            self.books.0.count(isp, point, Tally::ExtraFragments, more, extra);
        }
        self.books.0.port(self.passage.port, PortCounter::Originated, more);
    }
}

/// Puts labels and Ethernet header before what goes beneath. `false` where headroom is lacking or where there is no label
/// to push: nothing leaves for the backbone without one.
fn put_front(pool: &mut FramePool, frame: &mut Frame, front: &Front<'_>) -> bool {
    let header = match *front {
        Front::Circuit(header) => header,
        Front::Labels { nhlfe, source, inner, above } => {
            let Some((&innermost, outer)) = nhlfe.push.labels().split_last() else { return false };
            let pushed = stack::push(pool, frame, LabelStackEntry { label: innermost, ..inner })
                && outer.iter().rev().all(|&label| {
                    let entry = LabelStackEntry { label, tc: inner.tc, bottom: false, ttl: above };
                    stack::push(pool, frame, entry)
                });
            if !pushed {
                return false;
            }
            EthernetHeader {
                destination: nhlfe.mac,
                source,
                tags: VlanTags::None,
                ether_type: EtherType::MPLS,
            }
        }
    };
    let fits = pool.push_front(frame, header.len());
    if fits {
        header.write(pool.octets_mut(frame));
    }
    fits
}
