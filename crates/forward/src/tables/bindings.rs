//! Subscribers' prefixes, found by circuit and source and by ISP and destination.
//!
//! # Which bindings contradict each other
//!
//! Two bindings of one circuit whose prefixes overlap, unless they are one subscriber's (and not the same prefix): the
//! source would not tell whose a packet is. Two bindings of one ISP whose prefixes overlap, unless they are one
//! subscriber's on one circuit: the destination would not tell where a packet goes.
//!
//! A subscriber on its way from one ISP to another has the same prefix at both for a while: such bindings stand beside
//! each other if at most one of them is not leaving. A source finds the one that is not leaving, and a leaving one only
//! while there is no other (of several, that of the lowest [`IspIndex`]); a destination finds each in its own ISP.
//!
//! # Moves and the order of changes
//!
//! A binding gives way to a contradicting one of a **later generation**: in a replay, what is not confirmed yet may be
//! exactly what the replay is about to leave out, so a prefix that moved is installed at once and in any order of
//! changes. Within a generation the first stays and the later is refused ([`ChangeError::Conflict`]); a control process
//! that moves a prefix says the removal first. (Rejected: the last always wins. A directory with a contradiction in it
//! would then hand one subscriber's packets to another without anybody's being told.)

use std::collections::BTreeMap;
use std::net::IpAddr;

use contract::{Asn, Binding, BindingKey, ChangeError, Circuit, Generation, IspPrefix, SubscriberId};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use wire::MacAddr;

use super::isps::IspIndex;
use super::prefix::{Key, Prefix, PrefixIndex, Scope};
use super::slab::Slab;

/// A binding as packets need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindingRow {
    prefix: Prefix,
    pub(crate) circuit: Circuit,
    pub(crate) isp: IspIndex,
    pub(crate) subscriber: SubscriberId,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) verify_mac: bool,
    leaving: bool,
    generation: Generation,
}

const _: () = assert!(size_of::<BindingRow>() <= 64, "a packet touches one row: one cache line");

impl BindingRow {
    fn by_circuit(&self) -> Key {
        Key { scope: self.circuit.into(), prefix: self.prefix }
    }

    fn by_isp(&self) -> Key {
        Key { scope: self.isp.into(), prefix: self.prefix }
    }
}

/// All bindings.
pub(super) struct Bindings {
    rows: Slab<BindingRow>,
    by_circuit: PrefixIndex,
    by_isp: PrefixIndex,
    /// How many bindings a circuit has, to tell an unknown circuit from a source that is not bound.
    circuits: HashMap<Circuit, u32, FixedState>,
    /// The same two orders again, sorted: only to find what a new prefix would cover.
    sorted_by_circuit: BTreeMap<Key, u32>,
    sorted_by_isp: BTreeMap<Key, u32>,
    /// All rows of a circuit's prefix that has several, at different ISPs. The indices by circuit have the one among them
    /// that a source finds.
    siblings: HashMap<Key, Vec<u32>, FixedState>,
}

impl Bindings {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            rows: Slab::new(capacity),
            by_circuit: PrefixIndex::new(capacity),
            by_isp: PrefixIndex::new(capacity),
            circuits: HashMap::with_capacity_and_hasher(capacity, FixedState::default()),
            sorted_by_circuit: BTreeMap::new(),
            sorted_by_isp: BTreeMap::new(),
            siblings: HashMap::default(),
        }
    }

    /// The binding that lets a packet with this source in.
    #[inline]
    pub(super) fn by_source(&self, circuit: Circuit, source: IpAddr) -> Option<&BindingRow> {
        let row =
            self.by_circuit.longest(circuit.into(), source, |row| self.key(row, BindingRow::by_circuit));
        self.rows.row(row?)
    }

    /// The binding by which a packet to this destination leaves, and its number.
    #[inline]
    pub(super) fn by_destination(&self, isp: IspIndex, destination: IpAddr) -> Option<(u32, &BindingRow)> {
        let row = self.by_isp.longest(isp.into(), destination, |row| self.key(row, BindingRow::by_isp))?;
        Some((row, self.rows.row(row)?))
    }

    pub(super) fn has_circuit(&self, circuit: Circuit) -> bool {
        self.circuits.contains_key(&circuit)
    }

    /// Installs a binding, in the place of the one with its key and of older ones that contradict it.
    pub(super) fn upsert(
        &mut self,
        key: &BindingKey,
        isp: IspIndex,
        binding: Binding,
        generation: Generation,
    ) -> Result<(), ChangeError> {
        let new = BindingRow {
            prefix: key.prefix.prefix.into(),
            circuit: key.circuit,
            isp,
            subscriber: binding.subscriber,
            mac: binding.mac,
            verify_mac: binding.verify_mac,
            leaving: binding.leaving,
            generation,
        };
        let contradicting = self.contradicting(&new);
        if let Some(held) = contradicting
            .iter()
            .filter_map(|&row| self.rows.row(row))
            .find(|held| held.generation >= generation)
        {
            return Err(conflict(key, &new, held));
        }
        for row in contradicting {
            self.remove_row(row);
        }
        if let Some(held) = self.number_of(new.circuit, new.by_isp()).and_then(|row| self.rows.row_mut(row)) {
            *held = new;
            self.choose_sibling(new.by_circuit());
            return Ok(());
        }
        let capacity = self.rows.capacity();
        let row = self.rows.insert(new).ok_or_else(|| super::full("bindings", capacity))?;
        let rows = &self.rows;
        self.by_isp.insert(&new.by_isp(), row, |row| rows.row(row).map(BindingRow::by_isp));
        self.sorted_by_isp.insert(new.by_isp(), row);
        let on_circuit = new.by_circuit();
        match self.sorted_by_circuit.get(&on_circuit) {
            Some(&first) => {
                self.siblings.entry(on_circuit).or_insert_with(|| vec![first]).push(row);
                self.choose_sibling(on_circuit);
            }
            None => {
                self.by_circuit.insert(&on_circuit, row, |row| rows.row(row).map(BindingRow::by_circuit));
                self.sorted_by_circuit.insert(on_circuit, row);
            }
        }
        *self.circuits.entry(new.circuit).or_default() += 1;
        Ok(())
    }

    pub(super) fn remove(&mut self, circuit: Circuit, isp: IspIndex, prefix: Prefix) {
        if let Some(row) = self.number_of(circuit, Key { scope: Scope::from(isp), prefix }) {
            self.remove_row(row);
        }
    }

    /// Removes what is of an earlier generation; how many that was.
    pub(super) fn sweep(&mut self, generation: Generation) -> usize {
        let stale: Vec<u32> =
            self.rows.iter().filter(|(_, row)| row.generation < generation).map(|r| r.0).collect();
        stale.iter().for_each(|&row| self.remove_row(row));
        stale.len()
    }

    /// The first binding from this row on, and its row.
    pub(super) fn from(
        &self,
        first: u32,
        asn: impl Fn(IspIndex) -> Option<Asn>,
    ) -> Option<(u32, BindingKey, Binding)> {
        self.rows.from(first).find_map(|(number, row)| {
            let prefix = IspPrefix { isp: asn(row.isp)?, prefix: row.prefix.into() };
            let &BindingRow { subscriber, mac, verify_mac, leaving, circuit, .. } = row;
            Some((number, BindingKey { circuit, prefix }, Binding { subscriber, mac, verify_mac, leaving }))
        })
    }

    /// The number of the row of this circuit, ISP and prefix.
    fn number_of(&self, circuit: Circuit, of_isp: Key) -> Option<u32> {
        let row = self.by_isp.exact(&of_isp, |row| self.key(row, BindingRow::by_isp))?;
        (self.rows.row(row)?.circuit == circuit).then_some(row)
    }

    /// The rows of the circuit's prefix that this one, which a source finds, has.
    fn with_siblings(&self, row: u32) -> impl Iterator<Item = u32> {
        let key = if self.siblings.is_empty() { None } else { self.key(row, BindingRow::by_circuit) };
        let all = key.and_then(|key| self.siblings.get(&key)).map_or(&[][..], Vec::as_slice);
        std::iter::once(row).chain(all.iter().copied().filter(move |&other| other != row))
    }

    /// Has a source find the right one among the rows of a circuit's prefix that has, or had, several.
    fn choose_sibling(&mut self, key: Key) {
        let Some(all) = self.siblings.get(&key) else { return };
        let rank = |&&row: &&u32| self.rows.row(row).map(|held| (held.leaving, held.isp));
        let (Some(&best), count) = (all.iter().min_by_key(rank), all.len()) else { return };
        if let Some(found) = self.sorted_by_circuit.get_mut(&key).filter(|found| **found != best) {
            self.by_circuit.replace(&key, *found, best);
            *found = best;
        }
        if count == 1 {
            self.siblings.remove(&key);
        }
    }

    /// The rows, each once, that cannot stand beside the new one.
    fn contradicting(&self, new: &BindingRow) -> Vec<u32> {
        let (circuit, isp) = (new.by_circuit(), new.by_isp());
        let own = self.number_of(new.circuit, isp);
        let others = |row: u32, apart: &dyn Fn(&BindingRow) -> bool| {
            Some(row) != own && self.rows.row(row).is_some_and(apart)
        };
        let on_circuit = self
            .by_circuit
            .covering(circuit, |row| self.key(row, BindingRow::by_circuit))
            .chain(self.sorted_by_circuit.range(circuit.covered()).map(|(_, &row)| row))
            .flat_map(|row| self.with_siblings(row))
            .filter(|&row| {
                others(row, &|held| {
                    let stays = !held.leaving && !new.leaving;
                    let other_isp = held.prefix == new.prefix && held.isp != new.isp;
                    held.subscriber != new.subscriber || (other_isp && stays)
                })
            });
        let of_isp = self
            .by_isp
            .covering(isp, |row| self.key(row, BindingRow::by_isp))
            .chain(self.sorted_by_isp.range(isp.covered()).map(|(_, &row)| row))
            .filter(|&row| {
                others(row, &|held| (held.subscriber, held.circuit) != (new.subscriber, new.circuit))
            });
        let mut rows: Vec<u32> = on_circuit.chain(of_isp).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn remove_row(&mut self, number: u32) {
        let Some(row) = self.rows.remove(number) else { return };
        self.by_isp.remove(&row.by_isp(), number);
        self.sorted_by_isp.remove(&row.by_isp());
        let on_circuit = row.by_circuit();
        if let Some(siblings) = self.siblings.get_mut(&on_circuit) {
            siblings.retain(|&other| other != number);
            self.choose_sibling(on_circuit);
        } else {
            self.by_circuit.remove(&on_circuit, number);
            self.sorted_by_circuit.remove(&on_circuit);
        }
        if let Some(count) = self.circuits.get_mut(&row.circuit) {
            *count -= 1;
            if *count == 0 {
                self.circuits.remove(&row.circuit);
            }
        }
    }

    #[inline]
    fn key(&self, row: u32, key: impl Fn(&BindingRow) -> Key) -> Option<Key> {
        self.rows.row(row).map(key)
    }
}

fn conflict(key: &BindingKey, new: &BindingRow, held: &BindingRow) -> ChangeError {
    let place = if held.circuit == new.circuit {
        "on the same circuit".to_owned()
    } else {
        format!("of the same ISP on port {} ({})", held.circuit.port.0, held.circuit.tags)
    };
    ChangeError::Conflict(format!(
        "{} of {} for subscriber {} on port {} ({}) overlaps {} of subscriber {} {place}",
        key.prefix.prefix,
        key.prefix.isp,
        new.subscriber.0,
        new.circuit.port.0,
        new.circuit.tags,
        ipnet::IpNet::from(held.prefix),
        held.subscriber.0,
    ))
}
