//! One daemon per node: the lock on its runtime directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{FdFlags, fcntl_setfd};

/// How long the last processes of a killed supervisor may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// The lock of a node. The supervisor's children inherit it, so that it is free only when the last process of the node
/// has ended, however it ended.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum LockError {
    /// Another supervisor has it.
    #[error("node {node} is already running (pid {pid})")]
    #[diagnostic(help("stop that one first, or give this one another --runtime-dir"))]
    Running {
        /// The node.
        node: String,
        /// The other supervisor.
        pid: String,
    },
    /// The file cannot be locked at all.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's error.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(path: &Path, node: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.display().to_string(), source };
        loop {
            let mut file = options().open(path).map_err(failed)?;
            if !locked(&file).map_err(failed)? {
                return Err(LockError::Running { node: node.to_owned(), pid: holder(&file) });
            }
            // Who had it before may have removed the file just now: then this lock is one on nothing.
            let named = std::fs::metadata(path).map(|named| (named.dev(), named.ino())).ok();
            let held = file.metadata().map_err(failed)?;
            if named != Some((held.dev(), held.ino())) {
                continue;
            }
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            writeln!(file, "{}", std::process::id()).map_err(failed)?;
            fcntl_setfd(&file, FdFlags::empty()).map_err(|e| failed(e.into()))?;
            return Ok(Self { _file: file });
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Whether the lock was taken. A supervisor that is alive keeps it; what is left of a dead one gets some time to end.
fn locked(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Err(error) => return Err(error.into()),
    }
    let alive = |pid: &str| Path::new("/proc").join(pid).exists();
    if alive(&holder(file)) {
        return Ok(false);
    }
    let waiter = file.try_clone()?;
    let (done, waited) = std::sync::mpsc::channel();
    // The thread, and with it a lock that comes too late, ends with this process.
    std::thread::spawn(move || done.send(flock(waiter.as_fd(), FlockOperation::LockExclusive)));
    Ok(matches!(waited.recv_timeout(GRACE), Ok(Ok(()))))
}

/// Who wrote its process id into the file.
fn holder(mut file: &File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    match text.trim() {
        pid if read.is_ok() && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path, "head1").unwrap();
        let second = Lock::take(&path, "head1").unwrap_err();
        assert_eq!(second.to_string(), format!("node head1 is already running (pid {})", std::process::id()));
        drop(first);
        Lock::take(&path, "head1").unwrap();
    }

    #[test]
    fn a_lock_whose_owner_is_dead_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let left_over = File::create(&path).unwrap();
        flock(&left_over, FlockOperation::LockExclusive).unwrap();
        // A pid that no process can have: the lock is held by a child that has not ended yet.
        std::fs::write(&path, "4294967295\n").unwrap();
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || Lock::take(&path, "head1").map(drop)
        });
        drop(left_over);
        waiting.join().unwrap().unwrap();
    }
}
