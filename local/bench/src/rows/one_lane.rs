//! B1: latency of the function and of the baseline, one lane, one change at a time.

use std::time::Duration;

use anyhow::Result;
use driftless_display::chart::{Axis, Chart, Series};
use driftless_harness::mapping::MemoryStream;
use driftless_harness::mapping::record::StreamRecord;
use hdrhistogram::Histogram;

use super::About;
use crate::baseline::BaselineClient;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::report::Drawing;
use crate::test_bed::TestBed;
use crate::timed_process::{TimedProcess, histogram, median, micros, quantile_ms};

pub(crate) const ABOUT: About = About {
    number: "B1",
    name: "one-lane",
    title: "cost of the function over the bare network",
    headline: "INSERT: p50 over baseline",
    notes: include_str!("one_lane.md"),
};

/// Changes per block, of each kind.
pub(super) const BLOCK: u64 = 52;
/// Number of the first change of a block that counts.
pub(super) const FIRST_COUNTED: usize = 2;
/// Blocks that warm up and do not count.
pub(super) const WARM_UP_BLOCKS: u64 = 4;
const MOST_P50: f64 = 1.10;

/// The ways in which a change meets its document.
const KINDS: [MeasuredChange; 3] = [
    MeasuredChange { name: "INSERT", chart: "b1-insert", reads: false, most_p99: Some(1.25) },
    MeasuredChange { name: "MODIFY, known", chart: "b1-modify-known", reads: false, most_p99: Some(1.25) },
    MeasuredChange { name: "MODIFY, unseen", chart: "b1-modify-unseen", reads: true, most_p99: None },
];

struct MeasuredChange {
    name: &'static str,
    /// Name of the chart's file.
    chart: &'static str,
    /// True if the baseline is a read and a write.
    reads: bool,
    most_p99: Option<f64>,
}

/// Latencies of one kind of change.
struct ChangeLatencies {
    kind: MeasuredChange,
    function: Histogram<u64>,
    baseline: Histogram<u64>,
    no_op: Histogram<u64>,
    /// No-op function and baseline, added change by change: the latency of a guard that costs nothing.
    floor: Histogram<u64>,
    /// Median of the function over that of the baseline, block by block.
    blocks: Vec<f64>,
}

/// The writers that take turns.
struct Writers {
    function: TimedProcess,
    no_op: TimedProcess,
    baseline: BaselineClient,
}

/// Times of one change.
struct TurnTimes {
    function: Duration,
    no_op: Duration,
    baseline: Duration,
}

/// Measures all kinds of changes.
pub(crate) async fn run(bed: &TestBed) -> Result<(Row, Vec<Drawing>)> {
    let blocks = bed.scale(100, 24);
    let index = bed.index("one-lane");
    let mut writers = Writers {
        function: TimedProcess::start(bed.function(&index)).await?,
        no_op: TimedProcess::start(bed.no_op()).await?,
        baseline: bed.baseline("one-lane").await?,
    };
    // Writes the documents that the measured lane has not seen.
    let mut other = TimedProcess::start(bed.function(&index)).await?;
    let stream = MemoryStream::new("benchmark", changes::KEY);
    let mut cases = KINDS.map(ChangeLatencies::new);
    for block in 0..WARM_UP_BLOCKS + blocks {
        if block == WARM_UP_BLOCKS {
            bed.pause_refresh().await?;
        }
        let keys = block * BLOCK..(block + 1) * BLOCK;
        let unseen = (1 << 32) + keys.start..(1 << 32) + keys.end;
        for record in changes::push(&stream, unseen.clone().map(|key| changes::put(key, 0, key))).await? {
            other.deliver(std::slice::from_ref(&record)).await?;
            writers.baseline.bulk(changes::baseline_operations(std::slice::from_ref(&record))?).await?;
        }
        let inserts = changes::push(&stream, keys.clone().map(|key| changes::put(key, 0, key))).await?;
        let known = changes::push(&stream, keys.map(|key| changes::put(key, 1, key))).await?;
        let unseen = changes::push(&stream, unseen.map(|key| changes::put(key, 1, key))).await?;
        for (case, records) in cases.iter_mut().zip([inserts, known, unseen]) {
            let turns = writers.write_block(&records, case.kind.reads).await?;
            if block >= WARM_UP_BLOCKS {
                case.record(&turns);
            }
        }
    }
    bed.expect_visible(&index, (WARM_UP_BLOCKS + blocks) * BLOCK * 2).await?;
    let changes = thousands((blocks * (BLOCK - FIRST_COUNTED as u64)) as f64);
    let mut row = Row::new(RowId::OneLane, format!("one lane, batch size 1, {changes} changes of each kind"));
    cases.iter().for_each(|case| case.add_figures(&mut row));
    let drawings = cases.iter().map(ChangeLatencies::draw).collect();
    Ok((row, drawings))
}

impl Writers {
    /// Writes each record all ways in turn, so that noise hits all; the first writer alternates.
    async fn write_block(&mut self, records: &[StreamRecord], reads: bool) -> Result<Vec<TurnTimes>> {
        let mut turns = Vec::new();
        for (nth, record) in records.iter().enumerate() {
            let record = std::slice::from_ref(record);
            let (ids, operations) = (changes::document_ids(record)?, changes::baseline_operations(record)?);
            let function_first = nth.is_multiple_of(2);
            let early = if function_first { Some(self.function.deliver(record).await?) } else { None };
            // Before the baseline: OpenSearch answers later after an idle time, here as behind a function.
            let no_op = self.no_op.deliver(record).await?;
            let read = if reads { self.baseline.read(&ids).await?.took } else { Duration::ZERO };
            let baseline = read + self.baseline.bulk(operations).await?;
            let function = match early {
                Some(function) => function,
                None => self.function.deliver(record).await?,
            };
            // All writers were idle while the block was made: its first changes wake them up.
            if nth >= FIRST_COUNTED {
                turns.push(TurnTimes { function, no_op, baseline });
            }
        }
        Ok(turns)
    }
}

impl ChangeLatencies {
    fn new(kind: MeasuredChange) -> Self {
        let [function, baseline, no_op, floor] = std::array::from_fn(|_| histogram());
        Self { kind, function, baseline, no_op, floor, blocks: Vec::new() }
    }

    fn record(&mut self, turns: &[TurnTimes]) {
        for turn in turns {
            self.function.saturating_record(micros(turn.function));
            self.baseline.saturating_record(micros(turn.baseline));
            self.no_op.saturating_record(micros(turn.no_op));
            self.floor.saturating_record(micros(turn.no_op + turn.baseline));
        }
        let median_of = |time: fn(&TurnTimes) -> Duration| median(turns.iter().map(time).collect()).as_secs_f64();
        let cost = median_of(|turn| turn.function) - median_of(|turn| turn.no_op);
        self.blocks.push(cost / median_of(|turn| turn.baseline));
    }

    fn draw(&self) -> Drawing {
        let MeasuredChange { name, chart, reads, .. } = self.kind;
        let baseline = if reads { "baseline: read and write" } else { "baseline: write" };
        let title = format!("B1 one-lane: latency of one {name}, by percentile");
        let x = Axis::percentiles("share of changes that take at most this long");
        let drawn = Chart::new(title, x, Axis::linear("latency of one change, ms"))
            .series(Series::percentiles("function", &self.function))
            .series(Series::percentiles("no-op function + baseline", &self.floor).baseline_of_previous())
            .series(Series::percentiles(baseline, &self.baseline).dashed())
            .series(Series::percentiles("no-op function", &self.no_op).dashed());
        Drawing { name: chart, chart: drawn }
    }

    fn add_figures(&self, row: &mut Row) {
        let name = self.kind.name;
        let runtime_api = quantile_ms(&self.no_op, 0.5);
        for (writer, times) in [("function", &self.function), ("baseline", &self.baseline), ("no-op", &self.no_op)] {
            for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
                row.add(Figure::new(format!("{name}: {writer} {quantile}"), quantile_ms(times, share), "ms"));
            }
        }
        let cost = |share| quantile_ms(&self.function, share) - runtime_api;
        let p50 = cost(0.5) / quantile_ms(&self.baseline, 0.5);
        let p50 = Figure::new(format!("{name}: p50 over baseline"), p50, "ratio");
        row.add(p50.bounded(Bound::AtMost(MOST_P50)).with_noise(&self.blocks));
        let floor = quantile_ms(&self.floor, 0.99) - runtime_api;
        let p99 = Figure::new(format!("{name}: p99 over baseline"), cost(0.99) / floor, "ratio");
        row.add(match self.kind.most_p99 {
            Some(most) => p99.bounded(Bound::AtMost(most)),
            None => p99,
        });
        let strict = cost(0.99) / quantile_ms(&self.baseline, 0.99);
        row.add(Figure::new(format!("{name}: p99 over baseline, Runtime API's tail included"), strict, "ratio"));
    }
}
