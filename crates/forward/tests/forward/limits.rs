//! Control is not kept busy: floods are counted and dropped.

use std::time::Duration;

use contract::{DropReason, PuntReason};

use crate::frames::*;
use crate::network::*;
use crate::node::{Counter, words};

#[test]
fn a_flood_of_arp_on_one_line_leaves_the_next_line_its_share() {
    let words = words();
    let mut node = node(&words);
    let arp = |tags: &[(u16, u16)]| ethernet([0xff; 6], DORA, tags, ARP, &[5; 28]);
    let flood = vec![arp(&[(VLAN, 100)]); 50];
    let punted: usize = (0..100).map(|_| node.take(LINE, &flood).punted.len()).sum();
    assert_eq!(punted, 200);
    let other = node.take(LINE, &[arp(&[(SERVICE, 200), (VLAN, 300)])]);
    assert_eq!(other.punted[0].0, circuit(LINE, &[200, 300]));
    let counters = node.counters();
    assert_eq!(counters[&Counter::PortDrop(LINE, DropReason::PuntLimited)], 4800);
    assert_eq!(counters[&Counter::Port(LINE, "punted")], 201);
    node.now = node.now + Duration::from_millis(50);
    assert_eq!(node.take(LINE, &flood).punted.len(), 10);
}

#[test]
fn each_reason_has_its_limit() {
    let words = words();
    let mut node = node(&words);
    let expired = cat(&[&label(16, 0, true, 1), &udp("100.64.0.11", "192.0.2.1", 9, b"")]);
    let expired = vec![ethernet(ours(BB0), peer(BB0), &[], MPLS, &expired); 50];
    let punted: usize = (0..10).map(|_| node.take(BB0, &expired).punted.len()).sum();
    assert_eq!(punted, 200);
    let gal = ethernet(ours(BB0), peer(BB0), &[], MPLS, &label(13, 0, true, 1));
    assert_eq!(node.take(BB0, &[gal]).punted[0].1, PuntReason::Gal);
}
