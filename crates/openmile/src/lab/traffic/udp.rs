//! UDP: numbered datagrams one way, receipts the other way.

use std::io;
use std::net::UdpSocket;

use super::tag::Tag;
use super::{Flow, Patience, both, socket, wrong};

/// Octets of payload of a datagram: near what fits into a packet.
const PAYLOAD: usize = 1400;
/// Datagrams under way at a time.
const WINDOW: u64 = 8;
/// A receipt is sent for this many datagrams.
const RECEIPT: u64 = 4;
/// Where the datagram's number stands: after the tag.
pub(super) const NUMBER: std::ops::Range<usize> = 8..16;

/// A flow whose sockets are open.
pub(super) struct Udp {
    sender: UdpSocket,
    receiver: UdpSocket,
    tag: Tag,
    datagrams: u64,
    patience: Patience,
}

impl Udp {
    pub(super) fn new(flow: &Flow, datagrams: u64, patience: Patience) -> io::Result<Self> {
        let receiver = socket::datagrams(&flow.to, 0)?;
        let sender = socket::datagrams(&flow.from, 0)?;
        sender.connect(receiver.local_addr()?)?;
        receiver.connect(sender.local_addr()?)?;
        Ok(Self { sender, receiver, tag: flow.tag, datagrams, patience })
    }

    pub(super) fn run(self) -> io::Result<u64> {
        let Self { sender, receiver, tag, datagrams, patience } = self;
        both(|| send(&sender, tag, datagrams, patience), || receive(&receiver, tag, datagrams, patience))
    }
}

fn send(socket: &UdpSocket, tag: Tag, datagrams: u64, patience: Patience) -> io::Result<()> {
    let mut payload = [0; PAYLOAD];
    tag.fill(0, &mut payload);
    let (mut sent, mut received) = (0, 0);
    while received < datagrams {
        while sent < datagrams && sent < received + WINDOW {
            payload[NUMBER].copy_from_slice(&u64::to_be_bytes(sent));
            socket.send(&payload)?;
            sent += 1;
        }
        let mut receipt = [0; PAYLOAD];
        let otherwise =
            || wrong(format!("a receipt is missing: {received} of {sent} datagrams are known to have come"));
        let len = next(socket, &mut receipt, patience).map_err(|_| otherwise())?;
        let number = number(&receipt[..len], tag)?;
        received = received.max(number);
    }
    Ok(())
}

fn receive(socket: &UdpSocket, tag: Tag, datagrams: u64, patience: Patience) -> io::Result<u64> {
    let mut seen = vec![false; datagrams as usize];
    let (mut received, mut payload) = (0, [0; PAYLOAD + 1]);
    while received < datagrams {
        let otherwise = || wrong(format!("{received} of {datagrams} datagrams came"));
        let len = next(socket, &mut payload, patience).map_err(|_| otherwise())?;
        let number = number(&payload[..len], tag)?;
        if len != PAYLOAD {
            return Err(wrong(format!("a datagram of {PAYLOAD} octets came as one of {len}")));
        }
        match seen.get_mut(number as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(wrong(format!("datagram {number} came twice, or was never sent"))),
        }
        received += 1;
        if received % RECEIPT == 0 || received == datagrams {
            let mut receipt = [0; 24];
            tag.fill(0, &mut receipt);
            receipt[NUMBER].copy_from_slice(&received.to_be_bytes());
            socket.send(&receipt)?;
        }
    }
    Ok(received * PAYLOAD as u64)
}

fn next(socket: &UdpSocket, payload: &mut [u8], patience: Patience) -> io::Result<usize> {
    socket.set_read_timeout(Some(patience.next()?))?;
    socket.recv(payload)
}

/// The number that a payload carries, if everything else in it is the tag.
pub(super) fn number(payload: &[u8], tag: Tag) -> io::Result<u64> {
    let number = payload.get(NUMBER).and_then(|octets| octets.try_into().ok()).map(u64::from_be_bytes);
    let number = number.ok_or_else(|| wrong("a payload is too short"))?;
    let before = tag.mismatch(0, &payload[..NUMBER.start]);
    match before.or_else(|| tag.mismatch(0, &payload[NUMBER.end..])) {
        None => Ok(number),
        Some(at) => Err(wrong(format!("octet {at} of payload {number} is not what was sent"))),
    }
}
