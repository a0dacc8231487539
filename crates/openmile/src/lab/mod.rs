//! The lab: a whole network in namespaces, from one command.

/// What `openmile lab` is asked to do.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LabArgs {
    /// Stay up after the checks, until Ctrl-C
    #[arg(long)]
    keep: bool,
    #[command(subcommand)]
    command: Option<LabCommand>,
}

/// What can be done in a lab that was started with `--keep`.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum LabCommand {
    /// Run a command in the namespace of a node, a subscriber or an ISP
    Exec {
        /// A node, subscriber or ISP of the lab
        place: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// Write the frames of a node's port to a file that Wireshark opens, until Ctrl-C
    Capture {
        /// The node
        node: String,
        /// The port
        port: String,
        /// The file to write
        #[arg(short, long)]
        output: std::path::PathBuf,
    },
}

/// Runs the lab, or a command in it.
pub(crate) fn run(_args: LabArgs) -> miette::Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::SUCCESS)
}
