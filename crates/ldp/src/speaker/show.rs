//! What people are shown.

use std::collections::BTreeSet;
use std::net::IpAddr;

use contract::{Fec, Label, Tick};

use super::Speaker;
use crate::bindings::Binding;
use crate::peer::{Link, Peer};
use crate::session::Session;
use crate::{
    Adjacency, Capabilities, Config, Counters, LdpId, LibEntry, Neighbor, Received, Sent, SentState,
    SessionState, Via,
};

impl Speaker {
    /// All neighbors, by LDP identifier.
    pub fn neighbors(&self, now: Tick) -> Vec<Neighbor> {
        self.peers.iter().map(|(&id, peer)| self.neighbor(now, id, peer)).collect()
    }

    fn neighbor(&self, now: Tick, id: LdpId, peer: &Peer) -> Neighbor {
        let adjacencies = self.discovery.adjacencies_of(id).map(|(via, adjacency)| Adjacency {
            via,
            name: match via {
                Via::Link(interface) => self.discovery.interface(interface).map(|known| known.name.clone()),
                Via::Targeted => None,
            }
            .unwrap_or_default(),
            source: adjacency.source,
            hold: adjacency.hold,
            left: adjacency.expires.map(|at| at.since(now)),
        });
        let ago = |at: Tick| now.since(at);
        let operational = peer.session().filter(|session| session.is_operational());
        Neighbor {
            peer: id,
            transport_address: peer.transport,
            adjacencies: adjacencies.collect(),
            session: match &peer.link {
                Link::Idle(_) | Link::Connecting(..) => SessionState::NonExistent,
                Link::Session(session) => session.state,
            },
            active: peer.active,
            up_for: operational.and_then(|session| session.up_since).map(|since| now.since(since)),
            agreed: operational.map(Session::agreed),
            capabilities: operational.map(|session| capabilities(&session.capabilities)),
            last_down: peer.last_down.map(|(reason, at)| (reason, ago(at))),
            last_notified: peer.last_notified.map(|(status, at)| (status, ago(at))),
            last_refused: peer.last_refused.map(|(status, at)| (status, ago(at))),
            stale: peer.stale.is_some(),
            addresses: peer.addresses.keys().copied().collect(),
            received: peer.received.len(),
            sent: peer.sent.len(),
            at_limit: peer.at_limit,
            counters: peer.counters,
        }
    }

    /// The bindings received of all peers, in no useful order.
    pub fn received(&self) -> impl Iterator<Item = (LdpId, Fec, Received)> {
        let all = self.peers.iter();
        all.flat_map(move |(&id, peer)| {
            let rows = peer.received.iter();
            rows.map(move |(fec, binding)| (id, fec, self.received_row(id, fec, binding)))
        })
    }

    /// The bindings of a FEC received, by peer.
    pub fn received_of(&self, fec: Fec) -> impl Iterator<Item = (LdpId, Received)> {
        let all = self.peers.iter();
        all.filter_map(move |(&id, peer)| Some((id, self.received_row(id, fec, peer.received.of(fec)?))))
    }

    /// The bindings received by which a peer has given one label to several FECs.
    pub fn received_twice(&self) -> impl Iterator<Item = (LdpId, Label, Fec)> {
        let all = self.peers.iter();
        all.flat_map(|(&id, peer)| peer.received.plural().map(move |(label, fec)| (id, label, fec)))
    }

    /// The FECs that a peer bound a label to.
    pub fn fecs_of(&self, peer: LdpId, label: Label) -> impl Iterator<Item = Fec> {
        self.peers.get(&peer).into_iter().flat_map(move |peer| peer.received.fecs_of(label))
    }

    /// Which addresses are whose: those that peers have told, and the link-local ones that their Hellos come from, on
    /// whichever interface.
    pub fn stations(&self) -> impl Iterator<Item = (IpAddr, LdpId)> {
        self.stations.iter()
    }

    fn received_row(&self, id: LdpId, fec: Fec, binding: &Binding) -> Received {
        Received {
            label: binding.label,
            in_use: self.fecs.get(&fec).is_some_and(|entry| entry.uses(id, binding.label)),
            stale: binding.stale,
            named: binding.owner.is_some(),
        }
    }

    /// The label information base, by FEC and peer. A FEC whose withdrawn label a peer has not released yet has a row for
    /// it beside that of its present label.
    pub fn lib(&self) -> Vec<LibEntry> {
        let mut rows: Vec<LibEntry> = self.peers.iter().flat_map(|(&id, peer)| self.rows(id, peer)).collect();
        rows.sort_by_key(|row| (row.fec, row.peer));
        rows
    }

    fn rows(&self, id: LdpId, peer: &Peer) -> Vec<LibEntry> {
        let fecs: BTreeSet<Fec> = {
            let told = peer.sent.keys().chain(peer.released.keys()).copied();
            peer.received.iter().map(|(fec, _)| fec).chain(told).collect()
        };
        let current = fecs.into_iter().map(|fec| LibEntry {
            fec,
            peer: id,
            received: peer.received.of(fec).map(|binding| self.received_row(id, fec, binding)),
            sent: peer.told(fec).map(|(told, released)| Sent {
                label: told.label,
                state: if released { SentState::Released } else { SentState::Mapped },
            }),
        });
        let withdrawn = peer.withdrawn.iter().map(|&(fec, label)| LibEntry {
            fec,
            peer: id,
            received: None,
            sent: Some(Sent { label, state: SentState::Withdrawn }),
        });
        current.chain(withdrawn).collect()
    }

    /// What this speaker goes by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What was counted with no peer.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

fn capabilities(of: &crate::capabilities::Capabilities) -> Capabilities {
    Capabilities {
        local: of.local.clone(),
        peer: of.peer.clone(),
        unsupported: of.unsupported.clone(),
        end_of_lib_sent: of.end_told,
        end_of_lib_received: of.end_heard.clone(),
    }
}
