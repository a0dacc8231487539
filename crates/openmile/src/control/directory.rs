//! Requests about the directory: one after the other, each stored before it is done and answered.
//!
//! ```text
//! request ─▶ tried on the directory ─▶ stored (the keeper's thread) ─▶ done ─▶ answered, forwarder told
//! ```
//!
//! An import is read into a directory of its own on the keeper's thread, which takes the place of the old one as a whole.

pub(crate) mod keeper;
pub(crate) mod store;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use api::{FieldError, ImportLine, Refused, SubscriberDone};
use contract::SubscriberId;
use subscriber::{Action, Directory, Edit, EditError, Facts, ImportErrors, Others, Place, Plan};
use tokio::sync::{mpsc, oneshot};

use keeper::{Done, Import, Imported, Job, Keeper, NotImported};

/// Why a network file cannot be taken over just now.
pub(crate) const BUSY: &str = "subscribers are being changed: ask again in a moment";
/// Requests that may wait for their turn.
const WAITING: usize = 256;

/// What the loop is fed about the directory.
#[derive(Debug)]
pub(crate) enum DirectoryInput {
    /// Change subscribers.
    Edit(api::SubscriberRequest, oneshot::Sender<Result<SubscriberDone, Refused>>),
    /// Read a file in.
    Import(String, api::ImportOptions, mpsc::Sender<ImportLine>),
    /// Show some.
    Page(PageQuery, oneshot::Sender<api::SubscriberPage>),
    /// The keeper has done something.
    Done(Done),
}

/// Which subscribers are to be shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PageQuery {
    /// From here on.
    pub(crate) from: Place,
    /// At most so many subscribers.
    pub(crate) limit: usize,
    /// Only those of this ISP.
    pub(crate) isp: Option<contract::Asn>,
    /// Only this one.
    pub(crate) subscriber: Option<String>,
}

/// Where the directory comes from, and hence whether it can be changed.
pub(crate) enum Source {
    /// The file that the network file names.
    File(String),
    /// The node has no subscribers.
    None,
    /// The store.
    Store(Keeper),
    /// The store, which could not be read: the directory is what the forwarder held.
    Broken(Keeper, String),
}

/// What is going on.
enum Work {
    Edit(Plan, oneshot::Sender<Result<SubscriberDone, Refused>>, Duration),
    Import(mpsc::Sender<ImportLine>),
    /// The new directory is about to take the old one's place.
    Swap(mpsc::Sender<ImportLine>, api::ImportDone),
    Load,
}

/// What follows for the node.
pub(crate) enum Follows {
    /// Done: this is to be applied, and then answered.
    Apply(Plan, Answer),
    /// A directory that is to take the place of the one that is.
    Replace(Box<Directory>),
    /// Something that an operator should look at.
    Alarm(String),
}

/// An answer that waits until what it says is so.
pub(crate) struct Answer(oneshot::Sender<Result<SubscriberDone, Refused>>, SubscriberDone);

impl Answer {
    /// Says it.
    pub(crate) fn give(self) {
        // Who asked may be gone.
        let _ = self.0.send(Ok(self.1));
    }
}

/// Requests, their order, and what becomes of them.
pub(crate) struct Desk {
    source: Source,
    facts: Facts,
    waiting: VecDeque<DirectoryInput>,
    work: Option<Work>,
    /// Subscribers whose record may or may not have been stored.
    doubtful: BTreeMap<SubscriberId, ()>,
    failing: bool,
    follows: VecDeque<Follows>,
}

impl Desk {
    /// A desk without requests.
    pub(crate) fn new(source: Source, facts: Facts) -> Self {
        let mut follows = VecDeque::new();
        if let Source::Broken(_, why) = &source {
            follows.push_back(Follows::Alarm(format!(
                "the directory cannot be read, and subscribers stay as the forwarder has them: {why}"
            )));
        }
        let failing = matches!(source, Source::Broken(..));
        Self {
            source,
            facts,
            waiting: VecDeque::new(),
            work: None,
            doubtful: BTreeMap::new(),
            failing,
            follows,
        }
    }

    /// Whether the directory could not be read.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.source, Source::Broken(..))
    }

    /// What the network allows.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What is against another network file as far as its subscribers are concerned: whether they are in a file, and the
    /// ports of this node.
    pub(crate) fn judge(&self, in_a_file: bool, view: &network::NodeView) -> Option<String> {
        let access = view.ports_of(contract::PortKind::Access).next().is_some();
        let other = match self.source {
            Source::None => access,
            Source::File(_) => !in_a_file,
            Source::Store(_) | Source::Broken(..) => in_a_file,
        };
        if other {
            let from = match self.source {
                Source::None => "nowhere, since it has had no access ports",
                Source::File(_) => "a file",
                Source::Store(_) | Source::Broken(..) => "the node's own directory",
            };
            return Some(format!(
                "where subscribers come from cannot change while the node runs (it is {from}): restart the node"
            ));
        }
        self.work.is_some().then(|| BUSY.to_owned())
    }

    /// Goes on with another network file.
    pub(crate) fn reload(&mut self, subscribers: Option<std::path::PathBuf>, facts: Facts) {
        if let (Source::File(file), Some(now)) = (&mut self.source, subscribers) {
            *file = now.display().to_string();
        }
        self.facts = facts;
    }

    /// A request, or the keeper's answer.
    pub(crate) fn handle(
        &mut self,
        input: DirectoryInput,
        directory: &mut Directory,
        clock: subscriber::Clock,
        grace: Duration,
    ) {
        match input {
            DirectoryInput::Done(done) => self.done(done),
            request if self.waiting.len() >= WAITING => refuse(request, busy()),
            request => self.waiting.push_back(request),
        }
        self.next(directory, clock, grace);
    }

    /// The new directory has taken the old one's place.
    pub(crate) fn replaced(&mut self, old: Box<Directory>) {
        if let Source::Store(keeper) | Source::Broken(keeper, _) = &self.source {
            keeper.give(Job::Drop(old));
        }
        if let Some(Work::Swap(lines, done)) = self.work.take() {
            let _ = lines.try_send(ImportLine::Done(done));
        }
    }

    /// Goes on with what waits, after [`Self::replaced`] for one.
    pub(crate) fn next(&mut self, directory: &mut Directory, clock: subscriber::Clock, grace: Duration) {
        while self.work.is_none()
            && let Some(request) = self.waiting.pop_front()
        {
            match &self.source {
                Source::File(file) => refuse(request, of_file(file)),
                Source::None => refuse(request, nobody_here()),
                Source::Broken(keeper, _) => {
                    // It may be cured by now.
                    keeper.give(Job::Load(Box::new(self.facts.clone()), clock));
                    self.waiting.push_front(request);
                    self.work = Some(Work::Load);
                }
                Source::Store(keeper) => {
                    let keeper = keeper.clone();
                    self.begin(request, &keeper, directory, clock, grace);
                }
            }
        }
    }

    /// What follows, one after the other.
    pub(crate) fn poll(&mut self) -> Option<Follows> {
        self.follows.pop_front()
    }

    fn begin(
        &mut self,
        request: DirectoryInput,
        keeper: &Keeper,
        directory: &mut Directory,
        clock: subscriber::Clock,
        grace: Duration,
    ) {
        match request {
            DirectoryInput::Edit(request, answer) => {
                let edits: Vec<_> = request.edits.into_iter().map(edit).collect();
                let plan = match directory.plan(&edits, clock, grace) {
                    Ok(plan) => plan,
                    Err(errors) => return drop(answer.send(Err(edit_errors(errors)))),
                };
                if request.dry_run || plan.writes.is_empty() {
                    let subscribers = plan.writes.len() as u64;
                    let done =
                        SubscriberDone { subscribers, move_grace: grace.as_secs(), dry_run: request.dry_run };
                    return drop(answer.send(Ok(done)));
                }
                let mut stored = plan.clone();
                let doubtful =
                    self.doubtful.keys().filter(|id| !plan.writes.iter().any(|(other, _)| other == *id));
                stored.writes.extend(doubtful.map(|id| (*id, directory.record(*id, clock))));
                keeper.give(Job::Commit(stored));
                self.work = Some(Work::Edit(plan, answer, grace));
            }
            DirectoryInput::Import(text, options, lines) => {
                let others = if options.replace { Others::Go } else { Others::Stay };
                let (dry_run, facts, progress) = (options.dry_run, self.facts.clone(), lines.clone());
                keeper.give(Job::Import(Box::new(Import { text, others, dry_run, facts, clock, progress })));
                self.work = Some(Work::Import(lines));
            }
            DirectoryInput::Page(..) | DirectoryInput::Done(_) => {}
        }
    }

    fn done(&mut self, done: Done) {
        match (done, self.work.take()) {
            (Done::Committed(stored), Some(Work::Edit(plan, answer, grace))) => match stored {
                Ok(()) => {
                    self.works_again();
                    self.doubtful.clear();
                    let subscribers = plan.writes.len() as u64;
                    let done = SubscriberDone { subscribers, move_grace: grace.as_secs(), dry_run: false };
                    self.follows.push_back(Follows::Apply(plan, Answer(answer, done)));
                }
                Err(error) => {
                    self.doubtful.extend(plan.writes.iter().map(|(id, _)| (*id, ())));
                    let refused = self.not_stored(&error);
                    let _ = answer.send(Err(refused));
                }
            },
            (Done::Imported(imported), Some(Work::Import(lines))) => match imported {
                Ok(Imported { directory: None, done }) => drop(lines.try_send(ImportLine::Done(done))),
                Ok(Imported { directory: Some(new), done }) => {
                    self.works_again();
                    self.follows.push_back(Follows::Replace(new));
                    self.work = Some(Work::Swap(lines, done));
                }
                Err(NotImported::Errors(errors)) => {
                    let _ = lines.try_send(ImportLine::Refused(import_errors(errors)));
                }
                Err(NotImported::Store(error)) => {
                    let refused = self.not_stored(&error);
                    let _ = lines.try_send(ImportLine::Refused(refused));
                }
            },
            (Done::Loaded(loaded), Some(Work::Load)) => match loaded {
                Ok(new) => {
                    self.works_again();
                    if let Source::Broken(keeper, _) = &self.source {
                        self.source = Source::Store(keeper.clone());
                    }
                    self.follows.push_back(Follows::Replace(new));
                    // What waits goes on when it has taken its place.
                    let (lines, _) = mpsc::channel(1);
                    let nothing =
                        api::ImportDone { rows: 0, skipped: 0, subscribers: 0, removed: 0, dry_run: false };
                    self.work = Some(Work::Swap(lines, nothing));
                }
                Err(error) => {
                    let refused = self.not_stored(&error);
                    // Those that have waited are all answered, or each would be another attempt.
                    for request in self.waiting.drain(..) {
                        refuse(request, refused.clone());
                    }
                }
            },
            (_, work) => self.work = work,
        }
    }

    fn not_stored(&mut self, error: &store::StoreError) -> Refused {
        if !std::mem::replace(&mut self.failing, true) {
            self.follows.push_back(Follows::Alarm(format!("the directory cannot be written: {error}")));
        }
        Refused {
            message: format!("nothing was changed, since the directory cannot be stored: {error}"),
            help: Some("packets go on as before; make room or mend the file, then ask again".to_owned()),
            errors: Vec::new(),
            count: 0,
        }
    }

    fn works_again(&mut self) {
        if std::mem::replace(&mut self.failing, false) {
            self.follows.push_back(Follows::Alarm("the directory can be written again".to_owned()));
        }
    }
}

/// Refuses a request.
fn refuse(request: DirectoryInput, refused: Refused) {
    // Who asked may be gone.
    match request {
        DirectoryInput::Edit(_, answer) => drop(answer.send(Err(refused))),
        DirectoryInput::Import(_, _, lines) => drop(lines.try_send(ImportLine::Refused(refused))),
        DirectoryInput::Page(..) | DirectoryInput::Done(_) => {}
    }
}

fn plain(message: String, help: &str) -> Refused {
    Refused { message, help: Some(help.to_owned()), errors: Vec::new(), count: 0 }
}

fn busy() -> Refused {
    plain(format!("{WAITING} requests wait already"), "ask again later")
}

fn of_file(file: &str) -> Refused {
    plain(
        format!("the subscribers of this node are those of the file {file}, which the network file names"),
        "change that file and reload, or remove `subscribers` from the network file and import the file",
    )
}

fn nobody_here() -> Refused {
    plain("this node has no access ports, so it has no subscribers".to_owned(), "ask the headend")
}

fn edit(edit: api::SubscriberEdit) -> Edit {
    let action = match edit.action {
        api::SubscriberAction::Add => Action::Add,
        api::SubscriberAction::Set => Action::Set,
        api::SubscriberAction::Move => Action::Move,
        api::SubscriberAction::Remove => Action::Remove,
    };
    let api::SubscriberEdit {
        subscriber, isp, to, port, outer_vlan, inner_vlan, mac, plan, prefixes, ..
    } = edit;
    Edit { action, subscriber, isp, to, port, outer_vlan, inner_vlan, mac, plan, prefixes }
}

fn edit_errors(errors: Vec<EditError>) -> Refused {
    let count = errors.len() as u64;
    let errors = errors.into_iter().take(subscriber::IMPORT_ERRORS).map(|error| FieldError {
        edit: Some(error.index),
        line: None,
        subscriber: Some(error.subscriber),
        field: Some(error.problem.field.to_owned()),
        message: error.problem.message,
        help: error.problem.help,
    });
    let message = "nothing was changed: the request does not hold together".to_owned();
    Refused { message, help: None, errors: errors.collect(), count }
}

fn import_errors(errors: ImportErrors) -> Refused {
    let count = errors.count;
    let errors = errors.errors.into_iter().map(|error| FieldError {
        edit: None,
        line: Some(error.line),
        subscriber: None,
        field: error.field.map(str::to_owned),
        message: error.message,
        help: error.help,
    });
    let message = "nothing was changed: the file does not hold together".to_owned();
    Refused { message, help: None, errors: errors.collect(), count }
}
