//! B9: against what people do without us: plain writes of the same items, without metadata, into an index with the
//! engine's own dynamic mapping.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use driftless_harness::mapping::MemoryStream;
use driftless_harness::mapping::record::StreamRecord;
use hdrhistogram::Histogram;
use hyper::Method;

use crate::bed::Bed;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::lane::{Lane, histogram, median, micros, quantile_ms};
use crate::plain::Plain;

/// Changes per delivery.
const SIZES: [u64; 3] = [1, 100, 1_000];
/// Deliveries of a round that warm up and do not count.
const WARM_UP: u64 = 4;

const TARGET_P50: f64 = 1.15;
const TARGET_RATE: f64 = 0.90;
const TARGET_BYTES: f64 = 1.15;

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<Row> {
    let (rounds, deliveries) = bed.scale((5, [1_000, 300, 60]), (3, [300, 80, 16]));
    let workload = format!(
        "INSERTs of the items of B1 and B4 in memory, one lane, {deliveries:?} deliveries of {SIZES:?} changes; in turn, plain bulks of the \
         same items without _driftless into an index that the engine maps by itself; {rounds} rounds, each with a process and indices of its own"
    );
    let target = "one at a time: p50 at most 1.15 times the plain write, less the time of a function that does nothing; in bulks of \
                  100 and 1,000: at least 0.90 of the rate; on disk: at most 1.15 times the bytes per document";
    let mut row = Row::new(RowId::B9, "Against plain writes into the engine's own mapping", workload, target);
    let mut contests = SIZES.map(Contest::new);
    for round in 0..rounds {
        for (contest, deliveries) in contests.iter_mut().zip(deliveries) {
            contest.run_round(bed, deliveries, round).await?;
        }
    }
    contests.iter().for_each(|contest| contest.tell(&mut row));
    row.note(
        "Bytes on disk are those of the primaries in one segment, after a flush. A rate is that of all time that was spent, and a function's \
         time includes the Runtime API's.",
    );
    row.note("A batch of 100 goes in one bulk, of 1,000 in two at once; the plain writer sends one bulk of either.");
    Ok(row)
}

/// Function, plain writer and the function that does nothing, with so many changes per delivery.
struct Contest {
    size: u64,
    function: Times,
    plain: Times,
    nothing: Times,
    /// The function's time over that of the plain writer, round by round.
    rounds: Vec<f64>,
    /// Bytes per document of the function's index and of the plain one, round by round.
    bytes: Vec<(f64, f64)>,
}

/// What one writer took.
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

/// What writes in a round.
struct Writers {
    lane: Lane,
    nothing: Lane,
    plain: Plain,
    stream: MemoryStream,
}

/// What one delivery took.
struct Took {
    function: Duration,
    plain: Duration,
    nothing: Duration,
}

impl Contest {
    fn new(size: u64) -> Self {
        let [function, plain, nothing] = std::array::from_fn(|_| Times::new());
        Self { size, function, plain, nothing, rounds: Vec::new(), bytes: Vec::new() }
    }

    async fn run_round(&mut self, bed: &Bed, deliveries: u64, round: u64) -> Result<()> {
        let index = bed.index("unguarded");
        let by_engine = bed.index("unguarded-plain");
        let mut plain = Plain::connect(&bed.endpoint, &by_engine).await?;
        plain.send(Method::PUT, &format!("/{by_engine}"), Bytes::new()).await?;
        let mut writers = Writers {
            lane: Lane::start(bed.subject.function(&index)).await?,
            nothing: Lane::start(bed.subject.nothing()).await?,
            plain,
            stream: MemoryStream::new("benchmark", changes::KEY),
        };
        let mut counted = Vec::new();
        for delivery in 0..WARM_UP + deliveries {
            let plain_first = (delivery + round).is_multiple_of(2);
            let took = writers.deliver(delivery * self.size, self.size, plain_first).await?;
            if delivery >= WARM_UP {
                self.function.record(took.function);
                self.plain.record(took.plain);
                self.nothing.record(took.nothing);
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

    /// The function's cost over that of the plain writer: medians where one change goes at a time, all time in bulks.
    fn cost(&self, counted: &[Took]) -> f64 {
        let of = |pick: fn(&Took) -> Duration| -> f64 {
            let times = counted.iter().map(pick);
            if self.size == 1 { median(times.collect()).as_secs_f64() } else { times.sum::<Duration>().as_secs_f64() }
        };
        let nothing = if self.size == 1 { of(|took| took.nothing) } else { 0.0 };
        (of(|took| took.function) - nothing) / of(|took| took.plain)
    }

    fn tell(&self, row: &mut Row) {
        if self.size == 1 {
            self.tell_latency(row)
        } else {
            self.tell_rate(row)
        }
        if !self.bytes.is_empty() {
            self.tell_bytes(row);
        }
    }

    fn tell_latency(&self, row: &mut Row) {
        for (what, times) in [("function", &self.function), ("plain", &self.plain), ("nothing", &self.nothing)] {
            for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
                row.add(Figure::new(format!("one at a time: {what} {quantile}"), quantile_ms(&times.all, share), "ms"));
            }
        }
        let p50 = |times: &Times| quantile_ms(&times.all, 0.5);
        let ratio = (p50(&self.function) - p50(&self.nothing)) / p50(&self.plain);
        let figure = Figure::new("one at a time: p50 over plain", ratio, "ratio");
        row.add(figure.must(Bound::AtMost(TARGET_P50)).over(&self.rounds));
    }

    fn tell_rate(&self, row: &mut Row) {
        let size = self.size;
        let (function, plain) = (self.function.rate(size), self.plain.rate(size));
        let idle = quantile_ms(&self.nothing.all, 0.5);
        row.add(Figure::new(format!("bulks of {size}: a function that does nothing, p50"), idle, "ms"));
        row.add(Figure::new(format!("bulks of {size}: function"), function, "changes/s"));
        row.add(Figure::new(format!("bulks of {size}: plain"), plain, "changes/s"));
        let figure = Figure::new(format!("bulks of {size}: function over plain"), function / plain, "ratio");
        row.add(figure.must(Bound::AtLeast(TARGET_RATE)).over(&self.rounds));
        let medians = quantile_ms(&self.plain.all, 0.5) / quantile_ms(&self.function.all, 0.5);
        row.add(Figure::new(format!("bulks of {size}: the same, of the median bulks"), medians, "ratio"));
    }

    fn tell_bytes(&self, row: &mut Row) {
        let mean = |pick: fn(&(f64, f64)) -> f64| self.bytes.iter().map(pick).sum::<f64>() / self.bytes.len() as f64;
        let (function, plain) = (mean(|bytes| bytes.0), mean(|bytes| bytes.1));
        row.add(Figure::new("on disk: function", function, "bytes/document"));
        row.add(Figure::new("on disk: plain", plain, "bytes/document"));
        row.add(
            Figure::new("on disk: function over plain", function / plain, "ratio").must(Bound::AtMost(TARGET_BYTES)),
        );
    }
}

impl Writers {
    /// The INSERTs of `size` keys from `first` on, by each writer.
    async fn deliver(&mut self, first: u64, size: u64, plain_first: bool) -> Result<Took> {
        let inserts = (first..first + size).map(|key| changes::put(key, 0, key));
        let records = changes::push(&self.stream, inserts).await?;
        let operations = changes::bare_operations(&records)?;
        let early = if plain_first { Some(self.plain_write(&records, operations.clone()).await?) } else { None };
        let function = self.lane.deliver(&records).await?;
        let (nothing, plain) = match early {
            Some(early) => early,
            None => self.plain_write(&records, operations).await?,
        };
        Ok(Took { function, plain, nothing })
    }

    /// The function that does nothing, and then the bulk: an engine that has idled answers later, here as behind a function.
    async fn plain_write(&mut self, records: &[StreamRecord], operations: Vec<u8>) -> Result<(Duration, Duration)> {
        let nothing = self.nothing.deliver(records).await?;
        Ok((nothing, self.plain.bulk(operations).await?))
    }
}

/// Bytes per document of the primaries, in one segment.
async fn bytes_per_document(bed: &Bed, index: &str) -> Result<f64> {
    let mut plain = Plain::connect(&bed.endpoint, index).await?;
    for step in ["_flush?force=true", "_forcemerge?max_num_segments=1&flush=true", "_refresh", "_flush?force=true"] {
        plain.send(Method::POST, &format!("/{index}/{step}"), Bytes::new()).await?;
    }
    let stats = plain.json(&format!("/{index}/_stats/store,docs")).await?;
    let primaries = &stats["_all"]["primaries"];
    let bytes = primaries["store"]["size_in_bytes"].as_f64().context("read the size of an index")?;
    let documents = primaries["docs"]["count"].as_f64().context("count the documents of an index")?;
    Ok(bytes / documents)
}
