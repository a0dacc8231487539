//! The forwarder process.

use crate::runtime_dir::RuntimeDir;

/// Runs the forwarder process of a node until it is told to stop.
pub(crate) fn run(_dir: &RuntimeDir) -> miette::Result<()> {
    Ok(())
}
