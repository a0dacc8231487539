//! The nodes' daemons, started, stopped and killed as operators and misfortune do it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use super::place::Places;
use super::plan::Plan;

/// Where the daemons' output goes.
const LOGS: &str = "/run/lab/logs";
/// Where they keep what outlasts them.
const STATE: &str = "/run/lab/state";
/// How long a daemon may take to stop.
const STOP: Duration = Duration::from_secs(15);
/// How much of a log is shown when something went wrong.
const TAIL: usize = 25;

/// The daemons, one per node.
pub(super) struct Daemons<'a> {
    places: &'a Places,
    network: PathBuf,
    running: RefCell<BTreeMap<String, Running>>,
    ended: tokio::sync::Mutex<mpsc::UnboundedReceiver<(String, String)>>,
    ending: mpsc::UnboundedSender<(String, String)>,
}

/// A daemon that runs.
struct Running {
    pid: Pid,
    /// Whether its end is wanted.
    wanted: Rc<RefCell<bool>>,
    status: oneshot::Receiver<std::io::Result<ExitStatus>>,
}

impl<'a> Daemons<'a> {
    /// Starts `openmile run` in every node's namespace.
    pub(super) fn start(plan: &Plan, places: &'a Places, network: &Path) -> miette::Result<Self> {
        std::fs::create_dir_all(LOGS).into_diagnostic()?;
        let (ending, ended) = mpsc::unbounded_channel();
        let (running, ended) = (RefCell::default(), tokio::sync::Mutex::new(ended));
        let daemons = Self { places, network: network.to_owned(), running, ended, ending };
        for node in plan.network.nodes() {
            daemons.start_one(node.name.as_str())?;
        }
        Ok(daemons)
    }

    /// Starts a node's daemon.
    pub(super) fn start_one(&self, node: &str) -> miette::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(log(node)).into_diagnostic()?;
        let mut command = Command::new(super::THIS_PROGRAM);
        command.arg("run").arg("--network").arg(&self.network).args(["--node", node, "--state-dir", STATE]);
        command.stdin(Stdio::null()).stdout(log.try_clone().into_diagnostic()?).stderr(log);
        // Not in the foreground group: on Ctrl-C it is the lab that stops them, in order.
        command.process_group(0).kill_on_drop(false);
        let runtime = tokio::runtime::Handle::current();
        let child = self.places.at(node).into_diagnostic()?.namespace.run(|| {
            let _entered = runtime.enter();
            command.spawn()
        });
        let child = child.into_diagnostic()?.into_diagnostic();
        let mut child = child.wrap_err_with(|| format!("{node} cannot be started"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| miette!("{node} ended at once"))?;
        let (status_sender, status) = oneshot::channel();
        let wanted = Rc::new(RefCell::new(false));
        let (still_wanted, ending, name) = (wanted.clone(), self.ending.clone(), node.to_owned());
        tokio::task::spawn_local(async move {
            let ended = child.wait().await;
            if !*still_wanted.borrow() {
                let how = ended.as_ref().map_or_else(ToString::to_string, ToString::to_string);
                // Nobody hears it once the lab ends.
                _ = ending.send((name, how));
            }
            _ = status_sender.send(ended);
        });
        self.running.borrow_mut().insert(node.to_owned(), Running { pid, wanted, status });
        Ok(())
    }

    /// Resolves when a daemon ended by itself; the end of its log is printed.
    pub(super) async fn one_ended(&self) -> miette::Report {
        let ended = self.ended.lock().await.recv().await;
        let (name, how) = ended.unwrap_or_default();
        print_tail(&name);
        miette!("the daemon of {name} ended by itself ({how}); the end of its log is above")
    }

    /// Kills a node's supervisor, which takes its processes with it, and waits for its end.
    pub(super) async fn kill_one(&self, node: &str) -> miette::Result<()> {
        let Running { pid, wanted, status } = self.take(node)?;
        *wanted.borrow_mut() = true;
        kill_process(pid, Signal::KILL).into_diagnostic()?;
        status.await.into_diagnostic()?.into_diagnostic()?;
        Ok(())
    }

    /// Stops a node as an operator does.
    pub(super) async fn stop_one(&self, node: &str) -> miette::Result<()> {
        match stopped(node, self.take(node)?).await {
            None => Ok(()),
            Some(wrong) => Err(miette!("{wrong}")),
        }
    }

    /// Tells all to stop and waits for them: what did not end as it should, in words.
    pub(super) async fn stop(&self) -> Vec<String> {
        let all = std::mem::take(&mut *self.running.borrow_mut());
        let stops = all.into_iter().map(async |(node, running)| stopped(&node, running).await);
        futures_util::future::join_all(stops).await.into_iter().flatten().collect()
    }

    fn take(&self, node: &str) -> miette::Result<Running> {
        self.running.borrow_mut().remove(node).ok_or_else(|| miette!("{node} does not run"))
    }
}

async fn stopped(node: &str, Running { pid, wanted, status }: Running) -> Option<String> {
    *wanted.borrow_mut() = true;
    // It may have ended just now.
    _ = kill_process(pid, Signal::TERM);
    match tokio::time::timeout(STOP, status).await {
        Ok(Ok(Ok(status))) if status.success() => None,
        Ok(Ok(Ok(status))) => Some(format!("{node}: {status}")),
        Ok(Ok(Err(error))) => Some(format!("{node}: {error}")),
        Ok(Err(error)) => Some(format!("{node}: {error}")),
        Err(_) => Some(format!("{node} did not stop within {} s", STOP.as_secs())),
    }
}

/// Prints the end of a daemon's log.
pub(super) fn print_tail(node: &str) {
    let text = std::fs::read(log(node)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(TAIL)..] {
        println!("  {node} | {line}");
    }
}

fn log(node: &str) -> PathBuf {
    Path::new(LOGS).join(format!("{node}.log"))
}
