//! Addresses of the node's devices.

use std::net::IpAddr;

use futures_util::StreamExt;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol};

use super::{LinkIndex, Netlink, NetlinkError, family_of, host_length};

/// The loopback device, which every network namespace has under this index.
pub(crate) const LOOPBACK: LinkIndex = LinkIndex(1);
/// The label (IFA_LABEL) of IPv4 addresses that we put on the loopback device: whichever process finds one knows it is
/// ours.
const LABEL: &str = "lo:openmile";
/// The same for IPv6, whose addresses have no labels: who put it there (IFA_PROTO, Linux 5.18); LDP's port, cut to an octet.
const PROTOCOL: AddressProtocol = AddressProtocol::Other(0x86);

/// An address on a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Assigned {
    /// The device.
    pub(crate) link: LinkIndex,
    /// The address.
    pub(crate) address: IpAddr,
    /// Whether [`add_host`] put it there.
    pub(crate) ours: bool,
}

/// All addresses of this namespace.
pub(crate) async fn all(netlink: &Netlink) -> Result<Vec<Assigned>, NetlinkError> {
    let mut answers = std::pin::pin!(netlink.handle().address().get().execute());
    let mut found = Vec::new();
    while let Some(message) = answers.next().await {
        let message = message.map_err(|error| NetlinkError::of("the addresses", error))?;
        found.extend(assigned(&message));
    }
    Ok(found)
}

/// Puts a host address on the loopback device, if it is not there already.
pub(crate) async fn add_host(netlink: &Netlink, host: IpAddr) -> Result<(), NetlinkError> {
    let mut request = netlink.handle().address().add(LOOPBACK.0, host, host_length(host));
    request.message_mut().attributes.push(match host {
        IpAddr::V4(_) => AddressAttribute::Label(LABEL.to_owned()),
        IpAddr::V6(_) => AddressAttribute::Protocol(PROTOCOL),
    });
    let added = request.execute().await;
    match added.map_err(|error| NetlinkError::of(format!("adding {host} to the loopback device"), error)) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        done => done,
    }
}

/// Takes a host address off the loopback device.
pub(crate) async fn remove_host(netlink: &Netlink, host: IpAddr) -> Result<(), NetlinkError> {
    let mut message = AddressMessage::default();
    message.header.family = family_of(host);
    message.header.prefix_len = host_length(host);
    message.header.index = LOOPBACK.0;
    message.attributes.push(AddressAttribute::Local(host));
    let removed = netlink.handle().address().del(message).execute().await;
    removed.map_err(|error| NetlinkError::of(format!("removing {host} from the loopback device"), error))
}

fn assigned(message: &AddressMessage) -> Option<Assigned> {
    let (mut local, mut other, mut ours) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            // IFA_LOCAL is the device's own; IFA_ADDRESS is the other end's on point-to-point devices.
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => other = Some(*address),
            AddressAttribute::Label(label) => ours |= label == LABEL,
            AddressAttribute::Protocol(protocol) => ours |= *protocol == PROTOCOL,
            // Nothing can be sent from it yet, or ever (RFC 4862 §5.4).
            AddressAttribute::Flags(flags)
                if flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed) =>
            {
                return None;
            }
            _ => {}
        }
    }
    Some(Assigned { link: LinkIndex(message.header.index), address: local.or(other)?, ours })
}
