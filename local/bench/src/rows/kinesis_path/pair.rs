//! The functions behind both sources, each with a stream in memory and an index of its own.

use std::time::Duration;

use anyhow::Result;
use driftless_harness::function::FunctionConfig;
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::stream::StreamKind;
use driftless_harness::mapping::{MemoryChange, MemoryStream, ShardChoice};

use crate::changes;
use crate::test_bed::TestBed;
use crate::timed_process::TimedProcess;

/// Most of a latency over that of the way through streams.
pub(super) const MOST_LATENCY: f64 = 1.10;
/// Least of a rate over that of the way through streams.
pub(super) const LEAST_RATE: f64 = 0.90;

/// Empty stream of a kind, of the table that all changes are of.
pub(super) fn stream(kind: StreamKind) -> MemoryStream {
    match kind {
        StreamKind::DynamoDb => MemoryStream::new(changes::TABLE, changes::KEY),
        StreamKind::Kinesis => MemoryStream::kinesis(changes::TABLE, changes::KEY, ShardChoice::ByKey),
    }
}

/// Function behind a stream of this kind.
pub(super) fn function(bed: &TestBed, kind: StreamKind, index: &str) -> Result<FunctionConfig> {
    match kind {
        StreamKind::DynamoDb => Ok(bed.function(index)),
        StreamKind::Kinesis => bed.kinesis_function(index),
    }
}

/// Process of a function, with its source and its index.
struct SourceLane {
    kind: StreamKind,
    index: String,
    stream: MemoryStream,
    process: TimedProcess,
}

impl SourceLane {
    async fn start(bed: &TestBed, kind: StreamKind, what: &str) -> Result<Self> {
        let index = bed.index(what);
        let process = TimedProcess::start(function(bed, kind, &index)?).await?;
        Ok(Self { kind, index, stream: stream(kind), process })
    }

    async fn new_process(&self, bed: &TestBed) -> Result<TimedProcess> {
        TimedProcess::start(function(bed, self.kind, &self.index)?).await
    }
}

/// Lanes of both functions, which get the same changes.
pub(super) struct SourcePair {
    streams: SourceLane,
    kinesis: SourceLane,
    kinesis_is_next: bool,
}

/// Records of the same changes, by source.
pub(super) struct PairedRecords {
    pub(super) streams: Vec<StreamRecord>,
    pub(super) kinesis: Vec<StreamRecord>,
}

/// Times of the same changes, by source.
#[derive(Clone, Copy)]
pub(super) struct PairedTimes {
    pub(super) streams: Duration,
    pub(super) kinesis: Duration,
}

/// A second process of either function, on the same indices.
pub(super) struct OtherProcesses {
    streams: TimedProcess,
    kinesis: TimedProcess,
}

impl SourcePair {
    /// Starts a process of either function.
    pub(super) async fn start(bed: &TestBed, what: &str) -> Result<Self> {
        Ok(Self {
            streams: SourceLane::start(bed, StreamKind::DynamoDb, what).await?,
            kinesis: SourceLane::start(bed, StreamKind::Kinesis, &format!("{what}-kinesis")).await?,
            kinesis_is_next: false,
        })
    }

    /// Puts the same changes into both streams.
    pub(super) async fn push(&self, changes: Vec<MemoryChange>) -> Result<PairedRecords> {
        let streams = changes::push(&self.streams.stream, changes.clone()).await?;
        Ok(PairedRecords { streams, kinesis: changes::push(&self.kinesis.stream, changes).await? })
    }

    /// Delivers records of the same changes, to the one function and then to the other; the first alternates.
    pub(super) async fn deliver(&mut self, streams: &[StreamRecord], kinesis: &[StreamRecord]) -> Result<PairedTimes> {
        let early = if self.kinesis_is_next { Some(self.kinesis.process.deliver(kinesis).await?) } else { None };
        let streams = self.streams.process.deliver(streams).await?;
        let kinesis = match early {
            Some(early) => early,
            None => self.kinesis.process.deliver(kinesis).await?,
        };
        self.kinesis_is_next = !self.kinesis_is_next;
        Ok(PairedTimes { streams, kinesis })
    }

    /// Starts a second process of either function.
    pub(super) async fn others(&self, bed: &TestBed) -> Result<OtherProcesses> {
        Ok(OtherProcesses {
            streams: self.streams.new_process(bed).await?,
            kinesis: self.kinesis.new_process(bed).await?,
        })
    }

    /// Replaces both processes by new ones that have seen no document.
    pub(super) async fn renew_processes(&mut self, bed: &TestBed) -> Result<()> {
        self.streams.process = self.streams.new_process(bed).await?;
        self.kinesis.process = self.kinesis.new_process(bed).await?;
        Ok(())
    }

    /// Fails unless both indices show this many documents.
    pub(super) async fn expect_visible(&self, bed: &TestBed, expected: u64) -> Result<()> {
        bed.expect_visible(&self.streams.index, expected).await?;
        bed.expect_visible(&self.kinesis.index, expected).await
    }
}

impl OtherProcesses {
    /// Delivers each record by itself.
    pub(super) async fn deliver_each(&mut self, records: &PairedRecords) -> Result<()> {
        for (streams, kinesis) in records.streams.chunks(1).zip(records.kinesis.chunks(1)) {
            self.streams.deliver(streams).await?;
            self.kinesis.deliver(kinesis).await?;
        }
        Ok(())
    }
}
