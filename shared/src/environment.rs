//! Settings from environment variables: typed, with every problem reported together, by variable and remedy. An empty
//! variable counts as unset, because templates set it so.

use std::fmt;
use std::str::FromStr;

/// Function that looks up a variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Variables and the problems found in them so far.
pub struct Environment<'a> {
    lookup: Lookup<'a>,
    problems: Vec<String>,
}

/// Every problem of the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Misconfigured(pub Vec<String>);

impl fmt::Display for Misconfigured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "wrong configuration: {}", self.0.join("; "))
    }
}

impl<'a> Environment<'a> {
    /// Reads variables through a look-up. For the process's own, use `&|name| std::env::var(name).ok()`.
    #[must_use]
    pub fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// Returns a variable that may be unset.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Returns a required variable. `meaning` tells the operator what to set it to.
    pub fn required(&mut self, name: &str, meaning: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(name, format!("is not set: set it to {meaning}"));
        }
        value
    }

    /// Returns a variable parsed as `T`, or the default.
    pub fn parsed<T: FromStr>(&mut self, name: &str, default: T, meaning: &str) -> T {
        let Some(text) = self.optional(name) else { return default };
        text.parse().unwrap_or_else(|_| {
            self.problem_of(name, &text, format_args!("must be {meaning}"));
            default
        })
    }

    /// Notes a problem with a variable.
    pub fn problem(&mut self, name: &str, problem: impl fmt::Display) {
        self.problems.push(format!("{name} {problem}"));
    }

    /// Notes a problem with a variable that holds no secret, and its value.
    pub fn problem_of(&mut self, name: &str, value: &str, problem: impl fmt::Display) {
        self.problems.push(format!("{name} {problem} (it is `{value}`)"));
    }

    /// Finishes the reading.
    ///
    /// # Errors
    /// Fails with every problem that was noted.
    pub fn finish(self) -> Result<(), Misconfigured> {
        if self.problems.is_empty() { Ok(()) } else { Err(Misconfigured(self.problems)) }
    }
}
