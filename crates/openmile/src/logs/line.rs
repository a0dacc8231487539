//! How a line is written.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{Format, parts};

/// Lines of one process.
pub(super) struct Lines {
    pub(super) format: Format,
    pub(super) node: String,
    pub(super) process: &'static str,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let (level, part) = (*event.metadata().level(), parts::of(event.metadata().target()));
        match self.format {
            Format::Json => self.json(&mut out, level, part, said),
            Format::Text => {
                SystemTime.format_time(&mut out)?;
                self.level(&mut out, level)?;
                self.text(&mut out, part, &said)
            }
            Format::Journal => {
                write!(out, "<{}>", priority(level))?;
                self.text(&mut out, part, &said)
            }
        }
    }
}

impl Lines {
    fn level(&self, out: &mut Writer<'_>, level: Level) -> fmt::Result {
        if !out.has_ansi_escapes() {
            return write!(out, " {level:>5} ");
        }
        let color = match level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            _ => 34,
        };
        write!(out, " \x1b[{color}m{level:>5}\x1b[0m ")
    }

    fn text(&self, out: &mut Writer<'_>, part: &str, said: &Said) -> fmt::Result {
        write!(out, "{} {}", self.node, self.process)?;
        if part != self.process {
            write!(out, " {part}")?;
        }
        // One line, whatever a peer or a file made of it.
        writeln!(out, ": {}{}", said.message.replace('\n', " "), said.pairs().replace('\n', " "))
    }

    fn json(&self, out: &mut Writer<'_>, level: Level, part: &str, said: Said) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let object = serde_json::json!({
            "time": time,
            "level": level.as_str().to_ascii_lowercase(),
            "node": self.node,
            "process": self.process,
            "part": part,
            "message": said.message,
            "fields": said.fields,
        });
        writeln!(out, "{object}")
    }
}

/// A level for systemd (sd-daemon(3)).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Said {
    fn pairs(&self) -> String {
        self.fields.iter().fold(String::new(), |mut text, (name, value)| {
            // Into a string, which has room.
            let _ = write!(text, " {name}={value}");
            text
        })
    }

    fn field(&mut self, field: &Field, value: serde_json::Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.field(field, format!("{value:?}").into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.field(field, value.into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Lines { format, node: "head1".to_owned(), process: "control" })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "openmile_ldp::session", rows = 3_u64, "session with\n10.0.0.1 is down");
        });
        let octets = paper.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn each_line_names_node_process_and_part() {
        let text = written(Format::Text);
        assert!(
            text.ends_with("Z  WARN head1 control ldp: session with 10.0.0.1 is down rows=3\n"),
            "{text}"
        );
        assert_eq!(written(Format::Journal), "<4>head1 control ldp: session with 10.0.0.1 is down rows=3\n");
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(json["part"], "ldp");
        assert_eq!(json["fields"]["rows"], 3);
        assert_eq!(json["message"], "session with\n10.0.0.1 is down");
        assert!(json["time"].as_str().unwrap().ends_with('Z') && json["level"] == "warn");
    }
}
