//! LDP over IPv6 and over both address families (RFC 7552), in whole networks. All next hops of IPv6 FECs are link-local
//! addresses, the same on every link.

mod sim;

use std::time::Duration;

use ldp::{
    DownReason, Event, LdpId, NeighborPolicy, Protection, SessionState, StatusCode, Targeted, Transport,
    TransportPreference,
};
use sim::{World, fec, fec_v6, lsr_id, transport_v6};

const QUIET: Duration = Duration::from_secs(150);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Speaks {
    Ipv4,
    Ipv6,
    Both(TransportPreference),
}

/// Headend 0, transit 1, tailends 2 and 3; two links between headend and transit.
fn network(seed: u64, speaks: [Speaks; 4]) -> World {
    let mut world = World::new(seed, 4, &[[0, 1], [0, 1], [1, 2], [1, 3]]);
    for (node, speaks) in speaks.into_iter().enumerate() {
        set(&mut world, node, speaks);
    }
    world
}

fn set(world: &mut World, node: usize, speaks: Speaks) {
    let config = &mut world.nodes[node].config;
    config.transport = Transport {
        ipv4: (speaks != Speaks::Ipv6).then(|| lsr_id(node)),
        ipv6: (speaks != Speaks::Ipv4).then(|| transport_v6(node)),
    };
    if let Speaks::Both(preference) = speaks {
        config.transport_preference = preference;
    }
}

fn families(world: &mut World, v4: bool, v6: bool) {
    for (node, name) in [(2, 1), (3, 2), (0, 3)] {
        if v4 {
            world.set_egress(node, fec(1, name), true);
        }
        if v6 {
            world.set_egress(node, fec_v6(1, name.into()), true);
        }
    }
}

/// The transport addresses that a node's sessions are at, and whether it opened them.
fn sessions(world: &World, node: usize) -> Vec<(bool, bool)> {
    let neighbors = world.nodes[node].speaker.as_ref().unwrap().neighbors(world.now);
    let up = neighbors.iter().filter(|neighbor| neighbor.session == SessionState::Operational);
    up.map(|neighbor| (neighbor.transport_address.is_ipv6(), neighbor.active)).collect()
}

fn reasons(world: &World, node: usize) -> Vec<DownReason> {
    let events = world.nodes[node].events.iter();
    let reasons = events.filter_map(|event| match event {
        Event::SessionDown { reason, .. } => Some(*reason),
        _ => None,
    });
    reasons.collect()
}

#[test]
fn an_ipv6_backbone_carries_ipv6_fecs() {
    for seed in 0..5 {
        let mut world = network(seed, [Speaks::Ipv6; 4]);
        world.hello_loss_percent = 20;
        families(&mut world, false, true);
        world.start_all();
        world.run(QUIET);
        world.hello_loss_percent = 0;
        world.run(QUIET);
        world.check_complete();
        assert_eq!(world.nodes[0].fib[&fec_v6(1, 1)].next_hops.len(), 2, "both links");
        // A link goes and comes; control restarts.
        world.set_link(1, false);
        world.run(QUIET);
        world.check_complete();
        world.kill(1);
        world.run(Duration::from_secs(2));
        world.start(1);
        world.run(QUIET);
        world.check_complete();
        world.set_link(1, true);
        world.run(QUIET);
        world.check_complete();
    }
}

#[test]
fn two_of_both_hold_one_session_over_the_family_that_they_prefer() {
    for preference in [TransportPreference::Ipv4, TransportPreference::Ipv6] {
        let mut world = network(7, [Speaks::Both(preference); 4]);
        families(&mut world, true, true);
        world.start_all();
        world.run(QUIET);
        world.check_complete();
        let v6 = preference == TransportPreference::Ipv6;
        // The greater address of that family opens: of IPv6 it is the other end's.
        assert_eq!(sessions(&world, 1), [(v6, !v6), (v6, v6), (v6, v6)], "{preference:?}");
    }
}

#[test]
fn who_speaks_one_family_is_spoken_with_over_it_and_told_of_it() {
    let both = Speaks::Both(TransportPreference::Ipv6);
    let mut world = network(3, [both, both, Speaks::Ipv4, Speaks::Ipv6]);
    families(&mut world, true, true);
    world.start_all();
    world.run(QUIET);
    assert_eq!(sessions(&world, 1).iter().map(|(v6, _)| *v6).collect::<Vec<_>>(), [true, false, true]);
    let knows = |node: usize, fec| world.nodes[node].fib.contains_key(&fec);
    assert!(knows(0, fec(1, 1)) && knows(0, fec_v6(1, 2)));
    let told = |node: usize, v6: bool| {
        let speaker = world.nodes[node].speaker.as_ref().unwrap();
        let mut lib = speaker.lib().into_iter().filter(|row| row.received.is_some());
        lib.any(|row| matches!(row.fec.0, ipnet::IpNet::V6(_)) == v6)
    };
    assert!(told(2, false) && !told(2, true), "no IPv6 FEC for who speaks IPv4");
    assert!(told(3, true) && !told(3, false), "no IPv4 FEC for who speaks IPv6");
}

#[test]
fn who_prefers_the_other_family_is_not_spoken_with() {
    let [v4, v6] = [TransportPreference::Ipv4, TransportPreference::Ipv6].map(Speaks::Both);
    let mut world = network(5, [v6, v6, v6, v6]);
    families(&mut world, true, true);
    world.start_all();
    world.run(QUIET);
    world.check_complete();
    // It restarts with another preference.
    world.stop(2);
    set(&mut world, 2, v4);
    world.start(2);
    world.run(QUIET);
    assert_eq!((world.sessions_up(1), world.sessions_up(2)), (2, 0));
    let status = StatusCode::TRANSPORT_CONNECTION_MISMATCH;
    let said = |event: &Event| matches!(event, Event::Incompatible { status: said, .. } if *said == status);
    assert!(world.nodes[1].events.iter().any(said));
    // And back.
    world.stop(2);
    set(&mut world, 2, v6);
    world.start(2);
    world.run(QUIET);
    world.check_complete();
    assert_eq!(world.sessions_up(1), 3);
    assert!(!reasons(&world, 0).iter().any(|reason| matches!(reason, DownReason::Local(_))));
}

/// Three in a ring: the session of a cut link goes the other way round, over the family that it was held over.
#[test]
fn a_protected_session_over_ipv6_outlives_its_link() {
    for speaks in
        [Speaks::Ipv6, Speaks::Both(TransportPreference::Ipv6), Speaks::Both(TransportPreference::Ipv4)]
    {
        let mut world = World::new(12, 3, &[[0, 1], [1, 2], [2, 0]]);
        for node in 0..3 {
            set(&mut world, node, speaks);
            world.set_egress(node, fec_v6(1, node.try_into().unwrap()), true);
            for policy in world.nodes[node].config.neighbors.others.iter_mut() {
                policy.protection = Protection::Forever;
            }
        }
        world.start_all();
        world.run(QUIET);
        world.check_complete();
        let before = sessions(&world, 0);
        world.nodes.iter_mut().for_each(|node| node.events.clear());
        world.set_link(0, false);
        world.run(Duration::from_secs(600));
        world.check_complete();
        assert_eq!(sessions(&world, 0), before, "{speaks:?}");
        world.set_link(0, true);
        world.run(QUIET);
        world.check_complete();
        let ended = |event: &Event| matches!(event, Event::SessionUp { .. } | Event::SessionDown { .. });
        assert!(world.nodes.iter().all(|node| !node.events.iter().any(ended)), "no session came or went");
    }
}

#[test]
fn a_session_over_several_hops_is_held_by_targeted_hellos_over_ipv6() {
    let mut world = World::new(4, 3, &[[0, 1], [1, 2]]);
    (0..3).for_each(|node| set(&mut world, node, Speaks::Ipv6));
    for (node, far, targeted) in
        [(0, 2, Targeted::On(transport_v6(2).into())), (2, 0, Targeted::Answer(transport_v6(0).into()))]
    {
        let policy = NeighborPolicy { targeted, ..NeighborPolicy::default() };
        world.nodes[node].config.neighbors.named.insert(lsr_id(far), policy);
    }
    world.start_all();
    world.run(QUIET);
    let neighbors = world.nodes[0].speaker.as_ref().unwrap().neighbors(world.now);
    let far = neighbors.iter().find(|neighbor| neighbor.peer == LdpId::platform(lsr_id(2))).unwrap();
    assert_eq!((far.session, far.transport_address), (SessionState::Operational, transport_v6(2).into()));
    assert_eq!(
        far.adjacencies.iter().map(|adjacency| adjacency.source).collect::<Vec<_>>(),
        [transport_v6(2)]
    );
    // By a cut that nobody heals the session ends with its Hellos.
    world.set_link(1, false);
    world.run(QUIET);
    assert_eq!(world.sessions_up(0), 1);
}
