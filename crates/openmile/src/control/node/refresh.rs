//! What follows for LSPs from what has happened: what the forwarder should hold, what the speaker is told of that, what an
//! operator is shown.
//!
//! News of a FEC, a label or an entry is worked out for the FECs concerned, however many there are beside them. What may
//! concern any FEC (an interface, a session, another network file, the forwarder's connection, a recovery) is
//! worked out for all of them.

use api::{Event, FecState};
use ldp::Installation;

use super::*;
use crate::control::lsp::{self, Known, Lsps};
use crate::control::recovery::{self, Said};

/// What has happened since LSPs were worked out last.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What may concern any FEC.
    pub(super) all: bool,
    /// FECs that are otherwise by now.
    pub(super) fecs: BTreeSet<Fec>,
    /// Labels of ours that stand for something else by now, or for nothing.
    pub(super) labels: BTreeSet<Label>,
    /// Entries that the forwarder has answered for.
    pub(super) entries: BTreeSet<Key>,
    /// Whether handoffs are otherwise by now.
    pub(super) handoffs: bool,
    /// Whether neighbors have bound labels, perhaps to FECs that are not routed there.
    pub(super) bindings: bool,
}

impl News {
    fn any(&self) -> bool {
        let Self { all, fecs, labels, entries, handoffs, bindings } = self;
        *all || *handoffs || *bindings || !(fecs.is_empty() && labels.is_empty() && entries.is_empty())
    }
}

impl Node {
    /// What was last worked out, by FEC.
    pub(in crate::control) fn rows(&self) -> impl Iterator<Item = &LspRow> {
        self.rows.values().flatten()
    }

    /// Works out anew what is not as it was.
    pub(super) fn refresh_lsps(&mut self, now: Tick) {
        // A neighbour that is back tells the same labels again: nothing follows from that, but they are not stale any more.
        if !self.news.any() && !self.any_stale {
            return;
        }
        let mut news = std::mem::take(&mut self.news);
        news.all |= self.recovering || self.any_stale;
        let unshared = self.refuse_shared_labels();
        if news.all {
            self.refresh_all(now);
        } else {
            news.fecs.extend(unshared);
            self.refresh_some(now, news);
        }
        #[cfg(test)]
        self.assert_fresh();
    }

    fn refresh_all(&mut self, now: Tick) {
        if self.recovering {
            let said = self.said();
            self.contradicted.hear(&self.inherited, &said);
        }
        let Lsps { changes, rows } = self.all_lsps();
        self.link.ledger().set_learned(changes);
        let fecs: BTreeSet<Fec> = self.ldp_fecs.keys().chain(self.installations.keys()).copied().collect();
        self.confirm_labels(now, &fecs);
        self.any_stale = false;
        let fecs = self.rows.keys().copied().chain(rows.iter().map(|row| row.fec)).collect();
        self.set_rows(&fecs, rows);
    }

    /// What should be of all FECs.
    fn all_lsps(&self) -> Lsps {
        let mut lsps = self.with_known(None, lsp::lsps);
        if self.recovering {
            recovery::keep_working(&mut lsps.changes, &self.inherited, &self.contradicted);
        }
        lsps
    }

    fn refresh_some(&mut self, now: Tick, news: News) {
        let News { mut fecs, labels, entries, handoffs, bindings, all: _ } = news;
        fecs.extend(entries.iter().flat_map(|&entry| self.fecs_of(entry)));
        if handoffs {
            fecs.extend(self.places.handoff_fecs());
        }
        if bindings {
            // A null label may have been withdrawn.
            fecs.extend(self.null_labels.keys());
        }
        let Lsps { changes, mut rows } = self.with_known(Some(&fecs), |known| {
            let mut lsps = lsp::lsps_of(&fecs, &labels, known);
            if handoffs {
                lsps.changes.extend(lsp::handoff_entries(known));
            }
            lsps
        });
        let told = self.link.ledger().set_some(changes);
        // Other FECs' ways may be in the same entry, and wait for the forwarder with it.
        let others: BTreeSet<Fec> = told.into_iter().flat_map(|key| self.fecs_of(key)).collect();
        let others: BTreeSet<Fec> = others.difference(&fecs).copied().collect();
        rows.extend(
            self.with_known(Some(&others), |known| lsp::lsps_of(&others, &BTreeSet::new(), known)).rows,
        );
        fecs.extend(others);
        self.confirm_labels(now, &fecs);
        self.set_rows(&fecs, rows);
    }

    /// Lets handoffs begin whose ISP's subscribers can be sent to: every LSP to a headend that is routed is up, and one is.
    pub(super) fn begin_handoffs(&mut self, now: Tick) {
        let mut circuits = self.handoffs.waiting().clone();
        circuits.retain(|&circuit| {
            self.handoffs.configured(circuit).is_some_and(|handoff| self.reaches_subscribers(handoff.isp))
        });
        circuits.into_iter().for_each(|circuit| self.handoffs.begin(now, circuit));
    }

    fn reaches_subscribers(&self, isp: contract::Asn) -> bool {
        let mut routes = self.view.return_routes.iter().filter(|route| route.prefix.isp == isp).peekable();
        let mut reached = routes.peek().is_none();
        for route in routes {
            match overall(self.rows.get(&route.fec).map_or(&[], Vec::as_slice)) {
                Some(FecState::Up) => reached = true,
                Some(FecState::NoRoute) => {}
                _ => return false,
            }
        }
        reached
    }

    /// The FECs with rows that depend on an entry.
    fn fecs_of(&mut self, entry: Key) -> Vec<Fec> {
        match (entry, self.link.ledger().entry(&entry)) {
            (Key::Ilm(_), Some(Change::Ilm(_, Some(ilm)))) => vec![ilm.fec],
            _ => self.places.fecs_of(entry, &self.view),
        }
    }

    /// Takes over the rows of these FECs.
    fn set_rows(&mut self, fecs: &BTreeSet<Fec>, rows: Vec<LspRow>) {
        let mut new = self.as_held(rows);
        for &fec in fecs {
            let rows = new.remove(&fec).unwrap_or_default();
            self.any_stale |= rows.iter().any(|row| row.state == FecState::Stale);
            let before = self.rows.remove(&fec).unwrap_or_default();
            if rows != before {
                self.tell_of_rows(fec, &before, &rows);
            }
            if !rows.is_empty() {
                self.rows.insert(fec, rows);
            }
        }
    }

    /// Rows by FEC: a way is up when the forwarder holds it.
    fn as_held(&mut self, rows: Vec<LspRow>) -> BTreeMap<Fec, Vec<LspRow>> {
        let mut by_fec = BTreeMap::<Fec, Vec<LspRow>>::new();
        for mut row in rows {
            if matches!(row.state, FecState::Up | FecState::Stale) {
                match row.installed_as {
                    Some(key) if self.link.holds(&key) => {}
                    Some(key) if self.link.ledger().is_refused(&key) => row.state = FecState::Refused,
                    _ => row.state = FecState::Pending,
                }
            }
            by_fec.entry(row.fec).or_default().push(row);
        }
        by_fec
    }

    /// Tells the speaker what the forwarder said of the entries of our labels for these FECs. One that leads nowhere is none.
    fn confirm_labels(&mut self, now: Tick, fecs: &BTreeSet<Fec>) {
        let mut news = Vec::new();
        for &fec in fecs {
            let Some(label) = self.ldp_fecs.get(&fec).and_then(|state| state.in_label) else {
                self.installations.remove(&fec);
                continue;
            };
            let installation = self.installation(label);
            if self.installations.insert(fec, (label, installation)) != Some((label, installation)) {
                news.push((fec, label, installation));
            }
        }
        if !news.is_empty() {
            self.speaker.handle_all_installed(now, news);
        }
    }

    fn installation(&mut self, label: Label) -> Installation {
        let key = Key::Ilm(label);
        let ledger = self.link.ledger();
        let leads_nowhere = ledger.entry(&key).is_some_and(|entry| !lsp::leads_somewhere(entry));
        if leads_nowhere || ledger.is_refused(&key) {
            Installation::Refused
        } else if ledger.holds(&key) {
            Installation::Held
        } else {
            Installation::Awaited
        }
    }

    /// Says which labels a neighbour bound to the FECs of several ISPs, once; they are not used. The FECs that are bound to
    /// labels that were shared and are not, or the other way round.
    fn refuse_shared_labels(&mut self) -> BTreeSet<Fec> {
        let received = self.speaker.received_twice();
        let shared = lsp::shared_labels(received, &self.view);
        if shared == self.shared_labels {
            return BTreeSet::new();
        }
        for (peer, label) in shared.difference(&self.shared_labels) {
            self.events.alarm(format!(
                "{} bound label {label} to FECs of several ISPs or directions, which cannot be used: their packets could \
                 not be told apart",
                peer.lsr_id
            ));
        }
        let turned = shared.symmetric_difference(&self.shared_labels);
        let fecs = turned.flat_map(|&(peer, label)| self.speaker.fecs_of(peer, label)).collect();
        self.shared_labels = shared;
        fecs
    }

    /// What neighbors say at this moment.
    fn said(&self) -> Said {
        let all = self.speaker.received();
        let bindings = all.map(|(peer, fec, received)| (peer, received.label, fec, received.stale));
        Said::new(bindings, self.speaker.stations(), &self.shared_labels, &self.view)
    }

    /// What of all that is known concerns these FECs, or all.
    fn with_known<T>(&self, fecs: Option<&BTreeSet<Fec>>, then: impl FnOnce(Known) -> T) -> T {
        let (mut stale, mut null_labels) = (BTreeSet::new(), BTreeSet::new());
        let mut sort = |peer: LdpId, fec: Fec, received: ldp::Received| {
            if received.stale {
                stale.insert((fec, peer));
            }
            // A null label that was withdrawn since is none any more.
            if !received.label.is_real() && self.null_labels.get(&fec) == Some(&peer) {
                null_labels.insert(fec);
            }
        };
        match fecs {
            Some(fecs) => fecs.iter().for_each(|&fec| {
                self.speaker.received_of(fec).for_each(|(peer, received)| sort(peer, fec, received));
            }),
            None => self.speaker.received().for_each(|(peer, fec, received)| sort(peer, fec, received)),
        }
        then(Known {
            view: &self.view,
            places: &self.places,
            ldp: &self.ldp_fecs,
            shared_labels: &self.shared_labels,
            null_labels: &null_labels,
            retired: &self.retired,
            dead: &self.dead,
            stale: &stale,
            kernel: &self.kernel,
            handoffs: self.handoffs.whole(),
            held: self.handoffs.held(),
            waiting: self.handoffs.waiting(),
        })
    }

    /// Tells of a FEC whose rows differ.
    fn tell_of_rows(&self, fec: Fec, old: &[LspRow], new: &[LspRow]) {
        let (before, state) = (overall(old), overall(new).unwrap_or(FecState::NoRoute));
        self.events.tell(Event::Fec { fec: fec.0, state });
        if before != Some(state) && !(before.is_none() && state != FecState::Up) {
            let name = self.fec_name(fec);
            match state {
                FecState::Up => tracing::info!("LSP of {name} is up"),
                FecState::Pending => {}
                FecState::Stale => tracing::info!("LSP of {name} goes on while the neighbour restarts"),
                _ => tracing::info!("LSP of {name} is down: {}", reason(state)),
            }
        }
    }

    /// What was worked out for some FECs is what would have been for all.
    #[cfg(test)]
    fn assert_fresh(&mut self) {
        let received = self.speaker.received().map(|(peer, fec, received)| (peer, received.label, fec));
        assert_eq!(self.shared_labels, lsp::shared_labels(received, &self.view));
        let Lsps { changes, rows } = self.all_lsps();
        let changes: BTreeMap<Key, Change> = changes.into_iter().map(|c| (Key::of(&c), c)).collect();
        let ledger = self.link.ledger().learned();
        let differ = |key: &&Key| ledger.get(key) != changes.get(key);
        let keys: BTreeSet<_> = ledger.keys().chain(changes.keys()).filter(differ).collect();
        let both: Vec<_> = keys.into_iter().map(|key| (key, ledger.get(key), changes.get(key))).collect();
        assert!(both.is_empty(), "{both:#?}");
        let by_fec = self.as_held(rows);
        let differ = |fec: &&Fec| self.rows.get(fec) != by_fec.get(fec);
        let fecs: BTreeSet<_> = self.rows.keys().chain(by_fec.keys()).filter(differ).collect();
        let both: Vec<_> = fecs.into_iter().map(|fec| (fec, self.rows.get(fec), by_fec.get(fec))).collect();
        assert!(both.is_empty(), "{both:#?}");
        let labels: Vec<_> = self.ldp_fecs.values().filter_map(|s| Some((s.fec, s.in_label?))).collect();
        let installations: BTreeMap<_, _> =
            labels.into_iter().map(|(fec, label)| (fec, (label, self.installation(label)))).collect();
        assert_eq!(self.installations, installations);
    }
}

/// Up, if any way is; else the first row's state.
fn overall(rows: &[LspRow]) -> Option<FecState> {
    let up = rows.iter().any(|row| row.state == FecState::Up).then_some(FecState::Up);
    up.or_else(|| rows.first().map(|row| row.state))
}

fn reason(state: FecState) -> &'static str {
    match state {
        FecState::Up => "up",
        FecState::Pending => "waiting",
        FecState::HandoffDown => "the handoff's next hop does not answer, or its port is down",
        FecState::HandoffWaits => "the handoff waits for LSPs to the ISP's subscribers",
        FecState::NoRoute => "no route",
        FecState::NoLabel => "no label from the next hop",
        FecState::NullLabel => "the next hop sent a null label",
        FecState::Stale => "the neighbour restarts",
        FecState::HeldDown => "the handoff failed too often and is held down for a while",
        FecState::SharedLabel => "the next hop bound the same label to another ISP's FEC",
        FecState::Refused => "the forwarder refuses the entry",
    }
}
