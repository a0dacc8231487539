//! TCP: one connection, octets one way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::PollFlags;

use super::socket::{self, accepted, connected};
use super::tag::Tag;
use super::{Flow, Patience, both, wrong};

/// Octets handed to the kernel at once; a multiple of the tag's length.
const CHUNK: usize = 16 * 1024;

/// A connection that is about to be made.
pub(super) struct Tcp {
    listener: TcpListener,
    client: OwnedFd,
    to: SocketAddr,
    tag: Tag,
    octets: u64,
    patience: Patience,
}

impl Tcp {
    pub(super) fn new(flow: &Flow, octets: u64, patience: Patience) -> io::Result<Self> {
        let listener = socket::listener(&flow.to)?;
        let (to, client) = (listener.local_addr()?, socket::client(&flow.from)?);
        Ok(Self { listener, client, to, tag: flow.tag, octets, patience })
    }

    pub(super) fn run(self) -> io::Result<u64> {
        let Self { listener, client, to, tag, octets, patience } = self;
        both(
            move || send(connected(client, to, patience)?, tag, octets, patience),
            move || receive(accepted(&listener, patience)?, tag, octets, patience),
        )
    }
}

fn send(mut stream: TcpStream, tag: Tag, octets: u64, patience: Patience) -> io::Result<()> {
    let mut chunk = [0; CHUNK];
    tag.fill(0, &mut chunk);
    let mut sent = 0;
    while sent < octets {
        // Chunks may be taken in part, so begin where the tag stands.
        let begin = (sent % 8) as usize;
        let end = CHUNK.min(begin + (octets - sent) as usize);
        stream.set_write_timeout(Some(patience.next()?))?;
        sent += stream.write(&chunk[begin..end]).map_err(|error| stuck(error, sent, octets))? as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    // The receiver closes when it has everything: no packet of this connection is under way after that but its end.
    stream.set_read_timeout(Some(patience.next()?))?;
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(wrong("the receiver sent something")),
    }
}

fn receive(mut stream: TcpStream, tag: Tag, octets: u64, patience: Patience) -> io::Result<u64> {
    let mut chunk = [0; CHUNK];
    let mut received = 0;
    loop {
        stream.set_read_timeout(Some(patience.next()?))?;
        let len = stream.read(&mut chunk).map_err(|error| stuck(error, received, octets))?;
        if let Some(at) = tag.mismatch(received, &chunk[..len]) {
            return Err(wrong(format!("octet {at} is not what was sent")));
        }
        received += len as u64;
        if len == 0 {
            break;
        }
    }
    if received != octets {
        return Err(wrong(format!("{received} of {octets} octets came")));
    }
    stream.shutdown(Shutdown::Write)?;
    socket::wait(&stream, PollFlags::IN, patience, "the connection did not end")?;
    Ok(received)
}

fn stuck(error: io::Error, done: u64, of: u64) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => wrong(format!("stuck at {done} of {of} octets")),
        _ => error,
    }
}
