//! The command line.

mod check;
mod ldp;
mod package_files;
mod reload;
mod show;
mod subscriber;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::logs::{self, LogArgs};
use crate::runtime_dir::RuntimeDir;
use crate::state_dir::StateDir;
use crate::{control, forwarder, lab, supervisor};

/// Many ISPs on one access network and one MPLS backbone
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node of a network, until it is told to stop (SIGTERM or Ctrl-C)
    Run(RunArgs),
    /// Check a network file as a whole
    Check {
        /// The network file
        file: PathBuf,
    },
    /// Show what a running node knows and does
    Show(show::ShowArgs),
    /// Add, change, move, remove, show, import and export the subscribers of a headend
    Subscriber(subscriber::SubscriberArgs),
    /// Have a running node go on with its network file as it is now, without stopping packets (SIGHUP does the same)
    Reload(reload::ReloadArgs),
    /// Clear, shut and open LDP neighbors of a running node
    Ldp(ldp::LdpArgs),
    /// Build an example network in namespaces, run it, send traffic and check it
    Lab(lab::LabArgs),
    /// Print the JSON schema of the network file
    Schema,
    /// Write man pages, shell completions and the schema into a folder, for packages
    #[command(hide = true)]
    PackageFiles {
        /// The folder
        dir: PathBuf,
    },
    /// A node's control process (started by `run`)
    #[command(hide = true)]
    Control {
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        logs: LogArgs,
    },
    /// A node's forwarder process (started by `run`)
    #[command(hide = true)]
    Forwarder {
        #[command(flatten)]
        dir: DirArgs,
        #[command(flatten)]
        logs: LogArgs,
    },
}

/// How to run a node.
#[derive(Clone, Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Kill and start again a process of the node that has not answered for this long; 0: never [default: 30 for control,
    /// 10 for the forwarder]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16))]
    watchdog: Option<u16>,
    #[command(flatten)]
    logs: LogArgs,
}

/// Which node.
#[derive(Clone, Debug, clap::Args)]
struct NodeArgs {
    /// The network file
    #[arg(long)]
    network: PathBuf,
    /// The node's name in it
    #[arg(long)]
    node: String,
    /// Where running nodes keep their sockets and counters
    #[arg(long, default_value = RuntimeDir::DEFAULT)]
    runtime_dir: PathBuf,
    /// Where nodes keep what outlives them: the directory of subscribers
    #[arg(long, default_value = StateDir::DEFAULT)]
    state_dir: PathBuf,
}

/// Where a node's processes meet.
#[derive(Clone, Debug, clap::Args)]
struct DirArgs {
    /// The node's name
    #[arg(long)]
    node: String,
    /// Where running nodes keep their sockets and counters
    #[arg(long, default_value = RuntimeDir::DEFAULT)]
    runtime_dir: PathBuf,
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(RunArgs { node: args, watchdog, logs }) => {
            logs.start(&args.node, "supervisor");
            let watchdog = watchdog.map(|seconds| Duration::from_secs(seconds.into()));
            let options = supervisor::Options { watchdog, logs };
            supervisor::run(&args.network, &args.node, &args.dir(), &args.state(), &options)
                .map(|()| ExitCode::SUCCESS)
        }
        Command::Control { node: args, logs } => {
            logs.start(&args.node, "control");
            control::run(&args.network, &args.node, &args.dir(), &args.state()).map(|()| ExitCode::SUCCESS)
        }
        Command::Forwarder { dir: args, logs } => {
            logs.start(&args.node, "forwarder");
            forwarder::run(&RuntimeDir::new(&args.runtime_dir, &args.node)).map(|()| ExitCode::SUCCESS)
        }
        Command::Show(args) => show::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Subscriber(args) => subscriber::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Ldp(args) => ldp::run(&args),
        Command::Lab(args) => lab::run(args),
        Command::Check { file } => Ok(check::run(&file)),
        Command::PackageFiles { dir } => package_files::write(&dir).map(|()| ExitCode::SUCCESS),
        Command::Schema => {
            print!("{}", network::schema_text());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|report| {
        say(&report);
        supervisor::exit_code(&report)
    })
}

/// Says on stderr what went wrong: of a file the lines that are wrong, as `check` shows them, else a sentence.
fn say(report: &miette::Report) {
    if logs::by_lines() {
        let text = match report.downcast_ref::<network::Report>() {
            Some(file) => format!("{}{file}", file.render(false)),
            None => sentence(report),
        };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            tracing::error!("{}", line.trim_end());
        }
        return;
    }
    let color = std::io::stderr().is_terminal();
    if let Some(file) = report.downcast_ref::<network::Report>() {
        eprint!("{}", file.render(color));
        return eprintln!("{file}");
    }
    eprint!("{}", sentence(report));
}

/// An error with its causes in one line however long, so that a log can be searched for it, and the remedy below.
fn sentence(report: &miette::Report) -> String {
    let mut text = "openmile: ".to_owned();
    let mut said = String::new();
    for cause in report.chain().map(ToString::to_string) {
        // Some errors say their cause themselves.
        if said.ends_with(&cause) {
            continue;
        }
        if !said.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
        said = cause;
    }
    text.push('\n');
    if let Some(help) = report.help() {
        text.push_str(&format!("  help: {help}\n"));
    }
    text
}

impl NodeArgs {
    fn dir(&self) -> RuntimeDir {
        RuntimeDir::new(&self.runtime_dir, &self.node)
    }

    fn state(&self) -> StateDir {
        StateDir::new(&self.state_dir, &self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error, miette::Diagnostic)]
    #[error("lock: {source}")]
    #[diagnostic(help("make room"))]
    struct Full {
        source: std::io::Error,
    }

    #[test]
    fn an_error_is_one_line_and_a_cause_is_said_once() {
        let source = std::io::Error::other("no space left");
        let report = miette::Report::new(Full { source }).wrap_err("the node cannot start");
        let text = sentence(&report);
        assert_eq!(text, "openmile: the node cannot start: lock: no space left\n  help: make room\n");
    }
}
