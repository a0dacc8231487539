//! The thread that keeps the directory's file: control never waits for the disk.

use std::sync::mpsc::{Receiver, Sender, channel};

use subscriber::{Clock, Directory, Facts, ImportErrors, Others, Plan, Store};
use tokio::sync::mpsc;

use super::super::Input;
use super::store::{DirectoryFile, StoreError};
use crate::state_dir::StateDir;

/// Lines of an import's answer that there is always room for: the last ones.
const KEPT: usize = 8;

/// What is to be done.
pub(crate) enum Job {
    /// Store this.
    Commit(Plan),
    /// Read a file into the directory as it is stored.
    Import(Box<Import>),
    /// Read the directory again, since it could not be read.
    Load(Box<Facts>, Clock),
    /// Let go of a directory, which takes a while for a large one.
    Drop(Box<Directory>),
}

/// A file to read in.
pub(crate) struct Import {
    /// Its text.
    pub(crate) text: String,
    /// What becomes of subscribers that it does not name.
    pub(crate) others: Others,
    /// Whether nothing is to be stored.
    pub(crate) dry_run: bool,
    /// What the network allows.
    pub(crate) facts: Facts,
    /// What time it is.
    pub(crate) clock: Clock,
    /// Where progress is told, if somebody listens.
    pub(crate) progress: mpsc::Sender<api::ImportLine>,
}

/// What became of a job.
pub(crate) enum Done {
    /// Of [`Job::Commit`].
    Committed(Result<(), StoreError>),
    /// Of [`Job::Import`].
    Imported(Result<Imported, NotImported>),
    /// Of [`Job::Load`].
    Loaded(Result<Box<Directory>, StoreError>),
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Committed(_) => "Committed",
            Self::Imported(_) => "Imported",
            Self::Loaded(_) => "Loaded",
        })
    }
}

/// A file that was read in.
pub(crate) struct Imported {
    /// The directory from now on; `None` after a dry run.
    pub(crate) directory: Option<Box<Directory>>,
    /// What it did.
    pub(crate) done: api::ImportDone,
}

/// Why a file was not read in.
pub(crate) enum NotImported {
    /// It is wrong.
    Errors(ImportErrors),
    /// It could not be stored.
    Store(StoreError),
}

/// The thread, from outside.
#[derive(Clone)]
pub(crate) struct Keeper(Sender<Job>);

/// Opens the file and reads the directory; that much is done at once, since nothing can be done without it.
pub(crate) fn open(
    dir: StateDir,
    node: &str,
    facts: &Facts,
    clock: Clock,
) -> (DirectoryFile, Result<Directory, StoreError>) {
    let mut file = DirectoryFile::new(dir);
    let directory = load(&mut file, node, facts, clock);
    (file, directory)
}

fn load(file: &mut DirectoryFile, node: &str, facts: &Facts, clock: Clock) -> Result<Directory, StoreError> {
    let mut directory = Directory::new(node, facts);
    let next = file.load(&mut |id, record| {
        if let Err(problems) = directory.load(id, record, clock) {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            tracing::warn!("subscriber {} does not fit the network file: {first}", id.0);
        }
    })?;
    directory.reserve_ids(next);
    Ok(directory)
}

impl Keeper {
    /// Starts the thread. It ends when nobody can give it jobs any more.
    pub(crate) fn start(
        file: DirectoryFile,
        node: &str,
        inputs: mpsc::Sender<Input>,
    ) -> std::io::Result<Self> {
        let (jobs, taken) = channel();
        let node = node.to_owned();
        std::thread::Builder::new()
            .name("directory".into())
            .spawn(move || keep(file, &node, &taken, &inputs))?;
        Ok(Self::new(jobs))
    }

    /// A keeper that takes its jobs there.
    pub(crate) fn new(jobs: Sender<Job>) -> Self {
        Self(jobs)
    }

    /// Gives it a job.
    pub(crate) fn give(&self, job: Job) {
        // It is there for as long as control is.
        let _ = self.0.send(job);
    }
}

fn keep(mut file: DirectoryFile, node: &str, jobs: &Receiver<Job>, inputs: &mpsc::Sender<Input>) {
    while let Ok(job) = jobs.recv() {
        let done = match job {
            Job::Commit(plan) => Done::Committed(file.commit(plan.next, &mut plan.writes.into_iter())),
            Job::Import(job) => Done::Imported(import(&mut file, node, *job)),
            Job::Load(facts, clock) => Done::Loaded(load(&mut file, node, &facts, clock).map(Box::new)),
            Job::Drop(directory) => {
                drop(directory);
                continue;
            }
        };
        if inputs.blocking_send(Input::Directory(super::DirectoryInput::Done(done))).is_err() {
            return;
        }
    }
}

fn import(file: &mut DirectoryFile, node: &str, job: Import) -> Result<Imported, NotImported> {
    let Import { text, others, dry_run, facts, clock, progress } = job;
    let mut directory = load(file, node, &facts, clock).map_err(NotImported::Store)?;
    let mut told = |rows| {
        // Who is slow misses some.
        if progress.capacity() > KEPT {
            let _ = progress.try_send(api::ImportLine::Progress { rows });
        }
    };
    let imported = directory.import(&text, others, &facts, clock, &mut told).map_err(NotImported::Errors)?;
    drop(text);
    let done = api::ImportDone {
        rows: imported.rows,
        skipped: imported.skipped,
        subscribers: imported.touched.len() as u64,
        removed: imported.removed.len() as u64,
        dry_run,
    };
    if dry_run {
        return Ok(Imported { directory: None, done });
    }
    let _ = progress.try_send(api::ImportLine::Storing);
    let touched = imported.touched.iter().map(|id| (*id, directory.record(*id, clock)));
    let removed = imported.removed.iter().map(|id| (*id, None));
    file.commit(directory.next_id(), &mut touched.chain(removed)).map_err(NotImported::Store)?;
    Ok(Imported { directory: Some(Box::new(directory)), done })
}
