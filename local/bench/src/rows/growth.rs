//! B6: what the size of the index costs.

use std::time::Duration;

use anyhow::Result;
use driftless_display::chart::{LineChart, Series};
use driftless_harness::mapping::{MemoryChange, MemoryStream};

use crate::bed::Bed;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::plain::Plain;
use crate::race::{BATCH, Race, Times, changes_of};
use crate::report::Drawing;

/// Documents per bulk of the filling.
const FILL_BATCH: u64 = 5_000;
/// Batches of documents that one process has not seen: as many as the smallest index holds.
const UNSEEN_BATCHES: u64 = 10;
/// How much of the rate may be lost between the smallest and the largest index.
const LOSS: f64 = 0.15;

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<(Row, Vec<Drawing>)> {
    let sizes: &[u64] = bed.scale(&[10_000, 100_000, 1_000_000], &[10_000, 50_000, 100_000]);
    let processes = bed.scale(4, 1);
    let workload = format!(
        "half INSERT and half MODIFY of unseen documents, {} changes in batches of {BATCH} to each of three indices, in turn, of {sizes:?} documents",
        2 * processes * UNSEEN_BATCHES * BATCH
    );
    let target = "the rate at the largest index is at least 0.85 of that at the smallest";
    let mut row = Row::new(RowId::B6, "Cost against the size of the index", workload, target);
    let mut contests = Vec::new();
    for &size in sizes {
        contests.push(Contest::of(bed, size, processes).await?);
    }
    // In turn, so that what the engine is busy with beside hits all sizes.
    for _ in 0..processes {
        for contest in &mut contests {
            contest.run_process(bed).await?;
        }
    }
    let mut lines =
        ["function", "plain bulks to a small index"].map(|name| Series { name: name.to_owned(), points: Vec::new() });
    let mut rates = Vec::new();
    for Contest { size, insert, modify, .. } in contests {
        let ((function_insert, plain_insert), (function_modify, plain_modify)) = (insert.medians(), modify.medians());
        let rate = |insert: Duration, modify: Duration| 2.0 * BATCH as f64 / (insert + modify).as_secs_f64();
        let function = rate(function_insert, function_modify);
        let plain = rate(plain_insert, plain_modify);
        row.add(Figure::new(format!("{size} documents: function"), function, "changes/s"));
        row.add(Figure::new(format!("{size} documents: plain bulks to a small index"), plain, "changes/s"));
        lines[0].points.push((size as f64, function));
        lines[1].points.push((size as f64, plain));
        let mut all = insert;
        all.extend(modify);
        rates.push(Rate { function, over_plain: function / plain, all });
    }
    if let (Some(first), Some(last)) = (rates.first(), rates.last()) {
        let kept = Figure::new("rate at the largest over the smallest", last.function / first.function, "ratio");
        row.add(kept.must(Bound::AtLeast(1.0 - LOSS)).over(&last.all.ratios()));
        let kept = last.over_plain / first.over_plain;
        row.add(Figure::new("the same, each over plain bulks of its time", kept, "ratio"));
        row.add(Figure::new("the same, of all time that was spent", last.all.rate() / first.all.rate(), "ratio"));
    }
    row.note(
        "A rate is that of the median batches, one of each kind: a few batches take ten times as long, because the engine flushes or \
         collects garbage in them, and how many of them fall on a size is chance. With them stands the last line.",
    );
    let chart = LineChart {
        title: "B6: rate against the size of the index".to_owned(),
        x: "documents in the index".to_owned(),
        y: "changes per second".to_owned(),
        series: lines.into(),
        limits: Vec::new(),
    };
    Ok((row, vec![Drawing::lines("b6-rate", chart)]))
}

/// What was found at one size.
struct Rate {
    /// In changes per second.
    function: f64,
    over_plain: f64,
    all: Times,
}

/// The function against plain bulks, at one size.
struct Contest {
    size: u64,
    index: String,
    race: Race,
    /// The next batch of documents that the index does not have yet.
    new: u64,
    /// How many batches of documents that it has were changed, and the step from one to the next: they are spread over all.
    changed: u64,
    step: u64,
    insert: Times,
    modify: Times,
}

impl Contest {
    /// An index of `size` documents, older than all that is measured, and at rest.
    async fn of(bed: &Bed, size: u64, processes: u64) -> Result<Self> {
        let index = bed.index("growth");
        let mut race = Race::start(bed, &index, "growth").await?;
        // Lets the function make its index, and what fills it pass by.
        race.deliver(changes_of(0, 0)).await?;
        race.skip(changes_of(0, 0).into_iter().cycle().take(FILL_BATCH as usize)).await?;
        let to_fill = if bed.subject.ours { format!("{index}-000001") } else { index.clone() };
        fill(&mut Plain::connect(&bed.endpoint, &to_fill).await?, BATCH, size).await?;
        bed.merged(&to_fill).await?;
        let step = (size / BATCH / (processes * UNSEEN_BATCHES)).max(1);
        let (insert, modify) = (Times::new(), Times::new());
        Ok(Self { size, index, race, new: 1 << 40, changed: 0, step, insert, modify })
    }

    /// A process that has seen none of the documents: as many batches as the smallest index has, none of them twice.
    async fn run_process(&mut self, bed: &Bed) -> Result<()> {
        self.race.renew(bed, &self.index).await?;
        // The first batch is not counted, for it connects.
        let first = self.new_documents();
        self.race.run(first, false).await?;
        for _ in 0..UNSEEN_BATCHES {
            let new = self.new_documents();
            self.race.run(new, true).await?;
            self.insert.extend(self.race.take());
            let block = self.changed * self.step % (self.size / BATCH);
            self.changed += 1;
            self.race.run(changes_of(block * BATCH, self.size), true).await?;
            self.modify.extend(self.race.take());
        }
        Ok(())
    }

    fn new_documents(&mut self) -> Vec<MemoryChange> {
        self.new += BATCH;
        changes_of(self.new, 0)
    }
}

/// Plain bulks of documents `from..to`, with old versions.
async fn fill(filler: &mut Plain, from: u64, to: u64) -> Result<()> {
    let mut first = from;
    while first < to {
        let last = (first + FILL_BATCH).min(to);
        // A stream of its own each time: the records are not kept.
        let stream = MemoryStream::new("benchmark", changes::KEY);
        let records = changes::push(&stream, (first..last).map(|key| changes::put(key, 0, key))).await?;
        filler.bulk(changes::plain_operations(&records)?).await?;
        first = last;
    }
    Ok(())
}
