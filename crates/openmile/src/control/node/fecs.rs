//! What LDP says, and what follows for LSPs.

use api::{Event, FecState};
use ldp::{Installation, LdpId, Via};

use super::*;
use crate::control::recovery::{self, Contradicted};

impl Node {
    pub(super) fn ldp_said(&mut self, event: ldp::Event) {
        use ldp::Event as Said;
        match event {
            Said::Fec(state) => {
                if !state.next_hops.is_empty() {
                    self.null_labels.remove(&state.fec);
                }
                self.ldp_fecs.insert(state.fec, state);
            }
            Said::Retired { label, .. } if self.dead.contains_key(&label) => {}
            // Of a FEC that is not in the network file any more nothing is carried.
            Said::Retired { fec, label } if self.view.fec_owner(&fec).is_none() => {
                self.dead.insert(label, fec);
            }
            Said::Retired { fec, label } => drop(self.retired.insert(label, fec)),
            Said::Freed { label } => {
                self.retired.remove(&label);
                self.dead.remove(&label);
            }
            Said::NullLabel { peer, fec, label } => {
                self.null_labels.insert(fec, peer);
                let name = self.fec_name(fec);
                self.events.alarm(format!(
                    "{} bound the special-purpose label {label} to {name}, which cannot be used: ISP packets do not \
                     cross the backbone without their label",
                    peer.lsr_id
                ));
            }
            Said::OtherOwner { peer, fec, owner } => {
                let (name, other) = (self.fec_name(fec), self.isp_name(owner.isp));
                let way = if owner.to_isp { "to" } else { "to the subscribers of" };
                self.events.alarm(format!(
                    "for {}, {name} leads {way} {other}: the nodes' network files differ; its label is not used",
                    peer.lsr_id
                ));
            }
            Said::TooManyBindings { peer } => self.events.alarm(format!(
                "{} binds more FECs than are kept of a neighbor: the rest is given back. After a remedy: openmile ldp \
                 clear {}",
                peer.lsr_id, peer.lsr_id
            )),
            Said::NoFreeLabel { fec } => {
                let name = self.fec_name(fec);
                self.events.alarm(format!("no label is free for {name}"));
            }
            Said::AdjacencyUp { via, peer } => self.adjacency(via, peer, "heard"),
            Said::AdjacencyDown { via, peer } => self.adjacency(via, peer, "not heard any more"),
            Said::Impostor { via, source } => self.events.alarm(format!(
                "{source} says LDP Hello {} with this node's LSR-id or transport address: it is not listened to",
                self.way(via)
            )),
            Said::Protected { peer } => tracing::warn!(
                "LDP neighbour {} is heard on no link any more: its session is kept by targeted Hellos",
                peer.lsr_id
            ),
            Said::UnwantedTargeted { peer, source } => self.events.alarm(format!(
                "{source} sends targeted LDP Hellos as {}, which is not to do so, or not from there: they are not \
                 answered (see `targeted` in [[node.ldp_neighbor]])",
                peer.lsr_id
            )),
            Said::Incompatible { peer, status } => self.events.alarm(format!(
                "no LDP session with {}: {status}; both ends must have one transport preference, and say it if they speak \
                 LDP over IPv4 and IPv6",
                peer.lsr_id
            )),
            Said::NoHello { via, source, times } => {
                tracing::warn!("what {source} sends {} is no LDP Hello{}", self.way(via), so_often(times));
            }
            Said::ConnectionRefused { remote, reason, times } => {
                tracing::warn!("an LDP connection from {remote} is refused: {reason}{}", so_often(times));
            }
            Said::Refused { peer, status, times } => {
                let lsr = peer.lsr_id;
                tracing::warn!("LDP neighbour {lsr} is told that what it says is not taken: {status}{}", so_often(times));
            }
            Said::Notified { peer, status, times } => {
                tracing::warn!("LDP neighbour {} says: {status}{}", peer.lsr_id, so_often(times));
            }
            Said::SessionUp { peer } => {
                tracing::info!("LDP session with {} is up", peer.lsr_id);
                self.events.tell(Event::Session { peer: peer.lsr_id, up: true, reason: None });
            }
            Said::SessionDown { peer, reason, kept } => {
                let kept = if kept { "; its labels are kept for now" } else { "" };
                tracing::warn!("LDP session with {} is down: {reason}{kept}", peer.lsr_id);
                let reason = Some(reason.to_string());
                self.events.tell(Event::Session { peer: peer.lsr_id, up: false, reason });
            }
            Said::RecoveryOver { complete } => {
                if !complete {
                    self.events.alarm("not all neighbours came back in time: some LSPs are removed".into());
                }
                self.recovered();
            }
        }
        self.lsps_are_old = true;
    }

    /// What the forwarder holds and nobody told is not so any more.
    pub(super) fn recovered(&mut self) {
        self.recovering = false;
        self.inherited.retain(|change| change.scope() != contract::Scope::Learned);
        self.link.ledger().learned_is_complete();
        self.lsps_are_old = true;
        self.events.tell(Event::Recovered);
    }

    /// Works out anew what the forwarder should hold and what an operator is shown, and tells the speaker which labels
    /// the forwarder has.
    pub(super) fn refresh_lsps(&mut self, now: Tick) {
        // A neighbour that is back tells the same labels again: nothing follows from that, but they are not stale any more.
        let restarting = self.rows.iter().any(|row| row.state == FecState::Stale);
        if !std::mem::replace(&mut self.lsps_are_old, false) && !restarting {
            return;
        }
        self.refuse_shared_labels();
        let Lsps { mut changes, mut rows } = self.lsps();
        if self.recovering {
            recovery::keep_working(&mut changes, &self.inherited, &self.contradicted());
        }
        self.link.ledger().set_learned(changes);
        self.confirm_labels(now);
        for row in rows.iter_mut().filter(|row| matches!(row.state, FecState::Up | FecState::Stale)) {
            match row.installed_as {
                Some(key) if self.link.holds(&key) => {}
                Some(key) if self.link.ledger().is_refused(&key) => row.state = FecState::Refused,
                _ => row.state = FecState::Pending,
            }
        }
        self.tell_of_rows(&rows);
        self.rows = rows;
    }

    /// Tells the speaker what the forwarder said of the entries of our labels. One that leads nowhere is none.
    fn confirm_labels(&mut self, now: Tick) {
        let labels = self.ldp_fecs.values().filter_map(|state| Some((state.fec, state.in_label?)));
        let mut installations = BTreeMap::new();
        let mut news = Vec::new();
        for (fec, label) in labels {
            let key = Key::Ilm(label);
            let ledger = self.link.ledger();
            let leads_nowhere = ledger.entry(&key).is_some_and(|entry| !lsp::leads_somewhere(entry));
            let installation = if leads_nowhere || ledger.is_refused(&key) {
                Installation::Refused
            } else if ledger.holds(&key) {
                Installation::Held
            } else {
                Installation::Awaited
            };
            installations.insert(fec, (label, installation));
            if self.installations.get(&fec) != Some(&(label, installation)) {
                news.push((fec, label, installation));
            }
        }
        self.installations = installations;
        if !news.is_empty() {
            self.speaker.handle_all_installed(now, news);
        }
    }

    /// Says which labels a neighbour bound to the FECs of several ISPs, once; they are not used.
    fn refuse_shared_labels(&mut self) {
        let received = self.speaker.received().map(|(peer, fec, received)| (peer, received.label, fec));
        let shared = lsp::shared_labels(received, &self.view);
        for (peer, label) in shared.difference(&self.shared_labels) {
            self.events.alarm(format!(
                "{} bound label {label} to FECs of several ISPs or directions, which cannot be used: their packets could \
                 not be told apart",
                peer.lsr_id
            ));
        }
        self.shared_labels = shared;
    }

    /// What neighbors have said since this process began.
    fn contradicted(&self) -> Contradicted {
        let fresh = self.speaker.received().filter(|(_, _, received)| !received.stale);
        let bindings = fresh.map(|(peer, fec, received)| (peer, received.label, fec));
        Contradicted::new(bindings, self.speaker.stations(), &self.shared_labels, &self.view)
    }

    fn lsps(&self) -> Lsps {
        let received = || self.speaker.received();
        let stale = received().filter(|(_, _, r)| r.stale).map(|(peer, fec, _)| (fec, peer)).collect();
        // A null label that was withdrawn since is none any more.
        let null_labels = received()
            .filter(|(peer, fec, r)| !r.label.is_real() && self.null_labels.get(fec) == Some(peer))
            .map(|(_, fec, _)| fec)
            .collect();
        lsp::lsps(Known {
            view: &self.view,
            places: &Places::of(&self.view),
            ldp: &self.ldp_fecs,
            shared_labels: &self.shared_labels,
            null_labels: &null_labels,
            retired: &self.retired,
            dead: &self.dead,
            stale: &stale,
            kernel: &self.kernel,
            handoffs: self.handoffs.whole(),
            held: self.handoffs.held(),
        })
    }

    /// Tells of each FEC whose rows differ.
    fn tell_of_rows(&self, rows: &[LspRow]) {
        let (old, new) = (by_fec(&self.rows), by_fec(rows));
        let fecs: BTreeSet<Fec> = old.keys().chain(new.keys()).copied().collect();
        for fec in fecs {
            let of = |rows: &BTreeMap<Fec, Vec<_>>| rows.get(&fec).cloned().unwrap_or_default();
            let (old, new) = (of(&old), of(&new));
            if old == new {
                continue;
            }
            let (before, state) = (overall(&old), overall(&new).unwrap_or(FecState::NoRoute));
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
    }

    fn adjacency(&self, via: Via, peer: LdpId, what: &str) {
        tracing::info!("LDP neighbour {} is {what} {}", peer.lsr_id, self.way(via));
    }

    /// How somebody is heard, for people.
    fn way(&self, via: Via) -> String {
        match via {
            Via::Link(interface) => match self.interface_name(interface) {
                Some(port) => format!("on {port}"),
                None => format!("on interface {}", interface.0),
            },
            Via::Targeted => "by targeted Hellos".to_owned(),
        }
    }

    /// A FEC and whose it is, for people.
    pub(super) fn fec_name(&self, fec: Fec) -> String {
        match self.view.fec_owner(&fec) {
            Some(owner) => {
                let way = match owner.kind {
                    network::FecKind::ToIsp => "to",
                    network::FecKind::ToSubscriber => "to the subscribers of",
                };
                let nodes: Vec<_> = owner.nodes.iter().map(network::Name::as_str).collect();
                format!("{} ({way} {} at {})", fec.0.addr(), self.isp_name(owner.isp), nodes.join(", "))
            }
            None => fec.to_string(),
        }
    }
}

/// What is said once a minute at most says how often it was so.
fn so_often(times: u64) -> String {
    if times == 1 { String::new() } else { format!(" ({times} times since this was said last)") }
}

fn by_fec(rows: &[LspRow]) -> BTreeMap<Fec, Vec<&LspRow>> {
    let mut by_fec = BTreeMap::<Fec, Vec<&LspRow>>::new();
    for row in rows {
        by_fec.entry(row.fec).or_default().push(row);
    }
    by_fec
}

/// Up, if any way is; else the first row's state.
fn overall(rows: &[&LspRow]) -> Option<FecState> {
    let up = rows.iter().any(|row| row.state == FecState::Up).then_some(FecState::Up);
    up.or_else(|| rows.first().map(|row| row.state))
}

fn reason(state: FecState) -> &'static str {
    match state {
        FecState::Up => "up",
        FecState::Pending => "waiting",
        FecState::HandoffDown => "the handoff's next hop does not answer, or its port is down",
        FecState::NoRoute => "no route",
        FecState::NoLabel => "no label from the next hop",
        FecState::NullLabel => "the next hop sent a null label",
        FecState::Stale => "the neighbour restarts",
        FecState::HeldDown => "the handoff failed too often and is held down for a while",
        FecState::SharedLabel => "the next hop bound the same label to another ISP's FEC",
        FecState::Refused => "the forwarder refuses the entry",
    }
}
