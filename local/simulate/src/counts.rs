//! Events of a run, counted by name.

use std::collections::BTreeMap;

/// Numbers of events by name, of one run or many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventCounts(pub BTreeMap<&'static str, u64>);

impl EventCounts {
    pub(crate) fn add(&mut self, what: &'static str, number: u64) {
        *self.0.entry(what).or_default() += number;
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        for (what, number) in &other.0 {
            self.add(what, *number);
        }
    }
}
