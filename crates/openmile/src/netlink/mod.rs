//! The kernel's network configuration, over netlink: the one place that knows the netlink crates.
//!
//! A [`Netlink`] is a socket in one network namespace and stays there, whatever the thread that opened it does later.

pub(crate) mod address;
pub(crate) mod configure;
pub(crate) mod link;
pub(crate) mod namespace;
pub(crate) mod neighbor;
pub(crate) mod route;

use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::MulticastGroup;

/// Notifications of a [`Netlink`] that was opened with [`Netlink::watching`].
pub(crate) type Notifications = futures_util::stream::BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>;

/// A device, by the number that the kernel gave it in its namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct LinkIndex(pub(crate) u32);

/// A netlink socket in one network namespace.
#[derive(Clone, Debug)]
pub(crate) struct Netlink {
    handle: rtnetlink::Handle,
}

/// The kernel refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetlinkError {
    /// No socket.
    #[error("no netlink socket: {0}")]
    Open(#[source] std::io::Error),
    /// A namespace could not be made, entered or kept.
    #[error("network namespace: {0}")]
    Namespace(#[source] std::io::Error),
    /// There is no device of this name.
    #[error("there is no network device `{0}`")]
    NoSuchLink(String),
    /// The kernel's answer was an error.
    #[error("{what}: {error}")]
    Kernel {
        /// What was asked for.
        what: String,
        /// The answer.
        error: std::io::Error,
    },
    /// The answer made no sense.
    #[error("{what}: {error}")]
    Protocol {
        /// What was asked for.
        what: String,
        /// Why.
        error: rtnetlink::Error,
    },
}

impl NetlinkError {
    /// The failure of `what`.
    pub(crate) fn of(what: impl Into<String>, error: rtnetlink::Error) -> Self {
        let what = what.into();
        match error {
            rtnetlink::Error::NetlinkError(message) => Self::Kernel { what, error: message.to_io() },
            error => Self::Protocol { what, error },
        }
    }

    /// The error number of the kernel's answer.
    pub(crate) fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Open(error) | Self::Namespace(error) | Self::Kernel { error, .. } => error.raw_os_error(),
            Self::NoSuchLink(_) => Some(libc::ENODEV),
            Self::Protocol { .. } => None,
        }
    }
}

impl Netlink {
    /// A socket in the calling thread's namespace. To be called within a tokio runtime, which drives it.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Open)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// A socket in another namespace. To be called within a tokio runtime, which drives it.
    pub(crate) fn open_in(namespace: &namespace::Namespace) -> Result<Self, NetlinkError> {
        let runtime = tokio::runtime::Handle::current();
        namespace.run(move || {
            let _entered = runtime.enter();
            Self::open()
        })?
    }

    /// A socket in the calling thread's namespace that is told of changes. Those from before a question was answered may
    /// come after the answer, so subscribe first, then ask. The stream ends when the kernel had to drop notifications
    /// for want of room or the socket failed: open a new one and ask again.
    pub(crate) fn watching(groups: &[MulticastGroup]) -> Result<(Self, Notifications), NetlinkError> {
        use futures_util::StreamExt;
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(groups).map_err(NetlinkError::Open)?;
        tokio::spawn(connection);
        Ok((Self { handle }, messages.map(|(message, _)| message).boxed()))
    }

    /// The crate's own handle.
    pub(crate) fn handle(&self) -> &rtnetlink::Handle {
        &self.handle
    }
}

/// The family of an address, as the kernel's messages have it.
pub(crate) const fn family_of(address: std::net::IpAddr) -> AddressFamily {
    match address {
        std::net::IpAddr::V4(_) => AddressFamily::Inet,
        std::net::IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// The prefix length of one host.
pub(crate) const fn host_length(address: std::net::IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
