//! Hosts on a shared segment and on lines of their own, as the headend sees them.

mod flood;
pub(crate) mod host;

use std::net::Ipv6Addr;

use contract::{Asn, SubscriberId, VlanTags};

use super::*;
use crate::NeighborState;
use crate::packet::Heard;
use crate::packet::tests::{LINK_LOCAL_PROBE, octets};

const OURS: MacAddr = MacAddr([2, 0x6f, 0x6d, 0, 0, 1]);
const ALPHA: Asn = Asn(64501);
const BETA: Asn = Asn(64502);
/// Anna (alpha), Bert (beta) and Carl (alpha, Ethernet address configured) share a segment; Dora (alpha) has a line.
const SHARED: Circuit = Circuit { port: PortId(1), tags: VlanTags::None };
const LINE: Circuit = Circuit { port: PortId(2), tags: VlanTags::None };

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

const fn at(ms: u64) -> Tick {
    Tick(1_000_000_000_000 + ms * 1_000_000)
}

/// A directory as control keeps one.
#[derive(Default)]
pub(crate) struct Directory {
    pub(super) bindings: Vec<(Circuit, Bound)>,
    pub(super) pools: Vec<(Asn, Pool)>,
}

impl Directory {
    pub(super) fn bind(&mut self, circuit: Circuit, isp: Asn, id: u64, prefix: &str, mac: Option<MacAddr>) {
        let owner = Owner { isp, subscriber: SubscriberId(id) };
        self.bindings.push((circuit, Bound { owner, prefix: prefix.parse().unwrap(), mac }));
    }

    fn lab() -> Self {
        let mut lab = Self::default();
        for (isp, v6) in [(ALPHA, "a"), (BETA, "b")] {
            let pool = |prefix: &str, gateway: &str| Pool {
                prefix: prefix.parse().unwrap(),
                gateway: gateway.parse().unwrap(),
            };
            lab.pools.push((isp, pool("100.64.0.0/24", "100.64.0.1")));
            lab.pools.push((isp, pool(&format!("2001:db8:{v6}::/48"), &format!("2001:db8:{v6}::1"))));
        }
        for (circuit, isp, id, v4, v6, mac) in [
            (SHARED, ALPHA, 11, "100.64.0.11/32", "2001:db8:a:11::/64", None),
            (SHARED, BETA, 12, "100.64.0.12/32", "2001:db8:b:12::/64", None),
            (SHARED, ALPHA, 13, "100.64.0.13/32", "2001:db8:a:13::/64", Some(mac(13))),
            (LINE, ALPHA, 20, "100.64.0.20/32", "2001:db8:a:20::/64", None),
        ] {
            lab.bind(circuit, isp, id, v4, mac);
            lab.bind(circuit, isp, id, v6, mac);
        }
        lab
    }
}

impl Access for Directory {
    fn binding(&self, circuit: Circuit, address: IpAddr) -> Option<Bound> {
        let covers = |(c, bound): &&(Circuit, Bound)| *c == circuit && bound.prefix.contains(&address);
        self.bindings.iter().find(covers).map(|(_, bound)| *bound)
    }

    fn station(&self, circuit: Circuit, mac: MacAddr) -> Option<Owner> {
        let here = || self.bindings.iter().filter(|(c, _)| *c == circuit).map(|(_, bound)| bound);
        let configured = here().find(|bound| bound.mac == Some(mac));
        let only = here().next().filter(|first| here().all(|b| b.owner == first.owner && b.mac.is_none()));
        configured.or(only).map(|bound| bound.owner)
    }

    fn pool(&self, isp: Asn, address: IpAddr) -> Option<Pool> {
        let covers = |(i, pool): &&(Asn, Pool)| *i == isp && pool.prefix.contains(&address);
        self.pools.iter().find(covers).map(|(_, pool)| *pool)
    }

    fn is_gateway(&self, address: IpAddr) -> bool {
        self.pools.iter().any(|(_, pool)| pool.gateway == address)
    }
}

/// A headend with the lab's directory.
pub(crate) struct Headend {
    pub(super) neighbors: AccessNeighbors,
    pub(super) directory: Directory,
    pub(super) now: Tick,
}

impl Headend {
    fn lab() -> Self {
        Self::new(Directory::lab(), AccessSettings::default())
    }

    pub(super) fn new(directory: Directory, settings: AccessSettings) -> Self {
        let mut neighbors = AccessNeighbors::new(settings);
        neighbors.set_port_mac(PortId(1), OURS);
        neighbors.set_port_mac(PortId(2), OURS);
        Self { neighbors, directory, now: at(0) }
    }

    /// What comes back when this frame goes in.
    fn hears(&mut self, circuit: Circuit, frame: &[u8]) -> Vec<Vec<u8>> {
        self.neighbors.handle_frame(self.now, circuit, frame, &self.directory);
        self.sent().into_iter().map(|(to, frame)| (to == circuit).then_some(frame).unwrap()).collect()
    }

    fn asks(&mut self, circuit: Circuit, from: (&str, MacAddr), target: &str) -> Vec<Vec<u8>> {
        self.hears(circuit, &Station(from.1).ask(ip(from.0), ip(target), None).unwrap())
    }

    /// Why a question is not answered.
    fn refuses(&mut self, circuit: Circuit, from: (&str, MacAddr), target: &str) -> Option<Ignored> {
        let before = self.neighbors.counters().clone();
        let answers = self.asks(circuit, from, target);
        let after = self.neighbors.counters();
        let reason = Ignored::ALL.iter().copied().find(|r| after.ignored(*r) > before.ignored(*r));
        assert_eq!(after.answered, before.answered);
        assert!(answers.is_empty() || reason == Some(Ignored::Conflict), "{answers:?}");
        reason
    }

    pub(super) fn sent(&mut self) -> Vec<(Circuit, Vec<u8>)> {
        std::iter::from_fn(|| self.neighbors.poll_transmit()).collect()
    }

    pub(super) fn events(&mut self) -> Vec<AccessEvent> {
        std::iter::from_fn(|| self.neighbors.poll_event()).collect()
    }

    fn advance(&mut self, to: Tick) {
        while let Some(due) = self.neighbors.poll_timeout().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.neighbors.handle_timeout(self.now, &self.directory);
            assert!(self.neighbors.table.is_consistent());
        }
        self.now = to;
    }

    fn state(&self, circuit: Circuit, address: &str) -> Option<(NeighborState, Option<MacAddr>)> {
        let is = |n: &Neighbor| n.circuit == circuit && n.address == ip(address);
        self.neighbors.neighbors().find(is).map(|n| (n.state, n.mac))
    }
}

/// What a frame of ours says to its receiver.
fn said(frame: &[u8], to: MacAddr) -> Message {
    let Heard { source, message, .. } = crate::packet::parse(frame, to).unwrap();
    assert_eq!(source, OURS);
    message
}

fn told(address: &str, solicited: bool) -> Message {
    Message::Tell { address: ip(address), mac: Some(OURS), solicited }
}

fn learned(circuit: Circuit, prefix: &str, address: &str, mac: MacAddr) -> AccessEvent {
    AccessEvent::Learned { circuit, prefix: prefix.parse().unwrap(), address: ip(address), mac }
}

#[test]
fn gateway_and_pool_are_answered_for() {
    let mut headend = Headend::lab();
    for (circuit, from, target) in [
        (SHARED, ("100.64.0.11", mac(11)), "100.64.0.1"),
        (SHARED, ("100.64.0.11", mac(11)), "100.64.0.13"), // of the same ISP, on the same segment: through the ISP
        (SHARED, ("100.64.0.11", mac(11)), "100.64.0.12"), // that there is another ISP's; here it is Alpha's pool
        (SHARED, ("100.64.0.11", mac(11)), "100.64.0.200"),
        (LINE, ("100.64.0.20", mac(20)), "100.64.0.1"),
        (SHARED, ("2001:db8:a:11::1", mac(11)), "2001:db8:a::1"),
        (SHARED, ("2001:db8:b:12::1", mac(12)), "2001:db8:b::1"),
        (SHARED, ("2001:db8:a:11::1", mac(11)), "2001:db8:a:13::5"),
    ] {
        let answers = headend.asks(circuit, from, target);
        assert_eq!(answers.len(), 1, "{from:?} {target}");
        assert_eq!(said(&answers[0], from.1), told(target, true));
        let overrides = answers[0].get(58).is_some_and(|flags| flags & 0x20 != 0);
        assert_eq!(overrides, target.contains(':') && target.ends_with("::1"), "by proxy: O is not set");
    }
    assert_eq!(headend.neighbors.counters().answered, 8);
}

#[test]
fn who_is_not_answered_and_why() {
    let mut headend = Headend::lab();
    for (circuit, from, target, reason) in [
        (SHARED, ("100.64.0.99", mac(99)), "100.64.0.1", Ignored::SenderNotBound),
        (SHARED, ("100.64.0.20", mac(99)), "100.64.0.1", Ignored::SenderNotBound), // bound on another circuit
        (SHARED, ("100.64.0.13", mac(99)), "100.64.0.1", Ignored::WrongMac),
        (SHARED, ("2001:db8:a:13::1", mac(99)), "2001:db8:a::1", Ignored::WrongMac),
        (SHARED, ("100.64.0.11", mac(11)), "192.0.2.1", Ignored::TargetNotOurs),
        (SHARED, ("2001:db8:a:11::1", mac(11)), "2001:db8:b::1", Ignored::TargetNotOurs), // the other ISP's
        (SHARED, ("2001:db8:a:11::1", mac(11)), "2001:db8:a:11::2", Ignored::OwnTarget),
        (SHARED, ("2001:db8:a:11::1", mac(11)), "fe80::1", Ignored::TargetNotOurs),
        (SHARED, ("0.0.0.0", mac(11)), "100.64.0.11", Ignored::Probe),
        (SHARED, ("0.0.0.0", mac(11)), "100.64.0.99", Ignored::Probe),
        (SHARED, ("fe80::99", mac(99)), "2001:db8:a::1", Ignored::SenderNotBound),
        (SHARED, ("100.64.0.1", mac(99)), "100.64.0.11", Ignored::Conflict),
        (
            Circuit { port: PortId(7), ..LINE },
            ("100.64.0.20", mac(20)),
            "100.64.0.1",
            Ignored::UnknownCircuit,
        ),
    ] {
        assert_eq!(headend.refuses(circuit, from, target), Some(reason), "{from:?} {target}");
    }
    // Ethernet header and packet disagree.
    let mut frame = Station(mac(11)).ask(ip("100.64.0.11"), ip("100.64.0.1"), None).unwrap();
    frame[11] = 77;
    assert!(headend.hears(SHARED, &frame).is_empty());
    assert_eq!(headend.neighbors.counters().ignored(Ignored::MacMismatch), 1);
}

#[test]
fn detection_of_duplicates_is_disturbed_for_nobodys_own_address() {
    let mut headend = Headend::lab();
    let detection = |target: Ipv6Addr| {
        use wire::nd::{NdMessage, NdPacket, multicast_mac, solicited_node};
        let destination = solicited_node(target);
        let message = NdMessage::Solicitation { target, source_mac: None };
        let packet = NdPacket { source: Ipv6Addr::UNSPECIFIED, destination, message };
        [&multicast_mac(destination).0[..], &mac(11).0, &[0x86, 0xdd], &packet.to_bytes()].concat()
    };
    assert!(headend.hears(SHARED, &detection("2001:db8:a:11::1".parse().unwrap())).is_empty());
    assert!(headend.hears(SHARED, &detection("2001:db8:a:77::1".parse().unwrap())).is_empty());
    let announcement = Station(mac(11)).announce(ip("100.64.0.11"));
    assert!(headend.hears(SHARED, &announcement).is_empty());

    // But the gateways' addresses are ours.
    let answers = headend.hears(SHARED, &detection("2001:db8:a::1".parse().unwrap()));
    assert_eq!(answers.iter().map(|a| said(a, mac(11))).collect::<Vec<_>>(), [told("2001:db8:a::1", false)]);
    let answers = headend.asks(SHARED, ("0.0.0.0", mac(11)), "100.64.0.1");
    assert_eq!(answers.iter().map(|a| said(a, mac(11))).collect::<Vec<_>>(), [told("100.64.0.1", true)]);
    // Unless one is a subscriber's here, whose ISP has another gateway.
    headend.directory.bind(SHARED, Asn(64503), 30, "100.64.0.1/32", None);
    assert_eq!(headend.refuses(SHARED, ("0.0.0.0", mac(30)), "100.64.0.1"), Some(Ignored::Probe));
}

#[test]
fn a_claimed_gateway_is_defended_once_in_ten_seconds() {
    let mut headend = Headend::lab();
    let claim = Station(mac(66)).announce(ip("100.64.0.1"));
    let claimed = AccessEvent::GatewayClaimed { circuit: SHARED, address: ip("100.64.0.1"), mac: mac(66) };
    for (ms, defended) in [(0, true), (1, false), (9_999, false), (10_000, true)] {
        headend.now = at(ms);
        let sent = headend.hears(SHARED, &claim);
        let expected = if defended { vec![told("100.64.0.1", false)] } else { vec![] };
        assert_eq!(sent.iter().map(|f| said(f, mac(11))).collect::<Vec<_>>(), expected, "{ms}");
        assert_eq!(headend.events(), vec![claimed; usize::from(defended)]);
    }
    assert_eq!(headend.neighbors.counters().ignored(Ignored::Conflict), 4);
    assert!(headend.neighbors.neighbors().next().is_none());
}

#[test]
fn ethernet_addresses_are_learned_once_from_bound_addresses_only() {
    let mut headend = Headend::lab();
    for _ in 0..3 {
        headend.asks(SHARED, ("100.64.0.11", mac(11)), "100.64.0.1");
        headend.asks(SHARED, ("2001:db8:a:11::7", mac(11)), "2001:db8:a::1");
        headend.asks(SHARED, ("2001:db8:a:11::8", mac(11)), "2001:db8:a::1");
        headend.asks(SHARED, ("100.64.0.13", mac(13)), "100.64.0.1");
        headend.refuses(SHARED, ("100.64.0.99", mac(99)), "100.64.0.1");
    }
    let announcement = Station(mac(20)).announce(ip("100.64.0.20"));
    headend.hears(LINE, &announcement);
    assert_eq!(
        headend.events(),
        [
            learned(SHARED, "100.64.0.11/32", "100.64.0.11", mac(11)),
            learned(SHARED, "2001:db8:a:11::/64", "2001:db8:a:11::7", mac(11)),
            learned(LINE, "100.64.0.20/32", "100.64.0.20", mac(20)),
        ]
    );
    use NeighborState::{Configured, Reachable};
    assert_eq!(headend.state(SHARED, "2001:db8:a:11::8"), Some((Reachable, Some(mac(11)))));
    assert_eq!(headend.state(SHARED, "100.64.0.13"), Some((Configured, Some(mac(13)))));
    assert_eq!(headend.neighbors.neighbors().count(), 4);
}

#[test]
fn a_link_local_asker_is_answered_where_the_directory_or_what_was_learned_tells_who_it_is() {
    let mut headend = Headend::lab();
    let frame =
        |host: u8, target: &str| Station(mac(host)).ask(ip("fe80::5"), ip(target), Some(OURS)).unwrap();
    let answered = |headend: &mut Headend, circuit, host, target| {
        headend.hears(circuit, &frame(host, target)).len() == 1
    };
    // Dora's line is hers alone. Carl's address is in the directory. Anna must have spoken first.
    assert!(answered(&mut headend, LINE, 20, "2001:db8:a::1"));
    assert!(answered(&mut headend, SHARED, 13, "2001:db8:a::1"));
    assert!(!answered(&mut headend, SHARED, 11, "2001:db8:a::1"));
    headend.asks(SHARED, ("2001:db8:a:11::7", mac(11)), "2001:db8:a::1");
    assert!(answered(&mut headend, SHARED, 11, "2001:db8:a::1"));
    // Never beyond what the one is answered for who it is.
    assert!(!answered(&mut headend, SHARED, 11, "2001:db8:b::1"));
    assert!(!answered(&mut headend, SHARED, 11, "2001:db8:a:11::9"));
    assert!(!answered(&mut headend, SHARED, 99, "2001:db8:a::1"));
    // Nor once the directory knows better.
    headend.directory.bindings.retain(|(_, bound)| bound.owner.subscriber != SubscriberId(11));
    assert!(!answered(&mut headend, SHARED, 11, "2001:db8:a::1"));
}

#[test]
fn what_linux_sends_to_probe_its_gateway_is_answered() {
    let mut directory = Directory::default();
    directory.bind(LINE, ALPHA, 1, "2001:db8:f:1::2/128", None);
    let pool = Pool { prefix: "2001:db8:f::/48".parse().unwrap(), gateway: ip("2001:db8:f:1::1") };
    directory.pools.push((ALPHA, pool));
    let mut headend = Headend::new(directory, AccessSettings::default());
    headend.neighbors.set_port_mac(LINE.port, mac(0x0a));
    let answers = headend.hears(LINE, &octets(LINK_LOCAL_PROBE));
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    let heard = crate::packet::parse(answer, mac(0x0b)).unwrap();
    let tell = Message::Tell { address: ip("2001:db8:f:1::1"), mac: Some(mac(0x0a)), solicited: true };
    assert_eq!((heard.source, heard.unicast, heard.message), (mac(0x0a), true, tell));
}

#[test]
fn resolving_asks_in_the_gateways_name_until_answered_or_in_vain() {
    let mut headend = Headend::lab();
    let ask = |headend: &mut Headend, address: &str| {
        headend.neighbors.resolve(headend.now, SHARED, ip(address), &headend.directory);
        headend.sent()
    };
    for (address, gateway) in [("100.64.0.11", "100.64.0.1"), ("2001:db8:a:11::7", "2001:db8:a::1")] {
        let sent = ask(&mut headend, address);
        assert_eq!(sent.len(), 1);
        let asked = Message::Ask { sender: ip(gateway), mac: Some(OURS), target: ip(address) };
        assert_eq!(said(&sent[0].1, mac(11)), asked);
        assert!(ask(&mut headend, address).is_empty(), "once is enough");
    }
    for nobody in ["100.64.0.99", "100.64.0.13"] {
        assert!(ask(&mut headend, nobody).is_empty(), "not bound, or configured");
    }
    // Anna answers by ARP, from a unicast question; her IPv6 host does not.
    let answer = Station(mac(11)).answer(ip("100.64.0.11"), (ip("100.64.0.1"), OURS), false).unwrap();
    assert!(headend.hears(SHARED, &answer).is_empty());
    assert_eq!(headend.events(), [learned(SHARED, "100.64.0.11/32", "100.64.0.11", mac(11))]);
    headend.advance(at(2_999));
    assert_eq!(headend.sent().len(), 2);
    headend.advance(at(3_000));
    assert_eq!(headend.state(SHARED, "2001:db8:a:11::7"), Some((NeighborState::Failed, None)));
    assert!(ask(&mut headend, "2001:db8:a:11::7").is_empty(), "not again so soon");
    headend.advance(at(8_000));
    assert_eq!(ask(&mut headend, "2001:db8:a:11::7").len(), 1);
    assert_eq!(headend.events(), []);
}

#[test]
fn what_is_assumed_holds_until_it_fails_a_probe() {
    let mut headend = Headend::lab();
    let mut assume = |circuit, address: &str, mac| {
        headend.neighbors.assume(at(0), circuit, ip(address), mac, &headend.directory)
    };
    assert!(assume(SHARED, "100.64.0.11", mac(11)));
    assert!(assume(SHARED, "100.64.0.13", mac(13)));
    assert!(!assume(SHARED, "100.64.0.13", mac(14)), "configured otherwise");
    assert!(!assume(SHARED, "100.64.0.99", mac(99)), "not bound");
    assert!(!assume(SHARED, "100.64.0.12", MacAddr::BROADCAST));
    assert_eq!(headend.events(), []);
    headend.advance(at(200_000));
    assert_eq!(headend.sent().len(), 3, "three probes of the one that was learned");
    let prefix = "100.64.0.11/32".parse().unwrap();
    let lost = AccessEvent::Lost { circuit: SHARED, prefix, address: ip("100.64.0.11"), mac: mac(11) };
    assert_eq!(headend.events(), [lost]);
    assert_eq!(headend.neighbors.neighbors().count(), 1);
}

#[test]
fn what_the_directory_says_counts_at_once() {
    let mut headend = Headend::lab();
    headend.asks(SHARED, ("100.64.0.11", mac(11)), "100.64.0.1");
    headend.events();
    // The directory has forgotten it: it is told again, and nobody is asked.
    headend.sent();
    headend.neighbors.resolve(at(0), SHARED, ip("100.64.0.11"), &headend.directory);
    assert_eq!(headend.events(), [learned(SHARED, "100.64.0.11/32", "100.64.0.11", mac(11))]);
    assert_eq!(headend.sent().len(), 0);
    // An Ethernet address is entered: only that one is believed from now on, learned or not.
    headend.directory.bindings[0].1.mac = Some(mac(77));
    assert_eq!(headend.refuses(SHARED, ("100.64.0.11", mac(11)), "100.64.0.1"), Some(Ignored::WrongMac));
    assert_eq!(headend.asks(SHARED, ("100.64.0.11", mac(77)), "100.64.0.1").len(), 1);
    assert_eq!(headend.state(SHARED, "100.64.0.11"), Some((NeighborState::Configured, Some(mac(77)))));
    assert_eq!(headend.events(), []);
    // It is taken out: what comes next is learned, and who does not speak is asked for.
    headend.directory.bindings[0].1.mac = None;
    headend.sent();
    let prefix = "100.64.0.11/32".parse().unwrap();
    headend.neighbors.resolve(at(0), SHARED, ip("100.64.0.11"), &headend.directory);
    assert_eq!(headend.sent().len(), 1);
    headend.neighbors.forget(SHARED, prefix);
    headend.asks(SHARED, ("100.64.0.11", mac(78)), "100.64.0.1");
    assert_eq!(headend.events(), [learned(SHARED, "100.64.0.11/32", "100.64.0.11", mac(78))]);
    // The address goes to another subscriber: nothing of the former one's is kept.
    headend.directory.bindings[0].1.owner.subscriber = SubscriberId(40);
    headend.asks(SHARED, ("100.64.0.11", mac(40)), "100.64.0.1");
    assert_eq!(headend.events(), [learned(SHARED, "100.64.0.11/32", "100.64.0.11", mac(40))]);
    // It goes to a third, who has not spoken yet: what is known of the second is not asked for in the third's name.
    headend.directory.bindings[0].1.owner.subscriber = SubscriberId(41);
    headend.sent();
    headend.advance(at(200_000));
    assert_eq!((headend.sent(), headend.events()), (vec![], vec![]));
    assert_eq!(headend.state(SHARED, "100.64.0.11"), None);
    // It goes away: the entry does too, without a word, when it is next looked at, or at once when told.
    headend.asks(LINE, ("100.64.0.20", mac(20)), "100.64.0.1");
    headend.events();
    headend.neighbors.forget(LINE, "100.64.0.20/32".parse().unwrap());
    headend.directory.bindings.clear();
    headend.advance(at(500_000));
    assert_eq!((headend.neighbors.neighbors().count(), headend.sent().len()), (0, 0));
    assert_eq!(headend.events(), []);
    assert!(headend.neighbors.table.is_consistent());
}

#[test]
fn a_port_that_is_down_neither_hears_nor_speaks() {
    let mut headend = Headend::lab();
    headend.neighbors.port_down(SHARED.port);
    let refused = headend.refuses(SHARED, ("100.64.0.11", mac(11)), "100.64.0.1");
    assert_eq!(refused, Some(Ignored::UnknownCircuit));
    headend.neighbors.resolve(at(0), SHARED, ip("100.64.0.11"), &headend.directory);
    assert_eq!((headend.sent().len(), headend.neighbors.neighbors().count()), (0, 0));
}
