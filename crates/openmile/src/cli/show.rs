//! `openmile show`: tables for people, JSON for programs.

mod sessions;
mod tables;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use api::{Client, ShowWhat};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use miette::{IntoDiagnostic as _, miette};

use crate::runtime_dir::RuntimeDir;

/// What to show, of which node.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The table
    #[arg(value_parser = table())]
    what: ShowWhat,
    /// The node; may be left out where only one runs
    #[arg(long, env = "OPENMILE_NODE")]
    node: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Where running nodes keep their sockets and counters
    #[arg(long, default_value = RuntimeDir::DEFAULT)]
    runtime_dir: PathBuf,
}

/// Reads a table's name; the help has all of them.
fn table() -> impl TypedValueParser<Value = ShowWhat> {
    let names = ShowWhat::ALL.map(|what| PossibleValue::new(what.name()).help(what.meaning()));
    PossibleValuesParser::new(names).try_map(|name| {
        ShowWhat::ALL.into_iter().find(|what| what.name() == name).ok_or("there is no such table")
    })
}

/// Shows it.
pub(crate) fn run(args: &ShowArgs) -> miette::Result<()> {
    let dir = node_dir(&args.runtime_dir, args.node.as_deref())?;
    let client = Client::new(dir.api_socket());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let answer = runtime.block_on(client.show_json(args.what)).into_diagnostic()?;
    print(args.what, answer, args.json)
}

/// Prints a table, or its JSON.
pub(super) fn print(what: ShowWhat, answer: serde_json::Value, json: bool) -> miette::Result<()> {
    let text = if json { format!("{answer:#}\n") } else { tables::render(what, answer).into_diagnostic()? };
    write(&text)
}

/// Writes to standard output.
pub(super) fn write(text: &str) -> miette::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has read enough (`| head`).
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.into_diagnostic(),
    }
}

/// The node that is meant.
pub(super) fn node_dir(base: &Path, node: Option<&str>) -> miette::Result<RuntimeDir> {
    match node {
        Some(node) => named_node(base, node),
        None => only_node(base),
    }
}

/// The node of this name; where others run and it does not, they are named.
fn named_node(base: &Path, node: &str) -> miette::Result<RuntimeDir> {
    let others = nodes(base);
    if others.is_empty() || others.iter().any(|other| other == node) {
        return Ok(RuntimeDir::new(base, node));
    }
    Err(miette!("no node `{node}` runs here: there is {}", others.join(", ")))
}

/// The nodes whose API sockets are below `base`. One that may not be entered might have one.
fn nodes(base: &Path) -> Vec<String> {
    let mut nodes: Vec<String> = std::fs::read_dir(base)
        .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    nodes.retain(|node| RuntimeDir::new(base, node).api_socket().try_exists().unwrap_or(true));
    nodes.sort();
    nodes
}

/// The one node whose API socket is below `base`.
fn only_node(base: &Path) -> miette::Result<RuntimeDir> {
    let nodes = nodes(base);
    match &nodes[..] {
        [node] => Ok(RuntimeDir::new(base, node)),
        [] => Err(miette!("no openmile node runs here: there is no API socket below {}", base.display())),
        _ => Err(miette!("several nodes run here: say which, with --node {}", nodes.join(" or --node "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_node_is_meant() {
        let base = tempfile::tempdir().unwrap();
        let runs = |node: &str| {
            let dir = RuntimeDir::new(base.path(), node);
            dir.create().unwrap();
            std::fs::write(dir.api_socket(), "").unwrap();
        };
        let error = only_node(base.path()).unwrap_err().to_string();
        assert!(error.starts_with("no openmile node runs here"), "{error}");
        assert!(named_node(base.path(), "head1").is_ok(), "the client says that nothing listens");
        runs("head1");
        assert_eq!(only_node(base.path()).unwrap(), RuntimeDir::new(base.path(), "head1"));
        runs("core1");
        let error = only_node(base.path()).unwrap_err().to_string();
        assert!(error.ends_with("--node core1 or --node head1"), "{error}");
        let error = named_node(base.path(), "tail1").unwrap_err().to_string();
        assert_eq!(error, "no node `tail1` runs here: there is core1, head1");
        assert!(named_node(base.path(), "core1").is_ok());
    }
}
