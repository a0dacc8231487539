//! The node's own FEC addresses on the loopback device, where the IGP finds them.

use std::net::{IpAddr, Ipv4Addr};

use network::NodeView;

use super::error::StartError;
use crate::netlink::{Netlink, address};

/// The FEC addresses that this node put on the loopback device (an operator's own stay where they are).
pub(crate) struct OwnAddresses;

impl OwnAddresses {
    /// Puts those there that are missing, and takes away ours that are not wanted any more.
    pub(crate) async fn add(netlink: &Netlink, view: &NodeView) -> Result<Self, StartError> {
        let wanted: Vec<Ipv4Addr> = view
            .own_fecs()
            .into_iter()
            .filter_map(|fec| match fec.0.addr() {
                IpAddr::V4(host) => Some(host),
                IpAddr::V6(_) => None,
            })
            .collect();
        for host in marked(netlink).await {
            if !wanted.contains(&host) {
                remove(netlink, host).await;
            }
        }
        for &host in &wanted {
            if let Err(error) = address::add_host(netlink, host).await {
                Self.remove(netlink).await;
                return Err(StartError::Address(host, error.to_string()));
            }
        }
        Ok(Self)
    }

    /// Takes ours away, whichever control process put them there.
    pub(crate) async fn remove(self, netlink: &Netlink) {
        for host in marked(netlink).await {
            remove(netlink, host).await;
        }
    }
}

async fn marked(netlink: &Netlink) -> Vec<Ipv4Addr> {
    let all = address::all(netlink).await.unwrap_or_default();
    all.into_iter().filter(|assigned| assigned.ours).map(|assigned| assigned.address).collect()
}

async fn remove(netlink: &Netlink, host: Ipv4Addr) {
    if let Err(error) = address::remove_host(netlink, host).await {
        tracing::warn!("{error}");
    }
}
