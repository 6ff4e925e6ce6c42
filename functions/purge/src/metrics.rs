//! Result of an invocation as a line of CloudWatch's embedded metric format.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driftless::time::Timestamp;
use metrique_writer::Entry;
use metrique_writer::format::Format as _;
use metrique_writer::unit::AsCount;
use metrique_writer_format_emf::Emf;

use crate::report::PurgeReport;

/// Namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "driftless";

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Line<'i> {
    #[entry(timestamp)]
    at: SystemTime,
    index: &'i str,
    purged: AsCount<u64>,
    purge_moved: AsCount<u64>,
    purge_failed: AsCount<u64>,
}

/// Writes the line of an invocation to standard output.
#[expect(clippy::print_stdout, reason = "metrics are lines on standard output; the macro lets tests capture them")]
pub fn print(report: &PurgeReport, index: &str, at: Timestamp) {
    print!("{}", String::from_utf8_lossy(&line(report, index, at)));
}

fn line(report: &PurgeReport, index: &str, at: Timestamp) -> Vec<u8> {
    let line = Line {
        at: UNIX_EPOCH + Duration::from_millis(at.as_millis()),
        index,
        purged: report.purged.into(),
        purge_moved: report.moved.into(),
        purge_failed: report.failed.into(),
    };
    let mut emf = Emf::builder(NAMESPACE.to_owned(), vec![vec!["Index".to_owned()]]).build();
    let mut out = Vec::with_capacity(512);
    emf.format(&line, &mut out).expect("invariant: the fields are fixed and memory takes every write");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_was_purged() {
        let report = PurgeReport { purged: 3, moved: 1, ..PurgeReport::default() };
        let line: serde_json::Value =
            serde_json::from_slice(&line(&report, "activity", Timestamp::from_millis(1))).expect("JSON");
        assert_eq!((&line["Purged"], &line["PurgeMoved"], &line["Index"]), (&3.into(), &1.into(), &"activity".into()));
    }
}
