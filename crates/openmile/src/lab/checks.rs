//! The lab's findings, one line each.

/// What was checked so far.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Check>);

#[derive(Debug)]
struct Check {
    holds: bool,
    claim: String,
    seen: String,
}

impl Checks {
    /// Adds a claim, whether it holds, and what was seen.
    pub(super) fn add(&mut self, holds: bool, claim: impl Into<String>, seen: impl Into<String>) {
        self.0.push(Check { holds, claim: claim.into(), seen: seen.into() });
    }

    /// Adds a claim that holds if nothing speaks against it.
    pub(super) fn none_against(
        &mut self,
        against: Vec<String>,
        claim: impl Into<String>,
        seen: impl Into<String>,
    ) {
        match against.as_slice() {
            [] => self.add(true, claim, seen),
            several => {
                let first = several.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("; ");
                self.add(false, claim, format!("{} against it: {first}", several.len()));
            }
        }
    }

    /// Prints them.
    pub(super) fn print(&self) {
        for Check { holds, claim, seen } in &self.0 {
            println!("{} {claim}: {seen}", if *holds { '✓' } else { '✗' });
        }
    }

    /// How many hold, and how many there are.
    pub(super) fn score(&self) -> (usize, usize) {
        (self.0.iter().filter(|check| check.holds).count(), self.0.len())
    }
}
