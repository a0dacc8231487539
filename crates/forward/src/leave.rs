//! An IP packet leaves its LSP by a circuit.

use contract::{Circuit, DropReason, PortKind};
use wire::frame::{Frame, FramePool};
use wire::ip::IpHeader;
use wire::{EthernetHeader, MacAddr, VlanTags};

use crate::impose::fits;
use crate::label_switch::Popped;
use crate::packet::{Front, Packet, Passage, Rewrite, Stop};
use crate::tables::Tables;

/// Takes Ethernet header and label off, and puts the circuit's header on.
pub(crate) fn leave<'t>(
    tables: &Tables,
    packet: &Packet<'_>,
    circuit: Circuit,
    kind: PortKind,
    mac: MacAddr,
    popped: &Popped<'_>,
) -> Result<Passage<'t>, Stop> {
    let ttl = popped.ttl(tables.ttl_model()).ok_or(DropReason::TtlExpired)?;
    let passage = out_of(tables, circuit, kind, mac, &popped.ip, ttl).ok_or(DropReason::PortDown)?;
    fits(packet.octets(popped.at), passage).map(|passage| Passage { skip: popped.at, ..passage })
}

/// The passage of an IP packet out of a circuit to a station. A port that is not of the kind that the packet is for is as
/// good as none: an IP packet never leaves by a backbone port here.
pub(crate) fn out_of<'t>(
    tables: &Tables,
    circuit: Circuit,
    kind: PortKind,
    mac: MacAddr,
    ip: &IpHeader,
    ttl: u8,
) -> Option<Passage<'t>> {
    let port = tables.port(circuit.port).filter(|port| port.kind == kind && port.carrier)?;
    let header = EthernetHeader {
        destination: mac,
        source: port.mac,
        tags: circuit.tags,
        // By the version of the packet, since a label does not say (RFC 3032 §2.2).
        ether_type: ip.ether_type(),
    };
    Some(Passage {
        skip: 0,
        rewrite: Some(Rewrite { ip: *ip, ttl, mtu: port.mtu, mss: None }),
        port: circuit.port,
        octets: ip.total_len,
        front: Front::Circuit(header),
    })
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
