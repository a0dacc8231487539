//! What may be against a service.

use std::net::IpAddr;

use contract::{Circuit, PortKind, Tick};
use ipnet::IpNet;

use super::Directory;
use crate::facts::Pool;
use crate::record::{Clock, Problem, ServiceRecord};

impl Directory {
    /// The circuit of a service that may be added for this subscriber, or all that is against it.
    pub(super) fn check(
        &self,
        owner: u32,
        service: &ServiceRecord,
        clock: Clock,
    ) -> Result<Circuit, Vec<Problem>> {
        let mut problems = Vec::new();
        let circuit = self.circuit(service).map_err(|problem| problems.push(problem)).ok();
        match self.pools(service) {
            Ok(pools) => {
                problems.extend(
                    service.prefixes.iter().filter_map(|prefix| self.not_in_pool(service, pools, *prefix)),
                );
                problems.extend(overlapping_itself(&service.prefixes));
                let taken = |prefix: &IpNet| self.taken(owner, service, circuit, *prefix, clock.tick);
                problems.extend(service.prefixes.iter().filter_map(taken));
            }
            Err(problem) => problems.push(problem),
        }
        if let Some(circuit) = circuit {
            problems.extend(self.same_mac(owner, service, circuit));
            problems.extend(self.same_service(owner, service, circuit));
        }
        match circuit {
            Some(circuit) if problems.is_empty() => Ok(circuit),
            _ => Err(problems),
        }
    }

    /// The circuit: the port is one of this node's and has subscribers behind it.
    fn circuit(&self, service: &ServiceRecord) -> Result<Circuit, Problem> {
        let (node, port) = (&self.name, &service.port);
        let access = || {
            let kind = |(_, kind): &(_, PortKind)| *kind == PortKind::Access;
            let names = self.node.ports.iter().filter(|(_, port)| kind(port)).map(|(name, _)| name.as_str());
            match names.collect::<Vec<_>>() {
                names if names.is_empty() => format!("{node} has no access ports"),
                names => format!("the access ports of {node} are {}", names.join(", ")),
            }
        };
        match self.node.ports.get(port) {
            Some((port, PortKind::Access)) => Ok(Circuit { port: *port, tags: service.tags }),
            Some((_, kind)) => {
                let kind = if *kind == PortKind::Backbone { "a backbone" } else { "a handoff" };
                Err(Problem::new("port", format!("port {port} of {node} is {kind} port"), access()))
            }
            None => Err(Problem::new("port", format!("{node} has no port `{port}`"), access())),
        }
    }

    fn pools(&self, service: &ServiceRecord) -> Result<&[Pool], Problem> {
        let isp = service.isp;
        if let Some(pools) = self.node.pools.get(&isp) {
            return Ok(pools);
        }
        let (message, help) = match self.isps.get(&isp) {
            Some(name) => (
                format!("{isp} ({name}) has no pools on {}", self.name),
                "add an `[[isp.headend]]` for this node to the network file".to_owned(),
            ),
            None => {
                let known: Vec<_> =
                    self.isps.iter().map(|(asn, name)| format!("{} ({name})", asn.0)).collect();
                (format!("there is no ISP {isp}"), format!("the ISPs are {}", known.join(", ")))
            }
        };
        Err(Problem::new("isp", message, help))
    }

    fn not_in_pool(&self, service: &ServiceRecord, pools: &[Pool], prefix: IpNet) -> Option<Problem> {
        let (message, help) = match not_in(pools, prefix)? {
            NotIn::Any => {
                let known: Vec<_> = pools.iter().map(|pool| pool.prefix.to_string()).collect();
                let message = format!("{prefix} is in no pool of {} on {}", service.isp, self.name);
                (message, format!("its pools here are {}", known.join(", ")))
            }
            NotIn::Gateway(gateway) => (
                format!("{prefix} holds the gateway's address {gateway}"),
                "choose addresses without the pool's gateway".to_owned(),
            ),
            NotIn::Edge(pool) => (
                format!("{} is the network or broadcast address of {pool}", prefix.addr()),
                "choose one between them".to_owned(),
            ),
        };
        Some(Problem::new("prefixes", message, help))
    }

    /// A prefix that overlaps one that is already somebody's: in the same ISP anywhere, in another ISP on this circuit.
    /// A subscriber on its way from one ISP to another may have it at both.
    fn taken(
        &self,
        owner: u32,
        service: &ServiceRecord,
        circuit: Option<Circuit>,
        prefix: IpNet,
        now: Tick,
    ) -> Option<Problem> {
        let overlapping = |isp| self.covering(isp, prefix).into_iter().chain(self.within(isp, prefix));
        let on_its_way = |index: u32| {
            self.held(index)
                .is_some_and(|held| held.owner == owner && (held.leaving || service.leaving_until.is_some()))
        };
        let (held, entry) = overlapping(service.isp).next().or_else(|| {
            let mut others = self.isps_on(circuit?).filter(|isp| *isp != service.isp).flat_map(overlapping);
            others.find(|(_, entry)| {
                self.held(entry.service).map(|held| held.circuit) == circuit && !on_its_way(entry.service)
            })
        })?;
        let holder = self.held(entry.service)?;
        let name = &self.subscriber(holder.owner)?.name;
        let left = self.leaving.get(&entry.service).map(|end| end.since(now).as_secs() + 1);
        let mut problem = match left {
            Some(left) => Problem::new(
                "prefixes",
                format!(
                    "{prefix} overlaps {held}, which {name} is leaving at {} for {left} s more",
                    holder.isp
                ),
                "wait until then, or give another address",
            ),
            None if holder.isp == service.isp => Problem::new(
                "prefixes",
                format!("{prefix} overlaps {held}, which is {name}'s with the same ISP"),
                "give each of them addresses of its own",
            ),
            None => Problem::new(
                "prefixes",
                format!(
                    "{prefix} overlaps {held}, which is {name}'s with {} on the same circuit",
                    holder.isp
                ),
                "a source address must tell the ISP: give one of them another address, or a line of its own",
            ),
        };
        problem.holder = Some((entry.service, "prefixes", format!("{held} is {name}'s")));
        Some(problem)
    }

    fn same_mac(&self, owner: u32, service: &ServiceRecord, circuit: Circuit) -> Option<Problem> {
        let mac = service.mac?;
        let mut all = self.configured.range((circuit, mac, 0)..=(circuit, mac, super::NONE));
        let (_, _, index) =
            all.find(|(_, _, index)| self.held(*index).is_some_and(|held| held.owner != owner))?;
        let name = &self.subscriber(self.held(*index)?.owner)?.name;
        let message = format!("{mac} is {name}'s on the same circuit");
        let mut problem =
            Problem::new("mac", message, "one station is one subscriber: use one name, or another address");
        problem.holder = Some((*index, "mac", format!("{name} has it")));
        Some(problem)
    }

    fn same_service(&self, owner: u32, service: &ServiceRecord, circuit: Circuit) -> Option<Problem> {
        if service.leaving_until.is_some() {
            return None;
        }
        let same = |index: &u32| {
            self.held(*index)
                .is_some_and(|held| (held.circuit, held.isp, held.leaving) == (circuit, service.isp, false))
        };
        let index = self.chain(Some(owner)).find(same)?;
        let message = format!("{} has {} on this circuit already", self.subscriber(owner)?.name, service.isp);
        let help = "write all prefixes of a service in one row, with spaces between";
        let mut problem = Problem::new("subscriber", message, help);
        problem.holder = Some((index, "subscriber", "the first row of this service".to_owned()));
        Some(problem)
    }
}

/// Why a prefix cannot be a subscriber's.
pub(super) enum NotIn {
    /// No pool has it.
    Any,
    /// It has the address of the gateway.
    Gateway(IpAddr),
    /// It is the first or last address of this pool.
    Edge(IpNet),
}

/// Why a prefix cannot be a subscriber's who has addresses of these pools.
pub(super) fn not_in(pools: &[Pool], prefix: IpNet) -> Option<NotIn> {
    let Some(pool) = pools.iter().find(|pool| pool.prefix.contains(&prefix)) else { return Some(NotIn::Any) };
    if prefix.contains(&pool.gateway) {
        return Some(NotIn::Gateway(pool.gateway));
    }
    match (prefix, pool.prefix) {
        (IpNet::V4(host), IpNet::V4(net)) if host.prefix_len() == 32 => {
            [net.network(), net.broadcast()].contains(&host.addr()).then_some(NotIn::Edge(pool.prefix))
        }
        _ => None,
    }
}

fn overlapping_itself(prefixes: &[IpNet]) -> Option<Problem> {
    let mut rest = prefixes;
    while let [first, others @ ..] = rest {
        if let Some(other) = others.iter().find(|other| first.contains(*other) || other.contains(first)) {
            let message = format!("{first} and {other} overlap");
            return Some(Problem::new("prefixes", message, "write the larger one only"));
        }
        rest = others;
    }
    None
}
