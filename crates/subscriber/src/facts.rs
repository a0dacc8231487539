//! What the network allows, as far as subscribers are concerned.

use std::collections::BTreeMap;
use std::net::IpAddr;

use contract::{Asn, PortId, PortKind};
use ipnet::IpNet;

/// What the network allows, as far as subscribers are concerned: ports and pools. It is told what the network file
/// says, since this crate does not know that file.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub(crate) nodes: BTreeMap<String, NodeFacts>,
    pub(crate) isps: BTreeMap<Asn, String>,
}

/// A node's ports and pools.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeFacts {
    pub(crate) ports: BTreeMap<String, (PortId, PortKind)>,
    pub(crate) pools: BTreeMap<Asn, Vec<Pool>>,
}

/// Addresses of an ISP's subscribers on a headend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// All of them.
    pub prefix: IpNet,
    /// The one that is the gateway's.
    pub gateway: IpAddr,
}

impl Facts {
    /// A network without anything in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// There is this port.
    pub fn add_port(&mut self, node: &str, name: &str, port: PortId, kind: PortKind) {
        self.nodes.entry(node.to_owned()).or_default().ports.insert(name.to_owned(), (port, kind));
    }

    /// There is this ISP.
    pub fn add_isp(&mut self, isp: Asn, name: &str) {
        self.isps.insert(isp, name.to_owned());
    }

    /// The ISP has this pool on this node.
    pub fn add_pool(&mut self, node: &str, isp: Asn, prefix: IpNet, gateway: IpAddr) {
        let pools = &mut self.nodes.entry(node.to_owned()).or_default().pools;
        pools.entry(isp).or_default().push(Pool { prefix, gateway });
    }
}
