//! The control process.

use std::path::Path;

use crate::runtime_dir::RuntimeDir;

/// Runs the control process of a node until it is told to stop.
pub(crate) fn run(_network: &Path, _node: &str, _dir: &RuntimeDir) -> miette::Result<()> {
    Ok(())
}
