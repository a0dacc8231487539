//! The processes of a node.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use rustix::process::{Pid, Signal, kill_process};

use crate::lab::patient;
use crate::lab::plan::Plan;
use crate::lab::watch::{Nodes, runtime_dir};

/// How long a successor may take to be there.
const SUCCESSOR: Duration = Duration::from_secs(30);

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Process {
    /// Decides.
    Control,
    /// Forwards.
    Forwarder,
}

impl Process {
    /// Kills a node's.
    pub(super) fn kill(self, node: &str) -> miette::Result<Pid> {
        let pid = self.pid(node)?;
        kill_process(pid, Signal::KILL).into_diagnostic()?;
        Ok(pid)
    }

    /// Waits until another one than `before` is there and all is complete again.
    pub(super) async fn succeeded(
        self,
        before: Pid,
        plan: &Plan,
        nodes: &Nodes,
        node: &str,
    ) -> miette::Result<()> {
        let there = async {
            while !self.pid(node).is_ok_and(|now| now != before) {
                patient::changed(runtime_dir(node).path().to_owned()).await;
            }
        };
        tokio::time::timeout(SUCCESSOR, there).await.map_err(|_| {
            crate::lab::daemons::print_tail(node);
            miette!("{self:?} of {node} does not come back; the end of its log is above")
        })?;
        nodes.node_complete(plan, node).await
    }

    /// The process that listens on the socket that is this one's.
    fn pid(self, node: &str) -> miette::Result<Pid> {
        let socket = UnixStream::connect(self.socket(node)).into_diagnostic();
        let socket = socket.wrap_err_with(|| format!("{self:?} of {node} does not listen"))?;
        Ok(rustix::net::sockopt::socket_peercred(&socket).into_diagnostic()?.pid)
    }

    fn socket(self, node: &str) -> PathBuf {
        match self {
            Self::Control => runtime_dir(node).api_socket(),
            Self::Forwarder => runtime_dir(node).forwarder_socket(),
        }
    }
}
