//! Metrics of invocations, as lines of CloudWatch's embedded metric format.
//!
//! [`Metrics`] is one unit of work, an invocation. The [`Outbox`] aggregates the invocations of a process, so that a
//! busy process writes one line per second and not one per invocation. `line` is the format.

mod line;
mod outbox;

use std::collections::BTreeMap;
use std::time::Duration;

pub use outbox::Outbox;

use crate::change::Change;
use crate::outcome::{Outcome, OutcomeCounts};
use crate::time::Timestamp;

/// Outcomes of the records of one or several invocations. Each record counts in exactly one of applied, duplicate,
/// stale, superseded, rejected and failed.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    records: u64,
    /// Changes by outcome. A rejected one counts here once its dead letter was sent, and else as failed.
    outcomes: OutcomeCounts,
    /// Changes without an order, of documents that were written as their items are.
    decided_by_item: u64,
    round_trips: u64,
    /// Time spent waiting for the engine, per invocation.
    engine_times: Vec<Duration>,
    /// Greatest lag of each invocation that has one.
    lags_ms: Vec<u64>,
    /// Rejected and failed records by the problem's class.
    problems: BTreeMap<String, u64>,
}

impl Metrics {
    /// Creates the metrics of an invocation with this many records.
    #[must_use]
    pub fn new(records: usize) -> Self {
        Self { records: records as u64, engine_times: vec![Duration::ZERO], ..Self::default() }
    }

    /// Counts the outcome of one change. The lag is the batch's greatest, from the event to `now`, after the engine's
    /// acknowledgement. It is absent if no applied change has an event time.
    pub fn count(&mut self, change: &Change, outcome: &Outcome, now: Timestamp) {
        match (outcome, change.event_time) {
            // A sent dead letter decides between the two: see `settle`.
            (Outcome::Rejected(_) | Outcome::Unordered | Outcome::Failed(_), _) => return,
            (Outcome::Applied, Some(event_time)) => {
                let lag = now.millis_since(event_time);
                self.lags_ms = vec![self.lags_ms.pop().unwrap_or_default().max(lag)];
            }
            _ => {}
        }
        self.outcomes.count(outcome);
    }

    /// Counts changes that had no order and that their items decided.
    pub fn decided_by_item(&mut self, changes: u64) {
        self.decided_by_item += changes;
    }

    /// Counts a record that was not applied, by class.
    pub fn problem(&mut self, class: &str) {
        *self.problems.entry(class.to_owned()).or_default() += 1;
    }

    /// Counts the records that became dead letters, and those that Lambda must deliver again.
    pub fn settle(&mut self, rejected: u64, failed: u64) {
        self.outcomes.rejected += rejected;
        self.outcomes.failed += failed;
    }

    /// Notes the engine's time and round trips.
    pub fn engine(&mut self, time: Duration, round_trips: u32) {
        if let Some(spent) = self.engine_times.last_mut() {
            *spent += time;
        }
        self.round_trips += u64::from(round_trips);
    }

    /// Counts all records as failed, because the invocation failed as a whole.
    pub fn fail_all(&mut self) {
        let Self { records, round_trips, engine_times, problems, .. } = std::mem::take(self);
        let outcomes = OutcomeCounts { failed: records, ..OutcomeCounts::default() };
        *self = Self { records, outcomes, round_trips, engine_times, problems, ..Self::default() };
    }

    /// Returns `true` if an operator must see it immediately, because some record was not applied.
    fn is_urgent(&self) -> bool {
        let OutcomeCounts { rejected, failed, order_anomalies, .. } = self.outcomes;
        rejected + failed + order_anomalies > 0 || !self.problems.is_empty()
    }

    /// Adds the metrics of other invocations.
    fn add(&mut self, more: Self) {
        self.records += more.records;
        self.outcomes += more.outcomes;
        self.decided_by_item += more.decided_by_item;
        self.round_trips += more.round_trips;
        self.engine_times.extend(more.engine_times);
        self.lags_ms.extend(more.lags_ms);
        for (class, count) in more.problems {
            *self.problems.entry(class).or_default() += count;
        }
    }
}
