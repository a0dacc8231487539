//! The kernel's routes to host addresses.
//!
//! A prefix is asked for by itself (`RTM_GETROUTE` with `RTM_F_FIB_MATCH`), whenever anything happened that may have
//! changed it: the kernel's own choice among tables, metrics and rules is taken as it is, nexthop objects come expanded,
//! and a full table of a backbone need not be read. (Rejected: keeping a copy of the table from its notifications; the
//! kernel removes routes without one when a device goes down.)

use std::net::IpAddr;

use futures_util::StreamExt;
use netlink_packet_core::ErrorMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteType,
    RouteVia,
};
use rtnetlink::Error;

use super::{LinkIndex, Netlink, NetlinkError, family_of, host_length};

/// One next hop of a route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct NextHop {
    /// Its address; on a route without a gateway the destination itself.
    pub(crate) address: IpAddr,
    /// The device that leads there.
    pub(crate) link: LinkIndex,
}

/// A route to exactly one host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct HostRoute {
    /// The next hops whose devices can send, sorted; never empty.
    pub(crate) next_hops: Vec<NextHop>,
    /// The route's metric: lower is better.
    pub(crate) metric: u32,
}

/// The route that the kernel would take to `host`, if it is a unicast route of exactly this address with a usable next hop.
pub(crate) async fn host_route(netlink: &Netlink, host: IpAddr) -> Result<Option<HostRoute>, NetlinkError> {
    let mut request = RouteMessage::default();
    request.header.address_family = family_of(host);
    request.header.destination_prefix_length = host_length(host);
    request.header.flags = RouteFlags::FibMatch;
    request.attributes.push(RouteAttribute::Destination(host.into()));
    let mut answers = std::pin::pin!(netlink.handle().route().get(request).execute());
    let mut found = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(message) => found = found.or_else(|| usable(&message, host)),
            Err(Error::NetlinkError(error)) if is_unreachable(&error) => {}
            Err(error) => return Err(NetlinkError::of(format!("the route to {host}"), error)),
        }
    }
    Ok(found)
}

/// The host that a notification is about, if it is about exactly one.
pub(crate) fn notified_host(message: &RouteMessage) -> Option<IpAddr> {
    let host = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(destination) => address(destination),
        _ => None,
    });
    host.filter(|host| message.header.destination_prefix_length == host_length(*host))
}

/// Errors by which a look-up says that there is no route.
fn is_unreachable(error: &ErrorMessage) -> bool {
    let code = error.code.map_or(0, |code| -code.get());
    [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EACCES, libc::EINVAL, libc::ESRCH].contains(&code)
}

fn usable(message: &RouteMessage, host: IpAddr) -> Option<HostRoute> {
    if message.header.kind != RouteType::Unicast || notified_host(message) != Some(host) {
        return None;
    }
    let mut route = HostRoute::default();
    let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
    let single_dead = message.header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown);
    let mut single = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Oif(index) => single = Some(LinkIndex(*index)),
            RouteAttribute::MultiPath(hops) => {
                let alive = hops.iter().filter(|hop| !hop.flags.intersects(dead));
                route.next_hops.extend(alive.filter_map(|hop| hop_of(hop, host)));
            }
            _ => {}
        }
    }
    if let Some(link) = single.filter(|_| !single_dead)
        && let Some(address) = gateway(&message.attributes, host)
    {
        route.next_hops.push(NextHop { address, link });
    }
    route.next_hops.sort_unstable();
    route.next_hops.dedup();
    (!route.next_hops.is_empty()).then_some(route)
}

fn hop_of(hop: &RouteNextHop, host: IpAddr) -> Option<NextHop> {
    let address = gateway(&hop.attributes, host)?;
    Some(NextHop { address, link: LinkIndex(hop.interface_index) })
}

/// The gateway; the host itself where there is none; `None` where it is no address of the host's family.
// TODO-correctness(RFC 5549 §4): an IPv4 route over an IPv6 next hop (RTA_VIA) is taken for no route.
fn gateway(attributes: &[RouteAttribute], host: IpAddr) -> Option<IpAddr> {
    let given = attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(gateway) => Some(address(gateway)),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(Some(IpAddr::V4(*address))),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(Some(IpAddr::V6(*address))),
        RouteAttribute::Via(_) => Some(None),
        _ => None,
    });
    given.unwrap_or(Some(host)).filter(|gateway| gateway.is_ipv4() == host.is_ipv4())
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use netlink_packet_route::AddressFamily;

    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(10, 254, 1, 1);

    fn route(attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = 32;
        message.header.kind = RouteType::Unicast;
        message.attributes = attributes;
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(HOST)));
        message
    }

    fn via(last: u8) -> RouteAttribute {
        RouteAttribute::Gateway(RouteAddress::Inet(Ipv4Addr::new(10, 0, 0, last)))
    }

    #[test]
    fn a_multipath_route_has_the_next_hops_that_are_alive() {
        let hop = |index, last, flags| {
            let mut hop = RouteNextHop::default();
            (hop.interface_index, hop.flags, hop.attributes) = (index, flags, vec![via(last)]);
            hop
        };
        let message = route(vec![
            RouteAttribute::Priority(20),
            RouteAttribute::MultiPath(vec![
                hop(3, 6, RouteNextHopFlags::empty()),
                hop(2, 2, RouteNextHopFlags::Onlink),
                hop(4, 9, RouteNextHopFlags::Linkdown),
            ]),
        ]);
        let next_hop =
            |last, link| NextHop { address: Ipv4Addr::new(10, 0, 0, last).into(), link: LinkIndex(link) };
        let expected = HostRoute { next_hops: vec![next_hop(2, 2), next_hop(6, 3)], metric: 20 };
        assert_eq!(usable(&message, HOST.into()), Some(expected));
    }

    #[test]
    fn what_is_no_usable_host_route_is_none() {
        let single = || vec![RouteAttribute::Oif(2), via(1)];
        assert!(usable(&route(single()), HOST.into()).is_some());
        let mut covering = route(single());
        covering.header.destination_prefix_length = 24;
        let mut local = route(single());
        local.header.kind = RouteType::Local;
        let mut down = route(single());
        down.header.flags = RouteFlags::Linkdown;
        let v6 = RouteVia::Inet6(std::net::Ipv6Addr::LOCALHOST);
        let foreign = route(vec![RouteAttribute::Oif(2), RouteAttribute::Via(v6)]);
        for message in [covering, local, down, foreign, route(vec![])] {
            assert_eq!(usable(&message, HOST.into()), None, "{message:?}");
        }
    }
}
