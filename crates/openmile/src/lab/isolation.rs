//! Who must not reach whom: subscribers and ISPs the backbone and the nodes, anybody anything of another ISP.
//!
//! That nothing comes is shown without waiting for it: packets on one way keep their order, so once a later packet was
//! answered, an answer to an earlier one would have come too.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use ipnet::IpNet;
use miette::{IntoDiagnostic, miette};
use rustix::net::connect;

use super::build::via;
use super::checks::Checks;
use super::hosts::Hosts;
use super::kernel::KernelCounters;
use super::place::Places;
use super::plan::{Host, HostKind, Plan};
use super::traffic::tag::Tag;
use super::traffic::{End, echo_request, socket};
use super::watch::{Nodes, runtime_dir};
use crate::netlink::namespace::Namespace;

/// Ports that are tried: LDP's (RFC 5036 §2.4), and one of a service that a router may have.
const PORTS: [u16; 2] = [646, 22];
/// What a node's kernel counts when something that is not the backbone's reaches it.
const AT_NODES: [&str; 4] = ["Icmp.InMsgs", "Udp.NoPorts", "Tcp.OutRsts", "Tcp.PassiveOpens"];
/// What a kernel counts in the namespace of access and handoff ports when it takes a packet for its own, or sends one.
const AT_PORTS: [&str; 4] = ["Ip.InDelivers", "Ip.OutRequests", "Ip6InDelivers", "Ip6OutRequests"];

/// Tries everything that must not work.
pub(super) async fn check(
    plan: &Plan,
    places: &Places,
    nodes: &Nodes,
    hosts: &mut Hosts,
    checks: &mut Checks,
) -> miette::Result<()> {
    let before = at_nodes(nodes, places)?;
    let routes = Detour::add(plan, places).await?;
    let answered = try_all(plan, hosts);
    routes.remove(places).await?;
    let (tried, answered) = answered?;
    let mut against: Vec<_> = answered.into_iter().map(|what| format!("an answer: {what}")).collect();
    for (place, after) in at_nodes(nodes, places)? {
        let grown = |name: &&&str| before.get(&place).is_some_and(|before| after.since(before, name) > 0);
        let grown: Vec<_> = AT_NODES.iter().chain(&AT_PORTS).filter(grown).copied().collect();
        let counted_here = if place.ends_with(PORTS_PLACE) { &AT_PORTS } else { &AT_NODES };
        let wrong = grown.iter().filter(|name| counted_here.contains(name));
        against.extend(wrong.map(|name| format!("{place}'s kernel counted {name}")));
    }
    let claim = "subscribers and ISPs reach no address of the backbone, of a node but at their own ISP, or of another ISP";
    checks.none_against(against, claim, format!("{tried} attempts by ICMP, UDP and TCP, no answer"));
    Ok(())
}

/// Checks what the hosts' recorders have seen since they began.
pub(super) fn check_recorders(hosts: &mut Hosts, checks: &mut Checks) -> miette::Result<()> {
    let mut against = Vec::new();
    let (mut errors, mut missed) = (0, 0);
    for (host, seen) in hosts.seen()? {
        against.extend(seen.foreign.iter().map(|(what, count)| format!("{count} at {host}: {what}")));
        errors += seen.errors.values().sum::<u64>();
        missed += seen.missed;
    }
    if missed > 0 {
        against.push(format!("{missed} frames could not be looked at"));
    }
    let claim = "no packet of one ISP, and none of a spoofed source, came to a host of another or of anybody";
    let seen =
        format!("every frame at every host was judged by its payload; {errors} ICMP errors among them");
    checks.none_against(against, claim, seen);
    Ok(())
}

const PORTS_PLACE: &str = " (ports)";

fn at_nodes(nodes: &Nodes, places: &Places) -> miette::Result<BTreeMap<String, KernelCounters>> {
    let mut all = BTreeMap::new();
    for (node, _) in nodes.iter() {
        let namespace = &places.at(node).into_diagnostic()?.namespace;
        all.insert(node.to_owned(), KernelCounters::read(namespace).into_diagnostic()?);
        let ports = Namespace::open(&runtime_dir(node).ports_namespace());
        if let Ok(ports) = ports {
            all.insert(format!("{node}{PORTS_PLACE}"), KernelCounters::read(&ports).into_diagnostic()?);
        }
    }
    Ok(all)
}

/// Routes of the ISPs' hosts to the backbone's addresses, by their handoffs: without them they would not even try.
struct Detour(Vec<(String, IpNet, Vec<crate::netlink::configure::Via>)>);

impl Detour {
    async fn add(plan: &Plan, places: &Places) -> miette::Result<Self> {
        let mut routes = Vec::new();
        for host in plan.hosts_of(HostKind::Isp) {
            let netlink = &places.at(&host.name).into_diagnostic()?.netlink;
            let v4 = host.routes.iter().find(|route| route.to.addr().is_ipv4());
            let Some(gateways) = v4 else { continue };
            let gateways = via(netlink, &gateways.via).await.into_diagnostic()?;
            for to in plan.backbone_addresses() {
                let to = IpNet::from(IpAddr::V4(to));
                netlink.add_route(to, &gateways).await.into_diagnostic()?;
                routes.push((host.name.clone(), to, gateways.clone()));
            }
        }
        Ok(Self(routes))
    }

    async fn remove(self, places: &Places) -> miette::Result<()> {
        for (host, to, via) in self.0 {
            let netlink = &places.at(&host).into_diagnostic()?.netlink;
            netlink.remove_route(to, &via).await.into_diagnostic()?;
        }
        Ok(())
    }
}

/// What each host must not reach. The nodes' addresses at its own ISP it may: they answer pings and traces.
fn forbidden(plan: &Plan, host: &Host) -> Vec<IpAddr> {
    let hosts = plan.hosts.iter().filter(|other| other.isp == host.isp).flat_map(Host::addresses);
    let edges = plan.edge_addresses();
    let own_edges = edges.iter().filter(|(isp, _)| *isp == host.isp).map(|(_, address)| *address);
    let own: Vec<IpAddr> = hosts.chain(own_edges).collect();
    let others = plan.hosts.iter().filter(|other| other.isp != host.isp).flat_map(Host::addresses);
    let backbone = plan.backbone_addresses().into_iter().map(IpAddr::V4);
    let edges = edges.iter().map(|(_, address)| *address);
    let mut all: Vec<_> = backbone.chain(edges).chain(others).collect();
    all.retain(|address| !own.contains(address));
    all.sort();
    all.dedup();
    all
}

/// An attempt and the socket on which an answer would come.
struct Attempt {
    what: String,
    socket: Socket,
}

enum Socket {
    Echo(UdpSocket),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// Tries all: how many attempts, and which were answered.
fn try_all(plan: &Plan, hosts: &Hosts) -> miette::Result<(usize, Vec<String>)> {
    let (mut tried, mut answered) = (0, Vec::new());
    for host in &plan.hosts {
        let mut attempts = Vec::new();
        for to in forbidden(plan, host) {
            let from = hosts.end(&host.name, to.is_ipv6())?;
            attempts
                .extend(attempts_to(&from, to, Tag::new(hosts.mark(&host.name), 0xffd)).into_diagnostic()?);
        }
        // The later packets that must be answered: to the ISP's host, or to a subscriber of its own.
        let own = plan.hosts.iter().find(|other| other.isp == host.isp && other.kind != host.kind);
        let own = own.ok_or_else(|| miette!("{} has nobody to talk to", host.name))?;
        for v6 in [false, true] {
            hosts.answers(&host.name, hosts.end(&own.name, v6)?.address)?;
        }
        tried += attempts.len();
        answered.extend(attempts.into_iter().filter_map(Attempt::answer));
    }
    Ok((tried, answered))
}

fn attempts_to(from: &End, to: IpAddr, tag: Tag) -> io::Result<Vec<Attempt>> {
    let mut attempts = Vec::new();
    let what = |kind: &str| format!("{} from {} to {to}", kind, from.host);
    let echo = socket::echo(from)?;
    // Where the kernel has no way at all, nothing is to be shown.
    if echo.connect((to, 0)).and_then(|()| echo_request(&echo, to.is_ipv6(), tag)).is_ok() {
        attempts.push(Attempt { what: what("echo"), socket: Socket::Echo(echo) });
    }
    let mut payload = [0; 64];
    tag.fill(0, &mut payload);
    for port in PORTS {
        let udp = socket::datagrams(from, 0)?;
        if udp.connect((to, port)).and_then(|()| udp.send(&payload)).is_ok() {
            attempts.push(Attempt { what: what(&format!("UDP {port}")), socket: Socket::Udp(udp) });
        }
        let tcp = TcpStream::from(socket::client(from)?);
        tcp.set_nonblocking(true)?;
        if connect(&tcp, &SocketAddr::from((to, port))) == Err(rustix::io::Errno::INPROGRESS) {
            attempts.push(Attempt { what: what(&format!("TCP {port}")), socket: Socket::Tcp(tcp) });
        }
    }
    Ok(attempts)
}

impl Attempt {
    /// What it was, if it was answered. That the own ISP's router knows no way is no answer.
    fn answer(self) -> Option<String> {
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        let mut octets = [0; 2048];
        let answered = match self.socket {
            Socket::Echo(socket) | Socket::Udp(socket) => {
                let received = socket.set_nonblocking(true).and_then(|()| socket.recv(&mut octets));
                received.map_or_else(|error| refused(&error), |_| true)
            }
            Socket::Tcp(stream) => {
                let error = stream.take_error().ok().flatten();
                error.map_or_else(|| stream.peer_addr().is_ok(), |error| refused(&error))
            }
        };
        answered.then_some(self.what)
    }
}

/// A raw socket in a host's namespace: what is sent is a whole IP packet, whatever its source.
pub(super) fn raw(end: &End) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
    let family = if end.address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let open = || socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW));
    let opened = end.namespace.run(open).map_err(io::Error::other)?;
    Ok(opened?)
}
