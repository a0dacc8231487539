//! Subscribers: whose a circuit and a prefix are.
//!
//! On the straight line to the ISP, this crate says what `access_in` verifies (circuit and source prefix to subscriber
//! and ISP); on the way back, what `access_out` looks up (ISP and destination to circuit and Ethernet address). It does
//! no I/O: rows come in as text, what the network allows comes in as [`Facts`], and [`contract::Change`]s go out.
//!
//! [`Directory::load`] reads a node's subscribers from a CSV file, [`check`] reads the file for all nodes; both report
//! every problem of the file, each with its place and with what to write instead.

mod directory;
mod facts;
mod insert;
mod row;

pub use directory::{Bound, Directory, Place, Service};
pub use facts::{Facts, Pool};
pub use row::{HEADER, Row, RowError, RowPlace, parse_csv};

/// What a file of subscribers holds, if all of it is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Subscribers, by name.
    pub subscribers: usize,
    /// Services: rows.
    pub services: usize,
    /// Prefixes.
    pub prefixes: usize,
}

/// Checks a file of subscribers for all nodes of the network.
pub fn check(text: &str, facts: &Facts) -> Result<Summary, Vec<RowError>> {
    let directories = directory::load_all(text, facts)?;
    let mut summary = Summary::default();
    for directory in directories.values() {
        summary.subscribers += directory.subscribers().count();
        for service in directory.services() {
            summary.services += 1;
            summary.prefixes += service.prefixes.len();
        }
    }
    Ok(summary)
}
