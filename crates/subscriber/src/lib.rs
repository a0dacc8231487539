//! Subscribers: whose a circuit and a prefix are.
//!
//! On the straight line to the ISP, this crate says what `access_in` verifies (circuit and source prefix to subscriber
//! and ISP); on the way back, what `access_out` looks up (ISP and destination to circuit and Ethernet address). It does
//! no I/O: rows come in as text, what the network allows comes in as [`Facts`], and [`contract::Change`]s go out.
//!
//! A [`Directory`] is read from a CSV file ([`Directory::read`]) or from a [`Store`] ([`Directory::load`]). It is changed by
//! requests ([`Edit`]) that are tried first ([`Directory::plan`]), stored, and then done ([`Directory::apply`]). However
//! something comes in, it is checked by the same rules, and each problem says its field and what to write instead.

mod directory;
mod facts;
mod load;
mod record;
mod row;

pub use directory::{Action, Bound, Directory, Edit, EditError, Place, PlaceError, Plan, Previous, Service};
pub use facts::{Facts, Pool};
pub use load::{IMPORT_ERRORS, ImportErrors, Imported, Others, Summary, check};
pub use record::{Clock, Problem, Record, ServiceRecord, Store, Write};
pub use row::{HEADER, Row, RowError, RowPlace, csv_header, csv_line, parse_csv};
