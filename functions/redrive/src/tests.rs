//! The redrive's guarantees, on a target, a queue and a stream in memory.

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

use crate::redrive::Redrive;
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

fn modify(key: &str, sequence: u32) -> Box<RawValue> {
    record("MODIFY", key, sequence, &format!(r#"{{"n":{{"N":"{sequence}"}}}}"#))
}

/// A stream in memory: pages of at most two records; what is below `horizon` is trimmed.
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
}

impl Scene {
    /// A letter of ours, as `replicate` would have sent it.
    async fn letter(&self, raw: &RawValue, class: &str) {
        let Record { origin, change } = Record::read(raw.get(), &self.reading);
        let why = Rejection { class: class.to_owned(), status: Some(400), reason: "a reason".to_owned() };
        let from = Sender { index: "i", function_version: "1", now: now() };
        let letter = DeadLetter::new(raw, &origin, change.as_ref().ok(), why, &from);
        self.queue.send(&letter.message().expect("fits"), Instant::now()).await.expect("sent");
    }

    /// Lambda's letter about records of the stream.
    fn range(&self, start: u32, end: u32) {
        self.queue.put(
            json!({"requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4}, "DDBStreamBatchInfo": {
                "shardId": "s", "startSequenceNumber": start.to_string(), "endSequenceNumber": end.to_string(),
                "batchSize": 1, "streamArn": ARN}})
            .to_string(),
        );
    }

    async fn run(&self, request: serde_json::Value) -> Result<Report, FunctionError> {
        let writer = Writer::new(self.target.clone(), Generation::default());
        let Self { queue, ranges, reading, .. } = self;
        let redrive = Redrive { reading, writer: &writer, queue, ranges, index: "i", version: "1" };
        redrive.run(&Request::read(request)?, Instant::now() + Duration::from_secs(60)).await
    }

    async fn succeed(&self, request: serde_json::Value) -> Report {
        self.run(request).await.expect("redriven")
    }

    fn visible(&self) -> Vec<(String, String)> {
        self.target.visible().into_iter().collect()
    }
}

fn documents(expect: &[(&str, u32)]) -> Vec<(String, String)> {
    expect.iter().map(|(id, n)| ((*id).to_owned(), format!(r#"{{"n":{n}}}"#))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_applied_and_leaves_the_queue() {
    let scene = Scene::default();
    scene.letter(&modify("a", 1), "mapper_parsing_exception").await;
    scene.letter(&modify("b", 2), "mapper_parsing_exception").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!(report.letters, Letters { received: 2, redriven: 2, ..Letters::default() });
    assert_eq!(report.changes, Changes { applied: 2, ..Changes::default() });
    assert_eq!((scene.visible(), scene.queue.bodies().len(), report.left), (documents(&[("a", 1), ("b", 2)]), 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_letter_older_than_the_document_is_done_and_changes_nothing() {
    let scene = Scene::default();
    scene.letter(&modify("a", 2), "x").await;
    scene.letter(&record("REMOVE", "b", 9, ""), "x").await;
    scene.succeed(json!({})).await;
    scene.letter(&modify("a", 1), "x").await;
    scene.letter(&modify("b", 8), "x").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.changes.stale, report.letters.redriven), (2, 2));
    assert_eq!((scene.visible(), scene.queue.bodies().len()), (documents(&[("a", 2)]), 0));
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_refused_again_stays_with_its_reason() {
    let scene = Scene::default();
    scene.target.refuse(br#"{"n":1}"#, 400);
    scene.letter(&modify("a", 1), "x").await;
    scene.letter(&modify("b", 2), "x").await;
    scene.letter(&record("INSERT", "c", 3, r#"{"n":{"N":1}}"#), "malformed_record").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.kept, report.letters.redriven, report.left), (2, 1, 2));
    let classes: Vec<_> = report.kept.iter().map(|kept| (kept.class.as_str(), kept.status, kept.count)).collect();
    assert_eq!(classes, [("scripted", Some(400), 1), ("malformed_record", None, 1)]);
    // At once, not when its time of being hidden is over.
    scene.target.accept(br#"{"n":1}"#);
    assert_eq!(scene.succeed(json!({})).await.letters.redriven, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_and_does_nothing() {
    let scene = Scene::default();
    scene.letter(&modify("a", 2), "x").await;
    scene.succeed(json!({})).await;
    scene.letter(&modify("a", 1), "x").await;
    scene.letter(&modify("b", 3), "x").await;
    scene.range(5, 6);
    let report = scene.succeed(json!({"dry_run": true})).await;
    assert_eq!((report.changes.applied, report.changes.stale, report.left), (1, 1, 3));
    assert_eq!((scene.visible(), scene.queue.bodies().len()), (documents(&[("a", 2)]), 3));
    assert_eq!(scene.succeed(json!({"dry_run": true})).await.letters, report.letters);
}

#[tokio::test(start_paused = true)]
async fn a_range_is_read_again_and_what_is_refused_in_it_becomes_a_letter() {
    let mut scene = Scene::default();
    scene.ranges.records = (1..=6).map(|n| (n, modify(&format!("k{n}"), n))).collect();
    scene.target.refuse(br#"{"n":3}"#, 400);
    scene.range(2, 5);
    let report = scene.succeed(json!({})).await;
    // Its own letter is found in the same run, and stays with its reason.
    assert_eq!((report.letters.redriven, report.letters.kept, report.changes.applied), (1, 1, 3));
    assert_eq!(scene.visible(), documents(&[("k2", 2), ("k4", 4), ("k5", 5)]));
    assert_eq!(scene.queue.bodies().len(), 1);
    scene.target.accept(br#"{"n":3}"#);
    assert_eq!(scene.succeed(json!({"filter": {"shape": "record"}})).await.letters.redriven, 1);
    assert_eq!((scene.visible().len(), scene.queue.bodies().len()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_range_stays_until_all_of_it_is_safe() {
    let mut scene = Scene::default();
    scene.ranges.records = (1..=2).map(|n| (n, modify(&format!("k{n}"), n))).collect();
    scene.range(1, 2);
    scene.target.refuse(br#"{"n":1}"#, 400);
    scene.queue.fail_sends([SendFault::Refused]);
    assert_eq!(scene.succeed(json!({})).await.kept[0].class, "queue");
    scene.target.fail_writes([Fault::Status(503)]);
    scene.target.refuse(br#"{"n":2}"#, 503);
    scene.ranges.down = true;
    assert_eq!(scene.succeed(json!({})).await.kept[0].class, "unavailable");
    assert_eq!(scene.queue.bodies().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_trimmed_range_is_reported_with_what_to_do_and_the_rest_of_it_applied() {
    let mut scene = Scene::default();
    scene.ranges.records = (3..=4).map(|n| (n, modify(&format!("k{n}"), n))).collect();
    scene.ranges.horizon = 3;
    scene.range(1, 4);
    let report = scene.succeed(json!({})).await;
    assert_eq!(scene.visible(), documents(&[("k3", 3), ("k4", 4)]));
    let [trimmed] = &report.trimmed[..] else { panic!("{report:?}") };
    assert_eq!((trimmed.from.as_str(), trimmed.to.as_str(), trimmed.shard_id.as_str()), ("1", "4", "s"));
    assert!(trimmed.next.contains("backfill"));
    assert_eq!((report.letters.kept, report.left), (1, 1));
    let id = trimmed.message_id.clone();
    let report = scene.succeed(json!({"filter": {"message_id": id}, "discard": true})).await;
    assert_eq!((report.letters.discarded, report.left), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn only_letters_that_match_are_touched_and_no_more_than_asked() {
    let scene = Scene::default();
    for n in 1..=25 {
        scene.letter(&modify(&format!("k{n}"), n), if n % 5 == 0 { "b" } else { "a" }).await;
    }
    let report = scene.succeed(json!({"filter": {"class": "b", "table": "T", "status": 400}})).await;
    assert_eq!((report.letters.redriven, report.letters.skipped, report.left), (5, 20, 20));
    let report = scene.succeed(json!({"max": 7})).await;
    assert_eq!((report.letters.received, report.letters.redriven, report.left), (7, 7, 13));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_letter_and_what_is_another_index_s_stays() {
    let scene = Scene::default();
    scene.queue.put("hello");
    scene.letter(&modify("a", 1), "x").await;
    let other = scene.queue.bodies()[1].replace(r#""index":"i""#, r#""index":"j""#);
    scene.queue.put(other);
    let report = scene.succeed(json!({})).await;
    let classes: Vec<_> = report.kept.iter().map(|kept| kept.class.as_str()).collect();
    assert_eq!(classes, ["unreadable", "other_index"]);
    assert_eq!(scene.queue.bodies().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_letter_keeps_the_generation_that_it_was_sent_in() {
    let mut scene = Scene::default();
    scene.letter(&modify("a", 9), "x").await;
    scene.succeed(json!({})).await;
    scene.letter(&modify("a", 1), "x").await;
    scene.ranges.records = [(2, modify("a", 2))].into();
    scene.range(2, 2);
    scene.reading = Reading { generation: Generation(2), partition_key: None };
    // Lambda's letter does not say its generation: the request does.
    let report = scene.succeed(json!({"generation": 1})).await;
    assert_eq!((report.changes.stale, report.changes.applied), (2, 0));
    assert_eq!(scene.visible(), documents(&[("a", 9)]));
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_another_kind_of_stream_stays_alone() {
    let scene = Scene::default();
    let keys_only = modify("a", 1).get().replace("NEW_IMAGE", "KEYS_ONLY");
    scene.letter(&RawValue::from_string(keys_only).expect("JSON"), "x").await;
    scene.letter(&modify("b", 2), "x").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.kept[0].class.as_str(), report.letters.redriven), ("configuration", 1));
}

#[tokio::test(start_paused = true)]
async fn an_outage_keeps_every_letter_and_stops_the_run() {
    for fault in [Fault::Unreachable, Fault::Hang, Fault::Status(503)] {
        let scene = Scene::default();
        scene.target.fail_reads(std::iter::repeat_n(fault, 100_000));
        for n in 1..=3 {
            scene.letter(&modify(&format!("k{n}"), n), "x").await;
        }
        let started = Instant::now();
        let report = scene.succeed(json!({})).await;
        assert!(started.elapsed() <= Duration::from_secs(16), "{:?}", started.elapsed());
        assert_eq!((report.letters.received, report.letters.kept, report.left), (1, 1, 3));
        assert_eq!(scene.queue.waiting(Instant::now()).await, Ok(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_invocation_redrives_what_it_can() {
    let scene = Scene::default();
    scene.letter(&modify("a", 1), "x").await;
    let writer = Writer::new(scene.target.clone(), Generation::default());
    let Scene { queue, ranges, reading, .. } = &scene;
    let redrive = Redrive { reading, writer: &writer, queue, ranges, index: "i", version: "1" };
    let report = redrive.run(&Request::default(), Instant::now() + Duration::from_secs(2)).await.expect("redriven");
    assert_eq!((report.letters.redriven, report.out_of_time), (1, false));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_configuration_gives_every_letter_back() {
    let scene = Scene::default();
    for n in 1..=3 {
        scene.letter(&modify(&format!("k{n}"), n), "x").await;
    }
    scene.target.fail_reads([Fault::Status(401)]);
    let error = scene.run(json!({})).await.expect_err("a wrong configuration");
    assert_eq!(error.kind(), "Configuration");
    assert_eq!(scene.queue.waiting(Instant::now()).await, Ok(3));
}
