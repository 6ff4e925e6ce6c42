//! B4: catching up with a backlog, in batches of 1,000, beside baseline bulks of the same documents.

use anyhow::Result;
use driftless_harness::mapping::MemoryChange;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::About;
use crate::changes;
use crate::comparison::{BATCH, BatchTimes, Comparison, changes_of};
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::test_bed::TestBed;

pub(crate) const ABOUT: About = About {
    number: "B4",
    name: "backlog",
    title: "catching up with a backlog",
    headline: "INSERT: function over baseline",
    notes: include_str!("backlog.md"),
};

/// Number of documents that the lane surely remembers: it remembers 10,000.
pub(super) const KNOWN_KEYS: u64 = 8_000;
/// Keys of the skewed workload, and the hot ones of them.
pub(super) const SKEWED_KEYS: u64 = 8_000;
const HOT_KEYS: u64 = SKEWED_KEYS / 100;
const HOT_SHARE: f64 = 0.8;

/// Kinds of backlogs, in the order of their measurement, and the share of the baseline's rate that each must reach.
const KINDS: [(&str, f64); 4] =
    [("INSERT", 0.9), ("MODIFY, unseen", 0.6), ("MODIFY, known", 0.9), ("MODIFY, skewed", 1.0)];

/// Measures the backlogs of all kinds.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let (rounds, batches) = bed.scale((3, 100), (1, 12));
    let workload = format!(
        "one lane, batch size {}, {} changes of each kind in each of {rounds} rounds, from a stream in memory",
        thousands(BATCH as f64),
        thousands((batches * BATCH) as f64)
    );
    let mut row = Row::new(RowId::Backlog, workload);
    let mut all = [const { BatchTimes::new() }; KINDS.len()];
    for number in 0..rounds {
        for (times, more) in all.iter_mut().zip(round(bed, batches, number).await?) {
            times.extend(more);
        }
    }
    for ((name, share), times) in KINDS.into_iter().zip(&all) {
        row.add(Figure::new(format!("{name}: function"), times.rate(), "changes/s"));
        row.add(Figure::new(format!("{name}: baseline"), times.baseline_rate(), "changes/s"));
        row.add(Figure::new(format!("{name}: a batch through the no-op function"), times.no_op_ms(), "ms"));
        let ratio = times.rate() / times.baseline_rate();
        let ratio = Figure::new(format!("{name}: function over baseline"), ratio, "ratio");
        row.add(ratio.bounded(Bound::AtLeast(share)).with_noise(&times.ratios()));
    }
    Ok(row)
}

/// Measures all kinds once, in their order, on processes and indices of their own.
async fn round(bed: &TestBed, batches: u64, number: u64) -> Result<[BatchTimes; KINDS.len()]> {
    let index = bed.index("backlog-insert");
    let mut comparison = Comparison::start(bed, &index, "backlog-insert").await?;
    for batch in 0..=batches {
        comparison.write_batch(changes_of(batch * BATCH, 0), batch > 0).await?;
    }
    bed.expect_visible(&index, (batches + 1) * BATCH).await?;
    let insert = comparison.take_times();

    // The new process has seen none of the documents.
    comparison.renew_process(bed, &index).await?;
    for batch in 0..=batches {
        comparison.write_batch(changes_of(batch * BATCH, 1), batch > 0).await?;
    }
    let unseen = comparison.take_times();
    drop(comparison);
    bed.drop_indices().await?;

    let index = bed.index("backlog-modify");
    let mut comparison = Comparison::start(bed, &index, "backlog-modify").await?;
    let known_batches = KNOWN_KEYS / BATCH;
    for batch in 0..known_batches + batches {
        let changes = changes_of(batch % known_batches * BATCH, batch / known_batches);
        comparison.write_batch(changes, batch >= known_batches).await?;
    }
    bed.expect_visible(&index, KNOWN_KEYS).await?;
    let known = comparison.take_times();

    let mut random = StdRng::seed_from_u64(bed.seed + number);
    for batch in 0..=batches {
        comparison.write_batch(skewed(&mut random, batch), batch > 0).await?;
    }
    bed.expect_visible(&index, SKEWED_KEYS).await?;
    let skewed = comparison.take_times();
    drop(comparison);
    bed.drop_indices().await?;
    Ok([insert, unseen, known, skewed])
}

/// Changes of a batch, most of them of a few keys.
pub(super) fn skewed(random: &mut StdRng, batch: u64) -> Vec<MemoryChange> {
    let change = |_| {
        let hot = random.random_bool(HOT_SHARE);
        let key = if hot { random.random_range(0..HOT_KEYS) } else { random.random_range(HOT_KEYS..SKEWED_KEYS) };
        changes::put(key, 1_000 + batch, key)
    };
    (0..BATCH).map(change).collect()
}
