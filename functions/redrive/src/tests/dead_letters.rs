//! Guarantees for our own dead letters.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_applied_and_leaves_the_queue() {
    let scene = Scene::default();
    scene.dead_letter(&modify("a", 1), "mapper_parsing_exception").await;
    scene.dead_letter(&modify("b", 2), "mapper_parsing_exception").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!(report.letters, MessageCounts { received: 2, redriven: 2, ..MessageCounts::default() });
    assert_eq!(report.changes, OutcomeCounts { applied: 2, ..OutcomeCounts::default() });
    assert_eq!((scene.visible(), scene.queue.bodies().len(), report.left), (documents(&[("a", 1), ("b", 2)]), 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_older_than_the_document_is_done_and_changes_nothing() {
    let scene = Scene::default();
    scene.dead_letter(&modify("a", 2), "x").await;
    scene.dead_letter(&RecordBuilder::remove("b", 9).event_second(None).raw(), "x").await;
    scene.succeed(json!({})).await;
    scene.dead_letter(&modify("a", 1), "x").await;
    scene.dead_letter(&modify("b", 8), "x").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.changes.stale, report.letters.redriven), (2, 2));
    assert_eq!((scene.visible(), scene.queue.bodies().len()), (documents(&[("a", 2)]), 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_refused_again_stays_with_its_reason() {
    let scene = Scene::default();
    scene.target.refuse(br#"{"n":1}"#, 400);
    scene.dead_letter(&modify("a", 1), "x").await;
    scene.dead_letter(&modify("b", 2), "x").await;
    scene.dead_letter(&RecordBuilder::insert("c", 3).new_image(r#"{"n":{"N":1}}"#).raw(), "malformed_record").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.kept, report.letters.redriven, report.left), (2, 1, 2));
    let classes: Vec<_> = report.kept.iter().map(|kept| (kept.class.as_str(), kept.status, kept.count)).collect();
    assert_eq!(classes, [("scripted", Some(400), 1), ("malformed_record", None, 1)]);
    // Immediately, before the visibility timeout ends.
    scene.target.accept(br#"{"n":1}"#);
    assert_eq!(scene.succeed(json!({})).await.letters.redriven, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_dead_letter_and_what_is_another_index_s_stays() {
    let scene = Scene::default();
    scene.queue.put("hello");
    scene.dead_letter(&modify("a", 1), "x").await;
    let other = scene.queue.bodies()[1].replace(r#""index":"i""#, r#""index":"j""#);
    scene.queue.put(other);
    let report = scene.succeed(json!({})).await;
    let classes: Vec<_> = report.kept.iter().map(|kept| kept.class.as_str()).collect();
    assert_eq!(classes, ["unreadable", "other_index"]);
    assert_eq!(scene.queue.bodies().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_keeps_the_generation_that_it_was_sent_in() {
    let mut scene = Scene::default();
    scene.dead_letter(&modify("a", 9), "x").await;
    scene.succeed(json!({})).await;
    scene.dead_letter(&modify("a", 1), "x").await;
    scene.ranges.records = [(2, modify("a", 2))].into();
    scene.range(2, 2);
    scene.read_options = ReadOptions { generation: Generation(2), ..ReadOptions::default() };
    // Lambda's message does not name its generation, so the request does.
    let report = scene.succeed(json!({"generation": 1})).await;
    assert_eq!((report.changes.stale, report.changes.applied), (2, 0));
    assert_eq!(scene.visible(), documents(&[("a", 9)]));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_another_kind_of_stream_stays_alone() {
    let scene = Scene::default();
    let keys_only = modify("a", 1).get().replace("NEW_IMAGE", "KEYS_ONLY");
    scene.dead_letter(&RawValue::from_string(keys_only).expect("JSON"), "x").await;
    scene.dead_letter(&modify("b", 2), "x").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.kept[0].class.as_str(), report.letters.redriven), ("configuration", 1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_another_table_stays() {
    let mut scene =
        Scene { table: Some("arn:aws:dynamodb:eu-central-1:123456789012:table/U".to_owned()), ..Scene::default() };
    scene.ranges.records = [(2, modify("b", 2))].into();
    scene.dead_letter(&modify("a", 1), "x").await;
    scene.range(2, 2);
    let report = scene.succeed(json!({})).await;
    assert_eq!((kept(&report), scene.visible()), (vec![("other_table", 2)], vec![]));
    // A dead letter of the same table, whatever its stream.
    scene.table = Some("arn:aws:dynamodb:eu-central-1:123456789012:table/T".to_owned());
    assert_eq!(scene.succeed(json!({})).await.letters.redriven, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_and_a_real_run_agree_on_poison_that_was_corrected_since() {
    let scene = Scene::default();
    scene.target.refuse(br#"{"n":1}"#, 400);
    scene.dead_letter(&RecordBuilder::insert("a", 1).event_second(None).raw(), "scripted").await;
    scene.dead_letter(&modify("a", 2), "x").await;
    scene.succeed(json!({"filter": {"class": "x"}})).await;
    let dry = scene.succeed(json!({"dry_run": true})).await;
    let real = scene.succeed(json!({})).await;
    assert_eq!((dry.changes.stale, real.changes), (1, dry.changes));
    assert_eq!((scene.visible(), scene.queue.bodies().len()), (documents(&[("a", 2)]), 0));
}
