//! The speaker: everything that happens comes in here, and what follows from it is polled here.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use contract::{Fec, Tick};
use ipnet::Ipv4Net;

use crate::{Action, Config, ConnId, Counters, Event, InterfaceId, LibEntry, Neighbor, NextHop};

/// An LDP speaker without I/O: `handle_*` in, `poll_*` out.
///
/// After each `handle_*`, take all of [`Self::poll_action`] and [`Self::poll_event`], in that order, and call
/// [`Self::handle_timeout`] when the time of [`Self::poll_timeout`] has come. Time never goes back. Handlers cope with
/// calls that cross an action on the way, as data of a connection that was just closed.
#[derive(Debug)]
pub struct Speaker {
    config: Config,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    counters: Counters,
}

impl Speaker {
    /// A speaker without interfaces, routes or FECs.
    pub fn new(config: Config, _now: Tick) -> Self {
        Self { config, actions: VecDeque::new(), events: VecDeque::new(), counters: Counters::default() }
    }

    /// An interface is up, or its addresses (without the prefix) are others now.
    pub fn handle_interface_up(
        &mut self,
        _now: Tick,
        _interface: InterfaceId,
        _name: &str,
        _addresses: &[Ipv4Addr],
    ) {
    }

    /// An interface is down or gone: its adjacencies end at once.
    pub fn handle_interface_down(&mut self, _now: Tick, _interface: InterfaceId) {}

    /// A datagram came to port 646 by this interface, sent to 224.0.0.2.
    pub fn handle_datagram(
        &mut self,
        _now: Tick,
        _interface: InterfaceId,
        _source: SocketAddrV4,
        _octets: &[u8],
    ) {
    }

    /// A connection came to port 646 of the transport address.
    pub fn handle_accepted(&mut self, _now: Tick, _conn: ConnId, _remote: SocketAddrV4) {}

    /// What [`Action::Connect`] asked for succeeded.
    pub fn handle_connected(&mut self, _now: Tick, _conn: ConnId) {}

    /// What [`Action::Connect`] asked for failed.
    pub fn handle_connect_failed(&mut self, _now: Tick, _conn: ConnId) {}

    /// Octets came by a connection, cut anywhere.
    pub fn handle_stream(&mut self, _now: Tick, _conn: ConnId, _octets: &[u8]) {}

    /// The kernel took this many more octets of what [`Action::Write`] asked for.
    pub fn handle_written(&mut self, _now: Tick, _conn: ConnId, _octets: usize) {}

    /// The peer closed the connection, or it failed.
    pub fn handle_closed(&mut self, _now: Tick, _conn: ConnId) {}

    /// The routing table's next hops for a prefix; none: no route. Prefixes of this node itself are not told. Only host
    /// prefixes matter; others are taken and ignored.
    pub fn handle_route(&mut self, _now: Tick, _prefix: Ipv4Net, _next_hops: &[NextHop]) {}

    /// Whether LSPs of this FEC end here: a handoff with a live next hop, or a return FEC.
    pub fn handle_egress(&mut self, _now: Tick, _fec: Fec, _live: bool) {}

    /// The time of [`Self::poll_timeout`] has come (or not: then nothing happens).
    pub fn handle_timeout(&mut self, _now: Tick) {}

    /// Ends all sessions with a Shutdown notification, which makes the peers forget our labels at once. To stop and come
    /// back with forwarding preserved, drop the speaker and the connections instead.
    pub fn shutdown(&mut self, _now: Tick) {}

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Tick> {
        None
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether a restart's recovery is under way.
    pub fn recovering(&self) -> bool {
        self.config.restarting
    }

    /// All neighbors, by LDP identifier.
    pub fn neighbors(&self, _now: Tick) -> Vec<Neighbor> {
        Vec::new()
    }

    /// The label information base, by FEC and peer.
    pub fn lib(&self) -> Vec<LibEntry> {
        Vec::new()
    }

    /// What was counted with no peer.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
