//! Result of an invocation as a line of CloudWatch's embedded metric format.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driftless::time::Timestamp;
use metrique_writer::Entry;
use metrique_writer::format::Format as _;
use metrique_writer::unit::AsCount;
use metrique_writer_format_emf::Emf;

use crate::report::VerifyCounts;

/// Namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "driftless";

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Line<'i> {
    #[entry(timestamp)]
    at: SystemTime,
    index: &'i str,
    verify_items: AsCount<u64>,
    verify_documents: AsCount<u64>,
    verify_differences: AsCount<u64>,
    verify_in_motion: AsCount<u64>,
    verify_repaired: AsCount<u64>,
    verify_failed: AsCount<u64>,
    verify_read_capacity: AsCount<f64>,
}

/// Writes the line of an invocation to standard output.
#[expect(clippy::print_stdout, reason = "metrics are lines on standard output; the macro lets tests capture them")]
pub fn print(counts: &VerifyCounts, index: &str, at: Timestamp) {
    print!("{}", String::from_utf8_lossy(&line(counts, index, at)));
}

fn line(counts: &VerifyCounts, index: &str, at: Timestamp) -> Vec<u8> {
    let line = Line {
        at: UNIX_EPOCH + Duration::from_millis(at.as_millis()),
        index,
        verify_items: counts.items.into(),
        verify_documents: counts.documents.into(),
        verify_differences: counts.differences().into(),
        verify_in_motion: counts.in_motion.into(),
        verify_repaired: counts.repaired.into(),
        verify_failed: (counts.failed + counts.rejected).into(),
        verify_read_capacity: counts.rcu.into(),
    };
    let mut emf = Emf::builder(NAMESPACE.to_owned(), vec![vec!["Index".to_owned()]]).build();
    let mut out = Vec::with_capacity(1024);
    emf.format(&line, &mut out).expect("invariant: the fields are fixed and memory takes every write");
    out
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
        let line = line(&counts, "activity", Timestamp::from_millis(1));
        let line: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&line["Index"], &line["VerifyItems"]), (&"activity".into(), &10.into()));
        assert_eq!(line["VerifyDifferences"], 15);
    }
}
