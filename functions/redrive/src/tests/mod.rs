//! Guarantees of the redrive, on a target, a queue, a bucket and a stream in memory.

mod dead_letters;
mod generation;
mod kinesis;
mod objects;
mod order_anomalies;
mod ranges;
mod runs;

use std::collections::BTreeMap;
use std::time::Duration;

use driftless::bucket::memory::MemoryBucket;
use driftless::change::{Change, ReadOptions, Record};
use driftless::dead_letter::range::BatchInfo;
use driftless::dead_letter::{DeadLetter, Rejection, Sender};
use driftless::function::FunctionError;
use driftless::function::clock::now;
use driftless::memory::{Fault, MemoryTarget};
use driftless::outcome::OutcomeCounts;
use driftless::queue::Queue as _;
use driftless::queue::memory::{MemoryQueue, SendFault};
use driftless::stream::range::{RangeError, RangePage, RangeReader};
use driftless::table::memory::MemoryTable;
use driftless::testing::{RecordBuilder, STREAM_ARN};
use driftless::version::Generation;
use driftless::writer::Writer;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::redrive::{Redrive, patience};
use crate::report::{MessageCounts, RedriveReport};
use crate::request::RedriveRequest;

const SENDER: Sender<'_> = Sender { index: "i", function_version: "1" };

/// Returns a MODIFY without an event time.
fn modify(key: &str, sequence: u32) -> Box<RawValue> {
    RecordBuilder::modify(key, sequence.into()).event_second(None).raw()
}

/// Returns a MODIFY with this event time in seconds.
fn modify_at(key: &str, sequence: u32, second: u64) -> Box<RawValue> {
    RecordBuilder::modify(key, sequence.into()).event_second(second).raw()
}

/// A stream in memory: pages of at most two records; the stream has trimmed those below `horizon`.
#[derive(Default)]
struct MemoryRangeReader {
    records: BTreeMap<u32, Box<RawValue>>,
    horizon: u32,
    down: bool,
}

impl RangeReader for MemoryRangeReader {
    type Cursor = (u32, u32, bool);

    async fn open(&self, range: &BatchInfo, _: Instant) -> Result<Self::Cursor, RangeError> {
        if self.down {
            return Err(RangeError::Unavailable("cannot be reached".to_owned()));
        }
        let [start, end]: [u32; 2] =
            [&range.start_sequence_number, &range.end_sequence_number].map(|text| text.parse().expect("a number"));
        Ok((start.max(self.horizon), end, start < self.horizon))
    }

    async fn next(&self, (at, end, _): &mut Self::Cursor, _: Instant) -> Result<RangePage, RangeError> {
        let page: Vec<_> = self.records.range(*at..).take_while(|(number, _)| *number <= end).take(2).collect();
        *at = page.last().map_or(*end, |(number, _)| **number) + 1;
        Ok(RangePage { records: page.into_iter().map(|(_, record)| record.clone()).collect(), last: *at > *end })
    }

    fn is_trimmed(&self, (.., trimmed): &Self::Cursor) -> bool {
        *trimmed
    }
}

#[derive(Default)]
struct Scene {
    target: MemoryTarget,
    queue: MemoryQueue,
    bucket: MemoryBucket,
    ranges: MemoryRangeReader,
    read_options: ReadOptions,
    table: Option<String>,
    items: Option<MemoryTable>,
}

impl Scene {
    /// Sends a dead letter as `replicate` does.
    async fn dead_letter(&self, raw: &RawValue, class: &str) {
        let Record { origin, change } = Record::read(raw.get(), &self.read_options);
        let why = Rejection { class: class.to_owned(), status: Some(400), reason: "a reason".to_owned() };
        let name = change.as_ref().ok().map(Change::name);
        let dead_letter = DeadLetter::new(raw, &origin, name.as_ref(), why, SENDER, now());
        self.queue.send(&dead_letter.message().expect("fits"), Instant::now()).await.expect("sent");
    }

    /// Sends Lambda's on-failure message about records of the stream.
    fn range(&self, start: u32, end: u32) {
        self.queue.put(
            json!({"requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4}, "DDBStreamBatchInfo": {
                "shardId": "s", "startSequenceNumber": start.to_string(), "endSequenceNumber": end.to_string(),
                "batchSize": 1, "streamArn": STREAM_ARN}})
            .to_string(),
        );
    }

    async fn run(&self, request: serde_json::Value) -> Result<RedriveReport, FunctionError> {
        self.run_for(Duration::from_secs(300), request).await
    }

    async fn run_for(&self, time: Duration, request: serde_json::Value) -> Result<RedriveReport, FunctionError> {
        let writer = Writer::new(self.target.clone(), self.read_options.generation);
        let Self { queue, bucket, ranges, read_options, table, items, .. } = self;
        let (sender, table, patience) = (SENDER, table.as_deref(), Duration::from_secs(15));
        let (items, bucket) = (items.as_ref(), Some(bucket));
        let redrive = Redrive { read_options, writer: &writer, queue, bucket, ranges, items, sender, table, patience };
        redrive.run(&RedriveRequest::read(request)?, Instant::now() + time).await
    }

    async fn succeed(&self, request: serde_json::Value) -> RedriveReport {
        self.run(request).await.expect("redriven")
    }

    fn visible(&self) -> Vec<(String, String)> {
        self.target.visible().into_iter().collect()
    }
}

/// Returns the classes of the kept messages, and their counts.
fn kept(report: &RedriveReport) -> Vec<(&str, u64)> {
    report.kept.iter().map(|kept| (kept.class.as_str(), kept.count)).collect()
}

fn documents(expect: &[(&str, u32)]) -> Vec<(String, String)> {
    expect.iter().map(|(id, n)| ((*id).to_owned(), format!(r#"{{"n":{n}}}"#))).collect()
}
