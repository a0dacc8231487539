//! What an ISP's router does by itself: a link by which our node does not answer any more is taken out of its routes, and
//! put back once it does. Real ones have BFD, a routing protocol or tracked static routes for that.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures_util::StreamExt;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::MulticastGroup;

use super::build::via;
use super::place::Places;
use super::plan::{Host, HostKind, Plan};
use crate::netlink::{Netlink, NetlinkError};

/// Begins with it on every ISP's host, until the runtime ends.
pub(super) fn start(plan: &Plan, places: &Places) -> Result<(), NetlinkError> {
    for host in plan.hosts_of(HostKind::Isp) {
        let runtime = tokio::runtime::Handle::current();
        let opened = places.at(&host.name)?.namespace.run(move || {
            let _entered = runtime.enter();
            Netlink::watching(&[MulticastGroup::Neigh])
        });
        let (netlink, mut messages) = opened??;
        let host = host.clone();
        tokio::task::spawn_local(async move {
            let mut silent = BTreeSet::new();
            while let Some(message) = messages.next().await {
                let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(message)) = message.payload
                else {
                    continue;
                };
                if update(&mut silent, &message)
                    && let Err(error) = set_routes(&netlink, &host, &silent).await
                {
                    println!("  {:<12} {error}", host.name);
                }
            }
        });
    }
    Ok(())
}

/// Whether what is known changed.
fn update(silent: &mut BTreeSet<IpAddr>, message: &NeighbourMessage) -> bool {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    match (address, message.header.state) {
        (Some(address), NeighbourState::Failed) => silent.insert(address),
        (Some(address), NeighbourState::Reachable | NeighbourState::Stale) => silent.remove(&address),
        _ => false,
    }
}

async fn set_routes(netlink: &Netlink, host: &Host, silent: &BTreeSet<IpAddr>) -> Result<(), NetlinkError> {
    for route in &host.routes {
        let mut answering = route.via.clone();
        answering.retain(|(_, gateway)| !silent.contains(gateway));
        // Nothing is gained by having no route at all.
        let hops = if answering.is_empty() { &route.via } else { &answering };
        netlink.replace_route(route.to, &via(netlink, hops).await?).await?;
    }
    Ok(())
}
