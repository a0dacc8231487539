//! The node's own FEC addresses on the loopback device, where the IGP finds them.

use std::net::IpAddr;

use network::NodeView;

use super::error::StartError;
use crate::netlink::{Netlink, address};

/// The FEC addresses that this node put on the loopback device (an operator's own stay where they are).
pub(crate) struct OwnAddresses;

impl OwnAddresses {
    /// Puts those there that are missing, and takes away ours that are not wanted any more.
    pub(crate) async fn add(netlink: &Netlink, view: &NodeView) -> Result<Self, StartError> {
        Self::remove_others(netlink, view).await;
        if let Err(error) = Self::put(netlink, view).await {
            Self.remove(netlink).await;
            return Err(error);
        }
        Ok(Self)
    }

    /// Puts those there that are missing.
    pub(crate) async fn put(netlink: &Netlink, view: &NodeView) -> Result<(), StartError> {
        for host in wanted(view) {
            let added = address::add_host(netlink, host).await;
            added.map_err(|error| StartError::Address(host, error.to_string()))?;
        }
        Ok(())
    }

    /// Takes away ours that this view does not want.
    pub(crate) async fn remove_others(netlink: &Netlink, view: &NodeView) {
        let wanted = wanted(view);
        for host in marked(netlink).await {
            if !wanted.contains(&host) {
                remove(netlink, host).await;
            }
        }
    }

    /// Takes ours away, whichever control process put them there.
    pub(crate) async fn remove(self, netlink: &Netlink) {
        for host in marked(netlink).await {
            remove(netlink, host).await;
        }
    }
}

fn wanted(view: &NodeView) -> Vec<IpAddr> {
    view.own_fecs().into_iter().map(|fec| fec.0.addr()).collect()
}

async fn marked(netlink: &Netlink) -> Vec<IpAddr> {
    let all = address::all(netlink).await.unwrap_or_default();
    all.into_iter().filter(|assigned| assigned.ours).map(|assigned| assigned.address).collect()
}

async fn remove(netlink: &Netlink, host: IpAddr) {
    if let Err(error) = address::remove_host(netlink, host).await {
        tracing::warn!("{error}");
    }
}
