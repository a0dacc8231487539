//! An IP packet leaves its LSP by a circuit.

use contract::{Circuit, DropReason, PortKind};
use wire::frame::{Frame, FramePool};
use wire::{EthernetHeader, LabelStackEntry, MacAddr, VlanTags, ip};

use crate::label_switch::Popped;
use crate::output::ChargeKind;
use crate::packet::{Edge, Exit, Packet, Stop};
use crate::tables::Tables;

/// Takes Ethernet header and label off, and puts the circuit's header on. A port that is not of the kind that the packet
/// is for is as good as none: an IP packet never leaves by a backbone port here.
pub(crate) fn leave(
    tables: &Tables,
    packet: &mut Packet<'_>,
    circuit: Circuit,
    kind: PortKind,
    mac: MacAddr,
    popped: &Popped,
    edge: Edge,
) -> Result<Exit, Stop> {
    let ttl = popped.ttl(tables.ttl_model()).ok_or(edge.drop(DropReason::TtlExpired))?;
    let port = tables
        .port(circuit.port)
        .filter(|port| port.kind == kind && port.carrier)
        .ok_or(edge.drop(DropReason::PortDown))?;
    let octets = popped.ip.total_len;
    if octets > port.mtu {
        return Err(edge.drop(DropReason::TooLong));
    }

    let header = EthernetHeader {
        destination: mac,
        source: port.mac,
        tags: circuit.tags,
        // By the version of the packet, since a label does not say (RFC 3032 §2.2).
        ether_type: popped.ip.ether_type(),
    };
    let (pool, frame) = (&mut *packet.pool, &mut packet.frame);
    let whole = pool.pull_front(frame, packet.header_len + LabelStackEntry::LEN);
    pool.truncate(frame, octets as usize);
    ip::set_ttl(pool.octets_mut(frame), ttl);
    if !whole || !pool.push_front(frame, header.len()) {
        return Err(edge.drop(DropReason::NoBuffer));
    }
    header.write(pool.octets_mut(frame));
    Ok(Exit { port: circuit.port, isp: edge.isp, octets, kind: ChargeKind::Edge(edge.point) })
}

/// Gives a frame other tags: `len` octets of Ethernet header come off, and one with these tags goes on. `false`, and the
/// frame may be spoilt, where headroom is lacking.
pub(crate) fn retag(
    pool: &mut FramePool,
    frame: &mut Frame,
    header: EthernetHeader,
    len: usize,
    tags: VlanTags,
) -> bool {
    let header = EthernetHeader { tags, ..header };
    let fits = pool.pull_front(frame, len) && pool.push_front(frame, header.len());
    if fits {
        header.write(pool.octets_mut(frame));
    }
    fits
}
