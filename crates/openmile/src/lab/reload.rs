//! The network file changes while everybody's packets flow: what is not touched notices nothing, and what is touched goes
//! over to the new state without a gap.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use api::{Isp, Neighbor, NeighborKind, ShowWhat};
use ipnet::IpNet;
use miette::{IntoDiagnostic, miette};
use network::Network;

use super::build::{self, device};
use super::checks::Checks;
use super::hosts::Hosts;
use super::igp;
use super::operator::{self, NetworkFile, openmile, replaced};
use super::plan::{self, Plan};
use super::scenario::Lab;
use super::screen::Step;
use super::traffic::steady::{Fate, Log, Steady};
use super::{report, trace};
use crate::netlink::Netlink;

/// How long nothing may be missing where nothing is wrong.
const WHOLE: Duration = Duration::from_secs(10);
/// What no packet of an ISP that does not change may take. Nodes queue nothing: a packet waits only while a forwarder's
/// worker stands still, or has no processor, and this is room for a busy machine.
const DELAYED: Duration = Duration::from_millis(500);
/// The ISP that changes.
const CHANGES: &str = "beta";
/// A second handoff of beta, which is better than its first.
const TAILEND: &str = "tail1";
const PORT: &str = "beta0";
const HANDOFF: &str = r#"
  [[isp.handoff]]
  node = "tail1"
  port = "beta0"
  fec = "10.254.1.4"
  preference = 200
  ipv4 = { address = "192.0.2.13/30", next_hop = "192.0.2.14" }
  ipv6 = { address = "2001:db8:f:4::1/64", next_hop = "2001:db8:f:4::2" }
"#;
const HANDOFF_PORT: &str = "  [[node.port]]\n  name = \"beta0\"\n  kind = \"handoff\"\n";
/// The addresses of beta's router there.
const ROUTER: [&str; 2] = ["192.0.2.14/30", "2001:db8:f:4::2/64"];
/// Another pool of beta's, at the end of the file.
const POOL: &str = "    [[isp.headend.pool]]\n    prefix = \"100.65.0.0/24\"\n    gateway = \"100.65.0.1\"\n";

/// Adds to beta, and takes it away again; shows that a broken file changes nothing; and changes the TTL model.
pub(super) async fn check(
    lab: Lab<'_>,
    file: NetworkFile<'_>,
    hosts: &mut Hosts,
    checks: &mut Checks,
) -> miette::Result<()> {
    let step = Step::begin("reload");
    let old = file.text()?;
    let new = changed(&old)?;
    broken(lab, file, &old, &new, checks).await?;
    let second = SecondHandoff::lay(lab, &new).await?;
    in_and_out(lab, file, [&old, &new], &second, hosts, checks).await?;
    second.remove(lab).await?;
    file.load(lab.plan, &replaced(&old, "ttl = \"pipe\"", "ttl = \"uniform\"")?).await?;
    let traced = trace::traces(lab, hosts, checks, true);
    file.load(lab.plan, &old).await?;
    traced?;
    step.done("beta's second handoff and a pool added and taken away; the TTL model changed");
    Ok(())
}

/// Reloads the new text and then the old one under traffic.
async fn in_and_out(
    lab: Lab<'_>,
    file: NetworkFile<'_>,
    [old, new]: [&str; 2],
    second: &SecondHandoff,
    hosts: &Hosts,
    checks: &mut Checks,
) -> miette::Result<()> {
    let steady = Steady::start(&hosts.named_pairs(lab.plan)?).into_diagnostic()?;
    steady.whole_again(steady.mark(), WHOLE).await;
    // To compare with: as much work for this machine, and nothing changes.
    let quiet = steady.mark();
    for text in [new, old] {
        file.write(text)?;
        for node in lab.plan.network.nodes() {
            operator::done(&["reload", "--dry-run", "--node", node.name.as_str()]).await?;
        }
        steady.whole_again(steady.mark(), WHOLE).await;
    }
    let (first, sessions, before) = (steady.mark(), sessions(lab).await?, beta_at(lab, TAILEND).await?);
    file.load(lab.plan, new).await?;
    lab.nodes.lsps(&second.plan, None).await?;
    steady.whole_again(steady.mark(), WHOLE).await;
    let carried = beta_at(lab, TAILEND).await? - before;
    file.load(lab.plan, old).await?;
    lab.nodes.lsps(lab.plan, None).await?;
    steady.whole_again(steady.mark(), WHOLE).await;
    let (later, last) = (self::sessions(lab).await?, steady.mark());
    let log = steady.stop().await.into_diagnostic()?;
    let mut against = Vec::new();
    if carried == 0 {
        against.push("beta's packets do not take its better handoff".to_owned());
    }
    let age = last.since(first).as_secs().saturating_sub(1);
    let ended = sessions.iter().filter(|(peer, was)| later.get(*peer).is_none_or(|now| *now < **was + age));
    against.extend(ended.map(|((node, peer), _)| format!("{node} lost its session with {peer}")));
    check_fates(&log.fates(quiet, first), &log.fates(first, Log::END), against, carried, checks);
    Ok(())
}

/// Of everybody nothing may be lost; who is not concerned must not wait either.
fn check_fates(quiet: &[Fate], fates: &[Fate], mut against: Vec<String>, carried: u64, checks: &mut Checks) {
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    for fate in fates {
        let whose = format!("{} {}", fate.isp, fate.way);
        if fate.lost + fate.duplicated > 0 || fate.sent == 0 {
            against.push(format!("{whose}: {} of {} lost, {} twice", fate.lost, fate.sent, fate.duplicated));
        }
        if fate.isp != CHANGES && fate.slowest > DELAYED {
            against.push(format!("{whose}: one took {}", millis(fate.slowest)));
        }
    }
    let of = |fates: &[Fate], changes: bool| {
        let of = || fates.iter().filter(|fate| (fate.isp == CHANGES) == changes);
        let (sent, slowest) = (of().map(|f| f.sent).sum(), of().map(|f| f.slowest).max().unwrap_or_default());
        (report::grouped(sent), millis(slowest))
    };
    let seen = [false, true].map(|changes| {
        let ((sent, slowest), (_, before)) = (of(fates, changes), of(quiet, changes));
        let whose = if changes { "its own" } else { "of others" };
        format!("0 of {sent} packets {whose} lost, the slowest {slowest}, {before} during dry runs")
    });
    let claim = format!(
        "{CHANGES} gets a better handoff and a pool by reload and loses them again: nothing is lost, others do not wait, sessions stay"
    );
    checks.none_against(against, claim, format!("{}; {carried} by the new handoff", seen.join("; ")));
}

fn changed(old: &str) -> miette::Result<String> {
    let alphas_port = "  name = \"alpha0\"\n  kind = \"handoff\"\n";
    let new = replaced(old, alphas_port, &format!("{alphas_port}{HANDOFF_PORT}"))?;
    let new = replaced(&new, "name = \"beta\"\n", &format!("name = \"beta\"\n{HANDOFF}"))?;
    Ok(new + POOL)
}

/// Dry runs, and files that are no network files.
async fn broken(
    lab: Lab<'_>,
    file: NetworkFile<'_>,
    old: &str,
    new: &str,
    checks: &mut Checks,
) -> miette::Result<()> {
    let before = isps(lab).await?;
    let mut against = Vec::new();
    file.write(new)?;
    let dry = openmile(&["reload", "--dry-run", "--node", "head1"]).await?;
    if !dry.success || !dry.text.contains("beta") || !dry.text.contains("100.65.0.0/24") {
        against.push(format!("the dry run says {:?}", dry.text));
    }
    let wrong =
        [replaced(old, "fec = \"10.254.1.3\"", "fec = \"10.254.1.1\"")?, old.replace("[[node]]", "[[node]")];
    for text in &wrong {
        file.write(text)?;
        let said = openmile(&["reload", "--node", "head1"]).await?;
        if said.success || !said.text.contains("lab.toml") {
            against
                .push(format!("a wrong file is taken, or it is not said where it is wrong: {:?}", said.text));
        }
    }
    file.write(old)?;
    if isps(lab).await? != before {
        against.push("head1 has other ISPs than before".to_owned());
    }
    let claim =
        "a dry run shows the difference, a broken file says where it is wrong; neither changes anything";
    let seen = format!("{} lines of difference, {} broken files", dry.text.lines().count(), wrong.len());
    checks.none_against(against, claim, seen);
    Ok(())
}

async fn isps(lab: Lab<'_>) -> miette::Result<Vec<Isp>> {
    lab.nodes.client("head1")?.show(ShowWhat::Isps).await.into_diagnostic()
}

/// How long each session has been there.
async fn sessions(lab: Lab<'_>) -> miette::Result<BTreeMap<(String, IpAddr), u64>> {
    let mut sessions = BTreeMap::new();
    for (node, client) in lab.nodes.iter() {
        let neighbors: Vec<Neighbor> = client.show(ShowWhat::Neighbors).await.into_diagnostic()?;
        let up = neighbors.iter().filter(|n| n.kind == NeighborKind::Ldp && n.state == "operational");
        sessions.extend(up.filter_map(|n| Some(((node.to_owned(), n.address), n.seconds?))));
    }
    Ok(sessions)
}

/// Packets of beta that left at a tailend.
async fn beta_at(lab: Lab<'_>, node: &str) -> miette::Result<u64> {
    let counters: api::Counters = lab.nodes.client(node)?.show(ShowWhat::Counters).await.into_diagnostic()?;
    let beta = counters.isps.iter().filter(|row| row.isp_name == "beta");
    Ok(beta.map(|row| row.tailend_to_isp.sent.packets).sum())
}

/// The cable to beta's second handoff, and the routes to its FEC.
struct SecondHandoff {
    plan: Plan,
}

impl SecondHandoff {
    async fn lay(lab: Lab<'_>, text: &str) -> miette::Result<Self> {
        let network = Network::parse("lab.toml", text).map_err(|report| miette!("{report}"))?;
        let plan = Plan::new(network, plan::SUBSCRIBERS)?;
        let base = Netlink::open().into_diagnostic()?;
        let far = device(1);
        build::connect(lab.places, &base, [(TAILEND, PORT), ("beta", &far)]).await.into_diagnostic()?;
        let netlink = &lab.places.at("beta").into_diagnostic()?.netlink;
        let index = netlink.link(&far).await.into_diagnostic()?.index;
        for address in ROUTER {
            let address: IpNet = address.parse().into_diagnostic()?;
            netlink.assign(index, address).await.into_diagnostic()?;
        }
        netlink.set_up(index, true).await.into_diagnostic()?;
        for route in plan.routes.iter().filter(|route| !lab.plan.routes.contains(route)) {
            let (to, via) = igp::resolve(lab.places, route).await.into_diagnostic()?;
            let netlink = &lab.places.at(&route.node).into_diagnostic()?.netlink;
            netlink.replace_route(to, &via).await.into_diagnostic()?;
        }
        Ok(Self { plan })
    }

    async fn remove(self, lab: Lab<'_>) -> miette::Result<()> {
        for route in self.plan.routes.iter().filter(|route| !lab.plan.routes.contains(route)) {
            let (to, via) = igp::resolve(lab.places, route).await.into_diagnostic()?;
            let netlink = &lab.places.at(&route.node).into_diagnostic()?.netlink;
            netlink.remove_route(to, &via).await.into_diagnostic()?;
        }
        let netlink = &lab.places.at("beta").into_diagnostic()?.netlink;
        let index = netlink.link(&device(1)).await.into_diagnostic()?.index;
        netlink.handle().link().del(index).execute().await.into_diagnostic()
    }
}
