//! The counters' memory as a file: written by the forwarder, read by control and by whoever else may.
//!
//! The file is in the node's runtime directory and outlives either process, so that a restart of one, or of both after
//! a crash, loses nothing. It goes when the node is stopped on purpose: the counters count since then.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use contract::counters::{LayoutError, Memory, memory_len};
use memmap2::{MmapOptions, MmapRaw};

/// Why there are no counters.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountersError {
    /// The file cannot be made or mapped.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// Laid out by another version.
    #[error("{path}: {source}")]
    Layout {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: LayoutError,
    },
}

/// A mapped counters' file.
pub(crate) struct CountersFile {
    map: MmapRaw,
}

impl CountersFile {
    /// The forwarder's: takes over what is there for as many workers, or else makes a new file. Only one process does
    /// this at a time (the supervisor's lock sees to it).
    pub(crate) fn create(path: &Path, workers: usize) -> Result<Self, CountersError> {
        match Self::adopt(path, workers) {
            Ok(file) => return Ok(file),
            Err(CountersError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("{error}: counting starts anew"),
        }
        let failed = |source| CountersError::Io { path: path.display().to_string(), source };
        // Laid out under another name and then moved, so that a reader never sees half of it, and one that still has
        // the old file mapped keeps that whole.
        let new = path.with_extension("new");
        let file = options().create(true).truncate(true).write(true).open(&new).map_err(failed)?;
        file.set_len(memory_len(workers) as u64).map_err(failed)?;
        reserve(&file).map_err(failed)?;
        let file = Self { map: MmapRaw::map_raw(&file).map_err(failed)? };
        file.laid_out(path, workers)?;
        std::fs::rename(&new, path).map_err(failed)?;
        Ok(file)
    }

    /// A reader's. The forwarder may replace the file when it starts: open it again after the forwarder was restarted.
    pub(crate) fn open(path: &Path) -> Result<Self, CountersError> {
        let failed = |source| CountersError::Io { path: path.display().to_string(), source };
        let file = File::open(path).map_err(failed)?;
        let file = Self { map: MmapOptions::new().map_raw_read_only(&file).map_err(failed)? };
        Memory::open(file.words())
            .map_err(|source| CountersError::Layout { path: path.display().to_string(), source })?;
        Ok(file)
    }

    /// The counters.
    pub(crate) fn memory(&self) -> Result<Memory<'_>, LayoutError> {
        Memory::open(self.words())
    }

    /// The counters for as long as the process runs: the mapping is never undone.
    pub(crate) fn leak(self) -> Result<Memory<'static>, LayoutError> {
        let file: &'static Self = Box::leak(Box::new(self));
        file.memory()
    }

    fn adopt(path: &Path, workers: usize) -> Result<Self, CountersError> {
        let failed = |source| CountersError::Io { path: path.display().to_string(), source };
        let file = options().write(true).open(path).map_err(failed)?;
        reserve(&file).map_err(failed)?;
        let file = Self { map: MmapRaw::map_raw(&file).map_err(failed)? };
        file.laid_out(path, workers)?;
        Ok(file)
    }

    fn laid_out(&self, path: &Path, workers: usize) -> Result<(), CountersError> {
        Memory::create(self.words(), workers)
            .map_err(|source| CountersError::Layout { path: path.display().to_string(), source })?;
        Ok(())
    }

    #[expect(unsafe_code, reason = "memory shared between processes has no safe type")]
    fn words(&self) -> &[AtomicU64] {
        let words = self.map.as_mut_ptr().cast_const().cast::<AtomicU64>();
        // SAFETY: a mapping is aligned to pages and is as long as `len` says for as long as `self` lives. All access, in
        // this and in every other process, is by atomics of this size. Stores into a read-only mapping would fault:
        // `Memory` stores only in `create` (mapped writable), and in `open` not at all once the magic is there. The
        // file is never cut (only replaced), and its directory is writable for this user only.
        unsafe { std::slice::from_raw_parts(words, self.map.len() / size_of::<AtomicU64>()) }
    }
}

/// Takes the file's memory now: a store into a page that the file system has no room for would be the end of the process.
fn reserve(file: &File) -> io::Result<()> {
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
        // A file system that cannot say. There is no more to be done.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        done => Ok(done?),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use contract::Asn;
    use contract::counters::{Point, Tally, Traffic};

    use super::*;

    #[test]
    fn counts_survive_the_writer_and_are_seen_by_a_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        assert!(CountersFile::open(&path).is_err());
        for restart in 1..=2u64 {
            let file = CountersFile::create(&path, 1).unwrap();
            let memory = file.memory().unwrap();
            let slot = memory.assign(Asn(64501));
            memory.worker(0).unwrap().count(slot, Point::HeadendToIsp, Tally::Sent, 1, 100);
            let reader = CountersFile::open(&path).unwrap();
            let seen = reader.memory().unwrap().traffic(slot, Point::HeadendToIsp);
            assert_eq!(seen, Traffic { packets: restart, octets: 100 * restart });
        }
    }

    #[test]
    fn no_page_of_the_file_is_missing() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        CountersFile::create(&path, 1).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert!(file.blocks() * 512 >= file.len(), "{} blocks for {} octets", file.blocks(), file.len());
    }

    #[test]
    fn a_file_of_another_layout_is_replaced_and_its_reader_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        for foreign in [&b"something else"[..], &[0xee; 100_000]] {
            std::fs::write(&path, foreign).unwrap();
            assert!(matches!(CountersFile::open(&path), Err(CountersError::Layout { .. })));
            CountersFile::create(&path, 1).unwrap();
            assert_eq!(CountersFile::open(&path).unwrap().memory().unwrap().workers(), 1);
        }
        let old = CountersFile::open(&path).unwrap();
        CountersFile::create(&path, 2).unwrap();
        assert_eq!(old.memory().unwrap().workers(), 1);
        assert_eq!(CountersFile::open(&path).unwrap().memory().unwrap().workers(), 2);
    }
}
