//! Network devices.

use std::os::fd::{AsFd, AsRawFd};

use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkUnspec, LinkVeth, MulticastGroup};
use wire::MacAddr;

use super::namespace::Namespace;
use super::{Netlink, NetlinkError};

/// A device as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number in this namespace; it may change with a move.
    pub(crate) index: u32,
    /// Its name in this namespace.
    pub(crate) name: String,
    /// Its Ethernet address, where it has one.
    pub(crate) mac: Option<MacAddr>,
    /// Its IP MTU in octets.
    pub(crate) mtu: u32,
    /// Whether it is up by configuration (`ip link set up`).
    pub(crate) up: bool,
    /// Whether it has a carrier; only meaningful while it is up.
    pub(crate) carrier: bool,
}

/// What happened to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// It is there, new or changed.
    Present(Link),
    /// It is gone, or in another namespace now.
    Gone {
        /// Its number.
        index: u32,
        /// Its name.
        name: String,
    },
}

/// What happens to the devices of a namespace.
pub(crate) type LinkEvents = futures_util::stream::BoxStream<'static, LinkEvent>;

impl Link {
    /// What a message says of a device.
    pub(crate) fn from_message(message: &LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: message.header.flags.contains(LinkFlags::Up),
            carrier: message.header.flags.contains(LinkFlags::LowerUp),
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Address(octets) => link.mac = octets.as_slice().try_into().ok().map(MacAddr),
                _ => {}
            }
        }
        link
    }
}

impl LinkEvent {
    /// What a notification says, if it is about a device.
    pub(crate) fn from_message(message: &RouteNetlinkMessage) -> Option<Self> {
        match message {
            RouteNetlinkMessage::NewLink(message) => Some(Self::Present(Link::from_message(message))),
            RouteNetlinkMessage::DelLink(message) => {
                let link = Link::from_message(message);
                Some(Self::Gone { index: link.index, name: link.name })
            }
            _ => None,
        }
    }
}

impl Netlink {
    /// A socket in the calling thread's namespace and what happens to the devices there from now on.
    pub(crate) fn watching_links() -> Result<(Self, LinkEvents), NetlinkError> {
        let (netlink, notifications) = Self::watching(&[MulticastGroup::Link])?;
        let events = notifications.filter_map(async |message| match message.payload {
            NetlinkPayload::InnerMessage(inner) => LinkEvent::from_message(&inner),
            _ => None,
        });
        Ok((netlink, events.boxed()))
    }

    /// Like [`Self::watching_links`], in another namespace.
    pub(crate) fn watching_links_in(namespace: &Namespace) -> Result<(Self, LinkEvents), NetlinkError> {
        let runtime = tokio::runtime::Handle::current();
        namespace.run(move || {
            let _entered = runtime.enter();
            Self::watching_links()
        })?
    }

    /// All devices.
    pub(crate) async fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let all = self.handle().link().get().execute().map_ok(|message| Link::from_message(&message));
        all.try_collect().await.map_err(|error| NetlinkError::of("devices", error))
    }

    /// A device by name; [`NetlinkError::NoSuchLink`] if there is none.
    pub(crate) async fn link(&self, name: &str) -> Result<Link, NetlinkError> {
        let request = self.handle().link().get().match_name(name).execute();
        let found = std::pin::pin!(request).try_next().await;
        match found.map_err(|error| NetlinkError::of(format!("device `{name}`"), error)) {
            Ok(Some(message)) => Ok(Link::from_message(&message)),
            Ok(None) => Err(NetlinkError::NoSuchLink(name.to_owned())),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                Err(NetlinkError::NoSuchLink(name.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Sets a device up or down.
    pub(crate) async fn set_up(&self, index: u32, up: bool) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index);
        let link = if up { link.up() } else { link.down() };
        let what = || format!("device {index} {}", if up { "up" } else { "down" });
        self.set_link(link.build(), what).await
    }

    /// Sets a device's IP MTU.
    pub(crate) async fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index).mtu(mtu).build();
        self.set_link(link, || format!("MTU {mtu} of device {index}")).await
    }

    /// Moves a device into another namespace, where it is down, has lost its addresses and may have another number.
    pub(crate) async fn move_to(&self, index: u32, namespace: &Namespace) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index).setns_by_fd(namespace.as_fd().as_raw_fd()).build();
        self.set_link(link, || format!("device {index} moved to another namespace")).await
    }

    /// Like [`Self::move_to`], and gives it another name there at once (so that names need not be free here).
    pub(crate) async fn move_to_as(
        &self,
        index: u32,
        namespace: &Namespace,
        name: &str,
    ) -> Result<(), NetlinkError> {
        let link = LinkUnspec::new_with_index(index).setns_by_fd(namespace.as_fd().as_raw_fd()).name(name);
        self.set_link(link.build(), || format!("device {index} moved to another namespace as `{name}`")).await
    }

    /// Adds two virtual Ethernet devices that are each other's far end, both down.
    pub(crate) async fn add_veth(&self, one: &str, other: &str) -> Result<(), NetlinkError> {
        let added = self.handle().link().add(LinkVeth::new(one, other).build()).execute().await;
        added.map_err(|error| NetlinkError::of(format!("virtual devices `{one}` and `{other}`"), error))
    }

    /// Adds a bridge, up, that forwards everything and takes part in no protocol.
    pub(crate) async fn add_bridge(&self, name: &str) -> Result<(), NetlinkError> {
        let bridge = LinkBridge::new(name).mcast_snooping(false).build();
        let added = self.handle().link().add(bridge).execute().await;
        added.map_err(|error| NetlinkError::of(format!("bridge `{name}`"), error))
    }

    /// Makes a device a port of a bridge; isolated ports reach only those that are not.
    pub(crate) async fn set_bridge(
        &self,
        index: u32,
        bridge: u32,
        isolated: bool,
    ) -> Result<(), NetlinkError> {
        let what = || format!("device {index} as a port of bridge {bridge}");
        self.set_link(LinkUnspec::new_with_index(index).controller(bridge).build(), what).await?;
        let port = LinkBridgePort::new(index).isolated(isolated).build();
        let set = self.handle().link().add(port).set_flags(PORT_FLAGS).execute().await;
        set.map_err(|error| NetlinkError::of(what(), error))
    }

    async fn set_link(&self, message: LinkMessage, what: impl Fn() -> String) -> Result<(), NetlinkError> {
        let set = self.handle().link().set(message).execute().await;
        set.map_err(|error| NetlinkError::of(what(), error))
    }
}

/// A bridge port is changed with `RTM_NEWLINK` of a device that is already there.
const PORT_FLAGS: u16 = netlink_packet_core::NLM_F_REQUEST | netlink_packet_core::NLM_F_ACK;
