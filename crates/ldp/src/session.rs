//! One session over one connection: from Initialization to the exchange of labels (RFC 5036 §2.5.3, §2.5.4).
//!
//! ```text
//!                     NON EXISTENT
//!                          │ connection
//!                     INITIALIZED
//!     passive:             │          active:
//!     Initialization /     │          – / Initialization
//!     Initialization,   ┌──┴──┐
//!     KeepAlive         ▼     ▼
//!                  OPENREC ◀── OPENSENT
//!                     │    Initialization / KeepAlive
//!           KeepAlive │
//!                     ▼
//!                OPERATIONAL
//! ```
//! Any other message, an unacceptable Initialization and a timer that runs out lead back to NON EXISTENT, with a
//! Notification. Notifications are taken in every state.

use std::time::Duration;

use contract::Tick;
use wire::ldp::{
    Advertisement, Body, DEFAULT_MAX_PDU_LENGTH, FtSession, Initialization, LdpId, Message, MessageId, Pdu,
    PduReader, PduWriter, StatusCode,
};

use crate::capabilities::Capabilities;
use crate::{Agreed, Config, ConnId, SessionState};

/// How long it may take from the connection to OPERATIONAL.
const SETUP: Duration = Duration::from_secs(15);
/// How many KeepAlives are sent in the session's hold time.
const KEEPALIVES_PER_HOLD: u32 = 3;

/// A session's connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: ConnId,
    pub(crate) state: SessionState,
    pub(crate) reader: PduReader,
    writer: PduWriter,
    /// Octets handed out and not reported as written.
    unwritten: usize,
    /// Since when octets wait without progress.
    stuck_since: Option<Tick>,
    next_id: u32,
    /// When silence ends it.
    hold_deadline: Tick,
    /// When to say something.
    keepalive_at: Tick,
    /// The hold time agreed on.
    pub(crate) hold: Duration,
    pub(crate) peer_ft: Option<FtSession>,
    /// Whether only what comes with TTL 255 is received.
    pub(crate) gtsm: bool,
    pub(crate) capabilities: Capabilities,
    /// The longest PDU that we proposed, later agreed on.
    max_pdu_length: u16,
    pub(crate) up_since: Option<Tick>,
    /// How we propose to distribute labels.
    pub(crate) advertisement: Advertisement,
    /// Both do so on demand.
    pub(crate) on_demand: bool,
}

/// What a message means for the session.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Nothing more.
    Done,
    /// Passive: the peer's Initialization was accepted; send ours and a KeepAlive.
    Answer,
    /// Active: the peer's Initialization was accepted; send a KeepAlive.
    Acknowledge,
    /// The session is operational now.
    Up,
    /// A message for the session's user.
    Pass(Message),
    /// End it with this status.
    Reject(StatusCode),
    /// The peer ended it.
    Ended(StatusCode),
}

impl Session {
    /// What both ends agreed on.
    pub(crate) fn agreed(&self) -> Agreed {
        let reconnect = self.peer_ft.map(|ft| ft.reconnect.duration()).filter(|time| !time.is_zero());
        let Self { hold, max_pdu_length, on_demand, gtsm, .. } = *self;
        Agreed { keepalive: hold, max_pdu_length, on_demand, gtsm, reconnect }
    }

    /// A session on a new connection, INITIALIZED.
    pub(crate) fn new(now: Tick, conn: ConnId, config: &Config, advertisement: Advertisement) -> Self {
        let local = LdpId::platform(config.lsr_id);
        Self {
            conn,
            state: SessionState::Initialized,
            reader: PduReader::default(),
            writer: PduWriter::new(local, DEFAULT_MAX_PDU_LENGTH),
            unwritten: 0,
            stuck_since: None,
            next_id: 1,
            hold_deadline: now + SETUP,
            keepalive_at: now + SETUP,
            hold: config.keepalive,
            peer_ft: None,
            gtsm: false,
            capabilities: Capabilities::new(config.capabilities.clone()),
            max_pdu_length: proposed_length(config.max_pdu_length),
            up_since: None,
            advertisement,
            on_demand: false,
        }
    }

    pub(crate) fn is_operational(&self) -> bool {
        self.state == SessionState::Operational
    }

    /// Active: our Initialization has been sent.
    pub(crate) fn opened(&mut self) {
        self.state = SessionState::OpenSent;
    }

    /// A PDU of `sender` came; the status if the session must end.
    pub(crate) fn hear(&mut self, now: Tick, sender: LdpId, peer: LdpId) -> Result<(), StatusCode> {
        if sender != peer {
            // RFC 5036 §2.5.3 (1): whose Hellos are not heard; §3.5.1.2.1 once the session knows its peer.
            return Err(match self.state {
                SessionState::Initialized | SessionState::OpenSent => StatusCode::NO_HELLO,
                _ => StatusCode::BAD_LDP_IDENTIFIER,
            });
        }
        if self.is_operational() {
            self.hold_deadline = now + self.hold;
        }
        Ok(())
    }

    /// The transition for a message.
    pub(crate) fn step(&mut self, now: Tick, local: LdpId, message: Message) -> Step {
        use SessionState::{Initialized, NonExistent, OpenRec, OpenSent, Operational};
        match (self.state, message.body) {
            (_, Body::Notification(notification)) if notification.status.fatal => {
                Step::Ended(notification.status.code)
            }
            (Operational, Body::Notification(notification)) => {
                Step::Pass(Message { id: message.id, body: Body::Notification(notification) })
            }
            (_, Body::Notification(_)) => Step::Done,
            (Initialized, Body::Initialization(initialization)) => {
                match self.negotiate(now, local, &initialization) {
                    Ok(()) => {
                        self.state = OpenRec;
                        Step::Answer
                    }
                    Err(status) => Step::Reject(status),
                }
            }
            (OpenSent, Body::Initialization(initialization)) => {
                match self.negotiate(now, local, &initialization) {
                    Ok(()) => {
                        self.state = OpenRec;
                        Step::Acknowledge
                    }
                    Err(status) => Step::Reject(status),
                }
            }
            (OpenRec, Body::KeepAlive) => {
                self.state = Operational;
                self.up_since = Some(now);
                self.hold_deadline = now + self.hold;
                Step::Up
            }
            (Operational, Body::KeepAlive) => Step::Done,
            (Operational, Body::Initialization(_) | Body::Hello(_))
            | (NonExistent | Initialized | OpenSent | OpenRec, _) => Step::Reject(StatusCode::SHUTDOWN),
            (Operational, body) => Step::Pass(Message { id: message.id, body }),
        }
    }

    /// RFC 5036 §2.5.3, §3.5.3. Of two different advertisement modes downstream unsolicited wins on such links, so that
    /// either proposal will do; so will any path vector limit, since each end keeps to its own.
    fn negotiate(&mut self, now: Tick, local: LdpId, theirs: &Initialization) -> Result<(), StatusCode> {
        if theirs.receiver != local {
            return Err(StatusCode::NO_HELLO);
        }
        self.max_pdu_length = self.max_pdu_length.min(proposed_length(theirs.max_pdu_length));
        self.reader.set_max_length(self.max_pdu_length);
        self.writer.set_max_length(self.max_pdu_length);
        self.capabilities.begin(theirs);
        self.hold = self.hold.min(theirs.keepalive.duration());
        self.keepalive_at = now + self.hold / KEEPALIVES_PER_HOLD;
        self.peer_ft = theirs.fault_tolerance;
        let on_demand = Advertisement::DownstreamOnDemand;
        self.on_demand = self.advertisement == on_demand && theirs.advertisement == on_demand;
        Ok(())
    }

    /// How many octets of addresses an Address message may have: a PDU's header has 10 octets, a message's 8, and the TLV
    /// has 6 before the addresses.
    pub(crate) fn octets_of_addresses(&self) -> usize {
        usize::from(self.max_pdu_length) - 24
    }

    /// Queues a message.
    pub(crate) fn send(&mut self, body: Body) -> MessageId {
        let id = MessageId(self.next_id);
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        let sent = self.writer.push(&Message { id, body });
        debug_assert!(sent.is_ok(), "a message of ours is longer than any PDU");
        id
    }

    /// Takes what was queued, to be written.
    pub(crate) fn take_output(&mut self, now: Tick) -> Option<Vec<u8>> {
        if self.writer.is_empty() {
            return None;
        }
        let octets = self.writer.take();
        self.unwritten = self.unwritten.saturating_add(octets.len());
        self.stuck_since.get_or_insert(now);
        self.keepalive_at = now + self.hold / KEEPALIVES_PER_HOLD;
        Some(octets)
    }

    /// The kernel took so many octets.
    pub(crate) fn written(&mut self, now: Tick, octets: usize) {
        self.unwritten = self.unwritten.saturating_sub(octets);
        self.stuck_since = (self.unwritten > 0).then_some(now);
    }

    /// Octets queued or handed out and not written.
    pub(crate) fn outstanding(&self) -> usize {
        self.unwritten + self.writer.len()
    }

    /// What is due: an end with this status, or a KeepAlive.
    pub(crate) fn handle_timeout(&mut self, now: Tick) -> Option<Due> {
        if self.hold_deadline <= now {
            return Some(Due::Silent);
        }
        if self.stuck_since.is_some_and(|since| since + self.hold <= now) {
            return Some(Due::Stuck);
        }
        let speaks = matches!(self.state, SessionState::OpenRec | SessionState::Operational);
        if speaks && self.keepalive_at <= now {
            return Some(Due::KeepAlive);
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Tick {
        let keepalive = match self.state {
            SessionState::OpenRec | SessionState::Operational => self.keepalive_at,
            _ => self.hold_deadline,
        };
        let stuck = self.stuck_since.map_or(self.hold_deadline, |since| since + self.hold);
        self.hold_deadline.min(keepalive).min(stuck)
    }
}

/// What a session's timers ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// The peer has been silent for too long.
    Silent,
    /// The peer has not read for too long.
    Stuck,
    /// Say something.
    KeepAlive,
}

/// A proposal for the longest PDU, where 255 and less stand for the default (RFC 5036 §3.5.3), and no more than the default
/// is of use.
pub(crate) const fn proposed_length(length: u16) -> u16 {
    match length {
        256..DEFAULT_MAX_PDU_LENGTH => length,
        _ => DEFAULT_MAX_PDU_LENGTH,
    }
}

/// Whether we open the connection: the greater transport address does (RFC 5036 §2.5.2).
pub(crate) fn is_active(local: std::net::IpAddr, remote: std::net::IpAddr) -> bool {
    local > remote
}

/// A PDU copied out of the reader, so that the session can be changed while its messages are handled.
pub(crate) struct Received {
    pub(crate) sender: LdpId,
    pub(crate) messages: Vec<Result<wire::ldp::Incoming, wire::ldp::DecodeError>>,
}

impl From<Pdu<'_>> for Received {
    fn from(pdu: Pdu<'_>) -> Self {
        Self { sender: pdu.sender, messages: pdu.messages().collect() }
    }
}

#[cfg(test)]
mod tests;
