//! What an ISP's router does by itself: a link by which our node does not answer any more is taken out of its routes, and
//! put back once it does. Real ones have BFD, a routing protocol or tracked static routes for that.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;

use futures_util::StreamExt;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::MulticastGroup;
use tokio::sync::watch;

use super::build::via;
use super::place::Places;
use super::plan::{Host, HostKind, Plan};
use crate::netlink::{Netlink, NetlinkError};

/// Gateways that do not answer.
#[derive(Clone, Debug)]
pub(super) struct Uplinks(watch::Receiver<BTreeSet<IpAddr>>);

impl Uplinks {
    /// Resolves once every gateway of every ISP answers, and its router sends by all of them.
    pub(super) async fn all_used(&self) {
        // The sender lives as long as the runtime.
        _ = self.0.clone().wait_for(BTreeSet::is_empty).await;
    }
}

/// Begins with it on every ISP's host, until the runtime ends.
pub(super) fn start(plan: &Plan, places: &Places) -> Result<Uplinks, NetlinkError> {
    let (unused, uplinks) = watch::channel(BTreeSet::new());
    let unused = Rc::new(unused);
    for host in plan.hosts_of(HostKind::Isp) {
        let runtime = tokio::runtime::Handle::current();
        let opened = places.at(&host.name)?.namespace.run(move || {
            let _entered = runtime.enter();
            Netlink::watching(&[MulticastGroup::Neigh])
        });
        let (netlink, mut messages) = opened??;
        let (host, unused) = (host.clone(), unused.clone());
        tokio::task::spawn_local(async move {
            let mut silent = BTreeSet::new();
            while let Some(message) = messages.next().await {
                let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(message)) =
                    message.payload
                else {
                    continue;
                };
                let Some((gateway, answers)) = gateway(&host, &message) else { continue };
                let changed = if answers { silent.remove(&gateway) } else { silent.insert(gateway) };
                if !changed {
                    continue;
                }
                if let Err(error) = set_routes(&netlink, &host, &silent).await {
                    println!("  {:<12} {error}", host.name);
                }
                unused.send_modify(|unused| {
                    _ = if answers { unused.remove(&gateway) } else { unused.insert(gateway) };
                });
            }
        });
    }
    Ok(Uplinks(uplinks))
}

/// Which of the host's gateways a message is about, and whether it answers.
fn gateway(host: &Host, message: &NeighbourMessage) -> Option<(IpAddr, bool)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    let is_gateway =
        |address: &IpAddr| host.routes.iter().flat_map(|route| &route.via).any(|v| v.1 == *address);
    let answers = match message.header.state {
        NeighbourState::Failed => false,
        NeighbourState::Incomplete | NeighbourState::None => return None,
        _ => true,
    };
    Some((address.filter(is_gateway)?, answers))
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
