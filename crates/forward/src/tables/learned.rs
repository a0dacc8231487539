//! What neighbours have told: ILM, handoffs, return routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::{
    Asn, ChangeError, Circuit, Fec, Generation, Handoff, Ilm, IlmAction, IspPrefix, Nhlfe, ReturnRoute,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use wire::{Label, MacAddr};

use super::full;
use super::isps::IspIndex;
use super::prefix::{Key, PrefixIndex};
use super::slab::Slab;

/// What is done with a label, as packets need it.
pub(crate) enum LabelAction {
    /// The ISP is the one in whose name a packet is answered here.
    Swap {
        isp: Option<IspIndex>,
        nhlfes: Box<[Nhlfe]>,
    },
    PopToHandoff {
        isp: IspIndex,
        handoff: Circuit,
    },
    PopToSubscribers {
        isp: IspIndex,
    },
}

struct IlmRow {
    action: LabelAction,
    fec: Fec,
    generation: Generation,
}

const _: () = assert!(size_of::<LabelAction>() <= 24, "an ILM entry is read once per labelled packet");
const _: () =
    assert!(size_of::<Nhlfe>() <= 48, "an NHLFE is read once per packet that leaves by the backbone");

/// Incoming labels.
pub(super) struct IncomingLabels {
    rows: HashMap<Label, IlmRow, FixedState>,
    capacity: usize,
}

impl IncomingLabels {
    pub(super) fn new(capacity: usize) -> Self {
        Self { rows: HashMap::with_capacity_and_hasher(capacity, FixedState::default()), capacity }
    }

    #[inline]
    pub(super) fn action(&self, label: Label) -> Option<&LabelAction> {
        Some(&self.rows.get(&label)?.action)
    }

    pub(super) fn upsert(
        &mut self,
        label: Label,
        fec: Fec,
        action: LabelAction,
        generation: Generation,
    ) -> Result<(), ChangeError> {
        if self.rows.len() >= self.capacity && !self.rows.contains_key(&label) {
            return Err(full("incoming labels", self.capacity));
        }
        self.rows.insert(label, IlmRow { action, fec, generation });
        Ok(())
    }

    pub(super) fn remove(&mut self, label: Label) {
        self.rows.remove(&label);
    }

    pub(super) fn sweep(&mut self, generation: Generation) -> usize {
        let before = self.rows.len();
        self.rows.retain(|_, row| row.generation >= generation);
        before - self.rows.len()
    }

    pub(super) fn iter(&self, asn: impl Fn(IspIndex) -> Option<Asn>) -> impl Iterator<Item = (Label, Ilm)> {
        self.rows.iter().filter_map(move |(&label, row)| {
            let action = match &row.action {
                LabelAction::Swap { isp, nhlfes } => {
                    IlmAction::Swap { isp: isp.and_then(&asn), nhlfes: nhlfes.to_vec() }
                }
                &LabelAction::PopToHandoff { isp, handoff } => {
                    IlmAction::PopToHandoff { isp: asn(isp)?, handoff }
                }
                &LabelAction::PopToSubscribers { isp } => IlmAction::PopToSubscribers { isp: asn(isp)? },
            };
            Some((label, Ilm { fec: row.fec, action }))
        })
    }
}

/// A handoff, as packets need it.
pub(crate) struct HandoffRow {
    pub(crate) isp: IspIndex,
    pub(crate) ipv4: Option<(Ipv4Addr, MacAddr)>,
    pub(crate) ipv6: Option<(Ipv6Addr, MacAddr)>,
    generation: Generation,
}

const _: () = assert!(size_of::<HandoffRow>() <= 64, "a handoff is read once per packet: one cache line");

impl HandoffRow {
    /// The next hop for packets with this destination's IP version.
    pub(crate) fn mac(&self, destination: IpAddr) -> Option<MacAddr> {
        match destination {
            IpAddr::V4(_) => self.ipv4.map(|(_, mac)| mac),
            IpAddr::V6(_) => self.ipv6.map(|(_, mac)| mac),
        }
    }
}

/// Handoffs.
pub(super) struct Handoffs {
    rows: HashMap<Circuit, HandoffRow, FixedState>,
    capacity: usize,
}

impl Handoffs {
    pub(super) fn new(capacity: usize) -> Self {
        Self { rows: HashMap::with_capacity_and_hasher(capacity, FixedState::default()), capacity }
    }

    #[inline]
    pub(super) fn row(&self, circuit: Circuit) -> Option<&HandoffRow> {
        self.rows.get(&circuit)
    }

    pub(super) fn upsert(
        &mut self,
        circuit: Circuit,
        isp: IspIndex,
        handoff: Handoff,
        generation: Generation,
    ) -> Result<(), ChangeError> {
        if self.rows.len() >= self.capacity && !self.rows.contains_key(&circuit) {
            return Err(full("handoffs", self.capacity));
        }
        let Handoff { ipv4, ipv6, .. } = handoff;
        self.rows.insert(circuit, HandoffRow { isp, ipv4, ipv6, generation });
        Ok(())
    }

    pub(super) fn remove(&mut self, circuit: Circuit) {
        self.rows.remove(&circuit);
    }

    pub(super) fn sweep(&mut self, generation: Generation) -> usize {
        let before = self.rows.len();
        self.rows.retain(|_, row| row.generation >= generation);
        before - self.rows.len()
    }

    pub(super) fn iter(
        &self,
        asn: impl Fn(IspIndex) -> Option<Asn>,
    ) -> impl Iterator<Item = (Circuit, Handoff)> {
        self.rows.iter().filter_map(move |(&circuit, row)| {
            Some((circuit, Handoff { isp: asn(row.isp)?, ipv4: row.ipv4, ipv6: row.ipv6 }))
        })
    }
}

struct ReturnRow {
    key: Key,
    fec: Fec,
    nhlfes: Box<[Nhlfe]>,
    generation: Generation,
}

/// Prefixes in ISPs' own tables, at a tailend.
pub(super) struct ReturnRoutes {
    rows: Slab<ReturnRow>,
    index: PrefixIndex,
}

impl ReturnRoutes {
    pub(super) fn new(capacity: usize) -> Self {
        Self { rows: Slab::new(capacity), index: PrefixIndex::new(capacity) }
    }

    /// The ways to the headend of the longest prefix that holds the destination.
    #[inline]
    pub(super) fn nhlfes(&self, isp: IspIndex, destination: IpAddr) -> Option<&[Nhlfe]> {
        let row = self.index.longest(isp.into(), destination, |row| self.rows.row(row).map(|r| r.key))?;
        Some(&self.rows.row(row)?.nhlfes)
    }

    pub(super) fn upsert(
        &mut self,
        key: Key,
        route: ReturnRoute,
        generation: Generation,
    ) -> Result<(), ChangeError> {
        let new = ReturnRow { key, fec: route.fec, nhlfes: route.nhlfes.into(), generation };
        if let Some(held) = self.number(&key).and_then(|row| self.rows.row_mut(row)) {
            *held = new;
            return Ok(());
        }
        let capacity = self.rows.capacity();
        let row = self.rows.insert(new).ok_or_else(|| full("return routes", capacity))?;
        let rows = &self.rows;
        self.index.insert(&key, row, |row| rows.row(row).map(|r| r.key));
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(row) = self.number(key) {
            self.rows.remove(row);
            self.index.remove(key, row);
        }
    }

    pub(super) fn sweep(&mut self, generation: Generation) -> usize {
        let stale: Vec<Key> =
            self.rows.iter().filter(|(_, row)| row.generation < generation).map(|(_, row)| row.key).collect();
        stale.iter().for_each(|key| self.remove(key));
        stale.len()
    }

    pub(super) fn iter(
        &self,
        asn: impl Fn(IspIndex) -> Option<Asn>,
    ) -> impl Iterator<Item = (IspPrefix, ReturnRoute)> {
        self.rows.iter().filter_map(move |(_, row)| {
            let key = IspPrefix { isp: asn(row.key.scope.isp())?, prefix: row.key.prefix.into() };
            Some((key, ReturnRoute { fec: row.fec, nhlfes: row.nhlfes.to_vec() }))
        })
    }

    fn number(&self, key: &Key) -> Option<u32> {
        self.index.exact(key, |row| self.rows.row(row).map(|r| r.key))
    }
}
