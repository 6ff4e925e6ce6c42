//! Latency of single changes, as in B1.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use driftless_harness::mapping::MemoryChange;
use hdrhistogram::Histogram;

use super::pair::{MOST_LATENCY, PairedRecords, PairedTimes, SourcePair};
use crate::changes;
use crate::figures::{Bound, Figure, Row};
use crate::rows::one_lane::{BLOCK, FIRST_COUNTED, WARM_UP_BLOCKS};
use crate::test_bed::TestBed;
use crate::timed_process::{TimedProcess, histogram, median, micros, quantile_ms};

/// The ways in which a change meets its document.
const KINDS: [&str; 3] = ["INSERT", "MODIFY, known", "MODIFY, unseen"];

/// Latencies of one kind of change.
struct PairedLatencies {
    streams: Histogram<u64>,
    kinesis: Histogram<u64>,
    no_op: Histogram<u64>,
    /// Median of the one way over that of the other, block by block.
    blocks: Vec<f64>,
}

/// Number of changes of each kind that count.
pub(super) fn counted(bed: &TestBed) -> u64 {
    blocks(bed) * (BLOCK - FIRST_COUNTED as u64)
}

fn blocks(bed: &TestBed) -> u64 {
    bed.scale(100, 12)
}

/// Measures all kinds of changes.
pub(super) async fn run(bed: &TestBed, row: &mut Row) -> Result<()> {
    let mut pair = SourcePair::start(bed, "one-lane").await?;
    let mut no_op = TimedProcess::start(bed.no_op()).await?;
    // Write the documents that the measured lanes have not seen.
    let mut others = pair.others(bed).await?;
    let mut all = KINDS.map(|_| PairedLatencies::new());
    for block in 0..WARM_UP_BLOCKS + blocks(bed) {
        if block == WARM_UP_BLOCKS {
            bed.pause_refresh().await?;
        }
        let keys = block * BLOCK..(block + 1) * BLOCK;
        let unseen = (1 << 32) + keys.start..(1 << 32) + keys.end;
        others.deliver_each(&pair.push(put(unseen.clone(), 0)).await?).await?;
        for (latencies, changes) in all.iter_mut().zip([put(keys.clone(), 0), put(keys, 1), put(unseen, 1)]) {
            let records = pair.push(changes).await?;
            let turns = write_block(&mut pair, &mut no_op, &records).await?;
            if block >= WARM_UP_BLOCKS {
                latencies.record(&turns);
            }
        }
    }
    pair.expect_visible(bed, (WARM_UP_BLOCKS + blocks(bed)) * BLOCK * 2).await?;
    for (name, latencies) in KINDS.iter().zip(&all) {
        latencies.add_figures(name, row);
    }
    Ok(())
}

/// Changes that give these keys this revision.
fn put(keys: Range<u64>, revision: u64) -> Vec<MemoryChange> {
    keys.map(|key| changes::put(key, revision, key)).collect()
}

/// Writes each change both ways in turn, so that noise hits both. Returns their times, and the no-op function's.
async fn write_block(
    pair: &mut SourcePair,
    no_op: &mut TimedProcess,
    records: &PairedRecords,
) -> Result<Vec<(PairedTimes, Duration)>> {
    let mut turns = Vec::new();
    for (streams, kinesis) in records.streams.chunks(1).zip(records.kinesis.chunks(1)) {
        turns.push((pair.deliver(streams, kinesis).await?, no_op.deliver(streams).await?));
    }
    // All were idle while the block was made: its first changes wake them up.
    Ok(turns.split_off(FIRST_COUNTED))
}

impl PairedLatencies {
    fn new() -> Self {
        let [streams, kinesis, no_op] = std::array::from_fn(|_| histogram());
        Self { streams, kinesis, no_op, blocks: Vec::new() }
    }

    fn record(&mut self, turns: &[(PairedTimes, Duration)]) {
        for (times, no_op) in turns {
            self.streams.saturating_record(micros(times.streams));
            self.kinesis.saturating_record(micros(times.kinesis));
            self.no_op.saturating_record(micros(*no_op));
        }
        let median_of =
            |time: fn(&(PairedTimes, Duration)) -> Duration| median(turns.iter().map(time).collect()).as_secs_f64();
        let no_op = median_of(|turn| turn.1);
        let (streams, kinesis) = (median_of(|turn| turn.0.streams), median_of(|turn| turn.0.kinesis));
        self.blocks.push((kinesis - no_op) / (streams - no_op));
    }

    fn add_figures(&self, kind: &str, row: &mut Row) {
        let case = format!("one at a time, {kind}");
        for (way, times) in [("streams", &self.streams), ("Kinesis", &self.kinesis), ("no-op", &self.no_op)] {
            for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
                row.add(Figure::new(format!("{case}: {way} {quantile}"), quantile_ms(times, share), "ms"));
            }
        }
        let runtime_api = quantile_ms(&self.no_op, 0.5);
        let over_streams = |share| {
            (quantile_ms(&self.kinesis, share) - runtime_api) / (quantile_ms(&self.streams, share) - runtime_api)
        };
        let p50 = Figure::new(format!("{case}: p50 over streams"), over_streams(0.5), "ratio");
        row.add(p50.bounded(Bound::AtMost(MOST_LATENCY)).with_noise(&self.blocks));
        row.add(Figure::new(format!("{case}: p99 over streams"), over_streams(0.99), "ratio"));
    }
}
