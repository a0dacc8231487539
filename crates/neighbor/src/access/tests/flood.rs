//! Floods: nothing grows without bound, nobody verified is displaced or goes unanswered.

use super::host::Wire;
use super::*;

/// A directory with many subscribers on one shared segment.
fn crowded(subscribers: u16) -> Directory {
    let mut directory = Directory::lab();
    directory.bindings.retain(|(circuit, _)| *circuit != SHARED);
    for number in 0..subscribers {
        let [high, low] = number.to_be_bytes();
        directory.bind(SHARED, ALPHA, u64::from(number), &format!("100.65.{high}.{low}/32"), None);
    }
    let pool = Pool { prefix: "100.65.0.0/16".parse().unwrap(), gateway: ip("100.65.255.1") };
    directory.pools.push((ALPHA, pool));
    directory
}

fn noise(wire: &mut Wire) -> u32 {
    (0..32).fold(0, |bits, _| bits << 1 | u32::from(wire.loses(50)))
}

#[test]
fn a_hundred_thousand_spoofed_requests_change_nothing() {
    let seed = 7;
    let (mut headend, mut wire) = (Headend::lab(), Wire(seed));
    headend.asks(SHARED, ("100.64.0.11", mac(11)), "100.64.0.1");
    headend.asks(SHARED, ("2001:db8:a:11::7", mac(11)), "2001:db8:a::1");
    headend.asks(SHARED, ("100.64.0.13", mac(13)), "100.64.0.1");
    headend.events();
    let before: Vec<_> = headend.neighbors.neighbors().map(|n| (n.address, n.mac)).collect();
    let mut sent = 0;
    for step in 0..100_000_u32 {
        headend.now = headend.now + Duration::from_micros(10);
        let [a, b, c, d] = noise(&mut wire).to_be_bytes();
        let liar = MacAddr([2, 0xbb, a, b, c, d]);
        let sender = match step % 5 {
            0 => IpAddr::from([100, 64, 0, 11]), // Anna's, who answers
            1 => IpAddr::from([100, 64, 0, 13]), // Carl's, whose Ethernet address is configured
            2 => IpAddr::from([a, b, c, d]),
            3 => ip("2001:db8:a:11::7"),
            _ => IpAddr::V6(Ipv6Addr::from_bits(u128::from(noise(&mut wire)) << 96 | u128::from(step))),
        };
        let target = if sender.is_ipv4() { "100.64.0.1" } else { "2001:db8:a::1" };
        let frame = Station(liar).ask(sender, ip(target), None).unwrap();
        headend.neighbors.handle_frame(headend.now, SHARED, &frame, &headend.directory);
        headend.neighbors.handle_timeout(headend.now, &headend.directory);
        for (circuit, frame) in headend.sent() {
            sent += 1;
            // Anna answers when she is asked whether she is still there.
            let heard = crate::packet::parse(&frame, mac(11));
            if let Ok(Heard { message: Message::Ask { sender, target, .. }, .. }) = heard {
                let answer = Station(mac(11)).answer(target, (sender, OURS), false).unwrap();
                headend.neighbors.handle_frame(headend.now, circuit, &answer, &headend.directory);
            }
        }
    }
    let after: Vec<_> = headend.neighbors.neighbors().map(|n| (n.address, n.mac)).collect();
    assert_eq!(before, after);
    assert_eq!(headend.events(), []);
    // In that second: the strangers' burst and twenty more, and one question for each neighbor in Anna's name.
    assert!(sent <= 64 + 20 + 2 + 1, "{sent} frames were sent");
    let counters = headend.neighbors.counters();
    assert!(counters.ignored(Ignored::RateLimited) > 30_000);
    assert!(counters.ignored(Ignored::WrongMac) == 20_000);
    // Anna herself is still answered.
    assert_eq!(headend.asks(SHARED, ("100.64.0.11", mac(11)), "100.64.0.1").len(), 1);
    let accounted: u64 = Ignored::ALL.iter().map(|r| counters_ignored(&headend, *r)).sum();
    assert_eq!(
        accounted + headend.neighbors.counters().heard,
        100_000 + 3 + 2 + 1,
        "every frame is counted once"
    );
}

fn counters_ignored(headend: &Headend, reason: Ignored) -> u64 {
    headend.neighbors.counters().ignored(reason)
}

#[test]
fn the_table_is_bounded_by_the_directory_whatever_is_used_of_a_prefix() {
    let mut headend = Headend::lab();
    for host in 0..10_000_u32 {
        let address = IpAddr::V6(Ipv6Addr::from_bits(
            "2001:db8:a:11::".parse::<Ipv6Addr>().unwrap().to_bits() + u128::from(host),
        ));
        let frame = Station(mac(11)).ask(address, ip("2001:db8:a::1"), None).unwrap();
        headend.neighbors.handle_frame(headend.now, SHARED, &frame, &headend.directory);
    }
    assert_eq!(headend.neighbors.neighbors().count(), 1);
    assert_eq!(headend.events().len(), 1);
    assert!(headend.sent().len() <= 64);
}

#[test]
fn the_table_is_bounded_in_all_and_the_first_ones_stay() {
    let settings = AccessSettings { max_neighbors: 100, ..AccessSettings::default() };
    let mut headend = Headend::new(crowded(1000), settings);
    for number in 0..1000_u16 {
        let [high, low] = number.to_be_bytes();
        let frame = Station(MacAddr([2, 1, 0, 0, high, low]))
            .ask(IpAddr::from([100, 65, high, low]), ip("100.65.255.1"), None)
            .unwrap();
        headend.neighbors.handle_frame(headend.now, SHARED, &frame, &headend.directory);
        headend.neighbors.resolve(
            headend.now,
            SHARED,
            IpAddr::from([100, 65, high, low]),
            &headend.directory,
        );
    }
    assert_eq!(headend.neighbors.neighbors().count(), 100);
    assert!(headend.neighbors.neighbors().all(|n| n.mac.is_some_and(|mac| mac.0[5] < 100 && mac.0[4] == 0)));
    assert_eq!(headend.events().len(), 200, "the first hundred: learned, and told again when asked for");
    assert_eq!(headend.neighbors.counters().table_full, 1800, "900 frames, 900 resolutions");
    assert_eq!(headend.sent().len(), 100 + 64, "the first hundred, and the strangers' burst");
}

#[test]
fn questions_under_way_are_bounded_and_challenges_get_half_of_them() {
    let settings = AccessSettings { max_outstanding_per_circuit: 20, ..AccessSettings::default() };
    let mut headend = Headend::new(crowded(100), settings);
    let address = |number: u8| IpAddr::from([100, 65, 0, number]);
    for number in 0..50 {
        let frame = Station(mac(number)).announce(address(number));
        headend.neighbors.handle_frame(headend.now, SHARED, &frame, &headend.directory);
    }
    let probing =
        |headend: &Headend, state| headend.neighbors.neighbors().filter(|n| n.state == state).count();
    for number in 0..50 {
        let frame = Station(mac(200)).announce(address(number));
        headend.neighbors.handle_frame(headend.now, SHARED, &frame, &headend.directory);
    }
    assert_eq!(probing(&headend, NeighborState::Probing), 10);
    for number in 50..100 {
        headend.neighbors.resolve(headend.now, SHARED, address(number), &headend.directory);
    }
    assert_eq!(probing(&headend, NeighborState::Resolving), 10);
    assert_eq!(headend.neighbors.counters().table_full, 40);
    assert!(headend.neighbors.table.is_consistent());
    // All others are still probed in their turn.
    headend.events();
    headend.advance(headend.now + Duration::from_secs(600));
    let lost = |event: &&AccessEvent| matches!(event, AccessEvent::Lost { .. });
    assert_eq!(headend.events().iter().filter(lost).count(), 50);
    assert_eq!(headend.neighbors.neighbors().count(), 0);
}
