//! A labelled frame: swapped here, or popped for the stage that follows.

use std::net::{IpAddr, Ipv6Addr};

use contract::counters::IspSlot;
use contract::{Circuit, DropReason, Nhlfe, PuntReason, TtlModel};
use wire::ip::IpHeader;
use wire::{Label, LabelStackEntry, stack};

use crate::classify;
use crate::hash;
use crate::impose::{push, way};
use crate::output::ChargeKind;
use crate::packet::{Exit, Packet, Stop};
use crate::tables::{IspIndex, LabelAction, Tables};

/// What a label asks for.
pub(crate) enum Switched {
    /// The label was swapped; the frame is ready.
    Sent(Exit),
    /// Tailend: the packet under the label leaves by this handoff of the ISP.
    ToHandoff(Circuit, Popped),
    /// Headend: the packet under the label is for a subscriber of the ISP.
    ToSubscriber(Popped),
}

/// A packet that came from under its ISP's label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Popped {
    pub(crate) isp: IspIndex,
    pub(crate) slot: IspSlot,
    pub(crate) label_ttl: u8,
    pub(crate) ip: IpHeader,
}

impl Popped {
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
pub(crate) fn label_switch(tables: &Tables, seed: u64, packet: &mut Packet<'_>) -> Result<Switched, Stop> {
    let top = stack::entries(packet.payload()).next().ok_or(DropReason::Truncated)?;
    if let Some(reason) = special(top.label) {
        return Err(Stop::Punt(reason));
    }
    if !top.label.is_real() {
        return Err(DropReason::ReservedLabel.into());
    }
    // Before the look-up, since an LSR must tell a tracing peer even that it does not know a label (RFC 8029 §4.4).
    if top.ttl <= 1 {
        return Err(Stop::Punt(PuntReason::LabelTtlExpired));
    }
    match tables.action(top.label).ok_or(DropReason::UnknownLabel)? {
        LabelAction::Swap { nhlfes, .. } => swap(tables, seed, packet, top, nhlfes).map(Switched::Sent),
        &LabelAction::PopToHandoff { isp, handoff } => {
            pop(tables, packet, isp).map(|popped| Switched::ToHandoff(handoff, popped))
        }
        &LabelAction::PopToSubscribers { isp } => pop(tables, packet, isp).map(Switched::ToSubscriber),
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

/// Transit. What is under the label stays as it is: the rest of the stack, the packet, even padding.
fn swap(
    tables: &Tables,
    seed: u64,
    packet: &mut Packet<'_>,
    top: LabelStackEntry,
    nhlfes: &[Nhlfe],
) -> Result<Exit, Stop> {
    let stack_octets = packet.payload();
    let mut entries = stack::entries(stack_octets);
    entries.by_ref().for_each(drop);
    let under_all = entries.payload().ok_or(DropReason::Truncated)?;
    let octets = IpHeader::parse(under_all).map_or(under_all.len() as u32, |ip| ip.total_len);
    let (nhlfe, port) = way(tables, nhlfes, hash::labelled_flow(seed, stack_octets, under_all))?;
    let beneath = stack_octets.len() - LabelStackEntry::LEN;
    if beneath + nhlfe.push.labels().len() * LabelStackEntry::LEN > port.mtu as usize {
        return Err(DropReason::TooLong.into());
    }

    let ttl = top.ttl - 1;
    let above = match tables.ttl_model() {
        TtlModel::Pipe => 255,
        TtlModel::Uniform => ttl,
    };
    let whole = packet.pool.pull_front(&mut packet.frame, packet.header_len + LabelStackEntry::LEN);
    if !whole || !push(packet, nhlfe, port, LabelStackEntry { ttl, ..top }, above) {
        return Err(DropReason::NoBuffer.into());
    }
    Ok(Exit { port: nhlfe.port, isp: IspSlot::NONE, octets, kind: ChargeKind::Switched })
}

/// The packet under a label that ends here. The frame stays as it is.
fn pop(tables: &Tables, packet: &Packet<'_>, isp: IspIndex) -> Result<Popped, Stop> {
    let slot = tables.isp(isp).map_or(IspSlot::NONE, |isp| isp.slot);
    let stopped = |reason| Stop::Drop(slot, reason);
    let mut entries = stack::entries(packet.payload());
    let label_ttl = entries.next().ok_or(stopped(DropReason::Truncated))?.ttl;
    if entries.payload().is_none() {
        let beneath = entries.next().ok_or(stopped(DropReason::Truncated))?.label;
        return Err(special(beneath).map_or(stopped(DropReason::NotBottomOfStack), Stop::Punt));
    }
    let ip = classify::ip_header(entries.payload().unwrap_or_default()).map_err(stopped)?;
    if is_loopback(ip.destination) {
        return Err(Stop::Punt(PuntReason::LoopbackDestination));
    }
    Ok(Popped { isp, slot, label_ttl, ip })
}

/// 127/8, and ::ffff:127.0.0.0/104 (RFC 8029 §2.1).
fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => Ipv6Addr::to_ipv4_mapped(&v6).is_some_and(|v4| v4.is_loopback()),
    }
}
