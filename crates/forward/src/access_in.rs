//! Headend: whose packet came in on a circuit, and to which ISP it goes.

use contract::counters::Point;
use contract::{DropReason, Nhlfe};
use wire::ip::IpHeader;

use crate::packet::{Edge, Packet, Stop};
use crate::tables::Tables;

/// The ISP of the subscriber whom this packet's source is bound to (BCP 38), and the ways to the handoff that this
/// subscriber's packets take.
pub(crate) fn access_in<'t>(
    tables: &'t Tables,
    packet: &Packet<'_>,
    ip: &IpHeader,
) -> Result<(Edge, &'t [Nhlfe]), Stop> {
    let circuit = packet.circuit();
    let bound =
        tables.by_source(circuit, ip.source).and_then(|binding| Some((binding, tables.isp(binding.isp)?)));
    let Some((binding, isp)) = bound else {
        let known = tables.has_circuit(circuit);
        return Err(if known { DropReason::SourceNotBound } else { DropReason::NoSuchCircuit }.into());
    };
    let edge = Edge { isp: isp.slot, point: Point::HeadendToIsp };
    if binding.verify_mac && binding.mac != Some(packet.ethernet.source) {
        return Err(edge.drop(DropReason::WrongMac));
    }
    let nhlfes = isp.nhlfes(binding.subscriber).ok_or(edge.drop(DropReason::IspUnreachable))?;
    Ok((edge, nhlfes))
}
