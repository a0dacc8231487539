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
use super::targeted::Admission;
use crate::discovery::{Aim, Due, Heard};
use crate::peer::{Link, MIN_BACKOFF, Peer};
use crate::session::{Session, is_active};
use crate::{Action, DownReason, Event, Via};

/// How often it is said that another LSR has this one's name.
const IMPOSTOR_INTERVAL: Duration = Duration::from_secs(60);

impl Speaker {
    /// A Hello came in this way; whether it means anything.
    pub(super) fn hello(&mut self, now: Tick, via: Via, source: Ipv4Addr, octets: &[u8]) -> bool {
        let Some((sender, hello)) = decode(octets) else {
            self.counters.hellos_malformed += 1;
            return false;
        };
        let transport = hello.transport_address.unwrap_or(source);
        // Label spaces of single interfaces exist on ATM only. Link Hellos come by multicast and targeted ones do not
        // (RFC 5036 §2.4), so that neither passes for the other.
        let useful = hello.targeted == (via == Via::Targeted)
            && sender.label_space == 0
            && sender.lsr_id != self.local.lsr_id
            && is_station(sender.lsr_id)
            && is_station(source)
            && is_station(transport)
            && transport != self.config.transport_address
            && !self.stopped;
        if sender.lsr_id == self.local.lsr_id || transport == self.config.transport_address {
            self.impostor(now, via, source);
        }
        let admission = match via {
            _ if !useful => Admission::No,
            Via::Targeted => self.admit(now, sender, (source, transport), hello.request_targeted),
            Via::Link(_) if self.policy(sender).is_some() && self.agrees(sender, transport) => Admission::Yes,
            Via::Link(_) => Admission::No,
        };
        if admission != Admission::Yes {
            self.counters.hellos_ignored += 1;
            return admission == Admission::NoMore;
        }
        let expected = self.config.neighbors.named.contains_key(&sender.lsr_id);
        match self.discovery.hear(now, (sender, via), source, hello.hold, expected) {
            Heard::Refused => {
                self.counters.hellos_ignored += 1;
                return false;
            }
            Heard::New => {
                self.events.push_back(Event::AdjacencyUp { via, peer: sender });
                if let Via::Link(interface) = via {
                    self.guarded.remove(&sender);
                    self.touch_interface(interface);
                }
            }
            Heard::Again => {}
        }
        self.counters.hellos_received += 1;
        self.meet(now, via, sender, transport, &hello);
        self.retarget(now, sender);
        self.send_hellos(now);
        true
    }

    /// Somebody has our name. It is ourselves where two of our interfaces are on one segment.
    fn impostor(&mut self, now: Tick, via: Via, source: Ipv4Addr) {
        if self.impostor_at <= now && !self.discovery.addresses().any(|own| own == source) {
            self.impostor_at = now + IMPOSTOR_INTERVAL;
            self.events.push_back(Event::Impostor { via, source });
        }
    }

    /// Whether the transport address fits what is known: one for an LSR, all its Hellos alike (RFC 5036 §3.5.2.2), and
    /// of one LSR only.
    pub(super) fn agrees(&self, sender: LdpId, transport: Ipv4Addr) -> bool {
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

    fn meet(&mut self, now: Tick, via: Via, sender: LdpId, transport: Ipv4Addr, hello: &Hello) {
        let active = is_active(self.config.transport_address, transport);
        let peer = self.peers.entry(sender).or_insert_with(|| Peer::new(now, transport, active));
        peer.transport = transport;
        peer.active = active;
        // RFC 6720 §2.1: targeted Hellos have no say in it.
        if via != Via::Targeted {
            peer.gtsm = hello.gtsm;
        }
        let sequence = hello.configuration_sequence;
        if peer.configuration_sequence != sequence {
            peer.configuration_sequence = sequence;
            // It has most likely restarted, and cannot open a session before it hears us.
            self.discovery.answer(now, sender, via);
            // RFC 5036 §2.5.3: a changed configuration is a reason to try again at once.
            if let Link::Idle(retry_at) = &mut peer.link {
                *retry_at = now;
                peer.backoff = MIN_BACKOFF;
            }
        }
        self.sign(sender);
        self.adopt(now, sender, transport);
    }

    pub(super) fn adjacencies_lost(&mut self, now: Tick, lost: Vec<(LdpId, Via)>) {
        for (peer, via) in lost {
            self.events.push_back(Event::AdjacencyDown { via, peer });
            match via {
                Via::Link(interface) => {
                    if !self.discovery.is_heard_on_link(peer) {
                        self.last_link_lost(now, peer);
                    }
                    self.touch_interface(interface);
                }
                Via::Targeted => drop(self.guarded.remove(&peer)),
            }
            self.retarget(now, peer);
            if !self.discovery.is_heard(peer) {
                // RFC 5036 §2.5.5: the last adjacency takes the session with it.
                self.end_session(now, peer, DownReason::Local(StatusCode::HOLD_TIMER_EXPIRED), None);
            }
        }
    }

    fn last_link_lost(&mut self, now: Tick, id: LdpId) {
        self.guard(now, id);
        // What was kept for its restart goes: a control that restarts says Hello again at once, while one that is silent
        // for the whole hold time may have gone with its forwarder.
        if self.peers.get(&id).is_some_and(|peer| peer.stale.is_some()) {
            self.flush_stale(id);
        }
    }

    pub(super) fn send_hellos(&mut self, now: Tick) {
        if self.stopped {
            return;
        }
        for due in self.discovery.take_due(now) {
            let hello = self.our_hello(due);
            let id = self.next_hello_id();
            let mut writer = PduWriter::new(self.local, DEFAULT_MAX_PDU_LENGTH);
            if writer.push(&Message { id, body: Body::Hello(hello) }).is_ok() {
                self.counters.hellos_sent += 1;
                let octets = writer.finish();
                self.actions.push_back(match due {
                    Due::Link(interface) => Action::SendHello { interface, octets },
                    Due::Target(aim) => Action::SendTargetedHello { to: aim.address, octets },
                });
            }
        }
    }

    fn our_hello(&self, due: Due) -> Hello {
        let hold = match due {
            Due::Link(_) => self.config.hello_hold,
            Due::Target(_) => self.config.targeted_hello_hold,
        };
        let is_link = matches!(due, Due::Link(_));
        Hello {
            hold: HoldTime(u16::try_from(hold.as_secs()).unwrap_or(HoldTime::INFINITE.0 - 1)),
            targeted: !is_link,
            request_targeted: matches!(due, Due::Target(Aim { request: true, .. })),
            gtsm: is_link && self.config.gtsm && !self.config.neighbors.any_may_be_remote(),
            transport_address: Some(self.config.transport_address),
            transport_address_v6: None,
            configuration_sequence: Some(self.config.configuration_sequence),
            dual_stack: None,
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
