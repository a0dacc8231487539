//! Which of several ways a packet takes: equal-cost entries by flow, an ISP's FECs by subscriber.
//!
//! The two choices are made with unrelated seeds, and each node has its own for flows, since a choice that repeats the
//! one before it (at the same node or at the node before) sees only flows that chose alike and would leave ways unused.

use std::net::IpAddr;

use contract::{Fec, SubscriberId};
use wire::ip::IpHeader;
use wire::{Label, stack};

/// The same at every node and in every process, so that a subscriber stays at its handoff when a forwarder restarts.
const SUBSCRIBER_SEED: u64 = 0x6f70_656e_6d69_6c65;
/// Where a FEC's own hash starts.
const FEC_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): each bit of the input changes each of the output with
/// probability one half.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn address(hash: u64, address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => mix(hash ^ u64::from(v4.to_bits())),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            mix(mix(hash ^ (bits >> 64) as u64) ^ bits as u64)
        }
    }
}

/// A flow: addresses, protocol and, of packets that cannot be fragments, ports. Fragments of one packet stay together.
pub(crate) fn flow(seed: u64, ip: &IpHeader, packet: &[u8]) -> u64 {
    let hash = address(address(mix(seed), ip.source), ip.destination);
    let ports = ip.ports(packet).map_or(0, u32::from_be_bytes);
    mix(hash ^ (u64::from(ip.protocol) << 32 | u64::from(ports)))
}

/// A labelled packet's flow: that of the IP packet under the stack, whatever its depth, or else the labels themselves
/// (special-purpose ones excepted, RFC 6790 §4.3).
pub(crate) fn labelled_flow(seed: u64, octets: &[u8], payload: &[u8]) -> u64 {
    match IpHeader::parse(payload) {
        Ok(ip) => flow(seed, &ip, payload),
        Err(_) => stack::entries(octets)
            .map(|entry| entry.label)
            .filter(|label| label.is_real())
            .fold(mix(seed), |hash, label: Label| mix(hash ^ u64::from(label.value()))),
    }
}

/// The place among `count` that a flow takes; zero for none.
pub(crate) fn place(flow: u64, count: usize) -> usize {
    ((u128::from(flow) * count as u128) >> 64) as usize
}

/// A FEC's own hash, for [`weight`].
pub(crate) fn fec(fec: Fec) -> u64 {
    mix(address(FEC_SEED, fec.0.addr()) ^ u64::from(fec.0.prefix_len()))
}

/// A subscriber takes the FEC of the greatest weight (rendezvous hashing): when a FEC goes, only its own subscribers
/// move, and when it returns they return.
pub(crate) fn weight(subscriber: SubscriberId, fec: u64) -> u64 {
    mix(mix(SUBSCRIBER_SEED ^ subscriber.0) ^ fec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn fecs(count: u8) -> Vec<u64> {
        (1..=count).map(|n| fec(Fec(format!("10.254.1.{n}/32").parse().unwrap()))).collect()
    }

    fn chosen(subscriber: u64, fecs: &[u64]) -> u64 {
        *fecs.iter().max_by_key(|&&fec| weight(SubscriberId(subscriber), fec)).unwrap()
    }

    #[test]
    fn subscribers_spread_and_only_those_of_a_lost_fec_move() {
        let (all, without) = (fecs(4), &fecs(4)[..3]);
        let mut shares = BTreeMap::<u64, u32>::new();
        for subscriber in 0..4000 {
            let first = chosen(subscriber, &all);
            *shares.entry(first).or_default() += 1;
            if first != all[3] {
                assert_eq!(chosen(subscriber, without), first);
            }
        }
        assert!(shares.len() == 4 && shares.values().all(|n| (850..1150).contains(n)), "{shares:?}");
    }

    #[test]
    fn flows_of_subscribers_that_chose_alike_still_spread() {
        let fecs = fecs(2);
        let mut ways = [0; 2];
        for subscriber in (0..4000u32).filter(|&s| chosen(s.into(), &fecs) == fecs[0]) {
            let source = std::net::Ipv4Addr::from_bits(0x6440_0000 + subscriber);
            let ip = IpHeader {
                source: source.into(),
                destination: std::net::Ipv4Addr::new(192, 0, 2, 53).into(),
                total_len: 20,
                header_len: 20,
                ttl: 64,
                protocol: 1,
                fragment: false,
            };
            ways[place(flow(7, &ip, &[]), 2)] += 1;
        }
        assert!(ways.iter().all(|n| (850..1150).contains(n)), "{ways:?}");
    }

    #[test]
    fn a_place_is_within_the_count() {
        assert_eq!((place(u64::MAX, 3), place(0, 3), place(u64::MAX, 0)), (2, 0, 0));
    }
}
