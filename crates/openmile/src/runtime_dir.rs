//! Where a running node keeps its sockets, its counters and its namespace for ports.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::label_memory::LabelMemory;

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

    /// Makes the directory, for this user and group: who may use the API must be able to get in here. What it is in may be
    /// entered by all.
    pub(crate) fn create(&self) -> std::io::Result<()> {
        if let Some(base) = self.0.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(base)?;
        }
        match DirBuilder::new().mode(0o750).create(&self.0) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && self.0.is_dir() => Ok(()),
            made => made,
        }
    }

    /// Removes what a node leaves here when it is stopped on purpose: everything but a namespace that is still mounted, and
    /// labels in doubt (and then the directory stays too).
    pub(crate) fn remove(&self) {
        let files =
            [self.api_socket(), self.forwarder_socket(), self.counters(), self.devices(), self.lock()];
        let memory = self.label_memory().ok().flatten();
        let in_doubt = memory.is_some_and(|memory| memory.is_in_doubt(clock::since_boot()));
        let labels = (!in_doubt).then(|| self.labels());
        // What is to replace one of them and could not be written whole.
        let new = [self.counters(), self.devices()].map(|file| file.with_extension("new"));
        for file in new.into_iter().chain(files).chain(labels) {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    tracing::warn!("cannot remove {}: {error}", file.display());
                }
                _ => {}
            }
        }
        if in_doubt {
            return;
        }
        // Not empty: something that is not ours, or a namespace that holds devices.
        if let Err(error) = std::fs::remove_dir(&self.0) {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }

    /// The directory that this one, and those of other nodes, are in.
    pub(crate) fn base(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("."))
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Locked by the supervisor for as long as the node runs.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// See [`LabelMemory`].
    fn labels(&self) -> PathBuf {
        self.0.join("labels")
    }

    /// What the starts before this one left behind; `None`: none was here, or the last was ended in order.
    pub(crate) fn label_memory(&self) -> std::io::Result<Option<LabelMemory>> {
        match std::fs::read_to_string(self.labels()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // Cut off by a power failure: somebody was here.
            text => Ok(Some(text?.parse().unwrap_or_default())),
        }
    }

    /// Labels are given out from now on.
    pub(crate) fn remember_labels(&self, memory: &LabelMemory) -> std::io::Result<()> {
        std::fs::write(self.labels(), memory.to_string())
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

    /// How the devices in that namespace were found, so that they are given back as they were.
    pub(crate) fn devices(&self) -> PathBuf {
        self.0.join("devices")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_two_starts_have_the_same_number_until_a_stop_in_order() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::new(base.path(), "n");
        dir.create().unwrap();
        assert_eq!(dir.label_memory().unwrap(), None);
        let memory = LabelMemory { number: 100, doubt_until: Duration::ZERO };
        dir.remember_labels(&memory).unwrap();
        assert_eq!(dir.label_memory().unwrap(), Some(memory));
        std::fs::write(dir.labels(), "").unwrap();
        assert_eq!(dir.label_memory().unwrap(), Some(LabelMemory::default()), "cut off by a power failure");
        dir.remove();
        dir.create().unwrap();
        assert_eq!(dir.label_memory().unwrap(), None);
        let memory = LabelMemory { number: 100, doubt_until: clock::since_boot() + Duration::from_secs(60) };
        dir.remember_labels(&memory).unwrap();
        dir.remove();
        assert_eq!(dir.label_memory().unwrap().map(|memory| memory.number), Some(100), "still in doubt");
    }
}
