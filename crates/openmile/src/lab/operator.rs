//! What an operator does while the network runs: `openmile` commands.

use miette::{IntoDiagnostic, miette};

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
