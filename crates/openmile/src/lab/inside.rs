//! The stage that does the work.

use std::path::Path;
use std::process::ExitCode;

use miette::{IntoDiagnostic, WrapErr, miette};
use network::Network;
use tokio::io::AsyncReadExt;

use super::daemons::Daemons;
use super::outside::{INTERRUPTED, STOP, StopSignals};
use super::place::Places;
use super::plan::{self, Plan};
use super::screen::Step;
use super::watch::Nodes;
use super::{LabArgs, build};
use crate::netlink::Netlink;

/// Where the lab keeps the network file, for its nodes.
const DIRECTORY: &str = "/run/lab";

/// Builds the lab, runs it, checks it.
pub(super) fn run(args: &LabArgs) -> miette::Result<ExitCode> {
    super::sandbox::die_with_parent()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.into_diagnostic()?.block_on(async {
        let stop = StopSignals::new()?;
        tokio::select! {
            done = work(args) => done,
            () = stopped(stop) => Ok(ExitCode::from(INTERRUPTED)),
        }
    })
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
    let plan = plan()?;
    let places = build_all(&plan).await?;
    let mut daemons = Daemons::start(&plan, &places, &Path::new(DIRECTORY).join("lab.toml"))?;
    let done = tokio::select! {
        done = run_all(args, &plan, &places) => done,
        report = daemons.one_ended() => Err(report),
    };
    for wrong in daemons.stop().await {
        println!("✗ {wrong}");
    }
    done
}

async fn run_all(args: &LabArgs, plan: &Plan, _places: &Places) -> miette::Result<ExitCode> {
    let nodes = Nodes::new(plan);
    let step = Step::begin("daemons");
    nodes.running().await?;
    step.done("control and forwarder of every node run");
    let step = Step::begin("sessions");
    let sessions = nodes.sessions(plan, &step).await?;
    step.done(&format!("{sessions} LDP sessions"));
    let step = Step::begin("LSPs");
    let lsps = nodes.lsps(plan, &step).await?;
    step.done(&format!("{lsps} LSPs are complete from end to end"));
    if args.keep {
        std::future::pending::<()>().await;
    }
    Ok(ExitCode::SUCCESS)
}

fn plan() -> miette::Result<Plan> {
    let write = |name: &str, text: &str| std::fs::write(Path::new(DIRECTORY).join(name), text);
    std::fs::create_dir_all(DIRECTORY)
        .and_then(|()| write("lab.toml", plan::NETWORK))
        .and_then(|()| write("lab-subscribers.csv", plan::SUBSCRIBERS))
        .into_diagnostic()
        .wrap_err("the lab's files")?;
    let network =
        Network::load(Path::new(DIRECTORY).join("lab.toml")).map_err(|report| miette!("{report}"))?;
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
