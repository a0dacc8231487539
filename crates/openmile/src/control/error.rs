//! Why control cannot run, each in one sentence with its remedy.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use miette::Diagnostic;
use network::LspMtu;

/// Why control cannot start. Trying again cures none of these.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum StartError {
    /// The network file has no such node.
    #[error("there is no node `{0}` in the network file")]
    NoSuchNode(String),
    /// Port 646 is another's.
    #[error("another LDP speaker runs on this machine (ldpd of FRR?): port 646 is in use")]
    #[diagnostic(help("stop it, or give openmile a network namespace of its own"))]
    LdpPortInUse,
    /// No right to port 646.
    #[error("no right to open LDP's port 646")]
    #[diagnostic(help("run as root, or with CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW"))]
    LdpPortDenied,
    /// The transport address is not here.
    #[error("the node's transport address {0} is on no device of this machine")]
    #[diagnostic(help("put it on the loopback device: ip addr add {0}/32 dev lo"))]
    NoTransportAddress(IpAddr),
    /// LDP's port could not be opened.
    #[error("LDP's port 646 at {0} cannot be opened: {1}")]
    LdpPort(IpAddr, #[source] io::Error),
    /// A backbone port is not there.
    #[error("there is no network device `{0}`, which the network file has as a backbone port of this node")]
    #[diagnostic(help("create it, or correct the port's name in the network file"))]
    NoSuchDevice(String),
    /// A backbone device is too small for the network's LSPs.
    #[error(
        "the MTU of `{device}` is {mtu}, but `lsp_mtu` = {lsp_mtu} in the network file needs {needed} on every backbone \
         device: the packet and a label"
    )]
    #[diagnostic(help(
        "ip link set {device} mtu {needed} (on the other end of the link too), or write a smaller `lsp_mtu`"
    ))]
    DeviceMtu {
        /// The device.
        device: String,
        /// Its MTU in octets.
        mtu: u32,
        /// The network's LSP MTU.
        lsp_mtu: LspMtu,
        /// The MTU that it needs.
        needed: u32,
    },
    /// A neighbor's password cannot be had.
    #[error("the password of LDP neighbor {neighbor} cannot be read from {file}: {why}")]
    #[diagnostic(help(
        "write it into the first line of that file, 1 to {longest} octets, readable by the user that openmile runs as"
    ))]
    Password {
        /// The file.
        file: String,
        /// The neighbor.
        neighbor: Ipv4Addr,
        /// Why, in a few words.
        why: String,
        /// The longest password in octets.
        longest: usize,
    },
    /// The forwarder could not open a port.
    #[error("port `{port}` cannot be used: {why}")]
    PortUnusable {
        /// The device.
        port: String,
        /// Why, in a sentence.
        why: String,
    },
    /// A FEC's address could not be put on the loopback device.
    #[error("the address {0} cannot be put on the loopback device: {1}")]
    #[diagnostic(help("run as root, or with CAP_NET_ADMIN"))]
    Address(IpAddr, String),
}

impl StartError {
    /// Why port 646 at this address cannot be opened.
    pub(crate) fn ldp_port(transport: IpAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::LdpPortInUse,
            io::ErrorKind::PermissionDenied => Self::LdpPortDenied,
            io::ErrorKind::AddrNotAvailable => Self::NoTransportAddress(transport),
            _ => Self::LdpPort(transport, error),
        }
    }
}
