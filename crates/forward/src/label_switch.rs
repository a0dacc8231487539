//! A labelled frame: swapped here, or popped for the stage that follows.

use std::net::{IpAddr, Ipv6Addr};

use contract::counters::Point;
use contract::{Circuit, DropReason, Nhlfe, PuntReason, TtlModel};
use wire::ip::IpHeader;
use wire::{Label, LabelStackEntry, stack};

use crate::access_out::ANY_SUBSCRIBER;
use crate::classify;
use crate::hash;
use crate::impose::way;
use crate::packet::{Back, Edge, Front, Origin, Packet, Passage, Stop};
use crate::tables::{Isp, IspIndex, LabelAction, Tables};

/// What a label asks for.
pub(crate) enum Switched<'t> {
    /// The label is swapped.
    Onward(Passage<'t>),
    /// Tailend: the packet under the label leaves by this handoff of the ISP.
    ToHandoff(Circuit, Popped<'t>),
    /// Headend: the packet under the label is for a subscriber of the ISP.
    ToSubscriber(Popped<'t>),
}

/// A packet that came from under its ISP's label.
#[derive(Clone, Copy)]
pub(crate) struct Popped<'t> {
    pub(crate) isp: &'t Isp,
    pub(crate) index: IspIndex,
    pub(crate) label_ttl: u8,
    pub(crate) ip: IpHeader,
    /// Where it begins in the frame.
    pub(crate) at: usize,
}

impl Popped<'_> {
    /// The TTL that the packet leaves with; `None` where it ran out.
    pub(crate) fn ttl(&self, model: TtlModel) -> Option<u8> {
        match model {
            // The LER at the end of the pipe is a hop like any other (RFC 3443 §3.2).
            TtlModel::Pipe => self.ip.ttl.checked_sub(1),
            // RFC 3443 §3.1. Where the packet's own is smaller, as no LER of this model leaves it, it stays so: a TTL
            // that grew could let a packet circle for ever.
            TtlModel::Uniform => Some(self.label_ttl.saturating_sub(1).min(self.ip.ttl)),
        }
        .filter(|&ttl| ttl > 0)
    }
}

/// Does with the top label what the ILM says.
pub(crate) fn label_switch<'t>(
    tables: &'t Tables,
    seed: u64,
    packet: &mut Packet<'_>,
) -> Result<Switched<'t>, Stop> {
    let top = stack::entries(packet.payload()).next().ok_or(DropReason::Truncated)?;
    if let Some(reason) = special(top.label) {
        return Err(Stop::Punt(reason));
    }
    if !top.label.is_real() {
        return Err(DropReason::ReservedLabel.into());
    }
    let action = tables.action(top.label);
    // Whatever the label is, since an LSR must tell a tracing peer even that it does not know it (RFC 8029 §4.4).
    if top.ttl <= 1 {
        return Err(action.map_or(EXPIRED, |action| expired(tables, packet, top, action)));
    }
    match action.ok_or(DropReason::UnknownLabel)? {
        LabelAction::Swap { isp, nhlfes } => {
            let passage = swap(tables, seed, packet, top, nhlfes);
            if let (Err(Stop::TooLong(_)), &Some(isp)) = (&passage, isp) {
                packet.origin = transit_origin(packet, top, isp, 0);
            }
            passage.map(Switched::Onward)
        }
        &LabelAction::PopToHandoff { isp, handoff } => {
            pop(tables, packet, isp, Point::TailendToIsp).map(|popped| Switched::ToHandoff(handoff, popped))
        }
        &LabelAction::PopToSubscribers { isp } => {
            pop(tables, packet, isp, Point::HeadendToSubscriber).map(Switched::ToSubscriber)
        }
    }
}

/// The special-purpose labels that are for control.
fn special(label: Label) -> Option<PuntReason> {
    match label {
        Label::ROUTER_ALERT => Some(PuntReason::RouterAlert),
        Label::GAL => Some(PuntReason::Gal),
        _ => None,
    }
}

/// A label whose TTL ran out and of which nobody but control can make anything.
const EXPIRED: Stop = Stop::Punt(PuntReason::LabelTtlExpired);

/// A label's TTL ran out. The packet under it is dropped and its sender told (RFC 3032 §2.3), if it is known whose it is
/// and this node has an address to tell it from; anything else may be OAM and is for control (RFC 8029 §4.4).
fn expired(tables: &Tables, packet: &mut Packet<'_>, top: LabelStackEntry, action: &LabelAction) -> Stop {
    let index = match *action {
        LabelAction::Swap { isp: Some(isp), .. } => isp,
        LabelAction::Swap { isp: None, .. } => return EXPIRED,
        LabelAction::PopToHandoff { isp, .. } | LabelAction::PopToSubscribers { isp } => isp,
    };
    let Some(origin) = transit_origin(packet, top, index, LabelStackEntry::LEN) else { return EXPIRED };
    let Some(isp) = tables.isp(index) else { return EXPIRED };
    if isp.role.icmp_source(origin.ip.source).is_none() {
        return EXPIRED;
    }
    let (point, back) = match action {
        LabelAction::Swap { .. } => {
            packet.origin = Some(origin);
            return DropReason::TtlExpired.into();
        }
        LabelAction::PopToHandoff { .. } => (Point::TailendToIsp, Back::Subscriber),
        LabelAction::PopToSubscribers { .. } => (Point::HeadendToSubscriber, Back::Isp(ANY_SUBSCRIBER)),
    };
    packet.edge = Some(Edge { isp: isp.slot, point, octets: origin.ip.total_len });
    packet.origin = Some(Origin { back, ..origin });
    // To the node that it is for, a packet's last hop is far enough.
    if isp.role.own.contains(origin.ip.destination) { Stop::Own } else { DropReason::TtlExpired.into() }
}

/// The packet under a stack of one label, answered from the middle of its LSP.
fn transit_origin(packet: &Packet<'_>, top: LabelStackEntry, isp: IspIndex, labels: usize) -> Option<Origin> {
    let at = packet.header_len + LabelStackEntry::LEN;
    let ip = classify::ip_header(packet.octets(at)).ok()?;
    (top.bottom && !is_loopback(ip.destination)).then_some(Origin {
        isp,
        ip,
        at,
        labels,
        back: Back::Onward(top.label),
    })
}

/// Transit. What is under the label stays as it is: the rest of the stack, the packet, even padding.
fn swap<'t>(
    tables: &'t Tables,
    seed: u64,
    packet: &Packet<'_>,
    top: LabelStackEntry,
    nhlfes: &'t [Nhlfe],
) -> Result<Passage<'t>, Stop> {
    let stack_octets = packet.payload();
    let mut entries = stack::entries(stack_octets);
    entries.by_ref().for_each(drop);
    let under_all = entries.payload().ok_or(DropReason::Truncated)?;
    let octets = IpHeader::parse(under_all).map_or(under_all.len() as u32, |ip| ip.total_len);
    let (nhlfe, port) = way(tables, nhlfes, hash::labelled_flow(seed, stack_octets, under_all))?;
    let labels = nhlfe.push.labels().len() * LabelStackEntry::LEN;
    let beneath = stack_octets.len() - LabelStackEntry::LEN;
    if beneath + labels > port.mtu as usize {
        // To the sender of a packet that may be fragmented, an MTU says nothing: it is dropped in silence.
        //
        // TODO-correctness(RFC 3032 §3.4): fragment it here. Where the LSP MTU is configured, none comes so far.
        return Err(match wire::ip::may_fragment(under_all) {
            true => DropReason::TooLong.into(),
            false => Stop::TooLong(port.mtu.saturating_sub(labels as u32)),
        });
    }

    let ttl = top.ttl - 1;
    let above = match tables.ttl_model() {
        TtlModel::Pipe => u8::MAX,
        TtlModel::Uniform => ttl,
    };
    let inner = LabelStackEntry { ttl, ..top };
    Ok(Passage {
        skip: packet.header_len + LabelStackEntry::LEN,
        rewrite: None,
        port: nhlfe.port,
        octets,
        front: Front::Labels { nhlfe, source: port.mac, inner, above },
    })
}

/// The packet under a label that ends here.
fn pop<'t>(
    tables: &'t Tables,
    packet: &mut Packet<'_>,
    index: IspIndex,
    point: Point,
) -> Result<Popped<'t>, Stop> {
    let isp = tables.isp(index).ok_or(DropReason::UnknownLabel)?;
    let at = packet.header_len + LabelStackEntry::LEN;
    let edge = Edge { isp: isp.slot, point, octets: packet.octets(at).len() as u32 };
    packet.edge = Some(edge);
    let mut entries = stack::entries(packet.payload());
    let label_ttl = entries.next().ok_or(DropReason::Truncated)?.ttl;
    if entries.payload().is_none() {
        let beneath = entries.next().ok_or(DropReason::Truncated)?.label;
        return Err(special(beneath).map_or(DropReason::NotBottomOfStack.into(), Stop::Punt));
    }
    let ip = classify::ip_header(entries.payload().unwrap_or_default())?;
    if is_loopback(ip.destination) {
        return Err(Stop::Punt(PuntReason::LoopbackDestination));
    }
    packet.edge = Some(Edge { octets: ip.total_len, ..edge });
    let back = match point {
        Point::TailendToIsp => Back::Subscriber,
        _ => Back::Isp(ANY_SUBSCRIBER),
    };
    packet.origin = Some(Origin { isp: index, ip, at, labels: 0, back });
    if isp.role.own.contains(ip.destination) {
        return Err(Stop::Own);
    }
    Ok(Popped { isp, index, label_ttl, ip, at })
}

/// 127/8, and ::ffff:127.0.0.0/104 (RFC 8029 §2.1).
fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => Ipv6Addr::to_ipv4_mapped(&v6).is_some_and(|v4| v4.is_loopback()),
    }
}
