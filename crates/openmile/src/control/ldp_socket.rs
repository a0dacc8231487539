//! How LDP's sockets are made, and what it means when one cannot be.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use ldp::{InterfaceId, Password};
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

/// The sockets at the transport address.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// For the connections of sessions.
    pub(crate) sessions: TcpListener,
    /// For targeted Hellos.
    pub(crate) targeted: UdpSocket,
}

/// Takes LDP's ports at the transport address. To be called before Hello sockets are made: it also finds out whether UDP's
/// port is free everywhere.
pub(crate) fn listen(transport: Ipv4Addr) -> Result<Listeners, StartError> {
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
    Ok(Listeners { sessions: make().map_err(cannot)?, targeted: targeted_hellos(transport).map_err(cannot)? })
}

/// A socket for targeted Hellos: from and to the transport address.
fn targeted_hellos(transport: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.bind(&SocketAddr::from((transport, PORT)).into())?;
    session_options(&socket)?;
    UdpSocket::from_std(socket.into())
}

/// A socket for link Hellos on one device. It is bound to their group, so that nothing else comes by it: what is sent to the
/// node itself is a targeted Hello or nothing.
pub(crate) fn hellos(interface: InterfaceId, device: &str) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.bind(&SocketAddr::from((GROUP, PORT)).into())?;
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

/// Receives nothing any more that has come through a router (RFC 6720 §2.2), or whatever comes.
#[expect(unsafe_code, reason = "no crate offers IP_MINTTL")]
pub(crate) fn set_gtsm(stream: &TcpStream, required: bool) -> io::Result<()> {
    let ttl: libc::c_int = if required { 255 } else { 0 };
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

/// The kernel's `tcp_md5sig` (tcp(7)).
#[repr(C)]
struct TcpMd5Sig {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    interface: libc::c_int,
    key: [u8; Password::MAX_LEN],
}

/// Signs what goes to and comes from this address (RFC 2385), or not any more: what is not signed so is dropped by the
/// kernel.
#[expect(unsafe_code, reason = "no crate offers TCP_MD5SIG")]
pub(crate) fn sign(socket: &impl AsFd, remote: Ipv4Addr, password: Option<&Password>) -> io::Result<()> {
    // SAFETY: zero is a value of each of its fields.
    let mut option: TcpMd5Sig = unsafe { std::mem::zeroed() };
    let octets = password.map_or(&[][..], Password::octets);
    option.key_len = octets.len() as u16;
    option.key.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(remote).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: a `sockaddr_storage` holds any address and is aligned for it.
    unsafe { (&raw mut option.address).cast::<libc::sockaddr_in>().write(address) };
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the value outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MD5SIG,
            (&raw const option).cast(),
            size_of_val(&option) as libc::socklen_t,
        )
    };
    match done {
        0 => Ok(()),
        // There was none to take away.
        _ if password.is_none() && io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT) => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel has it.
    #[test]
    fn the_option_has_the_kernels_layout() {
        assert_eq!(size_of::<TcpMd5Sig>(), 216);
        assert_eq!(std::mem::offset_of!(TcpMd5Sig, key), 136);
    }
}
