//! Ping and traceroute, as subscribers and ISPs have them: the nodes answer with addresses that are routable at that ISP.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use miette::{IntoDiagnostic, miette};
use rustix::net::sockopt::{set_ip_ttl, set_ipv6_unicast_hops};

use super::accounts::Snapshot;
use super::checks::Checks;
use super::hosts::Hosts;
use super::plan::{Host, HostKind};
use super::scenario::Lab;
use super::traffic::End;
use super::traffic::socket::{datagrams, icmp, readable_within};
use super::traffic::tag::Tag;

/// The port of the first probe, as traceroute has it.
const PORT: u16 = 33_434;
/// Probes of one TTL, since ICMP errors are rate-limited everywhere.
const PROBES: usize = 3;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);
/// How far it is looked.
const HOPS: u8 = 8;
const UDP: u8 = 17;

/// Traces and pings both ways by both IP versions, and holds the books against it.
pub(super) async fn check(lab: Lab<'_>, hosts: &mut Hosts, checks: &mut Checks) -> miette::Result<()> {
    let before = Snapshot::quiet(lab.nodes, hosts).await?;
    traces(lab, hosts, checks, false)?;
    pings(lab, hosts, checks)?;
    let after = Snapshot::quiet(lab.nodes, hosts).await?;
    let claim = "the books add up with what the nodes made and answered themselves";
    checks.none_against(
        after.against_books(&before, lab.plan),
        claim,
        "received + originated = sent + dropped + consumed, to the octet",
    );
    Ok(())
}

/// Traces from every subscriber to its ISP and back.
pub(super) fn traces(lab: Lab<'_>, hosts: &Hosts, checks: &mut Checks, uniform: bool) -> miette::Result<()> {
    let (mut against, mut shown) = (Vec::new(), String::new());
    for host in lab.plan.hosts_of(HostKind::Subscriber) {
        let isp = lab.plan.isp_host(host.isp).ok_or_else(|| miette!("{} has no host", host.isp))?;
        for v6 in [false, true] {
            let way = Expected::new(lab, host, isp, v6, uniform);
            let (subscriber, server) = (hosts.end(&host.name, v6)?, hosts.end(&isp.name, v6)?);
            let tag = Tag::new(hosts.mark(&host.name), 0xa00);
            for (from, to, expected) in [
                (&subscriber, &server, way.to_isp(&server)),
                (&server, &subscriber, way.to_subscriber(&subscriber)),
            ] {
                let seen = trace(from, to.address, tag).into_diagnostic()?;
                let fits = seen.len() == expected.len()
                    && seen.iter().zip(&expected).all(|(seen, any)| seen.is_some_and(|s| any.contains(&s)));
                if shown.is_empty() {
                    shown = format!("{} to {}: {}", from.host, to.host, words(&seen));
                }
                if !fits {
                    against.push(format!("{} to {}: {}", from.host, to.address, words(&seen)));
                }
            }
        }
    }
    let claim = match uniform {
        false => "traceroute shows headend, tailend and ISP, each by an address of that ISP (TTL model pipe)",
        true => "traceroute shows headend, transit, tailend and ISP (TTL model uniform, reloaded)",
    };
    checks.none_against(against, claim, shown);
    Ok(())
}

/// Who may answer at each hop.
struct Expected {
    headend: Vec<IpAddr>,
    transit: Vec<IpAddr>,
    tailends: Vec<IpAddr>,
    uniform: bool,
}

impl Expected {
    fn new(lab: Lab<'_>, host: &Host, isp: &Host, v6: bool, uniform: bool) -> Self {
        let (mut headend, mut transit, mut tailends) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(file) = lab.plan.network.isp(isp.isp) {
            let pools = file.headends.iter().filter(|h| h.node.as_str() == host.links[0].at.node);
            headend.extend(pools.flat_map(|h| &h.pools).map(|pool| pool.gateway));
            for handoff in &file.handoffs {
                tailends.extend(handoff.ipv4.map(|at| IpAddr::V4(at.address.addr())));
                tailends.extend(handoff.ipv6.map(|at| IpAddr::V6(at.address.addr())));
            }
            for source in &file.icmp_sources {
                transit.extend(source.ipv4.map(IpAddr::V4));
                transit.extend(source.ipv6.map(IpAddr::V6));
            }
        }
        for addresses in [&mut headend, &mut transit, &mut tailends] {
            addresses.retain(|address| address.is_ipv6() == v6);
        }
        Self { headend, transit, tailends, uniform }
    }

    fn to_isp(&self, server: &End) -> Vec<Vec<IpAddr>> {
        let middle = self.uniform.then(|| self.transit.clone());
        let nodes = std::iter::once(self.headend.clone()).chain(middle).chain([self.tailends.clone()]);
        nodes.chain([vec![server.address]]).collect()
    }

    fn to_subscriber(&self, subscriber: &End) -> Vec<Vec<IpAddr>> {
        let middle = self.uniform.then(|| self.transit.clone());
        let nodes = std::iter::once(self.tailends.clone()).chain(middle).chain([self.headend.clone()]);
        nodes.chain([vec![subscriber.address]]).collect()
    }
}

fn words(hops: &[Option<IpAddr>]) -> String {
    let hop = |hop: &Option<IpAddr>| hop.map_or_else(|| "*".to_owned(), |address| address.to_string());
    hops.iter().map(hop).collect::<Vec<_>>().join(" → ")
}

/// Who answers to probes of growing TTL, up to the destination.
fn trace(from: &End, to: IpAddr, tag: Tag) -> io::Result<Vec<Option<IpAddr>>> {
    let errors = icmp(from)?;
    let socket = datagrams(from, 0)?;
    let own = socket.local_addr()?.port();
    let mut hops = Vec::new();
    for ttl in 1..=HOPS {
        let probe = Probe { to: SocketAddr::new(to, PORT + u16::from(ttl)), own, ttl };
        let answer = (0..PROBES).find_map(|_| probe.send(&socket, &errors, tag).transpose());
        let answer = answer.transpose()?;
        hops.push(answer.map(|answer| answer.0));
        if answer.is_some_and(|answer| answer.1) {
            break;
        }
    }
    Ok(hops)
}

struct Probe {
    to: SocketAddr,
    own: u16,
    ttl: u8,
}

impl Probe {
    /// Who answered, and whether it is the end.
    fn send(&self, socket: &UdpSocket, errors: &UdpSocket, tag: Tag) -> io::Result<Option<(IpAddr, bool)>> {
        match self.to {
            SocketAddr::V4(_) => set_ip_ttl(socket, self.ttl.into())?,
            SocketAddr::V6(_) => set_ipv6_unicast_hops(socket, Some(self.ttl))?,
        }
        let mut payload = [0; 32];
        tag.fill(0, &mut payload);
        socket.send_to(&payload, self.to)?;
        let mut message = [0; 2048];
        while readable_within(errors, ANSWER)? {
            let (len, source) = errors.recv_from(&mut message)?;
            let message = message.get(..len).unwrap_or_default();
            if let Some(end) = self.answered(message) {
                return Ok(Some((source.ip(), end)));
            }
        }
        Ok(None)
    }

    /// Whether an ICMP message is about this probe, and if so, whether from the end of the way.
    fn answered(&self, message: &[u8]) -> Option<bool> {
        let (end, ports) = match self.to {
            SocketAddr::V4(_) => {
                let icmp = message.get(usize::from(message.first()? & 0xf) * 4..)?;
                let end = match icmp.get(..2)? {
                    [11, 0] => false,
                    [3, 3] => true,
                    _ => return None,
                };
                let quoted = icmp.get(8..)?;
                (quoted.get(9) == Some(&UDP)).then_some(())?;
                (end, quoted.get(usize::from(quoted.first()? & 0xf) * 4..)?)
            }
            SocketAddr::V6(_) => {
                let end = match message.get(..2)? {
                    [3, 0] => false,
                    [1, 4] => true,
                    _ => return None,
                };
                let quoted = message.get(8..)?;
                (quoted.get(6) == Some(&UDP)).then_some(())?;
                (end, quoted.get(40..)?)
            }
        };
        let port = |at: usize| ports.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes);
        (port(0) == Some(self.own) && port(2) == Some(self.to.port())).then_some(end)
    }
}

/// Subscribers ping their gateway; ISPs the handoffs and the gateway.
fn pings(lab: Lab<'_>, hosts: &Hosts, checks: &mut Checks) -> miette::Result<()> {
    let (mut against, mut pings) = (Vec::new(), 0);
    let mut ping = |from: &str, to: IpAddr| {
        pings += 1;
        if let Err(error) = hosts.answers(from, to) {
            against.push(format!("{from} to {to}: {error}"));
        }
    };
    for host in &lab.plan.hosts {
        let Some(isp) = lab.plan.network.isp(host.isp) else { continue };
        isp.headends
            .iter()
            .flat_map(|headend| &headend.pools)
            .for_each(|pool| ping(&host.name, pool.gateway));
        if host.kind == HostKind::Isp {
            for handoff in &isp.handoffs {
                handoff.ipv4.iter().for_each(|at| ping(&host.name, IpAddr::V4(at.address.addr())));
                handoff.ipv6.iter().for_each(|at| ping(&host.name, IpAddr::V6(at.address.addr())));
            }
        }
    }
    let claim = "gateways and handoffs answer pings, of subscribers and of ISPs";
    checks.none_against(against, claim, format!("{pings} asked for, by IPv4 and IPv6"));
    Ok(())
}
