//! Packets that are too long for the LSPs: both ways and by both IP versions, kernels find out the MTU of the path, packets
//! that may be fragmented arrive whole, and TCP's segments fit from the beginning where the network file wants that.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

use miette::miette;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu, ipv6_mtu, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::SockRef;

use super::accounts::{Snapshot, Way};
use super::build::device;
use super::checks::Checks;
use super::hosts::Hosts;
use super::operator::{NetworkFile, replaced};
use super::plan::HostKind;
use super::scenario::Lab;
use super::screen::Step;
use super::traffic::socket::{accepted, client, connected, datagrams, listener, readable_within};
use super::traffic::tag::Tag;
use super::traffic::{End, Patience};

/// What the LSPs carry in this scenario: less than the 1500 octets of the edges.
const LSP_MTU: u32 = 1400;
/// Octets of an IP packet that fills the edges.
const EDGE: usize = 1500;
/// Octets of TCP's header with its time stamps (RFC 7323).
const TCP: u32 = 32;
/// The ISP whose segments are made to fit.
const CLAMPS: &str = "beta";
/// How long an answer may take, and how often it is tried.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: usize = 25;
/// How long a TCP connection may take.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// Octets that a TCP connection carries each way.
const CARRIED: usize = 200_000;

/// Makes the LSPs narrow, tries, and makes them wide again.
pub(super) async fn check(
    lab: Lab<'_>,
    file: NetworkFile<'_>,
    hosts: &mut Hosts,
    checks: &mut Checks,
) -> miette::Result<()> {
    let step = Step::begin("MTU");
    let wide = file.text()?;
    let narrow = replaced(&wide, "lsp_mtu = 1500", &format!("lsp_mtu = {LSP_MTU}"))?;
    let narrow = replaced(
        &narrow,
        &format!("name = \"{CLAMPS}\"\n"),
        &format!("name = \"{CLAMPS}\"\nclamp_mss = true\n"),
    )?;
    file.load(lab.plan, &narrow).await?;
    let before = Snapshot::quiet(lab.nodes, hosts).await?;
    let tried = try_all(lab, hosts, checks);
    let after = Snapshot::quiet(lab.nodes, hosts).await?;
    file.load(lab.plan, &wide).await?;
    tried?;
    let mut against = after.against_books(&before, lab.plan);
    let fragments = after.extra_fragments_since(&before);
    let of_way = |(way, count): (Way, u64)| format!("{count} extra fragments {way}");
    against.extend(fragments.into_iter().filter(|(_, count)| *count == 0).map(of_way));
    let claim =
        "the nodes made fragments of it both ways, and the books add up with them and the ICMP errors";
    let words = fragments.map(of_way).join(", ");
    checks.none_against(
        against,
        claim,
        format!("{words}; received + originated + extra fragments = sent + dropped + consumed, to the octet"),
    );
    step.done(&format!("LSPs of {LSP_MTU} octets between edges of {EDGE}"));
    Ok(())
}

/// What speaks against the claims, and what was seen.
#[derive(Debug, Default)]
struct Findings {
    segments: Vec<String>,
    against_segments: Vec<String>,
    against_fragments: Vec<String>,
    against_discovery: Vec<String>,
}

fn try_all(lab: Lab<'_>, hosts: &Hosts, checks: &mut Checks) -> miette::Result<()> {
    let mut findings = Findings::default();
    for isp in lab.plan.hosts_of(HostKind::Isp) {
        // Two, since a kernel remembers for all its sockets what one has discovered about the way to a host.
        let mut subscribers = lab.plan.hosts_of(HostKind::Subscriber).filter(|host| host.isp == isp.isp);
        let pair = subscribers.next().zip(subscribers.next());
        let (first, second) = pair.ok_or_else(|| miette!("{} has no two subscribers", isp.name))?;
        for v6 in [false, true] {
            let tag = Tag::new(hosts.mark(&isp.name), 0xb00);
            let ends = |host: &str| -> miette::Result<(End, End)> {
                Ok((hosts.end(host, v6)?, hosts.end(&isp.name, v6)?))
            };
            findings.of_tcp(&ends(&first.name)?, tag, isp.name == CLAMPS);
            let (one, other) = ends(&second.name)?;
            findings.of_udp(&one, &other, tag);
            findings.of_udp(&other, &one, tag);
        }
    }
    findings.check(checks);
    Ok(())
}

impl Findings {
    fn of_tcp(&mut self, (one, other): &(End, End), tag: Tag, clamps: bool) {
        let headers = TCP + if one.address.is_ipv6() { 40 } else { 20 };
        let begins = if clamps { LSP_MTU } else { EDGE as u32 } - headers;
        let whose = format!("{} to {}", one.host, other.address);
        match segments(one, other, tag) {
            Ok((first, then)) => {
                let seen = format!("{whose}: {first} then {then}");
                if (first, then) != (begins, LSP_MTU - headers) {
                    self.against_segments.push(seen.clone());
                }
                self.segments.push(seen);
            }
            Err(error) => self.against_segments.push(format!("{whose}: {error}")),
        }
    }

    fn of_udp(&mut self, from: &End, to: &End, tag: Tag) {
        let whose = format!("{} to {}", from.host, to.address);
        match path_mtu(from, to, tag) {
            Ok(LSP_MTU) => {}
            Ok(mtu) => self.against_discovery.push(format!("{whose}: {mtu}")),
            Err(error) => self.against_discovery.push(format!("{whose}: {error}")),
        }
        if let Err(error) = fragmented(from, to, tag) {
            self.against_fragments.push(format!("{whose}: {error}"));
        }
    }

    fn check(self, checks: &mut Checks) {
        let claim = format!(
            "TCP's segments fit into the LSPs from the beginning with clamp_mss ({CLAMPS}), without it after an ICMP error"
        );
        checks.none_against(self.against_segments, claim, self.segments.join(", "));
        let claim = "every kernel discovers the MTU of the path, both ways";
        let seen = format!("{LSP_MTU} octets, by IPv4 and IPv6, from the answer to a packet of {EDGE}");
        checks.none_against(self.against_discovery, claim, seen);
        let claim = "packets that may be fragmented arrive whole, both ways";
        let seen = format!("{EDGE} octets, by IPv4 without DF and by IPv6's own fragments");
        checks.none_against(self.against_fragments, claim, seen);
    }
}

/// TCP's segment size right after the connection is there and after it has carried something both ways.
fn segments(one: &End, other: &End, tag: Tag) -> io::Result<(u32, u32)> {
    let patience = Patience::new(PATIENCE.0, PATIENCE.1);
    let listener = listener(other)?;
    let mut near = connected(client(one)?, listener.local_addr()?, patience)?;
    let mut far = accepted(&listener, patience)?;
    let first = mss(&near, &far)?;
    let mut sent = vec![0; CARRIED];
    tag.fill(0, &mut sent);
    exchange(&mut near, &mut far, &sent)?;
    exchange(&mut far, &mut near, &sent)?;
    Ok((first, mss(&near, &far)?))
}

/// The longer segment of both ends.
fn mss(near: &TcpStream, far: &TcpStream) -> io::Result<u32> {
    Ok(SockRef::from(near).tcp_mss()?.max(SockRef::from(far).tcp_mss()?))
}

fn exchange(from: &mut TcpStream, to: &mut TcpStream, sent: &[u8]) -> io::Result<()> {
    for stream in [&*from, &*to] {
        stream.set_read_timeout(Some(PATIENCE.1))?;
        stream.set_write_timeout(Some(PATIENCE.1))?;
    }
    let mut received = vec![0; sent.len()];
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| from.write_all(sent));
        let read = to.read_exact(&mut received);
        let wrote = sending.join().unwrap_or_else(|_| Err(io::Error::other("panic")));
        read.and(wrote)
    })?;
    if received == sent { Ok(()) } else { Err(io::Error::other("something else arrived than was sent")) }
}

/// A receiver, and a sender that is connected to it. It sends by one link of its host, since Linux puts down what it is told
/// about an IPv6 path at another one of several equal next hops than it sends by: their hash has no ports then.
fn ends(from: &End, to: &End) -> io::Result<(UdpSocket, UdpSocket)> {
    let (receiver, sender) = (datagrams(to, 0)?, datagrams(from, 0)?);
    SockRef::from(&sender).bind_device(Some(device(0).as_bytes()))?;
    sender.connect(receiver.local_addr()?)?;
    Ok((receiver, sender))
}

/// What the sender's kernel finds to be the MTU of the path.
fn path_mtu(from: &End, to: &End, tag: Tag) -> io::Result<u32> {
    let (receiver, sender) = ends(from, to)?;
    let v6 = to.address.is_ipv6();
    match v6 {
        false => set_ip_mtu_discover(&sender, Ipv4PathMtuDiscovery::DO)?,
        true => set_ipv6_mtu_discover(&sender, Ipv6PathMtuDiscovery::DO)?,
    }
    let mtu = || if v6 { ipv6_mtu(&sender) } else { ip_mtu(&sender) };
    if mtu()? != EDGE as u32 {
        return Err(io::Error::other(format!("the kernel knows {} before it was told", mtu()?)));
    }
    for _ in 0..TRIES {
        // Refused by the kernel itself once it knows.
        _ = sender.send(&payload(to, EDGE, tag));
        _ = readable_within(&sender, PAUSE)?;
        if mtu()? < EDGE as u32 {
            break;
        }
    }
    let found = mtu()?;
    arrives(&sender, &receiver, &payload(to, found as usize, tag))?;
    Ok(found)
}

/// Sends what fills the edges and may be fragmented: by our nodes with IPv4, where the sender's kernel does as if it knew of
/// no narrow path, and by that kernel with IPv6.
fn fragmented(from: &End, to: &End, tag: Tag) -> io::Result<()> {
    let (receiver, sender) = ends(from, to)?;
    if !to.address.is_ipv6() {
        set_ip_mtu_discover(&sender, Ipv4PathMtuDiscovery::OMIT)?;
    }
    arrives(&sender, &receiver, &payload(to, EDGE, tag))
}

/// Sends until it arrives as it was sent: IPv6 loses what first tells it of the MTU.
fn arrives(sender: &UdpSocket, receiver: &UdpSocket, payload: &[u8]) -> io::Result<()> {
    let mut heard = vec![0; EDGE + 1];
    for _ in 0..TRIES {
        _ = sender.send(payload);
        if readable_within(receiver, PAUSE)? {
            let len = receiver.recv(&mut heard)?;
            return match heard.get(..len) == Some(payload) {
                true => Ok(()),
                false => Err(io::Error::other("it arrived changed")),
            };
        }
    }
    Err(io::Error::other(format!("{} octets of payload never arrived", payload.len())))
}

/// The payload of a UDP datagram in an IP packet of this many octets.
fn payload(to: &End, packet: usize, tag: Tag) -> Vec<u8> {
    let headers = match to.address {
        IpAddr::V4(_) => 28,
        IpAddr::V6(_) => 48,
    };
    let mut payload = vec![0; packet.saturating_sub(headers)];
    tag.fill(0, &mut payload);
    payload
}
