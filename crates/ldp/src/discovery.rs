//! Who is heard where (RFC 5036 §2.4, §2.5.5): on which interface (basic discovery), and by targeted Hellos (extended).
//!
//! ```text
//!            Hello                        Hello
//! (none) ────────────▶ adjacency ─┐ restarts the hold timer
//!    ▲                     │  ▲───┘
//!    └─────────────────────┘
//!     hold timer, interface down, no target any more
//! ```
//!
//! Who is heard by targeted Hellos is a target, too: they go both ways or none does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use contract::Tick;
use wire::ldp::{AddressFamily, Hello, LdpId};

use crate::{InterfaceId, Via};

/// A new adjacency is answered with a Hello at once, so that the peer need not wait for the next one; but no sooner than
/// this after the last, so that a flood of new neighbors is not amplified.
const TRIGGERED_INTERVAL: Duration = Duration::from_millis(200);

/// How long an adjacency holds without a Hello, as we propose it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Holds {
    pub(crate) link: Duration,
    pub(crate) targeted: Duration,
}

/// Who is heard, how, and by which address family.
type Key = (LdpId, Via, AddressFamily);

/// Interfaces, targets, and the adjacencies with who is there.
#[derive(Debug)]
pub(crate) struct Discovery {
    holds: Holds,
    /// Adjacencies of one interface.
    limit: usize,
    interfaces: BTreeMap<InterfaceId, Interface>,
    targets: BTreeMap<LdpId, Target>,
    /// Those by IPv4 and by IPv6 are two (RFC 7552 §5.1).
    adjacencies: BTreeMap<Key, Adjacency>,
}

#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    rhythm: Rhythm,
    /// Who is heard there.
    heard: usize,
}

/// Whom targeted Hellos go to.
#[derive(Debug)]
struct Target {
    aim: Aim,
    rhythm: Rhythm,
}

/// Where targeted Hellos go, and what they say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Aim {
    /// The address of the other end.
    pub(crate) address: IpAddr,
    /// Whether it is asked to send them, too (the R bit, RFC 5036 §3.5.2).
    pub(crate) request: bool,
}

/// Where a Hello is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// On a link.
    Link(InterfaceId),
    /// At a target.
    Target(Aim),
}

/// When Hellos are said.
#[derive(Debug)]
struct Rhythm {
    next: Tick,
    last: Option<Tick>,
}

#[derive(Debug)]
pub(crate) struct Adjacency {
    pub(crate) source: IpAddr,
    /// The hold time agreed on; `None`: for ever.
    pub(crate) hold: Option<Duration>,
    pub(crate) expires: Option<Tick>,
    /// Whether its Hellos say that it speaks LDP over both address families.
    pub(crate) dual_stack: bool,
}

/// What a Hello came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// There was no such adjacency.
    New,
    /// There was.
    Again,
    /// There are too many, the interface is not up, or it is no target.
    Refused,
}

impl Rhythm {
    const fn new(now: Tick) -> Self {
        Self { next: now, last: None }
    }

    /// At once, or as soon as may be after the last one.
    fn answer(&mut self, now: Tick) {
        let soonest = self.last.map_or(now, |last| last + TRIGGERED_INTERVAL).max(now);
        self.next = self.next.min(soonest);
    }

    /// Whether it is time; then it counts as done.
    fn take(&mut self, now: Tick, interval: Duration) -> bool {
        let due = self.next <= now;
        if due {
            self.last = Some(now);
            self.next = now + interval;
        }
        due
    }
}

impl Discovery {
    pub(crate) fn new(holds: Holds, limit: usize) -> Self {
        Self {
            holds,
            limit,
            interfaces: BTreeMap::new(),
            targets: BTreeMap::new(),
            adjacencies: BTreeMap::new(),
        }
    }

    /// Makes the interface known or changes its addresses.
    pub(crate) fn interface_up(&mut self, now: Tick, id: InterfaceId, name: &str, addresses: &[IpAddr]) {
        let interface = self.interfaces.entry(id).or_insert_with(|| Interface {
            name: String::new(),
            addresses: Vec::new(),
            rhythm: Rhythm::new(now),
            heard: 0,
        });
        name.clone_into(&mut interface.name);
        interface.addresses = addresses.to_vec();
    }

    /// Forgets the interface; returns who was heard there.
    pub(crate) fn interface_down(&mut self, id: InterfaceId) -> Vec<(LdpId, Via)> {
        self.interfaces.remove(&id);
        self.remove_all(|(_, via, _), _| *via == Via::Link(id))
    }

    pub(crate) fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(&id)
    }

    /// The interfaces that are up.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = InterfaceId> {
        self.interfaces.keys().copied()
    }

    /// Has targeted Hellos go to a peer from now on, or none any more (`None`): then it is not heard by them either. Whether
    /// it was.
    pub(crate) fn set_target(&mut self, now: Tick, peer: LdpId, aim: Option<Aim>) -> bool {
        match aim {
            Some(aim) => {
                let target = self.targets.entry(peer);
                let target = target.or_insert_with(|| Target { aim, rhythm: Rhythm::new(now) });
                if std::mem::replace(&mut target.aim, aim) != aim {
                    target.rhythm.answer(now);
                }
                false
            }
            None => {
                self.targets.remove(&peer);
                self.remove(peer, Via::Targeted, AddressFamily::Ipv4)
            }
        }
    }

    /// Who gets targeted Hellos.
    pub(crate) fn targets(&self) -> impl Iterator<Item = LdpId> {
        self.targets.keys().copied()
    }

    /// Proposes other hold times from now on: neighbors are told at once.
    pub(crate) fn set_holds(&mut self, now: Tick, holds: Holds) {
        let before = std::mem::replace(&mut self.holds, holds);
        if before.link != holds.link {
            self.interfaces.values_mut().for_each(|interface| interface.rhythm.next = now);
        }
        if before.targeted != holds.targeted {
            self.targets.values_mut().for_each(|target| target.rhythm.next = now);
        }
    }

    /// Forgets a peer; returns where it was heard.
    pub(crate) fn forget(&mut self, peer: LdpId) -> Vec<(LdpId, Via)> {
        self.remove_all(|(id, ..), _| *id == peer)
    }

    /// Forgets one adjacency; whether there was one.
    pub(crate) fn remove(&mut self, peer: LdpId, via: Via, family: AddressFamily) -> bool {
        let was = self.adjacencies.remove(&(peer, via, family)).is_some();
        if let (true, Via::Link(id)) = (was, via)
            && let Some(interface) = self.interfaces.get_mut(&id)
        {
            interface.heard = interface.heard.saturating_sub(1);
        }
        was
    }

    /// All addresses of all interfaces.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.interfaces.values().flat_map(|interface| interface.addresses.iter().copied())
    }

    /// A Hello of `peer` came. One that is `expected` has a place however many others are heard.
    pub(crate) fn hear(
        &mut self,
        now: Tick,
        (peer, via): (LdpId, Via),
        source: IpAddr,
        hello: &Hello,
        expected: bool,
    ) -> Heard {
        // RFC 5036 §3.5.2: the smaller of the two proposals.
        let (theirs, ours) = match via {
            Via::Link(_) => (hello.hold.link(), self.holds.link),
            Via::Targeted => (hello.hold.targeted(), self.holds.targeted),
        };
        let hold = Some(theirs.map_or(ours, |theirs| theirs.min(ours)));
        let expires = hold.map(|hold| now + hold);
        let adjacency = Adjacency { source, hold, expires, dual_stack: hello.dual_stack.is_some() };
        let key = (peer, via, AddressFamily::of_address(source));
        if let Some(known) = self.adjacencies.get_mut(&key) {
            *known = adjacency;
            return Heard::Again;
        }
        match via {
            Via::Link(id) => match self.interfaces.get_mut(&id) {
                Some(interface) if expected || interface.heard < self.limit => interface.heard += 1,
                _ => return Heard::Refused,
            },
            Via::Targeted if self.targets.contains_key(&peer) => {}
            Via::Targeted => return Heard::Refused,
        }
        self.adjacencies.insert(key, adjacency);
        self.answer(now, peer, via);
        Heard::New
    }

    /// Has the next Hello to a peer said at once, or as soon as may be after the last one.
    pub(crate) fn answer(&mut self, now: Tick, peer: LdpId, via: Via) {
        let rhythm = match via {
            Via::Link(id) => self.interfaces.get_mut(&id).map(|interface| &mut interface.rhythm),
            Via::Targeted => self.targets.get_mut(&peer).map(|target| &mut target.rhythm),
        };
        if let Some(rhythm) = rhythm {
            rhythm.answer(now);
        }
    }

    /// Where a peer is heard.
    pub(crate) fn adjacencies_of(&self, peer: LdpId) -> impl Iterator<Item = (Via, &Adjacency)> {
        self.adjacencies
            .range((peer, Via::FIRST, AddressFamily::Ipv4)..=(peer, Via::LAST, AddressFamily::Ipv6))
            .map(|(&(_, via, _), adjacency)| (via, adjacency))
    }

    pub(crate) fn is_heard(&self, peer: LdpId) -> bool {
        self.adjacencies_of(peer).next().is_some()
    }

    pub(crate) fn is_heard_by(&self, peer: LdpId, via: Via) -> bool {
        let families = [AddressFamily::Ipv4, AddressFamily::Ipv6];
        families.into_iter().any(|family| self.is_heard_in(peer, via, family))
    }

    /// Whether it is heard so by this address family.
    pub(crate) fn is_heard_in(&self, peer: LdpId, via: Via, family: AddressFamily) -> bool {
        self.adjacencies.contains_key(&(peer, via, family))
    }

    /// Whether it is heard on any link.
    pub(crate) fn is_heard_on_link(&self, peer: LdpId) -> bool {
        self.adjacencies_of(peer).any(|(via, _)| matches!(via, Via::Link(_)))
    }

    /// Removes the adjacencies whose time is up.
    pub(crate) fn expire(&mut self, now: Tick) -> Vec<(LdpId, Via)> {
        self.remove_all(|_, adjacency| adjacency.expires.is_some_and(|at| at <= now))
    }

    fn remove_all(&mut self, which: impl Fn(&Key, &Adjacency) -> bool) -> Vec<(LdpId, Via)> {
        let some = self.adjacencies.iter().filter(|(key, adjacency)| which(key, adjacency));
        let some: Vec<Key> = some.map(|(&key, _)| key).collect();
        for &(peer, via, family) in &some {
            self.remove(peer, via, family);
        }
        some.into_iter().map(|(peer, via, _)| (peer, via)).collect()
    }

    /// Where a Hello is due; they count as sent.
    pub(crate) fn take_due(&mut self, now: Tick) -> Vec<Due> {
        let mut due = Vec::new();
        for (&id, interface) in &mut self.interfaces {
            if interface.rhythm.next <= now {
                let there = self.adjacencies.iter().filter(|((_, via, _), _)| *via == Via::Link(id));
                let interval = interval(self.holds.link, there.map(|(_, adjacency)| adjacency));
                interface.rhythm.take(now, interval);
                due.push(Due::Link(id));
            }
        }
        for (&peer, target) in &mut self.targets {
            let adjacency = self.adjacencies.get(&(peer, Via::Targeted, AddressFamily::Ipv4));
            if target.rhythm.take(now, interval(self.holds.targeted, adjacency.into_iter())) {
                due.push(Due::Target(target.aim));
            }
        }
        due
    }

    pub(crate) fn poll_timeout(&self) -> Option<Tick> {
        let links = self.interfaces.values().map(|interface| interface.rhythm.next);
        let targets = self.targets.values().map(|target| target.rhythm.next);
        links.chain(targets).chain(self.adjacencies.values().filter_map(|adjacency| adjacency.expires)).min()
    }
}

/// A third of the shortest hold time agreed on there (RFC 5036 §2.4.1 leaves it open; a third bears two losses).
fn interval<'a>(proposed: Duration, there: impl Iterator<Item = &'a Adjacency>) -> Duration {
    let shortest = there.filter_map(|adjacency| adjacency.hold).min();
    shortest.map_or(proposed, |hold| hold.min(proposed)) / 3
}

#[cfg(test)]
mod tests;
