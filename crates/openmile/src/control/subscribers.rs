//! This headend's subscribers: the directory, and who answers behind the access circuits.

use std::net::IpAddr;

use contract::{Asn, Change, Circuit, MacAddr, PortId, PortState, SubscriberId, Tick};
use ipnet::IpNet;
use neighbor::{Access, AccessEvent, AccessNeighbors, AccessSettings, Bound, Neighbor, Owner, Pool};
use subscriber::Directory;

/// The directory and who answers.
pub(crate) struct Subscribers {
    directory: Directory,
    neighbors: AccessNeighbors,
}

/// What happened to a subscriber.
#[derive(Clone, PartialEq, Eq, Debug)]
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
            directory.restore(key, mac);
            let prefix = key.prefix.prefix;
            // Only a host can be probed; whoever has a larger prefix is learned again when it speaks.
            if prefix.prefix_len() == prefix.max_prefix_len() {
                neighbors.assume(now, key.circuit, prefix.addr(), mac, &View(&directory));
            }
        }
        Self { directory, neighbors }
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
    }

    /// When [`Self::timeout`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Tick> {
        self.neighbors.poll_timeout()
    }

    /// The next frame to transmit.
    pub(crate) fn poll_transmit(&mut self) -> Option<(Circuit, Vec<u8>)> {
        self.neighbors.poll_transmit()
    }

    /// The next thing that happened.
    pub(crate) fn poll(&mut self) -> Option<Happened> {
        Some(match self.neighbors.poll_event()? {
            AccessEvent::Learned { circuit, prefix, mac, .. } => {
                let changes = self.directory.learned(circuit, prefix, mac);
                Happened::Changed { subscriber: self.who(circuit, prefix), learned: true, changes }
            }
            AccessEvent::Lost { circuit, prefix, mac, .. } => {
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

    /// Everyone known.
    pub(crate) fn neighbors(&self) -> impl Iterator<Item = Neighbor> {
        self.neighbors.neighbors()
    }

    fn who(&self, circuit: Circuit, prefix: IpNet) -> Option<SubscriberId> {
        self.directory.binding(circuit, prefix.addr()).map(|bound| bound.subscriber)
    }
}
