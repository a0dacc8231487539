//! Sources that are not the sender's: they go nowhere, and each one is counted.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use contract::DropReason;
use miette::{IntoDiagnostic, miette};
use rustix::net::{SendFlags, sendto};

use super::accounts::Snapshot;
use super::checks::Checks;
use super::hosts::Hosts;
use super::isolation::raw;
use super::plan::{Host, HostKind, Plan};
use super::traffic::End;
use super::traffic::tag::{IspMark, Tag};
use super::watch::Nodes;

/// How many packets of each source.
const EACH: usize = 4;
/// Nobody's addresses (RFC 2544, RFC 3849).
const NOBODY: [&str; 2] = ["198.18.0.77", "2001:db8:dead::1"];
/// Octets of payload.
const PAYLOAD: usize = 64;
const UDP_HEADER: usize = 8;

/// Sends from every subscriber with every source that is not bound to its line.
pub(super) async fn check(
    plan: &Plan,
    nodes: &Nodes,
    hosts: &mut Hosts,
    checks: &mut Checks,
) -> miette::Result<()> {
    let reason = DropReason::SourceNotBound.name();
    let before = Snapshot::quiet(nodes, hosts).await?;
    let mut sent = 0;
    for host in plan.hosts_of(HostKind::Subscriber) {
        for source in foreign_sources(plan, host) {
            let from = hosts.end(&host.name, source.is_ipv6())?;
            let isp = plan.isp_host(host.isp).ok_or_else(|| miette!("{} has no host", host.isp))?;
            let to = hosts.end(&isp.name, source.is_ipv6())?.address;
            sent += send(&from, source, to).into_diagnostic()?;
        }
    }
    let after = Snapshot::quiet(nodes, hosts).await?;
    let drops = |snapshot: &Snapshot| nodes.iter().map(|(node, _)| snapshot.drops(node, reason)).sum::<u64>();
    let grown = drops(&after) - drops(&before);
    let forwarded: u64 =
        after.accounts_since(&before, plan).iter().map(|account| account.headend.packets).sum();
    let holds = sent > 0 && grown == sent && forwarded == 0;
    let claim = "a spoofed source goes nowhere";
    let seen = format!(
        "{sent} packets with sources of others were sent, {grown} dropped as `{reason}`, {forwarded} forwarded"
    );
    checks.add(holds, claim, seen);
    Ok(())
}

/// Addresses of everybody else, of the backbone, and of nobody; but not of those who share the line, who are told apart
/// by their address alone.
fn foreign_sources(plan: &Plan, host: &Host) -> Vec<IpAddr> {
    let line = |other: &Host| other.links[0].at == host.links[0].at;
    let bound: Vec<_> = plan.hosts.iter().filter(|other| line(other)).flat_map(Host::addresses).collect();
    let others = plan.hosts.iter().flat_map(Host::addresses);
    let nobody = NOBODY.iter().filter_map(|address| address.parse().ok());
    let backbone = plan.backbone_addresses().into_iter().map(IpAddr::V4);
    let mut all: Vec<_> = others.chain(backbone).chain(nobody).collect();
    all.retain(|address| !bound.contains(address));
    all.sort();
    all.dedup();
    all
}

fn send(from: &End, source: IpAddr, to: IpAddr) -> io::Result<u64> {
    let socket = raw(from)?;
    let packet = packet(source, to);
    for _ in 0..EACH {
        sendto(&socket, &packet, SendFlags::empty(), &SocketAddr::from((to, 0)))?;
    }
    Ok(EACH as u64)
}

/// An IP packet with a UDP datagram that bears nobody's mark.
fn packet(source: IpAddr, to: IpAddr) -> Vec<u8> {
    let mut udp = vec![0; UDP_HEADER + PAYLOAD];
    udp[..2].copy_from_slice(&9u16.to_be_bytes());
    udp[2..4].copy_from_slice(&9u16.to_be_bytes());
    udp[4..6].copy_from_slice(&((UDP_HEADER + PAYLOAD) as u16).to_be_bytes());
    Tag::new(IspMark::NOBODY, 0).fill(0, &mut udp[UDP_HEADER..]);
    let mut packet = match (source, to) {
        (IpAddr::V4(source), IpAddr::V4(to)) => v4_header(source, to, udp.len()),
        (IpAddr::V6(source), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0, 0, udp.len() as u8, 17, 64];
            header.extend(source.octets());
            header.extend(to.octets());
            header
        }
        _ => Vec::new(),
    };
    packet.extend(udp);
    packet
}

/// The kernel fills in the checksum (raw(7)).
fn v4_header(source: Ipv4Addr, to: Ipv4Addr, payload: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, (20 + payload) as u8, 0, 0, 0, 0, 64, 17, 0, 0];
    header.extend(source.octets());
    header.extend(to.octets());
    header
}
