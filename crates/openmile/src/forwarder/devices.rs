//! The node's ports as devices: found, taken into custody, opened, watched, given back.
//!
//! The kernel is the source of truth: whatever happens to a device, here or in the namespace for ports, ends in
//! [`Devices::reconcile`], which compares what control wants with what there is. So a device that comes late, goes away
//! or returns needs no case of its own.

use std::collections::BTreeMap;

use contract::{Generation, PortConfig, PortId, PortKind, PortState};
use futures_util::StreamExt;
use port::{AfPacket, Port, PortError};

use super::custody::{Custody, CustodyError, LOOPBACK};
use crate::netlink::link::{Link, LinkEvent, LinkEvents};
use crate::netlink::namespace::Namespace;
use crate::netlink::{Netlink, NetlinkError};

/// All ports, and the devices of both namespaces.
pub(super) struct Devices {
    custody: Custody,
    home: Place,
    ports: Place,
    wanted: BTreeMap<PortId, Wanted>,
}

/// What has come of a port.
pub(super) enum Outcome {
    /// It is open and the worker's from now on.
    Opened(PortId, Box<dyn Port>),
    /// The worker is to let go of it.
    Closed(PortId),
    /// Control and the packet path are told.
    State(PortId, PortState),
}

/// Something happened to a device.
pub(super) struct DeviceEvent {
    /// In the namespace for ports.
    inside: bool,
    /// `None`: notifications were lost.
    event: Option<LinkEvent>,
}

/// A namespace as the kernel described it last.
struct Place {
    netlink: Netlink,
    events: LinkEvents,
    links: BTreeMap<u32, Link>,
}

/// A port that control wants.
struct Wanted {
    config: PortConfig,
    generation: Generation,
    /// The number of the device that is open.
    open: Option<u32>,
    state: Option<PortState>,
}

impl Devices {
    /// Nothing wanted yet; devices that are in custody already stay there.
    pub(super) async fn new(custody: Custody) -> Result<Self, CustodyError> {
        let home = Place::watch(&custody.home).await?;
        let ports = Place::watch(&custody.ports).await?;
        Ok(Self { custody, home, ports, wanted: BTreeMap::new() })
    }

    /// A port as it should be (`None`: not at all). Its state is said in any case.
    pub(super) async fn want(
        &mut self,
        id: PortId,
        config: Option<PortConfig>,
        generation: Generation,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        match (config, self.wanted.get_mut(&id)) {
            (Some(config), Some(wanted)) if wanted.config == config => {
                wanted.generation = generation;
                outcomes.extend(wanted.state.clone().map(|state| Outcome::State(id, state)));
            }
            (config, _) => {
                self.drop_port(id, &mut outcomes).await;
                if let Some(config) = config {
                    let wanted = Wanted { config, generation, open: None, state: None };
                    self.wanted.insert(id, wanted);
                    self.reconcile(id, &mut outcomes).await;
                }
            }
        }
        outcomes
    }

    /// Gives back the ports that this generation did not name. Devices in custody that no port has go home too.
    pub(super) async fn sweep(&mut self, generation: Generation) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let stale = |(id, wanted): (&PortId, &Wanted)| (wanted.generation < generation).then_some(*id);
        let stale: Vec<_> = self.wanted.iter().filter_map(stale).collect();
        for id in stale {
            self.drop_port(id, &mut outcomes).await;
        }
        let kept = |link: &&Link| {
            link.name == LOOPBACK
                || self.wanted.values().any(|w| w.kept_in_custody() && w.config.device == link.name)
        };
        let strays: Vec<_> = self.ports.links.values().filter(|link| !kept(link)).cloned().collect();
        for link in strays {
            self.return_device(&link).await;
        }
        outcomes
    }

    /// The next thing that happens to a device of either namespace, to be [handled](Self::handle). May be cancelled.
    pub(super) async fn next(&mut self) -> DeviceEvent {
        let (inside, event) = tokio::select! {
            event = self.home.events.next() => (false, event),
            event = self.ports.events.next() => (true, event),
        };
        DeviceEvent { inside, event }
    }

    /// What follows from it.
    pub(super) async fn handle(&mut self, event: DeviceEvent) -> Result<Vec<Outcome>, CustodyError> {
        let DeviceEvent { inside, event } = event;
        let Some(event) = event else {
            // The kernel had to drop notifications: ask it for everything again.
            self.home = Place::watch(&self.custody.home).await?;
            self.ports = Place::watch(&self.custody.ports).await?;
            return Ok(self.reconcile_all().await);
        };
        let gone = match &event {
            LinkEvent::Gone { index, .. } => Some(*index),
            LinkEvent::Present(_) => None,
        };
        let names = if inside { &mut self.ports } else { &mut self.home }.note(event).await;
        let mut outcomes = Vec::new();
        let mut concerned = Vec::new();
        for (&id, wanted) in self.wanted.iter_mut().filter(|(_, w)| names.contains(&w.config.device)) {
            concerned.push(id);
            // Closed even if another device has taken the name, and perhaps the number, by now.
            if gone.is_some() && wanted.open == gone && wanted.kept_in_custody() == inside {
                wanted.open = None;
                outcomes.push(Outcome::Closed(id));
            }
        }
        for id in concerned {
            self.reconcile(id, &mut outcomes).await;
        }
        Ok(outcomes)
    }

    /// Gives all devices back and removes the namespace. The worker has closed its ports before.
    pub(super) async fn end(self) -> Result<(), CustodyError> {
        self.custody.end(&self.home.netlink, &self.ports.netlink).await
    }

    async fn reconcile_all(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for id in self.wanted.keys().copied().collect::<Vec<_>>() {
            self.reconcile(id, &mut outcomes).await;
        }
        outcomes
    }

    async fn reconcile(&mut self, id: PortId, outcomes: &mut Vec<Outcome>) {
        let Some(wanted) = self.wanted.get(&id) else { return };
        let config = wanted.config.clone();
        let found = match self.fetch(&config).await {
            Ok(found) => found,
            Err(error) => return self.say(id, PortState::Unusable(remedy(&config, &error)), outcomes),
        };
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        if wanted.open.is_some() && wanted.open != found.as_ref().map(|link| link.index) {
            wanted.open = None;
            outcomes.push(Outcome::Closed(id));
        }
        let Some(link) = found else {
            return self.say(id, PortState::Unusable(absent(&config)), outcomes);
        };
        if wanted.open.is_none() {
            match open(&self.custody, &config) {
                Ok(port) => {
                    wanted.open = Some(link.index);
                    outcomes.push(Outcome::Opened(id, port));
                }
                Err(sentence) => return self.say(id, PortState::Unusable(sentence), outcomes),
            }
        }
        let state = PortState::Open {
            mac: link.mac.unwrap_or(wire::MacAddr([0; 6])),
            mtu: link.mtu,
            carrier: link.up && link.carrier,
            backend: contract::PortBackend::AfPacket,
        };
        self.say(id, state, outcomes);
    }

    /// The port's device where it should be; one of ours that is still at home is taken in first.
    async fn fetch(&mut self, config: &PortConfig) -> Result<Option<Link>, CustodyError> {
        let at_home = self.home.named(&config.device);
        if config.kind == PortKind::Backbone {
            return Ok(at_home);
        }
        if let Some(inside) = self.ports.named(&config.device) {
            // Left down by a forwarder that was killed between the move and this.
            if !inside.up {
                ok_if_gone(self.ports.netlink.set_up(inside.index, true).await)?;
            }
            return Ok(Some(inside));
        }
        let Some(link) = at_home else { return Ok(None) };
        let (home, ports) = (&self.home.netlink, &self.ports.netlink);
        self.custody.take_in(home, ports, &link).await?;
        tracing::info!("device `{}` is taken into the namespace for ports", link.name);
        self.home.links.remove(&link.index);
        let moved = ports.link(&link.name).await?;
        self.ports.links.insert(moved.index, moved.clone());
        Ok(Some(moved))
    }

    async fn drop_port(&mut self, id: PortId, outcomes: &mut Vec<Outcome>) {
        let Some(wanted) = self.wanted.remove(&id) else { return };
        if wanted.open.is_some() {
            outcomes.push(Outcome::Closed(id));
        }
        if wanted.kept_in_custody()
            && let Some(link) = self.ports.named(&wanted.config.device)
        {
            self.return_device(&link).await;
        }
    }

    async fn return_device(&mut self, link: &Link) {
        let (home, ports) = (&self.home.netlink, &self.ports.netlink);
        if let Err(error) = self.custody.give_back(home, ports, link).await {
            tracing::error!("device `{}` cannot be given back: {error}", link.name);
            return;
        }
        self.ports.links.remove(&link.index);
    }

    fn say(&mut self, id: PortId, state: PortState, outcomes: &mut Vec<Outcome>) {
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        if matches!(state, PortState::Unusable(_)) && wanted.open.take().is_some() {
            outcomes.push(Outcome::Closed(id));
        }
        if wanted.state.as_ref() != Some(&state) {
            tracing::info!("port `{}`: {}", wanted.config.device, describe(&state));
            wanted.state = Some(state.clone());
            outcomes.push(Outcome::State(id, state));
        }
    }
}

impl Wanted {
    fn kept_in_custody(&self) -> bool {
        self.config.kind != PortKind::Backbone
    }
}

impl Place {
    async fn watch(namespace: &Namespace) -> Result<Self, NetlinkError> {
        let (netlink, events) = Netlink::watching_links_in(namespace)?;
        let links = netlink.links().await?.into_iter().map(|link| (link.index, link)).collect();
        Ok(Self { netlink, events, links })
    }

    fn named(&self, name: &str) -> Option<Link> {
        self.links.values().find(|link| link.name == name).cloned()
    }

    /// Takes note of an event; returns the names that it concerns (a device may have been renamed). A notification may
    /// be old by the time it is read, so the device is looked at again: otherwise one that was just set up would seem to
    /// go down once more.
    async fn note(&mut self, event: LinkEvent) -> Vec<String> {
        let (index, name) = match event {
            LinkEvent::Present(link) => (link.index, link.name),
            LinkEvent::Gone { index, name } => (index, name),
        };
        let before = self.links.remove(&index).map(|link| link.name);
        // On an error there is no such device any more; whatever else it is will be said when the device is used.
        if let Ok(link) = self.netlink.link(&name).await {
            self.links.insert(link.index, link);
        }
        before.into_iter().chain([name]).collect()
    }
}

fn open(custody: &Custody, config: &PortConfig) -> Result<Box<dyn Port>, String> {
    let options = AfPacket::options(&*config.device);
    let (place, options) = match config.kind {
        PortKind::Backbone => (&custody.home, options.protocol(port::Protocol::Mpls)),
        // Neighbor Solicitations for every address of a pool come to as many groups (RFC 4291 §2.7.1).
        PortKind::Access | PortKind::Handoff => (&custody.ports, options.all_multicast(true)),
    };
    let opened = place.run(|| options.open());
    match opened {
        Ok(Ok(port)) => Ok(Box::new(port)),
        Ok(Err(error @ PortError::NotPermitted)) => Err(format!("{error}: run openmile as root")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// A device that went away in the meantime is no error: the notification of it is on its way.
fn ok_if_gone(done: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match done {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        done => done,
    }
}

fn absent(config: &PortConfig) -> String {
    format!("there is no device `{}`: plug it in or create it, or correct the port's name", config.device)
}

fn remedy(config: &PortConfig, error: &CustodyError) -> String {
    match error {
        CustodyError::Netlink(NetlinkError::NoSuchLink(_)) => absent(config),
        CustodyError::Netlink(error) if error.raw_os_error() == Some(libc::EPERM) => {
            format!("device `{}` cannot be taken: {error}: run openmile as root", config.device)
        }
        error => format!("device `{}` cannot be taken: {error}", config.device),
    }
}

fn describe(state: &PortState) -> String {
    match state {
        PortState::Open { mac, mtu, carrier: true, .. } => format!("open, {mac}, MTU {mtu}"),
        PortState::Open { carrier: false, .. } => "open, no carrier".to_owned(),
        PortState::Unusable(sentence) => sentence.clone(),
    }
}
