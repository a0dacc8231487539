//! Where in the file a value was written.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A value's place in the model, as in `isp[0].handoff[1].fec`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Place(String);

impl Place {
    /// The file.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// A value of this one.
    pub(crate) fn key(&self, key: &str) -> Self {
        if self.0.is_empty() { Self(key.to_owned()) } else { Self(format!("{}.{key}", self.0)) }
    }

    /// An item of a list of this one.
    pub(crate) fn item(&self, key: &str, index: usize) -> Self {
        Self(format!("{}[{index}]", self.key(key).0))
    }

    fn parent(&self) -> Option<Self> {
        let end = self.0.rfind(['.', '[']).unwrap_or(0);
        (!self.0.is_empty()).then(|| Self(self.0[..end].to_owned()))
    }
}

/// The places that were read.
#[derive(Debug, Default)]
pub(crate) struct Places {
    spans: BTreeMap<Place, Range<usize>>,
    poisoned: BTreeSet<Place>,
}

impl Places {
    /// Notes where a value is.
    pub(crate) fn note(&mut self, place: Place, span: Range<usize>) {
        self.spans.insert(place, span);
    }

    /// Notes that a value could not be read.
    pub(crate) fn poison(&mut self, place: Place) {
        self.poisoned.insert(place);
    }

    /// Where a value is; for one that was left to its default, where the table is that it would be in.
    pub(crate) fn span(&self, place: &Place) -> Range<usize> {
        let mut place = place.clone();
        loop {
            if let Some(span) = self.spans.get(&place) {
                return span.clone();
            }
            match place.parent() {
                Some(parent) => place = parent,
                None => return 0..0,
            }
        }
    }

    /// Whether a value is in the file.
    pub(crate) fn is_written(&self, place: &Place) -> bool {
        self.spans.contains_key(place)
    }

    /// Whether the value that was read is a placeholder.
    pub(crate) fn is_poisoned(&self, place: &Place) -> bool {
        self.poisoned.contains(place)
    }

    /// Whether this key of any item of a list is a placeholder, or the list itself.
    pub(crate) fn any_poisoned(&self, list: &Place, items: usize, list_key: &str, key: &str) -> bool {
        self.is_poisoned(&list.key(list_key))
            || (0..items).any(|index| self.is_poisoned(&list.item(list_key, index).key(key)))
    }
}
