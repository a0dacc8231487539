//! Taking a service into the directory, if nothing is against it.

use std::collections::BTreeMap;

use contract::{Asn, Circuit, PortKind, SubscriberId};
use ipnet::IpNet;

use crate::directory::{Directory, Service, ServiceIndex};
use crate::facts::Pool;
use crate::row::{Row, RowError};

impl Directory {
    /// Takes a row in, or says all that is against it; then nothing has changed.
    pub(crate) fn insert(
        &mut self,
        row: Row,
        isps: &BTreeMap<Asn, String>,
    ) -> Result<SubscriberId, Vec<RowError>> {
        let mut errors = Vec::new();
        let circuit = self.circuit(&row, &mut errors);
        if let Some(pools) = self.pools(&row, isps, &mut errors) {
            for prefix in &row.prefixes {
                errors.extend(not_in_pool(&row, pools, *prefix));
            }
            errors.extend(overlapping_itself(&row));
            for prefix in &row.prefixes {
                errors.extend(self.taken(&row, circuit, *prefix));
            }
        }
        if let Some(circuit) = circuit {
            errors.extend(self.same_mac(&row, circuit));
        }
        errors.extend(self.same_service(&row));
        match circuit {
            Some(circuit) if errors.is_empty() => Ok(self.put(row, circuit)),
            _ => Err(errors),
        }
    }

    fn put(&mut self, row: Row, circuit: Circuit) -> SubscriberId {
        let index = self.services.len() as ServiceIndex;
        let next = SubscriberId(self.names.len() as u64);
        let subscriber = *self.ids.entry_ref(row.subscriber.as_str()).or_insert(next);
        if subscriber == next {
            self.names.push(row.subscriber);
        }
        let table = self.tables.entry(row.isp).or_default();
        for prefix in &row.prefixes {
            table.insert(*prefix, index);
        }
        let isps = self.circuits.entry(circuit).or_default();
        if !isps.contains(&row.isp) {
            isps.push(row.isp);
        }
        self.stations.entry((circuit, subscriber)).or_default().services.push(index);
        let single = self.singles.entry(circuit).or_default();
        *single = (single.0 + 1, index);
        if let Some(mac) = row.mac {
            let configured = self.configured.entry((circuit, mac)).or_default();
            *configured = (configured.0 + 1, index);
        }
        let Row { isp, mac, prefixes, place, .. } = row;
        self.services.push(Service { subscriber, circuit, isp, mac, prefixes, place });
        subscriber
    }

    /// The row's circuit: the port is one of this node's and has subscribers behind it.
    fn circuit(&self, row: &Row, errors: &mut Vec<RowError>) -> Option<Circuit> {
        let access = || {
            let kind = |(_, kind): &(_, PortKind)| *kind == PortKind::Access;
            let names = self.node.ports.iter().filter(|(_, port)| kind(port)).map(|(name, _)| name.as_str());
            match names.collect::<Vec<_>>() {
                names if names.is_empty() => format!("{} has no access ports", row.node),
                names => format!("the access ports of {} are {}", row.node, names.join(", ")),
            }
        };
        match self.node.ports.get(&row.port) {
            Some((port, PortKind::Access)) => Some(Circuit { port: *port, tags: row.tags }),
            Some((_, kind)) => {
                let kind = if *kind == PortKind::Backbone { "a backbone" } else { "a handoff" };
                let message = format!("port {} of {} is {kind} port", row.port, row.node);
                errors.push(row.place.error("port", message, access()));
                None
            }
            None => {
                let message = format!("{} has no port `{}`", row.node, row.port);
                errors.push(row.place.error("port", message, access()));
                None
            }
        }
    }

    fn pools(&self, row: &Row, isps: &BTreeMap<Asn, String>, errors: &mut Vec<RowError>) -> Option<&[Pool]> {
        if let Some(pools) = self.node.pools.get(&row.isp) {
            return Some(pools);
        }
        let (message, help) = match isps.get(&row.isp) {
            Some(name) => (
                format!("{} ({name}) has no pools on {}", row.isp, row.node),
                "add an `[[isp.headend]]` for this node to the network file".to_owned(),
            ),
            None => {
                let known: Vec<_> = isps.iter().map(|(asn, name)| format!("{} ({name})", asn.0)).collect();
                (format!("there is no ISP {}", row.isp), format!("the ISPs are {}", known.join(", ")))
            }
        };
        errors.push(row.place.error("isp", message, help));
        None
    }

    /// A prefix that overlaps one that is already somebody's: in the same ISP anywhere, in another ISP on this circuit.
    fn taken(&self, row: &Row, circuit: Option<Circuit>, prefix: IpNet) -> Option<RowError> {
        let overlapping = |isp| {
            let table = self.tables.get(isp)?;
            Some(table.covering(prefix).into_iter().chain(table.within(prefix)))
        };
        let (held, entry) = overlapping(&row.isp).and_then(|mut all| all.next()).or_else(|| {
            let isps = self.circuits.get(&circuit?)?;
            let mut others = isps.iter().filter(|isp| **isp != row.isp).filter_map(overlapping).flatten();
            others.find(|(_, entry)| self.service(entry.service).map(|service| service.circuit) == circuit)
        })?;
        let holder = self.service(entry.service)?;
        let name = self.name(holder.subscriber).unwrap_or("");
        let mut error = if holder.isp == row.isp {
            row.place.error(
                "prefixes",
                format!("{prefix} overlaps {held}, which is {name}'s with the same ISP"),
                "give each of them addresses of its own".to_owned(),
            )
        } else {
            row.place.error(
                "prefixes",
                format!(
                    "{prefix} overlaps {held}, which is {name}'s with {} on the same circuit",
                    holder.isp
                ),
                "a source address must tell the ISP: give one of them another address, or a line of its own"
                    .to_owned(),
            )
        };
        error.other = Some((holder.place.field("prefixes"), format!("{held} is {name}'s")));
        Some(error)
    }

    fn same_mac(&self, row: &Row, circuit: Circuit) -> Option<RowError> {
        let mac = row.mac?;
        let (_, index) = self.configured.get(&(circuit, mac))?;
        let holder = self.service(*index)?;
        let name = self.name(holder.subscriber)?;
        if name == row.subscriber {
            return None;
        }
        let message = format!("{mac} is {name}'s on the same circuit");
        let help = "one station is one subscriber: use one name, or another address".to_owned();
        let mut error = row.place.error("mac", message, help);
        error.other = Some((holder.place.field("mac"), format!("{name} has it")));
        Some(error)
    }

    fn same_service(&self, row: &Row) -> Option<RowError> {
        let subscriber = *self.ids.get(row.subscriber.as_str())?;
        let circuit = Circuit { port: self.node.ports.get(&row.port)?.0, tags: row.tags };
        let station = self.stations.get(&(circuit, subscriber))?;
        let mut services = station.services.iter().filter_map(|index| self.service(*index));
        let holder = services.find(|service| service.isp == row.isp)?;
        let message = format!("{} has {} on this circuit already", row.subscriber, row.isp);
        let help = "write all prefixes of a service in one row, with spaces between".to_owned();
        let mut error = row.place.error("subscriber", message, help);
        error.other = Some((holder.place.field("subscriber"), "the first row of this service".to_owned()));
        Some(error)
    }
}

fn not_in_pool(row: &Row, pools: &[Pool], prefix: IpNet) -> Option<RowError> {
    let Some(pool) = pools.iter().find(|pool| pool.prefix.contains(&prefix)) else {
        let known: Vec<_> = pools.iter().map(|pool| pool.prefix.to_string()).collect();
        let message = format!("{prefix} is in no pool of {} on {}", row.isp, row.node);
        return Some(row.place.error(
            "prefixes",
            message,
            format!("its pools here are {}", known.join(", ")),
        ));
    };
    if prefix.contains(&pool.gateway) {
        let message = format!("{prefix} holds the gateway's address {}", pool.gateway);
        let help = "choose addresses without the pool's gateway".to_owned();
        return Some(row.place.error("prefixes", message, help));
    }
    let edge = match (prefix, pool.prefix) {
        (IpNet::V4(host), IpNet::V4(pool)) if host.prefix_len() == 32 => {
            [pool.network(), pool.broadcast()].contains(&host.addr())
        }
        _ => false,
    };
    edge.then(|| {
        let message = format!("{} is the network or broadcast address of {}", prefix.addr(), pool.prefix);
        row.place.error("prefixes", message, "choose one between them".to_owned())
    })
}

fn overlapping_itself(row: &Row) -> Option<RowError> {
    let mut rest = row.prefixes.as_slice();
    while let [first, others @ ..] = rest {
        if let Some(other) = others.iter().find(|other| first.contains(*other) || other.contains(first)) {
            let message = format!("{first} and {other} overlap");
            return Some(row.place.error("prefixes", message, "write the larger one only".to_owned()));
        }
        rest = others;
    }
    None
}
