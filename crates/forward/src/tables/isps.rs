//! The ISPs that anything installed names, by a small number, and the headend's way to each.

use contract::counters::{IspSlot, Memory};
use contract::{Asn, ChangeError, Fec, Ftn, FtnChoice, Generation, IspConfig, Nhlfe, SubscriberId};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::role::Role;
use crate::hash;

/// An ISP's number here; kept for as long as the tables live, as its counters are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct IspIndex(pub(super) u16);

impl IspIndex {
    #[cfg(test)]
    pub(crate) const fn new(place: u16) -> Self {
        Self(place)
    }

    /// Its place among all ISPs, for whoever keeps something for each.
    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// An ISP and, at a headend, its live FECs.
pub(crate) struct Isp {
    pub(crate) asn: Asn,
    pub(crate) slot: IspSlot,
    /// What this node is to it; nothing while there is no configuration.
    pub(crate) role: Role,
    config: Option<(IspConfig, Generation)>,
    ftn: Option<FtnRow>,
}

struct FtnRow {
    choices: Vec<Choice>,
    generation: Generation,
}

struct Choice {
    /// The FEC's hash, for the choice by subscriber.
    hash: u64,
    fec: Fec,
    nhlfes: Box<[Nhlfe]>,
}

impl Isp {
    /// The entries of the FEC that this subscriber's packets take; `None`: the ISP is unreachable.
    #[inline]
    pub(crate) fn nhlfes(&self, subscriber: SubscriberId) -> Option<&[Nhlfe]> {
        match self.ftn.as_ref()?.choices.as_slice() {
            [only] => Some(&only.nhlfes),
            choices => {
                let best = choices.iter().max_by_key(|choice| hash::weight(subscriber, choice.hash))?;
                Some(&best.nhlfes)
            }
        }
    }
}

pub(super) struct Isps {
    rows: Vec<Isp>,
    numbers: HashMap<Asn, IspIndex, FixedState>,
    capacity: usize,
}

impl Isps {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.min(usize::from(u16::MAX));
        Self {
            rows: Vec::with_capacity(capacity),
            numbers: HashMap::with_capacity_and_hasher(capacity, FixedState::default()),
            capacity,
        }
    }

    /// The ISP's number, given to it now if it had none.
    pub(super) fn enter(&mut self, asn: Asn, memory: &Memory<'_>) -> Result<IspIndex, ChangeError> {
        if let Some(&index) = self.numbers.get(&asn) {
            return Ok(index);
        }
        if self.rows.len() >= self.capacity {
            return Err(super::full("ISPs", self.capacity));
        }
        let index = IspIndex(self.rows.len() as u16);
        self.rows.push(Isp { asn, slot: memory.assign(asn), role: Role::default(), config: None, ftn: None });
        self.numbers.insert(asn, index);
        Ok(index)
    }

    pub(super) fn number(&self, asn: Asn) -> Option<IspIndex> {
        self.numbers.get(&asn).copied()
    }

    #[inline]
    pub(super) fn row(&self, index: IspIndex) -> Option<&Isp> {
        self.rows.get(usize::from(index.0))
    }

    pub(super) fn set_ftn(&mut self, index: IspIndex, ftn: Ftn, generation: Generation) {
        let choices = ftn.choices.into_iter().map(|FtnChoice { fec, nhlfes }| Choice {
            hash: hash::fec(fec),
            fec,
            nhlfes: nhlfes.into(),
        });
        if let Some(isp) = self.rows.get_mut(usize::from(index.0)) {
            isp.ftn = Some(FtnRow { choices: choices.collect(), generation });
        }
    }

    pub(super) fn remove_ftn(&mut self, asn: Asn) {
        let Some(index) = self.number(asn) else { return };
        if let Some(isp) = self.rows.get_mut(usize::from(index.0)) {
            isp.ftn = None;
        }
    }

    pub(super) fn set_config(&mut self, index: IspIndex, config: IspConfig, generation: Generation) {
        if let Some(isp) = self.rows.get_mut(usize::from(index.0)) {
            isp.role = Role::new(&config);
            isp.config = Some((config, generation));
        }
    }

    pub(super) fn remove_config(&mut self, asn: Asn) {
        let Some(index) = self.number(asn) else { return };
        if let Some(isp) = self.rows.get_mut(usize::from(index.0)) {
            (isp.config, isp.role) = (None, Role::default());
        }
    }

    pub(super) fn configs(&self) -> impl Iterator<Item = (Asn, IspConfig)> {
        self.rows.iter().filter_map(|isp| Some((isp.asn, isp.config.as_ref()?.0.clone())))
    }

    /// Removes configurations of an earlier generation; how many that was.
    pub(super) fn sweep_configs(&mut self, generation: Generation) -> usize {
        let stale = |config: &(IspConfig, Generation)| config.1 < generation;
        let all = self.rows.iter_mut().filter(|isp| isp.config.as_ref().is_some_and(stale));
        all.map(|isp| (isp.config, isp.role) = (None, Role::default())).count()
    }

    /// Removes what is of an earlier generation; how many that was.
    pub(super) fn sweep(&mut self, generation: Generation) -> usize {
        let stale = |ftn: &mut FtnRow| ftn.generation < generation;
        self.rows.iter_mut().filter_map(|isp| isp.ftn.take_if(stale)).count()
    }

    pub(super) fn ftns(&self) -> impl Iterator<Item = (Asn, Ftn)> {
        self.rows.iter().filter_map(|isp| {
            let choices = isp.ftn.as_ref()?.choices.iter();
            let choices = choices.map(|c| FtnChoice { fec: c.fec, nhlfes: c.nhlfes.to_vec() });
            Some((isp.asn, Ftn { choices: choices.collect() }))
        })
    }
}
