//! The stage that does the work.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use network::Network;
use tokio::io::AsyncReadExt;

use super::accounts::Snapshot;
use super::backbone::Watch;
use super::checks::Checks;
use super::daemons::Daemons;
use super::hosts::Hosts;
use super::operator::NetworkFile;
use super::outside::{INTERRUPTED, STOP, StopSignals};
use super::place::Places;
use super::plan::{self, Plan};
use super::scenario::{Lab, Scenario, Selection};
use super::screen::{Step, heading};
use super::traffic::{self, Kind, Outcome, Patience, Volume};
use super::watch::Nodes;
use super::{
    LabArgs, build, failover, isolation, moves, mtu, operator, reload, report, services, spoof, trace,
    uplinks,
};
use crate::netlink::Netlink;

/// Where the lab keeps the network file, for its nodes.
const DIRECTORY: &str = "/run/lab";
/// The file of subscribers there.
const SUBSCRIBERS: &str = "lab-subscribers.csv";
/// The network file there.
const FILE: &str = "lab.toml";

/// Builds the lab, runs it, checks it.
pub(super) fn run(args: &LabArgs) -> miette::Result<ExitCode> {
    super::sandbox::die_with_parent()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let done = tokio::task::LocalSet::new().block_on(&runtime, work(args));
    // Threads that still wait for something end with the process.
    runtime.shutdown_background();
    done
}

/// Resolves when the user wants the lab to end: by a signal, or by the outside's word. Does not return when the outside
/// is gone, since then nothing that is still to be done here is of use.
async fn stopped(mut signals: StopSignals) {
    let mut word = [0];
    tokio::select! {
        () = signals.next() => {}
        read = outside_says(&mut word) => match read {
            Ok(1) if word[0] == STOP => {}
            _ => std::process::exit(1),
        },
    }
}

async fn outside_says(word: &mut [u8; 1]) -> std::io::Result<usize> {
    use std::os::fd::AsFd;
    let socket = std::os::unix::net::UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(socket)?.read(word).await
}

async fn work(args: &LabArgs) -> miette::Result<ExitCode> {
    let mut stop = std::pin::pin!(stopped(StopSignals::new()?));
    let plan = plan()?;
    let places = build_all(&plan).await?;
    let uplinks = uplinks::start(&plan, &places).into_diagnostic()?;
    let daemons = Daemons::start(&plan, &places, &Path::new(DIRECTORY).join(FILE))?;
    let nodes = Nodes::new(&plan);
    let lab = Lab { plan: &plan, places: &places, daemons: &daemons, nodes: &nodes, uplinks: &uplinks };
    let mut checks = Checks::default();
    let mut ended = tokio::select! {
        done = run_all(lab, &args.selection, &mut checks) => done.map(|()| None),
        report = daemons.one_ended() => Err(report),
        () = &mut stop => Ok(Some(INTERRUPTED)),
    };
    if args.keep && matches!(ended, Ok(None)) {
        verdict(&checks);
        println!("{STAYS}");
        ended = tokio::select! {
            report = daemons.one_ended() => Err(report),
            () = &mut stop => Ok(None),
        };
    }
    let step = Step::begin("stop");
    let against = daemons.stop().await;
    step.done("every daemon was told to stop");
    if ended.is_err() {
        // What was found before it went wrong may say why.
        verdict(&checks);
    }
    let interrupted = ended?;
    checks.none_against(against, "every daemon stopped cleanly", "exit status 0 of each");
    if let Some(code) = interrupted {
        return Ok(ExitCode::from(code));
    }
    Ok(verdict(&checks))
}

/// What to do with a lab that stays up.
const STAYS: &str = "
The lab stays up until Ctrl-C. In another terminal:
  openmile lab exec head1 -- openmile show fec
  openmile lab exec anna -- ping 192.0.2.53
  openmile lab capture transit1 head0 -o head0.pcapng";

/// Prints the checks; success only if every one holds.
fn verdict(checks: &Checks) -> ExitCode {
    heading("Checks");
    checks.print();
    let (hold, all) = checks.score();
    println!("\n{hold} of {all} checks hold");
    if hold == all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run_all(lab: Lab<'_>, selection: &Selection, checks: &mut Checks) -> miette::Result<()> {
    let Lab { plan, places, nodes, .. } = lab;
    converge(plan, nodes).await?;
    let step = Step::begin("addresses");
    let mut hosts = Hosts::start(plan, places)?;
    let labels = Watch::start(plan, places, true)?;
    let pairs = hosts.first_packets(plan).await?;
    step.done(&format!("{pairs} pairs of subscriber and ISP had their first answer, by IPv4 and IPv6"));
    labels.check_labels(nodes, checks).await?;
    let bare = Watch::start(plan, places, false)?;
    if selection.has(Scenario::Traffic) {
        carry(plan, nodes, &mut hosts, checks).await?;
    }
    if selection.has(Scenario::Services) {
        let step = Step::begin("services");
        services::check(plan, &hosts, checks).await?;
        step.done("the same addresses at several ISPs, neighbours of one ISP");
    }
    if selection.has(Scenario::Isolation) {
        let step = Step::begin("isolation");
        let before = Snapshot::take(nodes, &mut hosts).await?;
        isolation::check(plan, places, nodes, &mut hosts, checks).await?;
        spoof::check(plan, nodes, &mut hosts, checks).await?;
        step.done("everybody tried what must not work");
        let after = Snapshot::take(nodes, &mut hosts).await?;
        report::drops(&after.drops_since(&before), "while everybody tried what must not work");
    }
    if selection.has(Scenario::Trace) {
        let step = Step::begin("trace");
        trace::check(lab, &mut hosts, checks).await?;
        step.done("everybody traced the way to the other end and pinged the nodes' addresses");
    }
    let file = Path::new(DIRECTORY).join(FILE);
    let file = NetworkFile(&file);
    if selection.has(Scenario::Mtu) {
        mtu::check(lab, file, &mut hosts, checks).await?;
    }
    if selection.has(Scenario::Move) {
        moves::check(lab, &mut hosts, checks).await?;
    }
    if selection.has(Scenario::Reload) {
        reload::check(lab, file, &mut hosts, checks).await?;
    }
    if selection.has(Scenario::Failover) {
        failover::check(lab, &hosts, checks).await?;
    }
    // These have watched all the time.
    isolation::check_recorders(&mut hosts, checks)?;
    bare.check_bare(checks)
}

async fn converge(plan: &Plan, nodes: &Nodes) -> miette::Result<()> {
    let step = Step::begin("daemons");
    nodes.running().await?;
    step.done("control and forwarder of every node run");
    let step = Step::begin("directory");
    let file = Path::new(DIRECTORY).join(SUBSCRIBERS).display().to_string();
    for headend in plan.headends() {
        operator::done(&["subscriber", "import", &file, "--node", headend]).await?;
    }
    step.done("the subscribers were imported");
    let step = Step::begin("sessions");
    let sessions = nodes.sessions(plan, &step).await?;
    step.done(&format!("{sessions} LDP sessions"));
    let step = Step::begin("LSPs");
    let lsps = nodes.lsps(plan, Some(&step)).await?;
    step.done(&format!("{lsps} LSPs are complete from end to end"));
    Ok(())
}

/// What each flow carries: together more than [`report::LEAST_OCTETS`].
const VOLUME: Volume = Volume { tcp: 4_500_000, udp: 350, echo: 180 };
/// Time for all traffic, and for the next packet of a flow.
const TRAFFIC: (Duration, Duration) = (Duration::from_secs(180), Duration::from_secs(20));

/// Sends the traffic and compares what was counted.
async fn carry(plan: &Plan, nodes: &Nodes, hosts: &mut Hosts, checks: &mut Checks) -> miette::Result<()> {
    let before = Snapshot::quiet(nodes, hosts).await?;
    let step = Step::begin("traffic");
    let pairs = hosts.pairs(plan)?;
    let flows = traffic::start(pairs, VOLUME, Patience::new(TRAFFIC.0, TRAFFIC.1));
    let outcomes = flows.await.into_diagnostic()?;
    step.done(&traffic_in_words(&outcomes));
    let step = Step::begin("counters");
    let after = Snapshot::quiet(nodes, hosts).await?;
    step.done("stand still");
    let accounts = after.accounts_since(&before, plan);
    let drops = after.drops_since(&before);
    report::fec_tables(plan).await?;
    report::accounts(&accounts);
    report::drops(&drops, "while the traffic ran");
    let wrong = |outcome: &Outcome| {
        let error = outcome.verified.as_ref().err()?;
        let version = if outcome.v6 { 6 } else { 4 };
        Some(format!("{:?} by IPv{version}, {}: {error}", outcome.kind, outcome.name))
    };
    let claim = "every flow arrived whole and octet for octet as it was sent";
    checks.none_against(outcomes.iter().filter_map(wrong).collect(), claim, traffic_in_words(&outcomes));
    report::check_accounts(checks, plan, &accounts, &drops);
    report::check_equal_cost(checks, plan, &before, &after);
    Ok(())
}

fn traffic_in_words(outcomes: &[Outcome]) -> String {
    let of = |kind| outcomes.iter().filter(move |outcome| outcome.kind == kind);
    let octets = |kind| of(kind).filter_map(|outcome| outcome.verified.as_ref().ok()).sum::<u64>();
    let kind = |kind: Kind, name: &str| {
        format!("{} {name} flows with {:.1} MB", of(kind).count(), octets(kind) as f64 / 1e6)
    };
    [kind(Kind::Tcp, "TCP"), kind(Kind::Udp, "UDP"), kind(Kind::Echo, "ICMP")].join(", ")
}

fn plan() -> miette::Result<Plan> {
    let write = |name: &str, text: &str| std::fs::write(Path::new(DIRECTORY).join(name), text);
    std::fs::create_dir_all(DIRECTORY)
        // Not the subscribers' file itself but an import of it, so that subscribers can change while the lab runs.
        .and_then(|()| write(FILE, &plan::NETWORK.replace(plan::SUBSCRIBERS_LINE, "")))
        .and_then(|()| write(SUBSCRIBERS, plan::SUBSCRIBERS))
        .into_diagnostic()
        .wrap_err("the lab's files")?;
    let network = Network::load(Path::new(DIRECTORY).join(FILE)).map_err(|report| miette!("{report}"))?;
    Plan::new(network, plan::SUBSCRIBERS)
}

async fn build_all(plan: &Plan) -> miette::Result<Places> {
    let step = Step::begin("namespaces");
    let places = build::namespaces(plan).await.into_diagnostic()?;
    let base = Netlink::open().into_diagnostic()?;
    build::cables(plan, &places, &base).await.into_diagnostic()?;
    step.done(&format!("{} places, {} cables", places.len(), plan.cables.len()));
    let step = Step::begin("routes");
    build::addresses(plan, &places).await.into_diagnostic()?;
    step.done(&format!("{} static routes between the nodes stand in for an IGP", plan.routes.len()));
    Ok(places)
}
