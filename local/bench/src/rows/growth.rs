//! B6: the rate against the size of the index.

use std::time::Duration;

use anyhow::Result;
use driftless_display::chart::{Axis, Chart, Series};
use driftless_harness::mapping::{MemoryChange, MemoryStream};

use super::About;
use crate::baseline::BaselineClient;
use crate::changes;
use crate::comparison::{BATCH, BatchTimes, Comparison, changes_of};
use crate::figures::{Bound, Figure, Row, RowId};
use crate::report::Drawing;
use crate::test_bed::TestBed;

pub(crate) const ABOUT: About = About {
    number: "B6",
    name: "growth",
    title: "rate against the size of the index",
    headline: "rate at the largest index over the smallest",
    notes: include_str!("growth.md"),
};

/// Documents per bulk request that fills an index.
const FILL_BATCH: u64 = 5_000;
/// Batches of documents that one process has not seen: as many as the smallest index holds.
const UNSEEN_BATCHES: u64 = 10;
/// Share of the rate that may be lost between the smallest and the largest index.
const LOSS: f64 = 0.15;

/// Measures all sizes of the index.
pub(crate) async fn run(bed: &TestBed) -> Result<(Row, Vec<Drawing>)> {
    let sizes: &[u64] = bed.scale(&[10_000, 100_000, 1_000_000], &[10_000, 50_000, 100_000]);
    let processes = bed.scale(4, 1);
    let names: Vec<String> = sizes.iter().map(|size| short(*size)).collect();
    let workload = format!(
        "one lane, {} changes in batches of {BATCH} to each of the indices in turn, of {} documents",
        2 * processes * UNSEEN_BATCHES * BATCH,
        names.join(", ")
    );
    let mut row = Row::new(RowId::Growth, workload);
    let mut indices = Vec::new();
    for &size in sizes {
        indices.push(SizedIndex::fill(bed, size, processes).await?);
    }
    // In turn, so that OpenSearch's work in the background hits all sizes.
    for _ in 0..processes {
        for index in &mut indices {
            index.run_process(bed).await?;
        }
    }
    let rates: Vec<SizeRates> = indices.into_iter().map(SizeRates::of).collect();
    for rates in &rates {
        let name = format!("{} documents", short(rates.size));
        row.add(Figure::new(format!("{name}: function"), rates.function, "changes/s"));
        row.add(Figure::new(format!("{name}: baseline (small index)"), rates.baseline, "changes/s"));
    }
    if let (Some(first), Some(last)) = (rates.first(), rates.last()) {
        let kept = Figure::new(ABOUT.headline, last.function / first.function, "ratio");
        row.add(kept.bounded(Bound::AtLeast(1.0 - LOSS)).with_noise(&last.all.ratios()));
        let over_baseline = |rates: &SizeRates| rates.function / rates.baseline;
        let kept = over_baseline(last) / over_baseline(first);
        row.add(Figure::new("the same, each over the baseline of its time", kept, "ratio"));
        row.add(Figure::new("the same, of all time that was spent", last.all.rate() / first.all.rate(), "ratio"));
    }
    Ok((row, vec![draw(&rates)]))
}

fn draw(rates: &[SizeRates]) -> Drawing {
    let points = |rate: fn(&SizeRates) -> f64| rates.iter().map(|rates| (rates.size as f64, rate(rates))).collect();
    let function = Series::new("function", points(|rates| rates.function)).with_markers();
    let baseline = Series::new("baseline (small index)", points(|rates| rates.baseline)).with_markers();
    let (x, y) = (Axis::log("documents in the index"), Axis::linear("rate of the median batches, changes/s"));
    let chart = Chart::new("B6 growth: rate against the size of the index", x, y);
    Drawing { name: "b6-rate", chart: chart.series(function).series(baseline.baseline_of_previous()) }
}

/// Size as people write it: 10k, 1M.
fn short(size: u64) -> String {
    match size {
        1_000_000.. if size.is_multiple_of(1_000_000) => format!("{}M", size / 1_000_000),
        1_000.. if size.is_multiple_of(1_000) => format!("{}k", size / 1_000),
        _ => size.to_string(),
    }
}

/// Rates at one size, in changes per second.
struct SizeRates {
    size: u64,
    function: f64,
    baseline: f64,
    all: BatchTimes,
}

impl SizeRates {
    fn of(index: SizedIndex) -> Self {
        let SizedIndex { size, insert, modify, .. } = index;
        let ((function_insert, baseline_insert), (function_modify, baseline_modify)) =
            (insert.medians(), modify.medians());
        let rate = |insert: Duration, modify: Duration| 2.0 * BATCH as f64 / (insert + modify).as_secs_f64();
        let (function, baseline) = (rate(function_insert, function_modify), rate(baseline_insert, baseline_modify));
        let mut all = insert;
        all.extend(modify);
        Self { size, function, baseline, all }
    }
}

/// Comparison on an index of one size.
struct SizedIndex {
    size: u64,
    index: String,
    comparison: Comparison,
    /// First key of the next batch of new documents.
    new: u64,
    /// Number of batches of old documents that were changed so far.
    changed: u64,
    /// Distance from one batch of old documents to the next: they are spread over all.
    step: u64,
    insert: BatchTimes,
    modify: BatchTimes,
}

impl SizedIndex {
    /// Fills an index with `size` documents, older than all that is measured, and waits for its merges.
    async fn fill(bed: &TestBed, size: u64, processes: u64) -> Result<Self> {
        let index = bed.index("growth");
        let mut comparison = Comparison::start(bed, &index, "growth").await?;
        // The function creates its index with the first batch, and the stream skips the filling.
        comparison.deliver(changes_of(0, 0)).await?;
        comparison.skip(changes_of(0, 0).into_iter().cycle().take(FILL_BATCH as usize)).await?;
        let to_fill = if bed.subject.ours { format!("{index}-000001") } else { index.clone() };
        fill(&mut BaselineClient::connect(&bed.endpoint, &to_fill).await?, BATCH, size).await?;
        bed.merged(&to_fill).await?;
        let step = (size / BATCH / (processes * UNSEEN_BATCHES)).max(1);
        let (insert, modify) = (BatchTimes::new(), BatchTimes::new());
        Ok(Self { size, index, comparison, new: 1 << 40, changed: 0, step, insert, modify })
    }

    /// Measures a process that has seen none of the documents, as many batches as the smallest index has.
    async fn run_process(&mut self, bed: &TestBed) -> Result<()> {
        self.comparison.renew_process(bed, &self.index).await?;
        // The first batch is not counted, because it connects.
        let first = self.new_documents();
        self.comparison.write_batch(first, false).await?;
        for _ in 0..UNSEEN_BATCHES {
            let new = self.new_documents();
            self.comparison.write_batch(new, true).await?;
            self.insert.extend(self.comparison.take_times());
            let block = self.changed * self.step % (self.size / BATCH);
            self.changed += 1;
            self.comparison.write_batch(changes_of(block * BATCH, self.size), true).await?;
            self.modify.extend(self.comparison.take_times());
        }
        Ok(())
    }

    fn new_documents(&mut self) -> Vec<MemoryChange> {
        self.new += BATCH;
        changes_of(self.new, 0)
    }
}

/// Writes documents `from..to` in bulk requests, with old versions.
async fn fill(filler: &mut BaselineClient, from: u64, to: u64) -> Result<()> {
    let mut first = from;
    while first < to {
        let last = (first + FILL_BATCH).min(to);
        // A stream of its own each time, so that the records are not kept.
        let stream = MemoryStream::new("benchmark", changes::KEY);
        let records = changes::push(&stream, (first..last).map(|key| changes::put(key, 0, key))).await?;
        filler.bulk(changes::baseline_operations(&records)?).await?;
        first = last;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_do() {
        assert_eq!([10_000, 100_000, 1_000_000, 1_500].map(short), ["10k", "100k", "1M", "1500"]);
    }
}
