//! Where a node keeps what must outlive it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A node's state directory: `/var/lib/openmile/NODE` unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    /// Where all nodes' state directories are, unless told otherwise.
    pub(crate) const DEFAULT: &str = "/var/lib/openmile";

    /// The directory of this node below `base`.
    pub(crate) fn new(base: &Path, node: &str) -> Self {
        Self(base.join(node))
    }

    /// Makes the directory: subscribers' data is for this user and its group only.
    pub(crate) fn create(&self) -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o750).create(&self.0)
    }

    /// The directory that this one, and those of other nodes, are in.
    pub(crate) fn base(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("."))
    }

    /// The subscribers.
    pub(crate) fn subscribers(&self) -> PathBuf {
        self.0.join("subscribers.redb")
    }
}
