//! Basic discovery: who is heard on which interface (RFC 5036 §2.4.1, §2.5.5).
//!
//! ```text
//!            Hello                        Hello
//! (none) ────────────▶ adjacency ─┐ restarts the hold timer
//!    ▲                     │  ▲───┘
//!    └─────────────────────┘
//!     hold timer, interface down
//! ```

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use contract::Tick;
use wire::ldp::{HoldTime, LdpId};

use crate::InterfaceId;

/// A new adjacency is answered with a Hello at once, so that the peer need not wait for the next one; but no sooner than
/// this after the last, so that a flood of new neighbors is not amplified.
const TRIGGERED_INTERVAL: Duration = Duration::from_millis(200);

/// Interfaces and the adjacencies on them.
#[derive(Debug)]
pub(crate) struct Discovery {
    hold: Duration,
    limit: usize,
    interfaces: BTreeMap<InterfaceId, Interface>,
    adjacencies: BTreeMap<(LdpId, InterfaceId), Adjacency>,
}

#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) addresses: Vec<Ipv4Addr>,
    next_hello: Tick,
    last_hello: Option<Tick>,
}

#[derive(Debug)]
pub(crate) struct Adjacency {
    pub(crate) source: Ipv4Addr,
    /// The hold time agreed on; `None`: for ever.
    pub(crate) hold: Option<Duration>,
    expires: Option<Tick>,
}

/// What a Hello came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// There was no such adjacency.
    New,
    /// There was.
    Again,
    /// There are too many, or the interface is not up.
    Refused,
}

impl Discovery {
    pub(crate) fn new(hold: Duration, limit: usize) -> Self {
        Self { hold, limit, interfaces: BTreeMap::new(), adjacencies: BTreeMap::new() }
    }

    /// Makes the interface known or changes its addresses.
    pub(crate) fn interface_up(&mut self, now: Tick, id: InterfaceId, name: &str, addresses: &[Ipv4Addr]) {
        let interface = self.interfaces.entry(id).or_insert_with(|| Interface {
            name: String::new(),
            addresses: Vec::new(),
            next_hello: now,
            last_hello: None,
        });
        name.clone_into(&mut interface.name);
        interface.addresses = addresses.to_vec();
    }

    /// Forgets the interface; returns who was heard there.
    pub(crate) fn interface_down(&mut self, id: InterfaceId) -> Vec<LdpId> {
        self.interfaces.remove(&id);
        let lost: Vec<LdpId> = self
            .adjacencies
            .keys()
            .filter(|(_, interface)| *interface == id)
            .map(|&(peer, _)| peer)
            .collect();
        for &peer in &lost {
            self.adjacencies.remove(&(peer, id));
        }
        lost
    }

    pub(crate) fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(&id)
    }

    /// Proposes another hold time from now on: neighbors are told at once.
    pub(crate) fn set_hold(&mut self, now: Tick, hold: Duration) {
        self.hold = hold;
        self.interfaces.values_mut().for_each(|interface| interface.next_hello = now);
    }

    /// Forgets a peer; returns where it was heard.
    pub(crate) fn forget(&mut self, peer: LdpId) -> Vec<(LdpId, InterfaceId)> {
        let lost: Vec<_> = self.adjacencies_of(peer).map(|(interface, _)| (peer, interface)).collect();
        for key in &lost {
            self.adjacencies.remove(key);
        }
        lost
    }

    /// All addresses of all interfaces.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.interfaces.values().flat_map(|interface| interface.addresses.iter().copied())
    }

    /// A link Hello of `peer` with this hold time came.
    pub(crate) fn hear(
        &mut self,
        now: Tick,
        id: InterfaceId,
        peer: LdpId,
        source: Ipv4Addr,
        proposed: HoldTime,
    ) -> Heard {
        if !self.interfaces.contains_key(&id) {
            return Heard::Refused;
        }
        // RFC 5036 §3.5.2: the smaller of the two proposals.
        let hold = Some(proposed.link().map_or(self.hold, |theirs| theirs.min(self.hold)));
        let adjacency = Adjacency { source, hold, expires: hold.map(|hold| now + hold) };
        let full = self.adjacencies.len() >= self.limit;
        if let Some(known) = self.adjacencies.get_mut(&(peer, id)) {
            *known = adjacency;
            return Heard::Again;
        }
        if full {
            return Heard::Refused;
        }
        self.adjacencies.insert((peer, id), adjacency);
        self.answer(now, id);
        Heard::New
    }

    /// Has the next Hello said at once, or as soon as may be after the last one.
    pub(crate) fn answer(&mut self, now: Tick, id: InterfaceId) {
        if let Some(interface) = self.interfaces.get_mut(&id) {
            let soonest = interface.last_hello.map_or(now, |last| last + TRIGGERED_INTERVAL).max(now);
            interface.next_hello = interface.next_hello.min(soonest);
        }
    }

    /// Where a peer is heard.
    pub(crate) fn adjacencies_of(&self, peer: LdpId) -> impl Iterator<Item = (InterfaceId, &Adjacency)> {
        self.adjacencies
            .range((peer, InterfaceId(0))..=(peer, InterfaceId(u32::MAX)))
            .map(|(&(_, interface), adjacency)| (interface, adjacency))
    }

    pub(crate) fn is_heard(&self, peer: LdpId) -> bool {
        self.adjacencies_of(peer).next().is_some()
    }

    pub(crate) fn is_heard_on(&self, peer: LdpId, interface: InterfaceId) -> bool {
        self.adjacencies.contains_key(&(peer, interface))
    }

    /// Removes the adjacencies whose time is up.
    pub(crate) fn expire(&mut self, now: Tick) -> Vec<(LdpId, InterfaceId)> {
        let expired: Vec<(LdpId, InterfaceId)> = self
            .adjacencies
            .iter()
            .filter(|(_, adjacency)| adjacency.expires.is_some_and(|at| at <= now))
            .map(|(&key, _)| key)
            .collect();
        for key in &expired {
            self.adjacencies.remove(key);
        }
        expired
    }

    /// The interfaces that a Hello is due on; they count as sent.
    pub(crate) fn take_due(&mut self, now: Tick) -> Vec<InterfaceId> {
        let due: Vec<InterfaceId> =
            self.interfaces.iter().filter(|(_, i)| i.next_hello <= now).map(|(&id, _)| id).collect();
        for &id in &due {
            let interval = self.interval(id);
            if let Some(interface) = self.interfaces.get_mut(&id) {
                interface.last_hello = Some(now);
                interface.next_hello = now + interval;
            }
        }
        due
    }

    /// A third of the shortest hold time agreed on there (RFC 5036 §2.4.1 leaves it open; a third bears two losses).
    fn interval(&self, id: InterfaceId) -> Duration {
        let agreed = self.adjacencies.iter().filter(|((_, interface), _)| *interface == id);
        let shortest = agreed.filter_map(|(_, adjacency)| adjacency.hold).min();
        shortest.map_or(self.hold, |hold| hold.min(self.hold)) / 3
    }

    pub(crate) fn poll_timeout(&self) -> Option<Tick> {
        let hellos = self.interfaces.values().map(|interface| interface.next_hello);
        hellos.chain(self.adjacencies.values().filter_map(|adjacency| adjacency.expires)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(15);

    fn peer(n: u8) -> LdpId {
        LdpId::platform(Ipv4Addr::new(10, 255, 0, n))
    }

    fn after(seconds: u64) -> Tick {
        Tick(0) + Duration::from_secs(seconds)
    }

    fn with_interface() -> Discovery {
        let mut discovery = Discovery::new(HOLD, 2);
        discovery.interface_up(Tick(0), InterfaceId(1), "bb0", &[Ipv4Addr::new(10, 1, 0, 1)]);
        discovery
    }

    fn hear(discovery: &mut Discovery, now: Tick, n: u8, hold: u16) -> Heard {
        discovery.hear(now, InterfaceId(1), peer(n), Ipv4Addr::new(10, 1, 0, n), HoldTime(hold))
    }

    /// Every state of an adjacency with everything that can happen to it: what is said of it, and whether the peer is heard
    /// there afterwards.
    #[test]
    fn adjacency_transitions() {
        type Happen = fn(&mut Discovery) -> String;
        let (no_interface, none, adjacency, full) = (0, 1, 2, 3);
        let in_state = |state| {
            let mut discovery = with_interface();
            match state {
                0 => drop(discovery.interface_down(InterfaceId(1))),
                2 => assert_eq!(hear(&mut discovery, after(0), 2, 15), Heard::New),
                3 => (3..5).for_each(|n| assert_eq!(hear(&mut discovery, after(0), n, 0xffff), Heard::New)),
                _ => {}
            }
            discovery
        };
        let hello: Happen = |discovery| format!("{:?}", hear(discovery, after(10), 2, 15));
        let elsewhere: Happen = |discovery| {
            discovery.interface_up(after(10), InterfaceId(2), "bb1", &[]);
            let from = Ipv4Addr::new(10, 1, 1, 2);
            format!("{:?}", discovery.hear(after(10), InterfaceId(2), peer(2), from, HoldTime(15)))
        };
        let early: Happen = |discovery| format!("{:?}", discovery.expire(Tick(after(15).0 - 1)));
        let expired: Happen =
            |discovery| format!("{}", discovery.expire(after(15)).contains(&(peer(2), InterfaceId(1))));
        let interface_down: Happen =
            |discovery| format!("{}", discovery.interface_down(InterfaceId(1)).contains(&peer(2)));
        let interface_up: Happen = |discovery| {
            discovery.interface_up(after(10), InterfaceId(1), "bb0", &[]);
            String::new()
        };
        let forget: Happen = |discovery| format!("{}", discovery.forget(peer(2)).len());
        let rows: [(&str, usize, Happen, &str, bool); 28] = [
            ("Hello", no_interface, hello, "Refused", false),
            ("Hello", none, hello, "New", true),
            ("Hello", adjacency, hello, "Again", true),
            ("Hello", full, hello, "Refused", false),
            ("Hello elsewhere", no_interface, elsewhere, "New", false),
            ("Hello elsewhere", none, elsewhere, "New", false),
            ("Hello elsewhere", adjacency, elsewhere, "New", true),
            ("Hello elsewhere", full, elsewhere, "Refused", false),
            ("hold time not over", no_interface, early, "[]", false),
            ("hold time not over", none, early, "[]", false),
            ("hold time not over", adjacency, early, "[]", true),
            ("hold time not over", full, early, "[]", false),
            ("hold time over", no_interface, expired, "false", false),
            ("hold time over", none, expired, "false", false),
            ("hold time over", adjacency, expired, "true", false),
            ("hold time over", full, expired, "false", false),
            ("interface down", no_interface, interface_down, "false", false),
            ("interface down", none, interface_down, "false", false),
            ("interface down", adjacency, interface_down, "true", false),
            ("interface down", full, interface_down, "false", false),
            ("interface changed", no_interface, interface_up, "", false),
            ("interface changed", none, interface_up, "", false),
            ("interface changed", adjacency, interface_up, "", true),
            ("interface changed", full, interface_up, "", false),
            ("forgotten", no_interface, forget, "0", false),
            ("forgotten", none, forget, "0", false),
            ("forgotten", adjacency, forget, "1", false),
            ("forgotten", full, forget, "0", false),
        ];
        for (event, state, happen, said, heard) in rows {
            let mut discovery = in_state(state);
            let found = (happen(&mut discovery), discovery.is_heard_on(peer(2), InterfaceId(1)));
            assert_eq!(found, (said.to_owned(), heard), "{event} in state {state}");
        }
    }

    #[test]
    fn the_smaller_hold_time_holds() {
        for (theirs, agreed) in [(0, 15), (9, 9), (30, 15), (0xffff, 15)] {
            let mut discovery = with_interface();
            hear(&mut discovery, after(0), 2, theirs);
            assert!(discovery.expire(Tick(after(agreed).0 - 1)).is_empty(), "{theirs}");
            assert_eq!(discovery.expire(after(agreed)).len(), 1, "{theirs}");
        }
    }

    #[test]
    fn hellos_go_three_times_per_hold_time_and_at_once_to_a_new_neighbor() {
        let mut discovery = with_interface();
        assert_eq!(discovery.take_due(after(0)), [InterfaceId(1)]);
        assert!(discovery.take_due(after(4)).is_empty());
        assert_eq!(discovery.take_due(after(5)), [InterfaceId(1)]);
        hear(&mut discovery, after(6), 2, 9);
        assert_eq!(discovery.take_due(after(6)), [InterfaceId(1)]);
        hear(&mut discovery, after(6), 3, 9);
        assert!(discovery.take_due(after(6)).is_empty(), "not twice in a moment");
        assert_eq!(discovery.take_due(after(7)), [InterfaceId(1)]);
        assert!(discovery.take_due(after(9)).is_empty());
        assert_eq!(discovery.take_due(after(10)), [InterfaceId(1)]);
    }

    #[test]
    fn adjacencies_are_bounded() {
        let mut discovery = with_interface();
        assert_eq!(hear(&mut discovery, after(0), 2, 15), Heard::New);
        assert_eq!(hear(&mut discovery, after(0), 3, 15), Heard::New);
        assert_eq!(hear(&mut discovery, after(0), 4, 15), Heard::Refused);
        assert_eq!(hear(&mut discovery, after(0), 3, 15), Heard::Again);
    }
}
