//! The control process: the sans-I/O crates over real sockets.
//!
//! One event loop on one thread owns all state; every socket is a task that feeds the loop's bounded queue of [`Input`]s.
//! [`Node`] takes an input, and says in [`Node::settle`] what follows; nothing there waits.
//!
//! ```text
//! kernel (netlink) ──┐                      ┌──▶ ledger ──▶ forwarder
//! ldp_io (UDP, TCP) ─┼─▶ Input ─▶ Node ─────┼──▶ ldp_io ──▶ neighbours
//! forwarder_link ────┤   (ldp, neighbor,    └──▶ events ──▶ api_server
//! api_server ────────┘    subscriber, lsp)
//! ```

mod addresses;
pub(crate) mod api_server;
pub(crate) mod directory;
mod error;
pub(crate) mod events;
pub(crate) mod forwarder_link;
mod handoffs;
mod herald;
mod inherited;
pub(crate) mod kernel;
pub(crate) mod ldp_io;
pub(crate) mod ldp_policy;
mod ldp_socket;
mod ledger;
mod lsp;
pub(crate) mod node;
mod recovery;
pub(crate) mod reload;
mod retired;
mod show;
pub(crate) mod start;
mod subscribers;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock::now;
use crate::runtime_dir::RuntimeDir;
use crate::state_dir::StateDir;
use crate::supervisor::{self, NotCuredByRestart, Pulse};
use herald::Herald;
use node::Node;
use start::{Prepared, Stop};

/// Inputs that wait for the loop; who feeds it waits beyond that.
const INPUTS: usize = 1024;
/// Inputs that are taken before what follows is worked out.
const BATCH: usize = 256;
/// How long the loop waits when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// What the loop is fed.
#[derive(Debug)]
pub(crate) enum Input {
    /// The kernel's routes, next hops and interfaces.
    Kernel(kernel::KernelEvent),
    /// LDP's sockets.
    Ldp(ldp_io::LdpInput),
    /// The forwarder.
    Forwarder(forwarder_link::ForwarderInput),
    /// Another network file to go on with.
    Reload(reload::Proposal),
    /// A question to the API.
    Api(api_server::Query),
    /// Somebody wants something done with an LDP neighbor.
    Operate(api_server::Operation),
    /// Requests about the directory, and the thread that stores it.
    Directory(directory::DirectoryInput),
}

/// Runs the control process of a node until it is told to stop (SIGTERM, SIGINT).
pub(crate) fn run(network: &Path, node: &str, dir: &RuntimeDir, state: &StateDir) -> miette::Result<()> {
    supervisor::rights::keep_only(supervisor::rights::CONTROL).into_diagnostic()?;
    supervisor::end_with_supervisor().into_diagnostic()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    runtime.block_on(serve(network, node, dir, state))
}

async fn serve(network: &Path, node: &str, dir: &RuntimeDir, state: &StateDir) -> miette::Result<()> {
    let mut stop = Stop::new().into_diagnostic()?;
    let herald = Herald::new(Pulse::of_this_process().into_diagnostic()?);
    // From here on SIGHUP means a reload; one that comes early is done as soon as it can be.
    let hangup = signal(SignalKind::hangup()).into_diagnostic()?;
    let cannot_start = NotCuredByRestart("control cannot start");
    let prepared = start::prepare(network, node, dir, state).await.wrap_err(cannot_start)?;
    let addresses = addresses::OwnAddresses::add(&prepared.netlink, &prepared.view).await;
    let addresses = addresses.wrap_err(NotCuredByRestart("control cannot start"))?;
    let netlink = prepared.netlink.clone();
    let ended = live(prepared, herald, hangup, &mut stop).await;
    addresses.remove(&netlink).await;
    let _ = std::fs::remove_file(dir.api_socket());
    ended
}

/// From the first word with the forwarder to the last with the neighbours.
async fn live(prepared: Prepared, mut herald: Herald, hangup: Signal, stop: &mut Stop) -> miette::Result<()> {
    let (sender, mut inputs) = mpsc::channel(INPUTS);
    let mut tasks = JoinSet::new();
    let begun = prepared.begin(sender, &mut tasks);
    let mut later = Vec::new();
    let ((parts, reloader), inherited) = {
        let making = async {
            let inherited = forwarder_link::Inherited::ask(&mut inputs, &mut later).await;
            let inherited = inherited.ok_or_else(|| miette!("all of control's tasks have ended"))?;
            Ok::<_, miette::Report>((begun.with(&inherited.0, hangup).await?, inherited))
        };
        let mut making = pin!(making);
        loop {
            tokio::select! {
                made = &mut making => break made?,
                ended = tasks.join_next() => return Err(task_ended(ended)),
                () = stop.asked() => return Ok(()),
                () = herald.asked() => herald.alive(),
            }
        }
    };
    tasks.spawn(reloader.run());
    let mut node = Node::new(now(), parts, inherited);
    for input in later {
        node.handle(now(), input);
    }
    let ended = follow(&mut node, &mut inputs, &mut tasks, &mut herald, stop).await;
    node.stop(now()).await;
    ended
}

async fn follow(
    node: &mut Node,
    inputs: &mut mpsc::Receiver<Input>,
    tasks: &mut JoinSet<miette::Result<()>>,
    herald: &mut Herald,
    stop: &mut Stop,
) -> miette::Result<()> {
    loop {
        node.settle(now());
        if let Some(error) = node.take_fatal() {
            return Err(error).wrap_err(NotCuredByRestart("control cannot start"));
        }
        herald.look(now(), node);
        let wait = node.poll_timeout().map_or(IDLE, |due| due.since(now()));
        tokio::select! {
            () = stop.asked() => return Ok(()),
            () = herald.asked() => herald.answer(now(), node),
            ended = tasks.join_next() => return Err(task_ended(ended)),
            input = timeout(wait, inputs.recv()) => match input {
                Ok(Some(input)) => take(node, input, inputs),
                Ok(None) => return Err(miette!("all of control's tasks have ended")),
                Err(_) => {}
            }
        }
        node.timeout(now());
    }
}

fn take(node: &mut Node, first: Input, inputs: &mut mpsc::Receiver<Input>) {
    node.handle(now(), first);
    for _ in 1..BATCH {
        let Ok(input) = inputs.try_recv() else { return };
        node.handle(now(), input);
    }
}

/// Tasks run for as long as control does; one that ends has failed, and a restart may cure that.
fn task_ended(ended: Option<Result<miette::Result<()>, tokio::task::JoinError>>) -> miette::Report {
    match ended {
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => miette!("a task of control failed: {error}"),
        Some(Ok(Ok(()))) | None => miette!("a task of control has ended"),
    }
}
