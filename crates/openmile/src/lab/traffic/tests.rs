//! Traffic between two hosts that are connected by a cable, without any node.

use ipnet::IpNet;

use super::*;
use crate::netlink::Netlink;

pub(in crate::lab) fn end(host: &str, namespace: &Arc<Namespace>, address: &str) -> End {
    End { host: host.into(), namespace: namespace.clone(), address: address.parse().unwrap() }
}

/// Two namespaces with a cable, or `None` where this user may not make namespaces.
pub(in crate::lab) fn hosts() -> Option<[Arc<Namespace>; 2]> {
    match (Namespace::create(), Namespace::create()) {
        (Ok(one), Ok(other)) => Some([Arc::new(one), Arc::new(other)]),
        (Err(error), _) | (_, Err(error)) => {
            assert!(std::env::var_os("CI").is_none(), "in CI this must run: {error}");
            eprintln!("NOT RUN: {error} (run the tests as root)");
            None
        }
    }
}

pub(in crate::lab) async fn connect(namespaces: &[Arc<Namespace>; 2]) {
    let near = Netlink::open_in(&namespaces[0]).unwrap();
    let far = Netlink::open_in(&namespaces[1]).unwrap();
    near.add_veth("eth0", "far").await.unwrap();
    near.move_to_as(near.link("far").await.unwrap().index, &namespaces[1], "eth0").await.unwrap();
    let ends = [(&near, ["10.1.0.1/24", "2001:db8:1::1/64"]), (&far, ["10.1.0.2/24", "2001:db8:1::2/64"])];
    for ((netlink, addresses), namespace) in ends.into_iter().zip(namespaces) {
        let index = netlink.link("eth0").await.unwrap().index;
        netlink.set_up(index, true).await.unwrap();
        for address in addresses {
            netlink.assign(index, address.parse::<IpNet>().unwrap()).await.unwrap();
        }
        namespace.set_sysctl("ipv4/ping_group_range", "0 0").unwrap();
    }
    // The kernel drops what is sent before it has noticed that the cable is there.
    let patience = Patience::new(Duration::from_secs(10), Duration::from_millis(100));
    for (near, far) in [("10.1.0.1", "10.1.0.2"), ("2001:db8:1::1", "2001:db8:1::2")] {
        let near = end("near", &namespaces[0], near);
        echo_once(&near, far.parse().unwrap(), Tag::new(IspMark::of(0), 0), patience).unwrap();
    }
}

#[test]
fn all_kinds_arrive_both_ways_whole_and_counted() {
    let Some(namespaces) = hosts() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(connect(&namespaces));
    let pair = |near: &str, far: &str| Pair {
        subscriber: end("near", &namespaces[0], near),
        isp: end("far", &namespaces[1], far),
        mark: IspMark::of(0),
    };
    let pairs = [pair("10.1.0.1", "10.1.0.2"), pair("2001:db8:1::1", "2001:db8:1::2")];
    let volume = Volume { tcp: 300_001, udp: 101, echo: 33 };
    let patience = Patience::new(Duration::from_secs(30), Duration::from_secs(5));
    for outcome in run(&pairs, volume, patience) {
        let expected = match outcome.kind {
            Kind::Tcp => volume.tcp,
            Kind::Udp => volume.udp * 1400,
            Kind::Echo => volume.echo * 2 * 1400,
        };
        assert_eq!(outcome.verified, Ok(expected), "{:?} {}", outcome.kind, outcome.name);
    }
}

#[test]
fn a_flow_to_nobody_ends_and_says_so() {
    let Some(namespaces) = hosts() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(connect(&namespaces));
    let pair = Pair {
        subscriber: end("near", &namespaces[0], "10.1.0.1"),
        isp: end("far", &namespaces[1], "10.1.0.2"),
        mark: IspMark::of(0),
    };
    runtime.block_on(async {
        let far = Netlink::open_in(&namespaces[1]).unwrap();
        let index = far.link("eth0").await.unwrap().index;
        far.set_up(index, false).await.unwrap();
    });
    let patience = Patience::new(Duration::from_secs(2), Duration::from_millis(300));
    let outcomes = run(&[pair], Volume { tcp: 1000, udp: 10, echo: 1 }, patience);
    assert_eq!(outcomes.len(), 6);
    assert!(outcomes.iter().all(|outcome| outcome.verified.is_err()), "{outcomes:?}");
}
