//! B4: catching up with a backlog, in batches of 1,000, beside plain bulks of the same documents.

use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::bench::bed::Bed;
use crate::bench::changes;
use crate::bench::figures::{Bound, Figure, Row, RowId};
use crate::bench::lane::Lane;
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

/// Measures the row.
pub(in crate::bench) async fn run(bed: &Bed) -> Result<Row> {
    let batches = bed.scale(100, 12);
    let workload = format!(
        "{} changes in memory, batches of {BATCH}, one lane, alternating with plain bulks of the same documents over one connection",
        batches * BATCH
    );
    let target = "at least this share of the rate of plain bulks: INSERT 0.9, MODIFY of what this lane wrote 0.9, MODIFY of unseen \
                  documents 0.6, 80 % of the changes on 1 % of the keys 1.0";
    let mut row = Row::new(RowId::B4, "Catching up", workload, target);

    let index = bed.index("backlog-insert");
    let mut race = Race::start(bed, &index, "backlog-insert").await?;
    for batch in 0..=batches {
        race.run(changes_of(batch * BATCH, 0), batch > 0).await?;
    }
    bed.expect_visible(&index, (batches + 1) * BATCH).await?;
    race.tell(&mut row, "INSERT", Bound::AtLeast(0.9));

    // A fresh process on the same documents: it has seen none of them.
    race.renew(bed, &index).await?;
    for batch in 0..=batches {
        race.run(changes_of(batch * BATCH, 1), batch > 0).await?;
    }
    race.tell(&mut row, "MODIFY, unseen", Bound::AtLeast(0.6));
    drop(race);
    bed.drop_indices().await?;

    let index = bed.index("backlog-modify");
    let mut race = Race::start(bed, &index, "backlog-modify").await?;
    let rounds = KNOWN_KEYS / BATCH;
    for batch in 0..rounds + batches {
        race.run(changes_of(batch % rounds * BATCH, batch / rounds), batch >= rounds).await?;
    }
    bed.expect_visible(&index, KNOWN_KEYS).await?;
    race.tell(&mut row, "MODIFY, known", Bound::AtLeast(0.9));

    let mut random = StdRng::seed_from_u64(bed.seed);
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
    race.tell(&mut row, "80 % of the changes on 1 % of the keys", Bound::AtLeast(1.0));
    row.note(format!(
        "The known documents are {KNOWN_KEYS} keys, changed in turn: the function remembers the last 10,000 documents that it wrote."
    ));
    Ok(row)
}

/// One batch of `BATCH` keys from `first` on, each given this revision.
pub(in crate::bench) fn changes_of(first: u64, revision: u64) -> Vec<MemoryChange> {
    (first..first + BATCH).map(|key| changes::put(key, revision, key)).collect()
}

/// The function and a plain writer, batch by batch.
pub(in crate::bench) struct Race {
    stream: MemoryStream,
    lane: Lane,
    nothing: Lane,
    plain: Plain,
    idle: Vec<Duration>,
    function: Vec<Duration>,
    bare: Vec<Duration>,
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
        Ok(Self { stream, lane, nothing, plain, idle: Vec::new(), function: Vec::new(), bare: Vec::new() })
    }

    /// A process that has seen nothing, in the place of the one before.
    async fn renew(&mut self, bed: &Bed, index: &str) -> Result<()> {
        self.lane = Lane::start(bed.subject.function(index)).await?;
        Ok(())
    }

    /// One batch by each. The first to write alternates.
    pub(in crate::bench) async fn run(&mut self, batch: Vec<MemoryChange>, counts: bool) -> Result<()> {
        let records = changes::push(&self.stream, batch).await?;
        let operations = changes::plain_operations(&records)?;
        let plain_first = self.function.len() % 2 == 1;
        let early = if plain_first { Some(self.plain.bulk(operations.clone()).await?) } else { None };
        let function = self.lane.deliver(&records).await?;
        let idle = self.nothing.deliver(&records).await?;
        let bare = match early {
            Some(bare) => bare,
            None => self.plain.bulk(operations).await?,
        };
        if counts {
            self.function.push(function);
            self.bare.push(bare);
            self.idle.push(idle);
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

    /// Changes per second of the function and of plain bulks so far; both begin anew.
    pub(in crate::bench) fn rates(&mut self) -> (f64, f64, Vec<f64>) {
        let ratios =
            self.function.iter().zip(&self.bare).map(|(function, bare)| bare.as_secs_f64() / function.as_secs_f64());
        let ratios = ratios.collect();
        let rate = |times: &mut Vec<Duration>| {
            let batches = u32::try_from(times.len()).unwrap_or_default();
            let total: Duration = times.drain(..).sum();
            f64::from(batches) * BATCH as f64 / total.as_secs_f64()
        };
        (rate(&mut self.function), rate(&mut self.bare), ratios)
    }

    fn tell(&mut self, row: &mut Row, name: &str, bound: Bound) {
        let batches = u32::try_from(self.idle.len()).unwrap_or_default().max(1);
        let idle = self.idle.drain(..).sum::<Duration>() / batches;
        row.add(Figure::new(
            format!("{name}: a batch through a function that does nothing"),
            idle.as_secs_f64() * 1_000.0,
            "ms",
        ));
        let (function, bare, ratios) = self.rates();
        row.add(Figure::new(format!("{name}: function"), function, "changes/s"));
        row.add(Figure::new(format!("{name}: plain bulks"), bare, "changes/s"));
        row.add(
            Figure::new(format!("{name}: function over plain"), function / bare, "ratio").must(bound).over(&ratios),
        );
    }
}
