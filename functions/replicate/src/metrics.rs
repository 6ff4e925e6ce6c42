//! Metrics of invocations, as lines of CloudWatch's embedded metric format.
//!
//! [`Metrics`] is one unit of work, an invocation. The [`Outbox`] aggregates the invocations of a process, so that a
//! busy process writes one line per second and not one per invocation. `line` is the format.

mod line;
mod outbox;

use std::collections::BTreeMap;
use std::time::Duration;

use driftless::change::Change;
use driftless::function::clock::now;
use driftless::outcome::Outcome;
use driftless::time::Timestamp;

pub use outbox::Outbox;

/// Namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "driftless";

/// Outcomes of the records of one or several invocations. Each record counts in exactly one of applied, duplicate,
/// stale, superseded, rejected and failed.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    records: u64,
    applied: u64,
    duplicate: u64,
    stale: u64,
    superseded: u64,
    rejected: u64,
    failed: u64,
    order_anomalies: u64,
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
        match outcome {
            Outcome::Applied => {
                self.applied += 1;
                let lag = change.event_time.map(|event_time| now.millis_since(event_time));
                self.lags_ms = self.lags_ms.pop().max(lag).into_iter().collect();
            }
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Stale => self.stale += 1,
            Outcome::OrderAnomaly => self.order_anomalies += 1,
            Outcome::Superseded => self.superseded += 1,
            // A sent dead letter decides between the two: see `settle`.
            Outcome::Rejected(_) | Outcome::Failed(_) => {}
        }
    }

    /// Counts a record that was not applied, by class.
    pub fn problem(&mut self, class: &str) {
        *self.problems.entry(class.to_owned()).or_default() += 1;
    }

    /// Counts the records that became dead letters, and those that Lambda must deliver again.
    pub fn settle(&mut self, rejected: u64, failed: u64) {
        self.rejected += rejected;
        self.failed += failed;
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
        *self = Self { records, failed: records, round_trips, engine_times, problems, ..Self::default() };
    }

    /// Returns the lines of one invocation: its own, and one per class of problem.
    #[must_use]
    pub fn lines(&self, index: &str) -> Vec<u8> {
        line::write(self, index, now())
    }

    /// Returns the invocation's own line.
    #[must_use]
    pub fn line(&self, index: &str) -> Vec<u8> {
        let without_problems = Self { problems: BTreeMap::new(), ..self.clone() };
        without_problems.lines(index)
    }

    /// Returns `true` if an operator must see it immediately, because some record was not applied.
    fn is_urgent(&self) -> bool {
        self.rejected + self.failed + self.order_anomalies > 0 || !self.problems.is_empty()
    }

    /// Adds the metrics of other invocations.
    fn add(&mut self, more: Self) {
        self.records += more.records;
        self.applied += more.applied;
        self.duplicate += more.duplicate;
        self.stale += more.stale;
        self.superseded += more.superseded;
        self.rejected += more.rejected;
        self.failed += more.failed;
        self.order_anomalies += more.order_anomalies;
        self.round_trips += more.round_trips;
        self.engine_times.extend(more.engine_times);
        self.lags_ms.extend(more.lags_ms);
        for (class, count) in more.problems {
            *self.problems.entry(class).or_default() += count;
        }
    }
}
