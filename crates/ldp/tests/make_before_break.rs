//! A better way is taken when it is complete, and not before; what is no way any more is left at once.

mod sim;

use std::time::Duration;

use contract::Fec;
use ldp::{Event, FecState};
use sim::{World, fec};

const MS: Duration = Duration::from_millis(1);

/// A ring: 0, 1 and 4 (where the FEC ends) by 2 and 3 the long way round; link 4 from 0 to 4 directly.
fn ring() -> (World, Fec) {
    let mut world = World::new(1, 5, &[[0, 1], [1, 2], [2, 3], [3, 4], [4, 0]]);
    let there = fec(1, 1);
    world.set_egress(4, there, true);
    world.links[4].up = false;
    world.start_all();
    world.run(Duration::from_secs(5));
    world.check_complete();
    (world, there)
}

/// Where a packet for the FEC ends that enters here; `None`: it is dropped on the way, or goes round in a circle.
fn ends(world: &World, from: usize, fec: Fec) -> Option<usize> {
    let mut at = from;
    for _ in 0..world.nodes.len() {
        let state = world.nodes[at].fib.get(&fec)?;
        let Some(hop) = state.next_hops.first() else { return Some(at) };
        let link = hop.interface.0 as usize - 1;
        if !world.links[link].up {
            return None;
        }
        at = world.links[link].ends.into_iter().find(|&end| end != at).unwrap();
    }
    None
}

fn next_hops(world: &World, node: usize, fec: Fec) -> Vec<usize> {
    let state = world.nodes[node].fib.get(&fec);
    state.map(|s| s.next_hops.iter().map(|hop| hop.interface.0 as usize - 1).collect()).unwrap_or_default()
}

#[test]
fn a_link_that_comes_up_loses_no_packet_though_routes_are_faster_than_ldp() {
    let (mut world, there) = ring();
    assert_eq!(next_hops(&world, 0, there), [0]);
    world.nodes.iter_mut().for_each(|node| node.events.clear());
    // Routes lead over the link at once, also those of node 1, which is on the old way of node 0.
    world.set_link(4, true);
    let mut took = None;
    for ms in 0..20_000 {
        world.run(MS);
        for node in 0..5 {
            // The little while in which node 0 has to tell node 1 that it is no way to go.
            if ms > 5 {
                assert_eq!(ends(&world, node, there), Some(4), "from node {node} after {ms} ms");
            }
        }
        if took.is_none() && next_hops(&world, 0, there) == [4] {
            took = Some(ms);
        }
    }
    println!("the new way was taken after {took:?} ms");
    assert!(took.is_some_and(|ms| ms < 15_000), "{took:?}");
    assert_eq!(next_hops(&world, 1, there), [0], "node 1 takes the new way, too");
    let lost = |event: &Event| matches!(event, Event::Fec(FecState { in_label: None, .. }));
    assert!(!world.nodes[0].events.iter().any(lost), "{:?}", world.nodes[0].events);
    world.check_complete();
}

#[test]
fn a_way_without_ethernet_address_is_taken_when_there_is_one() {
    let (mut world, there) = ring();
    world.set_link(4, true);
    world.run(Duration::from_secs(20));
    assert_eq!(next_hops(&world, 0, there), [4]);
    // It is lost where the route has no other: the LSP with it, at once.
    world.set_resolved(0, 4, false);
    world.run(10 * MS);
    assert!(!world.nodes[0].fib.contains_key(&there));
    world.set_link(4, false);
    world.run(10 * MS);
    assert_eq!(next_hops(&world, 0, there), [0]);
    // The session by the link is there before the address is.
    world.set_link(4, true);
    world.run(Duration::from_secs(14));
    assert_eq!(next_hops(&world, 0, there), [0], "kept");
    world.set_resolved(0, 4, true);
    world.run(2 * MS);
    assert_eq!(next_hops(&world, 0, there), [4]);
    world.run(Duration::from_secs(60));
    world.check_complete();
}

#[test]
fn what_never_becomes_complete_is_waited_for_no_longer_than_fifteen_seconds() {
    let (mut world, there) = ring();
    world.set_resolved(0, 4, false);
    world.set_link(4, true);
    world.run(Duration::from_millis(14_990));
    assert_eq!(ends(&world, 0, there), Some(4));
    world.run(20 * MS);
    assert!(!world.nodes[0].fib.contains_key(&there), "upstream is to know");
    world.set_resolved(0, 4, true);
    world.run(10 * MS);
    assert_eq!(next_hops(&world, 0, there), [4]);
    world.check_complete();
}

#[test]
fn a_kept_way_is_left_when_it_ends() {
    for what in 0..3 {
        let (mut world, there) = ring();
        world.set_resolved(0, 4, false);
        world.set_link(4, true);
        world.run(Duration::from_secs(2));
        assert_eq!(next_hops(&world, 0, there), [0], "kept");
        match what {
            0 => world.set_link(0, false),
            1 => world.set_egress(4, there, false),
            _ => world.set_resolved(0, 0, false),
        }
        world.run(20 * MS);
        assert!(!world.nodes[0].fib.contains_key(&there), "{what}");
    }
}

#[test]
fn a_forwarder_that_refuses_breaks_the_lsp_upstream_and_not_silently() {
    let (mut world, there) = ring();
    world.set_refused(1, there, true);
    world.run(10 * MS);
    assert!(!world.nodes[0].fib.contains_key(&there), "the headend is to take another FEC");
    world.set_refused(1, there, false);
    world.run(10 * MS);
    assert_eq!(ends(&world, 0, there), Some(4));
    world.check_complete();
}
