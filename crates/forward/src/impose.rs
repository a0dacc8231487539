//! Labels go on: the one way out of a backbone port.

use contract::{DropReason, Nhlfe, PortKind, TtlModel};
use wire::ip::{self, IpHeader};
use wire::{EtherType, EthernetHeader, LabelStackEntry, VlanTags, stack};

use crate::output::ChargeKind;
use crate::packet::{Edge, Exit, Packet, Stop};
use crate::tables::Tables;
use crate::{PortFacts, hash};

/// An IP packet enters its LSP. Its traffic class is 0 (RFC 5462): which classes there are is for `qos` to say.
///
/// TODO-correctness(RFC 3032 §3.4): a packet that is too long with its labels is dropped in silence; it should be
/// fragmented, or its sender told (RFC 1191, RFC 8201). Until then a backbone needs an MTU of the edge's and four octets
/// a label.
///
/// TODO-correctness(RFC 1812 §5.3.1, RFC 4443 §3.3): nor is the sender told where the TTL ran out.
pub(crate) fn impose(
    tables: &Tables,
    seed: u64,
    packet: &mut Packet<'_>,
    ip: &IpHeader,
    edge: Edge,
    nhlfes: &[Nhlfe],
) -> Result<Exit, Stop> {
    // RFC 3443 §3.1 and §3.2: the packet's own TTL falls by one at each LER in either model.
    let ttl = match ip.ttl {
        0 | 1 => return Err(edge.drop(DropReason::TtlExpired)),
        ttl => ttl - 1,
    };
    let (nhlfe, port) =
        way(tables, nhlfes, hash::flow(seed, ip, packet.payload())).map_err(|reason| edge.drop(reason))?;
    let labels = nhlfe.push.labels().len() * LabelStackEntry::LEN;
    if ip.total_len as usize + labels > port.mtu as usize {
        return Err(edge.drop(DropReason::TooLong));
    }
    let label_ttl = match tables.ttl_model() {
        TtlModel::Pipe => 255,
        TtlModel::Uniform => ttl,
    };

    let whole = packet.pool.pull_front(&mut packet.frame, packet.header_len);
    packet.pool.truncate(&mut packet.frame, ip.total_len as usize);
    ip::set_ttl(packet.pool.octets_mut(&mut packet.frame), ttl);
    let inner = LabelStackEntry { label: wire::Label::MAX, tc: 0, bottom: true, ttl: label_ttl };
    if !whole || !push(packet, nhlfe, port, inner, label_ttl) {
        return Err(edge.drop(DropReason::NoBuffer));
    }
    Ok(Exit { port: nhlfe.port, isp: edge.isp, octets: ip.total_len, kind: ChargeKind::Edge(edge.point) })
}

/// The entry that a flow takes, and its port. Where that port is down, the next entry whose port is not, until control
/// has taken the entry out.
pub(crate) fn way<'t>(
    tables: &'t Tables,
    nhlfes: &'t [Nhlfe],
    flow: u64,
) -> Result<(&'t Nhlfe, &'t PortFacts), DropReason> {
    if nhlfes.is_empty() {
        return Err(DropReason::NoNhlfe);
    }
    let (before, from) = nhlfes.split_at(hash::place(flow, nhlfes.len()));
    from.iter()
        .chain(before)
        .find_map(|nhlfe| {
            let port = tables.port(nhlfe.port)?;
            (port.kind == PortKind::Backbone && port.carrier).then_some((nhlfe, port))
        })
        .ok_or(DropReason::PortDown)
}

/// Puts an entry's labels and the Ethernet header before a frame that starts with what goes beneath. The innermost label
/// is pushed with the fields of `inner`, those above it with `ttl`. `false` where headroom is lacking or where there is
/// no label to push: nothing leaves for the backbone without one.
pub(crate) fn push(
    packet: &mut Packet<'_>,
    nhlfe: &Nhlfe,
    port: &PortFacts,
    inner: LabelStackEntry,
    ttl: u8,
) -> bool {
    let Some((&innermost, above)) = nhlfe.push.labels().split_last() else { return false };
    let pushed = stack::push(packet.pool, &mut packet.frame, LabelStackEntry { label: innermost, ..inner })
        && above.iter().rev().all(|&label| {
            let entry = LabelStackEntry { label, tc: inner.tc, bottom: false, ttl };
            stack::push(packet.pool, &mut packet.frame, entry)
        });
    let header = EthernetHeader {
        destination: nhlfe.mac,
        source: port.mac,
        tags: VlanTags::None,
        ether_type: EtherType::MPLS,
    };
    let fits = pushed && packet.pool.push_front(&mut packet.frame, header.len());
    if fits {
        header.write(packet.pool.octets_mut(&mut packet.frame));
    }
    fits
}
