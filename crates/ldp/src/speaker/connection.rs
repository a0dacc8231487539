//! Connections and sessions: opening, accepting, ending (RFC 5036 §2.5).

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use contract::Tick;
use wire::ldp::{
    AddressFamily, Advertisement, Body, DEFAULT_MAX_PDU_LENGTH, FtSession, Incoming, Initialization,
    KeepaliveTime, LdpId, Message, Notification, PORT, PduWriter, Status, StatusCode,
};

use super::Speaker;
use crate::peer::{Link, MAX_BACKOFF, MIN_BACKOFF, Peer, RETRY, count};
use crate::session::{Due, Received, Session, Step, proposed_length};
use crate::{Action, ConnId, DownReason, Event, Gtsm, Refusal};

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// An accepted connection may come before the peer's first Hello: to refuse it at once, as RFC 5036 §2.5.3 has it, would
/// make the peer back off for nothing. FRR waits as long.
const PENDING: Duration = Duration::from_secs(5);
/// What may come by a connection before it is known whose it is: one PDU.
const PENDING_OCTETS: usize = DEFAULT_MAX_PDU_LENGTH as usize + 4;

/// An accepted connection of nobody that is heard (yet).
#[derive(Debug)]
pub(super) struct Pending {
    remote: IpAddr,
    pub(super) deadline: Tick,
    octets: Vec<u8>,
}

impl Speaker {
    pub(super) fn session_of(&mut self, conn: ConnId) -> Option<&mut Session> {
        let peer = self.conns.get(&conn)?;
        self.peers.get_mut(peer)?.session_mut()
    }

    /// Opens the connections that are ours to open (RFC 5036 §2.5.2).
    pub(super) fn connect_due(&mut self, now: Tick) {
        if self.stopped {
            return;
        }
        for (&id, peer) in &mut self.peers {
            let due = matches!(peer.link, Link::Idle(at) if at <= now);
            if !(due && peer.ready && peer.active && self.discovery.is_heard(id)) {
                continue;
            }
            let Some(local) = self.config.transport.of(AddressFamily::of_address(peer.transport)) else {
                continue;
            };
            let conn = ConnId(self.next_conn);
            self.next_conn = self.next_conn.checked_add(1).unwrap_or(ConnId::OUTGOING);
            peer.link = Link::Connecting(conn, now + CONNECT);
            self.conns.insert(conn, id);
            self.actions.push_back(Action::Connect {
                conn,
                password: peer.signed.as_ref().map(|(_, password)| password.clone()),
                local,
                remote: SocketAddr::new(peer.transport, PORT),
            });
        }
    }

    pub(super) fn connected(&mut self, now: Tick, conn: ConnId) {
        let Some(&id) = self.conns.get(&conn) else { return };
        let initialization = self.initialization(now, id);
        let session = self.new_session(now, conn, id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !matches!(peer.link, Link::Connecting(opening, _) if opening == conn) {
            return;
        }
        peer.link = Link::Session(Box::new(session));
        peer.send(Body::Initialization(initialization));
        if let Some(session) = peer.session_mut() {
            session.opened();
        }
        self.require_gtsm(id, conn);
    }

    pub(super) fn accept(&mut self, now: Tick, conn: ConnId, remote: IpAddr) {
        let at = |peer: &Peer| peer.ready && peer.transport == remote;
        let id = self.peers.iter().find(|(_, peer)| at(peer)).map(|(&id, _)| id);
        match id {
            Some(id) if self.discovery.is_heard(id) => self.accept_of(now, conn, id, &[]),
            _ if self.stopped || self.pending.len() >= self.config.limits.pending_connections => {
                self.refuse(now, conn, remote, Refusal::TooMany)
            }
            _ => {
                self.pending.insert(conn, Pending { remote, deadline: now + PENDING, octets: Vec::new() });
            }
        }
    }

    /// A peer is heard: a connection that it opened before is its own now.
    pub(super) fn adopt(&mut self, now: Tick, id: LdpId) {
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.ready) else { return };
        let transport = peer.transport;
        let conns: Vec<ConnId> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.remote == transport)
            .map(|(&conn, _)| conn)
            .collect();
        for conn in conns {
            match self.pending.remove(&conn) {
                // It came before it could be asked to be signed.
                Some(_) if self.policy(id).is_some_and(|policy| policy.password.is_some()) => {
                    self.refuse(now, conn, transport, Refusal::Unsigned)
                }
                Some(pending) => self.accept_of(now, conn, id, &pending.octets),
                None => {}
            }
        }
    }

    fn accept_of(&mut self, now: Tick, conn: ConnId, id: LdpId, octets: &[u8]) {
        let session = self.new_session(now, conn, id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // One connection per session; and the passive end does not open any (RFC 5036 §2.5.2).
        if peer.active || !matches!(peer.link, Link::Idle(_)) {
            let (remote, active) = (peer.transport, peer.active);
            self.refuse(now, conn, remote, if active { Refusal::NotItsTurn } else { Refusal::Second });
            return;
        }
        peer.link = Link::Session(Box::new(session));
        self.conns.insert(conn, id);
        self.require_gtsm(id, conn);
        self.stream(now, conn, octets);
    }

    fn new_session(&self, now: Tick, conn: ConnId, id: LdpId) -> Session {
        Session::new(now, conn, &self.config, self.advertisement(id))
    }

    /// How labels are to be distributed with this neighbor.
    fn advertisement(&self, id: LdpId) -> Advertisement {
        self.policy(id).map_or(Advertisement::DownstreamUnsolicited, |policy| policy.advertisement)
    }

    fn refuse(&mut self, now: Tick, conn: ConnId, remote: IpAddr, reason: Refusal) {
        self.counters.connections_refused += 1;
        self.actions.push_back(Action::Close { conn });
        if let Some(times) = self.refused.happened(now, 1) {
            self.events.push_back(Event::ConnectionRefused { remote, reason, times });
        }
    }

    fn require_gtsm(&mut self, id: LdpId, conn: ConnId) {
        let policy = self.policy(id);
        let is_near = policy.is_none_or(|policy| !policy.may_be_remote());
        let gtsm = policy.map(|policy| policy.gtsm).unwrap_or_default();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let required = match gtsm {
            // RFC 7552 §9: over IPv6 without asking.
            Gtsm::Negotiated => self.config.gtsm && (peer.gtsm || peer.transport.is_ipv6()) && is_near,
            Gtsm::Required => true,
            Gtsm::Off => false,
        };
        if let Some(session) = peer.session_mut().filter(|_| required) {
            session.gtsm = true;
            self.actions.push_back(Action::RequireGtsm { conn });
        }
    }

    /// A session that began with GTSM negotiated may go over several hops from now on.
    pub(super) fn waive_gtsm(&mut self, id: LdpId) {
        let required = self.policy(id).is_some_and(|policy| policy.gtsm == Gtsm::Required);
        let session = self.peers.get_mut(&id).and_then(Peer::session_mut);
        if let Some(session) = session.filter(|session| session.gtsm && !required) {
            session.gtsm = false;
            self.actions.push_back(Action::WaiveGtsm { conn: session.conn });
        }
    }

    fn initialization(&self, now: Tick, receiver: LdpId) -> Initialization {
        let seconds = u16::try_from(self.config.keepalive.as_secs()).unwrap_or(u16::MAX);
        Initialization {
            keepalive: KeepaliveTime(NonZeroU16::new(seconds).unwrap_or(NonZeroU16::MIN)),
            advertisement: self.advertisement(receiver),
            path_vector_limit: self.config.distribution.loop_detection.map(|limits| limits.path_vector_limit),
            max_pdu_length: proposed_length(self.config.max_pdu_length),
            receiver,
            fault_tolerance: Some(FtSession {
                flags: FtSession::LEARN_FROM_NETWORK,
                reconnect: self.config.reconnect.into(),
                recovery: self.recovery_left(now, receiver).into(),
            }),
            capabilities: self.config.capabilities.clone(),
            unknown: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    pub(super) fn stream(&mut self, now: Tick, conn: ConnId, octets: &[u8]) {
        if let Some(pending) = self.pending.get_mut(&conn) {
            let begins = pending.octets.iter().chain(octets).copied();
            if pending.octets.len() + octets.len() > PENDING_OCTETS || !may_be_pdu(begins) {
                let remote = pending.remote;
                self.pending.remove(&conn);
                self.refuse(now, conn, remote, Refusal::NoLdp);
            } else {
                pending.octets.extend_from_slice(octets);
            }
            return;
        }
        let Some(&id) = self.conns.get(&conn) else { return };
        if let Some(session) = self.session_of(conn) {
            session.reader.push(octets);
        }
        // The session may end, and its connection with it, at any message.
        while let Some(session) = self.session_of(conn) {
            match session.reader.next().map(|pdu| pdu.map(Received::from)) {
                Ok(None) => break,
                Ok(Some(pdu)) => self.pdu(now, conn, id, pdu),
                Err(error) => self.refuse_octets(now, id, error.to_status()),
            }
        }
        self.tell_refusals(now, id);
    }

    /// Tells of what was not taken of a peer's; of what ended its session is told with that.
    fn tell_refusals(&mut self, now: Tick, id: LdpId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some((status, times)) = peer.refusal.take() else { return };
        peer.last_refused = Some((status, now));
        if let Some(times) = peer.refused.happened(now, times) {
            self.events.push_back(Event::Refused { peer: id, status, times });
        }
    }

    fn pdu(&mut self, now: Tick, conn: ConnId, id: LdpId, pdu: Received) {
        let Some(session) = self.session_of(conn) else { return };
        if let Err(status) = session.hear(now, pdu.sender, id) {
            self.refuse_octets(now, id, Status::new(status));
            return;
        }
        for message in pdu.messages {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            if peer.session().is_none_or(|session| session.conn != conn) {
                return;
            }
            match message {
                Err(error) => self.refuse_message(now, id, error.to_status()),
                Ok(Incoming::Ignored(..)) => peer.counters.ignored += 1,
                Ok(Incoming::Message(message)) => self.message(now, id, message),
            }
        }
    }

    fn message(&mut self, now: Tick, id: LdpId, message: Message) {
        let local = self.local;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(session) = peer.session_mut() else { return };
        let (name, kind) = (message.id, message.body.kind());
        let step = session.step(now, local, message);
        count(&mut peer.counters.received, kind);
        match step {
            Step::Done => {}
            Step::Answer => {
                let initialization = self.initialization(now, id);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.send(Body::Initialization(initialization));
                    peer.send(Body::KeepAlive);
                }
                self.refuse_capabilities(id, name, kind);
            }
            Step::Acknowledge => {
                peer.send(Body::KeepAlive);
                self.refuse_capabilities(id, name, kind);
            }
            Step::Up => self.session_up(now, id),
            Step::Pass(message) => self.label_message(now, id, message),
            Step::Reject(code) => {
                let about = Status { message: Some((name, kind)), ..Status::new(code) };
                self.end_session(now, id, DownReason::Local(code), Some(about));
            }
            Step::Ended(code) => {
                // RFC 5036 §2.5.4: a Shutdown is answered with one.
                if code == StatusCode::SHUTDOWN {
                    let about = Status { message: Some((name, kind)), ..Status::new(code) };
                    peer.send(Body::Notification(Notification::new(about)));
                }
                self.end_session(now, id, DownReason::Peer(code), None);
            }
        }
    }

    /// Answers a message that was refused. While the session is not up nothing but the expected messages may come (RFC 5036
    /// §2.5.4), so that it ends whether or not the error is fatal in itself.
    fn refuse_message(&mut self, now: Tick, id: LdpId, status: Status) {
        self.refuse_octets(now, id, status);
        let setting_up = |peer: &Peer| peer.session().is_some_and(|session| !session.is_operational());
        if !status.fatal && self.peers.get(&id).is_some_and(setting_up) {
            let shutdown = Status { message: status.message, ..Status::new(StatusCode::SHUTDOWN) };
            self.end_session(now, id, DownReason::Local(StatusCode::SHUTDOWN), Some(shutdown));
        }
    }

    /// Answers octets that were refused: with a Notification, and the session's end if that is fatal
    /// (RFC 5036 §3.5.1.1).
    fn refuse_octets(&mut self, now: Tick, id: LdpId, status: Status) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if status.fatal {
            peer.counters.malformed += 1;
            self.end_session(now, id, DownReason::Local(status.code), Some(status));
        } else {
            peer.refuse(status);
        }
    }

    fn session_up(&mut self, now: Tick, id: LdpId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.counters.sessions += 1;
        peer.at_limit = false;
        peer.forget_sent();
        self.any_on_demand |= peer.on_demand();
        let labeled = self.fecs.iter().filter(|(_, entry)| entry.is_labeled()).map(|(&fec, _)| fec);
        peer.dirty.extend(labeled);
        self.events.push_back(Event::SessionUp { peer: id });
        self.tell_all_addresses(id);
        self.peer_returned(now, id);
        self.touch_peer(id);
    }

    /// Ends a session, an attempt at one, or (if the peer is heard no more) the peer. What we say ourselves is notified;
    /// `status` says it in more detail.
    pub(super) fn end_session(&mut self, now: Tick, id: LdpId, reason: DownReason, status: Option<Status>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let had_link = !matches!(peer.link, Link::Idle(_));
        let said_before = peer.last_down.is_some_and(|(last, _)| last == reason);
        if had_link {
            peer.last_down = Some((reason, now));
        }
        let up_since = peer.session().and_then(|session| session.up_since);
        let retry_at = now + next_attempt(now, peer, reason, up_since);
        if let (DownReason::Local(code), Some(_)) = (reason, peer.session()) {
            peer.send(Body::Notification(Notification::new(status.unwrap_or(Status::new(code)))));
        }
        let link = std::mem::replace(&mut peer.link, Link::Idle(retry_at));
        let kept = match &link {
            Link::Session(session) if session.up_since.is_some() => self.lose(now, id, reason, session),
            _ => false,
        };
        self.close(now, link, reason);
        // A peer that does not answer is tried again and again; once is enough to say so.
        if had_link && !(reason == DownReason::NoConnection && said_before) {
            self.events.push_back(Event::SessionDown { peer: id, reason, kept });
        }
        self.remove_if_gone(id);
    }

    fn close(&mut self, now: Tick, link: Link, reason: DownReason) {
        let conn = match link {
            Link::Idle(_) => return,
            Link::Connecting(conn, _) => conn,
            Link::Session(mut session) => {
                if reason != DownReason::Closed
                    && let Some(octets) = session.take_output(now)
                {
                    self.actions.push_back(Action::Write { conn: session.conn, octets });
                }
                session.conn
            }
        };
        self.conns.remove(&conn);
        if !matches!(reason, DownReason::Closed | DownReason::NoConnection) {
            self.actions.push_back(Action::Close { conn });
        }
    }

    /// Forgets a peer of which nothing is left.
    pub(super) fn remove_if_gone(&mut self, id: LdpId) {
        let Some(peer) = self.peers.get(&id) else { return };
        let is_gone =
            matches!(peer.link, Link::Idle(_)) && peer.stale.is_none() && !self.discovery.is_heard(id);
        if is_gone && let Some((remote, _)) = self.peers.remove(&id).and_then(|peer| peer.signed) {
            self.actions.push_back(Action::Sign { remote, password: None });
        }
    }

    /// Hands out what is to be written, gives up who does not take it.
    pub(super) fn flush(&mut self, now: Tick) {
        let ids: Vec<LdpId> = self.peers.keys().copied().collect();
        for id in ids {
            self.advertise(id);
            self.tell_end(id);
            let Some(session) = self.peers.get_mut(&id).and_then(Peer::session_mut) else { continue };
            let conn = session.conn;
            if session.outstanding() > self.config.limits.outbound {
                self.end_session(now, id, DownReason::NotReading, None);
            } else if let Some(octets) = session.take_output(now) {
                self.actions.push_back(Action::Write { conn, octets });
            }
        }
    }

    pub(super) fn connection_timeouts(&mut self, now: Tick) {
        let ids: Vec<LdpId> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            match &mut peer.link {
                Link::Connecting(conn, deadline) if *deadline <= now => {
                    let conn = *conn;
                    self.actions.push_back(Action::Close { conn });
                    self.end_session(now, id, DownReason::NoConnection, None);
                }
                Link::Session(session) => match session.handle_timeout(now) {
                    Some(Due::Silent) => {
                        let reason = DownReason::Local(StatusCode::KEEPALIVE_TIMER_EXPIRED);
                        self.end_session(now, id, reason, None);
                    }
                    Some(Due::Stuck) => self.end_session(now, id, DownReason::NotReading, None),
                    Some(Due::KeepAlive) => drop(peer.send(Body::KeepAlive)),
                    None => {}
                },
                _ => {}
            }
        }
        self.pending_timeouts(now);
    }

    fn pending_timeouts(&mut self, now: Tick) {
        let late: Vec<ConnId> =
            self.pending.iter().filter(|(_, p)| p.deadline <= now).map(|(&conn, _)| conn).collect();
        for conn in late {
            let Some(Pending { remote, .. }) = self.pending.remove(&conn) else { continue };
            let mut writer = PduWriter::new(self.local, DEFAULT_MAX_PDU_LENGTH);
            let body = Body::Notification(Notification::new(Status::new(StatusCode::NO_HELLO)));
            if writer.push(&Message { id: self.next_hello_id(), body }).is_ok() {
                self.actions.push_back(Action::Write { conn, octets: writer.finish() });
            }
            self.refuse(now, conn, remote, Refusal::NoHello);
        }
    }

    pub(super) fn peer_timeout(&self, id: LdpId, peer: &Peer) -> Option<Tick> {
        let link = match &peer.link {
            Link::Idle(at) => (peer.ready && peer.active && self.discovery.is_heard(id)).then_some(*at),
            Link::Connecting(_, deadline) => Some(*deadline),
            Link::Session(session) => Some(session.poll_timeout()),
        };
        link.into_iter().chain(peer.stale.map(crate::peer::Stale::deadline)).min()
    }
}

/// Whether octets may be the beginning of a PDU: its version, and a length that is accepted before a session has agreed on
/// another (RFC 5036 §3.1, §3.5.3). Whoever says something else to port 646 is no LDP speaker, and not waited for.
fn may_be_pdu(octets: impl Iterator<Item = u8>) -> bool {
    const VERSION: [u8; 2] = [0, 1];
    let begin: Vec<u8> = octets.take(4).collect();
    let is_version = begin.iter().zip(VERSION).all(|(octet, expected)| *octet == expected);
    let length = match begin[..] {
        [_, _, high, low] => u16::from_be_bytes([high, low]),
        _ => DEFAULT_MAX_PDU_LENGTH,
    };
    is_version && length <= DEFAULT_MAX_PDU_LENGTH
}

/// How long to wait before the next attempt: exponentially longer after each that was refused by either side.
fn next_attempt(now: Tick, peer: &mut Peer, reason: DownReason, up_since: Option<Tick>) -> Duration {
    if up_since.is_some_and(|since| now.since(since) >= MAX_BACKOFF) {
        peer.backoff = MIN_BACKOFF;
    }
    let refused = match reason {
        DownReason::NoConnection | DownReason::Closed => false,
        DownReason::Peer(code) | DownReason::Local(code) => {
            // These end a session that was in order.
            let orderly =
                [StatusCode::SHUTDOWN, StatusCode::HOLD_TIMER_EXPIRED, StatusCode::KEEPALIVE_TIMER_EXPIRED];
            !(up_since.is_some() && orderly.contains(&code))
        }
        DownReason::NotReading => true,
    };
    if !refused {
        return RETRY;
    }
    let wait = peer.backoff;
    peer.backoff = (wait * 2).min(MAX_BACKOFF);
    wait
}
