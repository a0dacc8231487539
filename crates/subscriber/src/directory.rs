//! Who is where: look-ups and learned Ethernet addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use contract::{Asn, Binding, BindingKey, Change, Circuit, IspPrefix, MacAddr, SubscriberId};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use crate::facts::{Facts, NodeFacts, Pool};
use crate::row::{RowError, RowPlace, parse_lossy};

/// A subscriber's service with one ISP on one circuit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// The line.
    pub circuit: Circuit,
    /// The ISP.
    pub isp: Asn,
    /// The one Ethernet address that may speak, if it is configured.
    pub mac: Option<MacAddr>,
    /// The subscriber's prefixes in the ISP's address space.
    pub prefixes: Vec<IpNet>,
    pub(crate) place: RowPlace,
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
}

/// The subscribers of one node.
///
/// An Ethernet address is configured, or learned for a prefix by whoever speaks ARP and Neighbor Discovery, with
/// whatever care that takes; a configured one never gives way. Until a prefix has one of its own, the subscriber's other
/// prefixes on the same circuit lend it theirs: a prefix that is routed by the subscriber's own router has nobody who
/// would answer for its addresses.
#[derive(Debug)]
pub struct Directory {
    pub(crate) node: NodeFacts,
    pub(crate) names: Vec<String>,
    pub(crate) ids: HashMap<String, SubscriberId, RandomState>,
    pub(crate) services: Vec<Service>,
    pub(crate) tables: HashMap<Asn, Table, RandomState>,
    pub(crate) circuits: HashMap<Circuit, Vec<Asn>, RandomState>,
    pub(crate) stations: HashMap<(Circuit, SubscriberId), Station, RandomState>,
    /// How many services a circuit has, and the last of them.
    pub(crate) singles: HashMap<Circuit, (u32, ServiceIndex), RandomState>,
    /// The subscriber of a configured Ethernet address.
    pub(crate) configured: HashMap<(Circuit, MacAddr), (u32, ServiceIndex), RandomState>,
    gateways: HashMap<IpAddr, (), RandomState>,
}

/// How far a walk over all bindings is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    service: ServiceIndex,
    prefix: u16,
}

/// A place in the list of services.
pub(crate) type ServiceIndex = u32;

/// The bound prefixes of one ISP; they do not overlap.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) ipv4: PrefixMap<Ipv4Net, Entry>,
    pub(crate) ipv6: PrefixMap<Ipv6Net, Entry>,
}

/// A bound prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) service: ServiceIndex,
    learned: Option<MacAddr>,
}

/// A subscriber on a circuit, whichever the ISP.
#[derive(Debug, Default)]
pub(crate) struct Station {
    pub(crate) services: Vec<ServiceIndex>,
    /// What was learned last for any of its prefixes, and still holds.
    learned: Option<MacAddr>,
}

impl Directory {
    /// Nobody is here yet. A node that the facts do not know takes nobody.
    pub fn new(node: &str, facts: &Facts) -> Self {
        let node = facts.nodes.get(node).cloned().unwrap_or_default();
        let gateways = node.pools.values().flatten().map(|pool| (pool.gateway, ())).collect();
        Self {
            node,
            names: Vec::new(),
            ids: HashMap::default(),
            services: Vec::new(),
            tables: HashMap::default(),
            circuits: HashMap::default(),
            stations: HashMap::default(),
            singles: HashMap::default(),
            configured: HashMap::default(),
            gateways,
        }
    }

    /// A node's subscribers from a file. The whole file must be right, for other nodes' rows too: half a directory
    /// would cut subscribers off without a word.
    pub fn load(node: &str, text: &str, facts: &Facts) -> Result<Self, Vec<RowError>> {
        let mut all = load_all(text, facts)?;
        Ok(all.remove(node).unwrap_or_else(|| Self::new(node, facts)))
    }

    /// The services, in the order in which they came.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &Service> {
        self.services.iter()
    }

    /// The subscribers, in the order of their numbers.
    pub fn subscribers(&self) -> impl ExactSizeIterator<Item = (SubscriberId, &str)> {
        self.names.iter().enumerate().map(|(index, name)| (SubscriberId(index as u64), name.as_str()))
    }

    /// A subscriber's name.
    pub fn name(&self, subscriber: SubscriberId) -> Option<&str> {
        self.names.get(usize::try_from(subscriber.0).ok()?).map(String::as_str)
    }

    /// A subscriber's number.
    pub fn id(&self, name: &str) -> Option<SubscriberId> {
        self.ids.get(name).copied()
    }

    /// Everything that the forwarder should hold of subscribers.
    pub fn bindings(&self) -> impl Iterator<Item = Change> + '_ {
        self.services.iter().flat_map(move |service| {
            service.prefixes.iter().filter_map(move |prefix| self.change(service.isp, *prefix))
        })
    }

    /// What the forwarder should hold under this name.
    pub fn bound(&self, key: &BindingKey) -> Option<Binding> {
        match self.change(key.prefix.isp, key.prefix.prefix)? {
            Change::Binding(found, binding) if found == *key => binding,
            _ => None,
        }
    }

    /// The first binding from this place on, and the place after it. What is changed meanwhile may be seen or not.
    pub fn bound_from(&self, place: Place) -> Option<(Place, BindingKey, Binding)> {
        let mut place = place;
        loop {
            let service = self.service(place.service)?;
            let Some(prefix) = service.prefixes.get(usize::from(place.prefix)) else {
                place = Place { service: place.service + 1, prefix: 0 };
                continue;
            };
            place.prefix += 1;
            if let Some(Change::Binding(key, Some(binding))) = self.change(service.isp, *prefix) {
                return Some((place, key, binding));
            }
        }
    }

    /// The bindings that are leaving.
    pub fn leaving_keys(&self) -> Vec<BindingKey> {
        Vec::new()
    }

    /// The prefix on this circuit that covers this address.
    pub fn binding(&self, circuit: Circuit, address: IpAddr) -> Option<Bound> {
        let isps = self.circuits.get(&circuit)?;
        isps.iter().find_map(|isp| self.locate(*isp, address).filter(|bound| bound.circuit == circuit))
    }

    /// The prefix of this ISP that covers this address, wherever it is.
    pub fn locate(&self, isp: Asn, address: IpAddr) -> Option<Bound> {
        let (prefix, entry) = self.tables.get(&isp)?.covering(IpNet::from(address))?;
        let service = self.service(entry.service)?;
        Some(Bound {
            circuit: service.circuit,
            isp,
            subscriber: service.subscriber,
            prefix,
            configured: service.mac,
            mac: self.mac(service, &entry),
        })
    }

    /// Whose a frame from this Ethernet address on this circuit must be, by what is configured alone: the circuit's only
    /// service (unless another Ethernet address is configured for it), or the only one that this address is configured
    /// for.
    pub fn station(&self, circuit: Circuit, mac: MacAddr) -> Option<&Service> {
        if let Some((1, only)) = self.singles.get(&circuit) {
            return self.service(*only).filter(|service| service.mac.is_none_or(|own| own == mac));
        }
        match self.configured.get(&(circuit, mac))? {
            (1, only) => self.service(*only),
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

    /// An Ethernet address was learned for a bound prefix, or in the place of another: what the forwarder should now
    /// hold. Nothing for a prefix that is not bound here or whose Ethernet address is configured.
    pub fn learned(&mut self, circuit: Circuit, prefix: IpNet, mac: MacAddr) -> Vec<Change> {
        self.relearn(circuit, prefix, |learned| *learned = Some(mac), |shared, _| *shared = Some(mac))
    }

    /// A learned Ethernet address answers no more: what the forwarder should now hold.
    pub fn lost(&mut self, circuit: Circuit, prefix: IpNet, mac: MacAddr) -> Vec<Change> {
        let forget = |learned: &mut Option<MacAddr>| *learned = learned.filter(|held| *held != mac);
        self.relearn(circuit, prefix, forget, |shared, others| {
            if *shared == Some(mac) {
                *shared = others;
            }
        })
    }

    /// Takes over an Ethernet address that the forwarder held when this process began, before any is learned: like
    /// [`Self::learned`], without telling the forwarder what it knows.
    pub fn restore(&mut self, key: &BindingKey, mac: MacAddr) {
        if self.exact(key.prefix).is_some_and(|(service, _)| service.circuit == key.circuit) {
            self.learned(key.circuit, key.prefix.prefix, mac);
        }
    }

    /// What the forwarder should hold for a prefix.
    fn change(&self, isp: Asn, prefix: IpNet) -> Option<Change> {
        let key = IspPrefix { isp, prefix };
        let (service, entry) = self.exact(key)?;
        let binding = Binding {
            subscriber: service.subscriber,
            mac: self.mac(service, &entry),
            verify_mac: service.mac.is_some(),
            leaving: false,
        };
        Some(Change::Binding(BindingKey { circuit: service.circuit, prefix: key }, Some(binding)))
    }

    /// Changes what is learned for a prefix, then for its station (which is given what its other prefixes have learned),
    /// and says what is different now.
    fn relearn(
        &mut self,
        circuit: Circuit,
        prefix: IpNet,
        own: impl FnOnce(&mut Option<MacAddr>),
        shared: impl FnOnce(&mut Option<MacAddr>, Option<MacAddr>),
    ) -> Vec<Change> {
        let isps = self.circuits.get(&circuit).map_or(&[][..], Vec::as_slice);
        let here = isps.iter().find_map(|isp| {
            let (service, _) = self.exact(IspPrefix { isp: *isp, prefix })?;
            (service.circuit == circuit && service.mac.is_none()).then_some((*isp, service.subscriber))
        });
        let Some((isp, subscriber)) = here else { return Vec::new() };
        let before = self.station_bindings(circuit, subscriber);
        if let Some(entry) = self.tables.get_mut(&isp).and_then(|table| table.exact_mut(prefix)) {
            own(&mut entry.learned);
        }
        let others = self.station_prefixes(circuit, subscriber).find_map(|(_, _, entry)| entry.learned);
        if let Some(station) = self.stations.get_mut(&(circuit, subscriber)) {
            shared(&mut station.learned, others);
        }
        let after = self.station_bindings(circuit, subscriber);
        after.into_iter().filter(|change| !before.contains(change)).collect()
    }

    fn station_bindings(&self, circuit: Circuit, subscriber: SubscriberId) -> Vec<Change> {
        self.station_prefixes(circuit, subscriber)
            .filter_map(|(isp, prefix, _)| self.change(isp, prefix))
            .collect()
    }

    fn station_prefixes(
        &self,
        circuit: Circuit,
        subscriber: SubscriberId,
    ) -> impl Iterator<Item = (Asn, IpNet, Entry)> + '_ {
        let services = self.stations.get(&(circuit, subscriber)).map_or(&[][..], |s| s.services.as_slice());
        services.iter().filter_map(|index| self.service(*index)).flat_map(|service| {
            service.prefixes.iter().filter_map(|prefix| {
                let (_, entry) = self.exact(IspPrefix { isp: service.isp, prefix: *prefix })?;
                Some((service.isp, *prefix, entry))
            })
        })
    }

    fn mac(&self, service: &Service, entry: &Entry) -> Option<MacAddr> {
        let shared = || self.stations.get(&(service.circuit, service.subscriber))?.learned;
        service.mac.or(entry.learned).or_else(shared)
    }

    fn exact(&self, key: IspPrefix) -> Option<(&Service, Entry)> {
        let (prefix, entry) = self.tables.get(&key.isp)?.covering(key.prefix)?;
        (prefix == key.prefix).then_some((self.service(entry.service)?, entry))
    }

    pub(crate) fn service(&self, index: ServiceIndex) -> Option<&Service> {
        self.services.get(usize::try_from(index).ok()?)
    }
}

impl Table {
    /// The entry whose prefix covers this one.
    pub(crate) fn covering(&self, prefix: IpNet) -> Option<(IpNet, Entry)> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.get_lpm(&prefix).map(|(found, entry)| (found.into(), *entry)),
            IpNet::V6(prefix) => self.ipv6.get_lpm(&prefix).map(|(found, entry)| (found.into(), *entry)),
        }
    }

    /// The entries that this prefix covers.
    pub(crate) fn within(&self, prefix: IpNet) -> Box<dyn Iterator<Item = (IpNet, Entry)> + '_> {
        match prefix {
            IpNet::V4(prefix) => Box::new(self.ipv4.children(&prefix).map(|(p, entry)| (p.into(), *entry))),
            IpNet::V6(prefix) => Box::new(self.ipv6.children(&prefix).map(|(p, entry)| (p.into(), *entry))),
        }
    }

    pub(crate) fn insert(&mut self, prefix: IpNet, service: ServiceIndex) {
        let entry = Entry { service, learned: None };
        match prefix {
            IpNet::V4(prefix) => drop(self.ipv4.insert(prefix, entry)),
            IpNet::V6(prefix) => drop(self.ipv6.insert(prefix, entry)),
        }
    }

    fn exact_mut(&mut self, prefix: IpNet) -> Option<&mut Entry> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.get_mut(&prefix),
            IpNet::V6(prefix) => self.ipv6.get_mut(&prefix),
        }
    }
}

/// Every node's directory from one file.
pub(crate) fn load_all(text: &str, facts: &Facts) -> Result<BTreeMap<String, Directory>, Vec<RowError>> {
    let (rows, mut errors) = parse_lossy(text);
    let mut directories = BTreeMap::<String, Directory>::new();
    for row in rows {
        if !facts.nodes.contains_key(&row.node) {
            let known: Vec<_> = facts.nodes.keys().map(String::as_str).collect();
            let message = format!("there is no node `{}`", row.node);
            let help = format!("the nodes of the network file are {}", known.join(", "));
            errors.push(row.place.error("node", message, help));
            continue;
        }
        let directory =
            directories.entry(row.node.clone()).or_insert_with(|| Directory::new(&row.node, facts));
        if let Err(found) = directory.insert(row, &facts.isps) {
            errors.extend(found);
        }
    }
    errors.sort_by_key(|error| error.span.start);
    if errors.is_empty() { Ok(directories) } else { Err(errors) }
}
