//! Logs of every process of a node: to stderr, which the children share with the supervisor.
//!
//! A line says when (systemd's journal knows itself), how grave, which node, which process, which part, and what. Levels are
//! set for each part, by `--log` or `OPENMILE_LOG`: `info,ldp=debug`.

mod line;
mod parts;

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;

use line::Lines;
pub(crate) use parts::Levels;

/// What is logged, as `--log`.
pub(crate) const LEVELS: &str = "OPENMILE_LOG";
/// How, as `--log-format`.
pub(crate) const FORMAT: &str = "OPENMILE_LOG_FORMAT";

/// What is logged and how.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct LogArgs {
    /// What to log: a level for all parts, levels for single ones, or both (`info,ldp=debug`). Levels: off, error, warn,
    /// info, debug, trace. Parts: supervisor, control, forwarder, ldp, neighbor, subscriber, kernel, reload, api, libraries
    #[arg(long, value_name = "LEVEL|PART=LEVEL,…", env = LEVELS, default_value_t)]
    log: Levels,
    /// How to write a line [default: journal under systemd, else text]
    #[arg(long, value_enum, env = FORMAT)]
    log_format: Option<Format>,
}

/// How a line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: time, level, node, process, part, message
    Text,
    /// An object with the same and the message's fields
    Json,
    /// As text without time and level, which the journal shows; the level as systemd wants it (sd-daemon(3))
    Journal,
}

/// The format of this process's log, once there is one.
static STARTED: OnceLock<Format> = OnceLock::new();

impl LogArgs {
    /// Starts the log of a process of a node, and logs panics from now on. What comes after the first call in a process
    /// changes nothing.
    pub(crate) fn start(&self, node: &str, process: &'static str) {
        let format = self.format();
        if STARTED.set(format).is_err() {
            return;
        }
        let ansi = format == Format::Text && std::io::stderr().is_terminal();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(ansi)
            .event_format(Lines { format, node: node.to_owned(), process });
        let subscriber = tracing_subscriber::registry().with(self.log.targets()).with(layer);
        // An error says that another was there before, which only a test does.
        let _ = tracing::subscriber::set_global_default(subscriber);
        std::panic::set_hook(Box::new(panicked));
    }

    /// The variables by which a child logs as its parent does.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let format = match self.format() {
            Format::Text => "text",
            Format::Json => "json",
            Format::Journal => "journal",
        };
        [(LEVELS, self.log.to_string()), (FORMAT, format.to_owned())]
    }

    fn format(&self) -> Format {
        self.log_format.unwrap_or_else(|| if stderr_is_journal() { Format::Journal } else { Format::Text })
    }
}

/// Whether whoever reads the log reads line by line: what a person is shown over several lines is then logged.
pub(crate) fn by_lines() -> bool {
    STARTED.get().is_some_and(|format| *format != Format::Text)
}

/// Whether systemd reads stderr: the variable names the file that it gave us (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let stderr = || std::fs::metadata(Path::new("/proc/self/fd/2")).ok();
    std::env::var("JOURNAL_STREAM")
        .ok()
        .is_some_and(|stream| stderr().is_some_and(|file| stream == format!("{}:{}", file.dev(), file.ino())))
}

fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let why = info.payload_as_str().unwrap_or("it does not say why").replace('\n', " ");
    tracing::error!("thread {} panicked at {place}: {why}", thread.name().unwrap_or("?"));
}
