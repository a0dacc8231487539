//! What this node is to an ISP as a router, as packets need it.

use std::net::IpAddr;

use contract::{IcmpSource, IspConfig};

/// What this node is to an ISP as a router.
#[derive(Default)]
pub(crate) struct Role {
    source: IcmpSource,
    /// The node's own addresses in this ISP's address space.
    pub(crate) own: Addresses,
    /// Where ICMP errors of any node of the network come from.
    pub(crate) icmp_sources: Addresses,
    /// Whether TCP segment sizes are lowered to what fits the LSP.
    pub(crate) clamp_mss: bool,
}

const _: () = assert!(size_of::<Role>() <= 80, "of a role, each packet reads the words of one set's filter");

impl Role {
    pub(super) fn new(config: &IspConfig) -> Self {
        Self {
            source: config.icmp_source,
            own: Addresses::new(&config.own),
            icmp_sources: Addresses::new(&config.icmp_sources),
            clamp_mss: config.clamp_mss,
        }
    }

    /// Where errors to packets of this one's IP version come from.
    pub(crate) fn icmp_source(&self, version_of: IpAddr) -> Option<IpAddr> {
        match version_of {
            IpAddr::V4(_) => self.source.ipv4.map(IpAddr::V4),
            IpAddr::V6(_) => self.source.ipv6.map(IpAddr::V6),
        }
    }
}

/// A few addresses. Nearly every packet's is none of them and costs a multiplication and a look at one bit; one in
/// 64/n of the others costs a binary search.
#[derive(Default)]
pub(crate) struct Addresses {
    /// The bits that the addresses hash to.
    filter: u64,
    sorted: Box<[IpAddr]>,
}

impl Addresses {
    fn new(addresses: &[IpAddr]) -> Self {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        Self { filter: sorted.iter().fold(0, |filter, address| filter | bit(address)), sorted: sorted.into() }
    }

    #[inline]
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.filter & bit(&address) != 0 && self.sorted.binary_search(&address).is_ok()
    }
}

/// One of 64 bits, by an address's last octets, in which addresses differ most (Fibonacci hashing, Knuth vol. 3 §6.4).
#[inline]
fn bit(address: &IpAddr) -> u64 {
    let low = match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    };
    1 << (low.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_has_what_was_put_in(v4 in prop::collection::vec(0u32..300, 0..20), v6: bool, probe in 0u32..300) {
            let address = |low: u32| -> IpAddr {
                if v6 { std::net::Ipv6Addr::from_bits(u128::from(low) << 60).into() }
                else { std::net::Ipv4Addr::from_bits(low).into() }
            };
            let all: Vec<_> = v4.iter().map(|&low| address(low)).collect();
            prop_assert_eq!(Addresses::new(&all).contains(address(probe)), v4.contains(&probe));
        }
    }

    #[test]
    fn no_address_is_in_none() {
        assert!(!Addresses::default().contains(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)));
    }
}
