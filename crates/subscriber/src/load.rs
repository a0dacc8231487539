//! Whole files of subscribers: read for a node, checked for all nodes, imported into a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use contract::{Binding, BindingKey, SubscriberId, Tick};

use crate::directory::Directory;
use crate::facts::Facts;
use crate::record::{Clock, Problem};
use crate::row::{self, Columns, Row, RowError};

/// Errors of an import that are said in full.
pub const IMPORT_ERRORS: usize = 100;
/// Rows between two words of an import's progress.
const PROGRESS: u64 = 8192;

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
    let directories = load_all(text, facts)?;
    let mut summary = Summary::default();
    for directory in directories.values() {
        summary.subscribers += directory.subscriber_count();
        for service in directory.services() {
            summary.services += 1;
            summary.prefixes += service.prefixes.len();
        }
    }
    Ok(summary)
}

/// Rows on their way into directories.
struct Reading<'a> {
    text: &'a str,
    /// Where the rows of services are, to point at one that is in the way; by node and number.
    places: BTreeMap<String, Vec<(u32, usize)>>,
    /// Problems that await the places of what is in the way.
    held: Vec<(RowError, Option<Other>)>,
}

/// Where a row starts that is in the way, with which field, and what it is.
type Other = (usize, &'static str, String);

impl Reading<'_> {
    fn add(&mut self, directory: &mut Directory, row: Row) {
        let index = directory.enter_name(&row.subscriber);
        let places = self.places.entry(row.node).or_default();
        match directory.add_service(index, &row.service, Clock::default()) {
            Ok(service) => places.push((service, row.place.line().1)),
            Err(problems) => {
                directory.drop_if_empty(index);
                for problem in problems {
                    let other = holder(&problem, places);
                    self.held.push((row.place.error(problem), other));
                }
            }
        }
    }

    /// All errors, with the places of what is in the way.
    fn errors(self, columns: Option<&Columns>) -> Vec<RowError> {
        let text = self.text;
        let place = |(start, field, label): Other| -> Option<(Range<usize>, String)> {
            Some((row::field_of(text, start, columns?, field), label))
        };
        let with_place =
            |(error, other): (RowError, Option<_>)| RowError { other: other.and_then(place), ..error };
        let mut errors: Vec<_> = self.held.into_iter().map(with_place).collect();
        errors.sort_by_key(|error| error.span.start);
        errors
    }
}

/// Where the row starts of the service that is in a problem's way. Services are numbered in the order of rows.
fn holder(problem: &Problem, places: &[(u32, usize)]) -> Option<Other> {
    let (service, field, label) = problem.holder.clone()?;
    let at = places.binary_search_by_key(&service, |(service, _)| *service).ok()?;
    Some((places.get(at)?.1, field, label))
}

fn no_such_node(row: &Row, facts: &Facts) -> RowError {
    let known: Vec<_> = facts.nodes.keys().map(String::as_str).collect();
    let message = format!("there is no node `{}`", row.node);
    row.place.error(Problem::new(
        "node",
        message,
        format!("the nodes of the network file are {}", known.join(", ")),
    ))
}

/// Every node's directory from one file.
fn load_all(text: &str, facts: &Facts) -> Result<BTreeMap<String, Directory>, Vec<RowError>> {
    let mut directories = BTreeMap::<String, Directory>::new();
    let mut reading = Reading { text, places: BTreeMap::new(), held: Vec::new() };
    let columns = row::read(text, &mut |row| match row {
        Ok(row) if !facts.nodes.contains_key(&row.node) => {
            reading.held.push((no_such_node(&row, facts), None));
        }
        Ok(row) => {
            let fresh = || Directory::new(&row.node, facts);
            let directory = directories.entry(row.node.clone()).or_insert_with(fresh);
            reading.add(directory, row);
        }
        Err(found) => reading.held.extend(found.into_iter().map(|error| (error, None))),
    });
    let errors = reading.errors(columns.as_ref());
    if errors.is_empty() { Ok(directories) } else { Err(errors) }
}

/// What an import did, or would do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Imported {
    /// Rows of this node.
    pub rows: u64,
    /// Rows of other nodes, which are left to them.
    pub skipped: u64,
    /// Subscribers whose services are now those of the file.
    pub touched: BTreeSet<SubscriberId>,
    /// Subscribers that are no more.
    pub removed: Vec<SubscriberId>,
}

/// Why an import changed nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportErrors {
    /// The first of them, in the order of lines.
    pub errors: Vec<RowError>,
    /// How many there are.
    pub count: u64,
}

/// Whether rows of subscribers that the file does not name go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// They stay as they are.
    Stay,
    /// They go: the file is the whole directory.
    Go,
}

impl Directory {
    /// A node's subscribers from a file. The whole file must be right, for other nodes' rows too: half a directory
    /// would cut subscribers off without a word.
    pub fn read(node: &str, text: &str, facts: &Facts) -> Result<Self, Vec<RowError>> {
        let mut all = load_all(text, facts)?;
        Ok(all.remove(node).unwrap_or_else(|| Self::new(node, facts)))
    }

    /// Takes a file in: the services of each subscriber that it names are those of the file from now on, what is leaving
    /// goes on leaving. After an error the directory is of no more use. Progress is told in rows.
    pub fn import(
        &mut self,
        text: &str,
        others: Others,
        facts: &Facts,
        clock: Clock,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Imported, ImportErrors> {
        let node = self.node().to_owned();
        let mut imported = Imported::default();
        // First everything goes that the file says anew, so that the order of rows does not matter.
        let mut seen = 0;
        row::read(text, &mut |row| {
            seen += 1;
            if seen % PROGRESS == 0 {
                progress(seen);
            }
            if let Ok(row) = row
                && row.node == node
            {
                imported.touched.extend(self.begin_again(&row.subscriber));
            }
        });
        if others == Others::Go {
            let gone = self.subscribers().map(|(id, _)| id).filter(|id| !imported.touched.contains(id));
            imported.removed = gone.collect();
            imported.removed.extend(self.forget_all_unfit());
            imported.removed.iter().for_each(|id| self.drop_id(*id));
        }
        let mut failed = ImportErrors::default();
        row::read(text, &mut |row| {
            seen += 1;
            if seen % PROGRESS == 0 {
                progress(seen);
            }
            let errors = match row {
                Ok(row) if !facts.nodes.contains_key(&row.node) => vec![no_such_node(&row, facts)],
                Ok(row) if row.node != node => {
                    imported.skipped += 1;
                    return;
                }
                Ok(row) => {
                    imported.rows += 1;
                    let index = self.enter_name(&row.subscriber);
                    imported.touched.extend(self.id(&row.subscriber));
                    let added = self.add_returning(index, &row.service, clock);
                    let problems = added.err().unwrap_or_default();
                    problems.into_iter().map(|problem| row.place.error(problem)).collect()
                }
                Err(found) => found,
            };
            failed.count += errors.len() as u64;
            let room = IMPORT_ERRORS.saturating_sub(failed.errors.len());
            failed.errors.extend(errors.into_iter().take(room));
        });
        if failed.count == 0 { Ok(imported) } else { Err(failed) }
    }

    /// A directory of what a forwarder holds, when nothing else is known: names are numbers. What is leaving ends then.
    pub fn rebuild<'a>(
        node: &str,
        facts: &Facts,
        held: impl Iterator<Item = (&'a BindingKey, &'a Binding)>,
        end: Tick,
    ) -> Self {
        let mut directory = Self::new(node, facts);
        for (key, binding) in held {
            directory.adopt(key, binding, Some(end));
        }
        directory
    }
}
