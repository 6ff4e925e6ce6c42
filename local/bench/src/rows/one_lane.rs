//! B1: what the function costs over the bare network, one lane, one change at a time.

use std::time::Duration;

use anyhow::Result;
use driftless_display::chart::PercentileChart;
use driftless_harness::mapping::MemoryStream;
use driftless_harness::mapping::record::StreamRecord;
use hdrhistogram::Histogram;

use crate::bed::Bed;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::lane::{Lane, histogram, median, micros, quantile_ms};
use crate::plain::Plain;
use crate::report::Drawing;

/// Changes per block.
const BLOCK: u64 = 52;
/// The first of a block that counts.
const FIRST_COUNTED: usize = 2;
/// Blocks that warm up and do not count.
const WARM_UP_BLOCKS: u64 = 4;

/// The three ways in which a change meets its document, with the target of each.
const CASES: [(&str, &str, bool, Option<f64>); 3] = [
    ("INSERT", "b1-insert", false, Some(1.25)),
    ("MODIFY, known", "b1-modify-known", false, Some(1.25)),
    ("MODIFY, unseen", "b1-modify-unseen", true, None),
];
const TARGET_P50: f64 = 1.10;

/// Function, bare request and the function that does nothing, for one case.
struct Case {
    name: &'static str,
    /// Its chart's file.
    file: &'static str,
    /// The bare limit is a read and a write.
    reads: bool,
    target_p99: Option<f64>,
    function: Histogram<u64>,
    plain: Histogram<u64>,
    nothing: Histogram<u64>,
    /// The function that does nothing and the bare request, added change by change: what a function that costs nothing would take.
    limit: Histogram<u64>,
    /// The function's median over the bare one, block by block.
    blocks: Vec<f64>,
}

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<(Row, Vec<Drawing>)> {
    let blocks = bed.scale(100, 24);
    let index = bed.index("one-lane");
    let mut lane = Lane::start(bed.subject.function(&index)).await?;
    // Writes what the measured lane has not seen.
    let mut other = Lane::start(bed.subject.function(&index)).await?;
    let mut nothing = Lane::start(bed.subject.nothing()).await?;
    let mut plain = bed.plain("one-lane").await?;
    let stream = MemoryStream::new("benchmark", changes::KEY);
    let mut cases = CASES.map(|(name, file, reads, target_p99)| Case {
        name,
        file,
        reads,
        target_p99,
        function: histogram(),
        plain: histogram(),
        nothing: histogram(),
        limit: histogram(),
        blocks: Vec::new(),
    });
    for block in 0..WARM_UP_BLOCKS + blocks {
        if block == WARM_UP_BLOCKS {
            bed.pause_refresh().await?;
        }
        let keys = block * BLOCK..(block + 1) * BLOCK;
        let unseen = (1 << 32) + keys.start..(1 << 32) + keys.end;
        for record in changes::push(&stream, unseen.clone().map(|key| changes::put(key, 0, key))).await? {
            other.deliver(std::slice::from_ref(&record)).await?;
            plain.bulk(changes::plain_operations(std::slice::from_ref(&record))?).await?;
        }
        let inserts = changes::push(&stream, keys.clone().map(|key| changes::put(key, 0, key))).await?;
        let known = changes::push(&stream, keys.map(|key| changes::put(key, 1, key))).await?;
        let unseen = changes::push(&stream, unseen.map(|key| changes::put(key, 1, key))).await?;
        for (case, records) in cases.iter_mut().zip([inserts, known, unseen]) {
            let counts = block >= WARM_UP_BLOCKS;
            case.measure(&records, (&mut lane, &mut plain, &mut nothing), counts).await?;
        }
    }
    bed.expect_visible(&index, (WARM_UP_BLOCKS + blocks) * BLOCK * 2).await?;
    let workload = format!(
        "one lane, batch 1, {} changes of each kind: each one through the function and, after a function that does nothing, as a bare, \
         unguarded bulk of one; who begins alternates",
        blocks * (BLOCK - FIRST_COUNTED as u64)
    );
    let target = "INSERT and MODIFY of what this lane wrote: p50 at most 1.10 times the bare request, p99 at most 1.25 times; MODIFY \
                  of an unseen document: p50 at most 1.10 times bare read and bare write; less the time of a function that does nothing";
    let mut row = Row::new(RowId::B1, "Cost of the function over the bare network", workload, target);
    cases.iter().for_each(|case| case.tell(&mut row));
    row.note("The engine's refresh rests, for function and bare requests alike: here it shares two processors with both, and takes them for milliseconds once a second.");
    row.note("From every latency of the function the median of the function that does nothing is taken: the price of the Runtime API. At p99 the bare limit is \
              that of the function that does nothing and the bare request, added change by change, less the same median: the Runtime API's own slowest cases \
              count for both sides, and not for the function alone. The figure without that stands below it.");
    let drawings = cases.into_iter().map(Case::draw).collect();
    Ok((row, drawings))
}

impl Case {
    async fn measure(
        &mut self,
        records: &[StreamRecord],
        (lane, plain, nothing): (&mut Lane, &mut Plain, &mut Lane),
        counts: bool,
    ) -> Result<()> {
        let mut times = [const { Vec::new() }; 3];
        for (nth, record) in records.iter().enumerate() {
            let record = std::slice::from_ref(record);
            let (ids, operations) = (changes::document_ids(record)?, changes::plain_operations(record)?);
            // In turn, and who begins alternates: noise hits both.
            let function_first = nth.is_multiple_of(2);
            let early = if function_first { Some(lane.deliver(record).await?) } else { None };
            // In the same rhythm: an engine that has idled answers later, here as behind a function.
            let idle = nothing.deliver(record).await?;
            let read = if self.reads { plain.read(&ids).await?.took } else { Duration::ZERO };
            let bare = read + plain.bulk(operations).await?;
            let function = match early {
                Some(function) => function,
                None => lane.deliver(record).await?,
            };
            // Everybody has idled while the block was made: the first ones wake them up.
            if nth >= FIRST_COUNTED {
                [function, bare, idle].into_iter().zip(&mut times).for_each(|(time, times)| times.push(time));
            }
        }
        if counts {
            for (histogram, times) in [&mut self.function, &mut self.plain, &mut self.nothing].into_iter().zip(&times) {
                times.iter().for_each(|time| histogram.saturating_record(micros(*time)));
            }
            let limits = times[1].iter().zip(&times[2]).map(|(bare, idle)| *bare + *idle);
            limits.for_each(|limit| self.limit.saturating_record(micros(limit)));
            let [function, plain, nothing] = times.map(|times| median(times).as_secs_f64());
            self.blocks.push((function - nothing) / plain);
        }
        Ok(())
    }

    fn draw(self) -> Drawing {
        let bare = if self.reads { "a bare read and a bare write" } else { "a bare write" };
        let series = [("function", self.function), (bare, self.plain), ("function that does nothing", self.nothing)];
        let chart = PercentileChart {
            title: format!("B1: one {} at a time, by percentile", self.name),
            y: "latency, ms".to_owned(),
            series: series.map(|(name, times)| (name.to_owned(), times)).into(),
        };
        Drawing::percentiles(self.file, chart)
    }

    fn tell(&self, row: &mut Row) {
        let name = self.name;
        let nothing = quantile_ms(&self.nothing, 0.5);
        for (what, times) in [("function", &self.function), ("bare", &self.plain), ("nothing", &self.nothing)] {
            for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
                row.add(Figure::new(format!("{name}: {what} {quantile}"), quantile_ms(times, share), "ms"));
            }
        }
        let cost = |share| quantile_ms(&self.function, share) - nothing;
        let p50 = Figure::new(format!("{name}: p50 over bare"), cost(0.5) / quantile_ms(&self.plain, 0.5), "ratio");
        row.add(p50.must(Bound::AtMost(TARGET_P50)).over(&self.blocks));
        let limit = quantile_ms(&self.limit, 0.99) - nothing;
        let p99 = Figure::new(format!("{name}: p99 over bare"), cost(0.99) / limit, "ratio");
        row.add(match self.target_p99 {
            Some(target) => p99.must(Bound::AtMost(target)),
            None => p99,
        });
        let strict = cost(0.99) / quantile_ms(&self.plain, 0.99);
        row.add(Figure::new(format!("{name}: p99 over bare, the Runtime API's tail counted as ours"), strict, "ratio"));
    }
}
