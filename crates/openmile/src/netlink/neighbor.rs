//! Ethernet addresses of backbone next hops, from the kernel's neighbour table.
//!
//! MPLS frames neither start nor refresh the kernel's resolution, so the kernel is asked to keep it (managed entries,
//! Linux 5.16); where it refuses, the entry is used from time to time instead.

use futures_util::StreamExt;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::Error;
use wire::MacAddr;

use super::route::NextHop;
use super::{LinkIndex, Netlink, NetlinkError};

/// How the kernel keeps a neighbour resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upkeep {
    /// By itself, from now on.
    Managed,
    /// It was set going once; ask again after some time.
    Used,
}

/// What the kernel says of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Resolution {
    /// Who.
    pub(crate) neighbor: NextHop,
    /// Its Ethernet address, `None` while the kernel does not know it.
    pub(crate) mac: Option<MacAddr>,
}

/// Makes the kernel resolve a neighbour and keep it resolved.
pub(crate) async fn keep_resolved(netlink: &Netlink, neighbor: NextHop) -> Result<Upkeep, NetlinkError> {
    match set(netlink, managed(neighbor)).await {
        Ok(()) => Ok(Upkeep::Managed),
        Err(_) => set(netlink, used(neighbor)).await.map(|()| Upkeep::Used),
    }
}

/// Ends what [`keep_resolved`] began; the entry then ages as any other.
pub(crate) async fn release(netlink: &Netlink, neighbor: NextHop) -> Result<(), NetlinkError> {
    set(netlink, used(neighbor)).await
}

/// All IPv4 neighbours that the kernel knows.
pub(crate) async fn all(netlink: &Netlink) -> Result<Vec<Resolution>, NetlinkError> {
    let mut answers =
        std::pin::pin!(netlink.handle().neighbours().get().set_address_family(AddressFamily::Inet).execute());
    let mut found = Vec::new();
    while let Some(message) = answers.next().await {
        let message = message.map_err(|error| NetlinkError::of("the neighbours", error))?;
        found.extend(resolution(&message, false));
    }
    Ok(found)
}

/// What a notification says; `gone` for one that an entry was removed.
pub(crate) fn resolution(message: &NeighbourMessage, gone: bool) -> Option<Resolution> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(octets) => <[u8; 6]>::try_from(&octets[..]).ok().map(MacAddr),
        _ => None,
    });
    let mac = mac.filter(|mac| !gone && mac.is_unicast() && is_valid(message.header.state));
    Some(Resolution { neighbor: NextHop { address, link: LinkIndex(message.header.ifindex) }, mac })
}

/// States in which the kernel itself would send (its NUD_VALID).
fn is_valid(state: NeighbourState) -> bool {
    matches!(
        state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp
    )
}

fn entry(neighbor: NextHop) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = neighbor.link.0;
    message.attributes.push(NeighbourAttribute::Destination(neighbor.address.into()));
    message
}

fn managed(neighbor: NextHop) -> NeighbourMessage {
    let mut message = entry(neighbor);
    message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    message
}

fn used(neighbor: NextHop) -> NeighbourMessage {
    let mut message = entry(neighbor);
    message.header.flags = NeighbourFlags::Use;
    message
}

async fn set(netlink: &Netlink, message: NeighbourMessage) -> Result<(), NetlinkError> {
    let failed = |error| NetlinkError::of("keeping a neighbour resolved", error);
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let mut answers = netlink.handle().clone().request(request).map_err(failed)?;
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::Error(error) if error.code.is_some() => {
                return Err(failed(Error::NetlinkError(error)));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_counts_only_while_the_kernel_would_send_to_it() {
        let neighbor = NextHop { address: Ipv4Addr::new(10, 0, 0, 1), link: LinkIndex(7) };
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let with = |state, octets: &[u8]| {
            let mut message = entry(neighbor);
            message.header.state = state;
            message.attributes.push(NeighbourAttribute::LinkLayerAddress(octets.to_vec()));
            message
        };
        let said = |message: &NeighbourMessage, gone| resolution(message, gone).map(|r| (r.neighbor, r.mac));
        assert_eq!(said(&with(NeighbourState::Stale, &mac.0), false), Some((neighbor, Some(mac))));
        assert_eq!(said(&with(NeighbourState::Failed, &mac.0), false), Some((neighbor, None)));
        assert_eq!(said(&with(NeighbourState::Reachable, &mac.0), true), Some((neighbor, None)));
        assert_eq!(said(&with(NeighbourState::Reachable, &mac.0[..5]), false), Some((neighbor, None)));
    }
}
