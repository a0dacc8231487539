//! ICMP for IPv4 and IPv6 (RFC 792, RFC 4443): errors as routers send them, and echo.
//!
//! What differs between the two versions is hidden here: an error is what it says, and the addresses tell its version.

use std::net::IpAddr;

use crate::checksum::{Sum, checksum};
use crate::ip::{self, IpHeader, NewHeader, protocol};
use crate::{LabelStackEntry, stack};

/// What an error of a router says of a packet that went no further.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IcmpError {
    /// There is no way to the destination's network (RFC 1812 §5.2.7.1; RFC 4443 §3.1, no route).
    NetworkUnreachable,
    /// The destination itself is not there (RFC 1812 §5.2.7.1; RFC 4443 §3.1, address unreachable).
    HostUnreachable,
    /// Nobody listens on the port (RFC 792; RFC 4443 §3.1).
    PortUnreachable,
    /// Too long for what is next, and not to be fragmented (RFC 1191 §4, RFC 4443 §3.2).
    TooLong {
        /// Octets of the longest packet that would have gone on.
        mtu: u32,
    },
    /// The TTL or hop limit ran out on the way (RFC 792; RFC 4443 §3.3).
    TimeExceeded,
}

/// Octets of every ICMP header here.
pub const ICMP_LEN: usize = 8;
/// The longest error: over IPv4 the datagram that every host takes (RFC 1812 §4.3.2.3), over IPv6 the least link MTU (RFC
/// 4443 §2.4 c).
const LONGEST_V4: usize = 576;
const LONGEST_V6: usize = 1280;
/// What is quoted of the original where an extension follows: RFC 4884 §3 asks for at least so much and a length, and
/// readers older than it look for the extension just there (§5.5).
const QUOTED_BEFORE_EXTENSION: usize = 128;
/// Version 2, reserved, checksum (RFC 4884 §7), and then an object's length, class and type.
const EXTENSION_LEN: usize = 4;
const OBJECT_LEN: usize = 4;
const EXTENSION_VERSION: u8 = 2;
/// MPLS label stack class, incoming stack (RFC 4950 §3).
const INCOMING_LABEL_STACK: [u8; 2] = [1, 1];
/// Labels that are shown at most.
const MAX_LABELS: usize = 16 * LabelStackEntry::LEN;
/// Errors of routers are internetwork control (RFC 1812 §4.3.2.5).
const PRECEDENCE: u8 = 6 << 5;

const V4_ECHO_REPLY: u8 = 0;
const V4_UNREACHABLE: u8 = 3;
const V4_ECHO: u8 = 8;
const V4_TIME_EXCEEDED: u8 = 11;
const V6_UNREACHABLE: u8 = 1;
const V6_TOO_BIG: u8 = 2;
const V6_TIME_EXCEEDED: u8 = 3;
const V6_ECHO: u8 = 128;
const V6_ECHO_REPLY: u8 = 129;

impl IcmpError {
    const fn type_and_code(self, ipv6: bool) -> (u8, u8) {
        match (self, ipv6) {
            (Self::NetworkUnreachable, false) => (V4_UNREACHABLE, 0),
            (Self::HostUnreachable, false) => (V4_UNREACHABLE, 1),
            (Self::PortUnreachable, false) => (V4_UNREACHABLE, 3),
            (Self::TooLong { .. }, false) => (V4_UNREACHABLE, 4),
            (Self::TimeExceeded, false) => (V4_TIME_EXCEEDED, 0),
            (Self::NetworkUnreachable, true) => (V6_UNREACHABLE, 0),
            (Self::HostUnreachable, true) => (V6_UNREACHABLE, 3),
            (Self::PortUnreachable, true) => (V6_UNREACHABLE, 4),
            (Self::TooLong { .. }, true) => (V6_TOO_BIG, 0),
            (Self::TimeExceeded, true) => (V6_TIME_EXCEEDED, 0),
        }
    }

    fn read(ipv6: bool, header: [u8; ICMP_LEN]) -> Option<Self> {
        let [kind, code, _, _, rest @ ..] = header;
        let mtu =
            if ipv6 { u32::from_be_bytes(rest) } else { u32::from(u16::from_be_bytes([rest[2], rest[3]])) };
        let all = [
            Self::NetworkUnreachable,
            Self::HostUnreachable,
            Self::PortUnreachable,
            Self::TooLong { mtu },
            Self::TimeExceeded,
        ];
        all.into_iter().find(|error| error.type_and_code(ipv6) == (kind, code))
    }
}

/// An error to be written: a whole IP packet.
#[derive(Clone, Copy, Debug)]
pub struct NewError<'a> {
    error: IcmpError,
    header: NewHeader,
    quoted: &'a [u8],
    /// The label stack that the original had, as received; empty for none.
    labels: &'a [u8],
}

impl<'a> NewError<'a> {
    /// An error to the sender of the packet `original` starts with, whose header is `of`. `labels` are the octets of the
    /// label stack that it came under, to be shown as RFC 4950 says; empty for none. `None` where `source` is of another
    /// IP version.
    pub fn new(
        error: IcmpError,
        source: IpAddr,
        ttl: u8,
        of: &IpHeader,
        original: &'a [u8],
        labels: &'a [u8],
    ) -> Option<Self> {
        if source.is_ipv6() != of.source.is_ipv6() {
            return None;
        }
        let (protocol, longest, traffic_class) = match source {
            IpAddr::V4(_) => (protocol::ICMP, LONGEST_V4, PRECEDENCE),
            IpAddr::V6(_) => (protocol::ICMPV6, LONGEST_V6, 0),
        };
        let mut header = NewHeader {
            source,
            destination: of.source,
            protocol,
            ttl,
            traffic_class,
            identification: identification(of, original),
            payload_len: 0,
        };
        // Packet Too Big has no place for the length that an extension needs (RFC 4884 §4).
        let extensible = !matches!((error, source), (IcmpError::TooLong { .. }, IpAddr::V6(_)));
        let labels = if extensible { &labels[..labels.len().min(MAX_LABELS)] } else { &[] };
        let room = longest - header.len() - ICMP_LEN;
        let most = if labels.is_empty() { room } else { QUOTED_BEFORE_EXTENSION };
        let quoted = original.get(..of.total_len as usize).unwrap_or(original);
        let quoted = &quoted[..quoted.len().min(most)];
        let message = Self { error, header, quoted, labels };
        header.payload_len = (message.len() - header.len()) as u16;
        Some(Self { header, ..message })
    }

    /// Octets of the packet: at most 576 over IPv4, 1280 over IPv6.
    #[allow(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub fn len(&self) -> usize {
        let behind = if self.labels.is_empty() {
            self.quoted.len()
        } else {
            QUOTED_BEFORE_EXTENSION + EXTENSION_LEN + OBJECT_LEN + self.labels.len()
        };
        self.header.len() + ICMP_LEN + behind
    }

    /// Writes the packet; `false` where `out` is not [`Self::len`] long.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> bool {
        if out.len() != self.len() || !self.header.write(out) {
            return false;
        }
        let ipv6 = self.header.source.is_ipv6();
        let Some(icmp) = out.get_mut(self.header.len()..) else { return false };
        let Some((head, behind)) = icmp.split_first_chunk_mut::<ICMP_LEN>() else { return false };
        let (kind, code) = self.error.type_and_code(ipv6);
        *head = [kind, code, 0, 0, 0, 0, 0, 0];
        if !self.labels.is_empty() {
            // In words of 32 or 64 bits, at another place in either version (RFC 4884 §4).
            if ipv6 {
                head[4] = (QUOTED_BEFORE_EXTENSION / 8) as u8;
            } else {
                head[5] = (QUOTED_BEFORE_EXTENSION / 4) as u8;
            }
        }
        match self.error {
            IcmpError::TooLong { mtu } if ipv6 => head[4..].copy_from_slice(&mtu.to_be_bytes()),
            IcmpError::TooLong { mtu } => {
                head[6..].copy_from_slice(&u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes());
            }
            _ => {}
        }
        let (quoted, rest) = behind.split_at_mut(self.quoted.len());
        quoted.copy_from_slice(self.quoted);
        if !self.labels.is_empty() {
            let (padding, extension) = rest.split_at_mut(QUOTED_BEFORE_EXTENSION - quoted.len());
            padding.fill(0);
            write_label_stack(extension, self.labels);
        }
        fill_checksum(&self.header, icmp);
        true
    }
}

/// RFC 4884 §7 and RFC 4950 §3; `out` has room for it.
fn write_label_stack(out: &mut [u8], labels: &[u8]) {
    let Some((head, behind)) = out.split_first_chunk_mut::<{ EXTENSION_LEN + OBJECT_LEN }>() else { return };
    let [len_high, len_low] = ((OBJECT_LEN + labels.len()) as u16).to_be_bytes();
    let [class, kind] = INCOMING_LABEL_STACK;
    *head = [EXTENSION_VERSION << 4, 0, 0, 0, len_high, len_low, class, kind];
    for (place, octet) in behind.iter_mut().zip(labels) {
        *place = *octet;
    }
    let sum = checksum(out);
    if let Some(place) = out.get_mut(2..4) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// An answer to an echo request: a whole IP packet, from the address that was asked.
#[derive(Clone, Copy, Debug)]
pub struct NewEchoReply<'a> {
    header: NewHeader,
    /// The request from its ICMP header on.
    request: &'a [u8],
}

impl<'a> NewEchoReply<'a> {
    /// The reply to the packet `octets` starts with, whose header is `of`; `None` where that is no echo request whose
    /// checksum holds. The reply has its data, its identification and its DSCP.
    pub fn new(of: &IpHeader, octets: &'a [u8], ttl: u8) -> Option<Self> {
        let Ok(Message::EchoRequest(_)) = Message::parse(of, octets) else { return None };
        let request = octets.get(usize::from(of.header_len)..of.total_len as usize)?;
        let traffic_class = match (of.source, octets) {
            (IpAddr::V4(_), &[_, class, ..]) => class,
            (IpAddr::V6(_), &[high, low, ..]) => high << 4 | low >> 4,
            _ => 0,
        };
        let header = NewHeader {
            source: of.destination,
            destination: of.source,
            protocol: of.protocol,
            ttl,
            // Without ECN, which is for transports (RFC 6040 §4).
            traffic_class: traffic_class & !3,
            identification: identification(of, octets),
            payload_len: request.len() as u16,
        };
        Some(Self { header, request })
    }

    /// Octets of the packet: those of the request without its IP options.
    #[allow(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub fn len(&self) -> usize {
        self.header.len() + self.request.len()
    }

    /// Writes the packet; `false` where `out` is not [`Self::len`] long.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> bool {
        if out.len() != self.len() || !self.header.write(out) {
            return false;
        }
        let Some(icmp) = out.get_mut(self.header.len()..) else { return false };
        icmp.copy_from_slice(self.request);
        if let Some(kind) = icmp.first_mut() {
            *kind = if self.header.source.is_ipv6() { V6_ECHO_REPLY } else { V4_ECHO_REPLY };
        }
        fill_checksum(&self.header, icmp);
        true
    }
}

/// An echo message (RFC 792, RFC 4443 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo<'a> {
    /// Identifier.
    pub identifier: u16,
    /// Sequence number.
    pub sequence: u16,
    /// What is to come back.
    pub data: &'a [u8],
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// An echo request.
    EchoRequest(Echo<'a>),
    /// An echo reply.
    EchoReply(Echo<'a>),
    /// An error as this node sends them too.
    Error {
        /// What it says.
        error: IcmpError,
        /// The first octets of the packet that it is about, perhaps with padding.
        original: &'a [u8],
        /// The label stack entries of its RFC 4950 extension.
        labels: &'a [u8],
    },
    /// Any other.
    Other {
        /// Its type.
        kind: u8,
    },
}

/// Why a packet is no ICMP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IcmpParseError {
    /// Another protocol, or a fragment, or ICMPv6 behind extension headers.
    #[error("not a whole ICMP message")]
    NotIcmp,
    /// Shorter than its header.
    #[error("the packet ends within its ICMP header")]
    Truncated,
    /// The checksum is wrong.
    #[error("wrong ICMP checksum")]
    Checksum,
}

impl<'a> Message<'a> {
    /// Reads the message of the packet `octets` starts with, whose header is `header`.
    pub fn parse(header: &IpHeader, octets: &'a [u8]) -> Result<Self, IcmpParseError> {
        let ipv6 = header.source.is_ipv6();
        let expected = if ipv6 { protocol::ICMPV6 } else { protocol::ICMP };
        if header.protocol != expected || header.fragment {
            return Err(IcmpParseError::NotIcmp);
        }
        let icmp = octets
            .get(usize::from(header.header_len)..header.total_len as usize)
            .ok_or(IcmpParseError::Truncated)?;
        let (head, behind) = icmp.split_first_chunk::<ICMP_LEN>().ok_or(IcmpParseError::Truncated)?;
        if pseudo_header(header.source, header.destination, icmp.len()).octets(icmp).checksum() != 0 {
            return Err(IcmpParseError::Checksum);
        }
        let echo = Echo {
            identifier: u16::from_be_bytes([head[4], head[5]]),
            sequence: u16::from_be_bytes([head[6], head[7]]),
            data: behind,
        };
        Ok(match (ipv6, head[0], head[1]) {
            (false, V4_ECHO, 0) | (true, V6_ECHO, 0) => Self::EchoRequest(echo),
            (false, V4_ECHO_REPLY, 0) | (true, V6_ECHO_REPLY, 0) => Self::EchoReply(echo),
            _ => match IcmpError::read(ipv6, *head) {
                Some(error) => Self::error(ipv6, error, *head, behind),
                None => Self::Other { kind: head[0] },
            },
        })
    }

    fn error(ipv6: bool, error: IcmpError, head: [u8; ICMP_LEN], behind: &'a [u8]) -> Self {
        let len = match (ipv6, error) {
            (true, IcmpError::TooLong { .. }) => 0,
            (true, _) => usize::from(head[4]) * 8,
            (false, _) => usize::from(head[5]) * 4,
        };
        let extended = if len == 0 { None } else { behind.split_at_checked(len) };
        let (original, extension) = extended.unwrap_or((behind, &[]));
        Self::Error { error, original, labels: label_stack(extension).unwrap_or_default() }
    }
}

/// The incoming label stack among the objects of an extension structure whose checksum holds.
fn label_stack(extension: &[u8]) -> Option<&[u8]> {
    let (head, mut objects) = extension.split_first_chunk::<EXTENSION_LEN>()?;
    if head[0] >> 4 != EXTENSION_VERSION || checksum(extension) != 0 {
        return None;
    }
    loop {
        let &[high, low, class, kind] = objects.first_chunk::<OBJECT_LEN>()?;
        let (object, rest) = objects.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        let content = object.get(OBJECT_LEN..)?;
        if [class, kind] == INCOMING_LABEL_STACK && stack::entries(content).next().is_some() {
            return Some(content);
        }
        objects = rest;
    }
}

/// Whether a packet is an ICMP error or redirect, or may be one: nothing is ever sent in answer to those, nor to a later
/// fragment of any packet (RFC 1812 §4.3.2.7, RFC 4443 §2.4 e). Messages of unknown type are taken for errors over IPv4
/// and by their number over IPv6 (RFC 4443 §2.1), and what cannot be read to its end is taken for one. Only for octets
/// that [`IpHeader::parse`] took.
pub fn may_be_answered(header: &IpHeader, octets: &[u8]) -> bool {
    /// Queries and their replies: echo, router discovery, timestamp, information, address mask (IANA).
    const V4_QUERIES: [u8; 10] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18];
    const V6_INFORMATIONAL: u8 = 128;
    const V6_REDIRECT: u8 = 137;
    let Some(upper) = ip::upper_layer(octets, header).filter(|upper| !upper.later_fragment) else {
        return false;
    };
    let kind = octets.get(..header.total_len as usize).and_then(|octets| octets.get(upper.at)).copied();
    match (header.source.is_ipv6(), upper.protocol) {
        (false, protocol::ICMP) => kind.is_some_and(|kind| V4_QUERIES.contains(&kind)),
        (true, protocol::ICMPV6) => kind.is_some_and(|kind| kind >= V6_INFORMATIONAL && kind != V6_REDIRECT),
        _ => true,
    }
}

/// That of the packet which is answered: IPv4 packets may be fragmented, and those of one sender and receiver differ in it
/// (RFC 6864 §4).
fn identification(of: &IpHeader, octets: &[u8]) -> u16 {
    match (of.source, octets) {
        (IpAddr::V4(_), &[_, _, _, _, high, low, ..]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

fn fill_checksum(header: &NewHeader, icmp: &mut [u8]) {
    let Some(place) = icmp.get_mut(2..4) else { return };
    place.fill(0);
    let sum = pseudo_header(header.source, header.destination, icmp.len()).octets(icmp).checksum();
    if let Some(place) = icmp.get_mut(2..4) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// ICMP over IPv4 is summed without one (RFC 792).
fn pseudo_header(source: IpAddr, destination: IpAddr, len: usize) -> Sum {
    match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::new().ipv6_pseudo_header(source, destination, protocol::ICMPV6, len as u32)
        }
        _ => Sum::new(),
    }
}

#[cfg(test)]
mod tests;
