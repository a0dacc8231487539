//! Addresses and static routes, as an operator sets them.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{RouteMessageBuilder, RouteNextHopBuilder};

use super::{Netlink, NetlinkError};

/// One of a route's equal next hops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Via {
    /// Its address.
    pub(crate) gateway: IpAddr,
    /// The device that leads there.
    pub(crate) index: u32,
}

impl Netlink {
    /// Puts an address on a device, usable at once (no duplicate address detection).
    pub(crate) async fn assign(&self, index: u32, address: IpNet) -> Result<(), NetlinkError> {
        let mut request = self.handle().address().add(index, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            let message = request.message_mut();
            message.header.flags.insert(AddressHeaderFlags::Nodad);
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let added = request.execute().await;
        added.map_err(|error| NetlinkError::of(format!("address {address} on device {index}"), error))
    }

    /// Adds a static route by one or several equal next hops.
    pub(crate) async fn add_route(&self, to: IpNet, via: &[Via]) -> Result<(), NetlinkError> {
        let added = self.handle().route().add(route(to, via)?).execute().await;
        added.map_err(|error| NetlinkError::of(format!("route to {to}"), error))
    }

    /// Adds a static route in place of the one that there is, if there is one.
    pub(crate) async fn replace_route(&self, to: IpNet, via: &[Via]) -> Result<(), NetlinkError> {
        let added = self.handle().route().add(route(to, via)?).replace().execute().await;
        added.map_err(|error| NetlinkError::of(format!("route to {to} replaced"), error))
    }

    /// Removes what [`Self::add_route`] added.
    pub(crate) async fn remove_route(&self, to: IpNet, via: &[Via]) -> Result<(), NetlinkError> {
        let removed = self.handle().route().del(route(to, via)?).execute().await;
        removed.map_err(|error| NetlinkError::of(format!("route to {to} removed"), error))
    }
}

fn route(to: IpNet, via: &[Via]) -> Result<RouteMessage, NetlinkError> {
    let invalid = |error: String| NetlinkError::Kernel {
        what: format!("route to {to}"),
        error: std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
    };
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(to.addr(), to.prefix_len())
        .map_err(|error| invalid(error.to_string()))?;
    match via {
        [] => builder = builder.kind(RouteType::Unreachable),
        [only] => {
            builder = builder.gateway(only.gateway).map_err(|error| invalid(error.to_string()))?;
            builder.get_mut().attributes.push(RouteAttribute::Oif(only.index));
        }
        several => {
            let hop = |via: &Via| {
                let hop = match via.gateway {
                    IpAddr::V4(_) => RouteNextHopBuilder::new_ipv4(),
                    IpAddr::V6(_) => RouteNextHopBuilder::new_ipv6(),
                };
                Ok(hop.interface(via.index).via(via.gateway).map_err(|e| invalid(e.to_string()))?.build())
            };
            builder = builder.multipath(several.iter().map(hop).collect::<Result<_, NetlinkError>>()?);
        }
    }
    Ok(builder.build())
}
