//! This tailend's handoffs: which of them are live.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use contract::{Change, Circuit, Fec, Handoff, MacAddr, PortId, PortState, Tick};
use neighbor::{HandoffConfig, HandoffEvent, HandoffNeighbors, HandoffSettings, Neighbor};
use network::{HandoffView, NodeView};

/// The handoffs and who answers behind them.
pub(crate) struct Handoffs {
    neighbors: HandoffNeighbors,
    configured: BTreeMap<Circuit, HandoffView>,
    live: BTreeMap<Circuit, Handoff>,
}

/// What happened to a handoff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Happened {
    /// It came up (or the next hops' Ethernet addresses changed).
    Up(Circuit),
    /// It went down.
    Down(Circuit),
    /// Another station claims our address.
    Conflict(Circuit, IpAddr, MacAddr),
}

impl Handoffs {
    /// The handoffs of this node; those that the forwarder still had are taken for live until they fail to answer.
    pub(crate) fn new(now: Tick, view: &NodeView, inherited: &[Change]) -> Self {
        let mut neighbors = HandoffNeighbors::new(HandoffSettings::default());
        for handoff in &view.handoffs {
            neighbors.add_handoff(
                now,
                HandoffConfig {
                    circuit: handoff.circuit,
                    ipv4: handoff.ipv4.map(|ipv4| (ipv4.address, ipv4.next_hop)),
                    ipv6: handoff.ipv6.map(|ipv6| (ipv6.address, ipv6.next_hop)),
                },
            );
        }
        for change in inherited {
            if let Change::Handoff(circuit, Some(handoff)) = change {
                let ipv4 = handoff.ipv4.map(|(next_hop, mac)| (IpAddr::V4(next_hop), mac));
                let ipv6 = handoff.ipv6.map(|(next_hop, mac)| (IpAddr::V6(next_hop), mac));
                for (next_hop, mac) in ipv4.into_iter().chain(ipv6) {
                    neighbors.assume(now, *circuit, next_hop, mac);
                }
            }
        }
        let configured = view.handoffs.iter().map(|handoff| (handoff.circuit, handoff.clone())).collect();
        Self { neighbors, configured, live: BTreeMap::new() }
    }

    /// A handoff port's state is this now.
    pub(crate) fn port(&mut self, now: Tick, port: PortId, state: &PortState) {
        match state {
            PortState::Open { mac, carrier: true, .. } => self.neighbors.set_port_mac(now, port, *mac),
            _ => self.neighbors.port_down(port),
        }
    }

    /// A frame came.
    pub(crate) fn frame(&mut self, now: Tick, circuit: Circuit, frame: &[u8]) {
        self.neighbors.handle_frame(now, circuit, frame);
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Tick) {
        self.neighbors.handle_timeout(now);
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
        loop {
            match self.neighbors.poll_event()? {
                HandoffEvent::Conflict { circuit, address, mac } => {
                    return Some(Happened::Conflict(circuit, address, mac));
                }
                HandoffEvent::NextHop { circuit, ipv4, ipv6 } => {
                    let now = self.configured.get(&circuit).and_then(|view| whole(view, ipv4, ipv6));
                    let before = self.live.get(&circuit).copied();
                    match now {
                        Some(handoff) => self.live.insert(circuit, handoff),
                        None => self.live.remove(&circuit),
                    };
                    match (before, now) {
                        (Some(_), None) => return Some(Happened::Down(circuit)),
                        (before, Some(_)) if before != now => return Some(Happened::Up(circuit)),
                        _ => {}
                    }
                }
            }
        }
    }

    /// The handoffs whose next hops all answer.
    pub(crate) fn live(&self) -> &BTreeMap<Circuit, Handoff> {
        &self.live
    }

    /// The FECs of this node's handoffs, and whether one of their handoffs is live.
    pub(crate) fn fecs(&self) -> BTreeMap<Fec, bool> {
        let live: BTreeSet<_> = self
            .configured
            .values()
            .filter(|handoff| self.live.contains_key(&handoff.circuit))
            .map(|handoff| handoff.fec)
            .collect();
        self.configured.values().map(|handoff| (handoff.fec, live.contains(&handoff.fec))).collect()
    }

    /// A handoff as the network file has it.
    pub(crate) fn configured(&self, circuit: Circuit) -> Option<&HandoffView> {
        self.configured.get(&circuit)
    }

    /// Every next hop.
    pub(crate) fn neighbors(&self) -> impl Iterator<Item = Neighbor> {
        self.neighbors.neighbors()
    }
}

/// The handoff, if every next hop that is configured answers.
fn whole(view: &HandoffView, ipv4: Option<MacAddr>, ipv6: Option<MacAddr>) -> Option<Handoff> {
    let missing = view.ipv4.is_some() != ipv4.is_some() || view.ipv6.is_some() != ipv6.is_some();
    (!missing).then(|| Handoff {
        isp: view.isp,
        ipv4: view.ipv4.zip(ipv4).map(|(attachment, mac)| (attachment.next_hop, mac)),
        ipv6: view.ipv6.zip(ipv6).map(|(attachment, mac)| (attachment.next_hop, mac)),
    })
}
