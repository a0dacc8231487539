//! What the lab says, line by line; it reads the same in a terminal and in a file.
#![allow(clippy::disallowed_methods)] // how long a step took is for people only

use std::time::Instant;

/// A step that is under way.
#[derive(Debug)]
pub(super) struct Step {
    name: &'static str,
    since: Instant,
}

impl Step {
    /// Begins a step.
    pub(super) fn begin(name: &'static str) -> Self {
        Self { name, since: Instant::now() }
    }

    /// Something that happened on the way.
    pub(super) fn progress(&self, what: &str) {
        println!("  {:<12} {what}", self.name);
    }

    /// Ends it.
    pub(super) fn done(self, what: &str) {
        println!("✓ {:<12} {what} ({:.1} s)", self.name, self.since.elapsed().as_secs_f64());
    }
}

/// A heading.
pub(super) fn heading(text: &str) {
    println!("\n{text}");
}
