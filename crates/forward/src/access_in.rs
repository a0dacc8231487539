//! Headend: whose packet came in on a circuit, and to which ISP it goes.

use contract::counters::Point;
use contract::{DropReason, Nhlfe};
use wire::ip::IpHeader;

use crate::packet::{Back, Edge, Origin, Packet, Stop};
use crate::tables::{Isp, Tables};

/// The ISP of the subscriber whom this packet's source is bound to (BCP 38), and the ways to the handoff that this
/// subscriber's packets take.
pub(crate) fn access_in<'t>(
    tables: &'t Tables,
    packet: &mut Packet<'_>,
    ip: &IpHeader,
) -> Result<(&'t Isp, &'t [Nhlfe]), Stop> {
    let circuit = packet.circuit();
    let bound =
        tables.by_source(circuit, ip.source).and_then(|binding| Some((binding, tables.isp(binding.isp)?)));
    let Some((binding, isp)) = bound else {
        let known = tables.has_circuit(circuit);
        return Err(if known { DropReason::SourceNotBound } else { DropReason::NoSuchCircuit }.into());
    };
    packet.edge = Some(Edge { isp: isp.slot, point: Point::HeadendToIsp, octets: ip.total_len });
    if binding.verify_mac && binding.mac != Some(packet.ethernet.source) {
        return Err(DropReason::WrongMac.into());
    }
    let back = Back::Circuit(packet.ethernet.source);
    packet.origin = Some(Origin { isp: binding.isp, ip: *ip, at: packet.header_len, labels: 0, back });
    if isp.role.own.contains(ip.destination) {
        return Err(Stop::Own);
    }
    Ok((isp, isp.nhlfes(binding.subscriber).ok_or(DropReason::IspUnreachable)?))
}
