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
use crate::timed_process::{TimedProcess, median};

/// Kinds of backlogs, in the order of their measurement.
const KINDS: [&str; 4] = ["INSERT", "MODIFY, unseen", "MODIFY, known", "MODIFY, skewed"];

/// Number of batches of each kind that count.
pub(super) fn batches(bed: &TestBed) -> u64 {
    bed.scale(100, 8)
}

/// Measures the backlogs of all kinds.
pub(super) async fn run(bed: &TestBed, row: &mut Row) -> Result<()> {
    let batches = batches(bed);
    let mut no_op = TimedProcess::start(bed.no_op()).await?;
    let mut pair = SourcePair::start(bed, "backlog-insert").await?;
    let insert = pair.write(&mut no_op, (0..=batches).map(|batch| changes_of(batch * BATCH, 0)), 1).await?;
    pair.expect_visible(bed, (batches + 1) * BATCH).await?;
    // The new processes have seen none of the documents.
    pair.renew_processes(bed).await?;
    let unseen = pair.write(&mut no_op, (0..=batches).map(|batch| changes_of(batch * BATCH, 1)), 1).await?;
    drop(pair);
    bed.drop_indices().await?;

    let mut pair = SourcePair::start(bed, "backlog-modify").await?;
    let round = KNOWN_KEYS / BATCH;
    let of_known = (0..round + batches).map(|batch| changes_of(batch % round * BATCH, batch / round));
    let known = pair.write(&mut no_op, of_known, round).await?;
    pair.expect_visible(bed, KNOWN_KEYS).await?;
    let mut random = StdRng::seed_from_u64(bed.seed);
    let skewed = pair.write(&mut no_op, (0..=batches).map(|batch| skewed(&mut random, batch)), 1).await?;
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
        no_op: &mut TimedProcess,
        batches: impl Iterator<Item = Vec<MemoryChange>>,
        uncounted: u64,
    ) -> Result<Vec<BatchTimes>> {
        let mut times = Vec::new();
        for (batch, at) in batches.zip(0..) {
            let records = self.push(batch).await?;
            let took = self.deliver(&records.streams, &records.kinesis).await?;
            let streams = no_op.deliver(&records.streams).await?;
            let no_op = PairedTimes { streams, kinesis: no_op.deliver(&records.kinesis).await? };
            if at >= uncounted {
                times.push(BatchTimes { took, no_op });
            }
        }
        Ok(times)
    }
}

/// Times of one batch, both ways.
struct BatchTimes {
    took: PairedTimes,
    /// Times of the function that does nothing, with the same events.
    no_op: PairedTimes,
}

fn add_figures(kind: &str, times: &[BatchTimes], row: &mut Row) {
    let rate = |of: fn(&BatchTimes) -> Duration| {
        times.len() as f64 * BATCH as f64 / times.iter().map(of).sum::<Duration>().as_secs_f64()
    };
    let (streams, kinesis) = (rate(|times| times.took.streams), rate(|times| times.took.kinesis));
    row.add(Figure::new(format!("backlog, {kind}: streams"), streams, "changes/s"));
    row.add(Figure::new(format!("backlog, {kind}: Kinesis"), kinesis, "changes/s"));
    let over_streams = |of: fn(&BatchTimes) -> PairedTimes| -> Vec<f64> {
        times.iter().map(of).map(|times| times.streams.as_secs_f64() / times.kinesis.as_secs_f64()).collect()
    };
    // Not the rates' own ratio: one pause of the engine falls to one of the two, and is several hundredths of it.
    let ratios = over_streams(|times| times.took);
    let ratio = Figure::new(format!("backlog, {kind}: rate over streams"), median(ratios.clone()), "ratio");
    row.add(ratio.bounded(Bound::AtLeast(LEAST_RATE)).with_noise(&ratios));
    let own = over_streams(|times| PairedTimes {
        streams: times.took.streams.saturating_sub(times.no_op.streams),
        kinesis: times.took.kinesis.saturating_sub(times.no_op.kinesis),
    });
    row.add(Figure::new(format!("backlog, {kind}: rate over streams, less the no-op function"), median(own), "ratio"));
    for (way, of) in [
        ("streams", (|times| times.no_op.streams) as fn(&BatchTimes) -> Duration),
        ("Kinesis", |times| times.no_op.kinesis),
    ] {
        let batch = median(times.iter().map(of).collect()).as_secs_f64() * 1_000.0;
        row.add(Figure::new(format!("backlog, {kind}: no-op function, batch of {way}"), batch, "ms"));
    }
}
