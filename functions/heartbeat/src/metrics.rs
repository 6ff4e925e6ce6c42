//! Result of a beat as a line of metrics.

use driftless::function::metrics::{self, Milliseconds};
use driftless::time::Timestamp;
use metrique_writer::Entry;
use metrique_writer::unit::AsCount;

use crate::report::HeartbeatReport;

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Metrics {
    searchable_lag: Milliseconds,
    heartbeats_missed: AsCount<u64>,
}

impl From<&HeartbeatReport> for Metrics {
    /// A beat that was not found has no lag, which the alarm takes for too long.
    fn from(report: &HeartbeatReport) -> Self {
        Self {
            searchable_lag: Milliseconds::of(report.found.then_some(report.lag_ms)),
            heartbeats_missed: u64::from(!report.found).into(),
        }
    }
}

/// Writes the line of an invocation to standard output.
pub(crate) fn print(report: &HeartbeatReport, index: &str, at: Timestamp) {
    metrics::print(&Metrics::from(report), index, at);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(found: bool) -> Value {
        let report = HeartbeatReport { found, lag_ms: 812, searches: 3 };
        let line = metrics::line(&Metrics::from(&report), "activity", Timestamp::from_millis(1));
        serde_json::from_slice(&line).expect("JSON")
    }

    #[test]
    fn only_a_beat_that_was_found_has_a_lag() {
        let found = line(true);
        assert_eq!((&found["SearchableLag"], &found["HeartbeatsMissed"]), (&json!(812), &json!(0)));
        let directive = &found["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Metrics"][0], json!({"Name": "SearchableLag", "Unit": "Milliseconds"}));
        let missed = line(false);
        assert_eq!((missed.get("SearchableLag"), &missed["HeartbeatsMissed"]), (None, &json!(1)));
    }
}
