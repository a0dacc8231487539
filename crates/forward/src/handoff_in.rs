//! Tailend: which ISP a packet came from, and to which headend it goes.

use contract::counters::Point;
use contract::{DropReason, Nhlfe};
use wire::ip::IpHeader;

use crate::packet::{Back, Edge, Origin, Packet, Stop};
use crate::tables::{Isp, Tables};

/// The ISP behind this circuit, and the ways to the headend by that ISP's own table.
pub(crate) fn handoff_in<'t>(
    tables: &'t Tables,
    packet: &mut Packet<'_>,
    ip: &IpHeader,
) -> Result<(&'t Isp, &'t [Nhlfe]), Stop> {
    let handoff = tables.handoff(packet.circuit()).ok_or(DropReason::NoSuchHandoff)?;
    let isp = tables.isp(handoff.isp).ok_or(DropReason::NoSuchHandoff)?;
    packet.edge = Some(Edge { isp: isp.slot, point: Point::TailendToSubscriber, octets: ip.total_len });
    // Back to the next hop that the handoff has, whichever station sent it: the ISP's other routers are behind that.
    packet.origin = handoff.mac(ip.source).map(|mac| Origin {
        isp: handoff.isp,
        ip: *ip,
        at: packet.header_len,
        labels: 0,
        back: Back::Circuit(mac),
    });
    if isp.role.own.contains(ip.destination) {
        return Err(Stop::Own);
    }
    Ok((isp, tables.return_nhlfes(handoff.isp, ip.destination).ok_or(DropReason::NoRoute)?))
}
