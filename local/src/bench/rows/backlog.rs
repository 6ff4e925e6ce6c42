//! B4: catching up with a backlog, in batches of 1,000, beside plain bulks of the same documents.

use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::bench::bed::Bed;
use crate::bench::changes;
use crate::bench::figures::{Bound, Figure, Row, RowId};
use crate::bench::lane::{Lane, median};
use crate::bench::plain::Plain;
use crate::mapping::record::StreamRecord;
use crate::mapping::{MemoryChange, MemoryStream};

/// Records per invocation, and documents per plain bulk.
pub(in crate::bench) const BATCH: u64 = 1_000;
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
pub(in crate::bench) async fn run(bed: &Bed) -> Result<Row> {
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

/// One batch of `BATCH` keys from `first` on, each given this revision.
pub(in crate::bench) fn changes_of(first: u64, revision: u64) -> Vec<MemoryChange> {
    (first..first + BATCH).map(|key| changes::put(key, revision, key)).collect()
}

/// How long batches took.
pub(in crate::bench) struct Times {
    function: Vec<Duration>,
    bare: Vec<Duration>,
    idle: Vec<Duration>,
}

impl Times {
    pub(in crate::bench) const fn new() -> Self {
        Self { function: Vec::new(), bare: Vec::new(), idle: Vec::new() }
    }

    pub(in crate::bench) fn extend(&mut self, more: Self) {
        self.function.extend(more.function);
        self.bare.extend(more.bare);
        self.idle.extend(more.idle);
    }

    /// Changes per second of the function.
    pub(in crate::bench) fn rate(&self) -> f64 {
        rate(&self.function)
    }

    /// Changes per second of plain bulks.
    pub(in crate::bench) fn bare_rate(&self) -> f64 {
        rate(&self.bare)
    }

    /// The median of the function's times, and that of plain bulks.
    pub(in crate::bench) fn medians(&self) -> (Duration, Duration) {
        (median(self.function.clone()), median(self.bare.clone()))
    }

    /// The function's rate over that of plain bulks, batch by batch.
    pub(in crate::bench) fn ratios(&self) -> Vec<f64> {
        let pairs = self.function.iter().zip(&self.bare);
        pairs.map(|(function, bare)| bare.as_secs_f64() / function.as_secs_f64()).collect()
    }

    /// What a batch took through a function that does nothing.
    fn idle_ms(&self) -> f64 {
        BATCH as f64 * 1_000.0 / rate(&self.idle)
    }
}

fn rate(times: &[Duration]) -> f64 {
    times.len() as f64 * BATCH as f64 / times.iter().sum::<Duration>().as_secs_f64()
}

/// The function and a plain writer, batch by batch.
pub(in crate::bench) struct Race {
    stream: MemoryStream,
    lane: Lane,
    nothing: Lane,
    plain: Plain,
    times: Times,
    is_plain_next: bool,
}

impl Race {
    /// A process that writes to `index`, and a connection to a plain index.
    pub(in crate::bench) async fn start(bed: &Bed, index: &str, what: &str) -> Result<Self> {
        Self::with(bed, index, bed.plain(what).await?).await
    }

    /// The same, with this connection for plain writes.
    pub(in crate::bench) async fn with(bed: &Bed, index: &str, plain: Plain) -> Result<Self> {
        let stream = MemoryStream::new("benchmark", changes::KEY);
        let lane = Lane::start(bed.subject.function(index)).await?;
        let nothing = Lane::start(bed.subject.nothing()).await?;
        Ok(Self { stream, lane, nothing, plain, times: Times::new(), is_plain_next: false })
    }

    /// A process that has seen nothing, in the place of the one before.
    pub(in crate::bench) async fn renew(&mut self, bed: &Bed, index: &str) -> Result<()> {
        self.lane = Lane::start(bed.subject.function(index)).await?;
        Ok(())
    }

    /// One batch by each. The first to write alternates.
    pub(in crate::bench) async fn run(&mut self, batch: Vec<MemoryChange>, counts: bool) -> Result<()> {
        let records = changes::push(&self.stream, batch).await?;
        let operations = changes::plain_operations(&records)?;
        let early = if self.is_plain_next { Some(self.plain.bulk(operations.clone()).await?) } else { None };
        let function = self.lane.deliver(&records).await?;
        let idle = self.nothing.deliver(&records).await?;
        let bare = match early {
            Some(bare) => bare,
            None => self.plain.bulk(operations).await?,
        };
        self.is_plain_next = !self.is_plain_next;
        if counts {
            self.times.function.push(function);
            self.times.bare.push(bare);
            self.times.idle.push(idle);
        }
        Ok(())
    }

    /// Lets these changes pass by.
    pub(in crate::bench) async fn skip(&mut self, changes: impl IntoIterator<Item = MemoryChange>) -> Result<()> {
        changes::push(&self.stream, changes).await.map(drop)
    }

    /// Delivers without measuring.
    pub(in crate::bench) async fn deliver(&mut self, batch: Vec<MemoryChange>) -> Result<()> {
        let records: Vec<StreamRecord> = changes::push(&self.stream, batch).await?;
        self.lane.deliver(&records).await.map(drop)
    }

    /// What was measured so far; it begins anew.
    pub(in crate::bench) fn take(&mut self) -> Times {
        std::mem::replace(&mut self.times, Times::new())
    }
}
