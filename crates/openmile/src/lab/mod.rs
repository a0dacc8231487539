//! The lab: a whole network in namespaces, from one command.
//!
//! ```text
//! openmile lab           the user's: holds the terminal, answers `lab exec` and `lab capture`   (outside)
//!  └ stage sandbox       enters new user (where not root), mount, PID and network namespaces    (sandbox)
//!     └ stage init       process 1 in there: reaps; when it ends, the kernel ends all the rest  (sandbox)
//!        └ stage inside  builds the network, runs the nodes, sends traffic, checks              (inside)
//!           ├ openmile run --network … --node head1
//!           └ …
//! ```
//! Each process is killed when its parent ends, and everything that the lab makes (devices, mounts, files, namespaces)
//! is in namespaces that only these processes hold. So whatever ends any of them, nothing is left.

mod accounts;
mod backbone;
mod build;
mod checks;
mod daemons;
mod drops;
mod failover;
mod hosts;
mod igp;
mod inside;
mod isolation;
mod kernel;
mod moves;
mod mtu;
mod operator;
mod outside;
mod patient;
mod place;
mod plan;
mod reach;
mod recorder;
mod reload;
mod report;
mod sandbox;
mod scenario;
mod screen;
mod services;
mod spoof;
mod trace;
mod traffic;
mod uplinks;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

/// What `openmile lab` is asked to do.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
pub(crate) struct LabArgs {
    /// Stay up after the checks, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// The lab's name, to have several at a time
    #[arg(long, default_value = "lab")]
    name: String,
    #[command(flatten)]
    selection: scenario::Selection,
    #[command(subcommand)]
    command: Option<LabCommand>,
}

/// What can be done in a lab that is up.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum LabCommand {
    /// Run a command in the namespace of a node, a subscriber or an ISP
    Exec(reach::ExecArgs),
    /// Write the frames of a node's port to a file that Wireshark opens, until Ctrl-C
    Capture(reach::CaptureArgs),
    /// A process of the lab itself
    #[command(hide = true)]
    Stage {
        /// Which
        stage: Stage,
    },
}

/// The lab's own processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Stage {
    /// Enters the namespaces.
    Sandbox,
    /// Process 1 in them.
    Init,
    /// Does the work.
    Inside,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Init => "init",
            Self::Inside => "inside",
        }
    }
}

/// Runs the lab, or a command in it.
pub(crate) fn run(args: LabArgs) -> miette::Result<ExitCode> {
    match &args.command {
        None => outside::run(&args),
        Some(LabCommand::Exec(exec)) => reach::exec(&args.name, exec),
        Some(LabCommand::Capture(capture)) => reach::capture(&args.name, capture),
        Some(LabCommand::Stage { stage: Stage::Sandbox }) => sandbox::enter(&args),
        Some(LabCommand::Stage { stage: Stage::Init }) => sandbox::init(&args),
        Some(LabCommand::Stage { stage: Stage::Inside }) => inside::run(&args),
    }
}

impl LabArgs {
    /// This program again, as another stage of this lab.
    fn stage(&self, stage: Stage) -> std::process::Command {
        let mut command = std::process::Command::new(THIS_PROGRAM);
        command.args(["lab", "--name", &self.name]);
        if self.keep {
            command.arg("--keep");
        }
        command.args(self.selection.arguments());
        command.args(["stage", stage.name()]);
        command
    }
}

/// The running program's file, also after it was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Where this program's file is, for the search path of commands in the lab.
fn program_dir() -> Option<PathBuf> {
    std::env::current_exe().ok()?.parent().map(std::path::Path::to_owned)
}
