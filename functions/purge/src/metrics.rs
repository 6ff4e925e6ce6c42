//! Result of an invocation as a line of metrics.

use driftless::function::metrics;
use driftless::time::Timestamp;
use metrique_writer::Entry;
use metrique_writer::unit::AsCount;

use crate::report::PurgeReport;

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Metrics {
    purged: AsCount<u64>,
    purge_expired: AsCount<u64>,
    purge_moved: AsCount<u64>,
    purge_failed: AsCount<u64>,
}

impl From<&PurgeReport> for Metrics {
    fn from(report: &PurgeReport) -> Self {
        Self {
            purged: report.purged.into(),
            purge_expired: report.expired.into(),
            purge_moved: report.moved.into(),
            purge_failed: report.failed.into(),
        }
    }
}

/// Writes the line of an invocation to standard output.
pub fn print(report: &PurgeReport, index: &str, at: Timestamp) {
    metrics::print(&Metrics::from(report), index, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_was_purged() {
        let report = PurgeReport { purged: 3, moved: 1, ..PurgeReport::default() };
        let line = metrics::line(&Metrics::from(&report), "activity", Timestamp::from_millis(1));
        let line: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&line["Purged"], &line["PurgeMoved"], &line["Index"]), (&3.into(), &1.into(), &"activity".into()));
    }
}
