//! `openmile ldp`: has something done with an LDP neighbor of a running node.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use api::{Client, ClientError, LdpOperation};
use miette::IntoDiagnostic as _;

use super::show;
use crate::runtime_dir::RuntimeDir;

/// What is to be done.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LdpArgs {
    #[command(subcommand)]
    operation: Operation,
    /// The node; may be left out where only one runs
    #[arg(long, env = "OPENMILE_NODE", global = true)]
    node: Option<String>,
    /// Where running nodes keep their sockets and counters
    #[arg(long, default_value = RuntimeDir::DEFAULT, global = true)]
    runtime_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Operation {
    /// End the session with a neighbor; it begins anew at once, and both tell all their labels again
    Clear {
        /// The neighbor's LSR-id
        neighbor: Ipv4Addr,
    },
    /// End the session with a neighbor, and do not listen to it until `open` or until control is started again (for good:
    /// `shut = true` in the network file)
    Shut {
        /// The neighbor's LSR-id
        neighbor: Ipv4Addr,
    },
    /// Listen again to a neighbor that was shut
    Open {
        /// The neighbor's LSR-id
        neighbor: Ipv4Addr,
    },
}

/// Asks the node, and says what is so by now.
pub(crate) fn run(args: &LdpArgs) -> miette::Result<ExitCode> {
    let (operation, neighbor, done) = match args.operation {
        Operation::Clear { neighbor } => (LdpOperation::Clear, neighbor, "is cleared"),
        Operation::Shut { neighbor } => (LdpOperation::Shut, neighbor, "is shut"),
        Operation::Open { neighbor } => (LdpOperation::Open, neighbor, "is open"),
    };
    let dir = show::node_dir(&args.runtime_dir, args.node.as_deref())?;
    let client = Client::new(dir.api_socket());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    match runtime.block_on(client.operate(neighbor, operation)) {
        Err(ClientError::Refused { status: 404, message }) => {
            eprintln!("{message}");
            return Ok(ExitCode::FAILURE);
        }
        answered => answered.into_diagnostic()?,
    }
    println!("LDP neighbor {neighbor} {done}");
    Ok(ExitCode::SUCCESS)
}
