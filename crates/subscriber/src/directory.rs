//! Who is where: what the directory holds, and how it is found.
//!
//! A million subscribers fit into a few hundred megabytes: numbers instead of pointers, one ordered map for the prefixes of
//! all ISPs, and nothing twice. Prefixes of one ISP never overlap, so that the one that covers an address is the last
//! that is not behind it.

mod check;
mod edit;
mod learned;
mod put;
mod refit;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::ops::Bound::{Excluded, Included, Unbounded};

use contract::{Asn, Binding, BindingKey, Change, Circuit, IspPrefix, MacAddr, SubscriberId, Tick};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use ipnet::IpNet;

use crate::facts::{Facts, NodeFacts, Pool};
use crate::record::{Clock, Record, ServiceRecord};

pub use edit::{Action, Edit, EditError, Plan};
pub use put::Previous;

/// Entries on a circuit that are looked at to find its only service, before it counts as shared.
const ALONE: usize = 64;

/// A subscriber's service with one ISP on one circuit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Service<'a> {
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// The line.
    pub circuit: Circuit,
    /// The ISP.
    pub isp: Asn,
    /// The one Ethernet address that may speak, if it is configured.
    pub mac: Option<MacAddr>,
    /// The plan's name.
    pub plan: Option<&'a str>,
    /// The subscriber's prefixes in the ISP's address space.
    pub prefixes: &'a [IpNet],
    /// The subscriber went to another ISP; until when what is under way still arrives.
    pub leaving: Option<Tick>,
}

/// A prefix bound to a circuit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// The line.
    pub circuit: Circuit,
    /// The ISP.
    pub isp: Asn,
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// The whole prefix, host bits zero.
    pub prefix: IpNet,
    /// The Ethernet address that is configured: the only one to believe.
    pub configured: Option<MacAddr>,
    /// The Ethernet address that packets are sent to: configured, or learned.
    pub mac: Option<MacAddr>,
    /// Whether the subscriber went to another ISP.
    pub leaving: bool,
}

/// How far a walk over all bindings or all subscribers is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    index: u32,
    prefix: u16,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.index, self.prefix)
    }
}

/// The text is no [`Place`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no place in a directory")]
pub struct PlaceError;

impl std::str::FromStr for Place {
    type Err = PlaceError;
    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (index, prefix) = text.split_once('.').ok_or(PlaceError)?;
        let index = index.parse().map_err(|_| PlaceError)?;
        Ok(Self { index, prefix: prefix.parse().map_err(|_| PlaceError)? })
    }
}

/// The subscribers of one node.
///
/// An Ethernet address is configured, or learned for a prefix by whoever speaks ARP and Neighbor Discovery, with
/// whatever care that takes; a configured one never gives way. Until a prefix has one of its own, the subscriber's other
/// prefixes on the same circuit lend it theirs: a prefix that is routed by the subscriber's own router has nobody who
/// would answer for its addresses.
#[derive(Debug)]
pub struct Directory {
    name: String,
    node: NodeFacts,
    isps: BTreeMap<Asn, String>,
    subscribers: Vec<Option<Subscriber>>,
    free_subscribers: Vec<u32>,
    services: Vec<Option<Held>>,
    free_services: Vec<u32>,
    by_name: HashTable<u32>,
    by_id: HashTable<u32>,
    hasher: RandomState,
    /// Prefixes of each ISP, which do not overlap.
    prefixes: BTreeMap<(Asn, IpNet), Entry>,
    on_circuit: BTreeSet<(Circuit, Asn, u32)>,
    /// Services with a configured Ethernet address.
    configured: BTreeSet<(Circuit, MacAddr, u32)>,
    plans: Vec<Box<str>>,
    /// When services that are leaving end.
    leaving: BTreeMap<u32, Tick>,
    ends: BTreeSet<(Tick, u32)>,
    /// Services of each ISP.
    counts: BTreeMap<Asn, u64>,
    /// Subscribers that do not fit the network file, and so are nowhere.
    unfit: BTreeMap<String, (SubscriberId, Record)>,
    next: SubscriberId,
    gateways: HashMap<IpAddr, (), RandomState>,
}

/// A subscriber, and the first of its services.
#[derive(Debug)]
struct Subscriber {
    id: SubscriberId,
    name: Box<str>,
    first: u32,
}

/// A service as it is held.
#[derive(Debug)]
struct Held {
    prefixes: Box<[IpNet]>,
    circuit: Circuit,
    isp: Asn,
    owner: u32,
    /// The subscriber's next service; [`NONE`]: there is none.
    next: u32,
    plan: u16,
    mac: Option<MacAddr>,
    /// What was learned last for any of the subscriber's prefixes on the circuit, and still holds.
    lent: Option<MacAddr>,
    leaving: bool,
}

const _: () = assert!(size_of::<Held>() <= 56, "there may be a million");

/// Stands for no service and no plan.
const NONE: u32 = u32::MAX;
/// Stands for no plan.
const NO_PLAN: u16 = u16::MAX;

/// A bound prefix.
#[derive(Clone, Copy, Debug)]
struct Entry {
    service: u32,
    learned: Option<MacAddr>,
}

impl Directory {
    /// Nobody is here yet. A node that the facts do not know takes nobody.
    pub fn new(name: &str, facts: &Facts) -> Self {
        let node = facts.nodes.get(name).cloned().unwrap_or_default();
        let gateways = node.pools.values().flatten().map(|pool| (pool.gateway, ())).collect();
        Self {
            name: name.to_owned(),
            node,
            isps: facts.isps.clone(),
            subscribers: Vec::new(),
            free_subscribers: Vec::new(),
            services: Vec::new(),
            free_services: Vec::new(),
            by_name: HashTable::new(),
            by_id: HashTable::new(),
            hasher: RandomState::default(),
            prefixes: BTreeMap::new(),
            on_circuit: BTreeSet::new(),
            configured: BTreeSet::new(),
            plans: Vec::new(),
            leaving: BTreeMap::new(),
            ends: BTreeSet::new(),
            counts: BTreeMap::new(),
            unfit: BTreeMap::new(),
            next: SubscriberId(0),
            gateways,
        }
    }

    /// The services, in no particular order.
    pub fn services(&self) -> impl Iterator<Item = Service<'_>> {
        (0..self.services.len()).filter_map(|index| self.service(index as u32))
    }

    /// How many services of an ISP there are, those that are leaving not counted.
    pub fn services_of(&self, isp: Asn) -> u64 {
        self.counts.get(&isp).copied().unwrap_or(0)
    }

    /// How many services there are.
    pub fn service_count(&self) -> usize {
        self.services.len() - self.free_services.len()
    }

    /// How many subscribers there are.
    pub fn subscriber_count(&self) -> usize {
        self.by_name.len()
    }

    /// The subscribers, in no particular order.
    pub fn subscribers(&self) -> impl Iterator<Item = (SubscriberId, &str)> {
        self.subscribers.iter().flatten().map(|subscriber| (subscriber.id, &*subscriber.name))
    }

    /// The first subscriber from this place on, and the place after it. One that comes or goes meanwhile may be seen or
    /// not, the others are seen once.
    pub fn subscriber_from(&self, place: Place) -> Option<(Place, SubscriberId, &str)> {
        let rest = self.subscribers.get(place.index as usize..)?;
        let found = rest.iter().enumerate().find_map(|(n, s)| Some((n as u32, s.as_ref()?)));
        let (ahead, subscriber) = found?;
        let after = Place { index: place.index + ahead + 1, prefix: 0 };
        Some((after, subscriber.id, &subscriber.name))
    }

    /// A subscriber's name.
    pub fn name(&self, subscriber: SubscriberId) -> Option<&str> {
        self.subscriber(self.index_of(subscriber)?).map(|subscriber| &*subscriber.name)
    }

    /// A subscriber's number.
    pub fn id(&self, name: &str) -> Option<SubscriberId> {
        self.subscriber(self.index_of_name(name)?).map(|subscriber| subscriber.id)
    }

    /// A subscriber's services.
    pub fn services_of_subscriber(&self, subscriber: SubscriberId) -> impl Iterator<Item = Service<'_>> {
        self.chain(self.index_of(subscriber)).filter_map(|index| self.service(index))
    }

    /// The number that the next new subscriber gets.
    pub fn next_id(&self) -> SubscriberId {
        self.next
    }

    /// No number below this one is given to a new subscriber.
    pub fn reserve_ids(&mut self, next: SubscriberId) {
        self.next = self.next.max(next);
    }

    /// Subscribers that are stored and do not fit the network file.
    pub fn unfit(&self) -> impl ExactSizeIterator<Item = &str> {
        self.unfit.keys().map(String::as_str)
    }

    /// A subscriber as it is stored.
    pub fn record(&self, subscriber: SubscriberId, clock: Clock) -> Option<Record> {
        let index = self.index_of(subscriber)?;
        let name = self.subscriber(index)?.name.to_string();
        let services = self.chain(Some(index)).filter_map(|index| {
            let service = self.service(index)?;
            Some(ServiceRecord {
                isp: service.isp,
                port: self.port_name(service.circuit).to_owned(),
                tags: service.circuit.tags,
                mac: service.mac,
                plan: service.plan.map(str::to_owned),
                prefixes: service.prefixes.to_vec(),
                leaving_until: service.leaving.map(|end| clock.wall_at(end)),
            })
        });
        Some(Record { name, services: services.collect() })
    }

    /// The name of a circuit's port.
    pub fn port_name(&self, circuit: Circuit) -> &str {
        let mut ports = self.node.ports.iter();
        ports.find(|(_, (port, _))| *port == circuit.port).map_or("", |(name, _)| name)
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.name
    }

    /// Everything that the forwarder should hold of subscribers.
    pub fn bindings(&self) -> impl Iterator<Item = Change> + '_ {
        let mut place = Place::default();
        std::iter::from_fn(move || {
            let (after, key, binding) = self.bound_from(place)?;
            place = after;
            Some(Change::Binding(key, Some(binding)))
        })
    }

    /// What the forwarder should hold under this name.
    pub fn bound(&self, key: &BindingKey) -> Option<Binding> {
        let entry = self.prefixes.get(&(key.prefix.isp, key.prefix.prefix))?;
        let held = self.held(entry.service).filter(|held| held.circuit == key.circuit)?;
        Some(Binding {
            subscriber: self.subscriber(held.owner)?.id,
            mac: held.mac.or(entry.learned).or(held.lent),
            verify_mac: held.mac.is_some(),
            leaving: held.leaving,
        })
    }

    /// The first binding from this place on, and the place after it. What is changed meanwhile may be seen or not.
    pub fn bound_from(&self, place: Place) -> Option<(Place, BindingKey, Binding)> {
        let mut place = place;
        loop {
            let held = self.services.get(place.index as usize)?;
            let next =
                held.as_ref().and_then(|held| Some((held, held.prefixes.get(usize::from(place.prefix))?)));
            let Some((held, prefix)) = next else {
                place = Place { index: place.index + 1, prefix: 0 };
                continue;
            };
            place.prefix += 1;
            let prefix = IspPrefix { isp: held.isp, prefix: *prefix };
            let key = BindingKey { circuit: held.circuit, prefix };
            if let Some(binding) = self.bound(&key) {
                return Some((place, key, binding));
            }
        }
    }

    /// The bindings that are leaving.
    pub fn leaving_keys(&self) -> Vec<BindingKey> {
        self.leaving.keys().flat_map(|index| self.keys(*index)).collect()
    }

    /// The prefix on this circuit that covers this address; of several ISPs', the one that the subscriber is not leaving.
    pub fn binding(&self, circuit: Circuit, address: IpAddr) -> Option<Bound> {
        let here = self.isps_on(circuit).filter_map(|isp| self.locate(isp, address));
        here.filter(|bound| bound.circuit == circuit).min_by_key(|bound| bound.leaving)
    }

    /// The prefix of this ISP that covers this address, wherever it is.
    pub fn locate(&self, isp: Asn, address: IpAddr) -> Option<Bound> {
        let (prefix, entry) = self.covering(isp, IpNet::from(address))?;
        let held = self.held(entry.service)?;
        Some(Bound {
            circuit: held.circuit,
            isp,
            subscriber: self.subscriber(held.owner)?.id,
            prefix,
            configured: held.mac,
            mac: held.mac.or(entry.learned).or(held.lent),
            leaving: held.leaving,
        })
    }

    /// Whose a frame from this Ethernet address on this circuit must be, by what is configured alone: the circuit's only
    /// service (unless another Ethernet address is configured for it), or the only one that this address is configured
    /// for. What is leaving does not count.
    pub fn station(&self, circuit: Circuit, mac: MacAddr) -> Option<Service<'_>> {
        let stays = |index: &u32| self.held(*index).is_some_and(|held| !held.leaving);
        let all =
            self.on_circuit.range((circuit, Asn(0), 0)..=(circuit, Asn(u32::MAX), NONE)).map(|(_, _, s)| *s);
        let mut few = all.clone().take(ALONE).filter(stays);
        match (few.next(), few.next(), all.clone().nth(ALONE)) {
            (Some(only), None, None) => {
                return self.service(only).filter(|service| service.mac.is_none_or(|own| own == mac));
            }
            (None, None, None) => return None,
            _ => {}
        }
        let configured = self.configured.range((circuit, mac, 0)..=(circuit, mac, NONE)).map(|(_, _, s)| *s);
        let mut configured = configured.filter(stays);
        match (configured.next(), configured.next()) {
            (Some(only), None) => self.service(only),
            _ => None,
        }
    }

    /// The ISP's pool on this node that covers this address.
    pub fn pool(&self, isp: Asn, address: IpAddr) -> Option<&Pool> {
        self.node.pools.get(&isp)?.iter().find(|pool| pool.prefix.contains(&address))
    }

    /// Whether this is the gateway of any pool of any ISP on this node.
    pub fn is_gateway(&self, address: IpAddr) -> bool {
        self.gateways.contains_key(&address)
    }

    /// The ISPs that have services on this circuit.
    fn isps_on(&self, circuit: Circuit) -> impl Iterator<Item = Asn> + '_ {
        let after = move |last: Option<Asn>| {
            let from = match last {
                None => Included((circuit, Asn(0), 0)),
                Some(last) => Excluded((circuit, last, NONE)),
            };
            let found = self.on_circuit.range((from, Unbounded)).next();
            found.filter(|(there, ..)| *there == circuit).map(|(_, isp, _)| *isp)
        };
        std::iter::successors(after(None), move |last| after(Some(*last)))
    }

    /// The entry of this ISP whose prefix covers this one.
    fn covering(&self, isp: Asn, prefix: IpNet) -> Option<(IpNet, Entry)> {
        let (&(there, found), entry) = self.prefixes.range(..=(isp, prefix)).next_back()?;
        (there == isp && found.contains(&prefix)).then_some((found, *entry))
    }

    /// The entries of this ISP that this prefix covers.
    fn within(&self, isp: Asn, prefix: IpNet) -> impl Iterator<Item = (IpNet, Entry)> + '_ {
        let from = self.prefixes.range((isp, prefix)..);
        from.take_while(move |((there, found), _)| *there == isp && prefix.contains(found))
            .map(|((_, found), entry)| (*found, *entry))
    }

    fn service(&self, index: u32) -> Option<Service<'_>> {
        let held = self.held(index)?;
        Some(Service {
            subscriber: self.subscriber(held.owner)?.id,
            circuit: held.circuit,
            isp: held.isp,
            mac: held.mac,
            plan: self.plans.get(usize::from(held.plan)).map(|plan| &**plan),
            prefixes: &held.prefixes,
            leaving: self.leaving.get(&index).copied(),
        })
    }

    fn held(&self, index: u32) -> Option<&Held> {
        self.services.get(index as usize)?.as_ref()
    }

    fn subscriber(&self, index: u32) -> Option<&Subscriber> {
        self.subscribers.get(index as usize)?.as_ref()
    }

    /// A subscriber's services, by their numbers.
    fn chain(&self, subscriber: Option<u32>) -> impl Iterator<Item = u32> + '_ {
        let first = subscriber.and_then(|index| self.subscriber(index)).map_or(NONE, |s| s.first);
        let there = |index: u32| (index != NONE).then_some(index);
        std::iter::successors(there(first), move |index| there(self.held(*index)?.next))
    }

    /// The names of a service's bindings.
    fn keys(&self, index: u32) -> impl Iterator<Item = BindingKey> + '_ {
        self.held(index).into_iter().flat_map(|held| {
            let (circuit, isp) = (held.circuit, held.isp);
            held.prefixes
                .iter()
                .map(move |prefix| BindingKey { circuit, prefix: IspPrefix { isp, prefix: *prefix } })
        })
    }

    fn index_of(&self, id: SubscriberId) -> Option<u32> {
        let found = |index: &u32| self.subscriber(*index).is_some_and(|s| s.id == id);
        self.by_id.find(self.hasher.hash_one(id), found).copied()
    }

    fn index_of_name(&self, name: &str) -> Option<u32> {
        let found = |index: &u32| self.subscriber(*index).is_some_and(|s| &*s.name == name);
        self.by_name.find(self.hasher.hash_one(name), found).copied()
    }
}
