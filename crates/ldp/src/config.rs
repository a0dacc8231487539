//! What a speaker is told at start.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use contract::{Fec, Label};
use wire::ldp::{Capability, DEFAULT_MAX_PDU_LENGTH, HoldTime, TransportPreference};

use crate::{Distribution, Neighbors, Owner, Transport};

/// What a speaker is told at start. [`Config::new`] has the defaults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This LSR; never 0.0.0.0.
    pub lsr_id: Ipv4Addr,
    /// Where sessions begin and end; peers must have a route to it.
    pub transport: Transport,
    /// Over which address family sessions are held with peers that, as we do, speak LDP over both (RFC 7552 §6.1.1). A
    /// peer that prefers the other one is not spoken with.
    pub transport_preference: TransportPreference,
    /// Labels that may be allocated, all of them real (16 and up). Others are passed over.
    pub label_range: RangeInclusive<Label>,
    /// Where in the range allocation begins. Take another one at each start that does not know all labels of the speaker
    /// before: peers may go on using them until they know that it is gone.
    pub first_label: Label,
    /// How long a peer keeps an adjacency without a Hello, whole seconds, 3 s to 65534 s (RFC 5036 §3.5.2). Hellos go
    /// out three times as often as the hold time agreed on.
    pub hello_hold: Duration,
    /// As `hello_hold`, by targeted Hellos (RFC 5036 §2.4.2).
    pub targeted_hello_hold: Duration,
    /// Proposed time after which a silent session is dead, whole seconds, 3 s to 65535 s (RFC 5036 §3.5.3).
    pub keepalive: Duration,
    /// Increases with each start or change of configuration: a peer that backs off from us then tries anew at once
    /// (RFC 5036 §2.5.3, §3.5.2.1).
    pub configuration_sequence: u32,
    /// Announce and ask for TTL 255 on session connections (RFC 6720); not as long as any neighbor may be several hops
    /// away ([`NeighborPolicy::may_be_remote`](crate::NeighborPolicy::may_be_remote)), since a link Hello says the same
    /// to all.
    pub gtsm: bool,
    /// Graceful restart: how long peers are to keep what we told them while our session is down (FT Reconnect Timeout,
    /// RFC 3478 §2); zero: not at all.
    pub reconnect: Duration,
    /// Graceful restart: how long a recovery may take once it has begun, at a restart of ours and at most at a peer's.
    pub recovery: Duration,
    /// The forwarder kept these labels while no speaker ran: each FEC gets its label again.
    pub allocations: Vec<(Fec, Label)>,
    /// The forwarder had these labels, and what they stood for is not so any more: nobody gets them while peers may still
    /// send packets by them.
    pub dead_labels: Vec<(Fec, Label)>,
    /// How long none is given out: there may have been other labels than those two lists have, by which peers may still
    /// send packets, and the range is too small to begin where they are not.
    pub quarantine: Duration,
    /// Whether forwarding state survived (the forwarder had entries): peers are told a Recovery Time (RFC 3478 §2), and
    /// [`crate::Event::RecoveryOver`] follows.
    pub restarting: bool,
    /// What is announced that this speaker can do beyond RFC 5036 (RFC 5561).
    pub capabilities: BTreeSet<Capability>,
    /// Proposed length of the longest PDU, 256 to 4096 octets; a session has the smaller of the two proposals (RFC 5036
    /// §3.5.3). Another value counts as 4096, the RFC's default.
    pub max_pdu_length: u16,
    /// Who may be a neighbor, and what is said to and taken from it.
    pub neighbors: Neighbors,
    /// Whose FECs are: told with each of their labels. A label that a peer says is another's is not used; one that is
    /// said to be nobody's is.
    pub owners: BTreeMap<Fec, Owner>,
    /// How labels are distributed.
    pub distribution: Distribution,
    /// How long a label stays unused after the last peer released it.
    pub label_hold: Duration,
    /// What bounds memory.
    pub limits: Limits,
}

/// A peer counts its times from when it sees a session come and go, which may be later than here.
pub(crate) const MARGIN: Duration = Duration::from_secs(1);

/// What bounds memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Link Hello adjacencies of one interface; a Hello that would make one more is ignored, unless its sender is named
    /// ([`Neighbors::named`]). So whoever floods one link keeps nobody away from another. Targeted ones are bounded by
    /// who may have one.
    pub adjacencies: usize,
    /// Accepted connections that wait for a Hello of their peer.
    pub pending_connections: usize,
    /// Bindings kept of one peer; one more is answered with "No Label Resources" and a release.
    pub bindings_per_peer: usize,
    /// Addresses kept of one peer; more are ignored.
    pub addresses_per_peer: usize,
    /// FECs decided again in one call, at least one, when something happens to a neighbor or an interface that concerns
    /// many. The others follow in further calls, between which other neighbors are heard and told.
    pub decisions: usize,
    /// Octets written to a connection and not yet reported by [`crate::Speaker::handle_written`]; a peer that makes
    /// them exceed this is closed. All labels of a full table, mapped and withdrawn, are to have room.
    pub outbound: usize,
}

/// What is proposed to neighbors, in Hellos and at the beginning of sessions; as in [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposals {
    /// Hold time of link Hellos.
    pub hello_hold: Duration,
    /// Hold time of targeted Hellos.
    pub targeted_hello_hold: Duration,
    /// Time after which a silent session is dead.
    pub keepalive: Duration,
    /// Length of the longest PDU, octets.
    pub max_pdu_length: u16,
}

impl Config {
    /// What is proposed to neighbors.
    pub fn proposals(&self) -> Proposals {
        let Self { hello_hold, targeted_hello_hold, keepalive, max_pdu_length, .. } = *self;
        Proposals { hello_hold, targeted_hello_hold, keepalive, max_pdu_length }
    }

    /// How long peers may at most go on using labels of a speaker that is gone and told them nothing: they notice it, wait
    /// for it, lose their own control at the end of that, forward on until they have another, and find out in the recovery.
    pub fn forgetting(&self) -> Duration {
        self.forgetting_after(self.keepalive, self.reconnect)
    }

    /// As [`Self::forgetting`], by a peer whose session had this hold time and whose control may be absent for so long.
    pub(crate) fn forgetting_after(&self, hold: Duration, absence: Duration) -> Duration {
        hold + self.reconnect + absence + self.recovery + MARGIN
    }

    /// The defaults for this LSR.
    pub fn new(lsr_id: Ipv4Addr) -> Self {
        Self {
            lsr_id,
            transport: Transport { ipv4: Some(lsr_id), ipv6: None },
            transport_preference: TransportPreference::Ipv6,
            label_range: Label::FIRST_UNRESERVED..=Label::MAX,
            first_label: Label::FIRST_UNRESERVED,
            hello_hold: HoldTime::LINK_DEFAULT,
            targeted_hello_hold: HoldTime::TARGETED_DEFAULT,
            keepalive: Duration::from_secs(30),
            configuration_sequence: 1,
            gtsm: true,
            reconnect: contract::FORWARDING_HOLD,
            recovery: Duration::from_secs(60),
            allocations: Vec::new(),
            dead_labels: Vec::new(),
            quarantine: Duration::ZERO,
            restarting: false,
            capabilities: Capability::ALL.into(),
            max_pdu_length: DEFAULT_MAX_PDU_LENGTH,
            neighbors: Neighbors::default(),
            owners: BTreeMap::new(),
            distribution: Distribution::default(),
            label_hold: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            adjacencies: 256,
            pending_connections: 64,
            bindings_per_peer: 1 << 18,
            addresses_per_peer: 4096,
            decisions: 1024,
            outbound: 1 << 24,
        }
    }
}
