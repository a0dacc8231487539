//! Subscribers change: one moves to another ISP and back under traffic, one has two ISPs on its line.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use miette::{IntoDiagnostic, miette};

use super::accounts::{Snapshot, Way};
use super::build::device;
use super::checks::Checks;
use super::hosts::Hosts;
use super::operator;
use super::plan::{ANYCAST, Host, HostKind};
use super::scenario::Lab;
use super::screen::Step;
use super::traffic::steady::{Fate, Log, Route, Steady};
use super::traffic::tag::{IspMark, Tag};
use super::traffic::{End, Patience, echo_once};

/// How long nothing may be missing before and after a move.
const WHOLE: Duration = Duration::from_secs(10);
/// How long an answer may take, and until it is asked again.
const ANSWER: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(500));
/// Who moves, and at home.
const MOVES: &str = "carl";
/// Who has two ISPs, and what it gets at the second one.
const BOTH: &str = "anna";
const SECOND: [&str; 2] = ["100.64.0.31", "2001:db8:b:31::2"];
const SECOND_PREFIXES: &str = "100.64.0.31,2001:db8:b:31::/64";

/// Moves a subscriber and gives another one a second ISP.
pub(super) async fn check(lab: Lab<'_>, hosts: &mut Hosts, checks: &mut Checks) -> miette::Result<()> {
    let step = Step::begin("move");
    let before = Snapshot::quiet(lab.nodes, hosts).await?;
    let fates = moved(lab, hosts).await?;
    let after = Snapshot::quiet(lab.nodes, hosts).await?;
    let mut against = after.against_books(&before, lab.plan);
    let (mut sent, mut arrived) = (0, String::new());
    for Fate { isp, way, sent: of_way, lost, duplicated, .. } in &fates {
        sent += of_way;
        if *lost + *duplicated > 0 || *of_way == 0 {
            against.push(format!("{isp} {way}: {lost} of {of_way} lost, {duplicated} twice"));
        }
    }
    for account in after.accounts_since(&before, lab.plan).iter().filter(|account| account.way == Way::ToIsp)
    {
        arrived.push_str(&format!("; {} got {}", account.isp, account.hosts.packets));
        if account.hosts.packets == 0 {
            against.push(format!("nothing arrived at {}", account.isp));
        }
    }
    let claim = format!(
        "{MOVES} moves to the other ISP and back under traffic: nothing lost, nothing twice, both ISPs' books add up"
    );
    checks.none_against(against, claim, format!("{sent} packets{arrived}"));
    both(lab, hosts, checks).await?;
    step.done(&format!("{MOVES} moved to another ISP and back, {BOTH} had two ISPs"));
    Ok(())
}

/// The host, its home ISP and the other one.
fn who<'a>(lab: Lab<'a>, name: &str) -> miette::Result<(&'a Host, &'a Host, &'a Host)> {
    let none = || miette!("the lab's network has no {name}, or no second ISP");
    let host = lab.plan.hosts_of(HostKind::Subscriber).find(|host| host.name == name).ok_or_else(none)?;
    let home = lab.plan.isp_host(host.isp).ok_or_else(none)?;
    let other = lab.plan.hosts_of(HostKind::Isp).find(|isp| isp.isp != host.isp).ok_or_else(none)?;
    Ok((host, home, other))
}

async fn moved(lab: Lab<'_>, hosts: &Hosts) -> miette::Result<Vec<Fate>> {
    let (host, home, other) = who(lab, MOVES)?;
    let service: IpAddr = ANYCAST.parse().into_diagnostic()?;
    let at = |name: &str| -> miette::Result<End> { Ok(End { address: service, ..hosts.end(name, false)? }) };
    let subscriber = hosts.end(MOVES, false)?;
    let tag = |number| Tag::new(IspMark::ANYBODY, number);
    // Both ISPs serve the address: whichever of them has the subscriber gets the packet.
    let to_either = vec![at(&home.name)?, at(&other.name)?];
    let outward = Route {
        isp: "either".to_owned(),
        way: Way::ToIsp,
        from: subscriber.clone(),
        to: to_either,
        tag: tag(0xc00),
    };
    let back = |isp: &Host, number| -> miette::Result<Route> {
        let (isp, from) = (isp.name.clone(), at(&isp.name)?);
        Ok(Route { isp, way: Way::ToSubscriber, from, to: vec![subscriber.clone()], tag: tag(number) })
    };
    let outward = Steady::start_routes(&[outward]).into_diagnostic()?;
    let from_home = Steady::start_routes(&[back(home, 0xc01)?]).into_diagnostic()?;
    whole(&outward).await?;
    whole(&from_home).await?;
    let v4 = subscriber.address.to_string();
    let prefixes: Vec<_> = host.addresses().map(prefix_of).collect();
    let node = host.links[0].at.node.as_str();
    let asn = |isp: &Host| isp.isp.0.to_string();
    operator::done(&["subscriber", "move", MOVES, "--to", &asn(other), "--prefixes", &v4, "--node", node])
        .await?;
    // What the new ISP sends arrives from now on; what the old one sends still does, for a while.
    let from_other = Steady::start_routes(&[back(other, 0xc02)?]).into_diagnostic()?;
    whole(&from_other).await?;
    whole(&outward).await?;
    whole(&from_home).await?;
    let all = prefixes.join(",");
    operator::done(&["subscriber", "move", MOVES, "--to", &asn(home), "--prefixes", &all, "--node", node])
        .await?;
    let mut fates = Vec::new();
    for steady in [outward, from_home, from_other] {
        whole(&steady).await?;
        fates.extend(steady.stop().await.into_diagnostic()?.fates(Log::BEGINNING, Log::END));
    }
    Ok(fates)
}

/// Until nothing is missing for a while; if something goes on being missing, it is counted at the end.
async fn whole(steady: &Steady) -> miette::Result<()> {
    steady.whole_again(steady.mark(), WHOLE).await;
    Ok(())
}

/// The prefix in the lab's subscribers that an address stands for: a /64 or the address.
fn prefix_of(address: IpAddr) -> String {
    let len = if address.is_ipv6() { 64 } else { 32 };
    IpNet::new(address, len).map_or_else(|_| address.to_string(), |net| net.trunc().to_string())
}

/// Two ISPs on one line, told apart by the source address.
async fn both(lab: Lab<'_>, hosts: &Hosts, checks: &mut Checks) -> miette::Result<()> {
    let (host, home, other) = who(lab, BOTH)?;
    let at = &host.links[0].at;
    let (asn, port) = (other.isp.0.to_string(), at.port.as_str());
    let add = ["subscriber", "add", BOTH, "--isp", &asn, "--port", port, "--prefixes", SECOND_PREFIXES];
    let node = ["--node", at.node.as_str()];
    operator::done(&[&add[..], &node].concat()).await?;
    let mut against = Vec::new();
    let netlink = &lab.places.at(BOTH).into_diagnostic()?.netlink;
    let index = netlink.link(&device(0)).await.into_diagnostic()?.index;
    for address in SECOND {
        let address: IpAddr = address.parse().into_diagnostic()?;
        netlink.assign(index, IpNet::from(address)).await.into_diagnostic()?;
        let second = End { address, ..hosts.end(BOTH, address.is_ipv6())? };
        for (isp, from) in [(home, hosts.end(BOTH, address.is_ipv6())?), (other, second)] {
            let to = hosts.end(&isp.name, address.is_ipv6())?.address;
            if let Err(error) = answered(&from, to) {
                against.push(format!("{} to {to}: {error}", from.address));
            }
        }
    }
    operator::done(&[&["subscriber", "remove", BOTH, "--isp", &asn][..], &node].concat()).await?;
    let claim = format!("{BOTH} has two ISPs on one line, told apart by the source address");
    checks.none_against(
        against,
        claim,
        format!("{} and {} answered each by IPv4 and IPv6", home.name, other.name),
    );
    Ok(())
}

fn answered(from: &End, to: IpAddr) -> io::Result<()> {
    echo_once(from, to, Tag::new(IspMark::ANYBODY, 0xc10), Patience::new(ANSWER.0, ANSWER.1))
}
