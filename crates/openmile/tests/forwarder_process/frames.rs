//! Frames by hand, and the far end of a cable.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use port::{AfPacket, Port, TxOutcome};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::MacAddr;
use wire::frame::FramePool;

use crate::sandbox::Outside;

/// The other end of one of the node's cables, reading and writing raw frames.
pub(crate) struct FarEnd {
    port: AfPacket,
    pool: FramePool,
}

impl FarEnd {
    pub(crate) fn open(outside: &Outside, device: &str) -> Self {
        let port = outside.run(|| AfPacket::options(device).open().unwrap());
        Self { port, pool: FramePool::new(512, 4000) }
    }

    pub(crate) fn mac(&self) -> MacAddr {
        self.port.mac()
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        let mut frames = vec![self.pool.alloc_from(octets).unwrap()];
        let mut outcomes = Vec::new();
        self.port.tx_burst(&mut self.pool, &mut frames, &mut outcomes);
        assert_eq!(outcomes, [TxOutcome::Sent]);
    }

    /// The next frame, which is exactly this (Ethernet padding aside).
    pub(crate) fn receives(&mut self, expected: &[u8]) {
        let got = self.receive().expect("no frame came");
        let len = expected.len().min(got.len());
        assert_eq!(hex(&got[..len]), hex(expected));
        assert!(got[len..].iter().all(|&octet| octet == 0), "{}", hex(&got));
    }

    /// The next frame; `None` if none comes for long.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let result = self.port.rx_burst(&mut self.pool, &mut frames, 1);
            if let Some(frame) = frames.pop() {
                let octets = self.pool.octets(&frame).to_vec();
                self.pool.free(frame);
                return Some(octets);
            }
            if result.more {
                continue;
            }
            let fd = self.port.poll_fd().unwrap();
            let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
            if poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })).unwrap() == 0 {
                return None;
            }
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub(crate) fn ethernet(
    to: MacAddr,
    from: MacAddr,
    tags: &[(u16, u16)],
    ethertype: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = [to.0, from.0].concat();
    for (protocol, vlan) in tags {
        frame.extend(protocol.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A UDP packet with this TTL, its UDP checksum zero ("none").
pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let len = 20 + 8 + payload.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 1, 0x40, 0, ttl, 17, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend([0x10, 0, 0x10, 1]);
    packet.extend((8 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// A packet under one label.
pub(crate) fn labelled(label: u32, ttl: u8, packet: &[u8]) -> Vec<u8> {
    let entry = label << 12 | 0x100 | u32::from(ttl);
    [&entry.to_be_bytes()[..], packet].concat()
}
