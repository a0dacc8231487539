//! Extended discovery: who gets targeted Hellos and whose are accepted (RFC 5036 §2.4.2), and what they are for besides
//! sessions over several hops: session protection.
//!
//! ```text
//! protected neighbor   link and targeted adjacency ──last link lost──▶ guarded: targeted adjacency alone
//!                               ▲───────────── heard on a link ──────────┘│
//!                      neighbor no more, session ended ◀──────────────────┘ time is up, or no targeted Hellos
//! ```

use std::collections::BTreeSet;
use std::net::IpAddr;

use contract::Tick;
use wire::ldp::LdpId;

use super::Speaker;
use crate::discovery::Aim;
use crate::{Event, Protection, Targeted, Via};

/// Whether a targeted Hello is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It is.
    Yes,
    /// It is not, and who said it is not heard by such any more if it was.
    NoMore,
    /// It is not, and nothing follows from it.
    No,
}

impl Speaker {
    /// A targeted Hello is accepted if it comes from where ours go, and the session would go there, too: who may send them
    /// is on a list of addresses thereby. `asks`: whether it asks for ours.
    pub(super) fn admit(
        &mut self,
        now: Tick,
        id: LdpId,
        (source, transport): (IpAddr, IpAddr),
        asks: bool,
    ) -> Admission {
        let is_there = |aim: &Aim| aim.address == source && aim.address == transport;
        if let Some(aim) = self.aim(id, asks).filter(is_there) {
            if !self.agrees(id, transport) {
                return Admission::No;
            }
            self.discovery.set_target(now, id, Some(aim));
            return Admission::Yes;
        }
        if self.aim(id, true).is_some_and(|aim| is_there(&aim)) {
            // It may send them, and asks for ours no more (RFC 5036 §3.5.2.1).
            self.aim_at(now, id, None);
            return Admission::NoMore;
        }
        self.counters.hellos_unwanted += 1;
        if self.unwanted.happened(now, 1).is_some() {
            self.events.push_back(Event::UnwantedTargeted { peer: id, source });
        }
        Admission::No
    }

    /// Where targeted Hellos are to go for this LSR, if they are. `asks`: whether its own ask for them.
    fn aim(&self, id: LdpId, asks: bool) -> Option<Aim> {
        let policy = self.policy(id)?;
        let protects = policy.protection != Protection::Off
            && (self.guarded.contains_key(&id) || self.discovery.is_heard_on_link(id));
        match policy.targeted {
            Targeted::On(address) => Some(Aim { address, request: true }),
            // By the family that its session is over, or will be.
            _ if protects => Some(Aim { address: self.peers.get(&id)?.transport, request: true }),
            Targeted::Answer(address) if asks => Some(Aim { address, request: false }),
            _ => None,
        }
    }

    /// Has targeted Hellos go to this LSR, and its own accepted, if that is to be so now.
    pub(super) fn retarget(&mut self, now: Tick, id: LdpId) {
        let aim = self.aim(id, self.discovery.is_heard_by(id, Via::Targeted));
        self.aim_at(now, id, aim);
    }

    /// The same for everybody of whom it may be so otherwise than before.
    pub(super) fn retarget_all(&mut self, now: Tick) {
        let named = self.config.neighbors.named.keys().map(|&lsr_id| LdpId::platform(lsr_id));
        let known = self.peers.keys().copied().chain(self.discovery.targets());
        for id in named.chain(known).collect::<BTreeSet<LdpId>>() {
            self.retarget(now, id);
        }
    }

    fn aim_at(&mut self, now: Tick, id: LdpId, aim: Option<Aim>) {
        if self.discovery.set_target(now, id, aim) {
            self.adjacencies_lost(now, vec![(id, Via::Targeted)]);
        }
    }

    /// The last link to a peer is lost: is it held by its targeted Hellos now?
    pub(super) fn guard(&mut self, now: Tick, id: LdpId) {
        let until = match self.policy(id).map(|policy| policy.protection) {
            Some(Protection::For(time)) => Some(now + time),
            Some(Protection::Forever) => None,
            Some(Protection::Off) | None => return,
        };
        if self.discovery.is_heard_by(id, Via::Targeted) {
            self.guarded.insert(id, until);
            self.events.push_back(Event::Protected { peer: id });
        }
    }

    /// Neighbors whose links have been lost for as long as they are protected.
    pub(super) fn guard_timeouts(&mut self, now: Tick) {
        let due = self.guarded.iter().filter(|(_, until)| until.is_some_and(|at| at <= now));
        for id in due.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.guarded.remove(&id);
            self.retarget(now, id);
        }
    }
}
