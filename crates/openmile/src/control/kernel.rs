//! Follows what the kernel knows and LDP needs: backbone devices and their addresses, routes to FECs, and the Ethernet
//! addresses of the next hops of those routes, which it makes the kernel keep resolved.
//!
//! A task keeps what it last told and tells only differences. So whatever happens, be it lost notifications, it asks the
//! kernel again and nothing else has to be thought of.
//!
//! A neighbour that dies while its link stays up is noticed within [`UPKEEP`] and the three seconds of the kernel's probes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use contract::{MacAddr, PortId, PortKind};
use futures_util::StreamExt;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use network::NodeView;
use rtnetlink::MulticastGroup;
use tokio::sync::{mpsc, watch};

use super::Input;
use crate::netlink::neighbor::{self, Resolution};
use crate::netlink::route::{self, HostRoute, NextHop};
use crate::netlink::{LinkIndex, Netlink, NetlinkError, Notifications, address};

/// How often next hops are asked whether they are still there. An ARP request each second to each backbone neighbour is
/// next to nothing, and to ask more often would gain little: the kernel takes three seconds to give one up.
const UPKEEP: Duration = Duration::from_secs(1);
/// How many such times a next hop is followed to which no route leads any more: for as long as LDP may keep packets on the
/// way that they had (15 s), and a little longer.
const LINGER: u32 = 20;
/// The shortest time between two occasions on which the kernel is asked for everything.
const RESYNC: Duration = Duration::from_secs(1);
/// The shortest time between two warnings of lost notifications.
const WARNING: Duration = Duration::from_secs(60);
/// Notifications looked at before the kernel is asked again.
const BATCH: usize = 1024;

/// What differs from what was told before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum KernelEvent {
    /// A backbone port; `None`: it cannot be used for LDP now.
    Interface(PortId, Option<Interface>),
    /// The route to a FEC's address.
    Route(IpAddr, Option<HostRoute>),
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
    /// Its addresses that LDP is spoken over, sorted, at least one.
    pub(crate) addresses: Vec<IpAddr>,
}

/// What to follow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Interest {
    /// Backbone ports by device name.
    pub(crate) ports: BTreeMap<String, PortId>,
    /// Addresses of FECs that are not this node's own.
    pub(crate) hosts: BTreeSet<IpAddr>,
    /// Whether devices' IPv4 addresses are.
    pub(crate) ipv4: bool,
    /// Whether devices' IPv6 addresses are.
    pub(crate) ipv6: bool,
}

impl Interest {
    /// What a node of this view follows.
    pub(crate) fn of(view: &NodeView) -> Self {
        let own = view.own_fecs();
        let hosts = view.fecs.keys().filter(|fec| !own.contains(fec)).map(|fec| fec.0.addr());
        let ports = view.ports_of(PortKind::Backbone).map(|(id, port)| (port.name.as_str().to_owned(), id));
        Self {
            ports: ports.collect(),
            hosts: hosts.collect(),
            ipv4: view.transport_address.is_some(),
            ipv6: view.transport_address_v6.is_some(),
        }
    }
}

/// Follows until the receiver is gone. Ends with an error only if the kernel refuses to be asked. What is of interest may
/// change; what stays of interest is not told again.
pub(crate) async fn follow(
    mut interest: watch::Receiver<Interest>,
    inputs: mpsc::Sender<Input>,
) -> Result<(), NetlinkError> {
    let mut told = Told::default();
    let mut resyncs = tokio::time::interval(RESYNC);
    resyncs.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut warned, mut losses) = (None, 0);
    loop {
        // At once, unless the last time was just now: where so much happens that notifications are lost, asking for
        // everything again and again would only add to it.
        let at = resyncs.tick().await;
        if losses > 0 && warned.is_none_or(|warned| at.duration_since(warned) >= WARNING) {
            tracing::warn!("the kernel's notifications were lost {losses} times: everything is asked anew");
            (warned, losses) = (Some(at), 0);
        }
        let (netlink, notifications) = Netlink::watching(&[
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Nexthop,
        ])?;
        let mut follower =
            Follower { netlink, interest: Interest::default(), wanted: &mut interest, told, inputs: &inputs };
        follower.ask_all().await?;
        follower.ask_resolutions().await?;
        follower.tell(KernelEvent::Synced).await;
        if !follower.watch(notifications).await? {
            return Ok(());
        }
        losses += 1;
        told = follower.told;
    }
}

#[derive(Default)]
struct Told {
    interfaces: BTreeMap<PortId, Interface>,
    routes: BTreeMap<IpAddr, HostRoute>,
    next_hops: BTreeMap<NextHop, Kept>,
}

#[derive(Default)]
struct Kept {
    mac: Option<MacAddr>,
    /// Whether there is nothing to ask it.
    fixed: bool,
    /// How often it was asked since no route led there any more.
    unwanted: u32,
}

/// What notifications say may have changed.
#[derive(Default)]
struct Changed {
    devices: bool,
    /// All hosts, whichever are named.
    everywhere: bool,
    hosts: BTreeSet<IpAddr>,
    neighbors: Vec<Resolution>,
    lost: bool,
}

impl Changed {
    fn everything() -> Self {
        Self { devices: true, everywhere: true, ..Self::default() }
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
                self.everywhere = true;
            }
            _ => {}
        }
    }
}

struct Follower<'a> {
    netlink: Netlink,
    interest: Interest,
    wanted: &'a mut watch::Receiver<Interest>,
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
            let mut others = false;
            tokio::select! {
                batch = batches.next() => match batch {
                    Some(batch) => batch.into_iter().for_each(|message| changed.add(message, &self.interest)),
                    None => changed.lost = true,
                },
                _ = upkeep.tick() => self.upkeep().await,
                Ok(()) = self.wanted.changed() => others = true,
                () = self.inputs.closed() => return Ok(false),
            }
            if changed.lost {
                return Ok(true);
            }
            if others {
                self.ask_all().await?;
            }
            self.ask(&changed).await?;
        }
    }

    /// Asks for all that is of interest now, and says of what is not any more that it is not there.
    async fn ask_all(&mut self) -> Result<(), NetlinkError> {
        self.interest = self.wanted.borrow_and_update().clone();
        let ports: BTreeSet<_> = self.interest.ports.values().copied().collect();
        let gone: Vec<_> =
            self.told.interfaces.keys().filter(|port| !ports.contains(port)).copied().collect();
        for port in gone {
            self.told.interfaces.remove(&port);
            self.tell(KernelEvent::Interface(port, None)).await;
        }
        let hosts = &self.interest.hosts;
        let gone: Vec<_> = self.told.routes.keys().filter(|host| !hosts.contains(host)).copied().collect();
        for host in gone {
            self.told.routes.remove(&host);
            self.tell(KernelEvent::Route(host, None)).await;
        }
        self.ask(&Changed::everything()).await?;
        self.ask_next_hops().await
    }

    async fn ask(&mut self, changed: &Changed) -> Result<(), NetlinkError> {
        if changed.devices {
            self.ask_interfaces().await?;
        }
        let all = if changed.everywhere { self.interest.hosts.clone() } else { BTreeSet::new() };
        let hosts = if changed.everywhere { &all } else { &changed.hosts };
        for &host in hosts {
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
        if !hosts.is_empty() {
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
                let wanted = |address: &IpAddr| match address {
                    IpAddr::V4(_) => self.interest.ipv4,
                    IpAddr::V6(_) => self.interest.ipv6,
                };
                let there = addresses.iter().filter(|a| a.link == link).map(|a| a.address);
                let mut addresses: Vec<_> = there.filter(wanted).collect();
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

    /// Follows what routes lead to, and for a while what they led to.
    async fn ask_next_hops(&mut self) -> Result<(), NetlinkError> {
        let wanted: BTreeSet<NextHop> =
            self.told.routes.values().flat_map(|route| &route.next_hops).copied().collect();
        for (next_hop, kept) in &mut self.told.next_hops {
            kept.unwanted = if wanted.contains(next_hop) { 0 } else { kept.unwanted.max(1) };
        }
        let new: Vec<_> = wanted.into_iter().filter(|n| !self.told.next_hops.contains_key(n)).collect();
        for &next_hop in &new {
            if let Err(error) = neighbor::ask(&self.netlink, next_hop, false).await {
                tracing::warn!("next hop {}: {error}", next_hop.address);
            }
            self.told.next_hops.insert(next_hop, Kept::default());
        }
        if new.is_empty() { Ok(()) } else { self.ask_resolutions().await }
    }

    /// The Ethernet addresses of all next hops as they are now.
    async fn ask_resolutions(&mut self) -> Result<(), NetlinkError> {
        let all: BTreeMap<_, _> =
            neighbor::all(&self.netlink).await?.into_iter().map(|r| (r.neighbor, r)).collect();
        for neighbor in self.told.next_hops.keys().copied().collect::<Vec<_>>() {
            let unknown = Resolution { neighbor, mac: None, fixed: false };
            self.resolved(all.get(&neighbor).copied().unwrap_or(unknown)).await;
        }
        Ok(())
    }

    async fn resolved(&mut self, Resolution { neighbor, mac, fixed }: Resolution) {
        if let Some(kept) = self.told.next_hops.get_mut(&neighbor) {
            kept.fixed = fixed;
            if kept.mac != mac {
                kept.mac = mac;
                self.tell(KernelEvent::NextHop(neighbor, mac)).await;
            }
        }
    }

    /// Asks next hops whether they are still there, and forgets those to which no route has led for a while.
    async fn upkeep(&mut self) {
        let mut forgotten = Vec::new();
        for (&next_hop, kept) in &mut self.told.next_hops {
            if kept.unwanted > 0 {
                kept.unwanted += 1;
            }
            if kept.unwanted > LINGER {
                forgotten.push(next_hop);
            } else if !kept.fixed {
                // What became of it a notification says; one whose device is gone cannot be asked.
                let _ = neighbor::ask(&self.netlink, next_hop, kept.mac.is_some()).await;
            }
        }
        for next_hop in forgotten {
            self.told.next_hops.remove(&next_hop);
            self.tell(KernelEvent::NextHop(next_hop, None)).await;
        }
    }

    async fn tell(&self, event: KernelEvent) {
        // The receiver goes only when control ends.
        let _ = self.inputs.send(Input::Kernel(event)).await;
    }
}
