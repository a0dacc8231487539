//! Builds the plan: namespaces, cables, addresses, routes. What is done to a node here is what the operator of a router
//! does before openmile runs on it (cables, addresses of backbone ports, the loopback address, an IGP), and no more.

use ipnet::{IpNet, Ipv4Net};

use super::place::{Place, Places};
use super::plan::{Cable, Host, HostKind, Plan, PortName};
use crate::netlink::configure::Via;
use crate::netlink::{Netlink, NetlinkError};

/// Octets that may follow the Ethernet header on the backbone: 1500 and room for labels.
const BACKBONE_MTU: u32 = 1600;

/// The place of a shared segment.
pub(super) fn segment_place(port: &PortName) -> String {
    format!("segment-{}-{}", port.node, port.port)
}

/// Makes the namespaces and connects them.
pub(super) async fn namespaces(plan: &Plan) -> Result<Places, NetlinkError> {
    let mut places = Places::default();
    for node in plan.network.nodes() {
        places.add(node.name.as_str()).await?;
    }
    for host in &plan.hosts {
        places.add(&host.name).await?;
        let namespace = &places.at(&host.name)?.namespace;
        // Whatever this machine's defaults are: an ISP is reached through either of its handoffs.
        for sysctl in ["ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter"] {
            namespace.set_sysctl(sysctl, "0")?;
        }
        // Hosts answer every probe of a traceroute, so that what is missing is a node's.
        for sysctl in ["ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"] {
            namespace.set_sysctl(sysctl, "0")?;
        }
        if host.kind == HostKind::Isp {
            for (sysctl, value) in ROUTER {
                namespace.set_sysctl(sysctl, value)?;
            }
        }
    }
    for segment in &plan.segments {
        places.add(&segment_place(segment)).await?;
        places.at(&segment_place(segment))?.netlink.add_bridge("segment").await?;
    }
    Ok(places)
}

/// An ISP's host forwards between its subscribers. That a packet leaves by the device it came by is no mistake there.
/// Like any router it spreads flows over its links and sends nothing to where there is no carrier (nor where nobody answers: `uplinks`).
const ROUTER: [(&str, &str); 6] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/fib_multipath_hash_policy", "1"),
    ("ipv6/fib_multipath_hash_policy", "1"),
];

/// Of an ISP's router's links: whoever was not heard for a second is asked, thrice, a second later. It keeps its IPv6
/// addresses while a link is down.
const ROUTER_LINK: [(&str, &str); 6] = [
    ("neigh/{}/base_reachable_time_ms", "1000"),
    ("neigh/{}/delay_first_probe_time", "1"),
    ("neigh/{}/retrans_time_ms", "300"),
    ("neigh/{}/ucast_solicit", "3"),
    ("neigh/{}/mcast_resolicit", "0"),
    ("conf/{}/ignore_routes_with_linkdown", "1"),
];

/// Lays the cables. `base` is a socket in the namespace where they are made.
pub(super) async fn cables(plan: &Plan, places: &Places, base: &Netlink) -> Result<(), NetlinkError> {
    for Cable { ends: [one, other], .. } in &plan.cables {
        connect(places, base, [(&one.node, &one.port), (&other.node, &other.port)]).await?;
        for end in [one, other] {
            let netlink = &places.at(&end.node)?.netlink;
            let index = netlink.link(&end.port).await?.index;
            netlink.set_mtu(index, BACKBONE_MTU).await?;
            netlink.set_up(index, true).await?;
        }
    }
    for segment in &plan.segments {
        let place = segment_place(segment);
        connect(places, base, [(&segment.node, &segment.port), (&place, "headend")]).await?;
        join(places, &place, "headend", false).await?;
    }
    for host in &plan.hosts {
        for (number, link) in host.links.iter().enumerate() {
            let device = device(number);
            if plan.segments.contains(&link.at) {
                let place = segment_place(&link.at);
                connect(places, base, [(&place, &host.name), (&host.name, &device)]).await?;
                join(places, &place, &host.name, true).await?;
            } else {
                connect(places, base, [(&link.at.node, &link.at.port), (&host.name, &device)]).await?;
            }
            let Place { namespace, netlink } = places.at(&host.name)?;
            if host.kind == HostKind::Isp {
                for (sysctl, value) in ROUTER_LINK {
                    let sysctl = sysctl.replace("{}", &device);
                    namespace.set_sysctl(&format!("ipv4/{sysctl}"), value)?;
                    namespace.set_sysctl(&format!("ipv6/{sysctl}"), value)?;
                }
                namespace.set_sysctl(&format!("ipv6/conf/{device}/keep_addr_on_down"), "1")?;
            }
            netlink.set_up(netlink.link(&device).await?.index, true).await?;
        }
    }
    Ok(())
}

/// Gives nodes and hosts their addresses and routes.
pub(super) async fn addresses(plan: &Plan, places: &Places) -> Result<(), NetlinkError> {
    for node in plan.network.nodes() {
        let netlink = &places.at(node.name.as_str())?.netlink;
        let lo = netlink.link("lo").await?.index;
        netlink.assign(lo, IpNet::V4(Ipv4Net::from(node.lsr_id))).await?;
        if let Some(transport) = node.transport_address().filter(|transport| *transport != node.lsr_id) {
            netlink.assign(lo, IpNet::V4(Ipv4Net::from(transport))).await?;
        }
    }
    for cable in &plan.cables {
        for (end, address) in cable.ends.iter().zip(cable.addresses) {
            let netlink = &places.at(&end.node)?.netlink;
            netlink.assign(netlink.link(&end.port).await?.index, IpNet::V4(address)).await?;
        }
    }
    for route in &plan.routes {
        let netlink = &places.at(&route.node)?.netlink;
        let mut via = Vec::new();
        for (port, gateway) in &route.via {
            via.push(Via { gateway: (*gateway).into(), index: netlink.link(port).await?.index });
        }
        netlink.add_route(IpNet::V4(Ipv4Net::from(route.to)), &via).await?;
    }
    for host in &plan.hosts {
        address_host(host, places).await?;
    }
    Ok(())
}

async fn address_host(host: &Host, places: &Places) -> Result<(), NetlinkError> {
    let netlink = &places.at(&host.name)?.netlink;
    let lo = netlink.link("lo").await?.index;
    for service in &host.services {
        netlink.assign(lo, IpNet::from(*service)).await?;
    }
    for (number, link) in host.links.iter().enumerate() {
        let index = netlink.link(&device(number)).await?.index;
        for address in &link.addresses {
            netlink.assign(index, *address).await?;
        }
    }
    for route in &host.routes {
        netlink.add_route(route.to, &via(netlink, &route.via).await?).await?;
    }
    Ok(())
}

/// Next hops by the numbers of a host's cables.
pub(super) async fn via(
    netlink: &Netlink,
    hops: &[(usize, std::net::IpAddr)],
) -> Result<Vec<Via>, NetlinkError> {
    let mut via = Vec::new();
    for (number, gateway) in hops {
        via.push(Via { gateway: *gateway, index: netlink.link(&device(*number)).await?.index });
    }
    Ok(via)
}

/// A host's device for its cable of this number.
pub(super) fn device(number: usize) -> String {
    format!("eth{number}")
}

/// Lays one cable. Both ends are down.
pub(super) async fn connect(
    places: &Places,
    base: &Netlink,
    ends: [(&str, &str); 2],
) -> Result<(), NetlinkError> {
    base.add_veth("one", "other").await?;
    for (name, (place, device)) in ["one", "other"].into_iter().zip(ends) {
        let index = base.link(name).await?.index;
        base.move_to_as(index, &places.at(place)?.namespace, device).await?;
    }
    Ok(())
}

/// Makes a device a port of the segment's bridge; subscribers' ports are isolated from each other, as in a DSLAM.
async fn join(places: &Places, place: &str, device: &str, isolated: bool) -> Result<(), NetlinkError> {
    let netlink = &places.at(place)?.netlink;
    let index = netlink.link(device).await?.index;
    netlink.set_bridge(index, netlink.link("segment").await?.index, isolated).await?;
    netlink.set_up(index, true).await
}
