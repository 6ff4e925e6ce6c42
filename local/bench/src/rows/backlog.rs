//! B4: catching up with a backlog, in batches of 1,000, beside plain bulks of the same documents.

use anyhow::Result;
use driftless_harness::mapping::MemoryChange;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::bed::Bed;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::race::{BATCH, Race, Times, changes_of};

/// As many documents as the lane surely remembers: it remembers 10,000.
const KNOWN_KEYS: u64 = 8_000;
/// Keys of the skewed workload, and how many of them are hot.
const SKEWED_KEYS: u64 = 8_000;
const HOT_KEYS: u64 = SKEWED_KEYS / 100;
const HOT_SHARE: f64 = 0.8;

/// What is measured, in this order, and what share of the rate of plain bulks it must reach.
const KINDS: [(&str, f64); 4] =
    [("INSERT", 0.9), ("MODIFY, unseen", 0.6), ("MODIFY, known", 0.9), ("80 % of the changes on 1 % of the keys", 1.0)];

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<Row> {
    let (rounds, batches) = bed.scale((3, 100), (1, 12));
    let workload = format!(
        "{} changes in memory, batches of {BATCH}, one lane, alternating with plain bulks of the same documents over one connection; \
         {rounds} rounds, each with processes and indices of its own",
        batches * BATCH
    );
    let target = "at least this share of the rate of plain bulks: INSERT 0.9, MODIFY of what this lane wrote 0.9, MODIFY of unseen \
                  documents 0.6, 80 % of the changes on 1 % of the keys 1.0";
    let mut row = Row::new(RowId::B4, "Catching up", workload, target);
    let mut all = [const { Times::new() }; KINDS.len()];
    for number in 0..rounds {
        for (times, more) in all.iter_mut().zip(round(bed, batches, number).await?) {
            times.extend(more);
        }
    }
    for ((name, share), times) in KINDS.into_iter().zip(&all) {
        tell(&mut row, name, share, times);
    }
    row.note(format!(
        "The known documents are {KNOWN_KEYS} keys, changed in turn: the function remembers the last 10,000 documents that it wrote."
    ));
    Ok(row)
}

/// All kinds once, in their order, on processes and indices of their own.
async fn round(bed: &Bed, batches: u64, number: u64) -> Result<[Times; KINDS.len()]> {
    let index = bed.index("backlog-insert");
    let mut race = Race::start(bed, &index, "backlog-insert").await?;
    for batch in 0..=batches {
        race.run(changes_of(batch * BATCH, 0), batch > 0).await?;
    }
    bed.expect_visible(&index, (batches + 1) * BATCH).await?;
    let insert = race.take();

    // A fresh process on the same documents: it has seen none of them.
    race.renew(bed, &index).await?;
    for batch in 0..=batches {
        race.run(changes_of(batch * BATCH, 1), batch > 0).await?;
    }
    let unseen = race.take();
    drop(race);
    bed.drop_indices().await?;

    let index = bed.index("backlog-modify");
    let mut race = Race::start(bed, &index, "backlog-modify").await?;
    let known_batches = KNOWN_KEYS / BATCH;
    for batch in 0..known_batches + batches {
        race.run(changes_of(batch % known_batches * BATCH, batch / known_batches), batch >= known_batches).await?;
    }
    bed.expect_visible(&index, KNOWN_KEYS).await?;
    let known = race.take();

    let mut random = StdRng::seed_from_u64(bed.seed + number);
    for batch in 0..=batches {
        let skewed = (0..BATCH).map(|_| {
            let hot = random.random_bool(HOT_SHARE);
            let key = if hot { random.random_range(0..HOT_KEYS) } else { random.random_range(HOT_KEYS..SKEWED_KEYS) };
            changes::put(key, 1_000 + batch, key)
        });
        let skewed: Vec<MemoryChange> = skewed.collect();
        race.run(skewed, batch > 0).await?;
    }
    bed.expect_visible(&index, SKEWED_KEYS).await?;
    let skewed = race.take();
    drop(race);
    bed.drop_indices().await?;
    Ok([insert, unseen, known, skewed])
}

fn tell(row: &mut Row, name: &str, share: f64, times: &Times) {
    row.add(Figure::new(format!("{name}: a batch through a function that does nothing"), times.idle_ms(), "ms"));
    row.add(Figure::new(format!("{name}: function"), times.rate(), "changes/s"));
    row.add(Figure::new(format!("{name}: plain bulks"), times.bare_rate(), "changes/s"));
    let ratio = Figure::new(format!("{name}: function over plain"), times.rate() / times.bare_rate(), "ratio");
    row.add(ratio.must(Bound::AtLeast(share)).over(&times.ratios()));
}
