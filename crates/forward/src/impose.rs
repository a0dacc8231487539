//! Labels go on: the one way into an LSP.

use contract::{DropReason, Nhlfe, PortKind, TtlModel};
use wire::fragment::Fragments;
use wire::ip::{self, IpHeader};
use wire::{Label, LabelStackEntry, tcp};

use crate::PortFacts;
use crate::hash;
use crate::label_switch::Popped;
use crate::packet::{Front, Packet, Passage, Rewrite, Stop};
use crate::tables::{Isp, Tables};

/// An IP packet that is to enter an LSP.
pub(crate) struct Entry {
    pub(crate) ip: IpHeader,
    /// Where it begins in the frame.
    pub(crate) at: usize,
    /// The TTL that it enters with.
    pub(crate) ttl: u8,
    /// The label's.
    pub(crate) label_ttl: u8,
    /// Where TCP segment sizes are lowered, the MTU of the circuit by which the segments come back.
    pub(crate) clamp_mss: Option<u32>,
}

impl Entry {
    /// A packet that came in by a circuit. Its own TTL falls by one in either model (RFC 3443 §3.1 and §3.2).
    pub(crate) fn arrived(
        tables: &Tables,
        packet: &Packet<'_>,
        ip: &IpHeader,
        isp: &Isp,
    ) -> Result<Self, Stop> {
        let ttl = ip.ttl.checked_sub(1).filter(|&ttl| ttl > 0).ok_or(DropReason::TtlExpired)?;
        let circuit = || tables.port(packet.arrived).map(|port| port.mtu);
        let clamp_mss = if isp.role.clamp_mss { circuit() } else { None };
        Ok(Self { clamp_mss, ..Self::with_ttl(tables, ip, packet.header_len, ttl) })
    }

    /// A packet that came out of an LSP and goes back by the other.
    pub(crate) fn turned(tables: &Tables, popped: &Popped<'_>) -> Result<Self, Stop> {
        let ttl = popped.ttl(tables.ttl_model()).ok_or(DropReason::TtlExpired)?;
        Ok(Self::with_ttl(tables, &popped.ip, popped.at, ttl))
    }

    /// A packet with this TTL; the label's is by the model.
    pub(crate) fn with_ttl(tables: &Tables, ip: &IpHeader, at: usize, ttl: u8) -> Self {
        let label_ttl = match tables.ttl_model() {
            TtlModel::Pipe => u8::MAX,
            TtlModel::Uniform => ttl,
        };
        Self { ip: *ip, at, ttl, label_ttl, clamp_mss: None }
    }
}

/// An IP packet, which `octets` start with, enters its LSP. Its traffic class is 0 (RFC 5462): which classes there are is for `qos` to say.
pub(crate) fn impose<'t>(
    tables: &'t Tables,
    seed: u64,
    octets: &[u8],
    entry: &Entry,
    nhlfes: &'t [Nhlfe],
) -> Result<Passage<'t>, Stop> {
    let (nhlfe, port) = way(tables, nhlfes, hash::flow(seed, &entry.ip, octets))?;
    let labels = nhlfe.push.labels().len() * LabelStackEntry::LEN;
    let mtu = tables.lsp_mtu().min(port.mtu.saturating_sub(labels as u32));
    let mss = entry.clamp_mss.map(|circuit| tcp::mss_for(mtu.min(circuit), entry.ip.source.is_ipv6()));
    let inner = LabelStackEntry { label: Label::MAX, tc: 0, bottom: true, ttl: entry.label_ttl };
    let passage = Passage {
        skip: entry.at,
        rewrite: Some(Rewrite { ip: entry.ip, ttl: entry.ttl, mtu, mss }),
        port: nhlfe.port,
        octets: entry.ip.total_len,
        front: Front::Labels { nhlfe, source: port.mac, inner, above: entry.label_ttl },
    };
    fits(octets, passage)
}

/// A passage that its packet fits, if need be in fragments (RFC 3032 §3.4, RFC 791 §3.2).
pub(crate) fn fits<'t>(octets: &[u8], passage: Passage<'t>) -> Result<Passage<'t>, Stop> {
    match passage.rewrite {
        Some(Rewrite { ip, mtu, .. }) if ip.total_len > mtu => {
            let cut = ip::may_fragment(octets) && Fragments::new(octets, &ip, mtu).is_some();
            if cut { Ok(passage) } else { Err(Stop::TooLong(mtu)) }
        }
        _ => Ok(passage),
    }
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
