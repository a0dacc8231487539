//! IPv4 addresses of the node's devices.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::StreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};

use super::{LinkIndex, Netlink, NetlinkError};

/// The loopback device, which every network namespace has under this index.
pub(crate) const LOOPBACK: LinkIndex = LinkIndex(1);

/// An address on a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Assigned {
    /// The device.
    pub(crate) link: LinkIndex,
    /// The address.
    pub(crate) address: Ipv4Addr,
}

/// All IPv4 addresses of this namespace.
pub(crate) async fn all(netlink: &Netlink) -> Result<Vec<Assigned>, NetlinkError> {
    let mut request = netlink.handle().address().get();
    request.message_mut().header.family = AddressFamily::Inet;
    let mut answers = std::pin::pin!(request.execute());
    let mut found = Vec::new();
    while let Some(message) = answers.next().await {
        let message = message.map_err(|error| NetlinkError::of("the addresses", error))?;
        found.extend(assigned(&message));
    }
    Ok(found)
}

/// Puts a host address (/32) on the loopback device; `false` if it was there already.
pub(crate) async fn add_host(netlink: &Netlink, host: Ipv4Addr) -> Result<bool, NetlinkError> {
    let added = netlink.handle().address().add(LOOPBACK.0, IpAddr::V4(host), 32).execute().await;
    match added.map_err(|error| NetlinkError::of(format!("adding {host}/32 to the loopback device"), error)) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes a host address (/32) off the loopback device.
pub(crate) async fn remove_host(netlink: &Netlink, host: Ipv4Addr) -> Result<(), NetlinkError> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 32;
    message.header.index = LOOPBACK.0;
    message.attributes.push(AddressAttribute::Local(IpAddr::V4(host)));
    let removed = netlink.handle().address().del(message).execute().await;
    removed.map_err(|error| NetlinkError::of(format!("removing {host}/32 from the loopback device"), error))
}

fn assigned(message: &AddressMessage) -> Option<Assigned> {
    // IFA_LOCAL is the device's own; IFA_ADDRESS is the other end's on point-to-point devices.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    });
    let other = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(IpAddr::V4(address)) => Some(*address),
        _ => None,
    });
    Some(Assigned { link: LinkIndex(message.header.index), address: local.or(other)? })
}
