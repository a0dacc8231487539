//! `openmile show`: tables for people, JSON for programs.

/// What to show, of which node.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ShowArgs {}

/// Shows it.
pub(crate) fn run(_args: &ShowArgs) -> miette::Result<()> {
    Ok(())
}
