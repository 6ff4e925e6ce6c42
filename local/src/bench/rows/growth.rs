//! B6: what the size of the index costs.

use anyhow::Result;

use super::backlog::{BATCH, Race, changes_of};
use crate::bench::bed::Bed;
use crate::bench::changes;
use crate::bench::figures::{Bound, Figure, Row, RowId};
use crate::bench::plain::Plain;
use crate::bench::report::Drawing;
use crate::chart::{LineChart, Series};
use crate::mapping::MemoryStream;

/// Documents per bulk of the filling.
const FILL_BATCH: u64 = 5_000;
/// How much of the rate may be lost between the smallest and the largest index.
const LOSS: f64 = 0.15;

/// Measures the row.
pub(in crate::bench) async fn run(bed: &Bed) -> Result<(Row, Vec<Drawing>)> {
    let sizes: &[u64] = bed.scale(&[10_000, 100_000, 1_000_000], &[10_000, 50_000, 100_000]);
    let batches: u64 = bed.scale(40, 10);
    let index = bed.index("growth");
    // Lets the function make its index; the plain writer then uses it, too.
    let mut race = Race::with(bed, &index, Plain::connect(&bed.endpoint, &index).await?).await?;
    race.deliver(changes_of(0, 0)).await?;
    let to_fill = if bed.subject.ours { format!("{index}-000001") } else { index.clone() };
    let mut filler = Plain::connect(&bed.endpoint, &to_fill).await?;
    let plain = Plain::connect(&bed.endpoint, &bed.plain_index("growth").await?).await?;
    let mut race = Race::with(bed, &index, plain).await?;
    // What fills the index is older than all that is measured.
    race.skip(changes_of(0, 0).into_iter().cycle().take(FILL_BATCH as usize)).await?;
    let (mut filled, mut next) = (BATCH, 1 << 40);
    let mut rates = Vec::new();
    let mut lines =
        ["function", "plain bulks to a small index"].map(|name| Series { name: name.to_owned(), points: Vec::new() });
    let workload = format!(
        "half INSERT and half MODIFY of unseen documents, {} changes in batches of {BATCH}, at {sizes:?} documents in the index",
        batches * BATCH
    );
    let target = "the rate at the largest index is at least 0.85 of that at the smallest";
    let mut row = Row::new(RowId::B6, "Cost against the size of the index", workload, target);
    for &size in sizes {
        fill(&mut filler, filled, size).await?;
        bed.merged(&to_fill).await?;
        filled = size;
        for batch in 0..=batches {
            let changes = if batch % 2 == 0 {
                next += BATCH;
                changes_of(next, 0)
            } else {
                // Spread over all that was filled, and never the same twice.
                let step = (size / BATCH / batches).max(1);
                changes_of((batch * step) % (size / BATCH) * BATCH, size)
            };
            race.run(changes, batch > 0).await?;
        }
        let (function, plain, ratios) = race.rates();
        row.add(Figure::new(format!("{size} documents: function"), function, "changes/s"));
        row.add(Figure::new(format!("{size} documents: plain bulks to a small index"), plain, "changes/s"));
        lines[0].points.push((size as f64, function));
        lines[1].points.push((size as f64, plain));
        rates.push((function, function / plain, ratios));
    }
    if let (Some(first), Some(last)) = (rates.first(), rates.last()) {
        let loss = Figure::new("rate at the largest over the smallest", last.0 / first.0, "ratio");
        row.add(loss.must(Bound::AtLeast(1.0 - LOSS)).over(&last.2));
        row.add(Figure::new("the same, each over plain bulks of its time", last.1 / first.1, "ratio"));
    }
    let chart = LineChart {
        title: "B6: rate against the size of the index".to_owned(),
        x: "documents in the index".to_owned(),
        y: "changes per second".to_owned(),
        series: lines.into(),
        limits: Vec::new(),
    };
    Ok((row, vec![Drawing::lines("b6-rate", chart)]))
}

/// Plain bulks of documents `from..to`, with old versions.
async fn fill(filler: &mut Plain, from: u64, to: u64) -> Result<()> {
    let mut first = from;
    while first < to {
        let last = (first + FILL_BATCH).min(to);
        // A stream of its own each time: the records are not kept.
        let stream = MemoryStream::new("fill", changes::KEY);
        let records = changes::push(&stream, (first..last).map(|key| changes::put(key, 0, key))).await?;
        filler.bulk(changes::plain_operations(&records)?).await?;
        first = last;
    }
    Ok(())
}
