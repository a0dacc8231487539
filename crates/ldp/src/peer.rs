//! What is known of one peer: its session, what it told and what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use contract::{Fec, Label, Tick};
use wire::ldp::{
    AddressFamily, Body, LabelRelease, MessageId, MessageType, Notification, Status, StatusCode,
};

use crate::bindings::Bindings;
use crate::distribution::Attributes;
use crate::requests::Requests;
use crate::seldom::Seldom;
use crate::session::Session;
use crate::{ConnId, DownReason, MessageCounters, Password, PeerCounters, Transport};

/// After a refused session the next attempt waits this long, then twice as long each time up to [`MAX_BACKOFF`]
/// (RFC 5036 §2.5.3).
pub(crate) const MIN_BACKOFF: Duration = Duration::from_secs(15);
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(120);
/// After a connection that failed or was closed: nobody refused anything, so the peer is likely to be back soon.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Peer {
    /// Where its sessions begin and end, by the address families that it was heard by.
    pub(crate) heard: Transport,
    /// Which of them the session is over, or is to be over.
    pub(crate) transport: IpAddr,
    /// Whether a session may begin there (RFC 7552 §6.1.1).
    pub(crate) ready: bool,
    /// The families that it is told of.
    pub(crate) families: BTreeSet<AddressFamily>,
    pub(crate) active: bool,
    pub(crate) gtsm: bool,
    pub(crate) configuration_sequence: Option<u32>,
    pub(crate) link: Link,
    pub(crate) backoff: Duration,
    /// Its interface addresses; `true`: from an earlier session.
    pub(crate) addresses: BTreeMap<IpAddr, bool>,
    pub(crate) received: Bindings,
    pub(crate) sent: BTreeMap<Fec, Told>,
    /// Sent, and released of its own accord.
    pub(crate) released: BTreeMap<Fec, Told>,
    /// Withdrawn and not released yet.
    pub(crate) withdrawn: BTreeSet<(Fec, Label)>,
    /// Labels of an earlier session that were withdrawn since; it is to be told.
    pub(crate) unsaid: BTreeSet<(Fec, Label)>,
    /// Answers to wildcards, which go when all that follows from those has been decided.
    pub(crate) answers: Vec<LabelRelease>,
    /// FECs of which it may have to be told something.
    pub(crate) dirty: BTreeSet<Fec>,
    /// Its requests that have not been answered.
    pub(crate) requests: BTreeMap<Fec, Pending>,
    /// Whether it was told that there is no label for a request of its.
    pub(crate) lacked_label: bool,
    /// What it is asked for.
    pub(crate) asks: Requests,
    pub(crate) stale: Option<Stale>,
    /// Whether it and we have told each other all labels (RFC 5443).
    pub(crate) told_all: bool,
    pub(crate) last_down: Option<(DownReason, Tick)>,
    /// The last advisory notification that it sent.
    pub(crate) last_notified: Option<(StatusCode, Tick)>,
    /// Why something of its was not taken last, as far as told.
    pub(crate) last_refused: Option<(StatusCode, Tick)>,
    pub(crate) counters: PeerCounters,
    /// Why something of its was not taken, last, and how often, while that has not been told of.
    pub(crate) refusal: Option<(StatusCode, u64)>,
    /// What of its was not taken.
    pub(crate) refused: Seldom,
    /// Its advisory notifications.
    pub(crate) notifications: Seldom,
    /// The address whose connections must be signed, and with what.
    pub(crate) signed: Option<(IpAddr, Password)>,
    /// Whether it has bound as many FECs as are kept of it.
    pub(crate) at_limit: bool,
}

/// The way to a session.
#[derive(Debug)]
pub(crate) enum Link {
    /// Nothing; if we are active, we connect from this time on.
    Idle(Tick),
    /// A connection is being opened, until this time.
    Connecting(ConnId, Tick),
    /// There is a connection.
    Session(Box<Session>),
}

/// A binding sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) label: Label,
    pub(crate) hop_count: Option<u8>,
    /// Which of the FEC's attributes went with it: how often those had changed.
    pub(crate) revision: u32,
}

/// A request of the peer's.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) name: MessageId,
    pub(crate) attributes: Attributes,
}

/// What was kept of a session that was lost (RFC 3478 §3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stale {
    /// Until the peer is back, at most until then.
    Waiting(Tick),
    /// The peer is back and tells again, at most until then.
    Recovering(Tick),
}

impl Stale {
    pub(crate) const fn deadline(self) -> Tick {
        match self {
            Self::Waiting(at) | Self::Recovering(at) => at,
        }
    }
}

impl Peer {
    pub(crate) fn new(now: Tick, transport: IpAddr) -> Self {
        Self {
            heard: Transport { ipv4: None, ipv6: None },
            transport,
            ready: false,
            families: BTreeSet::new(),
            active: false,
            gtsm: false,
            configuration_sequence: None,
            link: Link::Idle(now),
            backoff: MIN_BACKOFF,
            addresses: BTreeMap::new(),
            received: Bindings::default(),
            sent: BTreeMap::new(),
            released: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            unsaid: BTreeSet::new(),
            answers: Vec::new(),
            dirty: BTreeSet::new(),
            requests: BTreeMap::new(),
            lacked_label: false,
            asks: Requests::default(),
            stale: None,
            told_all: false,
            last_down: None,
            last_notified: None,
            last_refused: None,
            counters: PeerCounters::default(),
            refusal: None,
            refused: Seldom::default(),
            notifications: Seldom::default(),
            signed: None,
            at_limit: false,
        }
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.link {
            Link::Session(session) => Some(session),
            _ => None,
        }
    }

    pub(crate) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.link {
            Link::Session(session) => Some(session),
            _ => None,
        }
    }

    pub(crate) fn is_operational(&self) -> bool {
        self.session().is_some_and(Session::is_operational)
    }

    /// Whether what it told counts.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_operational() || self.stale.is_some()
    }

    /// Whether labels are told only when asked for.
    pub(crate) fn on_demand(&self) -> bool {
        self.session().is_some_and(|session| session.on_demand)
    }

    /// Sends a message, if there is a session; its name.
    pub(crate) fn send(&mut self, body: Body) -> Option<MessageId> {
        count(&mut self.counters.sent, body.kind());
        self.session_mut().map(|session| session.send(body))
    }

    /// Says that something was not taken; the session goes on.
    pub(crate) fn refuse(&mut self, status: Status) {
        self.refuse_with(Notification::new(status));
    }

    /// Says so with more than its status.
    pub(crate) fn refuse_with(&mut self, notification: Notification) {
        self.counters.malformed += 1;
        let times = self.refusal.map_or(0, |(_, times)| times);
        self.refusal = Some((notification.status.code, times + 1));
        self.send(Body::Notification(notification));
    }

    /// Forgets what it was told; it is told anew when there is a session.
    pub(crate) fn forget_sent(&mut self) {
        self.sent.clear();
        self.released.clear();
        self.withdrawn.clear();
        self.unsaid.clear();
        self.answers.clear();
        self.dirty.clear();
        self.requests.clear();
        self.lacked_label = false;
        self.asks = Requests::default();
    }

    /// What it was told of a FEC, whether or not it gave it back, and whether it did.
    pub(crate) fn told(&self, fec: Fec) -> Option<(Told, bool)> {
        let kept = self.sent.get(&fec).map(|&told| (told, false));
        kept.or_else(|| self.released.get(&fec).map(|&told| (told, true)))
    }

    /// The withdrawn labels of a FEC that a release of `label` (`None`: of all) is about.
    pub(crate) fn withdrawn_of(&self, fec: Fec, label: Option<Label>) -> Vec<Label> {
        let all = (fec, Label::IPV4_EXPLICIT_NULL)..=(fec, Label::MAX);
        self.withdrawn
            .range(all)
            .map(|&(_, held)| held)
            .filter(|&held| label.is_none_or(|l| l == held))
            .collect()
    }
}

/// Counts a message by kind.
pub(crate) fn count(counters: &mut MessageCounters, kind: MessageType) {
    let counter = match kind {
        MessageType::INITIALIZATION => &mut counters.initialization,
        MessageType::KEEPALIVE => &mut counters.keepalive,
        MessageType::ADDRESS | MessageType::ADDRESS_WITHDRAW => &mut counters.address,
        MessageType::CAPABILITY => &mut counters.capability,
        MessageType::LABEL_MAPPING => &mut counters.mapping,
        MessageType::LABEL_REQUEST | MessageType::LABEL_ABORT_REQUEST => &mut counters.request,
        MessageType::LABEL_WITHDRAW => &mut counters.withdraw,
        MessageType::LABEL_RELEASE => &mut counters.release,
        MessageType::NOTIFICATION => &mut counters.notification,
        _ => return,
    };
    *counter += 1;
}
