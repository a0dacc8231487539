//! What the forwarder is still to be told of bindings.
//!
//! There may be millions, so that nothing of them is kept here but the names of those that differ from what was told; what
//! they should be the directory says when they are sent. What could contradict an addition goes before it: first what
//! is no more, then what is leaving, then the rest. As long as the directory does not contradict itself, the forwarder
//! then never has to refuse one, whatever was changed while it was not looking.

use std::collections::BTreeSet;

use contract::{Binding, BindingKey, Change};
use subscriber::{Directory, Place};

/// Refused bindings that are remembered: each is told to people once, and more than this nobody reads.
const REFUSED: usize = 1024;

/// Where it is said which bindings there should be.
pub(crate) trait Bindings {
    /// What should be under this name.
    fn binding(&self, key: &BindingKey) -> Option<Binding>;

    /// The first binding from this place on, and the place after it.
    fn binding_from(&self, place: Place) -> Option<(Place, BindingKey, Binding)>;

    /// Those that are leaving.
    fn leaving(&self) -> Vec<BindingKey>;
}

impl Bindings for Directory {
    fn binding(&self, key: &BindingKey) -> Option<Binding> {
        self.bound(key)
    }

    fn binding_from(&self, place: Place) -> Option<(Place, BindingKey, Binding)> {
        self.bound_from(place)
    }

    fn leaving(&self) -> Vec<BindingKey> {
        self.leaving_keys()
    }
}

/// What the forwarder is still to be told of bindings.
#[derive(Debug, Default)]
pub(super) struct Untold {
    gone: BTreeSet<BindingKey>,
    leaving: BTreeSet<BindingKey>,
    rest: BTreeSet<BindingKey>,
    /// How far a replay of all of them is.
    replay: Option<Place>,
    refused: BTreeSet<BindingKey>,
}

impl Untold {
    /// This is to be told. One that was removed and is there again may be somebody else's: the removal is told too.
    pub(super) fn insert(&mut self, key: BindingKey, binding: Option<&Binding>) {
        self.refused.remove(&key);
        self.leaving.remove(&key);
        self.rest.remove(&key);
        match binding {
            None => self.gone.insert(key),
            Some(Binding { leaving: true, .. }) => self.leaving.insert(key),
            Some(_) => self.rest.insert(key),
        };
    }

    /// All of them are to be told, and what is not told is to be swept.
    pub(super) fn replay(&mut self, bindings: &dyn Bindings) {
        *self = Self { replay: Some(Place::default()), ..Self::default() };
        self.leaving.extend(bindings.leaving());
    }

    /// Whether there may be something to tell.
    pub(super) fn any(&self) -> bool {
        self.replay.is_some() || [&self.gone, &self.leaving, &self.rest].iter().any(|keys| !keys.is_empty())
    }

    /// The next to be told.
    pub(super) fn next(&mut self, bindings: &dyn Bindings) -> Option<Change> {
        let now = |key: BindingKey| Change::Binding(key, bindings.binding(&key));
        if let Some(key) = self.gone.pop_first() {
            return Some(Change::Binding(key, None));
        }
        if let Some(key) = self.leaving.pop_first() {
            return Some(now(key));
        }
        if let Some((after, key, binding)) = self.replay.and_then(|place| bindings.binding_from(place)) {
            self.replay = Some(after);
            return Some(Change::Binding(key, Some(binding)));
        }
        self.replay = None;
        self.rest.pop_first().map(now)
    }

    /// The forwarder did not take a binding. Says whether that is news.
    pub(super) fn refused(&mut self, key: BindingKey) -> bool {
        self.refused.len() < REFUSED && self.refused.insert(key)
    }
}
