//! `openmile run`: keeps a node's two processes running.
//!
//! The supervisor holds the node's lock, and nothing else that matters: it starts `forwarder` and `control` (itself, by
//! hidden subcommands), starts either again when it dies, and stops control before the forwarder, so that neighbours are
//! told before packets stop. Killed itself, it takes both with it; the next `run` adopts what they leave.
//!
//! It asks both again and again whether they work ([`pulse`]) and kills one that hangs; whether the supervisor itself does is
//! for systemd to watch ([`service_manager`]).
//!
//! Nothing is made before the network file, the file of subscribers, the node's name, the rights and the lock are found good.

mod child;
mod lock;
mod pulse;
pub(crate) mod rights;
mod service_manager;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use miette::{Diagnostic, IntoDiagnostic, WrapErr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

pub(crate) use child::{NotCuredByRestart, end_with_supervisor, exit_code};
pub(crate) use pulse::{Pulse, Word};

use crate::forwarder;
use crate::logs::LogArgs;
use crate::runtime_dir::RuntimeDir;
use crate::site::Site;
use crate::state_dir::StateDir;
use child::Process;
use lock::Lock;
use pulse::Patience;
use service_manager::ServiceManager;

/// The network file has no such node.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("there is no node `{node}` in {file}")]
#[diagnostic(help("its nodes are: {nodes}"))]
struct NoSuchNode {
    node: String,
    file: String,
    nodes: String,
}

/// How long control may hang: it may work hard on a hundred thousand FECs, and its neighbors wait for 30 s too before they
/// give it up. A successor is then there long before they use its labels for others ([`contract::FORWARDING_HOLD`]).
const CONTROL: Duration = Duration::from_secs(30);
/// How long the forwarder may hang. Without it packets stop, and nothing that it does takes a second.
const FORWARDER: Duration = Duration::from_secs(10);

/// How a node is to be run, besides what it is.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How long each process may hang; 0: for ever. `None`: what fits each.
    pub(crate) watchdog: Option<Duration>,
    /// What all processes log.
    pub(crate) logs: LogArgs,
}

impl Options {
    fn patience(&self, otherwise: Duration) -> Option<Patience> {
        Some(self.watchdog.unwrap_or(otherwise)).filter(|limit| !limit.is_zero()).map(Patience::of)
    }
}

/// Runs the node until it is told to stop (SIGTERM, SIGINT, the end of its terminal; once more: at once). SIGHUP has it
/// reload its network file.
pub(crate) fn run(
    network: &Path,
    node: &str,
    dir: &RuntimeDir,
    state: &StateDir,
    options: &Options,
) -> miette::Result<()> {
    check_node(network, node)?;
    rights::check()?;
    rights::keep_supervisors().into_diagnostic().wrap_err("rights that are not needed cannot be given up")?;
    dir.create().into_diagnostic().wrap_err_with(|| format!("cannot make {}", dir.path().display()))?;
    let _lock = Lock::take(&dir.lock(), node)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let manager = ServiceManager::default();
    let done = runtime.block_on(async {
        tokio::select! {
            never = manager.keep_alive() => match never {},
            done = supervise(network, node, dir, state, options, &manager) => done,
        }
    });
    clean_up(dir);
    done
}

fn check_node(file: &Path, node: &str) -> miette::Result<()> {
    let site = Site::load(file)?;
    let network = site.network();
    if network.node(node).is_some() {
        return Ok(());
    }
    let nodes: Vec<_> = network.nodes().iter().map(|n| n.name.as_str()).collect();
    Err(NoSuchNode { node: node.to_owned(), file: file.display().to_string(), nodes: nodes.join(", ") })?
}

/// How long signals to stop count as one.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Signals to the node.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// A wish to reload, or the terminal is gone. By default it would end only the supervisor, and not cleanly.
    hangup: Signal,
    /// Whether there was a terminal that can go.
    terminal: bool,
}

/// What signals ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stop,
    Reload,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            terminal: has_terminal(),
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            // The kernel and whoever wants a reload send the same signal.
            _ = self.hangup.recv() => if self.terminal && !has_terminal() { Wish::Stop } else { Wish::Reload },
        }
    }

    /// Waits for another one. What comes right after the first is still the same wish: a terminal, and whatever wraps the
    /// daemon there, may each send it.
    async fn asked_once_more(&mut self) {
        sleep_until(Instant::now() + SAME_WISH).await;
        while self.next().await != Wish::Stop {}
    }
}

/// Whether the process has a controlling terminal.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

async fn supervise(
    network: &Path,
    node: &str,
    dir: &RuntimeDir,
    state: &StateDir,
    options: &Options,
    manager: &ServiceManager,
) -> miette::Result<()> {
    let mut signals = Signals::new().into_diagnostic()?;
    let common = ["--node".into(), node.into(), "--runtime-dir".into(), dir.base().into()];
    let arguments = |first: &[OsString]| first.iter().chain(&common).cloned().collect();
    let first = ["forwarder".into()];
    let mut forwarder =
        Process::new("forwarder", arguments(&first), options.patience(FORWARDER), &options.logs);
    let network = ["--network".into(), network.into(), "--state-dir".into(), state.base().into()];
    let first = [&["control".into()], &network[..]].concat();
    let mut control = Process::new("control", arguments(&first), options.patience(CONTROL), &options.logs);
    let ended = loop {
        tokio::select! {
            error = forwarder.run(manager) => break Err(error.into()),
            error = control.run(manager) => break Err(error.into()),
            wish = signals.next() => match wish {
                Wish::Stop => break Ok(()),
                Wish::Reload => control.reload(),
            },
        }
    };
    tracing::info!("stopping");
    manager.stopping();
    tokio::select! {
        () = async { control.stop().await; forwarder.stop().await } => {}
        () = signals.asked_once_more() => {
            tracing::warn!("told to stop once more: ending at once");
            control.kill().await;
            forwarder.kill().await;
        }
    }
    ended
}

/// The forwarder gives devices back when it stops; where it could not (it was killed), it is done here.
fn clean_up(dir: &RuntimeDir) {
    if let Err(error) = forwarder::give_back(dir) {
        tracing::error!("devices are left in {}: {error:#}", dir.ports_namespace().display());
    }
    dir.remove();
}
