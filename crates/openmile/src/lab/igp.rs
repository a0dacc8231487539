//! Stands in for an IGP: when a cable of the backbone is cut or mended, every node's routes become those of the shortest
//! paths that there are now.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::place::Places;
use super::plan::{Cable, NodeRoute, Plan, PortName};
use crate::netlink::NetlinkError;
use crate::netlink::configure::Via;

/// Which cables are cut.
#[derive(Debug, Default)]
pub(super) struct Igp {
    cut: BTreeSet<usize>,
}

impl Igp {
    /// Cuts the cable at this port: both ends lose their carrier, then the routes follow.
    pub(super) async fn cut(
        &mut self,
        plan: &Plan,
        places: &Places,
        at: &PortName,
    ) -> Result<(), NetlinkError> {
        self.set(plan, places, at, false).await
    }

    /// Mends it.
    pub(super) async fn mend(
        &mut self,
        plan: &Plan,
        places: &Places,
        at: &PortName,
    ) -> Result<(), NetlinkError> {
        self.set(plan, places, at, true).await
    }

    async fn set(
        &mut self,
        plan: &Plan,
        places: &Places,
        at: &PortName,
        up: bool,
    ) -> Result<(), NetlinkError> {
        let Some(number) = plan.cables.iter().position(|cable| cable.ends.contains(at)) else {
            return Ok(());
        };
        let before = self.routes(plan);
        match up {
            true => self.cut.remove(&number),
            false => self.cut.insert(number),
        };
        // The far end, so that this one only sees its carrier go.
        let far = plan.cables[number].ends.iter().find(|end| *end != at).unwrap_or(at);
        let netlink = &places.at(&far.node)?.netlink;
        netlink.set_up(netlink.link(&far.port).await?.index, up).await?;
        let after = self.routes(plan);
        for route in after.iter().filter(|route| !before.contains(route)) {
            let (to, via) = resolve(places, route).await?;
            places.at(&route.node)?.netlink.replace_route(to, &via).await?;
        }
        let is_left = |route: &&NodeRoute| after.iter().any(|r| (&r.node, r.to) == (&route.node, route.to));
        for route in before.iter().filter(|route| !is_left(route)) {
            let (to, via) = resolve(places, route).await?;
            match places.at(&route.node)?.netlink.remove_route(to, &via).await {
                // The kernel removed it with the device.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                done => done?,
            }
        }
        Ok(())
    }

    fn routes(&self, plan: &Plan) -> Vec<NodeRoute> {
        let is_whole = |(number, _): &(usize, &Cable)| !self.cut.contains(number);
        let whole: Vec<Cable> =
            plan.cables.iter().enumerate().filter(is_whole).map(|(_, cable)| cable.clone()).collect();
        plan.routes_over(&whole)
    }
}

/// A node's route as the kernel has it.
pub(super) async fn resolve(places: &Places, route: &NodeRoute) -> Result<(IpNet, Vec<Via>), NetlinkError> {
    let netlink = &places.at(&route.node)?.netlink;
    let mut via = Vec::new();
    for (port, gateway) in &route.via {
        via.push(Via { gateway: IpAddr::V4(*gateway), index: netlink.link(port).await?.index });
    }
    Ok((IpNet::from(IpAddr::V4(route.to)), via))
}
