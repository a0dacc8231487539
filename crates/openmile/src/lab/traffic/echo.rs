//! ICMP and ICMPv6 echo: numbered requests, which the other end's kernel answers.

use std::io;
use std::net::{IpAddr, UdpSocket};

use super::tag::Tag;
use super::{End, Flow, Patience, socket, udp, wrong};

/// Octets of an echo request's payload.
const PAYLOAD: usize = 1400;
/// Octets of the ICMP header before it (RFC 792, RFC 4443 §4.1).
const HEADER: usize = 8;
/// Requests under way at a time.
const WINDOW: u64 = 4;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// A flow whose socket is open.
pub(in crate::lab) struct Echo {
    socket: UdpSocket,
    v6: bool,
    tag: Tag,
    requests: u64,
    patience: Patience,
}

/// Sends one echo request on a connected [`socket::echo`].
pub(in crate::lab) fn echo_request(socket: &UdpSocket, v6: bool, tag: Tag) -> io::Result<()> {
    socket.send(&request(v6, tag, 0)).map(drop)
}

/// Asks for one echo, again and again until it is answered or the patience is over.
pub(in crate::lab) fn echo_once(from: &End, to: IpAddr, tag: Tag, patience: Patience) -> io::Result<()> {
    let socket = socket::echo(from)?;
    socket.connect((to, 0))?;
    let echo = Echo { socket, v6: to.is_ipv6(), tag, requests: 1, patience };
    for number in 0.. {
        let pause = patience.next()?;
        // An error from the way there (no route yet) is not the last word.
        _ = echo.socket.send(&echo.request(number));
        let mut message = [0; HEADER + PAYLOAD + 1];
        if socket::readable_within(&echo.socket, pause)?
            && let Ok(len) = echo.socket.recv(&mut message)
        {
            return echo.reply(&message[..len]).map(drop);
        }
    }
    Ok(())
}

impl Echo {
    pub(super) fn new(flow: &Flow, requests: u64, patience: Patience) -> io::Result<Self> {
        let socket = socket::echo(&flow.from)?;
        socket.connect((flow.to.address, 0))?;
        Ok(Self { socket, v6: flow.to.address.is_ipv6(), tag: flow.tag, requests, patience })
    }

    pub(super) fn run(&mut self) -> io::Result<u64> {
        let (mut sent, mut replies) = (0, 0);
        let mut seen = vec![false; self.requests as usize];
        while replies < self.requests {
            while sent < self.requests && sent < replies + WINDOW {
                self.socket.send(&self.request(sent))?;
                sent += 1;
            }
            let mut message = [0; HEADER + PAYLOAD + 1];
            self.socket.set_read_timeout(Some(self.patience.next()?))?;
            let missing = |_| wrong(format!("{replies} of {sent} echo requests were answered"));
            let len = self.socket.recv(&mut message).map_err(missing)?;
            let number = self.reply(&message[..len])?;
            match seen.get_mut(number as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(wrong(format!("reply {number} came twice, or was never asked for"))),
            }
            replies += 1;
        }
        Ok(replies * 2 * PAYLOAD as u64)
    }

    fn request(&self, number: u64) -> [u8; HEADER + PAYLOAD] {
        request(self.v6, self.tag, number)
    }

    fn reply(&self, message: &[u8]) -> io::Result<u64> {
        let kind = if self.v6 { ECHO_REPLY_V6 } else { ECHO_REPLY };
        match message.split_at_checked(HEADER) {
            Some((header, payload)) if header[0] == kind && payload.len() == PAYLOAD => {
                udp::number(payload, self.tag)
            }
            _ => Err(wrong(format!("an answer of type {} and {} octets", message[0], message.len()))),
        }
    }
}

fn request(v6: bool, tag: Tag, number: u64) -> [u8; HEADER + PAYLOAD] {
    let mut message = [0; HEADER + PAYLOAD];
    message[0] = if v6 { ECHO_REQUEST_V6 } else { ECHO_REQUEST };
    message[6..HEADER].copy_from_slice(&(number as u16).to_be_bytes());
    tag.fill(0, &mut message[HEADER..]);
    message[HEADER + 8..HEADER + 16].copy_from_slice(&number.to_be_bytes());
    message
}
