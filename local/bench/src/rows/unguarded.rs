//! B9: against what people do without a guard: bulk requests of the same items, without metadata, into an index with
//! OpenSearch's own dynamic mapping.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use driftless_harness::mapping::MemoryStream;
use driftless_harness::mapping::record::StreamRecord;
use hdrhistogram::Histogram;
use hyper::Method;

use super::About;
use crate::baseline::BaselineClient;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::test_bed::TestBed;
use crate::timed_process::{TimedProcess, histogram, median, micros, quantile_ms};

pub(crate) const ABOUT: About = About {
    number: "B9",
    name: "unguarded",
    title: "against unguarded writes into OpenSearch's own mapping",
    headline: "bulks of 1000: function over baseline",
    notes: include_str!("unguarded.md"),
};

/// Changes per delivery, in the order of measurement.
const SIZES: [u64; 3] = [1, 100, 1_000];
/// Deliveries of a round that warm up and do not count.
const WARM_UP: u64 = 4;

const MOST_P50: f64 = 1.15;
const LEAST_RATE: f64 = 0.90;
const MOST_BYTES: f64 = 1.15;

/// Measures all sizes of deliveries.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let (rounds, deliveries) = bed.scale((5, [1_000, 300, 60]), (3, [300, 80, 16]));
    let deliveries_of = deliveries
        .iter()
        .zip(SIZES)
        .map(|(count, size)| format!("{} of {}", thousands(*count as f64), thousands(size as f64)));
    let workload = format!(
        "one lane, INSERTs from memory, per round {}; {rounds} rounds with new process and indices",
        deliveries_of.collect::<Vec<_>>().join(", ")
    );
    let mut row = Row::new(RowId::Unguarded, workload);
    let mut comparisons = SIZES.map(SizeComparison::new);
    for round in 0..rounds {
        for (comparison, deliveries) in comparisons.iter_mut().zip(deliveries) {
            comparison.run_round(bed, deliveries, round).await?;
        }
    }
    comparisons.iter().for_each(|comparison| comparison.add_figures(&mut row));
    Ok(row)
}

/// Function, baseline client and no-op function, with this many changes per delivery.
struct SizeComparison {
    size: u64,
    function: Times,
    baseline: Times,
    no_op: Times,
    /// Time of the function over that of the baseline, round by round.
    rounds: Vec<f64>,
    /// Bytes per document of the function's index and of the baseline's, round by round.
    bytes: Vec<(f64, f64)>,
}

/// Times of one writer.
struct Times {
    all: Histogram<u64>,
    spent: Duration,
}

impl Times {
    fn new() -> Self {
        Self { all: histogram(), spent: Duration::ZERO }
    }

    fn record(&mut self, took: Duration) {
        self.all.saturating_record(micros(took));
        self.spent += took;
    }

    fn rate(&self, size: u64) -> f64 {
        self.all.len() as f64 * size as f64 / self.spent.as_secs_f64()
    }
}

/// The writers of a round.
struct RoundWriters {
    lane: TimedProcess,
    no_op: TimedProcess,
    baseline: BaselineClient,
    stream: MemoryStream,
}

/// Times of one delivery.
struct Took {
    function: Duration,
    baseline: Duration,
    no_op: Duration,
}

impl SizeComparison {
    fn new(size: u64) -> Self {
        let [function, baseline, no_op] = std::array::from_fn(|_| Times::new());
        Self { size, function, baseline, no_op, rounds: Vec::new(), bytes: Vec::new() }
    }

    async fn run_round(&mut self, bed: &TestBed, deliveries: u64, round: u64) -> Result<()> {
        let index = bed.index("unguarded");
        let by_engine = bed.index("unguarded-baseline");
        let mut baseline = BaselineClient::connect(&bed.endpoint, &by_engine).await?;
        baseline.send(Method::PUT, &format!("/{by_engine}"), Bytes::new()).await?;
        let mut writers = RoundWriters {
            lane: TimedProcess::start(bed.function(&index)).await?,
            no_op: TimedProcess::start(bed.no_op()).await?,
            baseline,
            stream: MemoryStream::new("benchmark", changes::KEY),
        };
        let mut counted = Vec::new();
        for delivery in 0..WARM_UP + deliveries {
            let baseline_first = (delivery + round).is_multiple_of(2);
            let took = writers.deliver(delivery * self.size, self.size, baseline_first).await?;
            if delivery >= WARM_UP {
                self.function.record(took.function);
                self.baseline.record(took.baseline);
                self.no_op.record(took.no_op);
                counted.push(took);
            }
        }
        self.rounds.push(self.cost(&counted));
        let written = (WARM_UP + deliveries) * self.size;
        bed.expect_visible(&index, written).await?;
        if self.size == SIZES[SIZES.len() - 1] && bed.subject.ours {
            self.bytes.push((bytes_per_document(bed, &index).await?, bytes_per_document(bed, &by_engine).await?));
        }
        bed.drop_indices().await
    }

    /// Cost of the function over that of the baseline: medians for single changes, all time for bulks.
    fn cost(&self, counted: &[Took]) -> f64 {
        let of = |pick: fn(&Took) -> Duration| -> f64 {
            let times = counted.iter().map(pick);
            if self.size == 1 { median(times.collect()).as_secs_f64() } else { times.sum::<Duration>().as_secs_f64() }
        };
        let no_op = if self.size == 1 { of(|took| took.no_op) } else { 0.0 };
        (of(|took| took.function) - no_op) / of(|took| took.baseline)
    }

    fn add_figures(&self, row: &mut Row) {
        if self.size == 1 {
            self.add_latency(row)
        } else {
            self.add_rate(row)
        }
        if !self.bytes.is_empty() {
            self.add_bytes(row);
        }
    }

    fn add_latency(&self, row: &mut Row) {
        for (what, times) in [("function", &self.function), ("baseline", &self.baseline), ("no-op", &self.no_op)] {
            for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
                row.add(Figure::new(format!("one at a time: {what} {quantile}"), quantile_ms(&times.all, share), "ms"));
            }
        }
        let p50 = |times: &Times| quantile_ms(&times.all, 0.5);
        let ratio = (p50(&self.function) - p50(&self.no_op)) / p50(&self.baseline);
        let figure = Figure::new("one at a time: p50 over baseline", ratio, "ratio");
        row.add(figure.bounded(Bound::AtMost(MOST_P50)).with_noise(&self.rounds));
    }

    fn add_rate(&self, row: &mut Row) {
        let size = self.size;
        let (function, baseline) = (self.function.rate(size), self.baseline.rate(size));
        let no_op = quantile_ms(&self.no_op.all, 0.5);
        row.add(Figure::new(format!("bulks of {size}: no-op function, p50"), no_op, "ms"));
        row.add(Figure::new(format!("bulks of {size}: function"), function, "changes/s"));
        row.add(Figure::new(format!("bulks of {size}: baseline"), baseline, "changes/s"));
        let figure = Figure::new(format!("bulks of {size}: function over baseline"), function / baseline, "ratio");
        row.add(figure.bounded(Bound::AtLeast(LEAST_RATE)).with_noise(&self.rounds));
        let medians = quantile_ms(&self.baseline.all, 0.5) / quantile_ms(&self.function.all, 0.5);
        row.add(Figure::new(format!("bulks of {size}: function over baseline, of the median bulks"), medians, "ratio"));
    }

    fn add_bytes(&self, row: &mut Row) {
        let mean = |pick: fn(&(f64, f64)) -> f64| self.bytes.iter().map(pick).sum::<f64>() / self.bytes.len() as f64;
        let (function, baseline) = (mean(|bytes| bytes.0), mean(|bytes| bytes.1));
        row.add(Figure::new("on disk: function", function, "bytes/document"));
        row.add(Figure::new("on disk: baseline", baseline, "bytes/document"));
        row.add(
            Figure::new("on disk: function over baseline", function / baseline, "ratio")
                .bounded(Bound::AtMost(MOST_BYTES)),
        );
    }
}

impl RoundWriters {
    /// Delivers the INSERTs of `size` keys from `first` on by each writer.
    async fn deliver(&mut self, first: u64, size: u64, baseline_first: bool) -> Result<Took> {
        let inserts = (first..first + size).map(|key| changes::put(key, 0, key));
        let records = changes::push(&self.stream, inserts).await?;
        let operations = changes::item_operations(&records)?;
        let early = if baseline_first { Some(self.baseline_write(&records, operations.clone()).await?) } else { None };
        let function = self.lane.deliver(&records).await?;
        let (no_op, baseline) = match early {
            Some(early) => early,
            None => self.baseline_write(&records, operations).await?,
        };
        Ok(Took { function, baseline, no_op })
    }

    /// Calls the no-op function, and then sends the bulk.
    /// OpenSearch answers later after an idle time, here as behind a function.
    async fn baseline_write(&mut self, records: &[StreamRecord], operations: Vec<u8>) -> Result<(Duration, Duration)> {
        let no_op = self.no_op.deliver(records).await?;
        Ok((no_op, self.baseline.bulk(operations).await?))
    }
}

/// Bytes per document of the primary shards, in one segment.
async fn bytes_per_document(bed: &TestBed, index: &str) -> Result<f64> {
    let mut baseline = BaselineClient::connect(&bed.endpoint, index).await?;
    for step in ["_flush?force=true", "_forcemerge?max_num_segments=1&flush=true", "_refresh", "_flush?force=true"] {
        baseline.send(Method::POST, &format!("/{index}/{step}"), Bytes::new()).await?;
    }
    let stats = baseline.json(&format!("/{index}/_stats/store,docs")).await?;
    let primaries = &stats["_all"]["primaries"];
    let bytes = primaries["store"]["size_in_bytes"].as_f64().context("read the size of an index")?;
    let documents = primaries["docs"]["count"].as_f64().context("count the documents of an index")?;
    Ok(bytes / documents)
}
