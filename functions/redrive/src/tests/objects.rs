//! Guarantees for batches in the on-failure bucket.

use driftless::testing::{KINESIS_ARN, KinesisRecordBuilder, TABLE_ARN};

use super::*;

impl Scene {
    /// Puts a batch into the bucket as Lambda does, at this second.
    fn object(&self, key: &str, second: u64, records: &[Box<RawValue>]) {
        self.object_of(key, second, ("DDBStreamBatchInfo", STREAM_ARN), records);
    }

    fn object_of(&self, key: &str, second: u64, (member, arn): (&str, &str), records: &[Box<RawValue>]) {
        let records: Vec<&str> = records.iter().map(|raw| raw.get()).collect();
        let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let object = json!({"requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4}, member: {
            "shardId": "s", "startSequenceNumber": "1", "endSequenceNumber": "9", "batchSize": records.len(),
            "streamArn": arn}, "payload": event});
        self.bucket.put(key, second, object.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_written_from_its_object_and_needs_no_stream() {
    let mut scene = Scene::default();
    scene.ranges.down = true;
    for n in 1..=5 {
        scene.object(&format!("b{n}"), 9, &[modify(&format!("k{n}"), n), modify("all", n)]);
    }
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.received, report.letters.redriven, report.left), (5, 5, 0));
    assert_eq!((report.changes.applied, report.changes.failed), (10, 0));
    assert_eq!(scene.bucket.keys(), [""; 0]);
    assert_eq!(scene.visible()[0], ("all".to_owned(), r#"{"n":5}"#.to_owned()));
    assert_eq!(scene.visible().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_older_batch_never_overwrites_a_newer_one_and_comes_first() {
    let scene = Scene::default();
    scene.object("a-newer", 20, &[modify("a", 7)]);
    scene.object("z-older", 10, &[modify("a", 3)]);
    let report = scene.succeed(json!({"max": 1})).await;
    assert_eq!((report.letters.redriven, report.left), (1, 1));
    assert_eq!((scene.visible(), scene.bucket.keys()), (documents(&[("a", 3)]), vec!["a-newer".to_owned()]));
    scene.object("late", 30, &[modify("a", 5)]);
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.changes.applied, report.changes.stale, report.left), (1, 1, 0));
    assert_eq!(scene.visible(), documents(&[("a", 7)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_in_the_queue_before_its_object_is_deleted() {
    let scene = Scene::default();
    scene.target.refuse(br#"{"n":2}"#, 400);
    scene.object("b", 1, &[modify("k1", 1), modify("k2", 2), RawValue::NULL.to_owned()]);
    scene.queue.fail_sends([SendFault::Refused]);
    let report = scene.succeed(json!({})).await;
    assert_eq!((kept(&report), report.changes.rejected, report.left), (vec![("queue", 1)], 2, 1));
    assert_eq!(scene.bucket.keys(), ["b"]);
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.redriven, report.changes.duplicate, report.left), (1, 1, 2));
    let report = scene.succeed(json!({})).await;
    assert_eq!(kept(&report), [("scripted", 1), ("malformed_record", 1)]);
    assert_eq!((scene.bucket.keys().len(), scene.queue.bodies().len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_not_deleted_changes_nothing_when_it_comes_again() {
    let scene = Scene::default();
    scene.object("b", 1, &[modify("a", 1)]);
    scene.bucket.refuse_deletions(1);
    let report = scene.succeed(json!({})).await;
    assert_eq!((kept(&report), report.changes.applied, report.left), (vec![("bucket", 1)], 1, 1));
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.redriven, report.changes.duplicate, report.left), (1, 1, 0));
    assert_eq!(scene.visible(), documents(&[("a", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_batches_says_what_the_run_does_and_changes_nothing() {
    let scene = Scene::default();
    scene.object("b1", 1, &[modify("a", 5), modify("b", 6)]);
    scene.object("b2", 2, &[modify("c", 7), RawValue::NULL.to_owned()]);
    let dry = scene.succeed(json!({"dry_run": true})).await;
    assert_eq!((scene.visible(), scene.bucket.keys().len(), scene.queue.bodies().len()), (vec![], 2, 0));
    let run = scene.succeed(json!({})).await;
    assert_eq!((dry.letters, dry.changes, dry.left), (run.letters, run.changes, 2));
}

#[tokio::test(start_paused = true)]
async fn filters_and_discarding_hold_for_objects_by_shape_key_and_table() {
    let scene = Scene::default();
    scene.dead_letter(&modify("letter", 1), "x").await;
    for n in 1..=4 {
        scene.object(&format!("b{n}"), n, &[modify(&format!("k{n}"), 1)]);
    }
    let report = scene.succeed(json!({"filter": {"shape": "batch", "not_message_id": ["b1"]}, "max": 1})).await;
    assert_eq!((report.letters.received, report.letters.skipped, report.letters.redriven), (2, 1, 1));
    assert_eq!((scene.visible(), report.left), (documents(&[("k2", 1)]), 4));
    let report = scene.succeed(json!({"filter": {"message_id": "b4"}, "discard": true})).await;
    assert_eq!((report.letters.discarded, report.letters.skipped, report.left), (1, 3, 3));
    for other in
        [json!({"table": "U"}), json!({"class": "RecordAgeExceeded"}), json!({"status": 400, "shape": "batch"})]
    {
        assert_eq!(scene.succeed(json!({"filter": other})).await.letters.redriven, 0);
    }
    let report = scene.succeed(json!({"filter": {"shape": "record"}})).await;
    assert_eq!((report.letters.redriven, report.left), (1, 0), "the bucket is not looked at");
    let report = scene.succeed(json!({"filter": {"table": "T", "class": "RetryAttemptsExhausted"}})).await;
    assert_eq!((report.letters.redriven, scene.bucket.keys().len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn objects_of_another_form_or_table_stay_with_their_reason_and_hold_up_no_other() {
    let scene = Scene { table: Some(TABLE_ARN.to_owned()), ..Scene::default() };
    scene.bucket.put("a", 1, "nothing that is read");
    scene.object_of("b", 2, ("DDBStreamBatchInfo", "arn:aws:dynamodb:x:1:table/U/stream/1"), &[modify("b", 1)]);
    scene.object("c", 3, &[modify("c", 1)]);
    let report = scene.succeed(json!({})).await;
    assert_eq!((kept(&report), report.letters.redriven), (vec![("unreadable", 1), ("other_table", 1)], 1));
    assert_eq!((report.kept[0].message_id.as_str(), report.left), ("a", 2));
    assert_eq!(scene.succeed(json!({"filter": {"shape": "unreadable"}, "discard": true})).await.letters.discarded, 1);
    assert_eq!((scene.bucket.keys(), scene.visible()), (vec!["b".to_owned()], documents(&[("c", 1)])));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_kinesis_is_written_from_its_object() {
    let mut scene = Scene::default();
    scene.object_of("b", 1, ("KinesisBatchInfo", KINESIS_ARN), &[KinesisRecordBuilder::modify("a", 1).raw()]);
    assert_eq!(kept(&scene.succeed(json!({})).await), [("configuration", 1)], "it names no table");
    scene.table = Some(TABLE_ARN.to_owned());
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.redriven, report.changes.applied, report.left), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_before_a_raised_generation_is_undecided() {
    let mut scene = Scene::default();
    scene.object("b", 1, &[modify("a", 5)]);
    scene.read_options = ReadOptions { generation: Generation(2), ..ReadOptions::default() };
    assert_eq!(kept(&scene.succeed(json!({})).await), [("generation", 1)]);
    let report = scene.succeed(json!({"generation": 1})).await;
    assert_eq!((report.changes.applied, scene.bucket.keys().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_outage_keeps_every_object_and_stops_the_run() {
    let scene = Scene::default();
    scene.target.fail_reads(std::iter::repeat_n(Fault::Unreachable, 100_000));
    for n in 1..=5 {
        scene.object(&format!("b{n}"), n, &[modify("a", 1)]);
    }
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.received, report.letters.kept, report.left), (3, 3, 5));
    for n in 1..=3 {
        scene.dead_letter(&modify(&format!("k{n}"), n), "x").await;
    }
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.received, report.left), (3, 8), "messages that fail spare the objects");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_cannot_be_listed_fails_the_run_after_the_messages_are_done() {
    let scene = Scene::default();
    scene.dead_letter(&modify("a", 1), "x").await;
    scene.object("b", 1, &[modify("b", 1)]);
    scene.bucket.take_down();
    let error = scene.run(json!({})).await.expect_err("no listing");
    assert!(error.kind() == "Unavailable" && error.to_string().contains("bucket"), "{error}");
    assert_eq!((scene.visible(), scene.queue.bodies().len()), (documents(&[("a", 1)]), 0));
    assert_eq!(scene.succeed(json!({"filter": {"shape": "record"}})).await.left, 0);
}
