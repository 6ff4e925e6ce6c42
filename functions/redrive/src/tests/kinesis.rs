//! Guarantees for dead letters and on-failure messages of Kinesis.

use driftless::source::RecordSource;
use driftless::table::TableError;
use driftless::testing::{KINESIS_ARN, KinesisRecordBuilder, TABLE_ARN};

use super::*;

impl Scene {
    /// Sends a dead letter as `replicate-kinesis` does.
    async fn dead_letter_of_kinesis(&self, record: &KinesisRecordBuilder) {
        let raw = record.raw();
        let source = RecordSource::Kinesis { table_arn: TABLE_ARN };
        let Record { origin, change } = source.read(raw.get(), &self.read_options);
        let why = Rejection { class: "x".to_owned(), status: Some(400), reason: "a reason".to_owned() };
        let dead_letter =
            DeadLetter::new(&raw, &origin, change.as_ref().ok().map(Change::name).as_ref(), why, SENDER, now());
        self.queue.send(&dead_letter.message().expect("fits"), Instant::now()).await.expect("sent");
    }

    /// Sends Lambda's on-failure message about records of the Kinesis stream.
    fn range_of_kinesis(&self, start: u32, end: u32) {
        let batch = json!({"shardId": "shardId-000000000000", "startSequenceNumber": start.to_string(),
            "endSequenceNumber": end.to_string(), "batchSize": 1, "streamArn": KINESIS_ARN});
        let request = json!({"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4});
        self.queue.put(json!({"requestContext": request, "KinesisBatchInfo": batch}).to_string());
    }
}

fn scene() -> Scene {
    Scene { table: Some(TABLE_ARN.to_owned()), ..Scene::default() }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_kinesis_is_written_again_at_its_version() {
    let scene = scene();
    scene.dead_letter_of_kinesis(&KinesisRecordBuilder::modify("a", 5)).await;
    assert_eq!(scene.succeed(json!({})).await.changes.applied, 1);
    assert_eq!(scene.visible(), documents(&[("a", 5)]));
    scene.dead_letter_of_kinesis(&KinesisRecordBuilder::modify("a", 5)).await;
    scene.dead_letter_of_kinesis(&KinesisRecordBuilder::modify("a", 4)).await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.changes.duplicate, report.changes.stale, report.left), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_without_an_order_is_decided_by_its_item_or_stays() {
    let mut scene = scene();
    let items = MemoryTable::default();
    items.put("a", 7);
    scene.items = Some(items.clone());
    scene.dead_letter_of_kinesis(&KinesisRecordBuilder::modify("a", 5)).await;
    scene.succeed(json!({})).await;
    scene.dead_letter_of_kinesis(&KinesisRecordBuilder::modify("a", 5).event_id("other")).await;
    assert_eq!(scene.succeed(json!({"dry_run": true})).await.changes.applied, 1);
    assert_eq!(scene.visible(), documents(&[("a", 5)]), "a dry run writes nothing");
    for error in [TableError::Unavailable("is busy".to_owned()), TableError::Refused("AccessDenied".to_owned())] {
        items.fail([error]);
        assert_eq!(kept(&scene.succeed(json!({})).await), [("unordered", 1)]);
    }
    assert_eq!(scene.succeed(json!({})).await.left, 0);
    assert_eq!(scene.visible(), [("a".to_owned(), r#"{"n":7,"pk":"a"}"#.to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_range_of_kinesis_is_read_again() {
    let mut scene = scene();
    let items = MemoryTable::default();
    items.put("k3", 9);
    scene.items = Some(items);
    let record = |n: u32| KinesisRecordBuilder::modify(&format!("k{n}"), n.into());
    scene.ranges.records = (1..=4).map(|n| (n, record(n).raw())).collect();
    scene.ranges.records.insert(5, record(3).event_id("other").raw());
    scene.target.refuse(br#"{"n":2}"#, 400);
    scene.range_of_kinesis(1, 5);
    let report = scene.succeed(json!({})).await;
    // The same run receives the new dead letter, and keeps it with its reason.
    assert_eq!((report.letters.redriven, report.letters.kept), (1, 1));
    let visible: BTreeMap<_, _> = scene.visible().into_iter().collect();
    assert_eq!(visible.keys().collect::<Vec<_>>(), ["k1", "k3", "k4"]);
    assert_eq!(visible["k3"], r#"{"n":9,"pk":"k3"}"#);
    scene.target.accept(br#"{"n":2}"#);
    assert_eq!(scene.succeed(json!({})).await.left, 0);
}

#[tokio::test(start_paused = true)]
async fn a_filter_by_table_names_the_ranges_that_it_cannot_decide_on_and_their_stream_selects_them() {
    let mut scene = scene();
    scene.ranges.records = [(1, KinesisRecordBuilder::modify("k", 1).raw())].into();
    scene.range_of_kinesis(1, 1);
    scene.range(7, 7);
    scene.dead_letter_of_kinesis(&KinesisRecordBuilder::modify("a", 5)).await;
    for request in
        [json!({"filter": {"table": "T"}, "dry_run": true}), json!({"filter": {"table": "T"}, "discard": true})]
    {
        let report = scene.succeed(request).await;
        assert_eq!(kept(&report), [("unnamed_table", 1)]);
        let reason = &report.kept[0].reason;
        assert!(reason.contains(KINESIS_ARN) && reason.contains("filter.stream_arn"), "{reason}");
    }
    // The dead letter and the range of the table's own stream named it, and are gone.
    assert_eq!(scene.queue.bodies().len(), 1);
    for passes_over in [
        json!({"table": "T", "shape": "record"}),
        json!({"table": "T", "class": "x"}),
        json!({"stream_arn": STREAM_ARN}),
        json!({"table": "T", "stream_arn": STREAM_ARN}),
    ] {
        let report = scene.succeed(json!({"filter": passes_over, "discard": true})).await;
        assert_eq!((report.letters.skipped, kept(&report)), (1, vec![]), "{passes_over}");
    }
    let report = scene.succeed(json!({"filter": {"stream_arn": KINESIS_ARN}})).await;
    assert_eq!((report.letters.redriven, report.changes.applied, report.left), (1, 1, 0));
    assert_eq!(scene.visible(), documents(&[("k", 1)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_of_another_table_or_of_none_stays() {
    let scene = scene();
    scene.dead_letter_of_kinesis(&KinesisRecordBuilder::modify("a", 5).table("U")).await;
    assert_eq!(kept(&scene.succeed(json!({})).await), [("configuration", 1)]);
    let scene = Scene::default();
    scene.dead_letter_of_kinesis(&KinesisRecordBuilder::modify("a", 5)).await;
    scene.range_of_kinesis(1, 1);
    assert_eq!(kept(&scene.succeed(json!({})).await), [("configuration", 2)]);
    assert_eq!(scene.visible(), []);
}
