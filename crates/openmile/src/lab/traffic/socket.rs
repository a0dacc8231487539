//! Sockets in a host's namespace, at its address.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, socket, socket_with, sockopt};

use super::{End, Patience, in_namespace};

/// Octets that a TCP receiver has room for: small, so that all flows together fit into the devices' queues.
const TCP_ROOM: usize = 32 * 1024;

fn family(end: &End) -> AddressFamily {
    if end.address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET }
}

/// A socket at the end's address that waits for one connection.
pub(in crate::lab) fn listener(end: &End) -> io::Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind((end.address, 0))?;
        sockopt::set_socket_recv_buffer_size(&listener, TCP_ROOM)?;
        Ok(listener)
    };
    end.namespace.run(open).map_err(in_namespace)?
}

/// A socket at the end's address that is not connected yet.
pub(in crate::lab) fn client(end: &End) -> io::Result<OwnedFd> {
    let open = || -> io::Result<OwnedFd> {
        let client = socket(family(end), SocketType::STREAM, None)?;
        sockopt::set_socket_recv_buffer_size(&client, TCP_ROOM)?;
        bind(&client, &SocketAddr::from((end.address, 0)))?;
        Ok(client)
    };
    end.namespace.run(open).map_err(in_namespace)?
}

/// Connects a [`client`].
pub(in crate::lab) fn connected(
    client: OwnedFd,
    to: SocketAddr,
    patience: Patience,
) -> io::Result<TcpStream> {
    let stream = TcpStream::from(client);
    stream.set_nonblocking(true)?;
    match connect(&stream, &to) {
        Err(rustix::io::Errno::INPROGRESS) => {}
        done => done?,
    }
    wait(&stream, PollFlags::OUT, patience, "no connection")?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Takes one connection.
pub(in crate::lab) fn accepted(listener: &TcpListener, patience: Patience) -> io::Result<TcpStream> {
    wait(listener, PollFlags::IN, patience, "no connection came")?;
    listener.accept().map(|(stream, _)| stream)
}

/// A datagram socket at the end's address; the port is the kernel's choice if it is 0.
pub(in crate::lab) fn datagrams(end: &End, port: u16) -> io::Result<UdpSocket> {
    end.namespace.run(|| UdpSocket::bind((end.address, port))).map_err(in_namespace)?
}

/// An echo socket at the end's address (`net.ipv4.ping_group_range` must allow it): what is sent is an ICMP or ICMPv6
/// echo request, whose identifier and checksum are the kernel's; what is received are replies to this socket's requests.
pub(in crate::lab) fn echo(end: &End) -> io::Result<UdpSocket> {
    let open = || -> io::Result<UdpSocket> {
        let protocol = if end.address.is_ipv6() { ipproto::ICMPV6 } else { ipproto::ICMP };
        let echo =
            socket_with(family(end), SocketType::DGRAM, rustix::net::SocketFlags::CLOEXEC, Some(protocol))?;
        bind(&echo, &SocketAddr::from((end.address, 0)))?;
        Ok(UdpSocket::from(echo))
    };
    end.namespace.run(open).map_err(in_namespace)?
}

/// A socket that gets every ICMP or ICMPv6 message of a host; IPv4 ones with their IP header.
pub(in crate::lab) fn icmp(end: &End) -> io::Result<UdpSocket> {
    let open = || -> io::Result<UdpSocket> {
        let protocol = if end.address.is_ipv6() { ipproto::ICMPV6 } else { ipproto::ICMP };
        let icmp =
            socket_with(family(end), SocketType::RAW, rustix::net::SocketFlags::CLOEXEC, Some(protocol))?;
        Ok(UdpSocket::from(icmp))
    };
    end.namespace.run(open).map_err(in_namespace)?
}

/// Waits until a socket is ready; an error with these words when the patience is over.
pub(in crate::lab) fn wait(
    socket: &impl std::os::fd::AsFd,
    what: PollFlags,
    patience: Patience,
    otherwise: &str,
) -> io::Result<()> {
    let time = rustix::event::Timespec::try_from(patience.next()?).map_err(io::Error::other)?;
    let mut ready = [PollFd::new(socket, what)];
    match poll(&mut ready, Some(&time))? {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, otherwise.to_owned())),
        _ => Ok(()),
    }
}

/// Whether a socket has something within this time.
pub(in crate::lab) fn readable_within(socket: &impl std::os::fd::AsFd, time: Duration) -> io::Result<bool> {
    let time = rustix::event::Timespec::try_from(time).map_err(io::Error::other)?;
    let mut ready = [PollFd::new(socket, PollFlags::IN)];
    Ok(poll(&mut ready, Some(&time))? > 0)
}
