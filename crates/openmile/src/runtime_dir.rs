//! Where a running node keeps its sockets, its counters and its namespace for ports.

use std::path::{Path, PathBuf};

/// A node's runtime directory: `/run/openmile/NODE` unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeDir(PathBuf);

impl RuntimeDir {
    /// Where all nodes' runtime directories are, unless told otherwise.
    pub(crate) const DEFAULT: &str = "/run/openmile";

    /// The directory of this node below `base`.
    pub(crate) fn new(base: &Path, node: &str) -> Self {
        Self(base.join(node))
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Locked by the supervisor for as long as the node runs.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Control's API.
    pub(crate) fn api_socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }

    /// The forwarder's end of the channel to control.
    pub(crate) fn forwarder_socket(&self) -> PathBuf {
        self.0.join("forwarder.sock")
    }

    /// The counters' memory.
    pub(crate) fn counters(&self) -> PathBuf {
        self.0.join("counters")
    }

    /// The namespace that access and handoff ports are kept in.
    pub(crate) fn ports_namespace(&self) -> PathBuf {
        self.0.join("ports.netns")
    }
}
