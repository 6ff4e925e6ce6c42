//! Result of the demo, as lines and as one JSON object.

use driftless_display::style;
use driftless_harness::lag::Lag;
use driftless_harness::load::LoadReport;
use driftless_harness::outcomes::FunctionCounts;
use driftless_harness::slices::backfill::BackfillSummary;
use driftless_harness::slices::verify::VerifySummary;
use driftless_harness::words::counted;
use serde::Serialize;

use crate::args::Args;
use crate::proof;
use crate::recovery::Recovery;
use crate::reindex::Reindexed;
use crate::stage::DemoStage;

/// Work that was done while the load went on, before the stream was alone.
#[derive(Debug)]
pub struct Work {
    /// Backfill of the items that the table held.
    pub backfill: BackfillSummary,
    /// Changes that were written during the backfill.
    pub changes_during_backfill: u64,
    /// The re-index after it.
    pub reindex: Reindexed,
    /// Lag of the changes meanwhile.
    pub lag: Lag,
    /// Length of the stream's own part after it.
    pub stream_seconds: f64,
}

/// The demo's result. Milliseconds and counts; absent lags mean that no change was seen.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// True if verify has proven table and index equal, and no dead letter is left.
    pub equal: bool,
    /// Items of the table.
    pub items: u64,
    /// Documents that readers of the index see.
    pub documents: u64,
    /// Items and documents that are not the same in the other.
    pub differences: u64,
    /// Backfill of the items that the table held.
    pub backfill: BackfillSummary,
    /// Changes that were written during the backfill.
    pub changes_during_backfill: u64,
    /// The re-index under load.
    pub reindex: Reindexed,
    /// Verify of the whole table and index at the end.
    pub verify: VerifySummary,
    /// Changes that the writer made.
    pub changes: u64,
    /// Changes by what they did.
    pub inserted: u64,
    /// Changes that replaced an item.
    pub modified: u64,
    /// Changes that removed an item.
    pub removed: u64,
    /// Deliveries that the guard found to have been applied before.
    pub duplicates: u64,
    /// Poison items among the changes.
    pub poison: u64,
    /// Dead letters before the redrive.
    pub dead_letters: u64,
    /// Different records among those of ours: a lost answer may leave two letters of one.
    pub dead_lettered_records: u64,
    /// Letters of Lambda's, each for records that were given up.
    pub dead_lettered_ranges: u64,
    /// Letters that the redrive took off the queue.
    pub redriven: u64,
    /// Letters that are left after it.
    pub letters_left: u64,
    /// Lag from the writer's clock to the function's answer, of the changes after the re-index.
    pub lag_p50_ms: Option<f64>,
    /// 99th percentile of the same lag.
    pub lag_p99_ms: Option<f64>,
    /// Longest such lag of any change.
    pub lag_max_ms: Option<f64>,
    /// The 99th percentile of the first half of the changes: with the next one, whether the lag grows.
    pub lag_p99_first_half_ms: Option<f64>,
    /// The 99th percentile of the second half.
    pub lag_p99_second_half_ms: Option<f64>,
    /// Median lag while backfill and re-index were at work.
    pub work_lag_p50_ms: Option<f64>,
    /// The 99th percentile of that lag.
    pub work_lag_p99_ms: Option<f64>,
    /// Length of the stream's own part, to which the lag belongs.
    pub stream_seconds: f64,
    /// From the first write until the stream had drained.
    pub seconds: f64,
    /// Outcomes that the function counted in its metrics.
    pub function: FunctionCounts,
    /// Invocations, failed ones and redeliveries included.
    pub invocations: u64,
    /// Batches that were delivered again on purpose.
    pub redelivered: u64,
    /// Function processes that were killed on purpose.
    pub killed: u64,
    /// Deliveries again after a failure.
    pub retries: u64,
    /// Settings of the run.
    pub rate: f64,
    /// Parallelization factor of the mapping.
    pub factor: usize,
    /// Limit for records of one invocation.
    pub batch_size: usize,
    /// Seed of the load's plan.
    pub seed: u64,
}

impl Summary {
    pub(crate) fn of(
        args: &Args,
        written: &LoadReport,
        stage: &DemoStage,
        Work { backfill, changes_during_backfill, reindex, lag: work_lag, stream_seconds }: Work,
        (seconds, poison, recovery, verify): (f64, u64, Recovery, VerifySummary),
        function: FunctionCounts,
    ) -> Self {
        let (stats, lag) = (stage.mapping.stats(), &stage.freshness.lag);
        let halves = lag.quantile_of_halves_ms(0.99);
        Self {
            equal: is_equal(&verify, stats.records_lost, recovery.left),
            items: verify.items,
            documents: verify.documents,
            differences: verify.differences(),
            backfill,
            changes_during_backfill,
            reindex,
            verify,
            changes: written.changes(),
            inserted: written.inserted,
            modified: written.modified,
            removed: written.removed,
            duplicates: function.duplicate,
            poison,
            dead_letters: recovery.letters,
            dead_lettered_records: recovery.records,
            dead_lettered_ranges: recovery.ranges,
            redriven: recovery.redriven,
            letters_left: recovery.left,
            lag_p50_ms: lag.quantile_ms(0.5),
            lag_p99_ms: lag.quantile_ms(0.99),
            lag_max_ms: lag.max_ms(),
            lag_p99_first_half_ms: halves.0,
            lag_p99_second_half_ms: halves.1,
            work_lag_p50_ms: work_lag.quantile_ms(0.5),
            work_lag_p99_ms: work_lag.quantile_ms(0.99),
            stream_seconds,
            seconds,
            function,
            invocations: stats.invocations,
            redelivered: stats.redelivered_batches,
            killed: stats.faults,
            retries: stats.retries,
            rate: args.rate,
            factor: args.factor,
            batch_size: args.batch_size,
            seed: args.seed,
        }
    }

    /// Returns the sentence about what the demo failed at.
    pub(crate) fn failure(&self) -> Option<String> {
        let reads = &self.reindex.reads;
        match &reads.problem {
            _ if !self.equal => Some(format!(
                "table and index are not proven equal: {}, {} left",
                proof::words(&self.verify),
                counted(self.letters_left, "dead letter")
            )),
            Some(problem) => Some(format!("a reader noticed the re-index: {problem}")),
            None => None,
        }
    }

    /// Words the summary. The first line after the blank one is the verdict.
    pub(crate) fn lines(&self) -> Vec<String> {
        let ms = |lag: Option<f64>| lag.map_or_else(|| "-".to_owned(), |lag| format!("{lag:.0} ms"));
        let verdict = match (self.equal, self.differences) {
            (true, _) => style::good("EQUAL"),
            (false, 0) => style::bad("NOT PROVEN EQUAL"),
            (false, _) => style::bad("DIFFERENT"),
        };
        let label = |label: &str| style::heading(format!("{label:<11}"));
        let [reindexed, read, found] = self.reindex.lines();
        vec![
            String::new(),
            format!("verify: table and index are {verdict}: {}", proof::words(&self.verify)),
            format!(
                "  {} {} in {:.1} s ({:.0} per second) while {} were written",
                label("backfill"),
                counted(self.backfill.items, "item"),
                self.backfill.seconds,
                per_second(&self.backfill),
                counted(self.changes_during_backfill, "change"),
            ),
            format!("  {} {reindexed}", label("re-index")),
            format!("  {} {read}", label("")),
            format!("  {} {found}", label("")),
            format!(
                "  {} {} ({}, {}, {}) in {:.1} s",
                label("changes"),
                self.changes,
                counted(self.inserted, "insert"),
                counted(self.modified, "modify"),
                counted(self.removed, "remove"),
                self.seconds
            ),
            format!(
                "  {} {}: {}, {} redriven after the mapping was fixed, {} left",
                label("poison"),
                counted(self.poison, "change"),
                counted(self.dead_letters, "dead letter"),
                self.redriven,
                self.letters_left
            ),
            format!(
                "  {} on purpose, {} delivered again and {} killed: {} refused",
                label("faults"),
                counted(self.redelivered, "batch"),
                counted(self.killed, "process"),
                counted(self.duplicates, "duplicate"),
            ),
            format!(
                "  {} p50 {}, p99 {}, max {} from write to indexed in the {:.0} s after the re-index, the poll of 250 ms \
                 included",
                label("lag"),
                ms(self.lag_p50_ms),
                ms(self.lag_p99_ms),
                ms(self.lag_max_ms),
                self.stream_seconds,
            ),
            format!(
                "  {} p99 {} in the first half, {} in the second",
                label(""),
                ms(self.lag_p99_first_half_ms),
                ms(self.lag_p99_second_half_ms)
            ),
            format!(
                "  {} p50 {}, p99 {} while backfill and re-index were at work on the same machine",
                label(""),
                ms(self.work_lag_p50_ms),
                ms(self.work_lag_p99_ms)
            ),
        ]
    }
}

/// Returns `true` if verify has proven table and index equal, and nothing waits anywhere.
fn is_equal(verify: &VerifySummary, records_lost: u64, letters_left: u64) -> bool {
    verify.equal == Some(true) && records_lost == 0 && letters_left == 0
}

#[expect(clippy::cast_precision_loss, reason = "a rounded rate is shown")]
fn per_second(backfill: &BackfillSummary) -> f64 {
    backfill.items as f64 / backfill.seconds.max(0.001)
}

#[cfg(test)]
mod tests {
    use driftless_harness::function::FunctionConfig;
    use driftless_harness::slices::verify::{OrphanSearch, Verification};
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_proof_of_verify_makes_table_and_index_equal() {
        let function = FunctionConfig::new("verify", "/verify");
        let verification =
            Verification { function, request: json!({}), segments: Some(1), orphans: OrphanSearch::Full };
        let verify = verification.summary(&verification.begin()).expect("a summary");
        let with = |equal| VerifySummary { equal, ..verify.clone() };
        assert!(is_equal(&with(Some(true)), 0, 0));
        assert!(!is_equal(&with(Some(true)), 1, 0) && !is_equal(&with(Some(true)), 0, 1));
        assert!(!is_equal(&with(Some(false)), 0, 0));
        assert!(!is_equal(&with(None), 0, 0), "what was not looked at is not proven");
    }
}
