//! Where the headers of a frame to be segmented are.

use super::{BadOffload, ETHERNET, ETHERTYPE_CTAG, ETHERTYPE_STAG, SegmentKind, TAG};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_MPLS: u16 = 0x8847;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const IPV4_HEADER: usize = 20;
pub(super) const IPV6_HEADER: usize = 40;
pub(super) const TCP_HEADER: usize = 20;
pub(super) const UDP_HEADER: usize = 8;
/// Tags and labels together that are looked past.
const MAX_SHIMS: usize = 16;

/// Where the headers are, in octets from the frame's start; all of them are within the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Headers {
    /// The IP header.
    pub(super) ip: usize,
    /// The version of IP.
    pub(super) version: IpVersion,
    /// The TCP or UDP header.
    pub(super) transport: usize,
    /// Whether that is TCP.
    pub(super) tcp: bool,
    /// The payload.
    pub(super) payload: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IpVersion {
    V4,
    V6,
}

impl Headers {
    /// Finds the headers of a frame, past VLAN tags, labels and IPv6 extension headers.
    pub(super) fn find(frame: &[u8], kind: SegmentKind) -> Result<Self, BadOffload> {
        Self::locate(frame).filter(|headers| headers.are_of(kind)).ok_or(BadOffload::Unparsed)
    }

    fn are_of(&self, kind: SegmentKind) -> bool {
        match kind {
            SegmentKind::TcpV4 => self.tcp && self.version == IpVersion::V4,
            SegmentKind::TcpV6 => self.tcp && self.version == IpVersion::V6,
            SegmentKind::Udp => !self.tcp,
        }
    }

    fn locate(frame: &[u8]) -> Option<Self> {
        let (ip, version) = network(frame)?;
        let (transport, protocol) = match version {
            IpVersion::V4 => over_ipv4(frame, ip)?,
            IpVersion::V6 => over_ipv6(frame, ip)?,
        };
        let header = match protocol {
            TCP => usize::from(*frame.get(transport + 12)? >> 4) * 4,
            UDP => UDP_HEADER,
            _ => return None,
        };
        let tcp = protocol == TCP;
        if tcp && header < TCP_HEADER || frame.len() < transport + header {
            return None;
        }
        Some(Self { ip, version, transport, tcp, payload: transport + header })
    }
}

fn u16_at(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

fn network(frame: &[u8]) -> Option<(usize, IpVersion)> {
    let mut at = ETHERNET;
    for _ in 0..MAX_SHIMS {
        match u16_at(frame, at - 2)? {
            ETHERTYPE_CTAG | ETHERTYPE_STAG => at += TAG,
            ETHERTYPE_IPV4 => return Some((at, IpVersion::V4)),
            ETHERTYPE_IPV6 => return Some((at, IpVersion::V6)),
            ETHERTYPE_MPLS => return under_labels(frame, at),
            _ => return None,
        }
    }
    None
}

fn under_labels(frame: &[u8], mut at: usize) -> Option<(usize, IpVersion)> {
    for _ in 0..MAX_SHIMS {
        let bottom = frame.get(at + 2)? & 1 == 1;
        at += wire::LabelStackEntry::LEN;
        if bottom {
            return match frame.get(at)? >> 4 {
                4 => Some((at, IpVersion::V4)),
                6 => Some((at, IpVersion::V6)),
                _ => None,
            };
        }
    }
    None
}

fn over_ipv4(frame: &[u8], ip: usize) -> Option<(usize, u8)> {
    let header = frame.get(ip..ip + IPV4_HEADER)?;
    let len = usize::from(header[0] & 0xf) * 4;
    (header[0] >> 4 == 4 && len >= IPV4_HEADER).then_some((ip + len, header[9]))
}

fn over_ipv6(frame: &[u8], ip: usize) -> Option<(usize, u8)> {
    // Not a routing header: with one, the checksum covers another destination than the header has (RFC 8200 §8.1).
    const HOP_BY_HOP: u8 = 0;
    const DESTINATION: u8 = 60;
    let header = frame.get(ip..ip + IPV6_HEADER)?;
    // No length: a jumbogram (RFC 2675), whose option would have to be taken out of every segment.
    if header[0] >> 4 != 6 || header[4..6] == [0, 0] {
        return None;
    }
    let (mut next, mut at) = (header[6], ip + IPV6_HEADER);
    for _ in 0..MAX_SHIMS {
        if !matches!(next, HOP_BY_HOP | DESTINATION) {
            return Some((at, next));
        }
        let extension = frame.get(at..at + 2)?;
        next = extension[0];
        at += (usize::from(extension[1]) + 1) * 8;
    }
    None
}
