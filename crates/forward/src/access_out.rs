//! Headend: to the subscriber, who is looked up among those of the label's ISP only.

use contract::counters::Point;
use contract::{DropReason, PortKind};

use crate::label_switch::Popped;
use crate::leave::leave;
use crate::packet::{Edge, Exit, Packet, Stop};
use crate::tables::Tables;

/// Sends a packet to the subscriber of the ISP whose address its destination is.
pub(crate) fn access_out(tables: &Tables, packet: &mut Packet<'_>, popped: &Popped) -> Result<Exit, Stop> {
    let edge = Edge { isp: popped.slot, point: Point::HeadendToSubscriber };
    let address = popped.ip.destination;
    let (row, binding) =
        tables.by_destination(popped.isp, address).ok_or(edge.drop(DropReason::NoSubscriber))?;
    let Some(mac) = binding.mac else {
        let isp = tables.isp(popped.isp).ok_or(edge.drop(DropReason::NoSubscriber))?.asn;
        return Err(Stop::Unresolved { slot: popped.slot, isp, row, address });
    };
    leave(tables, packet, binding.circuit, PortKind::Access, mac, popped, edge)
}
