//! Result of an invocation as a line of metrics.

use driftless::function::metrics;
use driftless::time::Timestamp;
use metrique_writer::Entry;
use metrique_writer::unit::AsCount;

use crate::report::VerifyCounts;

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Metrics {
    verify_items: AsCount<u64>,
    verify_documents: AsCount<u64>,
    verify_differences: AsCount<u64>,
    verify_in_motion: AsCount<u64>,
    verify_repaired: AsCount<u64>,
    verify_failed: AsCount<u64>,
    verify_read_capacity: AsCount<f64>,
}

impl From<&VerifyCounts> for Metrics {
    fn from(counts: &VerifyCounts) -> Self {
        Self {
            verify_items: counts.items.into(),
            verify_documents: counts.documents.into(),
            verify_differences: counts.differences().into(),
            verify_in_motion: counts.in_motion.into(),
            verify_repaired: counts.repaired.into(),
            verify_failed: (counts.failed + counts.rejected).into(),
            verify_read_capacity: counts.rcu.into(),
        }
    }
}

/// Writes the line of an invocation to standard output.
pub fn print(counts: &VerifyCounts, index: &str, at: Timestamp) {
    metrics::print(&Metrics::from(counts), index, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_differences_of_every_kind() {
        let counts = VerifyCounts {
            items: 10,
            missing: 1,
            stale: 2,
            different: 3,
            orphaned: 4,
            tombstone_where_item_lives: 5,
            ..VerifyCounts::default()
        };
        let line = metrics::line(&Metrics::from(&counts), "activity", Timestamp::from_millis(1));
        let line: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&line["Index"], &line["VerifyItems"]), (&"activity".into(), &10.into()));
        assert_eq!(line["VerifyDifferences"], 15);
    }
}
