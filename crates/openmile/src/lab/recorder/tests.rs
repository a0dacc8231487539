use std::time::Duration;

use super::*;
use crate::lab::kernel::KernelCounters;
use crate::lab::traffic::tests::{connect, end, hosts};
use crate::lab::traffic::{Pair, Patience, Volume, run};
use crate::netlink::Netlink;

const VOLUME: Volume = Volume { tcp: 200_000, udp: 40, echo: 20 };

/// What every packet fits into …
const WIDE: u32 = 1500;
/// … and what datagrams and echo messages do not.
const NARROW: u32 = 1300;

/// Runs all kinds of traffic with this mark between two hosts, one of which records what is not of the first ISP, over a
/// cable of this MTU.
fn recorded(mark: IspMark, mtu: u32) -> Option<(Seen, Traffic)> {
    let namespaces = hosts()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        connect(&namespaces).await;
        for namespace in &namespaces {
            let netlink = Netlink::open_in(namespace).unwrap();
            netlink.set_mtu(netlink.link("eth0").await.unwrap().index, mtu).await.unwrap();
        }
    });
    let mut recorder = Recorder::start(&namespaces[1], &["eth0".to_owned()], IspMark::of(0)).unwrap();
    let pair = |near: &str, far: &str| Pair {
        subscriber: end("near", &namespaces[0], near),
        isp: end("far", &namespaces[1], far),
        mark,
    };
    let pairs = [pair("10.1.0.1", "10.1.0.2"), pair("2001:db8:1::1", "2001:db8:1::2")];
    let patience = Patience::new(Duration::from_secs(30), Duration::from_secs(5));
    let outcomes = run(&pairs, VOLUME, patience);
    assert!(outcomes.iter().all(|outcome| outcome.verified.is_ok()), "{outcomes:?}");
    let received = KernelCounters::read(&namespaces[1]).unwrap().received();
    Some((recorder.seen().unwrap().clone(), received))
}

/// How many packets were noticed whose description begins like this.
fn noticed(seen: &Seen, protocol: &str) -> u64 {
    seen.foreign.iter().filter(|(what, _)| what.starts_with(protocol)).map(|(_, count)| count).sum()
}

#[test]
fn the_own_isps_packets_pass_without_notice() {
    for mtu in [WIDE, NARROW] {
        let Some((seen, received)) = recorded(IspMark::of(0), mtu) else { return };
        assert_eq!(seen.foreign, BTreeMap::new());
        assert_eq!((seen.errors.len(), seen.missed), (0, 0));
        // Of each version: datagrams, their receipts' counterparts, requests, replies, and many segments.
        assert!(received.packets > 2 * (2 * VOLUME.udp + 2 * VOLUME.echo), "{received:?}");
    }
}

#[test]
fn anothers_packets_are_noticed_by_every_protocol() {
    let Some((seen, _)) = recorded(IspMark::of(1), WIDE) else { return };
    for (protocol, least) in [
        ("IPv4 protocol 1,", 2 * VOLUME.echo),
        ("IPv4 protocol 17,", VOLUME.udp),
        ("IPv4 protocol 6,", 1),
        ("IPv6 next header 58,", 2 * VOLUME.echo),
        ("IPv6 next header 17,", VOLUME.udp),
        ("IPv6 next header 6,", 1),
    ] {
        assert!(noticed(&seen, protocol) >= least || seen.missed > 0, "{protocol} {seen:?}");
        assert!(noticed(&seen, protocol) > 0, "{protocol} {seen:?}");
    }
}

#[test]
fn anothers_fragments_are_noticed_each() {
    let Some((seen, _)) = recorded(IspMark::of(1), NARROW) else { return };
    for protocol in ["IPv4 protocol 1,", "IPv6 next header 44,"] {
        assert!(noticed(&seen, protocol) >= 4 * VOLUME.echo || seen.missed > 0, "{protocol} {seen:?}");
        assert!(noticed(&seen, protocol) > 0, "{protocol} {seen:?}");
    }
}

#[test]
fn errors_and_the_links_own_packets_are_told_apart() {
    let mut seen = Seen::default();
    let mut frame = vec![0; 14 + 48];
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    frame[14..22].copy_from_slice(&[0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame[54] = 135;
    seen.judge(&frame);
    assert_eq!(seen.link, Traffic { packets: 1, octets: 72 });
    frame[54..56].copy_from_slice(&[1, 4]);
    seen.judge(&frame);
    assert_eq!(seen.errors, BTreeMap::from([((1, 4), 1)]));
    frame[12..14].copy_from_slice(&[0x88, 0x47]);
    seen.judge(&frame);
    assert_eq!(seen.foreign, BTreeMap::from([("EtherType 0x8847".to_owned(), 1)]));
}
