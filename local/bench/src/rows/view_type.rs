//! B16: records with the new image alone, beside records with both images, through the same function in one run.

use std::time::Duration;

use anyhow::Result;
use driftless_harness::mapping::MemoryStream;
use driftless_harness::mapping::record::StreamRecord;
use hdrhistogram::Histogram;

use super::About;
use crate::changes;
use crate::comparison::BATCH;
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::processes::processor_time;
use crate::test_bed::TestBed;
use crate::timed_process::{TimedProcess, histogram, micros, quantile_ms};

pub(crate) const ABOUT: About = About {
    number: "B16",
    name: "view-type",
    title: "records with the new image alone",
    headline: "bytes of a record over both images",
    notes: include_str!("view_type.md"),
};

/// Most bytes of an event.
const PAYLOAD_BYTES: f64 = 6e6;
/// Batches of documents that a process surely remembers: it remembers 10,000 documents.
const KNOWN_BATCHES: u64 = 8;
/// Single changes of a block.
const BLOCK: u64 = 50;
/// Share of the bytes of both images that a new image has: both have the same size, and there is the envelope.
const MOST_BYTES: f64 = 0.7;
/// Least rate with the new image, over the rate with both.
const LEAST_RATE: f64 = 0.97;

/// Measures both view types in turn.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let (blocks, batches) = bed.scale((60, 60), (12, 12));
    let workload = format!(
        "one lane of each view type in turn, MODIFYs of known documents: {} in batches of one, {batches} batches of {}",
        thousands((blocks * BLOCK) as f64),
        thousands(BATCH as f64)
    );
    let mut row = Row::new(RowId::ViewType, workload);
    let mut both = ViewTypeLane::start(bed, "NEW_AND_OLD_IMAGES", true).await?;
    let mut new = ViewTypeLane::start(bed, "NEW_IMAGE", false).await?;
    for batch in 0..KNOWN_BATCHES {
        both.warm_up(batch * BATCH, 0).await?;
        new.warm_up(batch * BATCH, 0).await?;
    }
    bed.pause_refresh().await?;
    for block in 0..=blocks {
        // The first block warms up.
        let counts = block > 0;
        for lane in in_turn(block, &mut both, &mut new) {
            lane.deliver_single(block % KNOWN_BATCHES * BATCH, block + 1, counts).await?;
        }
    }
    for batch in 0..=batches {
        let (first, revision) = (batch % KNOWN_BATCHES * BATCH, 1_000 + batch);
        for lane in in_turn(batch, &mut both, &mut new) {
            lane.deliver_batch(bed, first, revision, batch > 0).await?;
        }
    }
    for lane in [&both, &new] {
        lane.add_figures(&mut row);
    }
    let over = |name: &str, of: fn(&ViewTypeLane) -> f64| Figure::new(name, of(&new) / of(&both), "ratio");
    row.add(over(ABOUT.headline, |lane| lane.record_bytes).bounded(Bound::AtMost(MOST_BYTES)));
    row.add(over("batch 1, p50 over both images", |lane| quantile_ms(&lane.singles, 0.5)));
    row.add(over("batch 1,000, processor time over both images", ViewTypeLane::processor_us));
    let pairs = new.batches.iter().zip(&both.batches);
    let ratios: Vec<f64> = pairs.map(|(new, both)| both.as_secs_f64() / new.as_secs_f64()).collect();
    let rate = over("batch 1,000, rate over both images", ViewTypeLane::rate);
    row.add(rate.bounded(Bound::AtLeast(LEAST_RATE)).with_noise(&ratios));
    Ok(row)
}

/// The lanes, the one or the other first.
fn in_turn<'l>(turn: u64, both: &'l mut ViewTypeLane, new: &'l mut ViewTypeLane) -> [&'l mut ViewTypeLane; 2] {
    if turn.is_multiple_of(2) { [both, new] } else { [new, both] }
}

/// A process of the function, and its records of one view type.
struct ViewTypeLane {
    name: &'static str,
    keeps_old_images: bool,
    stream: MemoryStream,
    process: TimedProcess,
    singles: Histogram<u64>,
    batches: Vec<Duration>,
    processor: Duration,
    /// Bytes of a record, on average over the last batch.
    record_bytes: f64,
}

impl ViewTypeLane {
    async fn start(bed: &TestBed, name: &'static str, keeps_old_images: bool) -> Result<Self> {
        let index = bed.index(&name.to_lowercase().replace('_', "-"));
        Ok(Self {
            name,
            keeps_old_images,
            stream: MemoryStream::new("benchmark", changes::KEY),
            process: TimedProcess::start(bed.function(&index)).await?,
            singles: histogram(),
            batches: Vec::new(),
            processor: Duration::ZERO,
            record_bytes: f64::NAN,
        })
    }

    /// Makes records of `BATCH` keys at the most.
    async fn records(&self, first: u64, revision: u64, most: u64) -> Result<Vec<StreamRecord>> {
        let put = if self.keeps_old_images { changes::put_with_old_image } else { changes::put };
        changes::push(&self.stream, (first..first + most).map(|key| put(key, revision, key))).await
    }

    async fn warm_up(&mut self, first: u64, revision: u64) -> Result<()> {
        let records = self.records(first, revision, BATCH).await?;
        self.process.deliver(&records).await.map(drop)
    }

    async fn deliver_single(&mut self, first: u64, revision: u64, counts: bool) -> Result<()> {
        for record in self.records(first, revision, BLOCK).await?.chunks(1) {
            let took = self.process.deliver(record).await?;
            if counts {
                self.singles.saturating_record(micros(took));
            }
        }
        Ok(())
    }

    async fn deliver_batch(&mut self, bed: &TestBed, first: u64, revision: u64, counts: bool) -> Result<()> {
        let records = self.records(first, revision, BATCH).await?;
        let bytes: usize = records.iter().map(|record| record.json().len()).sum();
        self.record_bytes = bytes as f64 / records.len() as f64;
        // The other lane's process is idle meanwhile.
        let before = processor_time(bed.subject.binary())?;
        let took = self.process.deliver(&records).await?;
        if counts {
            self.batches.push(took);
            self.processor += processor_time(bed.subject.binary())?.saturating_sub(before);
        }
        Ok(())
    }

    /// Changes per second in batches of 1,000.
    fn rate(&self) -> f64 {
        self.batches.len() as f64 * BATCH as f64 / self.batches.iter().sum::<Duration>().as_secs_f64()
    }

    /// Processor time of a record in batches of 1,000, in microseconds.
    fn processor_us(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / (self.batches.len() as f64 * BATCH as f64)
    }

    fn add_figures(&self, row: &mut Row) {
        let mut add = |quantity: &str, value: f64, unit: &str| {
            row.add(Figure::new(format!("{}: {quantity}", self.name), value, unit));
        };
        add("bytes of a record", self.record_bytes, "bytes");
        add("records in an event of 6 MB", (PAYLOAD_BYTES / self.record_bytes).floor(), "records");
        add("batch 1, p50", quantile_ms(&self.singles, 0.5), "ms");
        add("batch 1, p99", quantile_ms(&self.singles, 0.99), "ms");
        add("batch 1,000, processor time of a record", self.processor_us(), "µs");
        add("batch 1,000, rate", self.rate(), "changes/s");
    }
}
