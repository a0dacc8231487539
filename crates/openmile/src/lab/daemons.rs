//! The nodes' daemons, started as an operator starts them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::place::Places;
use super::plan::Plan;

/// Where the daemons' output goes.
const LOGS: &str = "/run/lab/logs";
/// How long a daemon may take to stop.
const STOP: Duration = Duration::from_secs(15);
/// How much of a log is shown when something went wrong.
const TAIL: usize = 25;

/// The running daemons, one per node.
#[derive(Debug)]
pub(super) struct Daemons(Vec<(String, Child)>);

impl Daemons {
    /// Starts `openmile run` in every node's namespace.
    pub(super) fn start(plan: &Plan, places: &Places, network: &Path) -> miette::Result<Self> {
        std::fs::create_dir_all(LOGS).into_diagnostic()?;
        let mut daemons = Vec::new();
        for node in plan.network.nodes() {
            let name = node.name.as_str();
            let log = std::fs::File::create(log(name)).into_diagnostic()?;
            let mut command = Command::new(super::THIS_PROGRAM);
            command.arg("run").arg("--network").arg(network).args(["--node", name]);
            command.stdin(Stdio::null()).stdout(log.try_clone().into_diagnostic()?).stderr(log);
            // Not in the foreground group: on Ctrl-C it is the lab that stops them, in order.
            command.process_group(0).kill_on_drop(false);
            let runtime = tokio::runtime::Handle::current();
            let child = places.at(name).into_diagnostic()?.namespace.run(|| {
                let _entered = runtime.enter();
                command.spawn()
            });
            let child = child.into_diagnostic()?.into_diagnostic();
            daemons.push((name.to_owned(), child.wrap_err_with(|| format!("{name} cannot be started"))?));
        }
        Ok(Self(daemons))
    }

    /// Resolves when a daemon ended by itself; the end of its log is printed.
    pub(super) async fn one_ended(&mut self) -> miette::Report {
        let waits = self.0.iter_mut().map(|(name, child)| {
            Box::pin(async move {
                let status = child.wait().await;
                (name.as_str(), status)
            })
        });
        let waits: Vec<_> = waits.collect();
        if waits.is_empty() {
            std::future::pending::<()>().await;
        }
        let ((name, status), ..) = futures_util::future::select_all(waits).await;
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        print_tail(name);
        miette!("the daemon of {name} ended by itself ({how}); the end of its log is above")
    }

    /// Tells all to stop and waits for them: what did not end as it should, in words.
    pub(super) async fn stop(self) -> Vec<String> {
        for (_, child) in &self.0 {
            if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                // It may have ended just now.
                _ = kill_process(pid, Signal::TERM);
            }
        }
        let mut wrong = Vec::new();
        for (name, mut child) in self.0 {
            match tokio::time::timeout(STOP, child.wait()).await {
                Ok(Ok(status)) if status.success() => {}
                Ok(Ok(status)) => wrong.push(format!("{name}: {status}")),
                Ok(Err(error)) => wrong.push(format!("{name}: {error}")),
                Err(_) => wrong.push(format!("{name} did not stop within {} s", STOP.as_secs())),
            }
        }
        wrong
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
