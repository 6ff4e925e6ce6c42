//! Guarantees for dead letters whose order is in doubt: older by version than the document, newer by event time.

use driftless::table::TableError;

use super::*;

/// A document at version 9, and a dead letter of version 4 that was written ten seconds later.
async fn doubt() -> Scene {
    let scene = Scene::default();
    scene.dead_letter(&modify_at("a", 9, 1_000), "x").await;
    scene.succeed(json!({})).await;
    scene.dead_letter(&modify_at("a", 4, 1_010), "order_anomaly").await;
    scene
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_whose_order_is_in_doubt_stays_until_somebody_decides() {
    let scene = doubt().await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((kept(&report), report.changes.order_anomalies), (vec![("order_anomaly", 1)], 1));
    assert_eq!(scene.visible(), documents(&[("a", 9)]));
    let report = scene.succeed(json!({"filter": {"class": "order_anomaly"}, "discard": true})).await;
    assert_eq!((report.letters.discarded, report.left), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn applied_as_asked_its_content_stands_at_the_version_that_is_stored() {
    let scene = doubt().await;
    let stored = |scene: &Scene| scene.target.documents().into_values().next().and_then(|document| document.version);
    let version = stored(&scene);
    let report = scene.succeed(json!({"apply_order_anomalies": true, "dry_run": true})).await;
    assert_eq!((report.changes.applied, scene.visible()), (1, documents(&[("a", 9)])));
    let report = scene.succeed(json!({"apply_order_anomalies": true})).await;
    assert_eq!((report.changes.applied, report.letters.redriven, report.left), (1, 1, 0));
    assert_eq!((scene.visible(), stored(&scene)), (documents(&[("a", 4)]), version));
    // A change that was pending behind the stored version still applies. One that it superseded does not.
    scene.dead_letter(&modify_at("a", 10, 1_020), "x").await;
    scene.dead_letter(&modify_at("a", 8, 999), "x").await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.changes.applied, report.changes.stale), (1, 1));
    assert_eq!(scene.visible(), documents(&[("a", 10)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_fails_stays_as_any_dead_letter_does() {
    let scene = doubt().await;
    scene.target.refuse(br#"{"n":4}"#, 400);
    let ask = json!({"apply_order_anomalies": true});
    assert_eq!(kept(&scene.succeed(ask.clone()).await), [("scripted", 1)]);
    scene.target.accept(br#"{"n":4}"#);
    scene.target.fail_writes([Fault::AnswerLost]);
    assert_eq!(kept(&scene.succeed(ask.clone()).await), [("unreachable", 1)]);
    // It had been written, so its event time is no longer newer.
    assert_eq!(scene.succeed(ask).await.changes.stale, 1);
    assert_eq!((scene.visible(), scene.queue.bodies().len()), (documents(&[("a", 4)]), 0));
}

#[tokio::test(start_paused = true)]
async fn the_item_decides_where_the_table_can_be_read() {
    let mut scene = doubt().await;
    let table = MemoryTable::default();
    table.put("a", 4);
    scene.items = Some(table.clone());
    let version = scene.target.documents().into_values().next().and_then(|document| document.version);
    let report = scene.succeed(json!({"dry_run": true})).await;
    assert_eq!((report.changes.applied, scene.visible()), (1, documents(&[("a", 9)])));
    // A table that cannot be read decides nothing.
    table.fail([TableError::Unavailable("is busy".to_owned())]);
    assert_eq!(kept(&scene.succeed(json!({})).await), [("order_anomaly", 1)]);
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.letters.redriven, report.left), (1, 0));
    assert_eq!(scene.visible(), [("a".to_owned(), r#"{"n":4,"pk":"a"}"#.to_owned())]);
    let stored = scene.target.documents().into_values().next().and_then(|document| document.version);
    assert_eq!(stored, version, "a newer version would hide changes that are still to come");
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_gone_decides_for_its_removal() {
    let mut scene = doubt().await;
    scene.items = Some(MemoryTable::default());
    assert_eq!(scene.succeed(json!({})).await.left, 0);
    assert_eq!(scene.visible(), []);
}
