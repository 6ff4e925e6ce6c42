//! Catching up with a backlog in batches of 1,000, as in B4.

use std::time::Duration;

use anyhow::Result;
use driftless_harness::mapping::MemoryChange;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::pair::{LEAST_RATE, PairedTimes, SourcePair};
use crate::comparison::{BATCH, changes_of};
use crate::figures::{Bound, Figure, Row};
use crate::rows::backlog::{KNOWN_KEYS, SKEWED_KEYS, skewed};
use crate::test_bed::TestBed;
use crate::timed_process::median_ratio;

/// Kinds of backlogs, in the order of their measurement.
const KINDS: [&str; 4] = ["INSERT", "MODIFY, unseen", "MODIFY, known", "MODIFY, skewed"];

/// Number of batches of each kind that count.
pub(super) fn batches(bed: &TestBed) -> u64 {
    bed.scale(100, 8)
}

/// Measures the backlogs of all kinds.
pub(super) async fn run(bed: &TestBed, row: &mut Row) -> Result<()> {
    let batches = batches(bed);
    let mut pair = SourcePair::start(bed, "backlog-insert").await?;
    let insert = pair.write((0..=batches).map(|batch| changes_of(batch * BATCH, 0)), 1).await?;
    pair.expect_visible(bed, (batches + 1) * BATCH).await?;
    // The new processes have seen none of the documents.
    pair.renew_processes(bed).await?;
    let unseen = pair.write((0..=batches).map(|batch| changes_of(batch * BATCH, 1)), 1).await?;
    drop(pair);
    bed.drop_indices().await?;

    let mut pair = SourcePair::start(bed, "backlog-modify").await?;
    let round = KNOWN_KEYS / BATCH;
    let of_known = (0..round + batches).map(|batch| changes_of(batch % round * BATCH, batch / round));
    let known = pair.write(of_known, round).await?;
    pair.expect_visible(bed, KNOWN_KEYS).await?;
    let mut random = StdRng::seed_from_u64(bed.seed);
    let skewed = pair.write((0..=batches).map(|batch| skewed(&mut random, batch)), 1).await?;
    pair.expect_visible(bed, SKEWED_KEYS).await?;
    drop(pair);
    bed.drop_indices().await?;

    for (kind, times) in KINDS.iter().zip([insert, unseen, known, skewed]) {
        add_figures(kind, &times, row);
    }
    Ok(())
}

impl SourcePair {
    /// Writes these batches both ways, and returns the times of all but the first ones.
    async fn write(
        &mut self,
        batches: impl Iterator<Item = Vec<MemoryChange>>,
        uncounted: u64,
    ) -> Result<Vec<PairedTimes>> {
        let mut times = Vec::new();
        for (batch, at) in batches.zip(0..) {
            let records = self.push(batch).await?;
            let took = self.deliver(&records.streams, &records.kinesis).await?;
            if at >= uncounted {
                times.push(took);
            }
        }
        Ok(times)
    }
}

fn add_figures(kind: &str, times: &[PairedTimes], row: &mut Row) {
    let rate = |of: fn(&PairedTimes) -> Duration| {
        times.len() as f64 * BATCH as f64 / times.iter().map(of).sum::<Duration>().as_secs_f64()
    };
    let (streams, kinesis) = (rate(|times| times.streams), rate(|times| times.kinesis));
    row.add(Figure::new(format!("backlog, {kind}: streams"), streams, "changes/s"));
    row.add(Figure::new(format!("backlog, {kind}: Kinesis"), kinesis, "changes/s"));
    let ratios: Vec<f64> =
        times.iter().map(|times| times.streams.as_secs_f64() / times.kinesis.as_secs_f64()).collect();
    // Not the rates' own ratio: one pause of the engine falls to one of the two, and is several hundredths of it.
    let ratio = Figure::new(format!("backlog, {kind}: rate over streams"), median_ratio(ratios.clone()), "ratio");
    row.add(ratio.bounded(Bound::AtLeast(LEAST_RATE)).with_noise(&ratios));
}
