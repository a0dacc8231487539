//! The directory's file: redb, an embedded store with transactions and checksums.
//!
//! Two tables: `subscribers` has a [`Record`] (postcard) for each number, `meta` the schema's version and the next number. A
//! file that cannot be read is left as it is.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use contract::SubscriberId;
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use subscriber::{Record, Store, Write};

use crate::state_dir::StateDir;

const SUBSCRIBERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("subscribers");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// What the records are like; a version that older programs cannot read gets a new number.
const SCHEMA: u64 = 1;
/// Octets of the file that are kept in memory: each record is read once, at start.
const CACHE: usize = 32 << 20;

/// The store of one node.
pub(crate) struct DirectoryFile {
    dir: StateDir,
    path: PathBuf,
    /// Open, unless something went wrong with it since.
    database: Option<Database>,
}

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The directory or the file cannot be made.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The store refused.
    #[error("{path}: {error}")]
    Database {
        /// Which.
        path: String,
        /// Why.
        error: Box<redb::Error>,
    },
    /// The file makes no sense.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// Which.
        path: String,
        /// How that was found.
        why: String,
    },
    /// It was written by another version.
    #[error("{path} has schema {found}, and this version of openmile reads schema {SCHEMA}")]
    Schema {
        /// Which.
        path: String,
        /// What it has.
        found: u64,
    },
}

impl DirectoryFile {
    /// The file of this node; nothing is opened yet.
    pub(crate) fn new(dir: StateDir) -> Self {
        Self { path: dir.subscribers(), dir, database: None }
    }

    /// Does something with the file, opened if it is not; after an error it is closed, and opened anew the next time. A
    /// store that panics over what it reads has found damage.
    fn with<T>(&mut self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open()?,
        };
        match guarded(|| work(&database)) {
            Some(Ok(done)) => {
                self.database = Some(database);
                Ok(done)
            }
            Some(Err(error)) => Err(self.wrong(error)),
            None => Err(self.damaged("the store gave up")),
        }
    }

    fn open(&self) -> Result<Database, StoreError> {
        let io = |path: &Path, error| StoreError::Io { path: path.display().to_string(), error };
        self.dir.create().map_err(|error| io(&self.path, error))?;
        if !self.path.try_exists().map_err(|error| io(&self.path, error))? {
            self.create()?;
        }
        let open = || builder().set_check_integrity_on_open(true).open(&self.path);
        match guarded(open) {
            Some(Ok(database)) => Ok(database),
            Some(Err(error)) => Err(self.wrong(error.into())),
            None => Err(self.damaged("the store gave up")),
        }
    }

    /// Makes an empty file under another name, so that what has the right name is whole.
    fn create(&self) -> Result<(), StoreError> {
        let new = self.path.with_extension("new");
        let io = |error| StoreError::Io { path: new.display().to_string(), error };
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o640).open(&new);
        let file = file.map_err(io)?;
        let made = || -> Result<(), redb::Error> {
            let database = builder().create_with_backend(FileBackend::new(file)?)?;
            let transaction = database.begin_write()?;
            transaction.open_table(SUBSCRIBERS)?;
            finish(transaction, SubscriberId(0))
        };
        match guarded(made) {
            Some(Ok(())) => std::fs::rename(&new, &self.path).map_err(io),
            Some(Err(error)) => Err(self.wrong(error)),
            None => Err(self.damaged("the store gave up")),
        }
    }

    fn wrong(&self, error: redb::Error) -> StoreError {
        let path = self.path.display().to_string();
        match error {
            redb::Error::Corrupted(why) => StoreError::Damaged { path, why },
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                StoreError::Damaged { path, why: error.to_string() }
            }
            redb::Error::Io(error) => StoreError::Io { path, error },
            other => StoreError::Database { path, error: other.into() },
        }
    }

    fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged { path: self.path.display().to_string(), why: why.to_owned() }
    }
}

impl Store for DirectoryFile {
    type Error = StoreError;

    fn load(&mut self, each: &mut dyn FnMut(SubscriberId, Record)) -> Result<SubscriberId, StoreError> {
        let opened = match self.database.take() {
            Some(database) => Ok(database),
            None => self.open(),
        };
        let found = match opened {
            Ok(database) => {
                let found = guarded(|| read(&database, each));
                self.database = Some(database);
                found
            }
            // A disk that takes nothing more may still be read.
            Err(error @ (StoreError::Damaged { .. } | StoreError::Schema { .. })) => return Err(error),
            Err(error) => match builder().open_read_only(&self.path) {
                Ok(database) => {
                    tracing::warn!("the directory is read, but cannot be written: {error}");
                    guarded(|| read(&database, each))
                }
                Err(_) => return Err(error),
            },
        };
        let path = self.path.display().to_string();
        let error = match found {
            Some(Ok(Found::All(next))) => return Ok(SubscriberId(next)),
            Some(Ok(Found::Schema(found))) => StoreError::Schema { path, found },
            Some(Ok(Found::Unreadable(id, error))) => self.damaged(&format!("subscriber {id}: {error}")),
            Some(Err(error)) => self.wrong(error),
            None => self.damaged("the store gave up"),
        };
        self.database = None;
        Err(error)
    }

    fn commit(
        &mut self,
        next: SubscriberId,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(SUBSCRIBERS)?;
                let mut octets = Vec::new();
                for (id, record) in writes {
                    match record {
                        Some(record) => {
                            octets.clear();
                            octets = postcard::to_extend(&record, octets).map_err(unwritable)?;
                            table.insert(id.0, octets.as_slice())?;
                        }
                        None => drop(table.remove(id.0)?),
                    }
                }
            }
            finish(transaction, next)
        })
    }
}

/// What a file has.
enum Found {
    /// Every record was said; this is the next number.
    All(u64),
    /// Another schema.
    Schema(u64),
    /// A record that is none.
    Unreadable(u64, postcard::Error),
}

fn read(
    database: &impl ReadableDatabase,
    each: &mut dyn FnMut(SubscriberId, Record),
) -> Result<Found, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let value = |name| -> Result<u64, redb::Error> { Ok(meta.get(name)?.map_or(0, |value| value.value())) };
    let (schema, next) = (value("schema")?, value("next")?);
    if schema != SCHEMA {
        return Ok(Found::Schema(schema));
    }
    for entry in transaction.open_table(SUBSCRIBERS)?.iter()? {
        let (id, record) = entry?;
        match postcard::from_bytes(record.value()) {
            Ok(record) => each(SubscriberId(id.value()), record),
            Err(error) => return Ok(Found::Unreadable(id.value(), error)),
        }
    }
    Ok(Found::All(next))
}

/// What comes of this; `None`: it panicked, as a store may over what it reads.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

fn finish(transaction: WriteTransaction, next: SubscriberId) -> Result<(), redb::Error> {
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("schema", SCHEMA)?;
        meta.insert("next", next.0)?;
    }
    Ok(transaction.commit()?)
}

/// A record always fits into memory, the only thing that could be in the way.
fn unwritable(error: postcard::Error) -> redb::Error {
    redb::Error::Io(std::io::Error::other(error))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
