//! Progress as lines of metrics, every ten seconds and at the end of an invocation.

use driftless::function::metrics;
use driftless::time::Timestamp;
use metrique_writer::Entry;
use metrique_writer::unit::{AsBytes, AsCount};

use crate::report::BackfillCounts;

/// Time between two lines.
const PERIOD_MS: u64 = 10_000;

#[derive(Entry)]
#[entry(rename_all = "PascalCase")]
struct Metrics {
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
    pub fn close(&mut self, counts: &BackfillCounts, now: Timestamp) {
        if counts.items > self.told.items {
            metrics::print(&self.metrics(counts, now), self.index, now);
        }
        self.told = *counts;
        self.at = now;
    }

    #[expect(clippy::cast_precision_loss, reason = "no invocation reads 2^52 items")]
    fn metrics(&self, counts: &BackfillCounts, now: Timestamp) -> Metrics {
        let items = counts.items - self.told.items;
        let seconds = now.millis_since(self.at).max(1) as f64 / 1_000.0;
        Metrics {
            backfill_items: items.into(),
            backfill_written: (counts.written - self.told.written).into(),
            backfill_superseded: (counts.superseded - self.told.superseded).into(),
            backfill_rejected: (counts.rejected - self.told.rejected).into(),
            backfill_bytes: (counts.bytes - self.told.bytes).into(),
            backfill_read_capacity: (counts.rcu - self.told.rcu).into(),
            backfill_rate: ((items as f64 / seconds * 10.0).round() / 10.0).into(),
        }
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
        let line = metrics::line(&progress.metrics(&counts, at(4_000)), "activity", at(4_000));
        let line: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&line["Index"], &line["BackfillItems"]), (&"activity".into(), &20.into()));
        assert_eq!((&line["BackfillWritten"], &line["BackfillBytes"]), (&12.into(), &400.into()));
        assert_eq!(line["BackfillReadCapacity"].as_f64(), Some(2.5));
        assert_eq!(line["BackfillRate"].as_f64(), Some(10.0));
    }
}
