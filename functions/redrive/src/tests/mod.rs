//! Guarantees of the redrive, on a target, a queue and a stream in memory.

mod generation;
mod letters;
mod order_anomalies;
mod ranges;
mod runs;

use std::collections::BTreeMap;
use std::time::Duration;

use driftless::change::{Reading, Record};
use driftless::dead_letter::range::BatchInfo;
use driftless::dead_letter::{DeadLetter, Rejection, Sender};
use driftless::function::FunctionError;
use driftless::function::clock::now;
use driftless::memory::{Fault, MemoryTarget};
use driftless::queue::Queue as _;
use driftless::queue::memory::{MemoryQueue, SendFault};
use driftless::stream::range::{RangeError, RangePage, Ranges};
use driftless::version::Generation;
use driftless::writer::Writer;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::redrive::{Redrive, patience};
use crate::report::{Changes, Letters, Report};
use crate::request::Request;

const ARN: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/T/stream/2026-01-15T09:30:00.000";

fn record(name: &str, key: &str, sequence: u32, image: &str) -> Box<RawValue> {
    let image = if image.is_empty() { String::new() } else { format!(r#""NewImage":{image},"#) };
    let json = format!(
        r#"{{"eventID":"e{sequence}","eventName":"{name}","eventSource":"aws:dynamodb","eventSourceARN":"{ARN}","dynamodb":{{
            "Keys":{{"pk":{{"S":"{key}"}}}},{image}"SequenceNumber":"{sequence}","StreamViewType":"NEW_IMAGE"}}}}"#
    );
    RawValue::from_string(json).expect("JSON")
}

/// The same record with this event time in seconds.
fn at(raw: &RawValue, second: u64) -> Box<RawValue> {
    let time = format!(r#""dynamodb":{{"ApproximateCreationDateTime":{second},"#);
    RawValue::from_string(raw.get().replacen(r#""dynamodb":{"#, &time, 1)).expect("JSON")
}

fn modify(key: &str, sequence: u32) -> Box<RawValue> {
    record("MODIFY", key, sequence, &format!(r#"{{"n":{{"N":"{sequence}"}}}}"#))
}

/// A stream in memory: pages of at most two records; the stream has trimmed those below `horizon`.
#[derive(Default)]
struct MemoryRanges {
    records: BTreeMap<u32, Box<RawValue>>,
    horizon: u32,
    down: bool,
}

impl Ranges for MemoryRanges {
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
    ranges: MemoryRanges,
    reading: Reading,
    table: Option<String>,
}

impl Scene {
    /// Sends a dead letter as `replicate` does.
    async fn letter(&self, raw: &RawValue, class: &str) {
        let Record { origin, change } = Record::read(raw.get(), &self.reading);
        let why = Rejection { class: class.to_owned(), status: Some(400), reason: "a reason".to_owned() };
        let from = Sender { index: "i", function_version: "1", now: now() };
        let letter = DeadLetter::new(raw, &origin, change.as_ref().ok(), why, &from);
        self.queue.send(&letter.message().expect("fits"), Instant::now()).await.expect("sent");
    }

    /// Sends Lambda's on-failure message about records of the stream.
    fn range(&self, start: u32, end: u32) {
        self.queue.put(
            json!({"requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4}, "DDBStreamBatchInfo": {
                "shardId": "s", "startSequenceNumber": start.to_string(), "endSequenceNumber": end.to_string(),
                "batchSize": 1, "streamArn": ARN}})
            .to_string(),
        );
    }

    async fn run(&self, request: serde_json::Value) -> Result<Report, FunctionError> {
        self.run_for(Duration::from_secs(300), request).await
    }

    async fn run_for(&self, time: Duration, request: serde_json::Value) -> Result<Report, FunctionError> {
        let writer = Writer::new(self.target.clone(), self.reading.generation);
        let Self { queue, ranges, reading, table, .. } = self;
        let (index, table, patience) = ("i", table.as_deref(), Duration::from_secs(15));
        let redrive = Redrive { reading, writer: &writer, queue, ranges, index, table, version: "1", patience };
        redrive.run(&Request::read(request)?, Instant::now() + time).await
    }

    async fn succeed(&self, request: serde_json::Value) -> Report {
        self.run(request).await.expect("redriven")
    }

    fn visible(&self) -> Vec<(String, String)> {
        self.target.visible().into_iter().collect()
    }
}

/// Returns the classes of the kept messages, and their counts.
fn kept(report: &Report) -> Vec<(&str, u64)> {
    report.kept.iter().map(|kept| (kept.class.as_str(), kept.count)).collect()
}

fn documents(expect: &[(&str, u32)]) -> Vec<(String, String)> {
    expect.iter().map(|(id, n)| ((*id).to_owned(), format!(r#"{{"n":{n}}}"#))).collect()
}
