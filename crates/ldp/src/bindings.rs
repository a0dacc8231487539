//! The bindings received from one peer, by FEC and by label.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use contract::{Fec, Label};

use crate::Owner;
use crate::distribution::Attributes;
use crate::transitive::Transitive;

/// A binding received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) label: Label,
    pub(crate) hop_count: Option<u8>,
    /// Whose the FEC is, if the peer said so.
    pub(crate) owner: Option<Owner>,
    pub(crate) stale: bool,
    /// Whether it was said why it cannot be used: a null label, or another owner.
    pub(crate) alarmed: bool,
}

/// The bindings received from one peer; one for each FEC.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    by_fec: BTreeMap<Fec, Binding>,
    by_label: BTreeSet<(Label, Fec)>,
    /// Labels that are bound to several FECs.
    plural: BTreeSet<Label>,
    /// The LSRs along the LSPs, where loops are looked for and the peer says them.
    paths: BTreeMap<Fec, Box<[Ipv4Addr]>>,
    /// What the peer said with some labels that is to be passed on.
    transitive: BTreeMap<Fec, Transitive>,
}

impl Bindings {
    pub(crate) fn len(&self) -> usize {
        self.by_fec.len()
    }

    pub(crate) fn of(&self, fec: Fec) -> Option<&Binding> {
        self.by_fec.get(&fec)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Fec, &Binding)> {
        self.by_fec.iter().map(|(&fec, binding)| (fec, binding))
    }

    /// The FECs that the peer bound this label to.
    pub(crate) fn fecs_of(&self, label: Label) -> impl Iterator<Item = Fec> {
        let first = (label, FIRST);
        self.by_label.range(first..).take_while(move |(of, _)| *of == label).map(|&(_, fec)| fec)
    }

    /// Labels that the peer bound to several FECs, with each of these.
    pub(crate) fn plural(&self) -> impl Iterator<Item = (Label, Fec)> {
        self.plural.iter().flat_map(|&label| self.fecs_of(label).map(move |fec| (label, fec)))
    }

    pub(crate) fn insert(&mut self, fec: Fec, binding: Binding) {
        match self.by_fec.insert(fec, binding) {
            Some(old) if old.label == binding.label => return,
            Some(old) => self.unbind(old.label, fec),
            None => {}
        }
        if self.fecs_of(binding.label).next().is_some() {
            self.plural.insert(binding.label);
        }
        self.by_label.insert((binding.label, fec));
    }

    fn unbind(&mut self, label: Label, fec: Fec) {
        self.by_label.remove(&(label, fec));
        if self.fecs_of(label).nth(1).is_none() {
            self.plural.remove(&label);
        }
    }

    /// The way of a FEC's LSP.
    pub(crate) fn set_path(&mut self, fec: Fec, path: Option<Box<[Ipv4Addr]>>) {
        match path {
            Some(path) => drop(self.paths.insert(fec, path)),
            None => drop(self.paths.remove(&fec)),
        }
    }

    /// What is to be passed on with a FEC's label.
    pub(crate) fn set_transitive(&mut self, fec: Fec, transitive: Transitive) {
        if transitive.is_none() {
            self.transitive.remove(&fec);
        } else {
            self.transitive.insert(fec, transitive);
        }
    }

    /// What the peer said with a FEC's label.
    pub(crate) fn attributes(&self, fec: Fec) -> Attributes {
        let hop_count = self.by_fec.get(&fec).and_then(|binding| binding.hop_count);
        let transitive = self.transitive.get(&fec).cloned().unwrap_or_default();
        Attributes { hop_count, path: self.paths.get(&fec).cloned(), transitive }
    }

    pub(crate) fn remove(&mut self, fec: Fec) -> Option<Binding> {
        let binding = self.by_fec.remove(&fec)?;
        self.paths.remove(&fec);
        self.transitive.remove(&fec);
        self.unbind(binding.label, fec);
        Some(binding)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// They are of an earlier session now.
    pub(crate) fn grow_stale(&mut self) {
        self.by_fec.values_mut().for_each(|binding| binding.stale = true);
    }

    /// Forgets what is of an earlier session.
    pub(crate) fn forget_stale(&mut self) {
        let stale: Vec<Fec> = self.iter().filter(|(_, binding)| binding.stale).map(|(fec, _)| fec).collect();
        for fec in stale {
            self.remove(fec);
        }
    }

    /// Whether it was said why a FEC's binding cannot be used.
    pub(crate) fn set_alarmed(&mut self, fec: Fec, alarmed: bool) {
        if let Some(binding) = self.by_fec.get_mut(&fec) {
            binding.alarmed = alarmed;
        }
    }
}

/// The least FEC of all.
pub(crate) const FIRST: Fec =
    Fec(ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::UNSPECIFIED, 0)));
