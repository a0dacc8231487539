//! Logs of every process of a node: to stderr, which the children share with the supervisor.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Says what is logged, as in `OPENMILE_LOG=info,openmile::forwarder=debug`.
const VARIABLE: &str = "OPENMILE_LOG";

/// Starts logging to stderr: `info` and above, unless the environment variable `OPENMILE_LOG` says otherwise. What comes
/// after the first call in a process changes nothing.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .finish();
    // An error says that logs were started before.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
