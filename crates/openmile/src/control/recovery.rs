//! Which ways from before a restart of control stay until they are known anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use contract::{Asn, Change, Fec, FtnChoice, Ilm, IlmAction, Label, Nhlfe, ReturnRoute};
use ldp::LdpId;
use network::{FecKind, NodeView};

use super::ledger::Key;
use super::lsp::leads_somewhere;

/// During recovery: what the forwarder still holds stays where nothing better is known yet, but for ways that neighbours
/// have contradicted since, see [`Contradicted`].
pub(crate) fn keep_working(changes: &mut Vec<Change>, inherited: &[Change], contradicted: &Contradicted) {
    let known: BTreeSet<Key> = changes.iter().filter(|change| leads_somewhere(change)).map(Key::of).collect();
    let said: BTreeSet<Key> = changes.iter().map(Key::of).collect();
    let kept: Vec<_> = inherited
        .iter()
        .filter(|change| !known.contains(&Key::of(change)))
        .filter_map(|change| {
            let rest = contradicted.without(change.clone());
            let told_less = rest != *change && !said.contains(&Key::of(change));
            (leads_somewhere(&rest) || told_less).then_some(rest)
        })
        .collect();
    let kept_keys: BTreeSet<Key> = kept.iter().map(Key::of).collect();
    changes.retain(|change| !kept_keys.contains(&Key::of(change)));
    changes.extend(kept);
}

/// Ways from before this process that are good no more, whatever is known of the neighbor later: it has said another label
/// for the FEC since, or that the label stands for another's FEC; or it has said the same label, and taken it back.
#[derive(Debug, Default)]
pub(crate) struct Contradicted {
    /// Said again since.
    confirmed: HashSet<(Fec, Nhlfe)>,
    gone: HashSet<(Fec, Nhlfe)>,
}

impl Contradicted {
    /// Takes what neighbors say at this moment of the ways in these entries.
    pub(crate) fn hear(&mut self, inherited: &[Change], said: &Said) {
        for (fec, nhlfe) in inherited.iter().flat_map(ways) {
            if said.otherwise(fec, &nhlfe) {
                self.gone.insert((fec, nhlfe));
            } else if said.same(fec, &nhlfe) {
                self.confirmed.insert((fec, nhlfe));
            } else if self.confirmed.contains(&(fec, nhlfe)) {
                self.gone.insert((fec, nhlfe));
            }
        }
    }

    /// A change without such ways.
    fn without(&self, mut change: Change) -> Change {
        let good = |fec: Fec| move |nhlfe: &Nhlfe| !self.gone.contains(&(fec, *nhlfe));
        match &mut change {
            Change::Ilm(_, Some(Ilm { fec, action: IlmAction::Swap { nhlfes, .. } }))
            | Change::ReturnRoute(_, Some(ReturnRoute { fec, nhlfes })) => nhlfes.retain(good(*fec)),
            Change::Ftn(_, Some(ftn)) => {
                for FtnChoice { fec, nhlfes } in &mut ftn.choices {
                    nhlfes.retain(good(*fec));
                }
                ftn.choices.retain(|choice| !choice.nhlfes.is_empty());
            }
            _ => {}
        }
        change
    }
}

/// The ways in an entry.
fn ways(change: &Change) -> Vec<(Fec, Nhlfe)> {
    let of = |fec: Fec, nhlfes: &[Nhlfe]| nhlfes.iter().map(|nhlfe| (fec, *nhlfe)).collect::<Vec<_>>();
    match change {
        Change::Ilm(_, Some(Ilm { fec, action: IlmAction::Swap { nhlfes, .. } }))
        | Change::ReturnRoute(_, Some(ReturnRoute { fec, nhlfes })) => of(*fec, nhlfes),
        Change::Ftn(_, Some(ftn)) => {
            ftn.choices.iter().flat_map(|choice| of(choice.fec, &choice.nhlfes)).collect()
        }
        _ => Vec::new(),
    }
}

/// What neighbors say at this moment.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Whether a label is kept from an earlier session.
    labels: BTreeMap<(LdpId, Fec), (Label, bool)>,
    owners: BTreeMap<(LdpId, Label), Option<Owner>>,
    fec_owners: BTreeMap<Fec, Owner>,
    /// Who has which addresses.
    stations: BTreeMap<IpAddr, Vec<LdpId>>,
    shared: BTreeSet<Label>,
}

/// Whose a FEC is, and which way it leads.
type Owner = (Asn, FecKind);

impl Said {
    /// These bindings, by neighbors with these addresses, and whether they are kept from an earlier session; by labels that
    /// stand for several ISPs' FECs nothing goes, whoever bound them.
    pub(crate) fn new(
        bindings: impl IntoIterator<Item = (LdpId, Label, Fec, bool)>,
        stations: impl IntoIterator<Item = (IpAddr, LdpId)>,
        shared_labels: &BTreeSet<(LdpId, Label)>,
        view: &NodeView,
    ) -> Self {
        let fec_owners = view.fecs.iter().map(|(fec, owner)| (*fec, (owner.isp, owner.kind))).collect();
        let shared = shared_labels.iter().map(|(_, label)| *label).collect();
        let mut said = Self { fec_owners, shared, ..Self::default() };
        for (address, peer) in stations {
            said.stations.entry(address).or_default().push(peer);
        }
        for (peer, label, fec, stale) in bindings {
            said.labels.insert((peer, fec), (label, stale));
            if !stale {
                said.owners.insert((peer, label), said.fec_owners.get(&fec).copied());
            }
        }
        said
    }

    fn peers(&self, nhlfe: &Nhlfe) -> &[LdpId] {
        self.stations.get(&nhlfe.next_hop).map_or(&[][..], Vec::as_slice)
    }

    /// Whether it is said that this way is none.
    fn otherwise(&self, fec: Fec, nhlfe: &Nhlfe) -> bool {
        let owner = self.fec_owners.get(&fec).copied();
        nhlfe.push.labels().iter().any(|label| {
            let by = |peer: &LdpId| match self.labels.get(&(*peer, fec)) {
                Some((now, false)) => now != label,
                _ => self.owners.get(&(*peer, *label)).is_some_and(|other| *other != owner),
            };
            self.shared.contains(label) || self.peers(nhlfe).iter().any(by)
        })
    }

    /// Whether its label is said, or kept of what was said.
    fn same(&self, fec: Fec, nhlfe: &Nhlfe) -> bool {
        nhlfe.push.labels().iter().all(|label| {
            let by = |peer: &LdpId| self.labels.get(&(*peer, fec)).is_some_and(|(now, _)| now == label);
            self.peers(nhlfe).iter().any(by)
        })
    }
}
