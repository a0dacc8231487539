//! Hellos and what adjacencies mean for peers (RFC 5036 §2.4, §2.5.5, §3.5.2).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use contract::Tick;
use wire::ldp::{
    Addresses, Body, DEFAULT_MAX_PDU_LENGTH, Hello, HoldTime, Incoming, LdpId, Message, Pdu, PduWriter,
    StatusCode,
};

use super::Speaker;
use crate::discovery::Heard;
use crate::peer::{Link, MIN_BACKOFF, Peer};
use crate::session::{Session, is_active};
use crate::{Action, DownReason, Event, InterfaceId};

/// How often it is said that another LSR has this one's name.
const IMPOSTOR_INTERVAL: Duration = Duration::from_secs(60);

impl Speaker {
    pub(super) fn hello(&mut self, now: Tick, interface: InterfaceId, source: Ipv4Addr, octets: &[u8]) {
        let Some((sender, hello)) = decode(octets) else {
            self.counters.hellos_malformed += 1;
            return;
        };
        let transport = hello.transport_address.unwrap_or(source);
        // Label spaces of single interfaces exist on ATM only; targeted Hellos are not asked for here.
        let useful = !hello.targeted
            && sender.label_space == 0
            && sender.lsr_id != self.local.lsr_id
            && is_station(sender.lsr_id)
            && is_station(source)
            && is_station(transport)
            && transport != self.config.transport_address
            && !self.stopped;
        if sender.lsr_id == self.local.lsr_id || transport == self.config.transport_address {
            self.impostor(now, interface, source);
        }
        if !useful || self.policy(sender).is_none() || !self.agrees(sender, transport) {
            self.counters.hellos_ignored += 1;
            return;
        }
        match self.discovery.hear(now, interface, sender, source, hello.hold) {
            Heard::Refused => {
                self.counters.hellos_ignored += 1;
                return;
            }
            Heard::New => {
                self.events.push_back(Event::AdjacencyUp { interface, peer: sender });
                self.touch_interface(interface);
            }
            Heard::Again => {}
        }
        self.counters.hellos_received += 1;
        self.meet(now, interface, sender, transport, &hello);
        self.send_hellos(now);
    }

    /// Somebody has our name. It is ourselves where two of our interfaces are on one segment.
    fn impostor(&mut self, now: Tick, interface: InterfaceId, source: Ipv4Addr) {
        if self.impostor_at <= now && !self.discovery.addresses().any(|own| own == source) {
            self.impostor_at = now + IMPOSTOR_INTERVAL;
            self.events.push_back(Event::Impostor { interface, source });
        }
    }

    /// Whether the transport address fits what is known: one for an LSR, all its Hellos alike (RFC 5036 §3.5.2.2), and
    /// of one LSR only.
    fn agrees(&self, sender: LdpId, transport: Ipv4Addr) -> bool {
        let known = self.peers.get(&sender);
        if known.is_some_and(|peer| peer.transport == transport) {
            return true;
        }
        let free = self.peers.iter().all(|(&id, peer)| id == sender || peer.transport != transport);
        let may_change = known.is_none_or(|peer| {
            matches!(peer.link, Link::Idle(_)) && self.discovery.adjacencies_of(sender).count() <= 1
        });
        free && may_change
    }

    fn meet(&mut self, now: Tick, interface: InterfaceId, sender: LdpId, transport: Ipv4Addr, hello: &Hello) {
        let active = is_active(self.config.transport_address, transport);
        let peer = self.peers.entry(sender).or_insert_with(|| Peer::new(now, transport, active));
        peer.transport = transport;
        peer.active = active;
        peer.gtsm = hello.gtsm;
        let sequence = hello.configuration_sequence;
        if peer.configuration_sequence != sequence {
            peer.configuration_sequence = sequence;
            // It has most likely restarted, and cannot open a session before it hears us.
            self.discovery.answer(now, interface);
            // RFC 5036 §2.5.3: a changed configuration is a reason to try again at once.
            if let Link::Idle(retry_at) = &mut peer.link {
                *retry_at = now;
                peer.backoff = MIN_BACKOFF;
            }
        }
        self.sign(sender);
        self.adopt(now, sender, transport);
    }

    pub(super) fn adjacencies_lost(&mut self, now: Tick, lost: Vec<(LdpId, InterfaceId)>) {
        for (peer, interface) in lost {
            self.events.push_back(Event::AdjacencyDown { interface, peer });
            if !self.discovery.is_heard(peer) {
                // RFC 5036 §2.5.5: the last adjacency takes the session with it.
                self.end_session(now, peer, DownReason::Local(StatusCode::HOLD_TIMER_EXPIRED), None);
                // What was kept for its restart goes, too: a control that restarts says Hello again at once, while one
                // that is silent for the whole hold time may have gone with its forwarder.
                if self.peers.get(&peer).is_some_and(|peer| peer.stale.is_some()) {
                    self.flush_stale(peer);
                    self.remove_if_gone(peer);
                }
            }
            self.touch_interface(interface);
        }
    }

    pub(super) fn send_hellos(&mut self, now: Tick) {
        if self.stopped {
            return;
        }
        for interface in self.discovery.take_due(now) {
            let hold = u16::try_from(self.config.hello_hold.as_secs()).unwrap_or(HoldTime::INFINITE.0 - 1);
            let hello = Hello {
                hold: HoldTime(hold),
                targeted: false,
                request_targeted: false,
                gtsm: self.config.gtsm,
                transport_address: Some(self.config.transport_address),
                transport_address_v6: None,
                configuration_sequence: Some(self.config.configuration_sequence),
                dual_stack: None,
            };
            let id = self.next_hello_id();
            let mut writer = PduWriter::new(self.local, DEFAULT_MAX_PDU_LENGTH);
            if writer.push(&Message { id, body: Body::Hello(hello) }).is_ok() {
                self.counters.hellos_sent += 1;
                self.actions.push_back(Action::SendHello { interface, octets: writer.finish() });
            }
        }
    }

    /// Tells the peers which addresses came and went (RFC 5036 §3.5.5.1).
    pub(super) fn tell_addresses(&mut self, before: &BTreeSet<Ipv4Addr>) {
        let after: BTreeSet<Ipv4Addr> = self.discovery.addresses().collect();
        let gone: Vec<Ipv4Addr> = before.difference(&after).copied().collect();
        let new: Vec<Ipv4Addr> = after.difference(before).copied().collect();
        for peer in self.peers.values_mut().filter(|peer| peer.is_operational()) {
            let most = peer.session().map_or(1, Session::addresses_per_message);
            for some in gone.chunks(most) {
                peer.send(Body::AddressWithdraw(Addresses::V4(some.to_vec())));
            }
            for some in new.chunks(most) {
                peer.send(Body::Address(Addresses::V4(some.to_vec())));
            }
        }
    }

    /// Tells a new session's peer all addresses. Interface addresses only: next hops are found by them, FEC addresses are
    /// no next hops.
    pub(super) fn tell_all_addresses(&mut self, id: LdpId) {
        let addresses: Vec<Ipv4Addr> =
            self.discovery.addresses().collect::<BTreeSet<_>>().into_iter().collect();
        if let Some(peer) = self.peers.get_mut(&id) {
            let most = peer.session().map_or(1, Session::addresses_per_message);
            for some in addresses.chunks(most) {
                peer.send(Body::Address(Addresses::V4(some.to_vec())));
            }
        }
    }
}

/// The Hello in a datagram; what else is in it is no concern (RFC 5036 §3.5.2 has Hellos alone there).
fn decode(octets: &[u8]) -> Option<(LdpId, Hello)> {
    let pdu = Pdu::from_datagram(octets).ok()?;
    match pdu.messages().next()?.ok()? {
        Incoming::Message(Message { body: Body::Hello(hello), .. }) => Some((pdu.sender, hello)),
        _ => None,
    }
}

/// Whether it can be one station's address.
fn is_station(address: Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast()
        || address.octets().first() == Some(&0))
}
