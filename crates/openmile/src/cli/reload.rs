//! `openmile reload`: has a node go on with its network file as it is now.

use std::path::PathBuf;
use std::process::ExitCode;

use api::{Client, ClientError, Reload, ReloadOptions};
use miette::IntoDiagnostic as _;

use super::show;
use crate::runtime_dir::RuntimeDir;

/// Which node, and whether in earnest.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReloadArgs {
    /// Only say what would be different
    #[arg(long)]
    dry_run: bool,
    /// The node; may be left out where only one runs
    #[arg(long, env = "OPENMILE_NODE")]
    node: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where running nodes keep their sockets and counters
    #[arg(long, default_value = RuntimeDir::DEFAULT)]
    runtime_dir: PathBuf,
}

/// Asks the node, and says what it did or why not.
pub(crate) fn run(args: &ReloadArgs) -> miette::Result<ExitCode> {
    let dir = show::node_dir(&args.runtime_dir, args.node.as_deref())?;
    let client = Client::new(dir.api_socket());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let reload = match runtime.block_on(client.reload(ReloadOptions { dry_run: args.dry_run })) {
        // What is wrong with the file, in the words of `openmile check`.
        Err(ClientError::Refused { status: 422, message }) => {
            eprintln!("{}\nnothing was changed", message.trim_end());
            return Ok(ExitCode::FAILURE);
        }
        answered => answered.into_diagnostic()?,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&reload).into_diagnostic()?);
    } else {
        eprint!("{}", reload.warnings);
        print!("{}", text(&reload));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(reload: &Reload) -> String {
    let mut lines = reload.changes.clone();
    let digest = reload.digest.get(..16).unwrap_or(&reload.digest);
    lines.push(match (reload.changes.is_empty(), reload.applied) {
        (true, _) => format!("network file {digest}: nothing is different"),
        (false, true) => format!("network file {digest} is loaded"),
        (false, false) => format!("network file {digest} would be loaded: nothing was changed"),
    });
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_said() {
        let reload = |changes: &[&str], applied| Reload {
            applied,
            digest: "0123456789abcdef0123".to_owned(),
            changes: changes.iter().map(|line| (*line).to_owned()).collect(),
            warnings: String::new(),
        };
        let line = "port line9 added (access)";
        for (reload, expected) in [
            (reload(&[line], true), "port line9 added (access)\nnetwork file 0123456789abcdef is loaded\n"),
            (
                reload(&[line], false),
                "port line9 added (access)\nnetwork file 0123456789abcdef would be loaded: nothing was changed\n",
            ),
            (reload(&[], true), "network file 0123456789abcdef: nothing is different\n"),
        ] {
            assert_eq!(text(&reload), expected);
        }
    }
}
