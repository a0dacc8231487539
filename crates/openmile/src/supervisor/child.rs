//! One of the two processes of a node: started, watched, started again, stopped.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

use super::pulse::{Asker, Noticed, Patience, Word};
use super::service_manager::{self, ServiceManager};
use crate::logs::LogArgs;

/// Wait before the first restart.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait before a restart.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Whatever ran this long has recovered: the next wait is the first again.
const RECOVERED: Duration = Duration::from_secs(30);
/// Whatever ran this long could start once: that it cannot start now is no reason to stop the whole node.
const PROVEN: Duration = Duration::from_secs(5);
/// How long a process may take to stop cleanly.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Exit code of a process that no restart cures; it has said why on stderr.
const NOT_CURED: u8 = 2;
/// Tells a child who its supervisor is.
const SUPERVISOR: &str = "OPENMILE_SUPERVISOR";

/// A process of the node.
pub(super) struct Process {
    name: &'static str,
    arguments: Vec<std::ffi::OsString>,
    variables: [(&'static str, String); 2],
    patience: Option<Patience>,
    state: State,
    wait: Duration,
    /// It has run for [`PROVEN`] before.
    proven: bool,
}

enum State {
    Running { child: Child, since: Instant, asker: Box<Asker> },
    Waiting { until: Instant },
    Ended,
}

/// How a process ended that will not be started again.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the node is stopped, since its {0} process cannot run (it has said why above)")]
pub(crate) struct CannotRun(&'static str);

/// Context for an error of a process that no restart cures, and for which the supervisor therefore stops the node:
/// `.wrap_err(NotCuredByRestart("control cannot start"))`. Errors without it, panics and signals mean a restart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotCuredByRestart(pub(crate) &'static str);

impl std::fmt::Display for NotCuredByRestart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// The exit code that tells the supervisor, and whoever else asks, about an error.
pub(crate) fn exit_code(error: &miette::Report) -> std::process::ExitCode {
    match error.downcast_ref::<NotCuredByRestart>() {
        Some(_) => NOT_CURED.into(),
        None => std::process::ExitCode::FAILURE,
    }
}

impl Process {
    /// A process, to be started at once by [`Self::run`]; it may hang for as long as the patience says (`None`: for ever).
    pub(super) fn new(
        name: &'static str,
        arguments: Vec<std::ffi::OsString>,
        patience: Option<Patience>,
        logs: &LogArgs,
    ) -> Self {
        Self {
            name,
            arguments,
            variables: logs.variables(),
            patience,
            state: State::Waiting { until: Instant::now() },
            wait: FIRST_WAIT,
            proven: false,
        }
    }

    /// Keeps the process running, and passes on what it says of the node; returns only when it cannot. May be cancelled.
    pub(super) async fn run(&mut self, manager: &ServiceManager) -> CannotRun {
        loop {
            match &mut self.state {
                State::Waiting { until } => {
                    sleep_until(*until).await;
                    self.start();
                }
                State::Running { child, since, asker } => tokio::select! {
                    status = child.wait() => {
                        let ran = since.elapsed();
                        if let Some(error) = self.ended(status, ran) {
                            return error;
                        }
                        manager.status(&format!("{} is started again", self.name));
                    }
                    noticed = asker.next() => match noticed {
                        Noticed::Word(Word::Ready) => manager.ready(),
                        Noticed::Word(Word::Status(text)) => manager.status(&text),
                        Noticed::Word(Word::Alive) => {}
                        Noticed::Hangs => hangs(self.name, child),
                    }
                },
                State::Ended => return CannotRun(self.name),
            }
        }
    }

    /// Has the process reload. One that does not run will read the file when it starts.
    pub(super) fn reload(&self) {
        if let State::Running { child, .. } = &self.state {
            signal(child, Signal::HUP);
        }
    }

    /// Stops the process: asks it to, and kills it if it does not. May be cancelled.
    pub(super) async fn stop(&mut self) {
        let State::Running { child, .. } = &mut self.state else { return self.state = State::Ended };
        signal(child, Signal::TERM);
        match timeout(STOP_TIME, child.wait()).await {
            Ok(Ok(status)) if status.success() || was_told(status) => {}
            Ok(Ok(status)) => tracing::warn!("{} ended while stopping: {}", self.name, describe(status)),
            Ok(Err(error)) => tracing::warn!("{}: {error}", self.name),
            Err(_) => {
                tracing::warn!("{} did not stop within {STOP_TIME:?} and is killed", self.name);
                self.kill().await;
            }
        }
        self.state = State::Ended;
    }

    /// Ends the process at once.
    pub(super) async fn kill(&mut self) {
        if let State::Running { child, .. } = &mut self.state
            && let Err(error) = child.kill().await
        {
            tracing::warn!("{} cannot be killed: {error}", self.name);
        }
        self.state = State::Ended;
    }

    fn start(&mut self) {
        let mut command = std::process::Command::new("/proc/self/exe");
        std::os::unix::process::CommandExt::arg0(&mut command, "openmile");
        command.args(&self.arguments).env(SUPERVISOR, std::process::id().to_string());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        for variable in service_manager::VARIABLES {
            command.env_remove(variable);
        }
        // Away from the terminal's process group: Ctrl-C is for the supervisor, which then stops them in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = Asker::new(self.patience).and_then(|(asker, theirs)| {
            command.stdin(theirs);
            Ok((Command::from(command).spawn()?, asker))
        });
        match started {
            Ok((child, asker)) => {
                tracing::info!("{} started (pid {})", self.name, child.id().unwrap_or_default());
                self.state = State::Running { child, since: Instant::now(), asker: Box::new(asker) };
            }
            Err(error) => {
                tracing::error!("{} cannot be started: {error}; next try in {:?}", self.name, self.wait);
                self.state = State::Waiting { until: self.next_wait() };
            }
        }
    }

    fn ended(&mut self, status: io::Result<ExitStatus>, ran: Duration) -> Option<CannotRun> {
        if ran >= RECOVERED {
            self.wait = FIRST_WAIT;
        }
        self.proven |= ran >= PROVEN;
        match status {
            Ok(status) if status.code() == Some(i32::from(NOT_CURED)) && !self.proven => {
                self.state = State::Ended;
                return Some(CannotRun(self.name));
            }
            // The node worked with what it had. A mistake made since (in the network file, say) must not stop its packets.
            Ok(status) if status.code() == Some(i32::from(NOT_CURED)) => {
                tracing::error!(
                    "{} cannot be started again (it has said why above); what was set up stays; next try in {:?}",
                    self.name,
                    self.wait
                );
            }
            Ok(status) => {
                let how = describe(status);
                tracing::error!("{} {how}; it is started again in {:?}", self.name, self.wait);
            }
            Err(error) => tracing::error!("{} cannot be waited for: {error}", self.name),
        }
        self.state = State::Waiting { until: self.next_wait() };
        None
    }

    fn next_wait(&mut self) -> Instant {
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        Instant::now() + wait
    }
}

/// Ends a process that does not answer; that it ended is noticed as always.
fn hangs(name: &str, child: &mut Child) {
    tracing::error!("{name} hangs: it has not answered for too long and is killed");
    if let Err(error) = child.start_kill() {
        tracing::error!("{name} cannot be killed: {error}");
    }
}

/// Whether a supervisor started this process.
pub(super) fn has_supervisor() -> bool {
    supervisor().is_some()
}

/// The process that started this one as its supervisor.
fn supervisor() -> Option<i32> {
    std::env::var(SUPERVISOR).ok().and_then(|pid| pid.parse().ok())
}

/// Called first in a process that a supervisor started: it ends when its supervisor does. Started by hand, it does not.
pub(crate) fn end_with_supervisor() -> io::Result<()> {
    let Some(supervisor) = supervisor() else { return Ok(()) };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = rustix::process::getppid().map(Pid::as_raw_nonzero).map(std::num::NonZero::get);
    if parent == Some(supervisor) {
        return Ok(());
    }
    Err(io::Error::other("the supervisor ended before this process was ready"))
}

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!("cannot signal process {}: {error}", pid.as_raw_nonzero());
    }
}

/// Whether the signal to stop ended it: it came before the process could listen to it. What it left is cleaned up after.
fn was_told(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(Signal::TERM.as_raw())
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[tokio::test]
    async fn what_has_worked_is_tried_again_whatever_it_says() {
        let not_cured = || Ok(ExitStatus::from_raw(i32::from(NOT_CURED) << 8));
        let mut first = Process::new("control", Vec::new(), None, &LogArgs::default());
        assert!(first.ended(not_cured(), Duration::from_millis(20)).is_some());
        assert!(matches!(first.state, State::Ended));

        let mut worked = Process::new("control", Vec::new(), None, &LogArgs::default());
        assert!(worked.ended(Ok(ExitStatus::from_raw(9)), PROVEN).is_none());
        assert!(worked.ended(not_cured(), Duration::from_millis(20)).is_none());
        assert!(matches!(worked.state, State::Waiting { .. }));
    }

    #[test]
    fn only_the_signal_to_stop_is_a_clean_end() {
        assert!(was_told(ExitStatus::from_raw(15)));
        assert!(!was_told(ExitStatus::from_raw(9)) && !was_told(ExitStatus::from_raw(1 << 8)));
    }
}
