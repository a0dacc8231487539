//! What the kernel says of the backbone: devices, routes, next hops.

use std::time::Duration;

use super::*;

/// Between two attempts to open a socket that could not be opened: at first this, then twice as long each time …
const MIN_RETRY: Duration = Duration::from_secs(1);
/// … up to this.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// A port whose socket for Hellos could not be opened.
#[derive(Debug)]
pub(super) struct Unopened {
    interface: Interface,
    /// When it is tried again.
    pub(super) due: Tick,
    wait: Duration,
}

impl Node {
    pub(super) fn kernel_said(&mut self, now: Tick, event: KernelEvent) {
        match event {
            KernelEvent::Interface(port, interface) => {
                self.interface(now, port, interface);
                self.news.all = true;
            }
            KernelEvent::Route(host, route) => {
                let hops: Vec<_> = route.iter().flat_map(|route| &route.next_hops).collect();
                let hops: Vec<_> = hops
                    .into_iter()
                    .map(|hop| ldp::NextHop { interface: InterfaceId(hop.link.0), address: hop.address })
                    .collect();
                self.speaker.handle_route(now, IpNet::from(host), &hops);
                self.news.fecs.insert(Fec(IpNet::from(host)));
                match route {
                    Some(route) => self.kernel.routes.insert(host, route),
                    None => self.kernel.routes.remove(&host),
                };
            }
            KernelEvent::NextHop(hop, mac) => {
                let next_hop = ldp::NextHop { interface: InterfaceId(hop.link.0), address: hop.address };
                self.speaker.handle_next_hop(now, next_hop, mac.is_some());
                self.news.all = true;
                match mac {
                    Some(mac) => self.kernel.macs.insert(hop, mac),
                    None => self.kernel.macs.remove(&hop),
                };
            }
            KernelEvent::Synced => {}
        }
    }

    pub(super) fn interface(&mut self, now: Tick, port: PortId, interface: Option<Interface>) {
        let before = self.kernel.interfaces.get(&port).map(|interface| interface.link);
        if let Some(LinkIndex(gone)) = before.filter(|link| interface.as_ref().map(|i| i.link) != Some(*link))
        {
            self.speaker.handle_interface_down(now, InterfaceId(gone));
            self.io.close_interface(InterfaceId(gone));
            self.kernel.interfaces.remove(&port);
            tracing::info!("backbone port {} is down", self.port_name(port));
        }
        match interface {
            Some(interface) => self.open_interface(now, port, interface),
            None => drop(self.unopened.remove(&port)),
        }
    }

    fn open_interface(&mut self, now: Tick, port: PortId, interface: Interface) {
        let (id, name) = (InterfaceId(interface.link.0), self.port_name(port));
        if let Err(error) = self.io.open_interface(id, &name) {
            let wait = match self.unopened.get(&port) {
                Some(unopened) => (unopened.wait * 2).min(MAX_RETRY),
                None => {
                    let said = format!("no LDP on {name} for now: its socket cannot be opened: {error}");
                    self.events.alarm(said);
                    MIN_RETRY
                }
            };
            self.unopened.insert(port, Unopened { interface, due: now + wait, wait });
            return;
        }
        self.unopened.remove(&port);
        if self.kernel.interfaces.get(&port).map(|known| known.link) != Some(interface.link) {
            tracing::info!("backbone port {name} is up with {:?}", interface.addresses);
        }
        self.speaker.handle_interface_up(now, id, &name, &interface.addresses);
        self.kernel.interfaces.insert(port, interface);
        self.news.all = true;
    }

    /// Tries again what could not be opened.
    pub(super) fn open_interfaces(&mut self, now: Tick) {
        let due = self.unopened.iter().filter(|(_, unopened)| unopened.due <= now);
        let due: Vec<_> = due.map(|(port, unopened)| (*port, unopened.interface.clone())).collect();
        for (port, interface) in due {
            self.open_interface(now, port, interface);
        }
    }
}
