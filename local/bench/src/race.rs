//! Batch by batch, the function and plain bulks of the same documents: what the rows about throughput are made of.

use std::time::Duration;

use anyhow::Result;
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::{MemoryChange, MemoryStream};

use crate::bed::Bed;
use crate::changes;
use crate::lane::{Lane, median};
use crate::plain::Plain;

/// Records per invocation, and documents per plain bulk.
pub(crate) const BATCH: u64 = 1_000;

/// One batch of `BATCH` keys from `first` on, each given this revision.
pub(crate) fn changes_of(first: u64, revision: u64) -> Vec<MemoryChange> {
    (first..first + BATCH).map(|key| changes::put(key, revision, key)).collect()
}

/// How long batches took.
pub(crate) struct Times {
    function: Vec<Duration>,
    bare: Vec<Duration>,
    idle: Vec<Duration>,
}

impl Times {
    pub(crate) const fn new() -> Self {
        Self { function: Vec::new(), bare: Vec::new(), idle: Vec::new() }
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.function.extend(more.function);
        self.bare.extend(more.bare);
        self.idle.extend(more.idle);
    }

    /// Changes per second of the function.
    pub(crate) fn rate(&self) -> f64 {
        rate(&self.function)
    }

    /// Changes per second of plain bulks.
    pub(crate) fn bare_rate(&self) -> f64 {
        rate(&self.bare)
    }

    /// The median of the function's times, and that of plain bulks.
    pub(crate) fn medians(&self) -> (Duration, Duration) {
        (median(self.function.clone()), median(self.bare.clone()))
    }

    /// The function's rate over that of plain bulks, batch by batch.
    pub(crate) fn ratios(&self) -> Vec<f64> {
        let pairs = self.function.iter().zip(&self.bare);
        pairs.map(|(function, bare)| bare.as_secs_f64() / function.as_secs_f64()).collect()
    }

    /// What a batch took through a function that does nothing.
    pub(crate) fn idle_ms(&self) -> f64 {
        BATCH as f64 * 1_000.0 / rate(&self.idle)
    }
}

fn rate(times: &[Duration]) -> f64 {
    times.len() as f64 * BATCH as f64 / times.iter().sum::<Duration>().as_secs_f64()
}

/// The function and a plain writer, batch by batch.
pub(crate) struct Race {
    stream: MemoryStream,
    lane: Lane,
    nothing: Lane,
    plain: Plain,
    times: Times,
    is_plain_next: bool,
}

impl Race {
    /// A process that writes to `index`, and a connection to a plain index.
    pub(crate) async fn start(bed: &Bed, index: &str, what: &str) -> Result<Self> {
        let plain = bed.plain(what).await?;
        let stream = MemoryStream::new("benchmark", changes::KEY);
        let lane = Lane::start(bed.subject.function(index)).await?;
        let nothing = Lane::start(bed.subject.nothing()).await?;
        Ok(Self { stream, lane, nothing, plain, times: Times::new(), is_plain_next: false })
    }

    /// A process that has seen nothing, in the place of the one before.
    pub(crate) async fn renew(&mut self, bed: &Bed, index: &str) -> Result<()> {
        self.lane = Lane::start(bed.subject.function(index)).await?;
        Ok(())
    }

    /// One batch by each. The first to write alternates.
    pub(crate) async fn run(&mut self, batch: Vec<MemoryChange>, counts: bool) -> Result<()> {
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
    pub(crate) async fn skip(&mut self, changes: impl IntoIterator<Item = MemoryChange>) -> Result<()> {
        changes::push(&self.stream, changes).await.map(drop)
    }

    /// Delivers without measuring.
    pub(crate) async fn deliver(&mut self, batch: Vec<MemoryChange>) -> Result<()> {
        let records: Vec<StreamRecord> = changes::push(&self.stream, batch).await?;
        self.lane.deliver(&records).await.map(drop)
    }

    /// What was measured so far; it begins anew.
    pub(crate) fn take(&mut self) -> Times {
        std::mem::replace(&mut self.times, Times::new())
    }
}
