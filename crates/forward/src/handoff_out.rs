//! Tailend: out of the handoff that the label named.

use contract::counters::Point;
use contract::{Circuit, DropReason, PortKind};

use crate::label_switch::Popped;
use crate::leave::leave;
use crate::packet::{Edge, Exit, Packet, Stop};
use crate::tables::Tables;

/// Sends a packet to the ISP's next hop, with no look-up in the packet.
pub(crate) fn handoff_out(
    tables: &Tables,
    packet: &mut Packet<'_>,
    circuit: Circuit,
    popped: &Popped,
) -> Result<Exit, Stop> {
    let edge = Edge { isp: popped.slot, point: Point::TailendToIsp };
    let handoff = tables
        .handoff(circuit)
        .filter(|handoff| handoff.isp == popped.isp)
        .ok_or(edge.drop(DropReason::NoSuchHandoff))?;
    let mac = handoff.mac(popped.ip.destination).ok_or(edge.drop(DropReason::HandoffUnresolved))?;
    leave(tables, packet, circuit, PortKind::Handoff, mac, popped, edge)
}
