//! Traffic between the kernels of subscribers and ISPs, all at once and both ways.
//!
//! Each flow has a payload of its own ([`tag`]), which the receiver compares octet for octet, and a window, so that what
//! is under way at a time fits into the queues of virtual devices: a packet that is missing then was lost by a node.
#![allow(clippy::disallowed_methods)] // the lab is a composition root: deadlines are its own

mod echo;
pub(super) mod socket;
pub(super) mod steady;
pub(super) mod tag;
mod tcp;
mod udp;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::netlink::NetlinkError;
use crate::netlink::namespace::Namespace;
pub(super) use echo::{echo_once, echo_request};
use tag::{IspMark, Tag};

/// An end of a flow.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// The host.
    pub(super) host: String,
    /// Its namespace.
    pub(super) namespace: Arc<Namespace>,
    /// Its address.
    pub(super) address: IpAddr,
}

/// A subscriber and its ISP's host, by one IP version.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// The subscriber's end.
    pub(super) subscriber: End,
    /// The ISP's end.
    pub(super) isp: End,
    /// What marks this ISP's payloads.
    pub(super) mark: IspMark,
}

/// How much each flow carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Volume {
    /// Octets of payload of a TCP flow.
    pub(super) tcp: u64,
    /// Datagrams of a UDP flow.
    pub(super) udp: u64,
    /// Echo requests of an ICMP flow.
    pub(super) echo: u64,
}

/// What kind of flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Kind {
    /// A TCP connection.
    Tcp,
    /// UDP datagrams.
    Udp,
    /// ICMP or ICMPv6 echo requests and their replies.
    Echo,
}

/// One flow.
#[derive(Clone, Debug)]
struct Flow {
    kind: Kind,
    from: End,
    to: End,
    tag: Tag,
}

/// What came of a flow.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What kind it was.
    pub(super) kind: Kind,
    /// Its IP version is 6.
    pub(super) v6: bool,
    /// Who sent to whom.
    pub(super) name: String,
    /// Octets of payload that arrived and were what they should be (of echo: both ways), or what went wrong.
    pub(super) verified: Result<u64, String>,
}

/// Time that a flow may take in all, and may wait for its next packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    end: Instant,
    pause: Duration,
}

impl Patience {
    /// Patience from now on.
    pub(super) fn new(all: Duration, pause: Duration) -> Self {
        Self { end: Instant::now() + all, pause }
    }

    /// How long to wait for the next packet; an error once all the time is over.
    pub(super) fn next(self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time for all of it is over"));
        }
        Ok(left.min(self.pause))
    }
}

/// Runs all flows of all pairs at the same time, both ways, and waits for them.
pub(super) fn run(pairs: &[Pair], volume: Volume, patience: Patience) -> Vec<Outcome> {
    let flows: Vec<_> = pairs.iter().enumerate().flat_map(|(number, pair)| flows(number, pair)).collect();
    // All are ready before the first one sends.
    let prepared: Vec<_> = flows.iter().map(|flow| Prepared::new(flow, volume, patience)).collect();
    std::thread::scope(|scope| {
        let running: Vec<_> = prepared.into_iter().map(|flow| scope.spawn(move || flow?.run())).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, io::Result<u64>>| match thread.join() {
            Ok(verified) => verified.map_err(|error| error.to_string()),
            Err(_) => Err("its thread panicked".to_owned()),
        };
        let verified: Vec<_> = running.into_iter().map(join).collect();
        let outcome = |(flow, verified): (Flow, _)| Outcome {
            kind: flow.kind,
            v6: flow.to.address.is_ipv6(),
            name: format!("{} to {}", flow.from.host, flow.to.host),
            verified,
        };
        flows.into_iter().zip(verified).map(outcome).collect()
    })
}

/// [`run`] in a thread of its own, so that the caller can wait for other things as well.
pub(super) fn start(
    pairs: Vec<Pair>,
    volume: Volume,
    patience: Patience,
) -> tokio::sync::oneshot::Receiver<Vec<Outcome>> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || done.send(run(&pairs, volume, patience)));
    outcome
}

fn flows(number: usize, pair: &Pair) -> impl Iterator<Item = Flow> {
    let kinds = [Kind::Tcp, Kind::Udp, Kind::Echo];
    let ways = [(&pair.subscriber, &pair.isp), (&pair.isp, &pair.subscriber)];
    let all = kinds.into_iter().flat_map(move |kind| ways.map(|(from, to)| (kind, from, to)));
    all.enumerate().map(move |(place, (kind, from, to))| Flow {
        kind,
        from: from.clone(),
        to: to.clone(),
        tag: Tag::new(pair.mark, number * 8 + place),
    })
}

/// A flow whose sockets are open.
enum Prepared {
    Tcp(tcp::Tcp),
    Udp(udp::Udp),
    Echo(echo::Echo),
}

impl Prepared {
    fn new(flow: &Flow, volume: Volume, patience: Patience) -> io::Result<Self> {
        Ok(match flow.kind {
            Kind::Tcp => Self::Tcp(tcp::Tcp::new(flow, volume.tcp, patience)?),
            Kind::Udp => Self::Udp(udp::Udp::new(flow, volume.udp, patience)?),
            Kind::Echo => Self::Echo(echo::Echo::new(flow, volume.echo, patience)?),
        })
    }

    fn run(self) -> io::Result<u64> {
        match self {
            Self::Tcp(flow) => flow.run(),
            Self::Udp(flow) => flow.run(),
            Self::Echo(mut flow) => flow.run(),
        }
    }
}

/// Runs the two ends of a flow; if one fails, what it says counts, since the other then fails for want of it.
fn both<T: Send>(
    send: impl FnOnce() -> io::Result<()> + Send,
    receive: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let (first, failures) = mpsc::channel();
    let report = |failed: mpsc::Sender<io::Error>, error| _ = failed.send(error);
    let (sender, receiver) = (first.clone(), first);
    let received = std::thread::scope(|scope| {
        scope.spawn(move || send().unwrap_or_else(|error| report(sender, error)));
        receive().map_err(|error| report(receiver, error)).ok()
    });
    match (failures.try_recv(), received) {
        (Err(_), Some(received)) => Ok(received),
        (Ok(error), _) => Err(error),
        (Err(_), None) => Err(io::Error::other("no reason was given")),
    }
}

pub(super) fn in_namespace(error: NetlinkError) -> io::Error {
    io::Error::other(error)
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
pub(super) mod tests;
