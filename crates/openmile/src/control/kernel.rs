//! Follows what the kernel knows and LDP needs: backbone devices and their addresses, routes to FECs, and the Ethernet
//! addresses of the next hops of those routes, which it makes the kernel keep resolved.
//!
//! A task keeps what it last told and tells only differences. So whatever happens, be it lost notifications, it asks the
//! kernel again and nothing else has to be thought of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use contract::{MacAddr, PortId};
use futures_util::StreamExt;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use tokio::sync::mpsc;

use super::Input;
use crate::netlink::neighbor::{self, Resolution, Upkeep};
use crate::netlink::route::{self, HostRoute, NextHop};
use crate::netlink::{LinkIndex, Netlink, NetlinkError, Notifications, address};

/// How often next hops are used where the kernel does not keep them resolved by itself: well below the time after which
/// it may forget an entry that nobody used (gc_stale_time, 60 s).
const UPKEEP: Duration = Duration::from_secs(10);
/// Notifications looked at before the kernel is asked again.
const BATCH: usize = 1024;

/// What differs from what was told before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum KernelEvent {
    /// A backbone port; `None`: it cannot be used for LDP now.
    Interface(PortId, Option<Interface>),
    /// The route to a FEC's address.
    Route(Ipv4Addr, Option<HostRoute>),
    /// A next hop's Ethernet address; `None`: not known, or not needed any more.
    NextHop(NextHop, Option<MacAddr>),
    /// All that was known at the start has been told.
    Synced,
}

/// A backbone device that is up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Interface {
    /// Its number.
    pub(crate) link: LinkIndex,
    /// Its addresses, sorted, at least one.
    pub(crate) addresses: Vec<Ipv4Addr>,
}

/// What to follow.
#[derive(Clone, Debug)]
pub(crate) struct Interest {
    /// Backbone ports by device name.
    pub(crate) ports: BTreeMap<String, PortId>,
    /// Addresses of FECs that are not this node's own.
    pub(crate) hosts: BTreeSet<Ipv4Addr>,
}

/// Follows until the receiver is gone. Ends with an error only if the kernel refuses to be asked.
pub(crate) async fn follow(interest: Interest, inputs: mpsc::Sender<Input>) -> Result<(), NetlinkError> {
    let mut told = Told::default();
    loop {
        let (netlink, notifications) = Netlink::watching(&[
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Nexthop,
        ])?;
        let mut follower = Follower { netlink, interest: &interest, told, inputs: &inputs };
        follower.ask(&Changed::everything(&interest)).await?;
        follower.tell(KernelEvent::Synced).await;
        if !follower.watch(notifications).await? {
            return Ok(());
        }
        tracing::warn!("the kernel's notifications were lost: asking anew");
        told = follower.told;
    }
}

#[derive(Default)]
struct Told {
    interfaces: BTreeMap<PortId, Interface>,
    routes: BTreeMap<Ipv4Addr, HostRoute>,
    next_hops: BTreeMap<NextHop, Kept>,
}

struct Kept {
    mac: Option<MacAddr>,
    upkeep: Upkeep,
}

/// What notifications say may have changed.
#[derive(Default)]
struct Changed {
    devices: bool,
    hosts: BTreeSet<Ipv4Addr>,
    neighbors: Vec<Resolution>,
    lost: bool,
}

impl Changed {
    fn everything(interest: &Interest) -> Self {
        Self { devices: true, hosts: interest.hosts.clone(), ..Self::default() }
    }

    fn add(&mut self, message: NetlinkMessage<RouteNetlinkMessage>, interest: &Interest) {
        use RouteNetlinkMessage as M;
        match message.payload {
            NetlinkPayload::Overrun(_) => self.lost = true,
            NetlinkPayload::InnerMessage(M::NewRoute(route) | M::DelRoute(route)) => {
                self.hosts.extend(route::notified_host(&route).filter(|host| interest.hosts.contains(host)));
            }
            NetlinkPayload::InnerMessage(M::NewNeighbour(entry)) => {
                self.neighbors.extend(neighbor::resolution(&entry, false));
            }
            NetlinkPayload::InnerMessage(M::DelNeighbour(entry)) => {
                self.neighbors.extend(neighbor::resolution(&entry, true));
            }
            // Routes go and come with devices, addresses and nexthop objects, mostly without a word of their own.
            NetlinkPayload::InnerMessage(_) => {
                self.devices = true;
                self.hosts.clone_from(&interest.hosts);
            }
            _ => {}
        }
    }
}

struct Follower<'a> {
    netlink: Netlink,
    interest: &'a Interest,
    told: Told,
    inputs: &'a mpsc::Sender<Input>,
}

impl Follower<'_> {
    /// `false` once nobody listens any more, `true` when notifications were lost.
    async fn watch(&mut self, notifications: Notifications) -> Result<bool, NetlinkError> {
        let mut batches = notifications.ready_chunks(BATCH);
        let mut upkeep = tokio::time::interval(UPKEEP);
        loop {
            let mut changed = Changed::default();
            tokio::select! {
                batch = batches.next() => match batch {
                    Some(batch) => batch.into_iter().for_each(|message| changed.add(message, self.interest)),
                    None => changed.lost = true,
                },
                _ = upkeep.tick() => self.use_next_hops().await,
                () = self.inputs.closed() => return Ok(false),
            }
            if changed.lost {
                return Ok(true);
            }
            self.ask(&changed).await?;
        }
    }

    async fn ask(&mut self, changed: &Changed) -> Result<(), NetlinkError> {
        if changed.devices {
            self.ask_interfaces().await?;
        }
        for &host in &changed.hosts {
            let route = route::host_route(&self.netlink, host).await?;
            if self.told.routes.get(&host) != route.as_ref() {
                match route.clone() {
                    Some(route) => self.told.routes.insert(host, route),
                    None => self.told.routes.remove(&host),
                };
                self.tell(KernelEvent::Route(host, route)).await;
            }
        }
        for &resolution in &changed.neighbors {
            self.resolved(resolution).await;
        }
        if !changed.hosts.is_empty() {
            self.ask_next_hops().await?;
        }
        Ok(())
    }

    async fn ask_interfaces(&mut self) -> Result<(), NetlinkError> {
        let links = self.netlink.links().await?;
        let addresses = address::all(&self.netlink).await?;
        for (name, &port) in &self.interest.ports {
            let link = links.iter().find(|link| link.name == *name && link.up && link.carrier);
            let interface = link.and_then(|link| {
                let link = LinkIndex(link.index);
                let mut addresses: Vec<_> =
                    addresses.iter().filter(|a| a.link == link).map(|a| a.address).collect();
                addresses.sort_unstable();
                (!addresses.is_empty()).then_some(Interface { link, addresses })
            });
            if self.told.interfaces.get(&port) != interface.as_ref() {
                match interface.clone() {
                    Some(interface) => self.told.interfaces.insert(port, interface),
                    None => self.told.interfaces.remove(&port),
                };
                self.tell(KernelEvent::Interface(port, interface)).await;
            }
        }
        Ok(())
    }

    /// Keeps resolved what routes lead to, and nothing else.
    async fn ask_next_hops(&mut self) -> Result<(), NetlinkError> {
        let wanted: BTreeSet<NextHop> =
            self.told.routes.values().flat_map(|route| &route.next_hops).copied().collect();
        let gone: Vec<_> = self.told.next_hops.keys().filter(|n| !wanted.contains(n)).copied().collect();
        for next_hop in gone {
            self.told.next_hops.remove(&next_hop);
            // A device that is gone took the entry with it.
            let _ = neighbor::release(&self.netlink, next_hop).await;
            self.tell(KernelEvent::NextHop(next_hop, None)).await;
        }
        let new: Vec<_> = wanted.into_iter().filter(|n| !self.told.next_hops.contains_key(n)).collect();
        for &next_hop in &new {
            let upkeep = match neighbor::keep_resolved(&self.netlink, next_hop).await {
                Ok(upkeep) => upkeep,
                Err(error) => {
                    tracing::warn!("next hop {}: {error}", next_hop.address);
                    Upkeep::Used
                }
            };
            self.told.next_hops.insert(next_hop, Kept { mac: None, upkeep });
        }
        if !new.is_empty() {
            for resolution in neighbor::all(&self.netlink).await? {
                self.resolved(resolution).await;
            }
        }
        Ok(())
    }

    async fn resolved(&mut self, Resolution { neighbor, mac }: Resolution) {
        if let Some(kept) = self.told.next_hops.get_mut(&neighbor)
            && kept.mac != mac
        {
            kept.mac = mac;
            self.tell(KernelEvent::NextHop(neighbor, mac)).await;
        }
    }

    async fn use_next_hops(&self) {
        for (&next_hop, kept) in &self.told.next_hops {
            // One that the kernel has just forgotten is not managed any more, whatever it was.
            if kept.upkeep == Upkeep::Used || kept.mac.is_none() {
                let _ = neighbor::keep_resolved(&self.netlink, next_hop).await;
            }
        }
    }

    async fn tell(&self, event: KernelEvent) {
        // The receiver goes only when control ends.
        let _ = self.inputs.send(Input::Kernel(event)).await;
    }
}
