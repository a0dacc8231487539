//! How LDP's sockets are made, and what it means when one cannot be.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use ldp::InterfaceId;
use rustix::net::sockopt;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use super::error::StartError;

/// LDP's port, of UDP and TCP (RFC 5036 §2.4.1, §2.5.2).
pub(crate) const PORT: u16 = 646;
/// All routers on this subnet (RFC 5036 §2.4.1).
pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// Precedence "internetwork control" (RFC 4594 §3.1): the backbone's routers must not lose each other under load.
const CS6: u8 = 48 << 2;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// The listener for sessions. To be called before Hello sockets are made: it also finds out whether UDP's port is free.
pub(crate) fn listen(transport: Ipv4Addr) -> Result<TcpListener, StartError> {
    let cannot = |error| StartError::ldp_port(transport, error);
    // No device: it collides with whoever has the port anywhere, be it on one device only.
    std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).map_err(cannot)?;
    let make = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        session_options(&socket)?;
        socket.bind(SocketAddr::from((transport, PORT)))?;
        socket.listen(BACKLOG)
    };
    make().map_err(cannot)
}

/// A socket for Hellos on one device.
pub(crate) fn hellos(interface: InterfaceId, device: &str) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
    socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(interface.0))?;
    socket.set_multicast_ttl_v4(1)?;
    socket.set_multicast_loop_v4(false)?;
    sockopt::set_ip_tos(&socket, CS6)?;
    UdpSocket::from_std(socket.into())
}

/// What every socket of a session has: TTL 255, which those peers want that verify it (RFC 6720 §3).
pub(crate) fn session_options(socket: impl AsFd) -> io::Result<()> {
    sockopt::set_ip_ttl(&socket, 255)?;
    sockopt::set_ip_tos(&socket, CS6)?;
    Ok(())
}

/// Receives nothing any more that has come through a router (RFC 6720 §2.2).
#[expect(unsafe_code, reason = "no crate offers IP_MINTTL")]
pub(crate) fn require_gtsm(stream: &TcpStream) -> io::Result<()> {
    let ttl: libc::c_int = 255;
    // SAFETY: the descriptor is open for as long as `stream` is borrowed; the value is an int that outlives the call.
    let done = unsafe {
        libc::setsockopt(
            stream.as_fd().as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MINTTL,
            (&raw const ttl).cast(),
            size_of_val(&ttl) as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
