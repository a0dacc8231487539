//! Going on with another network file.

use serde::{Deserialize, Serialize};

/// How `POST /v1/reload` is asked, as a query: `?dry_run=true`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadOptions {
    /// Whether the node only says what would be different.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a reload did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Whether the node goes on with the file.
    pub applied: bool,
    /// The BLAKE3 hash of the file, in hexadecimal digits.
    pub digest: String,
    /// What is different, a line each.
    pub changes: Vec<String>,
    /// What works and is probably not meant, as `openmile check` prints it; mostly empty.
    pub warnings: String,
}
