//! One unit of work's metrics: one line of CloudWatch's embedded metric format per invocation.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use driftless::change::Change;
use driftless::outcome::Outcome;
use driftless::time::Timestamp;
use metrique_writer::Entry;
use metrique_writer::format::Format as _;
use metrique_writer::unit::{AsCount, AsMilliseconds};
use metrique_writer_format_emf::Emf;

/// The metrics' namespace in CloudWatch.
pub const NAMESPACE: &str = "driftless";

/// What became of an invocation's records. Every record counts in exactly one of applied, duplicate, stale,
/// superseded, rejected and failed.
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
    engine_time: Duration,
    replication_lag_ms: Option<u64>,
    /// Rejected and failed records by the problem's class.
    problems: BTreeMap<String, u64>,
}

/// Records that were not applied, of one class.
#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct ProblemLine<'i> {
    #[entry(timestamp)]
    at: SystemTime,
    index: &'i str,
    class: &'i str,
    problems: AsCount<u64>,
}

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Line<'i> {
    #[entry(timestamp)]
    at: SystemTime,
    index: &'i str,
    records: AsCount<u64>,
    applied: AsCount<u64>,
    duplicate: AsCount<u64>,
    stale: AsCount<u64>,
    superseded: AsCount<u64>,
    rejected: AsCount<u64>,
    failed: AsCount<u64>,
    order_anomalies: AsCount<u64>,
    round_trips: AsCount<u64>,
    engine_time: AsMilliseconds<Duration>,
    replication_lag: Option<AsMilliseconds<u64>>,
}

impl Metrics {
    /// Metrics of an invocation with this many records.
    #[must_use]
    pub fn new(records: usize) -> Self {
        Self { records: records as u64, ..Self::default() }
    }

    /// Counts the end of one change. The lag is the greatest of the batch, from the event to `now`, when the engine had acknowledged, and absent where no
    /// applied change says when it happened.
    pub fn count(&mut self, change: &Change, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::Applied => {
                self.applied += 1;
                let lag = change.event_time.map(|event_time| now.millis_since(event_time));
                self.replication_lag_ms = self.replication_lag_ms.max(lag);
            }
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Stale => self.stale += 1,
            Outcome::OrderAnomaly => self.order_anomalies += 1,
            Outcome::Superseded => self.superseded += 1,
            // Whether a dead letter could be sent decides what these are: see `settle`.
            Outcome::Rejected(_) | Outcome::Failed(_) => {}
        }
    }

    /// Counts a record that was not applied, by why.
    pub fn problem(&mut self, class: &str) {
        *self.problems.entry(class.to_owned()).or_default() += 1;
    }

    /// Counts the records that now are dead letters, and those that Lambda is to deliver again.
    pub fn settle(&mut self, rejected: u64, failed: u64) {
        self.rejected += rejected;
        self.failed += failed;
    }

    /// Notes what the engine took.
    pub fn engine(&mut self, time: Duration, round_trips: u32) {
        self.engine_time += time;
        self.round_trips += u64::from(round_trips);
    }

    /// The invocation failed as a whole: nothing is known of its records.
    pub fn fail_all(&mut self) {
        let Self { records, round_trips, engine_time, .. } = *self;
        let problems = std::mem::take(&mut self.problems);
        *self = Self { records, failed: records, round_trips, engine_time, problems, ..Self::default() };
    }

    /// One line for the invocation, and one more per class of problem.
    #[must_use]
    pub fn lines(&self, index: &str) -> Vec<u8> {
        let mut out = self.line(index);
        let dimensions = vec![vec!["Index".to_owned(), "Class".to_owned()]];
        for (class, &problems) in &self.problems {
            let line = ProblemLine { at: SystemTime::now(), index, class, problems: problems.into() };
            write(&mut emf(dimensions.clone()), &line, &mut out);
        }
        out
    }

    /// The invocation's line, with its end of line.
    #[must_use]
    pub fn line(&self, index: &str) -> Vec<u8> {
        let line = Line {
            at: SystemTime::now(),
            index,
            records: self.records.into(),
            applied: self.applied.into(),
            duplicate: self.duplicate.into(),
            stale: self.stale.into(),
            superseded: self.superseded.into(),
            rejected: self.rejected.into(),
            failed: self.failed.into(),
            order_anomalies: self.order_anomalies.into(),
            round_trips: self.round_trips.into(),
            engine_time: self.engine_time.into(),
            replication_lag: self.replication_lag_ms.map(Into::into),
        };
        let mut out = Vec::with_capacity(1024);
        INVOCATION.with_borrow_mut(|format| write(format, &line, &mut out));
        out
    }
}

/// Metrics that wait until their invocation is answered: the answer need not wait for them.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<Vec<(Metrics, String)>>);

impl Outbox {
    /// Takes the metrics of an invocation that is about to be answered.
    pub fn put(&self, metrics: Metrics, index: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((metrics, index.to_owned()));
    }

    /// Writes what waits to standard output, where Lambda's logs take it up. To be called before the next event is asked for:
    /// from then on Lambda may freeze the process.
    #[expect(clippy::print_stdout, reason = "metrics are lines on standard output; the macro lets tests capture them")]
    pub fn flush(&self) {
        for (metrics, index) in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            print!("{}", String::from_utf8_lossy(&metrics.lines(&index)));
        }
    }
}

thread_local! {
    /// Kept from one invocation to the next.
    static INVOCATION: RefCell<Emf> = RefCell::new(emf(vec![vec!["Index".to_owned()]]));
}

fn emf(dimensions: Vec<Vec<String>>) -> Emf {
    Emf::builder(NAMESPACE.to_owned(), dimensions).build()
}

fn write(format: &mut Emf, line: &impl Entry, out: &mut Vec<u8>) {
    format.format(line, out).expect("invariant: the fields are fixed and memory takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_every_metric_with_its_unit() {
        let metrics =
            Metrics { records: 3, applied: 2, failed: 1, replication_lag_ms: Some(250), ..Metrics::default() };
        let line = String::from_utf8(metrics.line("activity")).expect("UTF-8");
        assert_eq!((line.matches('\n').count(), line.ends_with('\n')), (1, true));
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            (&directive["Namespace"], &directive["Dimensions"]),
            (&"driftless".into(), &serde_json::json!([["Index"]]))
        );
        let units: std::collections::BTreeMap<&str, &str> = directive["Metrics"]
            .as_array()
            .expect("metrics")
            .iter()
            .map(|metric| (metric["Name"].as_str().expect("a name"), metric["Unit"].as_str().expect("a unit")))
            .collect();
        for count in [
            "Records",
            "Applied",
            "Duplicate",
            "Stale",
            "Superseded",
            "Rejected",
            "Failed",
            "OrderAnomalies",
            "RoundTrips",
        ] {
            assert_eq!(units.get(count), Some(&"Count"), "{count}");
        }
        assert_eq!(
            (units.get("EngineTime"), units.get("ReplicationLag")),
            (Some(&"Milliseconds"), Some(&"Milliseconds"))
        );
        assert_eq!(
            (&line["Index"], &line["Applied"], &line["ReplicationLag"]),
            (&"activity".into(), &2.into(), &250.into())
        );
    }

    #[test]
    fn an_unknown_lag_is_absent() {
        let line: serde_json::Value = serde_json::from_slice(&Metrics::new(1).line("i")).expect("JSON");
        assert!(line.get("ReplicationLag").is_none());
    }
}
