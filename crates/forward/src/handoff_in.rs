//! Tailend: which ISP a packet came from, and to which headend it goes.

use contract::counters::Point;
use contract::{DropReason, Nhlfe};
use wire::ip::IpHeader;

use crate::packet::{Edge, Packet, Stop};
use crate::tables::Tables;

/// The ISP behind this circuit, and the ways to the headend by that ISP's own table.
pub(crate) fn handoff_in<'t>(
    tables: &'t Tables,
    packet: &Packet<'_>,
    ip: &IpHeader,
) -> Result<(Edge, &'t [Nhlfe]), Stop> {
    let handoff = tables.handoff(packet.circuit()).ok_or(DropReason::NoSuchHandoff)?;
    let isp = tables.isp(handoff.isp).ok_or(DropReason::NoSuchHandoff)?;
    let edge = Edge { isp: isp.slot, point: Point::TailendToSubscriber };
    let nhlfes = tables.return_nhlfes(handoff.isp, ip.destination).ok_or(edge.drop(DropReason::NoRoute))?;
    Ok((edge, nhlfes))
}
