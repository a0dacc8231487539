//! The speaker: everything that happens comes in here, and what follows from it is polled here.

mod advertise;
mod by_hop;
mod capabilities;
mod connection;
mod decide;
mod demand;
mod discover;
mod families;
mod install;
mod labels;
mod neighbors;
mod restart;
mod show;
mod sync;
mod targeted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use contract::{Fec, Label, Tick};
use ipnet::IpNet;
use wire::ldp::{LdpId, MessageId, StatusCode};

use crate::deadlines::Deadlines;
use crate::discovery::{Discovery, Holds};
use crate::family::is_switched;
use crate::label_space::LabelSpace;
use crate::peer::Peer;
use crate::seldom::Seldom;
use crate::stations::Stations;
use crate::{
    Action, Config, ConnId, Counters, DownReason, Event, Installation, InterfaceId, NextHop, Owner, Via,
};
use by_hop::ByHop;
use connection::Pending;
use decide::FecEntry;
use restart::Recovery;
use sync::Links;

/// An LDP speaker without I/O: `handle_*` in, `poll_*` out.
///
/// After each `handle_*`, take all of [`Self::poll_action`] and [`Self::poll_event`], in that order, and call
/// [`Self::handle_timeout`] when the time of [`Self::poll_timeout`] has come. Time never goes back. Handlers cope with
/// calls that cross an action on the way, as data of a connection that was just closed.
#[derive(Debug)]
pub struct Speaker {
    config: Config,
    local: LdpId,
    discovery: Discovery,
    peers: BTreeMap<LdpId, Peer>,
    conns: BTreeMap<ConnId, LdpId>,
    pending: BTreeMap<ConnId, Pending>,
    next_conn: u64,
    next_hello_id: u32,
    fecs: BTreeMap<Fec, FecEntry>,
    /// Next hops that frames can be sent to.
    resolved: BTreeSet<NextHop>,
    by_hop: ByHop,
    stations: Stations,
    /// FECs that are on the way that they had before until their new one is complete.
    kept: Deadlines<Fec>,
    /// Labels that are asked for again then.
    deferred: Deadlines<(LdpId, Fec)>,
    /// Whether a session ever was downstream on demand.
    any_on_demand: bool,
    labels: LabelSpace,
    /// FECs to be decided again before the handler returns.
    touched: BTreeSet<Fec>,
    /// FECs that wait for a free label.
    starving: BTreeSet<Fec>,
    recovery: Option<Recovery>,
    /// FECs whose labels wait for the forwarder's word.
    awaited: BTreeSet<Fec>,
    /// How far LDP is on each link.
    links: Links,
    /// Neighbors that the operator has shut.
    shut: BTreeSet<Ipv4Addr>,
    /// Who is heard on no link and held by targeted Hellos, for its protection: until when, if not for ever.
    guarded: BTreeMap<LdpId, Option<Tick>>,
    /// Those who send targeted Hellos and are not to.
    unwanted: Seldom,
    /// Those who have our name.
    impostors: Seldom,
    /// Those who prefer another family.
    incompatible: Seldom,
    /// What came to our ports for Hellos and is none.
    no_hellos: Seldom,
    /// Connections that were not taken.
    refused: Seldom,
    stopped: bool,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    counters: Counters,
}

impl Speaker {
    /// A speaker without interfaces, routes or FECs.
    pub fn new(config: Config, now: Tick) -> Self {
        let mut speaker = Self {
            local: LdpId::platform(config.lsr_id),
            discovery: Discovery::new(
                Holds { link: config.hello_hold, targeted: config.targeted_hello_hold },
                config.limits.adjacencies,
            ),
            peers: BTreeMap::new(),
            conns: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_conn: ConnId::OUTGOING,
            next_hello_id: 1,
            fecs: BTreeMap::new(),
            resolved: BTreeSet::new(),
            by_hop: ByHop::default(),
            stations: Stations::default(),
            kept: Deadlines::default(),
            deferred: Deadlines::default(),
            any_on_demand: false,
            labels: LabelSpace::new(&config.label_range, config.first_label, config.label_hold),
            touched: BTreeSet::new(),
            starving: BTreeSet::new(),
            recovery: None,
            awaited: BTreeSet::new(),
            links: Links::default(),
            shut: BTreeSet::new(),
            guarded: BTreeMap::new(),
            unwanted: Seldom::default(),
            impostors: Seldom::default(),
            incompatible: Seldom::default(),
            no_hellos: Seldom::default(),
            refused: Seldom::default(),
            stopped: false,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            config,
        };
        speaker.begin_recovery(now);
        speaker.retarget_all(now);
        speaker.settle(now);
        speaker
    }

    /// An interface is up, or its addresses (without the prefix) are others now.
    pub fn handle_interface_up(
        &mut self,
        now: Tick,
        interface: InterfaceId,
        name: &str,
        addresses: &[IpAddr],
    ) {
        let before: BTreeSet<IpAddr> = self.discovery.addresses().collect();
        let is_new = self.discovery.interface(interface).is_none();
        self.discovery.interface_up(now, interface, name, addresses);
        self.tell_addresses(&before);
        if is_new {
            self.touch_interface(interface);
        }
        self.send_hellos(now);
        self.settle(now);
    }

    /// An interface is down or gone: its adjacencies end at once.
    pub fn handle_interface_down(&mut self, now: Tick, interface: InterfaceId) {
        let before: BTreeSet<IpAddr> = self.discovery.addresses().collect();
        let lost = self.discovery.interface_down(interface);
        self.tell_addresses(&before);
        self.adjacencies_lost(now, lost);
        self.touch_interface(interface);
        self.settle(now);
    }

    /// A datagram came to port 646 by this interface, sent to 224.0.0.2.
    pub fn handle_datagram(&mut self, now: Tick, interface: InterfaceId, source: SocketAddr, octets: &[u8]) {
        // A flood of Hellos that mean nothing takes no more time than reading them does.
        if self.hello(now, Via::Link(interface), source.ip(), octets) {
            self.settle(now);
        }
    }

    /// A datagram came to port 646 of the transport address itself.
    pub fn handle_targeted_datagram(&mut self, now: Tick, source: SocketAddr, octets: &[u8]) {
        if self.hello(now, Via::Targeted, source.ip(), octets) {
            self.settle(now);
        }
    }

    /// A connection came to port 646 of the transport address.
    pub fn handle_accepted(&mut self, now: Tick, conn: ConnId, remote: SocketAddr) {
        self.accept(now, conn, remote.ip());
        self.settle(now);
    }

    /// What [`Action::Connect`] asked for succeeded.
    pub fn handle_connected(&mut self, now: Tick, conn: ConnId) {
        self.connected(now, conn);
        self.settle(now);
    }

    /// What [`Action::Connect`] asked for failed.
    pub fn handle_connect_failed(&mut self, now: Tick, conn: ConnId) {
        if let Some(&peer) = self.conns.get(&conn) {
            self.end_session(now, peer, DownReason::NoConnection, None);
        }
        self.settle(now);
    }

    /// Octets came by a connection, cut anywhere.
    pub fn handle_stream(&mut self, now: Tick, conn: ConnId, octets: &[u8]) {
        self.stream(now, conn, octets);
        self.settle(now);
    }

    /// The kernel took this many more octets of what [`Action::Write`] asked for.
    pub fn handle_written(&mut self, now: Tick, conn: ConnId, octets: usize) {
        if let Some(session) = self.session_of(conn) {
            session.written(now, octets);
        }
        self.settle(now);
    }

    /// The peer closed the connection, or it failed.
    pub fn handle_closed(&mut self, now: Tick, conn: ConnId) {
        self.pending.remove(&conn);
        if let Some(&peer) = self.conns.get(&conn) {
            self.end_session(now, peer, DownReason::Closed, None);
        }
        self.settle(now);
    }

    /// The routing table's next hops for a prefix; none: no route. Prefixes of this node itself are not told. Only host
    /// prefixes matter; others are taken and ignored.
    pub fn handle_route(&mut self, now: Tick, prefix: IpNet, next_hops: &[NextHop]) {
        let fec = Fec(prefix.trunc());
        if is_switched(fec) {
            self.route(now, fec, next_hops);
            self.settle(now);
        }
    }

    /// Whether frames can be sent to a next hop: its Ethernet address is known. At first it is not. A next hop of a route
    /// is used only while they can.
    pub fn handle_next_hop(&mut self, now: Tick, next_hop: NextHop, resolved: bool) {
        let changed = if resolved { self.resolved.insert(next_hop) } else { self.resolved.remove(&next_hop) };
        if changed {
            self.by_hop.touch(|hop| hop == next_hop);
            self.settle(now);
        }
    }

    /// What the forwarder says of the entry for the label that [`Event::Fec`] told for a FEC. A label that is no longer
    /// the FEC's is no concern.
    pub fn handle_installed(&mut self, now: Tick, fec: Fec, label: Label, installation: Installation) {
        self.installed(now, fec, label, installation);
        self.settle(now);
    }

    /// [`Self::handle_installed`] for many: what follows for a peer is in as few messages as hold it.
    pub fn handle_all_installed(
        &mut self,
        now: Tick,
        installations: impl IntoIterator<Item = (Fec, Label, Installation)>,
    ) {
        for (fec, label, installation) in installations {
            self.installed(now, fec, label, installation);
        }
        self.settle(now);
    }

    /// Whether LSPs of this FEC end here: a handoff with a live next hop, or a return FEC. Host prefixes only.
    pub fn handle_egress(&mut self, now: Tick, fec: Fec, live: bool) {
        if is_switched(fec) {
            self.egress(fec, live);
            self.settle(now);
        }
    }

    /// FECs are these owners' from now on, see [`Config::owners`].
    pub fn handle_owners(&mut self, now: Tick, owners: BTreeMap<Fec, Owner>) {
        self.owners(now, owners);
        self.settle(now);
    }

    /// The time of [`Self::poll_timeout`] has come (or not: then nothing happens).
    pub fn handle_timeout(&mut self, now: Tick) {
        let expired = self.discovery.expire(now);
        self.adjacencies_lost(now, expired);
        self.guard_timeouts(now);
        self.send_hellos(now);
        self.connection_timeouts(now);
        self.stale_timeouts(now);
        self.kept_timeouts(now);
        self.deferred_timeouts(now);
        let free = self.labels.handle_timeout(now);
        self.tell_freed();
        self.touched.extend((0..free).map_while(|_| self.starving.pop_first()));
        if free > 0 {
            self.tell_resources();
        }
        self.recovery_timeout(now);
        self.settle(now);
    }

    /// Ends all sessions with a Shutdown notification, which makes the peers forget our labels at once, and says no more
    /// Hellos. To stop and come back with forwarding preserved, drop the speaker and the connections instead.
    pub fn shutdown(&mut self, now: Tick) {
        self.stopped = true;
        let peers: Vec<LdpId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.end_session(now, peer, DownReason::Local(StatusCode::SHUTDOWN), None);
        }
        self.settle(now);
    }

    /// When to call [`Self::handle_timeout`]; a time that is past: at once, since there is more to do than one call does
    /// ([`crate::Limits::decisions`]).
    pub fn poll_timeout(&self) -> Option<Tick> {
        if self.stopped {
            return None;
        }
        let others = [
            self.discovery.poll_timeout(),
            self.labels.poll_timeout(),
            self.recovery.as_ref().map(Recovery::deadline),
            self.kept.poll_timeout(),
            self.deferred.poll_timeout(),
            self.links.poll_timeout(),
            // There is more to decide: at once.
            (!self.by_hop.is_settled()).then_some(Tick(0)),
        ];
        let guarded = self.guarded.values().flatten().copied();
        let pending = self.pending.values().map(|pending| pending.deadline);
        let peers = self.peers.iter().filter_map(|(&id, peer)| self.peer_timeout(id, peer));
        others.into_iter().flatten().chain(guarded).chain(pending).chain(peers).min()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Decides what is to be decided, tells the peers, opens what is to be opened, and hands out what is to be written.
    fn settle(&mut self, now: Tick) {
        self.connect_due(now);
        let mut left = self.config.limits.decisions.max(1);
        // More than once: a peer that is given up for not reading changes what others are to be told.
        loop {
            let some = self.by_hop.take(left);
            left = left.saturating_sub(some.len());
            self.touched.extend(some);
            self.decide_touched(now);
            self.flush(now);
            if self.touched.is_empty() && (left == 0 || self.by_hop.is_settled()) {
                break;
            }
        }
        self.check_recovery(now);
        self.check_links(now);
    }

    fn next_hello_id(&mut self) -> MessageId {
        let id = MessageId(self.next_hello_id);
        self.next_hello_id = self.next_hello_id.checked_add(1).unwrap_or(1);
        id
    }
}
