//! The parts of the program that have log levels of their own.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// A part: its name and the modules that it consists of.
#[derive(Debug)]
struct Part {
    name: &'static str,
    modules: &'static [&'static str],
}

/// What is in no module of another part, of this program.
const CONTROL: usize = 1;
/// Not of this program.
const LIBRARIES: usize = PARTS.len() - 1;
/// Libraries say little of use to an operator.
const LIBRARIES_LEVEL: LevelFilter = LevelFilter::WARN;

/// All parts.
const PARTS: [Part; 10] = [
    Part {
        name: "supervisor",
        modules: &["openmile::supervisor", "openmile::logs", "openmile::runtime_dir"],
    },
    Part { name: "control", modules: &["openmile"] },
    Part {
        name: "forwarder",
        modules: &["openmile::forwarder", "openmile::counters", "openmile_forward", "openmile_port"],
    },
    Part {
        name: "ldp",
        modules: &[
            "openmile::control::ldp_io",
            "openmile::control::ldp_socket",
            "openmile::control::node::fecs",
            "openmile_ldp",
        ],
    },
    Part { name: "neighbor", modules: &["openmile::control::handoffs", "openmile_neighbor"] },
    Part {
        name: "subscriber",
        modules: &[
            "openmile::control::subscribers",
            "openmile::control::directory",
            "openmile::site",
            "openmile_subscriber",
        ],
    },
    Part {
        name: "kernel",
        modules: &["openmile::control::kernel", "openmile::control::addresses", "openmile::netlink"],
    },
    Part { name: "reload", modules: &["openmile::control::reload", "openmile_network"] },
    Part {
        name: "api",
        modules: &["openmile::control::api_server", "openmile::control::events", "openmile_api"],
    },
    Part { name: "libraries", modules: &[] },
];

/// The part of a module: by prefix, as [`Targets`] does.
pub(super) fn of(target: &str) -> &'static str {
    let longest = |part: &Part| {
        part.modules.iter().filter(|module| target.starts_with(**module)).map(|module| module.len()).max()
    };
    let found = PARTS.iter().filter_map(|part| Some((longest(part)?, part.name))).max();
    found.map_or(PARTS[LIBRARIES].name, |(_, name)| name)
}

/// A level for each part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Levels([LevelFilter; PARTS.len()]);

/// Levels that make no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LevelsError {
    /// No level.
    #[error("there is no level `{0}`; there are off, error, warn, info, debug, trace")]
    Level(String),
    /// No part.
    #[error("there is no part `{0}`; there are {parts}", parts = names())]
    Part(String),
}

fn names() -> String {
    PARTS.iter().map(|part| part.name).collect::<Vec<_>>().join(", ")
}

impl Default for Levels {
    fn default() -> Self {
        let mut levels = [LevelFilter::INFO; PARTS.len()];
        levels[LIBRARIES] = LIBRARIES_LEVEL;
        Self(levels)
    }
}

impl Levels {
    /// As a filter.
    pub(super) fn targets(&self) -> Targets {
        let modules = PARTS
            .iter()
            .zip(self.0)
            .flat_map(|(part, level)| part.modules.iter().map(move |module| ((*module).to_owned(), level)));
        Targets::new().with_default(self.0[LIBRARIES]).with_targets(modules)
    }
}

impl FromStr for Levels {
    type Err = LevelsError;

    /// What comes later in the list overrides what came before. A level without a part is for all but the libraries.
    fn from_str(text: &str) -> Result<Self, LevelsError> {
        let mut levels = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                None => {
                    let level = level(word)?;
                    levels.0[..LIBRARIES].fill(level);
                }
                Some((part, word)) => {
                    let found = PARTS.iter().zip(&mut levels.0).find(|(known, _)| known.name == part.trim());
                    let (_, place) = found.ok_or_else(|| LevelsError::Part(part.trim().to_owned()))?;
                    *place = level(word.trim())?;
                }
            }
        }
        Ok(levels)
    }
}

fn level(word: &str) -> Result<LevelFilter, LevelsError> {
    match word.to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(LevelsError::Level(word.to_owned())),
    }
}

impl fmt::Display for Levels {
    /// As [`FromStr`] reads it, as short as may be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0[CONTROL])?;
        for (at, (part, level)) in PARTS.iter().zip(self.0).enumerate() {
            let expected = if at == LIBRARIES { LIBRARIES_LEVEL } else { self.0[CONTROL] };
            if level != expected {
                write!(f, ",{}={level}", part.name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_written_and_what_is_wrong_is_said_with_what_there_is() {
        for (text, written) in [
            ("", "info"),
            ("debug", "debug"),
            ("info,ldp=trace", "info,ldp=trace"),
            ("ldp=debug, warn , api=off", "warn,api=off"),
            ("WARN,libraries=debug", "warn,libraries=debug"),
        ] {
            let levels: Levels = text.parse().unwrap();
            assert_eq!(levels.to_string(), written, "{text}");
            assert_eq!(written.parse(), Ok(levels));
        }
        let error = |text: &str| text.parse::<Levels>().unwrap_err().to_string();
        assert!(error("loud").contains("`loud`; there are off, error, warn"));
        assert!(error("ldpp=info").contains("`ldpp`; there are supervisor, control, forwarder, ldp"));
        assert!(error("ldp=loud").contains("level `loud`"));
    }

    #[test]
    fn a_module_is_of_the_part_that_names_it_most_exactly() {
        for (module, part) in [
            ("openmile::control::node", "control"),
            ("openmile::control::ldp_io", "ldp"),
            ("openmile::supervisor::child", "supervisor"),
            ("openmile::forwarder::hub", "forwarder"),
            ("openmile_neighbor::access", "neighbor"),
            ("openmile_wire", "control"),
            ("hyper::client", "libraries"),
        ] {
            assert_eq!(of(module), part, "{module}");
            let one: Levels = format!("off,libraries=off,{part}=info").parse().unwrap();
            assert!(one.targets().would_enable(module, &tracing::Level::INFO), "{module}");
            let others: Levels = format!("trace,libraries=trace,{part}=off").parse().unwrap();
            assert!(!others.targets().would_enable(module, &tracing::Level::ERROR), "{module}");
        }
    }

    #[test]
    fn the_command_line_names_all_parts() {
        use clap::Args;
        let command = super::super::LogArgs::augment_args(clap::Command::new("run"));
        let help =
            command.get_arguments().find(|a| a.get_id() == "log").unwrap().get_help().unwrap().to_string();
        assert!(help.contains(&names()), "{help}");
    }
}
