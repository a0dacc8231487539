//! IPv4 addresses of the node's devices.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::StreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};

use super::{LinkIndex, Netlink, NetlinkError};

/// The loopback device, which every network namespace has under this index.
pub(crate) const LOOPBACK: LinkIndex = LinkIndex(1);
/// The label (IFA_LABEL) of addresses that we put on the loopback device: whichever process finds one knows it is ours.
const LABEL: &str = "lo:openmile";

/// An address on a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Assigned {
    /// The device.
    pub(crate) link: LinkIndex,
    /// The address.
    pub(crate) address: Ipv4Addr,
    /// Whether [`add_host`] put it there.
    pub(crate) ours: bool,
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

/// Puts a host address (/32) on the loopback device, if it is not there already.
pub(crate) async fn add_host(netlink: &Netlink, host: Ipv4Addr) -> Result<(), NetlinkError> {
    let mut request = netlink.handle().address().add(LOOPBACK.0, IpAddr::V4(host), 32);
    request.message_mut().attributes.push(AddressAttribute::Label(LABEL.to_owned()));
    let added = request.execute().await;
    match added.map_err(|error| NetlinkError::of(format!("adding {host}/32 to the loopback device"), error)) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        done => done,
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
    let (mut local, mut other, mut ours) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            // IFA_LOCAL is the device's own; IFA_ADDRESS is the other end's on point-to-point devices.
            AddressAttribute::Local(IpAddr::V4(address)) => local = Some(*address),
            AddressAttribute::Address(IpAddr::V4(address)) => other = Some(*address),
            AddressAttribute::Label(label) => ours = label == LABEL,
            _ => {}
        }
    }
    Some(Assigned { link: LinkIndex(message.header.index), address: local.or(other)?, ours })
}
