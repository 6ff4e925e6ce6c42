//! Settings from environment variables: typed, with every problem reported at once, by variable and remedy.
//! An empty variable counts as unset, as templates set them so.

use std::fmt;
use std::str::FromStr;

/// Looks a variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Variables as they are read, and what was wrong with them.
pub struct Environment<'a> {
    lookup: Lookup<'a>,
    problems: Vec<String>,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Misconfigured(pub Vec<String>);

impl fmt::Display for Misconfigured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "wrong configuration: {}", self.0.join("; "))
    }
}

impl<'a> Environment<'a> {
    /// Variables behind a look-up; the process's own are `&|name| std::env::var(name).ok()`.
    #[must_use]
    pub fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// A variable that may be unset.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A variable that must be set; `meaning` says to what.
    pub fn required(&mut self, name: &str, meaning: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(name, format!("is not set: set it to {meaning}"));
        }
        value
    }

    /// A variable of some type, or its default.
    pub fn parsed<T: FromStr>(&mut self, name: &str, default: T, meaning: &str) -> T {
        match self.optional(name).map(|text| text.parse()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                self.problem(name, format!("must be {meaning}"));
                default
            }
        }
    }

    /// Notes what is wrong with a variable.
    pub fn problem(&mut self, name: &str, problem: impl fmt::Display) {
        self.problems.push(format!("{name} {problem}"));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// With every problem that was noted.
    pub fn finish(self) -> Result<(), Misconfigured> {
        if self.problems.is_empty() { Ok(()) } else { Err(Misconfigured(self.problems)) }
    }
}
