//! Answers that this node makes itself: ICMP errors to the senders of packets that went no further, and replies to what is
//! addressed to it.
//!
//! # Who is answered
//!
//! Nobody whose packet was not verified to be an ISP's (so never a spoofed source); nothing but unicast sources and
//! destinations; no ICMP error or redirect, no later fragment (RFC 1812 §4.3.2.7, RFC 4443 §2.4 e). And no more often than
//! [`crate::limit`] says.
//!
//! # Way and address
//!
//! An answer goes back the way that its cause came ([`Back`]), in the same ISP's name. Errors come from the address that
//! this node has at that ISP for them; where it has none, none is sent. What is addressed to this node is answered from
//! the address that was asked.

use std::net::IpAddr;

use contract::counters::Point;
use contract::{DropReason, PortKind, Tick};
use wire::frame::{Frame, FramePool};
use wire::icmp::{IcmpError, NewEchoReply, NewError};
use wire::ip::{IpHeader, protocol};

use crate::classify::is_unicast_host;
use crate::impose::{Entry, fits, impose};
use crate::leave::out_of;
use crate::limit::{AnswerKind, Limits, Sender};
use crate::packet::{Back, Edge, Origin, Packet, Passage};
use crate::tables::{LabelAction, Tables};
use crate::turn_round::TRANSIT_TTL;

/// The TTL, or hop limit, of what this node sends as the end of an LSP (RFC 1700; less than [`TRANSIT_TTL`]).
const HOST_TTL: u8 = 64;

/// What an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// An error, from the address for errors.
    Error(IcmpError),
    /// There is no service at the address that was asked.
    NoService,
    /// An echo reply, from the address that was asked.
    EchoReply,
}

/// What an ISP's packet that went no further for this reason is answered with.
pub(crate) fn error_for(reason: DropReason, edge: Option<Edge>) -> Option<IcmpError> {
    Some(match reason {
        DropReason::TtlExpired => IcmpError::TimeExceeded,
        DropReason::NoSubscriber | DropReason::HandoffUnresolved => IcmpError::HostUnreachable,
        // The subscriber's line itself; anywhere else, the way to a network.
        DropReason::PortDown if edge.is_some_and(|edge| edge.point == Point::HeadendToSubscriber) => {
            IcmpError::HostUnreachable
        }
        DropReason::IspUnreachable
        | DropReason::NoRoute
        | DropReason::NoNhlfe
        | DropReason::NoSuchHandoff
        | DropReason::PortDown => IcmpError::NetworkUnreachable,
        // Among others: subscriber_unresolved, since whoever waits a second finds it resolved.
        _ => return None,
    })
}

/// What a packet to one of this node's own addresses is answered with; `None`: nothing is there for it.
pub(crate) fn reply_for(packet: &Packet<'_>, origin: &Origin) -> Option<Answer> {
    let octets = packet.octets(origin.at);
    match origin.ip.protocol {
        protocol::UDP if wire::icmp::may_be_answered(&origin.ip, octets) => Some(Answer::NoService),
        protocol::ICMP | protocol::ICMPV6 => {
            NewEchoReply::new(&origin.ip, octets, HOST_TTL).map(|_| Answer::EchoReply)
        }
        _ => None,
    }
}

/// An answer, ready to depart.
pub(crate) struct Answered<'t> {
    pub(crate) frame: Frame,
    pub(crate) passage: Passage<'t>,
    pub(crate) edge: Option<Edge>,
}

/// Makes an answer to a packet, which stays as it is. `None` where it must not have one, has had enough of them, or there is
/// no way back.
pub(crate) fn answer<'t>(
    tables: &'t Tables,
    seed: u64,
    limits: &mut Limits,
    now: Tick,
    packet: &mut Packet<'_>,
    what: Answer,
) -> Option<Answered<'t>> {
    let origin = packet.origin?;
    let octets = packet.octets(origin.at);
    let answerable = is_unicast_host(origin.ip.source)
        && is_unicast_host(origin.ip.destination)
        && !packet.ethernet.destination.is_group()
        && wire::icmp::may_be_answered(&origin.ip, octets);
    let role = &tables.isp(origin.isp)?.role;
    if !answerable || role.own.contains(origin.ip.source) {
        return None;
    }
    let (source, kind) = match what {
        Answer::Error(_) => (role.icmp_source(origin.ip.source)?, AnswerKind::Error),
        Answer::NoService => (origin.ip.destination, AnswerKind::Error),
        Answer::EchoReply => (origin.ip.destination, AnswerKind::Reply),
    };
    let sender = match origin.back {
        Back::Circuit(_) => Sender::Circuit(packet.circuit()),
        Back::Isp(_) | Back::Subscriber | Back::Onward(_) => Sender::Address(origin.isp, origin.ip.source),
    };
    if !limits.answer(now, sender, origin.isp, kind) {
        return None;
    }
    let ttl = if matches!(origin.back, Back::Onward(_)) { TRANSIT_TTL } else { HOST_TTL };
    let frame = compose(packet.pool, &packet.frame, |whole| Message::new(what, source, ttl, &origin, whole))?;
    let octets = packet.pool.octets(&frame);
    let passage =
        IpHeader::parse(octets).ok().and_then(|ip| back(tables, seed, packet, &origin, &ip, octets));
    let Some(passage) = passage else {
        packet.pool.free(frame);
        return None;
    };
    let edge = packet.edge.map(|edge| Edge { point: opposite(edge.point), octets: passage.octets, ..edge });
    Some(Answered { frame, passage, edge })
}

/// A message to be written.
enum Message<'a> {
    Error(NewError<'a>),
    Reply(NewEchoReply<'a>),
}

impl<'a> Message<'a> {
    /// The answer to what is in the frame `whole`.
    fn new(what: Answer, source: IpAddr, ttl: u8, origin: &Origin, whole: &'a [u8]) -> Option<Self> {
        let original = whole.get(origin.at..)?;
        let labels = whole.get(origin.at.checked_sub(origin.labels)?..origin.at)?;
        let error = match what {
            Answer::EchoReply => return NewEchoReply::new(&origin.ip, original, ttl).map(Self::Reply),
            Answer::Error(error) => error,
            Answer::NoService => IcmpError::PortUnreachable,
        };
        NewError::new(error, source, ttl, &origin.ip, original, labels).map(Self::Error)
    }

    fn len(&self) -> usize {
        match self {
            Self::Error(error) => error.len(),
            Self::Reply(reply) => reply.len(),
        }
    }

    fn write(&self, out: &mut [u8]) -> bool {
        match self {
            Self::Error(error) => error.write(out),
            Self::Reply(reply) => reply.write(out),
        }
    }
}

/// Writes a message about what is in one frame to a frame of its own.
fn compose(
    pool: &mut FramePool,
    of: &Frame,
    message: impl Fn(&[u8]) -> Option<Message<'_>>,
) -> Option<Frame> {
    let len = message(pool.octets(of))?.len();
    let mut frame = pool.alloc(len)?;
    let (whole, out) = pool.octets_of_both(of, &mut frame);
    if message(whole).is_some_and(|message| message.write(out)) {
        return Some(frame);
    }
    pool.free(frame);
    None
}

/// The passage of an answer, which is not forwarded here: its TTL is as it was written.
fn back<'t>(
    tables: &'t Tables,
    seed: u64,
    packet: &Packet<'_>,
    origin: &Origin,
    ip: &IpHeader,
    octets: &[u8],
) -> Option<Passage<'t>> {
    let into = |nhlfes, entry: Entry| impose(tables, seed, octets, &entry, nhlfes).ok();
    let entry = Entry::with_ttl(tables, ip, 0, ip.ttl);
    match origin.back {
        Back::Circuit(mac) if !mac.is_unicast() => None,
        Back::Circuit(mac) => {
            let kind = tables.port(packet.arrived)?.kind;
            let passage = out_of(tables, packet.circuit(), kind, mac, ip, ip.ttl)?;
            fits(octets, passage).ok().filter(|_| kind != PortKind::Backbone)
        }
        Back::Isp(subscriber) => into(tables.isp(origin.isp)?.nhlfes(subscriber)?, entry),
        Back::Subscriber => into(tables.return_nhlfes(origin.isp, ip.destination)?, entry),
        Back::Onward(label) => match tables.action(label)? {
            // As if it came from the start of the LSP, in either model (RFC 3032 §2.3.2).
            LabelAction::Swap { nhlfes, .. } => into(nhlfes, Entry { label_ttl: u8::MAX, ..entry }),
            _ => None,
        },
    }
}

/// The other way of the same end.
const fn opposite(point: Point) -> Point {
    match point {
        Point::HeadendToIsp => Point::HeadendToSubscriber,
        Point::HeadendToSubscriber => Point::HeadendToIsp,
        Point::TailendToIsp => Point::TailendToSubscriber,
        Point::TailendToSubscriber => Point::TailendToIsp,
    }
}
