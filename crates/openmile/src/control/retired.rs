//! Labels that were withdrawn and that neighbors may still send by.

use std::collections::{BTreeMap, BTreeSet};

use contract::{Fec, Label};

/// Labels with the FECs that they stood for, found by either.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retired {
    fecs: BTreeMap<Label, Fec>,
    labels: BTreeSet<(Fec, Label)>,
}

impl Retired {
    pub(crate) fn insert(&mut self, label: Label, fec: Fec) {
        self.remove(label);
        self.fecs.insert(label, fec);
        self.labels.insert((fec, label));
    }

    pub(crate) fn remove(&mut self, label: Label) {
        if let Some(fec) = self.fecs.remove(&label) {
            self.labels.remove(&(fec, label));
        }
    }

    /// Takes out those whose FECs are of this kind.
    pub(crate) fn take(&mut self, of_kind: impl Fn(&Fec) -> bool) -> Vec<(Label, Fec)> {
        let taken: Vec<_> = self.labels().filter(|(_, fec)| of_kind(fec)).collect();
        taken.iter().for_each(|(label, _)| self.remove(*label));
        taken
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = (Label, Fec)> {
        self.fecs.iter().map(|(&label, &fec)| (label, fec))
    }

    pub(crate) fn fec_of(&self, label: Label) -> Option<Fec> {
        self.fecs.get(&label).copied()
    }

    pub(crate) fn labels_of(&self, fec: Fec) -> impl Iterator<Item = Label> {
        self.labels.range((fec, Label::IPV4_EXPLICIT_NULL)..=(fec, Label::MAX)).map(|&(_, label)| label)
    }
}
