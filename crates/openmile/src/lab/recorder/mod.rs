//! Watches what a host receives: each frame, not a sample, is judged by a filter in the kernel, and those that are not
//! plainly of the host's own ISP come here.

pub(super) mod filter;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use contract::counters::Traffic;
use port::capture::{Capture, Direction};

use super::traffic::in_namespace;
use super::traffic::tag::IspMark;
use crate::netlink::namespace::Namespace;

/// Octets of a frame that are looked at.
const SNAPLEN: u32 = 2048;
const ETHERNET: usize = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// A host's recorder: one socket per device.
#[derive(Debug)]
pub(super) struct Recorder {
    devices: Vec<Capture>,
    seen: Seen,
}

/// What came that was not plainly of the host's own ISP.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Seen {
    /// Packets of the link itself (Neighbor Discovery, multicast listeners): not an ISP's.
    pub(super) link: Traffic,
    /// ICMP errors, by type and code.
    pub(super) errors: BTreeMap<(u8, u8), u64>,
    /// Payloads of somebody else, or nobody: what they were, and how many.
    pub(super) foreign: BTreeMap<String, u64>,
    /// Frames that could not be looked at for want of buffers.
    pub(super) missed: u64,
}

impl Recorder {
    /// Records on all these devices of a host from now on; what carries the mark of its ISP passes without notice.
    pub(super) fn start(namespace: &Namespace, devices: &[String], own: IspMark) -> io::Result<Self> {
        let open = |device: &String| {
            let mut capture = Capture::open(device, SNAPLEN).map_err(io::Error::other)?;
            filter::attach(capture.as_fd(), &filter::not_of(own))?;
            // What came before the filter was there is not judged.
            while capture.next_frame()?.is_some() {}
            capture.take_dropped();
            Ok(capture)
        };
        let opened = namespace.run(|| devices.iter().map(open).collect::<io::Result<Vec<_>>>());
        Ok(Self { devices: opened.map_err(in_namespace)??, seen: Seen::default() })
    }

    /// All that was seen since the start.
    pub(super) fn seen(&mut self) -> io::Result<&Seen> {
        for device in &mut self.devices {
            while let Some(frame) = device.next_frame()? {
                if frame.direction == Direction::In {
                    self.seen.judge(frame.octets);
                }
            }
            self.seen.missed += device.take_dropped();
        }
        Ok(&self.seen)
    }
}

impl Seen {
    fn judge(&mut self, frame: &[u8]) {
        let ethertype = frame.get(12..ETHERNET).map_or(0, |o| u16::from_be_bytes([o[0], o[1]]));
        let packet = frame.get(ETHERNET..).unwrap_or_default();
        match ethertype {
            ETHERTYPE_IPV4 if packet.len() >= 20 => self.judge_v4(packet),
            ETHERTYPE_IPV6 if packet.len() >= 40 => self.judge_v6(packet),
            other => self.foreign(format!("EtherType 0x{other:04x}")),
        }
    }

    fn judge_v4(&mut self, packet: &[u8]) {
        let header = usize::from(packet[0] & 0xf) * 4;
        let (source, destination) = (&packet[12..16], &packet[16..20]);
        match (packet[9], packet.get(header..)) {
            (1, Some([kind @ (3 | 4 | 5 | 11 | 12), code, ..])) => {
                *self.errors.entry((*kind, *code)).or_default() += 1;
            }
            // IGMP and other multicast of the link.
            _ if destination[0] & 0xf0 == 0xe0 => self.link(packet.len() as u64),
            (protocol, _) => self.foreign(format!(
                "IPv4 protocol {protocol}, {} to {}",
                dotted(source),
                dotted(destination)
            )),
        }
    }

    fn judge_v6(&mut self, packet: &[u8]) {
        let octets = 40 + u64::from(u16::from_be_bytes([packet[4], packet[5]]));
        let address = |at: usize| <[u8; 16]>::try_from(&packet[at..at + 16]).map(std::net::Ipv6Addr::from);
        let (source, destination) = (address(8), address(24));
        match (packet[6], packet.get(40..)) {
            // Neighbor Discovery (RFC 4861 §4).
            (58, Some([133..=137, ..])) => self.link(octets),
            (58, Some([kind @ 1..=4, code, ..])) => *self.errors.entry((*kind, *code)).or_default() += 1,
            _ if destination.is_ok_and(|address| address.is_multicast()) => self.link(octets),
            (next, _) => match (source, destination) {
                (Ok(source), Ok(destination)) => {
                    self.foreign(format!("IPv6 next header {next}, {source} to {destination}"));
                }
                _ => self.foreign("IPv6".to_owned()),
            },
        }
    }

    fn link(&mut self, octets: u64) {
        self.link.packets += 1;
        self.link.octets += octets;
    }

    fn foreign(&mut self, what: String) {
        *self.foreign.entry(what).or_default() += 1;
    }
}

fn dotted(octets: &[u8]) -> String {
    <[u8; 4]>::try_from(octets).map_or_else(|_| "?".to_owned(), |o| std::net::Ipv4Addr::from(o).to_string())
}

#[cfg(test)]
mod tests;
