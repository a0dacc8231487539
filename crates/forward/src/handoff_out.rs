//! Tailend: out of the handoff that the label named.

use contract::counters::Point;
use contract::{Circuit, DropReason, PortKind};

use crate::impose::{Entry, impose};
use crate::label_switch::Popped;
use crate::leave::leave;
use crate::packet::{Packet, Passage, Stop};
use crate::tables::Tables;
use crate::turn_round::is_transits;

/// Sends a packet to the ISP's next hop, with no look-up in the packet; an error of a transit node's back to the
/// subscriber whose packet it is about.
pub(crate) fn handoff_out<'t>(
    tables: &'t Tables,
    seed: u64,
    packet: &mut Packet<'_>,
    circuit: Circuit,
    popped: &Popped<'t>,
) -> Result<Passage<'t>, Stop> {
    if is_transits(packet, popped)
        && let Some(nhlfes) = tables.return_nhlfes(popped.index, popped.ip.destination)
    {
        packet.goes(Point::TailendToSubscriber);
        return impose(tables, seed, packet.octets(popped.at), &Entry::turned(tables, popped)?, nhlfes);
    }
    let handoff = tables
        .handoff(circuit)
        .filter(|handoff| handoff.isp == popped.index)
        .ok_or(DropReason::NoSuchHandoff)?;
    let mac = handoff.mac(popped.ip.destination).ok_or(DropReason::HandoffUnresolved)?;
    leave(tables, packet, circuit, PortKind::Handoff, mac, popped)
}
