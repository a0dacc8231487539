//! Longest match by one hash look-up per prefix length in use.
//!
//! An access network has few lengths (/32, /56, perhaps /64), so that a match is mostly one probe, whatever the number of
//! subscribers; a trie (`prefix-trie`) costs a cache miss per level. The worst case is one probe for each length that
//! some prefix has, which the operator decides and no packet can.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::Circuit;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use ipnet::IpNet;
use wire::VlanTags;

use super::isps::IspIndex;

/// A prefix, its address in the upper bits. Ordered so that what a prefix covers follows it at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Prefix {
    v6: bool,
    bits: [u64; 2],
    len: u8,
}

/// A prefix within a circuit or within an ISP's address space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    pub(super) scope: Scope,
    pub(super) prefix: Prefix,
}

/// What a prefix is looked up within: 64 bits that name a circuit or an ISP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Scope(u64);

impl From<Circuit> for Scope {
    fn from(circuit: Circuit) -> Self {
        let (count, outer, inner) = match circuit.tags {
            VlanTags::None => (0, 0, 0),
            VlanTags::Single(id) => (1, id.number(), 0),
            VlanTags::Double { outer, inner } => (2, outer.number(), inner.number()),
        };
        Self(u64::from(circuit.port.0) << 48 | count << 32 | u64::from(outer) << 16 | u64::from(inner))
    }
}

impl From<IspIndex> for Scope {
    fn from(isp: IspIndex) -> Self {
        Self(u64::from(isp.0))
    }
}

impl Scope {
    /// The ISP that this scope was made from.
    pub(super) fn isp(self) -> IspIndex {
        IspIndex(self.0 as u16)
    }
}

impl Prefix {
    const fn mask(len: u8) -> u128 {
        if len == 0 { 0 } else { u128::MAX << (128 - len as u32) }
    }

    fn new(v6: bool, bits: u128, len: u8) -> Self {
        let bits = bits & Self::mask(len);
        Self { v6, bits: [(bits >> 64) as u64, bits as u64], len }
    }

    fn of(address: IpAddr, len: u8) -> Self {
        match address {
            IpAddr::V4(v4) => Self::new(false, u128::from(v4.to_bits()) << 96, len),
            IpAddr::V6(v6) => Self::new(true, v6.to_bits(), len),
        }
    }

    fn bits(&self) -> u128 {
        u128::from(self.bits[0]) << 64 | u128::from(self.bits[1])
    }

    fn shortened(self, len: u8) -> Self {
        Self::new(self.v6, self.bits(), len)
    }

    /// The last prefix, in this type's order, that this one covers.
    fn last_covered(self) -> Self {
        Self { len: u8::MAX, ..Self::new(self.v6, self.bits() | !Self::mask(self.len), 128) }
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        Self::of(net.addr(), net.prefix_len())
    }
}

impl From<Prefix> for IpNet {
    fn from(prefix: Prefix) -> Self {
        let address = if prefix.v6 {
            IpAddr::V6(Ipv6Addr::from_bits(prefix.bits()))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits((prefix.bits() >> 96) as u32))
        };
        // A prefix was made from a network, so its length fits; were it otherwise, a host route is the least harm.
        Self::new(address, prefix.len).unwrap_or_else(|_| Self::from(address))
    }
}

impl Key {
    /// The first and the last key of all that this one's prefix covers, itself included.
    pub(super) fn covered(self) -> std::ops::RangeInclusive<Self> {
        self..=Self { prefix: self.prefix.last_covered(), ..self }
    }
}

/// Row numbers by prefix. The prefixes themselves are in the rows, to which every look-up is given the way.
pub(super) struct PrefixIndex {
    table: HashTable<u32>,
    state: FixedState,
    /// How many prefixes there are of each length, for IPv4 and IPv6.
    counts: [[u32; 129]; 2],
    /// The lengths that there are, longest first.
    lengths: [Vec<u8>; 2],
}

impl PrefixIndex {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            table: HashTable::with_capacity(capacity),
            state: FixedState::default(),
            counts: [[0; 129]; 2],
            lengths: [Vec::new(), Vec::new()],
        }
    }

    /// The row of just this prefix.
    #[inline]
    pub(super) fn exact(&self, key: &Key, key_of: impl Fn(u32) -> Option<Key>) -> Option<u32> {
        self.table.find(self.state.hash_one(key), |&row| key_of(row).as_ref() == Some(key)).copied()
    }

    /// The row of the longest prefix in this scope that holds the address.
    #[inline]
    pub(super) fn longest(
        &self,
        scope: Scope,
        address: IpAddr,
        key_of: impl Fn(u32) -> Option<Key>,
    ) -> Option<u32> {
        let lengths = &self.lengths[usize::from(address.is_ipv6())];
        lengths.iter().find_map(|&len| self.exact(&Key { scope, prefix: Prefix::of(address, len) }, &key_of))
    }

    /// The rows of all shorter prefixes that hold this one.
    pub(super) fn covering(
        &self,
        key: Key,
        key_of: impl Fn(u32) -> Option<Key>,
    ) -> impl Iterator<Item = u32> {
        let lengths = &self.lengths[usize::from(key.prefix.v6)];
        lengths.iter().filter(move |&&len| len < key.prefix.len).filter_map(move |&len| {
            self.exact(&Key { scope: key.scope, prefix: key.prefix.shortened(len) }, &key_of)
        })
    }

    /// Enters a row whose prefix is in no row yet.
    pub(super) fn insert(&mut self, key: &Key, row: u32, key_of: impl Fn(u32) -> Option<Key>) {
        let state = &self.state;
        self.table
            .insert_unique(state.hash_one(key), row, |&row| key_of(row).map_or(0, |key| state.hash_one(key)));
        let (family, len) = (usize::from(key.prefix.v6), key.prefix.len);
        if let Some(count) = self.counts[family].get_mut(usize::from(len)) {
            *count += 1;
            if *count == 1 {
                let at = self.lengths[family].partition_point(|&longer| longer > len);
                self.lengths[family].insert(at, len);
            }
        }
    }

    /// Has the prefix of one row find another of the same prefix.
    pub(super) fn replace(&mut self, key: &Key, row: u32, other: u32) {
        if let Some(held) = self.table.find_mut(self.state.hash_one(key), |&held| held == row) {
            *held = other;
        }
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, key: &Key, row: u32) {
        let Ok(entry) = self.table.find_entry(self.state.hash_one(key), |&held| held == row) else { return };
        entry.remove();
        let (family, len) = (usize::from(key.prefix.v6), key.prefix.len);
        if let Some(count) = self.counts[family].get_mut(usize::from(len)) {
            *count -= 1;
            if *count == 0 {
                self.lengths[family].retain(|&held| held != len);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(isp: u16, net: IpNet) -> Key {
        Key { scope: IspIndex(isp).into(), prefix: net.into() }
    }

    /// Networks that often overlap: of four address bits, in either family.
    fn nets() -> impl Strategy<Value = IpNet> {
        (any::<bool>(), 0u8..16, 0u8..=4).prop_map(|(v6, bits, len)| {
            let address = if v6 {
                Ipv6Addr::from_bits(u128::from(bits) << 124).into()
            } else {
                Ipv4Addr::from_bits(u32::from(bits) << 28).into()
            };
            IpNet::new(address, len).unwrap().trunc()
        })
    }

    #[test]
    fn circuits_have_scopes_of_their_own() {
        use contract::{PortId, VlanId};
        let vlan = |id| VlanId::new(id).unwrap();
        let circuits = [
            VlanTags::None,
            VlanTags::Single(vlan(1)),
            VlanTags::Double { outer: vlan(1), inner: vlan(2) },
            VlanTags::Double { outer: vlan(2), inner: vlan(1) },
        ];
        let scopes: std::collections::BTreeSet<_> = (0..3)
            .flat_map(|port| circuits.map(|tags| Scope::from(Circuit { port: PortId(port), tags })))
            .collect();
        assert_eq!(scopes.len(), 12);
    }

    proptest! {
        #[test]
        fn a_prefix_keeps_its_network(bits in any::<u128>(), len in 0u8..=128) {
            let v6 = IpNet::new(Ipv6Addr::from_bits(bits).into(), len).unwrap().trunc();
            let v4 = IpNet::new(Ipv4Addr::from_bits(bits as u32).into(), len.min(32)).unwrap().trunc();
            prop_assert_eq!(IpNet::from(Prefix::from(v6)), v6);
            prop_assert_eq!(IpNet::from(Prefix::from(v4)), v4);
        }

        #[test]
        fn covered_is_what_ipnet_contains(a in nets(), b in nets()) {
            let (outer, inner) = (key(1, a), key(1, b));
            let contains = match (a, b) {
                (IpNet::V4(a), IpNet::V4(b)) => a.contains(&b),
                (IpNet::V6(a), IpNet::V6(b)) => a.contains(&b),
                _ => false,
            };
            prop_assert_eq!(outer.covered().contains(&inner), contains);
            prop_assert!(!outer.covered().contains(&key(2, b)));
        }

        #[test]
        fn longest_and_covering_agree_with_a_list(
            entries in prop::collection::btree_set((0u16..2, nets()), 0..40), gone in any::<u64>(), probe in nets(),
        ) {
            let rows: Vec<Key> = entries.iter().map(|&(isp, net)| key(isp, net)).collect();
            let key_of = |row: u32| rows.get(row as usize).copied();
            let mut index = PrefixIndex::new(1);
            for (row, key) in rows.iter().enumerate() {
                index.insert(key, row as u32, key_of);
            }
            let kept = |row: usize| gone >> (row % 64) & 1 == 0;
            for (row, key) in rows.iter().enumerate().filter(|&(row, _)| !kept(row)) {
                index.remove(key, row as u32);
            }
            let held: Vec<_> = entries.iter().enumerate().filter(|&(row, _)| kept(row)).collect();
            for isp in 0..2 {
                let within = |net: &IpNet| net.contains(&probe.addr());
                let expected = held.iter()
                    .filter(|(_, (i, net))| *i == isp && within(net))
                    .max_by_key(|(_, (_, net))| net.prefix_len())
                    .map(|&(row, _)| row as u32);
                prop_assert_eq!(index.longest(IspIndex(isp).into(), probe.addr(), key_of), expected);
                let mut covering: Vec<_> = index.covering(key(isp, probe), key_of).collect();
                covering.sort_unstable();
                let expected: Vec<_> = held.iter()
                    .filter(|(_, (i, net))| *i == isp && within(net) && net.prefix_len() < probe.prefix_len())
                    .map(|&(row, _)| row as u32)
                    .collect();
                prop_assert_eq!(covering, expected);
            }
        }
    }
}
