//! How LDP's sockets are made, and what it means when one cannot be.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use ldp::{AddressFamily, InterfaceId, Password, Transport};
use rustix::net::sockopt;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use super::error::StartError;

/// LDP's port, of UDP and TCP (RFC 5036 §2.4.1, §2.5.2).
pub(crate) const PORT: u16 = 646;
/// All routers on this subnet (RFC 5036 §2.4.1).
pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// All routers on this link (RFC 7552 §5.1).
pub(crate) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Precedence "internetwork control" (RFC 4594 §3.1): the backbone's routers must not lose each other under load.
const CS6: u8 = 48 << 2;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// The sockets at the transport addresses.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// For the connections of sessions.
    pub(crate) sessions: BTreeMap<AddressFamily, TcpListener>,
    /// For targeted Hellos.
    pub(crate) targeted: BTreeMap<AddressFamily, UdpSocket>,
}

/// Takes LDP's ports at the transport addresses. To be called before Hello sockets are made: it also finds out whether UDP's
/// port is free everywhere.
pub(crate) fn listen(transport: Transport) -> Result<Listeners, StartError> {
    let families = [AddressFamily::Ipv4, AddressFamily::Ipv6];
    let mut listeners = Listeners { sessions: BTreeMap::new(), targeted: BTreeMap::new() };
    for (family, address) in families.into_iter().filter_map(|family| Some((family, transport.of(family)?))) {
        listeners.sessions.insert(family, sessions(family, address)?);
        let targeted = targeted_hellos(family, address);
        listeners.targeted.insert(family, targeted.map_err(|error| StartError::ldp_port(address, error))?);
    }
    Ok(listeners)
}

fn sessions(family: AddressFamily, transport: IpAddr) -> Result<TcpListener, StartError> {
    let cannot = |error| StartError::ldp_port(transport, error);
    // No device: it collides with whoever has the port anywhere, be it on one device only.
    udp(family).and_then(|socket| socket.bind(&anywhere(family).into())).map_err(cannot)?;
    let make = || {
        let socket = stream(family)?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((transport, PORT)))?;
        socket.listen(BACKLOG)
    };
    make().map_err(cannot)
}

/// A socket for targeted Hellos: from and to the transport address.
fn targeted_hellos(family: AddressFamily, transport: IpAddr) -> io::Result<UdpSocket> {
    let socket = udp(family)?;
    socket.bind(&SocketAddr::from((transport, PORT)).into())?;
    unicast_options(&socket, family)?;
    UdpSocket::from_std(socket.into())
}

fn udp(family: AddressFamily) -> io::Result<Socket> {
    let kind = Type::DGRAM.nonblocking().cloexec();
    match family {
        AddressFamily::Ipv4 => Socket::new(Domain::IPV4, kind, Some(Protocol::UDP)),
        AddressFamily::Ipv6 => {
            let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::UDP))?;
            socket.set_only_v6(true)?;
            Ok(socket)
        }
    }
}

fn anywhere(family: AddressFamily) -> SocketAddr {
    match family {
        AddressFamily::Ipv4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)),
        AddressFamily::Ipv6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)),
    }
}

/// A socket for link Hellos of this address family on one device. It is bound to their group, so that nothing else comes by
/// it: what is sent to the node itself is a targeted Hello or nothing.
pub(crate) fn hellos(interface: InterfaceId, device: &str, family: AddressFamily) -> io::Result<UdpSocket> {
    let socket = udp(family)?;
    socket.bind_device(Some(device.as_bytes()))?;
    match family {
        AddressFamily::Ipv4 => {
            socket.bind(&SocketAddr::from((GROUP, PORT)).into())?;
            socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(interface.0))?;
            socket.set_multicast_ttl_v4(1)?;
            socket.set_multicast_loop_v4(false)?;
            sockopt::set_ip_tos(&socket, CS6)?;
        }
        AddressFamily::Ipv6 => {
            socket.attach_filter(&FROM_THE_LINK)?;
            socket.bind(&SocketAddrV6::new(GROUP_V6, PORT, 0, interface.0).into())?;
            socket.join_multicast_v6(&GROUP_V6, interface.0)?;
            socket.set_multicast_hops_v6(255)?;
            socket.set_multicast_loop_v6(false)?;
            sockopt::set_ipv6_tclass(&socket, CS6.into())?;
        }
    }
    UdpSocket::from_std(socket.into())
}

/// The hop limit is 255 (RFC 7552 §5.1: "before any LDP-specific processing"): what a router has forwarded is dropped by the
/// kernel. A classic BPF program: load the octet of the IPv6 header, take all of the packet or nothing.
const FROM_THE_LINK: [SockFilter; 4] = [
    SockFilter::new(
        (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16,
        0,
        0,
        (libc::SKF_NET_OFF + 7) as u32,
    ),
    SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, 1, 255),
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, u32::MAX),
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0),
];

/// What every socket has that one neighbor is spoken with: TTL 255, which those peers want that verify it (RFC 6720 §3, RFC
/// 7552 §9), and its precedence.
fn unicast_options(socket: impl AsFd, family: AddressFamily) -> io::Result<()> {
    match family {
        AddressFamily::Ipv4 => {
            sockopt::set_ip_ttl(&socket, 255)?;
            sockopt::set_ip_tos(&socket, CS6)?;
        }
        AddressFamily::Ipv6 => {
            sockopt::set_ipv6_unicast_hops(&socket, Some(255))?;
            sockopt::set_ipv6_tclass(&socket, CS6.into())?;
        }
    }
    Ok(())
}

/// A socket of a session.
pub(crate) fn stream(family: AddressFamily) -> io::Result<TcpSocket> {
    let socket = match family {
        AddressFamily::Ipv4 => TcpSocket::new_v4()?,
        AddressFamily::Ipv6 => TcpSocket::new_v6()?,
    };
    unicast_options(&socket, family)?;
    Ok(socket)
}

/// Receives nothing any more that has come through a router (RFC 6720 §2.2), or whatever comes.
#[expect(unsafe_code, reason = "no crate offers IP_MINTTL and IPV6_MINHOPCOUNT")]
pub(crate) fn set_gtsm(stream: &TcpStream, required: bool) -> io::Result<()> {
    let (level, option) = match stream.local_addr()? {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    let ttl: libc::c_int = if required { 255 } else { 0 };
    // SAFETY: the descriptor is open for as long as `stream` is borrowed; the value is an int that outlives the call.
    let done = unsafe {
        libc::setsockopt(
            stream.as_fd().as_raw_fd(),
            level,
            option,
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
pub(crate) fn sign(socket: &impl AsFd, remote: IpAddr, password: Option<&Password>) -> io::Result<()> {
    // SAFETY: zero is a value of each of its fields.
    let mut option: TcpMd5Sig = unsafe { std::mem::zeroed() };
    let octets = password.map_or(&[][..], Password::octets);
    option.key_len = octets.len() as u16;
    option.key.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    let place = &raw mut option.address;
    match remote {
        IpAddr::V4(remote) => {
            let address = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from(remote).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: a `sockaddr_storage` holds any address and is aligned for it.
            unsafe { place.cast::<libc::sockaddr_in>().write(address) };
        }
        IpAddr::V6(remote) => {
            let address = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: remote.octets() },
                sin6_scope_id: 0,
            };
            // SAFETY: as above.
            unsafe { place.cast::<libc::sockaddr_in6>().write(address) };
        }
    }
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
