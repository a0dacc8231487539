//! What an operator does while the network runs: `openmile` commands, and edits of the network file.

use std::path::Path;

use miette::{IntoDiagnostic, WrapErr, miette};

use super::plan::Plan;

/// What a command said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Whether its exit status was 0.
    pub(super) success: bool,
    /// Everything that it printed.
    pub(super) text: String,
}

/// Runs `openmile` with these arguments.
pub(super) async fn openmile(arguments: &[&str]) -> miette::Result<Said> {
    let mut command = tokio::process::Command::new(super::THIS_PROGRAM);
    let done = command.args(arguments).stdin(std::process::Stdio::null()).output().await.into_diagnostic()?;
    let text = [done.stdout, done.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned());
    Ok(Said { success: done.status.success(), text: text.concat() })
}

/// Like [`openmile`], where anything but success is an error.
pub(super) async fn done(arguments: &[&str]) -> miette::Result<String> {
    match openmile(arguments).await? {
        Said { success: true, text } => Ok(text),
        said => Err(miette!("`openmile {}`: {}", arguments.join(" "), said.text.trim())),
    }
}

/// The lab's network file, which all its nodes read.
#[derive(Clone, Copy, Debug)]
pub(super) struct NetworkFile<'a>(pub(super) &'a Path);

impl NetworkFile<'_> {
    /// The text as it is.
    pub(super) fn text(&self) -> miette::Result<String> {
        std::fs::read_to_string(self.0).into_diagnostic()
    }

    /// Writes another text.
    pub(super) fn write(&self, text: &str) -> miette::Result<()> {
        std::fs::write(self.0, text).into_diagnostic().wrap_err("the lab's network file")
    }

    /// Writes another text and reloads it on every node.
    pub(super) async fn load(&self, plan: &Plan, text: &str) -> miette::Result<()> {
        self.write(text)?;
        for node in plan.network.nodes() {
            done(&["reload", "--node", node.name.as_str()]).await?;
        }
        Ok(())
    }
}

/// A text with something in it replaced that must be there once at least.
pub(super) fn replaced(text: &str, what: &str, by: &str) -> miette::Result<String> {
    match text.contains(what) {
        true => Ok(text.replacen(what, by, 1)),
        false => Err(miette!("the lab's network file has no `{what}`")),
    }
}
