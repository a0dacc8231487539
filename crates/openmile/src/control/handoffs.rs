//! This tailend's handoffs: which of them are live.
//!
//! A handoff is *whole* while all its next hops answer: packets pass it in both directions. It is *live*, which is to say
//! offered to headends, while it is whole and not held down for failing too often. So one that is held down still
//! takes what is under way to it, and what its ISP sends.
//!
//! A node that begins with an empty forwarder has no LSPs to its ISPs' subscribers yet. Its handoffs *wait* for them: until
//! then nobody is asked or answered there, so that an ISP's router does not send what could only be dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use contract::{Change, Circuit, Fec, Handoff, MacAddr, PortId, PortState, Tick};
use neighbor::{HandoffConfig, HandoffEvent, HandoffHealth, HandoffNeighbors, HandoffSettings, Neighbor};
use network::{HandoffView, NodeView};

/// How long handoffs wait for LSPs to subscribers: the default hold time of link Hellos (RFC 5036 section 3.5.2), within
/// which every neighbor that is there has been heard.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// The handoffs and who answers behind them.
pub(crate) struct Handoffs {
    neighbors: HandoffNeighbors,
    configured: BTreeMap<Circuit, HandoffView>,
    whole: BTreeMap<Circuit, Handoff>,
    held: BTreeMap<Circuit, Tick>,
    /// Those that wait for LSPs to subscribers …
    waiting: BTreeSet<Circuit>,
    /// … until then.
    waiting_until: Tick,
    /// What another network file did to handoffs, and is not said yet.
    turned: VecDeque<Happened>,
}

/// What happened to a handoff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Happened {
    /// It is live.
    Up(Circuit),
    /// It is live no more; until then it is held down.
    Down(Circuit, Option<Tick>),
    /// Its next hops answer, but it is held down until then.
    Held(Circuit, Tick),
    /// The next hops' Ethernet addresses changed.
    Changed,
    /// It waits no more for LSPs to subscribers; whether that was for the time alone.
    Begun(Circuit, bool),
    /// Another station claims our address.
    Conflict(Circuit, IpAddr, MacAddr),
}

impl Handoffs {
    /// The handoffs of this node; those that the forwarder still had are taken for live until they fail to answer, others
    /// wait for [`Self::begin`].
    pub(crate) fn new(now: Tick, view: &NodeView, inherited: &[Change]) -> Self {
        // Other nodes probe at other times.
        let seed = u32::from(view.lsr_id).into();
        let neighbors = HandoffNeighbors::new(HandoffSettings { seed, ..HandoffSettings::default() });
        let (configured, whole, held, waiting, turned) = Default::default();
        let waiting_until = now + LONGEST_WAIT;
        let mut handoffs = Self { neighbors, configured, whole, held, waiting, waiting_until, turned };
        for handoff in &view.handoffs {
            let is_its = |change: &Change| matches!(change, Change::Handoff(of, _) if *of == handoff.circuit);
            if inherited.iter().any(is_its) {
                handoffs.add(now, handoff);
            } else {
                handoffs.configured.insert(handoff.circuit, handoff.clone());
                handoffs.waiting.insert(handoff.circuit);
            }
        }
        for change in inherited {
            if let Change::Handoff(circuit, Some(handoff)) = change {
                let ipv4 = handoff.ipv4.map(|(next_hop, mac)| (IpAddr::V4(next_hop), mac));
                let ipv6 = handoff.ipv6.map(|(next_hop, mac)| (IpAddr::V6(next_hop), mac));
                for (next_hop, mac) in ipv4.into_iter().chain(ipv6) {
                    handoffs.neighbors.assume(now, *circuit, next_hop, mac);
                }
            }
        }
        handoffs
    }

    /// The handoffs that wait for LSPs to subscribers.
    pub(crate) fn waiting(&self) -> &BTreeSet<Circuit> {
        &self.waiting
    }

    /// The handoff has what it waited for, or has waited long enough.
    pub(crate) fn begin(&mut self, now: Tick, circuit: Circuit) {
        if let Some(handoff) = self.configured.get(&circuit).cloned() {
            self.turned.push_back(Happened::Begun(circuit, now >= self.waiting_until));
            self.add(now, &handoff);
            // Its next hops are asked for at once.
            self.neighbors.handle_timeout(now);
        }
    }

    /// There is this handoff from now on, in place of the one on its circuit if there is one. What is known of next hops
    /// that stay is kept.
    pub(crate) fn add(&mut self, now: Tick, handoff: &HandoffView) {
        self.neighbors.add_handoff(
            now,
            HandoffConfig {
                circuit: handoff.circuit,
                ipv4: handoff.ipv4.map(|ipv4| (ipv4.address, ipv4.next_hop)),
                ipv6: handoff.ipv6.map(|ipv6| (ipv6.address, ipv6.next_hop)),
            },
        );
        self.waiting.remove(&handoff.circuit);
        self.configured.insert(handoff.circuit, handoff.clone());
        // The same next hops may be another ISP's now, or be all of them by now: what was made of them is made anew.
        let was_live = self.is_live(handoff.circuit);
        let (ipv4, ipv6) = self.neighbors.next_hops(handoff.circuit);
        match whole(handoff, ipv4, ipv6) {
            Some(whole) => drop(self.whole.insert(handoff.circuit, whole)),
            None => drop(self.whole.remove(&handoff.circuit)),
        }
        match (was_live, self.is_live(handoff.circuit)) {
            (true, false) => {
                let held_until = self.held.get(&handoff.circuit).copied();
                self.turned.push_back(Happened::Down(handoff.circuit, held_until));
            }
            (false, true) => self.turned.push_back(Happened::Up(handoff.circuit)),
            _ => {}
        }
    }

    /// There is no handoff on this circuit any more.
    pub(crate) fn remove(&mut self, circuit: Circuit) {
        self.neighbors.remove_handoff(circuit);
        self.waiting.remove(&circuit);
        self.configured.remove(&circuit);
        self.whole.remove(&circuit);
        self.held.remove(&circuit);
    }

    /// The handoffs of this node are these from now on. What stays of one is not asked for anew; one that is another ISP's
    /// by now is a new one.
    pub(crate) fn reconfigure(&mut self, now: Tick, view: &NodeView) {
        let wanted: BTreeMap<_, _> = view.handoffs.iter().map(|handoff| (handoff.circuit, handoff)).collect();
        let stays = |held: &HandoffView| wanted.get(&held.circuit).is_some_and(|now| now.isp == held.isp);
        let gone: Vec<_> =
            self.configured.values().filter(|held| !stays(held)).map(|held| held.circuit).collect();
        gone.into_iter().for_each(|circuit| self.remove(circuit));
        for handoff in &view.handoffs {
            if self.configured.get(&handoff.circuit) != Some(handoff) {
                self.add(now, handoff);
            }
        }
    }

    /// A handoff port's state is this now.
    pub(crate) fn port(&mut self, now: Tick, port: PortId, state: &PortState) {
        match state {
            PortState::Open { mac, carrier: true, .. } => self.neighbors.set_port_mac(now, port, *mac),
            _ => self.neighbors.port_down(now, port),
        }
    }

    /// A frame came.
    pub(crate) fn frame(&mut self, now: Tick, circuit: Circuit, frame: &[u8]) {
        self.neighbors.handle_frame(now, circuit, frame);
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Tick) {
        self.neighbors.handle_timeout(now);
        if now >= self.waiting_until {
            std::mem::take(&mut self.waiting).into_iter().for_each(|circuit| self.begin(now, circuit));
        }
    }

    /// When [`Self::timeout`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Tick> {
        let waiting = (!self.waiting.is_empty()).then_some(self.waiting_until);
        self.neighbors.poll_timeout().into_iter().chain(waiting).min()
    }

    /// The next frame to transmit.
    pub(crate) fn poll_transmit(&mut self) -> Option<(Circuit, Vec<u8>)> {
        self.neighbors.poll_transmit()
    }

    /// The next thing that happened.
    pub(crate) fn poll(&mut self) -> Option<Happened> {
        if let Some(happened) = self.turned.pop_front() {
            return Some(happened);
        }
        loop {
            match self.neighbors.poll_event()? {
                HandoffEvent::Conflict { circuit, address, mac } => {
                    return Some(Happened::Conflict(circuit, address, mac));
                }
                HandoffEvent::NextHop { circuit, ipv4, ipv6, held_until } => {
                    let (before, was_live) = (self.whole.get(&circuit).copied(), self.is_live(circuit));
                    let now = self.configured.get(&circuit).and_then(|view| whole(view, ipv4, ipv6));
                    match now {
                        Some(handoff) => self.whole.insert(circuit, handoff),
                        None => self.whole.remove(&circuit),
                    };
                    let held_before = match held_until {
                        Some(until) => self.held.insert(circuit, until),
                        None => self.held.remove(&circuit),
                    };
                    match (was_live, self.is_live(circuit), held_until) {
                        (true, false, until) => return Some(Happened::Down(circuit, until)),
                        (false, true, _) => return Some(Happened::Up(circuit)),
                        (_, _, Some(until)) if before.is_none() && now.is_some() => {
                            return Some(Happened::Held(circuit, until));
                        }
                        _ if before != now || held_before != held_until => return Some(Happened::Changed),
                        _ => {}
                    }
                }
            }
        }
    }

    /// The handoffs whose next hops all answer.
    pub(crate) fn whole(&self) -> &BTreeMap<Circuit, Handoff> {
        &self.whole
    }

    /// The handoffs that are held down, and until when.
    pub(crate) fn held(&self) -> &BTreeMap<Circuit, Tick> {
        &self.held
    }

    fn is_live(&self, circuit: Circuit) -> bool {
        self.whole.contains_key(&circuit) && !self.held.contains_key(&circuit)
    }

    /// How a handoff has been.
    pub(crate) fn health(&self, now: Tick, circuit: Circuit) -> Option<HandoffHealth> {
        self.neighbors.health(now, circuit)
    }

    /// The FECs of this node's handoffs, and whether one of their handoffs is live.
    pub(crate) fn fecs(&self) -> BTreeMap<Fec, bool> {
        let live: BTreeSet<_> = self
            .configured
            .values()
            .filter(|handoff| self.is_live(handoff.circuit))
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

#[cfg(test)]
mod tests {
    use contract::PortBackend;
    use network::Network;

    use super::*;

    const MAC: MacAddr = MacAddr([2, 3, 0, 0, 0, 1]);

    /// A tailend with one handoff, first of IPv4 alone, whose next hop is known; the view with that, and with IPv6 too.
    fn one_handoff() -> (Handoffs, NodeView, NodeView) {
        let text = include_str!("../../../../examples/lab.toml");
        let mut both = Network::parse("lab.toml", text).unwrap().node("tail1").unwrap();
        both.handoffs.truncate(1);
        let mut only_ipv4 = both.clone();
        only_ipv4.handoffs[0].ipv6 = None;
        let HandoffView { circuit, isp, ipv4, .. } = only_ipv4.handoffs[0];
        let ipv4 = ipv4.map(|ipv4| (ipv4.next_hop, MAC));
        let held = Change::Handoff(circuit, Some(Handoff { isp, ipv4, ipv6: None }));
        let mut handoffs = Handoffs::new(Tick(0), &only_ipv4, &[held]);
        assert_eq!(handoffs.poll(), Some(Happened::Up(circuit)));
        (handoffs, only_ipv4, both)
    }

    /// A tailend that begins with an empty forwarder, with one handoff of IPv4, whose port is ready.
    fn cold_start() -> (Handoffs, HandoffView) {
        let (_, only_ipv4, _) = one_handoff();
        let handoff = only_ipv4.handoffs[0].clone();
        let mut handoffs = Handoffs::new(Tick(0), &only_ipv4, &[]);
        let mac = MacAddr([2, 0, 0, 0, 0, 9]);
        handoffs.port(
            Tick(0),
            handoff.circuit.port,
            &PortState::Open { mac, mtu: 1500, carrier: true, backend: PortBackend::AfPacket },
        );
        (handoffs, handoff)
    }

    #[test]
    fn nobody_is_asked_at_a_handoff_that_waits_and_at_once_when_it_begins() {
        let (mut handoffs, handoff) = cold_start();
        let later = Tick(0) + LONGEST_WAIT / 2;
        handoffs.timeout(later);
        assert_eq!(handoffs.poll_transmit(), None);
        assert_eq!(handoffs.poll(), None);
        assert!(handoffs.waiting().contains(&handoff.circuit));
        handoffs.begin(later, handoff.circuit);
        assert!(handoffs.waiting().is_empty());
        assert_eq!(handoffs.poll(), Some(Happened::Begun(handoff.circuit, false)));
        assert!(handoffs.poll_transmit().is_some());
    }

    #[test]
    fn a_handoff_waits_no_longer_than_neighbors_take_to_be_heard() {
        let (mut handoffs, handoff) = cold_start();
        let due = handoffs.poll_timeout().unwrap();
        assert_eq!(due, Tick(0) + LONGEST_WAIT);
        handoffs.timeout(due);
        assert_eq!(handoffs.poll(), Some(Happened::Begun(handoff.circuit, true)));
        assert!(handoffs.poll_transmit().is_some());
        assert!(handoffs.poll_timeout().is_some_and(|at| at > due));
    }

    #[test]
    fn a_next_hop_that_goes_takes_no_other_with_it() {
        let (mut handoffs, only_ipv4, both) = one_handoff();
        let circuit = both.handoffs[0].circuit;
        handoffs.reconfigure(Tick(1), &both);
        let next_hop = both.handoffs[0].ipv6.unwrap().next_hop;
        assert!(handoffs.neighbors.assume(Tick(1), circuit, next_hop.into(), MAC));
        while handoffs.poll().is_some() {}
        assert!(handoffs.is_live(circuit));
        handoffs.reconfigure(Tick(2), &only_ipv4);
        // Before anything else is known: its FEC is not withdrawn in between.
        assert!(handoffs.is_live(circuit));
        assert_eq!(handoffs.poll().filter(|happened| *happened != Happened::Changed), None);
        assert!(handoffs.is_live(circuit));
    }

    #[test]
    fn a_next_hop_that_never_answered_and_goes_leaves_the_handoff_live() {
        let (mut handoffs, only_ipv4, both) = one_handoff();
        let circuit = only_ipv4.handoffs[0].circuit;
        handoffs.reconfigure(Tick(1), &both);
        assert!(!handoffs.is_live(circuit));
        assert_eq!(handoffs.poll(), Some(Happened::Down(circuit, None)));
        handoffs.reconfigure(Tick(2), &only_ipv4);
        assert!(handoffs.is_live(circuit), "its other next hop was known all the time");
        assert_eq!(handoffs.poll(), Some(Happened::Up(circuit)));
    }
}
