//! Two tailends as each other's next hop, and what an ISP's router may do.

mod damped;

use super::*;
use crate::NeighborState;
use crate::access::tests::host::Wire;
use crate::access::tests::{ip, mac};
use crate::packet::tests::{ADVERTISEMENT, ARP_REPLY, octets};

const US: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0a]);
const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0b]);
const HANDOFF: Circuit = Circuit { port: PortId(3), tags: VlanTags::None };

const fn at(ms: u64) -> Tick {
    Tick(1_000_000_000_000 + ms * 1_000_000)
}

fn config(own: u8, next_hop: u8) -> HandoffConfig {
    HandoffConfig {
        circuit: HANDOFF,
        ipv4: Some((
            format!("192.0.2.{own}/30").parse().unwrap(),
            format!("192.0.2.{next_hop}").parse().unwrap(),
        )),
        ipv6: Some((
            format!("2001:db8:f:1::{own}/64").parse().unwrap(),
            format!("2001:db8:f:1::{next_hop}").parse().unwrap(),
        )),
    }
}

/// Without jitter.
fn steady() -> HandoffSettings {
    HandoffSettings { jitter: 0, ..HandoffSettings::default() }
}

fn tailend() -> HandoffNeighbors {
    let mut tailend = HandoffNeighbors::new(steady());
    tailend.set_port_mac(at(0), HANDOFF.port, US);
    tailend.add_handoff(at(0), config(1, 2));
    tailend
}

fn sent(neighbors: &mut HandoffNeighbors) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| neighbors.poll_transmit())
        .map(|(circuit, frame)| {
            assert_eq!(circuit, HANDOFF);
            frame
        })
        .collect()
}

fn events(neighbors: &mut HandoffNeighbors) -> Vec<HandoffEvent> {
    std::iter::from_fn(|| neighbors.poll_event()).collect()
}

fn advance(neighbors: &mut HandoffNeighbors, to: Tick) {
    while let Some(due) = neighbors.poll_timeout().filter(|due| *due <= to) {
        neighbors.handle_timeout(due);
        assert!(neighbors.poll_timeout().is_some_and(|next| next > due));
    }
}

fn next_hop(ipv4: Option<MacAddr>, ipv6: Option<MacAddr>) -> HandoffEvent {
    HandoffEvent::NextHop { circuit: HANDOFF, ipv4, ipv6, held_until: None }
}

/// A tailend whose next hop has answered for both IP versions, with nothing left to say.
fn up() -> HandoffNeighbors {
    let mut tailend = tailend();
    advance(&mut tailend, at(0));
    tailend.handle_frame(at(1), HANDOFF, &octets(ARP_REPLY));
    tailend.handle_frame(at(1), HANDOFF, &octets(ADVERTISEMENT));
    assert_eq!(events(&mut tailend), [next_hop(Some(ROUTER), None), next_hop(Some(ROUTER), Some(ROUTER))]);
    sent(&mut tailend);
    tailend
}

#[test]
fn a_new_handoff_announces_its_addresses_twice_and_asks_for_its_next_hops() {
    let mut tailend = tailend();
    advance(&mut tailend, at(0));
    let station = Station(US);
    let announced = || [station.announce(ip("192.0.2.1")), station.announce(ip("2001:db8:f:1::1"))];
    let asked = || {
        [("192.0.2.1", "192.0.2.2"), ("2001:db8:f:1::1", "2001:db8:f:1::2")]
            .map(|(own, next_hop)| station.ask(ip(own), ip(next_hop), None).unwrap())
    };
    assert_eq!(sent(&mut tailend), [announced(), asked()].concat());
    advance(&mut tailend, at(1_999));
    assert_eq!(sent(&mut tailend), asked());
    advance(&mut tailend, at(2_000));
    assert_eq!(sent(&mut tailend), [announced(), asked()].concat());
    advance(&mut tailend, at(9_999));
    assert_eq!(sent(&mut tailend).len(), 7 * 2, "asked for without end, announced no more");
    assert_eq!(events(&mut tailend), []);
}

#[test]
fn down_after_four_misses_and_up_with_the_next_answer() {
    let mut tailend = up();
    advance(&mut tailend, at(1_300));
    let unicast = |frames: &[Vec<u8>]| frames.iter().filter(|frame| frame[..6] == ROUTER.0).count();
    assert_eq!(unicast(&sent(&mut tailend)), 4 * 2);
    assert_eq!(events(&mut tailend), []);
    let states: Vec<_> = tailend.neighbors().map(|n| (n.state, n.mac, n.heard)).collect();
    assert_eq!(states, [(NeighborState::Probing, Some(ROUTER), Some(at(1))); 2]);
    advance(&mut tailend, at(1_301));
    assert_eq!(events(&mut tailend), [next_hop(None, Some(ROUTER)), next_hop(None, None)]);
    assert_eq!(unicast(&sent(&mut tailend)), 0);
    tailend.handle_frame(at(1_500), HANDOFF, &octets(ARP_REPLY));
    assert_eq!(events(&mut tailend), [next_hop(Some(ROUTER), None)]);
}

#[test]
fn only_answers_to_us_from_the_next_hop_make_it_up() {
    let router = Station(ROUTER);
    let reply = |from: &str, to: MacAddr| router.answer(ip(from), (ip("192.0.2.1"), to), false).unwrap();
    for (frame, reason) in [
        (reply("192.0.2.3", US), Some(Ignored::Unsolicited)),
        (reply("192.0.2.2", mac(0x77)), Some(Ignored::NotForUs)),
        (reply("192.0.2.2", MacAddr::BROADCAST), None), // heard, and asked
        (router.announce(ip("192.0.2.2")), None),
        (router.announce(ip("2001:db8:f:1::2")), None),
        (router.ask(ip("192.0.2.2"), ip("192.0.2.1"), None).unwrap(), None),
    ] {
        let mut tailend = tailend();
        advance(&mut tailend, at(0));
        sent(&mut tailend);
        tailend.handle_frame(at(1), HANDOFF, &frame);
        assert_eq!(events(&mut tailend), [], "{frame:x?}");
        let unicast = sent(&mut tailend).iter().any(|frame| frame[..6] == ROUTER.0);
        assert_eq!(unicast, reason.is_none(), "{frame:x?}");
        let ignored = |reason| tailend.counters().ignored(reason);
        assert!(reason.is_none_or(|reason| ignored(reason) == 1));
    }
}

#[test]
fn our_addresses_are_answered_for_on_the_link_and_in_detection_of_duplicates() {
    let mut tailend = up();
    let other = Station(mac(0x33));
    for (from, target, answered) in [
        ("192.0.2.2", "192.0.2.1", true),
        ("192.0.2.3", "192.0.2.1", true),
        ("0.0.0.0", "192.0.2.1", true),
        ("198.51.100.1", "192.0.2.1", false),
        ("192.0.2.3", "192.0.2.2", false),
        ("0.0.0.0", "192.0.2.2", false),
        ("2001:db8:f:1::77", "2001:db8:f:1::1", true),
        ("fe80::77", "2001:db8:f:1::1", true),
        ("2001:db8:bad::1", "2001:db8:f:1::1", false),
        ("fe80::77", "2001:db8:f:1::2", false),
    ] {
        tailend.handle_frame(at(1), HANDOFF, &other.ask(ip(from), ip(target), None).unwrap());
        let told = |frame: &Vec<u8>| match packet::parse(frame, mac(0x33)).map(|heard| heard.message) {
            Ok(Message::Tell { address, mac: Some(US), .. }) => address == ip(target),
            _ => false,
        };
        assert_eq!(sent(&mut tailend).iter().any(told), answered, "{from} {target}");
    }
    let counters = tailend.counters();
    let ignored =
        [Ignored::SenderNotBound, Ignored::TargetNotOurs, Ignored::Probe].map(|r| counters.ignored(r));
    assert_eq!((counters.answered, ignored), (5, [2, 2, 1]));
}

#[test]
fn who_claims_our_address_is_told_off_once_in_ten_seconds() {
    let mut tailend = up();
    let other = Station(mac(0x33));
    for address in ["192.0.2.1", "2001:db8:f:1::1"] {
        let start = if address.contains(':') { 60_000 } else { 0 };
        for (ms, defended) in [(0, true), (9_999, false), (10_000, true)] {
            let now = at(start + ms);
            tailend.handle_frame(now, HANDOFF, &other.announce(ip(address)));
            let expected = if defended { vec![Station(US).announce(ip(address))] } else { vec![] };
            assert_eq!(sent(&mut tailend), expected);
            let conflict = HandoffEvent::Conflict { circuit: HANDOFF, address: ip(address), mac: mac(0x33) };
            assert_eq!(events(&mut tailend), vec![conflict; usize::from(defended)]);
        }
    }
    assert_eq!(tailend.counters().ignored(Ignored::Conflict), 6);
}

#[test]
fn a_new_ethernet_address_of_the_next_hop_is_taken_when_the_old_one_is_silent() {
    let (new, address) = (Station(mac(0x55)), ip("192.0.2.2"));
    for old_answers in [false, true] {
        let mut tailend = up();
        tailend.handle_frame(at(100), HANDOFF, &new.announce(address));
        let asked: Vec<_> = sent(&mut tailend).iter().map(|frame| frame[..6].to_vec()).collect();
        assert_eq!(asked, [ROUTER.0.to_vec(), new.0.0.to_vec()]);
        if old_answers {
            tailend.handle_frame(at(200), HANDOFF, &octets(ARP_REPLY));
        }
        let answer = new.answer(address, (ip("192.0.2.1"), US), false).unwrap();
        tailend.handle_frame(at(201), HANDOFF, &answer);
        advance(&mut tailend, at(400));
        let expected = if old_answers { vec![] } else { vec![next_hop(Some(new.0), Some(ROUTER))] };
        assert_eq!(events(&mut tailend), expected);
        // For a while, the one that lost is not listened to.
        sent(&mut tailend);
        tailend.handle_frame(at(500), HANDOFF, &new.announce(address));
        assert_eq!(sent(&mut tailend), Vec::<Vec<u8>>::new());
    }
}

#[test]
fn an_advertisement_without_an_ethernet_address_confirms_but_does_not_resolve() {
    // As Linux answers a unicast solicitation: without the option, O not set.
    let mut frame = octets(ADVERTISEMENT);
    frame.truncate(14 + 40 + 24);
    frame[19] = 24;
    frame[58] = 0x40;
    let (header, payload) = frame.split_at_mut(54);
    let mut sum = wire::checksum::Sum::new().octets(&header[22..54]).word(24).word(58);
    payload[2..4].fill(0);
    sum = sum.octets(payload);
    payload[2..4].copy_from_slice(&sum.checksum().to_be_bytes());

    let mut down = tailend();
    advance(&mut down, at(0));
    down.handle_frame(at(1), HANDOFF, &frame);
    assert_eq!((events(&mut down), down.counters().heard), (vec![], 1));
    let mut up = up();
    for second in 1..=10 {
        advance(&mut up, at(second * 1000));
        up.handle_frame(at(second * 1000 + 1), HANDOFF, &frame);
    }
    assert_eq!(events(&mut up), [next_hop(None, Some(ROUTER))], "only the IPv4 next hop is silent");
}

#[test]
fn what_is_assumed_holds_without_a_gap_if_it_answers_and_falls_if_it_does_not() {
    let mut tailend = HandoffNeighbors::new(steady());
    assert!(!tailend.assume(at(0), HANDOFF, ip("192.0.2.2"), ROUTER), "no such handoff yet");
    tailend.add_handoff(at(0), config(1, 2));
    assert!(tailend.assume(at(0), HANDOFF, ip("192.0.2.2"), ROUTER));
    assert!(tailend.assume(at(0), HANDOFF, ip("2001:db8:f:1::2"), ROUTER));
    assert!(!tailend.assume(at(0), HANDOFF, ip("192.0.2.3"), ROUTER), "not the next hop");
    assert!(!tailend.assume(at(0), HANDOFF, ip("192.0.2.2"), MacAddr::BROADCAST));
    tailend.set_port_mac(at(0), HANDOFF.port, US);
    assert_eq!(events(&mut tailend), [next_hop(Some(ROUTER), None), next_hop(Some(ROUTER), Some(ROUTER))]);
    for second in 0..10 {
        advance(&mut tailend, at(second * 1000));
        tailend.handle_frame(at(second * 1000), HANDOFF, &octets(ARP_REPLY));
    }
    assert_eq!(events(&mut tailend), [next_hop(Some(ROUTER), None)]);
}

#[test]
fn a_port_going_down_takes_its_next_hops_down_at_once_and_others_not() {
    let mut tailend = up();
    let elsewhere = Circuit { port: PortId(4), ..HANDOFF };
    tailend.add_handoff(at(2), HandoffConfig { circuit: elsewhere, ..config(1, 2) });
    tailend.assume(at(2), elsewhere, ip("192.0.2.2"), ROUTER);
    events(&mut tailend);
    tailend.port_down(at(2), HANDOFF.port);
    assert_eq!(events(&mut tailend), [next_hop(None, Some(ROUTER)), next_hop(None, None)][1..]);
    tailend.handle_frame(at(3), HANDOFF, &octets(ARP_REPLY));
    assert_eq!(tailend.counters().ignored(Ignored::UnknownCircuit), 1);
    tailend.set_port_mac(at(4), HANDOFF.port, US);
    tailend.handle_timeout(at(4));
    assert_eq!(sent(&mut tailend).len(), 4, "announced and asked at once");
    tailend.handle_frame(at(5), HANDOFF, &octets(ARP_REPLY));
    assert_eq!(events(&mut tailend), [next_hop(Some(ROUTER), None)]);
}

#[test]
fn replacing_a_handoff_keeps_what_stays_and_removing_it_leaves_nothing() {
    let mut tailend = up();
    tailend.add_handoff(at(2), config(1, 2));
    assert_eq!(events(&mut tailend), []);
    tailend.add_handoff(at(3), HandoffConfig { ipv6: None, ..config(1, 2) });
    assert_eq!(events(&mut tailend), [next_hop(Some(ROUTER), None)]);
    tailend.add_handoff(at(4), HandoffConfig { ipv6: None, ..config(1, 3) });
    assert_eq!(events(&mut tailend), [next_hop(None, None)]);
    tailend.remove_handoff(HANDOFF);
    assert_eq!((tailend.poll_timeout(), tailend.neighbors().count()), (None, 0));
    tailend.handle_frame(at(5), HANDOFF, &octets(ARP_REPLY));
    assert_eq!(tailend.counters().ignored(Ignored::UnknownCircuit), 1);
}

/// Two tailends as each other's next hop; every frame is lost with this probability.
fn run(ends: &mut [HandoffNeighbors; 2], wire: &mut Wire, percent: u64, to: Tick) {
    loop {
        let due = ends.iter().filter_map(HandoffNeighbors::poll_timeout).min().filter(|due| *due <= to);
        let Some(now) = due else { break };
        ends.iter_mut().for_each(|end| end.handle_timeout(now));
        loop {
            let frames = ends.each_mut().map(sent);
            if frames.iter().all(Vec::is_empty) {
                break;
            }
            for (from, frames) in frames.into_iter().enumerate() {
                for frame in frames.iter().filter(|_| !wire.loses(percent)) {
                    ends[1 - from].handle_frame(now, HANDOFF, frame);
                }
            }
        }
    }
}

fn pair() -> [HandoffNeighbors; 2] {
    let mut far = HandoffNeighbors::new(steady());
    far.set_port_mac(at(0), HANDOFF.port, ROUTER);
    far.add_handoff(at(0), config(2, 1));
    [tailend(), far]
}

#[test]
fn two_ends_find_each_other_and_stay_up_over_a_bad_wire() {
    let (mut downs, seeds) = (0, 20);
    for seed in 0..seeds {
        let (mut ends, mut wire) = (pair(), Wire(seed));
        run(&mut ends, &mut wire, 5, at(600_000));
        for (end, peer) in ends.iter_mut().zip([ROUTER, US]) {
            let events = events(end);
            assert!(events.contains(&next_hop(Some(peer), Some(peer))), "seed {seed}");
            downs += events.len() - 2;
        }
    }
    // A probe fails one time in ten, so three in a row do once in a thousand: there are 600 × 4 chances in each run.
    assert!(downs < seeds as usize * 2 * 2 * 4, "{downs} times down or up again");
}

#[test]
fn a_cut_is_noticed_after_four_misses_by_both_and_repaired_within_a_second() {
    let (mut ends, mut wire) = (pair(), Wire(0));
    run(&mut ends, &mut wire, 0, at(10_001));
    ends.iter_mut().for_each(|end| drop(events(end)));
    run(&mut ends, &mut wire, 100, at(11_299));
    assert!(ends.iter_mut().all(|end| events(end).is_empty()));
    run(&mut ends, &mut wire, 100, at(11_300));
    assert!(ends.iter_mut().all(|end| events(end).last() == Some(&next_hop(None, None))));
    run(&mut ends, &mut wire, 0, at(12_300));
    for (end, peer) in ends.iter_mut().zip([ROUTER, US]) {
        assert_eq!(events(end).last(), Some(&next_hop(Some(peer), Some(peer))));
    }
}

#[test]
fn a_hundred_thousand_frames_of_strangers_neither_hide_nor_displace_the_next_hop() {
    let (mut ends, mut wire) = (pair(), Wire(3));
    run(&mut ends, &mut wire, 0, at(5_000));
    let [tailend, router] = &mut ends;
    events(tailend);
    let (mut answers, mut asked) = (0, 0);
    for step in 0..100_000_u32 {
        let now = at(5_000) + Duration::from_micros(u64::from(step) * 10);
        let [_, a, b, c] = step.to_be_bytes();
        let liar = Station(MacAddr([2, 0xbb, 0, a, b, c]));
        let frame = match step % 4 {
            0 => liar.announce(ip("192.0.2.2")),
            1 => liar.ask(ip("192.0.2.3"), ip("192.0.2.1"), None).unwrap(),
            2 => liar.ask(ip("fe80::1"), ip("2001:db8:f:1::1"), None).unwrap(),
            _ => liar.answer(ip("2001:db8:f:1::2"), (ip("2001:db8:f:1::1"), US), false).unwrap(),
        };
        tailend.handle_frame(now, HANDOFF, &frame);
        tailend.handle_timeout(now);
        for frame in sent(tailend) {
            if frame[..2] == [2, 0xbb] {
                answers += 1;
            } else {
                asked += 1;
                router.handle_frame(now, HANDOFF, &frame);
                sent(router).iter().for_each(|answer| tailend.handle_frame(now, HANDOFF, answer));
            }
        }
    }
    assert_eq!(events(tailend), []);
    assert!(answers <= 100 + 50 + 2, "{answers}");
    assert!(asked <= 2 * 4, "one confirmation of each IP version, and probes: {asked}");
    let question = Station(ROUTER).ask(ip("192.0.2.2"), ip("192.0.2.1"), None).unwrap();
    tailend.handle_frame(at(6_000), HANDOFF, &question);
    assert_eq!(sent(tailend).len(), 1, "the next hop itself is still answered");
}
