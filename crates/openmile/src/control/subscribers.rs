//! This headend's subscribers: the directory, and who answers behind the access circuits.

use std::collections::VecDeque;
use std::net::IpAddr;

use contract::{Asn, BindingKey, Change, Circuit, IspPrefix, MacAddr, PortId, PortState, SubscriberId, Tick};
use ipnet::IpNet;
use neighbor::{Access, AccessEvent, AccessNeighbors, AccessSettings, Bound, Neighbor, Owner, Pool};
use subscriber::{Clock, Directory, Facts, Place, Plan, Write};

/// Bindings that are looked at in one turn of the loop, while a directory takes another's place.
const CARRIED: usize = 4096;
/// Services whose end is dealt with in one turn.
const ENDED: usize = 256;

/// The directory and who answers.
pub(crate) struct Subscribers {
    directory: Directory,
    neighbors: AccessNeighbors,
    /// A directory that takes the other's place once it knows the Ethernet addresses that were learned, and how far that is.
    heir: Option<(Box<Directory>, Place)>,
    happened: VecDeque<Happened>,
}

/// What happened to a subscriber.
#[derive(Debug)]
pub(crate) enum Happened {
    /// What the forwarder should hold is different; an Ethernet address was learned or lost.
    Changed {
        /// Who.
        subscriber: Option<SubscriberId>,
        /// Whether it was learned.
        learned: bool,
        /// What the forwarder should hold.
        changes: Vec<Change>,
    },
    /// Bindings that were leaving have ended: what the forwarder should hold.
    Ended(Vec<Change>),
    /// Another directory is in the place of this one.
    Replaced(Box<Directory>),
    /// A station claims a gateway's address.
    GatewayClaimed(Circuit, IpAddr, MacAddr),
}

/// The directory as the neighbour machinery asks it.
struct View<'a>(&'a Directory);

impl Access for View<'_> {
    fn binding(&self, circuit: Circuit, address: IpAddr) -> Option<Bound> {
        let bound = self.0.binding(circuit, address)?;
        let owner = Owner { isp: bound.isp, subscriber: bound.subscriber };
        Some(Bound { owner, prefix: bound.prefix, mac: bound.configured })
    }

    fn station(&self, circuit: Circuit, mac: MacAddr) -> Option<Owner> {
        let service = self.0.station(circuit, mac)?;
        Some(Owner { isp: service.isp, subscriber: service.subscriber })
    }

    fn pool(&self, isp: Asn, address: IpAddr) -> Option<Pool> {
        self.0.pool(isp, address).map(|pool| Pool { prefix: pool.prefix, gateway: pool.gateway })
    }

    fn is_gateway(&self, address: IpAddr) -> bool {
        self.0.is_gateway(address)
    }
}

impl Subscribers {
    /// Nobody was heard yet, but for those whose Ethernet addresses the forwarder still had.
    pub(crate) fn new(now: Tick, mut directory: Directory, inherited: &[Change]) -> Self {
        let mut neighbors = AccessNeighbors::new(AccessSettings::default());
        for change in inherited {
            let Change::Binding(key, Some(binding)) = change else { continue };
            let Some(mac) = binding.mac.filter(|_| !binding.verify_mac) else { continue };
            // Who has the prefix by now may be another ISP's subscriber: it is learned anew.
            if directory.restore(key, mac) {
                assume(&mut neighbors, now, &directory, key, mac);
            }
        }
        Self { directory, neighbors, heir: None, happened: VecDeque::new() }
    }

    /// Does what was planned and is stored: what the forwarder should now hold, and what could not be done.
    pub(crate) fn apply(&mut self, plan: Plan, clock: Clock) -> (Vec<Change>, Vec<Write>) {
        let (changes, unfit) = self.directory.apply(plan, clock);
        self.forget_gone(&changes);
        for change in &changes {
            let Change::Binding(key, Some(binding)) = change else { continue };
            // Whoever is known stays known at another ISP, and is probed in its name.
            if let Some(mac) = binding.mac.filter(|_| !binding.verify_mac && !binding.leaving) {
                assume(&mut self.neighbors, clock.tick, &self.directory, key, mac);
            }
        }
        (changes, unfit)
    }

    /// This directory is to take the place of the one that is.
    pub(crate) fn replace(&mut self, heir: Box<Directory>) {
        self.heir = Some((heir, Place::default()));
    }

    /// Tells the heir what is known of Ethernet addresses, a part in each turn.
    fn carry(&mut self) {
        let Some((mut heir, mut place)) = self.heir.take() else { return };
        for _ in 0..CARRIED {
            let Some((after, key, binding)) = self.directory.bound_from(place) else {
                let old = std::mem::replace(&mut self.directory, *heir);
                return self.happened.push_back(Happened::Replaced(Box::new(old)));
            };
            place = after;
            if heir.binding(key.circuit, key.prefix.prefix.addr()).is_none() {
                self.neighbors.forget(key.circuit, key.prefix.prefix);
            }
            if let Some(mac) = binding.mac.filter(|_| !binding.verify_mac) {
                heir.learned(key.circuit, key.prefix.prefix, mac);
            }
        }
        self.heir = Some((heir, place));
    }

    /// Whether a directory is on its way to take the place of the one that is.
    pub(crate) fn is_being_replaced(&self) -> bool {
        self.heir.is_some()
    }

    /// What the network allows is this from now on; the directory fits it. What the forwarder should now hold.
    pub(crate) fn refit(&mut self, facts: &Facts, clock: Clock) -> Vec<Change> {
        self.directory.refit(facts, clock)
    }

    /// An access port's state is this now.
    pub(crate) fn port(&mut self, port: PortId, state: &PortState) {
        match state {
            PortState::Open { mac, carrier: true, .. } => self.neighbors.set_port_mac(port, *mac),
            _ => self.neighbors.port_down(port),
        }
    }

    /// A frame came.
    pub(crate) fn frame(&mut self, now: Tick, circuit: Circuit, frame: &[u8]) {
        self.neighbors.handle_frame(now, circuit, frame, &View(&self.directory));
    }

    /// The forwarder dropped a packet to this address of this ISP, not knowing the subscriber's Ethernet address.
    pub(crate) fn unresolved(&mut self, now: Tick, isp: Asn, address: IpAddr) {
        if let Some(bound) = self.directory.locate(isp, address) {
            self.neighbors.resolve(now, bound.circuit, address, &View(&self.directory));
        }
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Tick) {
        self.neighbors.handle_timeout(now, &View(&self.directory));
        self.carry();
        let ended = self.directory.expire(now, ENDED);
        if !ended.is_empty() {
            self.forget_gone(&ended);
            self.happened.push_back(Happened::Ended(ended));
        }
    }

    /// When [`Self::timeout`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Tick> {
        if self.heir.is_some() {
            return Some(Tick::default());
        }
        self.neighbors.poll_timeout().into_iter().chain(self.directory.next_end()).min()
    }

    /// The next frame to transmit.
    pub(crate) fn poll_transmit(&mut self) -> Option<(Circuit, Vec<u8>)> {
        self.neighbors.poll_transmit()
    }

    /// The next thing that happened.
    pub(crate) fn poll(&mut self) -> Option<Happened> {
        if let Some(happened) = self.happened.pop_front() {
            return Some(happened);
        }
        Some(match self.neighbors.poll_event()? {
            AccessEvent::Learned { circuit, prefix, mac, .. } => {
                if let Some((heir, _)) = &mut self.heir {
                    heir.learned(circuit, prefix, mac);
                }
                let changes = self.directory.learned(circuit, prefix, mac);
                Happened::Changed { subscriber: self.who(circuit, prefix), learned: true, changes }
            }
            AccessEvent::Lost { circuit, prefix, mac, .. } => {
                if let Some((heir, _)) = &mut self.heir {
                    heir.lost(circuit, prefix, mac);
                }
                let changes = self.directory.lost(circuit, prefix, mac);
                Happened::Changed { subscriber: self.who(circuit, prefix), learned: false, changes }
            }
            AccessEvent::GatewayClaimed { circuit, address, mac } => {
                Happened::GatewayClaimed(circuit, address, mac)
            }
        })
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The directory, to try something on it.
    pub(crate) fn directory_mut(&mut self) -> &mut Directory {
        &mut self.directory
    }

    /// Everyone known.
    pub(crate) fn neighbors(&self) -> impl Iterator<Item = Neighbor> {
        self.neighbors.neighbors()
    }

    /// Whoever has an address after nobody had it is asked for anew.
    fn forget_gone(&mut self, changes: &[Change]) {
        for change in changes {
            let Change::Binding(BindingKey { circuit, prefix: IspPrefix { prefix, .. } }, None) = change
            else {
                continue;
            };
            if self.directory.binding(*circuit, prefix.addr()).is_none() {
                self.neighbors.forget(*circuit, *prefix);
            }
        }
    }

    fn who(&self, circuit: Circuit, prefix: IpNet) -> Option<SubscriberId> {
        self.directory.binding(circuit, prefix.addr()).map(|bound| bound.subscriber)
    }
}

/// Takes a station for known until it fails to answer. Only a host can be probed; whoever has a larger prefix is learned
/// again when it speaks.
fn assume(neighbors: &mut AccessNeighbors, now: Tick, directory: &Directory, key: &BindingKey, mac: MacAddr) {
    let BindingKey { circuit, prefix: IspPrefix { prefix, .. } } = *key;
    if prefix.prefix_len() == prefix.max_prefix_len() {
        neighbors.assume(now, circuit, prefix.addr(), mac, &View(directory));
    }
}

/// A directory of what the forwarder held; what is leaving ends then.
pub(crate) fn rebuilt(end: Tick, node: &str, facts: &Facts, inherited: &[Change]) -> Directory {
    let bindings = inherited.iter().filter_map(|change| match change {
        Change::Binding(key, Some(binding)) => Some((key, binding)),
        _ => None,
    });
    Directory::rebuild(node, facts, bindings, end)
}
