//! Hellos and what adjacencies mean for peers (RFC 5036 §2.4, §2.5.5, §3.5.2).

use std::net::IpAddr;

use contract::Tick;
use wire::ldp::{
    AddressFamily, Body, DEFAULT_MAX_PDU_LENGTH, Hello, HoldTime, Incoming, LdpId, Message, Pdu, PduWriter,
    StatusCode,
};

use super::Speaker;
use super::targeted::Admission;
use crate::discovery::{Aim, Due, Heard};
use crate::family::{is_station, is_tellable};
use crate::peer::{Link, MIN_BACKOFF, Peer};
use crate::{Action, DownReason, Event, Via};

impl Speaker {
    /// A Hello came in this way; whether it means anything.
    pub(super) fn hello(&mut self, now: Tick, via: Via, source: IpAddr, octets: &[u8]) -> bool {
        let Some((sender, hello)) = decode(octets) else {
            self.counters.hellos_malformed += 1;
            if let Some(times) = self.no_hellos.happened(now, 1) {
                self.events.push_back(Event::NoHello { via, source, times });
            }
            return false;
        };
        let family = AddressFamily::of_address(source);
        let transport = transport_of(&hello, source);
        // Label spaces of single interfaces exist on ATM only. Link Hellos come by multicast and targeted ones do not
        // (RFC 5036 §2.4), so that neither passes for the other.
        let useful = hello.targeted == (via == Via::Targeted)
            && sender.label_space == 0
            && sender.lsr_id != self.local.lsr_id
            && is_station(sender.lsr_id.into())
            && is_station(source)
            && is_station(transport)
            && is_tellable(transport)
            && is_source_of(source, via)
            && self.config.transport.has(family)
            && self.config.transport.of(family) != Some(transport)
            && !self.stopped;
        if sender.lsr_id == self.local.lsr_id || self.config.transport.of(family) == Some(transport) {
            self.impostor(now, via, source);
        }
        let admission = match via {
            _ if !useful => Admission::No,
            Via::Targeted => self.admit(now, sender, (source, transport), hello.request_targeted),
            Via::Link(_) if self.policy(sender).is_some() && self.agrees(sender, transport) => Admission::Yes,
            Via::Link(_) => Admission::No,
        };
        if admission != Admission::Yes || self.is_mismatch(now, (sender, via), source, &hello) {
            self.counters.hellos_ignored += 1;
            return admission != Admission::No;
        }
        let expected = self.config.neighbors.named.contains_key(&sender.lsr_id);
        match self.discovery.hear(now, (sender, via), source, &hello, expected) {
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
        if let Via::Link(interface) = via
            && self.stations.hear(interface, source, sender)
        {
            self.touch_interface(interface);
        }
        self.counters.hellos_received += 1;
        self.meet(now, via, sender, transport, &hello);
        self.retarget(now, sender);
        self.send_hellos(now);
        true
    }

    /// Somebody has our name. It is ourselves where two of our interfaces are on one segment.
    fn impostor(&mut self, now: Tick, via: Via, source: IpAddr) {
        let is_another = !self.discovery.addresses().any(|own| own == source);
        if is_another && self.impostors.happened(now, 1).is_some() {
            self.events.push_back(Event::Impostor { via, source });
        }
    }

    /// Whether the transport address fits what is known: one for an LSR and address family, all its Hellos alike (RFC 5036
    /// §3.5.2.2), and of one LSR only.
    pub(super) fn agrees(&self, sender: LdpId, transport: IpAddr) -> bool {
        let family = AddressFamily::of_address(transport);
        let known = self.peers.get(&sender);
        let before = known.and_then(|peer| peer.heard.of(family));
        if before == Some(transport) {
            return true;
        }
        let mut others = self.peers.iter().filter(|(id, _)| **id != sender);
        let free = others.all(|(_, peer)| peer.heard.of(family) != Some(transport));
        let there = self.discovery.adjacencies_of(sender);
        let alike = there.filter(|(_, adjacency)| AddressFamily::of_address(adjacency.source) == family);
        let idle = known.is_none_or(|peer| matches!(peer.link, Link::Idle(_)));
        free && (before.is_none() || idle && alike.count() <= 1)
    }

    fn meet(&mut self, now: Tick, via: Via, sender: LdpId, transport: IpAddr, hello: &Hello) {
        let peer = self.peers.entry(sender).or_insert_with(|| Peer::new(now, transport));
        peer.heard.set(transport);
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
        self.choose_family(now, sender);
        self.settle_families(sender);
        self.sign(sender);
        self.adopt(now, sender);
    }

    pub(super) fn adjacencies_lost(&mut self, now: Tick, lost: Vec<(LdpId, Via)>) {
        for (peer, via) in lost {
            self.events.push_back(Event::AdjacencyDown { via, peer });
            self.links.changed();
            match via {
                Via::Link(interface) => {
                    if !self.discovery.is_heard_on_link(peer) {
                        self.last_link_lost(now, peer);
                    }
                    if !self.discovery.is_heard_in(peer, via, AddressFamily::Ipv6) {
                        self.stations.lose(interface, peer);
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
            self.choose_family(now, peer);
            self.settle_families(peer);
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
        for (due, family) in self.due_hellos(now) {
            let hello = self.our_hello(due, family);
            let id = self.next_hello_id();
            let mut writer = PduWriter::new(self.local, DEFAULT_MAX_PDU_LENGTH);
            if writer.push(&Message { id, body: Body::Hello(hello) }).is_ok() {
                self.counters.hellos_sent += 1;
                let octets = writer.finish();
                self.actions.push_back(match due {
                    Due::Link(interface) => Action::SendHello { interface, family, octets },
                    Due::Target(aim) => Action::SendTargetedHello { to: aim.address, octets },
                });
            }
        }
    }

    /// The Hellos that are due: on a link one by each address family that LDP is spoken over there (RFC 7552 §5.1); over
    /// IPv6 they come from the link-local address.
    fn due_hellos(&mut self, now: Tick) -> Vec<(Due, AddressFamily)> {
        let mut hellos = Vec::new();
        for due in self.discovery.take_due(now) {
            let interface = match due {
                Due::Link(interface) => interface,
                Due::Target(aim) => {
                    let family = AddressFamily::of_address(aim.address);
                    hellos.extend(self.config.transport.has(family).then_some((due, family)));
                    continue;
                }
            };
            let addresses = self.discovery.interface(interface).map(|known| known.addresses.as_slice());
            for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
                let is_source = |address: &IpAddr| {
                    AddressFamily::of_address(*address) == family
                        && is_source_of(*address, Via::Link(interface))
                };
                let has_source = addresses.unwrap_or_default().iter().any(is_source);
                if self.config.transport.has(family) && (has_source || family == AddressFamily::Ipv4) {
                    hellos.push((due, family));
                }
            }
        }
        hellos
    }

    fn our_hello(&self, due: Due, family: AddressFamily) -> Hello {
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
            // RFC 7552 §6.1: that of the Hello's own family alone.
            transport_address: self.config.transport.ipv4.filter(|_| family == AddressFamily::Ipv4),
            transport_address_v6: self.config.transport.ipv6.filter(|_| family == AddressFamily::Ipv6),
            configuration_sequence: Some(self.config.configuration_sequence),
            dual_stack: self.config.transport.is_dual_stack().then_some(self.config.transport_preference),
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

/// Whether Hellos may come so from this address: over IPv6 those of a link from a link-local one, targeted ones from any other
/// (RFC 7552 §5.1, §5.2).
fn is_source_of(source: IpAddr, via: Via) -> bool {
    match (source, via) {
        (IpAddr::V6(source), Via::Link(_)) => source.is_unicast_link_local(),
        (IpAddr::V6(source), Via::Targeted) => !source.is_unicast_link_local(),
        (IpAddr::V4(_), _) => true,
    }
}

/// Where the sender's sessions begin and end: what it says for the family that the Hello came by, else where that came from
/// (RFC 7552 §6.1).
fn transport_of(hello: &Hello, source: IpAddr) -> IpAddr {
    let said = match source {
        IpAddr::V4(_) => hello.transport_address.map(IpAddr::V4),
        IpAddr::V6(_) => hello.transport_address_v6.map(IpAddr::V6),
    };
    said.unwrap_or(source)
}
