//! Guarantees for messages that do not name their generation, after a raise of `GENERATION`.

use super::*;

/// Raises the function's generation to 2.
fn raise(scene: &mut Scene) {
    scene.read_options = ReadOptions { generation: Generation(2), ..ReadOptions::default() };
}

#[tokio::test(start_paused = true)]
async fn old_content_never_becomes_the_newest_by_a_raised_generation() {
    let mut scene = Scene::default();
    scene.dead_letter(&modify("a", 9), "x").await;
    scene.succeed(json!({})).await;
    scene.ranges.records = (4..=5).map(|n| (n, modify("a", n))).collect();
    scene.range(4, 5);
    raise(&mut scene);
    let report = scene.succeed(json!({})).await;
    assert_eq!((kept(&report), scene.visible()), (vec![("generation", 1)], documents(&[("a", 9)])));
    let reason = &report.kept[0].reason;
    assert!(reason.contains("GENERATION is 2") && reason.contains(r#"{"generation": N}"#), "{reason}");
    assert_eq!(scene.succeed(json!({"dry_run": true})).await.kept, report.kept);
    // It was sent before the raise.
    let report = scene.succeed(json!({"generation": 1})).await;
    assert_eq!((report.changes.stale, report.letters.redriven), (2, 1));
    assert_eq!(scene.visible(), documents(&[("a", 9)]));
}

#[tokio::test(start_paused = true)]
async fn documents_of_the_own_generation_are_redriven_without_asking() {
    let mut scene = Scene::default();
    raise(&mut scene);
    for n in [3, 8] {
        scene.dead_letter(&modify(&format!("k{n}"), n), "x").await;
    }
    scene.succeed(json!({})).await;
    scene.ranges.records = [(5, modify("k3", 5)), (6, modify("k8", 6))].into();
    scene.range(5, 6);
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.changes.applied, report.changes.stale, report.letters.redriven), (1, 1, 1));
    assert_eq!(scene.visible(), documents(&[("k3", 5), ("k8", 8)]));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_does_not_exist_is_undecided_and_holds_up_no_other() {
    let mut scene = Scene::default();
    raise(&mut scene);
    scene.dead_letter(&modify("known", 1), "x").await;
    scene.succeed(json!({})).await;
    scene.ranges.records = [(5, modify("known", 5)), (6, modify("unknown", 6))].into();
    scene.range(5, 6);
    let report = scene.succeed(json!({})).await;
    assert_eq!((kept(&report), report.changes.applied), (vec![("generation", 1)], 1));
    assert_eq!(scene.visible(), documents(&[("known", 5)]));
    let report = scene.succeed(json!({"generation": 2})).await;
    assert_eq!((report.changes.applied, report.changes.duplicate, report.letters.redriven), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_ours_without_a_version_is_undecided_too() {
    let sent = Scene::default();
    let keys_only = modify("a", 1).get().replace("NEW_IMAGE", "KEYS_ONLY");
    sent.dead_letter(&RawValue::from_string(keys_only).expect("JSON"), "malformed_record").await;
    // As if the code that parses it had been fixed since.
    let mut scene = Scene::default();
    scene.queue.put(sent.queue.bodies()[0].replace("KEYS_ONLY", "NEW_IMAGE"));
    raise(&mut scene);
    assert_eq!(kept(&scene.succeed(json!({})).await), [("generation", 1)]);
    assert_eq!(scene.succeed(json!({"generation": 1})).await.changes.applied, 1);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_be_read_decides_nothing() {
    let mut scene = Scene::default();
    scene.ranges.records = [(5, modify("a", 5))].into();
    scene.range(5, 5);
    raise(&mut scene);
    scene.target.fail_reads([Fault::Status(503)]);
    assert_eq!(kept(&scene.succeed(json!({})).await), [("scripted", 1)]);
    assert_eq!((scene.visible(), scene.queue.bodies().len()), (vec![], 1));
}
