//! Peers and the two address families (RFC 7552): over which a session is held, and of which FECs and addresses are told.

use std::collections::BTreeSet;
use std::net::IpAddr;

use contract::Tick;
use wire::ldp::{AddressFamily, Body, Hello, LdpId, StatusCode};

use super::Speaker;
use crate::family::messages;
use crate::peer::Link;
use crate::session::{Session, is_active};
use crate::{DownReason, Event, Via};

impl Speaker {
    /// Whether a peer prefers the other address family: then its Hello is passed over, and a session ends (RFC 7552
    /// §6.1.1).
    pub(super) fn is_mismatch(
        &mut self,
        now: Tick,
        (id, via): (LdpId, Via),
        source: IpAddr,
        hello: &Hello,
    ) -> bool {
        let preference = self.config.transport_preference;
        let other = hello.dual_stack.is_some_and(|theirs| theirs != preference);
        if !other || !self.config.transport.is_dual_stack() {
            return false;
        }
        self.incompatible(now, id, StatusCode::TRANSPORT_CONNECTION_MISMATCH);
        if self.discovery.remove(id, via, AddressFamily::of_address(source)) {
            self.adjacencies_lost(now, vec![(id, via)]);
        }
        true
    }

    /// No session is to be held with a peer as it is.
    fn incompatible(&mut self, now: Tick, id: LdpId, status: StatusCode) {
        if self.incompatible.happened(now, 1).is_some() {
            self.events.push_back(Event::Incompatible { peer: id, status });
        }
        if self.peers.get(&id).is_some_and(|peer| !matches!(peer.link, Link::Idle(_))) {
            self.end_session(now, id, DownReason::Local(status), None);
        }
    }

    /// Over which family a session with a peer is to be held; `None`: over none yet, since the peer is not heard by the one
    /// that both prefer (RFC 7552 §6.1.1).
    fn session_family(&self, id: LdpId) -> Result<Option<AddressFamily>, StatusCode> {
        let heard = self.heard_families(id);
        if !self.config.transport.is_dual_stack() {
            return Ok(heard.first().copied());
        }
        let preferred = self.config.transport_preference.into();
        match self.discovery.adjacencies_of(id).any(|(_, adjacency)| adjacency.dual_stack) {
            true => Ok(Some(preferred).filter(|family| heard.contains(family))),
            false if heard.len() > 1 => Err(StatusCode::DUAL_STACK_NONCOMPLIANCE),
            false => Ok(heard.first().copied()),
        }
    }

    fn heard_families(&self, id: LdpId) -> BTreeSet<AddressFamily> {
        let sources = self.discovery.adjacencies_of(id).map(|(_, adjacency)| adjacency.source);
        sources.map(AddressFamily::of_address).collect()
    }

    /// Settles where a peer's next session is to be, as it is heard now. One that is there stays where it is, whichever
    /// family that is (RFC 7552 §6.1).
    pub(super) fn choose_family(&mut self, now: Tick, id: LdpId) {
        let chosen = match self.session_family(id) {
            Ok(chosen) => chosen,
            Err(status) => {
                self.incompatible(now, id, status);
                None
            }
        };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !matches!(peer.link, Link::Idle(_)) {
            return;
        }
        let ends =
            chosen.and_then(|family| Some((self.config.transport.of(family)?, peer.heard.of(family)?)));
        peer.ready = ends.is_some();
        if let Some((local, remote)) = ends {
            peer.transport = remote;
            peer.active = is_active(local, remote);
        }
    }

    /// Of which families a peer is to be told addresses and labels (RFC 7552 §7): both if both ends say that they speak
    /// LDP over both, else those that it is heard by.
    fn families_of(&self, id: LdpId) -> BTreeSet<AddressFamily> {
        let spoken = |family: &AddressFamily| self.config.transport.has(*family);
        let both = BTreeSet::from([AddressFamily::Ipv4, AddressFamily::Ipv6]);
        if !self.config.transport.is_dual_stack()
            || self.discovery.adjacencies_of(id).any(|(_, adjacency)| adjacency.dual_stack)
        {
            return both.into_iter().filter(spoken).collect();
        }
        self.heard_families(id)
    }

    /// Notes of which families a peer is to be told from now on. One whose session is up is told what is missing.
    pub(super) fn settle_families(&mut self, id: LdpId) {
        if !self.discovery.is_heard(id) {
            return;
        }
        let families = self.families_of(id);
        let addresses: BTreeSet<IpAddr> = self.discovery.addresses().collect();
        let labeled = self.fecs.iter().filter(|(_, entry)| entry.is_labeled()).map(|(&fec, _)| fec);
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.families != families) else { return };
        let before = std::mem::replace(&mut peer.families, families.clone());
        if !peer.is_operational() {
            return;
        }
        let within = |families: &BTreeSet<AddressFamily>, not: &BTreeSet<AddressFamily>| {
            let family = AddressFamily::of_address;
            let some = addresses.iter().filter(|address| families.contains(&family(**address)));
            some.filter(|address| !not.contains(&family(**address))).copied().collect::<Vec<IpAddr>>()
        };
        let octets = peer.session().map_or(0, Session::octets_of_addresses);
        for some in messages(&within(&before, &families), octets) {
            peer.send(Body::AddressWithdraw(some));
        }
        for some in messages(&within(&families, &before), octets) {
            peer.send(Body::Address(some));
        }
        peer.dirty.extend(labeled);
    }

    /// Tells the peers which addresses came and went (RFC 5036 §3.5.5.1).
    pub(super) fn tell_addresses(&mut self, before: &BTreeSet<IpAddr>) {
        let after: BTreeSet<IpAddr> = self.discovery.addresses().collect();
        for peer in self.peers.values_mut().filter(|peer| peer.is_operational()) {
            let told = |address: &&IpAddr| peer.families.contains(&AddressFamily::of_address(**address));
            let gone: Vec<IpAddr> = before.difference(&after).filter(told).copied().collect();
            let new: Vec<IpAddr> = after.difference(before).filter(told).copied().collect();
            let octets = peer.session().map_or(0, Session::octets_of_addresses);
            for some in messages(&gone, octets) {
                peer.send(Body::AddressWithdraw(some));
            }
            for some in messages(&new, octets) {
                peer.send(Body::Address(some));
            }
        }
    }

    /// Tells a new session's peer all addresses. Interface addresses only: next hops are found by them, FEC addresses are
    /// no next hops.
    pub(super) fn tell_all_addresses(&mut self, id: LdpId) {
        let all: BTreeSet<IpAddr> = self.discovery.addresses().collect();
        if let Some(peer) = self.peers.get_mut(&id) {
            let told = |address: &IpAddr| peer.families.contains(&AddressFamily::of_address(*address));
            let addresses: Vec<IpAddr> = all.into_iter().filter(told).collect();
            let octets = peer.session().map_or(0, Session::octets_of_addresses);
            for some in messages(&addresses, octets) {
                peer.send(Body::Address(some));
            }
        }
    }
}
