//! Progress as lines of CloudWatch's embedded metric format, every ten seconds and at the end of an invocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driftless::time::Timestamp;
use metrique_writer::Entry;
use metrique_writer::format::Format as _;
use metrique_writer::unit::{AsBytes, AsCount};
use metrique_writer_format_emf::Emf;

use crate::report::BackfillCounts;

/// Namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "driftless";
/// Time between two lines.
const PERIOD_MS: u64 = 10_000;

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Line<'i> {
    #[entry(timestamp)]
    at: SystemTime,
    index: &'i str,
    backfill_items: AsCount<u64>,
    backfill_written: AsCount<u64>,
    backfill_superseded: AsCount<u64>,
    backfill_rejected: AsCount<u64>,
    backfill_bytes: AsBytes<u64>,
    backfill_read_capacity: AsCount<f64>,
    /// Items per second of the invocation.
    backfill_rate: AsCount<f64>,
}

/// Progress of one invocation.
#[derive(Debug)]
pub struct BackfillProgress<'i> {
    index: &'i str,
    told: BackfillCounts,
    at: Timestamp,
}

impl<'i> BackfillProgress<'i> {
    /// Begins at this time.
    #[must_use]
    pub fn new(index: &'i str, at: Timestamp) -> Self {
        Self { index, told: BackfillCounts::default(), at }
    }

    /// Takes the counts so far, and writes a line if one is due.
    pub fn note(&mut self, counts: &BackfillCounts, now: Timestamp) {
        if now.millis_since(self.at) >= PERIOD_MS {
            self.close(counts, now);
        }
    }

    /// Writes a line of what was not told yet.
    #[expect(clippy::print_stdout, reason = "metrics are lines on standard output; the macro lets tests capture them")]
    pub fn close(&mut self, counts: &BackfillCounts, now: Timestamp) {
        if counts.items > self.told.items {
            print!("{}", String::from_utf8_lossy(&self.line(counts, now)));
        }
        self.told = *counts;
        self.at = now;
    }

    #[expect(clippy::cast_precision_loss, reason = "no invocation reads 2^52 items")]
    fn line(&self, counts: &BackfillCounts, now: Timestamp) -> Vec<u8> {
        let items = counts.items - self.told.items;
        let seconds = now.millis_since(self.at).max(1) as f64 / 1_000.0;
        let line = Line {
            at: UNIX_EPOCH + Duration::from_millis(now.as_millis()),
            index: self.index,
            backfill_items: items.into(),
            backfill_written: (counts.written - self.told.written).into(),
            backfill_superseded: (counts.superseded - self.told.superseded).into(),
            backfill_rejected: (counts.rejected - self.told.rejected).into(),
            backfill_bytes: (counts.bytes - self.told.bytes).into(),
            backfill_read_capacity: (counts.rcu - self.told.rcu).into(),
            backfill_rate: ((items as f64 / seconds * 10.0).round() / 10.0).into(),
        };
        let mut emf = Emf::builder(NAMESPACE.to_owned(), vec![vec!["Index".to_owned()]]).build();
        let mut out = Vec::with_capacity(1024);
        emf.format(&line, &mut out).expect("invariant: the fields are fixed and memory takes every write");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_was_not_told_yet() {
        let at = Timestamp::from_millis;
        let mut progress = BackfillProgress::new("activity", at(1_000));
        let first =
            BackfillCounts { items: 10, written: 8, superseded: 2, bytes: 500, rcu: 1.5, ..BackfillCounts::default() };
        progress.close(&first, at(2_000));
        let counts = BackfillCounts {
            items: 30,
            written: 20,
            superseded: 10,
            bytes: 900,
            rcu: 4.0,
            ..BackfillCounts::default()
        };
        let line: serde_json::Value = serde_json::from_slice(&progress.line(&counts, at(4_000))).expect("JSON");
        assert_eq!((&line["Index"], &line["BackfillItems"]), (&"activity".into(), &20.into()));
        assert_eq!((&line["BackfillWritten"], &line["BackfillBytes"]), (&12.into(), &400.into()));
        assert_eq!(line["BackfillReadCapacity"].as_f64(), Some(2.5));
        assert_eq!(line["BackfillRate"].as_f64(), Some(10.0));
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "driftless");
    }
}
