//! Which ways from before a restart of control stay until they are known anew.

use std::collections::{BTreeMap, BTreeSet};
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

/// What neighbours have said since this process began, by which ways from before it are good no more: they have another
/// label for the FEC by now, or the label stands for another's FEC.
#[derive(Debug, Default)]
pub(crate) struct Contradicted {
    labels: BTreeMap<(LdpId, Fec), Label>,
    owners: BTreeMap<(LdpId, Label), Option<Owner>>,
    fec_owners: BTreeMap<Fec, Owner>,
    /// Who has which addresses.
    stations: BTreeMap<IpAddr, Vec<LdpId>>,
    shared: BTreeSet<Label>,
}

/// Whose a FEC is, and which way it leads.
type Owner = (Asn, FecKind);

impl Contradicted {
    /// By these bindings, by neighbors with these addresses; by labels that stand for several ISPs' FECs nothing goes,
    /// whoever bound them.
    pub(crate) fn new(
        bindings: impl IntoIterator<Item = (LdpId, Label, Fec)>,
        stations: impl IntoIterator<Item = (IpAddr, LdpId)>,
        shared_labels: &BTreeSet<(LdpId, Label)>,
        view: &NodeView,
    ) -> Self {
        let fec_owners = view.fecs.iter().map(|(fec, owner)| (*fec, (owner.isp, owner.kind))).collect();
        let shared = shared_labels.iter().map(|(_, label)| *label).collect();
        let mut told = Self { fec_owners, shared, ..Self::default() };
        for (address, peer) in stations {
            told.stations.entry(address).or_default().push(peer);
        }
        for (peer, label, fec) in bindings {
            told.labels.insert((peer, fec), label);
            told.owners.insert((peer, label), told.fec_owners.get(&fec).copied());
        }
        told
    }

    fn has(&self, fec: Fec, nhlfe: &Nhlfe) -> bool {
        let peers = self.stations.get(&nhlfe.next_hop).map_or(&[][..], Vec::as_slice);
        let owner = self.fec_owners.get(&fec).copied();
        nhlfe.push.labels().iter().any(|label| {
            let by = |peer: &LdpId| match self.labels.get(&(*peer, fec)) {
                Some(now) => now != label,
                None => self.owners.get(&(*peer, *label)).is_some_and(|other| *other != owner),
            };
            self.shared.contains(label) || peers.iter().any(by)
        })
    }

    /// A change without such ways.
    fn without(&self, mut change: Change) -> Change {
        match &mut change {
            Change::Ilm(_, Some(Ilm { fec, action: IlmAction::Swap { nhlfes, .. } }))
            | Change::ReturnRoute(_, Some(ReturnRoute { fec, nhlfes })) => {
                nhlfes.retain(|nhlfe| !self.has(*fec, nhlfe));
            }
            Change::Ftn(_, Some(ftn)) => {
                for FtnChoice { fec, nhlfes } in &mut ftn.choices {
                    nhlfes.retain(|nhlfe| !self.has(*fec, nhlfe));
                }
                ftn.choices.retain(|choice| !choice.nhlfes.is_empty());
            }
            _ => {}
        }
        change
    }
}
