//! Ethernet addresses of backbone next hops, from the kernel's neighbour table.
//!
//! MPLS frames neither start nor refresh the kernel's resolution, nor would anybody notice by them that a neighbour is
//! gone. So the kernel is made to ask the neighbour, again and again ([`ask`]).

use std::net::IpAddr;

use futures_util::StreamExt;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::Error;
use wire::MacAddr;

use super::route::NextHop;
use super::{LinkIndex, Netlink, NetlinkError, family_of};

/// What the kernel says of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Resolution {
    /// Who.
    pub(crate) neighbor: NextHop,
    /// Its Ethernet address, `None` while the kernel does not know it.
    pub(crate) mac: Option<MacAddr>,
    /// Whether somebody has set the address for good: there is nothing to ask.
    pub(crate) fixed: bool,
}

/// Makes the kernel ask for a neighbour's Ethernet address or, where it is `resolved`, ask the neighbour whether it is still
/// there: three times, a second apart (`ucast_solicit`, `retrans_time_ms`), unless it is asking already. What comes of it
/// is a notification.
pub(crate) async fn ask(netlink: &Netlink, neighbor: NextHop, resolved: bool) -> Result<(), NetlinkError> {
    if resolved {
        let mut message = entry(neighbor);
        message.header.state = NeighbourState::Probe;
        // Never created by this: one that has just gone is not resolved.
        set(netlink, message, NLM_F_REPLACE).await
    } else {
        let mut message = entry(neighbor);
        message.header.flags = NeighbourFlags::Use;
        set(netlink, message, NLM_F_CREATE | NLM_F_REPLACE).await
    }
}

/// All neighbours that the kernel knows.
pub(crate) async fn all(netlink: &Netlink) -> Result<Vec<Resolution>, NetlinkError> {
    let mut answers = std::pin::pin!(netlink.handle().neighbours().get().execute());
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
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(octets) => <[u8; 6]>::try_from(&octets[..]).ok().map(MacAddr),
        _ => None,
    });
    let mac = mac.filter(|mac| !gone && mac.is_unicast() && is_valid(message.header.state));
    let fixed = matches!(message.header.state, NeighbourState::Permanent | NeighbourState::Noarp) && !gone;
    Some(Resolution { neighbor: NextHop { address, link: LinkIndex(message.header.ifindex) }, mac, fixed })
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
    message.header.family = family_of(neighbor.address);
    message.header.ifindex = neighbor.link.0;
    message.attributes.push(NeighbourAttribute::Destination(neighbor.address.into()));
    message
}

async fn set(netlink: &Netlink, message: NeighbourMessage, how: u16) -> Result<(), NetlinkError> {
    let failed = |error| NetlinkError::of("asking a neighbour", error);
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | how;
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
        let neighbor = NextHop { address: Ipv4Addr::new(10, 0, 0, 1).into(), link: LinkIndex(7) };
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
        let fixed = |state| resolution(&with(state, &mac.0), false).is_some_and(|r| r.fixed);
        assert!(fixed(NeighbourState::Permanent) && !fixed(NeighbourState::Reachable));
    }
}
