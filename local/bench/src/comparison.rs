//! Comparison of the function with baseline bulks of the same documents, batch by batch, for the rows about throughput.

use std::time::Duration;

use anyhow::Result;
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::{MemoryChange, MemoryStream};

use crate::baseline::BaselineClient;
use crate::changes;
use crate::test_bed::TestBed;
use crate::timed_process::{TimedProcess, median};

/// Records per invocation, and documents per baseline bulk.
pub(crate) const BATCH: u64 = 1_000;

/// Changes of `BATCH` keys from `first` on, each given this revision.
pub(crate) fn changes_of(first: u64, revision: u64) -> Vec<MemoryChange> {
    (first..first + BATCH).map(|key| changes::put(key, revision, key)).collect()
}

/// Times of the batches of one kind.
pub(crate) struct BatchTimes {
    function: Vec<Duration>,
    baseline: Vec<Duration>,
    no_op: Vec<Duration>,
}

impl BatchTimes {
    pub(crate) const fn new() -> Self {
        Self { function: Vec::new(), baseline: Vec::new(), no_op: Vec::new() }
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.function.extend(more.function);
        self.baseline.extend(more.baseline);
        self.no_op.extend(more.no_op);
    }

    /// Changes per second of the function.
    pub(crate) fn rate(&self) -> f64 {
        rate(&self.function)
    }

    /// Changes per second of baseline bulks.
    pub(crate) fn baseline_rate(&self) -> f64 {
        rate(&self.baseline)
    }

    /// Median time of the function, and of baseline bulks.
    pub(crate) fn medians(&self) -> (Duration, Duration) {
        (median(self.function.clone()), median(self.baseline.clone()))
    }

    /// Rate of the function over that of baseline bulks, batch by batch.
    pub(crate) fn ratios(&self) -> Vec<f64> {
        let pairs = self.function.iter().zip(&self.baseline);
        pairs.map(|(function, baseline)| baseline.as_secs_f64() / function.as_secs_f64()).collect()
    }

    /// Mean time of a batch through the no-op function.
    pub(crate) fn no_op_ms(&self) -> f64 {
        BATCH as f64 * 1_000.0 / rate(&self.no_op)
    }
}

fn rate(times: &[Duration]) -> f64 {
    times.len() as f64 * BATCH as f64 / times.iter().sum::<Duration>().as_secs_f64()
}

/// Function, baseline client and no-op function, batch by batch.
pub(crate) struct Comparison {
    stream: MemoryStream,
    function: TimedProcess,
    no_op: TimedProcess,
    baseline: BaselineClient,
    times: BatchTimes,
    baseline_is_next: bool,
}

impl Comparison {
    /// Starts a process that writes to `index`, and connects to an index for the baseline.
    pub(crate) async fn start(bed: &TestBed, index: &str, what: &str) -> Result<Self> {
        let baseline = bed.baseline(what).await?;
        let stream = MemoryStream::new("benchmark", changes::KEY);
        let function = TimedProcess::start(bed.function(index)).await?;
        let no_op = TimedProcess::start(bed.no_op()).await?;
        Ok(Self { stream, function, no_op, baseline, times: BatchTimes::new(), baseline_is_next: false })
    }

    /// Replaces the function's process by a new one that has seen no document.
    pub(crate) async fn renew_process(&mut self, bed: &TestBed, index: &str) -> Result<()> {
        self.function = TimedProcess::start(bed.function(index)).await?;
        Ok(())
    }

    /// Writes one batch each way. The first to write alternates.
    pub(crate) async fn write_batch(&mut self, batch: Vec<MemoryChange>, counts: bool) -> Result<()> {
        let records = changes::push(&self.stream, batch).await?;
        let operations = changes::baseline_operations(&records)?;
        let early = if self.baseline_is_next { Some(self.baseline.bulk(operations.clone()).await?) } else { None };
        let function = self.function.deliver(&records).await?;
        let no_op = self.no_op.deliver(&records).await?;
        let baseline = match early {
            Some(baseline) => baseline,
            None => self.baseline.bulk(operations).await?,
        };
        self.baseline_is_next = !self.baseline_is_next;
        if counts {
            self.times.function.push(function);
            self.times.baseline.push(baseline);
            self.times.no_op.push(no_op);
        }
        Ok(())
    }

    /// Takes these changes from the stream without delivering them.
    pub(crate) async fn skip(&mut self, changes: impl IntoIterator<Item = MemoryChange>) -> Result<()> {
        changes::push(&self.stream, changes).await.map(drop)
    }

    /// Delivers a batch to the function alone, without measuring.
    pub(crate) async fn deliver(&mut self, batch: Vec<MemoryChange>) -> Result<()> {
        let records: Vec<StreamRecord> = changes::push(&self.stream, batch).await?;
        self.function.deliver(&records).await.map(drop)
    }

    /// Returns the times so far, and begins anew.
    pub(crate) fn take_times(&mut self) -> BatchTimes {
        std::mem::replace(&mut self.times, BatchTimes::new())
    }
}
