//! What LDP says, and what follows for LSPs.

use api::Event;
use ldp::{InterfaceId, LdpId, Via};

use super::*;

impl Node {
    pub(super) fn ldp_said(&mut self, event: ldp::Event) {
        use ldp::Event as Said;
        match event {
            Said::Fec(state) => {
                if !state.next_hops.is_empty() {
                    self.null_labels.remove(&state.fec);
                }
                self.news.fecs.insert(state.fec);
                let before = self.ldp_fecs.insert(state.fec, state);
                self.news.labels.extend(before.and_then(|before| before.in_label));
            }
            Said::Retired { fec, label } => {
                self.news.labels.insert(label);
                if self.dead.contains_key(&label) {
                    // It was so when this process began.
                } else if self.view.fec_owner(&fec).is_none() {
                    // Of a FEC that is not in the network file any more nothing is carried.
                    self.dead.insert(label, fec);
                } else {
                    self.retired.insert(label, fec);
                }
            }
            Said::Freed { label } => {
                self.news.labels.insert(label);
                self.retired.remove(label);
                self.dead.remove(&label);
            }
            Said::NullLabel { peer, fec, label } => {
                self.news.fecs.insert(fec);
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
            Said::IgpSync { interface, achieved } => self.igp_sync(interface, achieved),
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
                self.news.all = true;
                tracing::info!("LDP session with {} is up", peer.lsr_id);
                self.events.tell(Event::Session { peer: peer.lsr_id, up: true, reason: None });
            }
            Said::SessionDown { peer, reason, kept } => {
                // What it told may be stale by now.
                self.news.all = true;
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
    }

    /// What the forwarder holds and nobody told is not so any more.
    pub(super) fn recovered(&mut self) {
        self.recovering = false;
        self.inherited.retain(|change| change.scope() != contract::Scope::Learned);
        self.contradicted = Contradicted::default();
        self.link.ledger().learned_is_complete();
        self.news.all = true;
        self.events.tell(Event::Recovered);
    }

    fn adjacency(&self, via: Via, peer: LdpId, what: &str) {
        tracing::info!("LDP neighbour {} is {what} {}", peer.lsr_id, self.way(via));
    }

    /// Whether the IGP may use a link (RFC 5443), as its operator is told.
    fn igp_sync(&self, interface: InterfaceId, achieved: bool) {
        // Of a port that is no more, its removal tells.
        let Some(port) = self.interface_name(interface) else { return };
        if achieved {
            tracing::info!("LDP-IGP synchronization on {port} is achieved: all labels are told");
        } else {
            tracing::warn!("LDP-IGP synchronization on {port} is lost: the IGP should take other links");
        }
        self.events.tell(Event::IgpSync { port: port.to_owned(), achieved });
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
