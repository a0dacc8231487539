//! What the lab builds: the network file's nodes, and around them what a network file does not say, namely cables, routes
//! between the nodes, and the hosts of subscribers and ISPs.

mod routes;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use contract::{Asn, PortKind};
use ipnet::{IpNet, Ipv4Net};
use miette::miette;
use network::Network;

/// The network that the lab runs: the example that documentation and tests use as well.
pub(super) const NETWORK: &str = include_str!("../../../../examples/lab.toml");
/// The line of it that makes the file of subscribers the directory.
pub(super) const SUBSCRIBERS_LINE: &str = "subscribers = \"lab-subscribers.csv\"\n";
/// Its subscribers.
pub(super) const SUBSCRIBERS: &str = include_str!("../../../../examples/lab-subscribers.csv");

/// Which backbone ports are connected; two cables between the same nodes are equal-cost paths.
const CABLES: &[[(&str, &str); 2]] = &[
    [("head1", "bb0"), ("transit1", "head0")],
    [("head1", "bb1"), ("transit1", "head1")],
    [("transit1", "tail0"), ("tail1", "bb0")],
    [("transit1", "tail1"), ("tail2", "bb0")],
    // The long way round, for when one of the two above is lost.
    [("tail1", "bb1"), ("tail2", "bb1")],
];

/// Handoff ports with a switch between them and the ISP, so that the ISP may fall silent while the port has its carrier.
const SWITCHED: &[(&str, &str)] = &[("tail1", "alpha0")];

/// What the ISPs' hosts serve beside their handoff addresses.
const SERVICES: &[(&str, &[&str])] = &[
    ("alpha", &["198.51.100.1", "2001:db8:5::1", ANYCAST]),
    ("beta", &["203.0.113.1", "2001:db8:6::1", ANYCAST]),
];

/// An address that every ISP serves itself: a packet to it shows whose network it reached.
pub(super) const ANYCAST: &str = "192.0.2.53";

/// The whole lab.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The network file.
    pub(super) network: Network,
    /// Between backbone ports.
    pub(super) cables: Vec<Cable>,
    /// The nodes' static routes, which stand in for an IGP.
    pub(super) routes: Vec<NodeRoute>,
    /// Access and handoff ports with an Ethernet switch between them and their hosts.
    pub(super) segments: Vec<PortName>,
    /// Subscribers and ISPs.
    pub(super) hosts: Vec<Host>,
}

/// A port of a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct PortName {
    /// The node.
    pub(super) node: String,
    /// The port.
    pub(super) port: String,
}

/// A cable of the backbone and the addresses at its ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cable {
    /// What it connects.
    pub(super) ends: [PortName; 2],
    /// The ends' addresses, in the same order.
    pub(super) addresses: [Ipv4Net; 2],
}

/// A static route of a node to a host address of another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NodeRoute {
    /// Whose.
    pub(super) node: String,
    /// Where to.
    pub(super) to: Ipv4Addr,
    /// By which of the node's ports and to which addresses: equal-cost next hops.
    pub(super) via: Vec<(String, Ipv4Addr)>,
}

/// A subscriber's or an ISP's host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Host {
    /// Its name.
    pub(super) name: String,
    /// Which side it is on.
    pub(super) kind: HostKind,
    /// Whose it is.
    pub(super) isp: Asn,
    /// Its cables; its device for the n-th is `eth`n.
    pub(super) links: Vec<HostLink>,
    /// Addresses on its loopback device.
    pub(super) services: Vec<IpAddr>,
    /// Its routes.
    pub(super) routes: Vec<HostRoute>,
}

/// Which side a host is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HostKind {
    /// A subscriber's.
    Subscriber,
    /// An ISP's, which forwards between its subscribers.
    Isp,
}

/// A host's cable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HostLink {
    /// Where it leads.
    pub(super) at: PortName,
    /// The host's addresses on it.
    pub(super) addresses: Vec<IpNet>,
}

/// A host's route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HostRoute {
    /// Where to.
    pub(super) to: IpNet,
    /// By which cables and to which addresses: equal next hops.
    pub(super) via: Vec<(usize, IpAddr)>,
}

impl Plan {
    /// The lab of this network and these subscribers (CSV).
    pub(super) fn new(network: Network, subscribers: &str) -> miette::Result<Self> {
        let cables: Vec<_> = CABLES.iter().enumerate().map(|(number, ends)| cable(number, ends)).collect();
        let routes = routes::between_nodes(&network, &cables);
        let mut hosts = subscriber_hosts(&network, subscribers)?;
        let shared =
            |port: &PortName, hosts: &[Host]| hosts.iter().filter(|h| h.links[0].at == *port).count() > 1;
        let mut segments: Vec<_> =
            hosts.iter().map(|host| host.links[0].at.clone()).filter(|port| shared(port, &hosts)).collect();
        segments.extend(SWITCHED.iter().map(|(node, port)| PortName::new(node, port)));
        segments.sort();
        segments.dedup();
        hosts.extend(network.isps().iter().map(isp_host));
        Ok(Self { network, cables, routes, segments, hosts })
    }

    /// The routes between the nodes while there are only these cables.
    pub(super) fn routes_over(&self, cables: &[Cable]) -> Vec<NodeRoute> {
        routes::between_nodes(&self.network, cables)
    }

    /// The node at the other end of a node's backbone port.
    pub(super) fn far_node(&self, node: &str, port: &str) -> Option<&str> {
        let is_near = |end: &PortName| end.node == node && end.port == port;
        self.cables.iter().find_map(|cable| match &cable.ends {
            [near, far] | [far, near] if is_near(near) => Some(far.node.as_str()),
            _ => None,
        })
    }

    /// The nodes that have subscribers.
    pub(super) fn headends(&self) -> BTreeSet<&str> {
        self.hosts_of(HostKind::Subscriber).map(|host| host.links[0].at.node.as_str()).collect()
    }

    /// The hosts of one side.
    pub(super) fn hosts_of(&self, kind: HostKind) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |host| host.kind == kind)
    }

    /// The ISP's own host.
    pub(super) fn isp_host(&self, isp: Asn) -> Option<&Host> {
        self.hosts_of(HostKind::Isp).find(|host| host.isp == isp)
    }

    /// The nodes' addresses towards subscribers and ISPs, gateways and handoffs, each in its ISP's address space.
    pub(super) fn edge_addresses(&self) -> Vec<(Asn, IpAddr)> {
        let isps = self.network.isps().iter();
        isps.flat_map(|isp| {
            let v4 = isp.handoffs.iter().filter_map(|h| Some(IpAddr::V4(h.ipv4?.address.addr())));
            let v6 = isp.handoffs.iter().filter_map(|h| Some(IpAddr::V6(h.ipv6?.address.addr())));
            let pools = isp.headends.iter().flat_map(|headend| &headend.pools).map(|pool| pool.gateway);
            v4.chain(v6).chain(pools).map(|address| (isp.asn, address)).collect::<Vec<_>>()
        })
        .collect()
    }

    /// Every address that is the backbone's or a node's own: no subscriber and no ISP may reach one.
    pub(super) fn backbone_addresses(&self) -> Vec<Ipv4Addr> {
        let links = self.cables.iter().flat_map(|cable| cable.addresses.map(|net| net.addr()));
        let nodes = self.network.nodes().iter().map(|node| node.lsr_id);
        let fecs = self.network.isps().iter().flat_map(|isp| {
            let handoffs = isp.handoffs.iter().map(|handoff| handoff.fec);
            handoffs.chain(isp.headends.iter().map(|headend| headend.return_address))
        });
        // The lab's backbone has IPv4 only.
        let fecs = fecs.filter_map(|fec| match fec {
            IpAddr::V4(fec) => Some(fec),
            IpAddr::V6(_) => None,
        });
        nodes.chain(links).chain(fecs).collect()
    }
}

impl Host {
    /// Its own address of a family, on its first cable or (an ISP's) its service address.
    pub(super) fn address(&self, v6: bool) -> Option<IpAddr> {
        self.addresses().find(|address| address.is_ipv6() == v6)
    }

    /// All its addresses, its services' first.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let links = self.links.iter().flat_map(|link| link.addresses.iter().map(IpNet::addr));
        self.services.iter().copied().chain(links)
    }
}

impl PortName {
    /// A port of a node.
    pub(super) fn new(node: &str, port: &str) -> Self {
        Self { node: node.to_owned(), port: port.to_owned() }
    }
}

impl std::fmt::Display for PortName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.node, self.port)
    }
}

fn cable(number: usize, ends: &[(&str, &str); 2]) -> Cable {
    let third = u8::try_from(number).unwrap_or(u8::MAX);
    let address = |last| Ipv4Net::new_assert(Ipv4Addr::new(10, 0, third, last), 30);
    Cable {
        ends: ends.map(|(node, port)| PortName { node: node.to_owned(), port: port.to_owned() }),
        addresses: [address(1), address(2)],
    }
}

/// A host per subscriber, with the first address of each of its prefixes and the pools' gateways.
fn subscriber_hosts(network: &Network, csv: &str) -> miette::Result<Vec<Host>> {
    let mut hosts = Vec::new();
    let lines = csv.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    for line in lines.skip(1) {
        let wrong = || miette!("`{line}` is no subscriber that the lab can build");
        let [name, node, port, outer, _, _, isp, prefixes] =
            <[&str; 8]>::try_from(line.split(',').map(str::trim).collect::<Vec<_>>()).map_err(|_| wrong())?;
        let isp = isp.parse::<Asn>().ok().and_then(|asn| network.isp(asn)).ok_or_else(wrong)?;
        let headend = isp.headends.iter().find(|h| h.node.as_str() == node).ok_or_else(wrong)?;
        if !outer.is_empty() {
            return Err(miette!(
                "the lab's subscribers have no VLAN tags, since not every kernel has VLAN devices"
            ));
        }
        let mut link =
            HostLink { at: PortName { node: node.to_owned(), port: port.to_owned() }, addresses: Vec::new() };
        let mut routes = Vec::new();
        for prefix in prefixes.split_whitespace() {
            let prefix =
                prefix.parse().or_else(|_| prefix.parse::<IpAddr>().map(IpNet::from)).map_err(|_| wrong())?;
            let pool = headend.pools.iter().find(|p| p.prefix.contains(&prefix)).ok_or_else(wrong)?;
            // Not an IPv6 prefix's first address, which is its routers' (RFC 4291 §2.6.1).
            let own = usize::from(prefix.addr().is_ipv6() && prefix.prefix_len() < 127);
            let address = prefix.hosts().nth(own).ok_or_else(wrong)?;
            link.addresses.push(IpNet::new(address, pool.prefix.prefix_len()).map_err(|_| wrong())?);
            routes.push(HostRoute { to: default_of(address), via: vec![(0, pool.gateway)] });
        }
        hosts.push(Host {
            name: name.to_owned(),
            kind: HostKind::Subscriber,
            isp: isp.asn,
            links: vec![link],
            services: Vec::new(),
            routes,
        });
    }
    Ok(hosts)
}

/// An ISP's host: a cable per handoff, its services, and routes to its pools by all its handoffs.
fn isp_host(isp: &network::model::Isp) -> Host {
    let link = |handoff: &network::model::Handoff| HostLink {
        at: PortName { node: handoff.node.as_str().to_owned(), port: handoff.port.as_str().to_owned() },
        addresses: handoff
            .ipv4
            .map(|v4| IpNet::V4(Ipv4Net::new_assert(v4.next_hop, v4.address.prefix_len())))
            .into_iter()
            .chain(
                handoff
                    .ipv6
                    .map(|v6| IpNet::V6(ipnet::Ipv6Net::new_assert(v6.next_hop, v6.address.prefix_len()))),
            )
            .collect(),
    };
    let gateways = |v6: bool| -> Vec<(usize, IpAddr)> {
        let gateway = |handoff: &network::model::Handoff| match v6 {
            false => handoff.ipv4.map(|v4| IpAddr::V4(v4.address.addr())),
            true => handoff.ipv6.map(|v6| IpAddr::V6(v6.address.addr())),
        };
        isp.handoffs.iter().enumerate().filter_map(|(n, handoff)| Some((n, gateway(handoff)?))).collect()
    };
    let pools = isp.headends.iter().flat_map(|headend| &headend.pools);
    let services = SERVICES.iter().find(|(name, _)| *name == isp.name.as_str()).map_or(&[][..], |s| s.1);
    Host {
        name: isp.name.as_str().to_owned(),
        kind: HostKind::Isp,
        isp: isp.asn,
        links: isp.handoffs.iter().map(link).collect(),
        services: services.iter().filter_map(|address| address.parse().ok()).collect(),
        routes: pools
            .map(|pool| HostRoute { to: pool.prefix, via: gateways(pool.gateway.is_ipv6()) })
            .collect(),
    }
}

fn default_of(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(_) => IpNet::V4(Ipv4Net::default()),
        IpAddr::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

/// The ports of a kind on a node.
pub(super) fn ports_of(
    node: &network::model::Node,
    kind: PortKind,
) -> impl Iterator<Item = &network::model::Port> {
    node.ports.iter().filter(move |port| port.kind == kind)
}
