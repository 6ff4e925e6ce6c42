//! Lines of CloudWatch's embedded metric format.
//!
//! Counts are sums. Times are one value per invocation, so that percentiles remain those of invocations. Several values
//! become `{"Values": […], "Counts": […]}`, of which CloudWatch takes [`MOST_VALUES`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use metrique_writer::unit::AsCount;
use metrique_writer::{Entry, Observation};
use metrique_writer_format_emf::Emf;

use super::Metrics;
use crate::function::clock::now;
use crate::function::metrics::{Milliseconds, append, format, system_time};
use crate::time::Timestamp;

/// CloudWatch's limit for the values of one metric in a line ("Target members" in "Specification: Embedded metric
/// format"). It takes no metric from a line with more.
pub(super) const MOST_VALUES: usize = 100;

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
    /// Absent if there are none, as always behind DynamoDB Streams: it would only cost log bytes.
    decided_by_item: Option<AsCount<u64>>,
    round_trips: AsCount<u64>,
    engine_time: Milliseconds,
    replication_lag: Milliseconds,
}

/// Records of one class that were not applied.
#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct ProblemLine<'i> {
    #[entry(timestamp)]
    at: SystemTime,
    index: &'i str,
    class: &'i str,
    problems: AsCount<u64>,
}

thread_local! {
    /// Format of the lines, kept from one to the next.
    static LINE: RefCell<Emf> = RefCell::new(format(&["Index"]));
    static PROBLEM_LINE: RefCell<Emf> = RefCell::new(format(&["Index", "Class"]));
}

impl Metrics {
    /// Returns the lines of one invocation: its own, and one per class of problem.
    #[must_use]
    pub fn lines(&self, index: &str) -> Vec<u8> {
        write(self, index, now())
    }

    /// Returns the invocation's own line.
    #[must_use]
    pub fn line(&self, index: &str) -> Vec<u8> {
        let without_problems = Self { problems: BTreeMap::new(), ..self.clone() };
        without_problems.lines(index)
    }
}

/// Writes one line, and one per class of problem, each with its line feed.
pub(super) fn write(metrics: &Metrics, index: &str, at: Timestamp) -> Vec<u8> {
    let at = system_time(at);
    let outcomes = &metrics.outcomes;
    let line = Line {
        at,
        index,
        records: metrics.records.into(),
        applied: outcomes.applied.into(),
        duplicate: outcomes.duplicate.into(),
        stale: outcomes.stale.into(),
        superseded: outcomes.superseded.into(),
        rejected: outcomes.rejected.into(),
        failed: outcomes.failed.into(),
        order_anomalies: outcomes.order_anomalies.into(),
        decided_by_item: (metrics.decided_by_item > 0).then(|| metrics.decided_by_item.into()),
        round_trips: metrics.round_trips.into(),
        engine_time: Milliseconds(metrics.engine_times.iter().copied().map(in_hundredths).collect()),
        replication_lag: Milliseconds(metrics.lags_ms.iter().copied().map(Observation::Unsigned).collect()),
    };
    let mut out = Vec::with_capacity(1024);
    LINE.with_borrow_mut(|format| append(format, &line, &mut out));
    for (class, &problems) in &metrics.problems {
        let line = ProblemLine { at, index, class, problems: problems.into() };
        PROBLEM_LINE.with_borrow_mut(|format| append(format, &line, &mut out));
    }
    out
}

/// Rounds a time to the hundredth of a millisecond: further digits only cost log bytes.
#[expect(clippy::cast_precision_loss, reason = "no invocation lasts for 2^52 hundredths of a millisecond")]
fn in_hundredths(time: Duration) -> Observation {
    Observation::Floating(((time.as_micros() + 5) / 10) as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::OutcomeCounts;

    #[test]
    fn one_line_names_every_metric_with_its_unit() {
        let outcomes = OutcomeCounts { applied: 2, failed: 1, ..OutcomeCounts::default() };
        let metrics = Metrics { outcomes, lags_ms: vec![250], ..Metrics::new(3) };
        let line = String::from_utf8(metrics.lines("activity")).expect("UTF-8");
        assert_eq!((line.matches('\n').count(), line.ends_with('\n')), (1, true));
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            (&directive["Namespace"], &directive["Dimensions"]),
            (&"driftless".into(), &serde_json::json!([["Index"]]))
        );
        let units: BTreeMap<&str, &str> = directive["Metrics"]
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
        let line: serde_json::Value = serde_json::from_slice(&Metrics::new(1).lines("i")).expect("JSON");
        assert!(line.get("ReplicationLag").is_none());
    }

    #[test]
    fn decisions_by_items_are_counted_where_there_are_some() {
        let line =
            |metrics: &Metrics| -> serde_json::Value { serde_json::from_slice(&metrics.lines("i")).expect("JSON") };
        let mut sum = Metrics::new(1);
        assert!(!line(&sum).to_string().contains("DecidedByItem"));
        sum.decided_by_item(2);
        sum.add({
            let mut more = Metrics::new(3);
            more.decided_by_item(3);
            more
        });
        let line = line(&sum);
        assert_eq!(line["DecidedByItem"], 5);
        let unit = serde_json::json!({"Name": "DecidedByItem", "Unit": "Count"});
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("metrics");
        assert!(metrics.contains(&unit), "{line}");
    }

    #[test]
    fn times_of_several_invocations_are_values_and_counts_are_sums() {
        let mut sum = Metrics::new(2);
        sum.engine(Duration::from_micros(1_234), 1);
        let mut more = Metrics { lags_ms: vec![40], ..Metrics::new(3) };
        more.engine(Duration::from_micros(375), 2);
        sum.add(more);
        let line: serde_json::Value = serde_json::from_slice(&sum.lines("i")).expect("JSON");
        assert_eq!((&line["Records"], &line["RoundTrips"]), (&5.into(), &3.into()));
        assert_eq!(line["EngineTime"], serde_json::json!({"Values": [1.23, 0.38], "Counts": [1, 1]}));
        assert_eq!(line["ReplicationLag"], 40);
    }
}
