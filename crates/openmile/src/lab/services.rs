//! What must work: the same address at two ISPs, an address that both ISPs serve, neighbours of one ISP.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use miette::{IntoDiagnostic, miette};

use super::checks::Checks;
use super::hosts::Hosts;
use super::kernel::KernelCounters;
use super::plan::{ANYCAST, Host, HostKind, Plan};
use super::traffic::End;
use super::traffic::socket::{datagrams, readable_within};
use super::traffic::tag::Tag;

/// Where the hosts of the ISPs answer on the address that all of them serve.
const PORT: u16 = 5353;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Octets of a question.
const QUESTION: usize = 32;

/// Checks all of it.
pub(super) async fn check(plan: &Plan, hosts: &Hosts, checks: &mut Checks) -> miette::Result<()> {
    let against = same_service(plan, hosts)?;
    let claim = format!("whoever asks {ANYCAST}, which every ISP serves, is answered by their own ISP");
    let subscribers = plan.hosts_of(HostKind::Subscriber).count();
    checks.none_against(against, claim, format!("{subscribers} subscribers asked"));
    same_address(plan, hosts, checks)?;
    neighbours(plan, hosts, checks)
}

fn same_service(plan: &Plan, hosts: &Hosts) -> miette::Result<Vec<String>> {
    let address: IpAddr = ANYCAST.parse().into_diagnostic()?;
    let mut servers = Vec::new();
    for isp in plan.hosts_of(HostKind::Isp) {
        let end = End { address, ..hosts.end(&isp.name, false)? };
        servers.push((isp, datagrams(&end, PORT).into_diagnostic()?));
    }
    let mut against = Vec::new();
    for (number, host) in plan.hosts_of(HostKind::Subscriber).enumerate() {
        let tag = Tag::new(hosts.mark(&host.name), 0xf00 + number);
        let own = servers.iter().find(|(isp, _)| isp.isp == host.isp);
        let (_, server) = own.ok_or_else(|| miette!("{} has no host", host.isp))?;
        let from = datagrams(&hosts.end(&host.name, false)?, 0).into_diagnostic()?;
        if let Err(error) = from.connect((address, PORT)).and_then(|()| ask(&from, server, tag)) {
            against.push(format!("{}: {error}", host.name));
        }
    }
    for (isp, server) in &servers {
        if readable_within(server, Duration::ZERO).into_diagnostic()? {
            against.push(format!("{} was asked by somebody else", isp.name));
        }
    }
    Ok(against)
}

/// One question, one answer with the same words.
fn ask(client: &std::net::UdpSocket, server: &std::net::UdpSocket, tag: Tag) -> io::Result<()> {
    let mut question = [0; QUESTION];
    tag.fill(0, &mut question);
    client.send(&question)?;
    server.set_read_timeout(Some(ANSWER))?;
    client.set_read_timeout(Some(ANSWER))?;
    let mut heard = [0; QUESTION + 1];
    let (len, asker) = server.recv_from(&mut heard)?;
    if heard[..len] != question {
        return Err(io::Error::other("its ISP heard another question"));
    }
    server.send_to(&question, asker)?;
    match client.recv(&mut heard) {
        Ok(len) if heard[..len] == question => Ok(()),
        Ok(_) => Err(io::Error::other("another answer came")),
        Err(error) => Err(error),
    }
}

/// Subscribers with the same address at different ISPs each talk to their own.
fn same_address(plan: &Plan, hosts: &Hosts, checks: &mut Checks) -> miette::Result<()> {
    let subscribers: Vec<_> = plan.hosts_of(HostKind::Subscriber).collect();
    let mut found = Vec::new();
    let mut against = Vec::new();
    for (number, one) in subscribers.iter().enumerate() {
        for other in &subscribers[number + 1..] {
            let shared = one.addresses().find(|address| other.addresses().any(|a| a == *address));
            let Some(address) = shared.filter(|_| one.isp != other.isp) else { continue };
            found.push(format!("{} and {} both have {address}", one.name, other.name));
            for host in [one, other] {
                let isp = plan.isp_host(host.isp).ok_or_else(|| miette!("{} has no host", host.isp))?;
                let to_isp = hosts.end(&isp.name, address.is_ipv6())?.address;
                for (from, to) in [(&host.name, to_isp), (&isp.name, address)] {
                    if let Err(error) = hosts.answers(from, to) {
                        against.push(format!("{from} to {to}: {error}"));
                    }
                }
            }
        }
    }
    if found.is_empty() {
        against.push("the network has no such subscribers".to_owned());
    }
    checks.none_against(against, "the same address at two ISPs works at both", found.join(", "));
    Ok(())
}

/// Two subscribers of one ISP reach each other, through the ISP.
fn neighbours(plan: &Plan, hosts: &Hosts, checks: &mut Checks) -> miette::Result<()> {
    let subscribers: Vec<_> = plan.hosts_of(HostKind::Subscriber).collect();
    let with_peer =
        |one: &&Host| subscribers.iter().find(|o| o.isp == one.isp && o.name != one.name).copied();
    let pair = subscribers.iter().find_map(|one| Some((*one, with_peer(one)?)));
    let (one, other) = pair.ok_or_else(|| miette!("no ISP has two subscribers"))?;
    let isp = plan.isp_host(one.isp).ok_or_else(|| miette!("{} has no host", one.isp))?;
    let forwarded = || -> miette::Result<u64> {
        let kernel = KernelCounters::read(&hosts.end(&isp.name, false)?.namespace).into_diagnostic()?;
        Ok(kernel.of("Ip.ForwDatagrams") + kernel.of("Ip6OutForwDatagrams"))
    };
    let before = forwarded()?;
    let mut against = Vec::new();
    for v6 in [false, true] {
        let to = hosts.end(&other.name, v6)?.address;
        if let Err(error) = hosts.answers(&one.name, to) {
            against.push(format!("{} to {to}: {error}", one.name));
        }
    }
    let forwarded = forwarded()? - before;
    if forwarded < 4 {
        against.push(format!("{} forwarded only {forwarded} packets", isp.name));
    }
    let claim = format!("{} and {} of {} reach each other through their ISP", one.name, other.name, isp.name);
    checks.none_against(against, claim, format!("{} forwarded {forwarded} packets", isp.name));
    Ok(())
}
