//! Guarantees for Lambda's on-failure messages.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_range_is_read_again_and_what_is_refused_in_it_becomes_a_dead_letter() {
    let mut scene = Scene::default();
    scene.ranges.records = (1..=6).map(|n| (n, modify(&format!("k{n}"), n))).collect();
    scene.target.refuse(br#"{"n":3}"#, 400);
    scene.range(2, 5);
    let report = scene.succeed(json!({})).await;
    // The same run receives the new dead letter, and keeps it with its reason.
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
