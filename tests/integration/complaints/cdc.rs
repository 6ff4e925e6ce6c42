//! Change data capture in general: Monstache, the Kafka Connect sinks, PGSync, Logstash.

use opensearch::http::Method;
use serde_json::{Value, json};

use crate::stage::Stage;
use crate::support::{documents, insert, modify, remove, with_image};

/// Puts a document into a state of before, as a restored snapshot does, or deletes it, as a hand does.
async fn put_back(stage: &Stage, id: &str, source: Option<Value>) {
    let (method, path) = match source {
        Some(_) => (Method::Put, format!("/{}-000001/_doc/{id}", stage.index.name)),
        None => (Method::Delete, format!("/{}-000001/_doc/{id}", stage.index.name)),
    };
    let (status, text) = stage.index.send(method, &path, source).await;
    assert!((200..300).contains(&status), "{status} {text}");
}

async fn source(stage: &Stage, id: &str) -> Value {
    let (_, text) = stage.index.send(Method::Get, &format!("/{}-000001/_source/{id}", stage.index.name), None).await;
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn after_a_restored_snapshot_or_a_manual_delete_later_and_redriven_changes_are_applied() {
    let stage = Stage::new("restored").await;
    stage.succeed(&[insert("restored", 1), insert("deleted", 2), insert("removed", 3)]).await;
    let old = [source(&stage, "restored").await, source(&stage, "removed").await];
    stage.succeed(&[modify("restored", 4), remove("removed", 5), modify("deleted", 6)]).await;
    let [restored, removed] = old;
    put_back(&stage, "restored", Some(restored)).await;
    put_back(&stage, "removed", Some(removed)).await;
    put_back(&stage, "deleted", None).await;
    // The process that wrote the newer states hears of them again: the index counts, not its memory.
    let metrics = stage.succeed(&[modify("restored", 4), remove("removed", 5), modify("deleted", 6)]).await;
    assert_eq!(metrics["Applied"], 3, "{metrics}");
    assert_eq!(stage.index.visible().await, documents(&[("deleted", r#"{"n":6}"#), ("restored", r#"{"n":4}"#)]));
    stage.succeed(&[modify("restored", 7), insert("removed", 8), remove("deleted", 9)]).await;
    assert_eq!(stage.index.visible().await, documents(&[("removed", r#"{"n":8}"#), ("restored", r#"{"n":7}"#)]));
}

#[tokio::test]
async fn a_batch_that_succeeded_in_part_is_sent_again_without_harm() {
    let mut stage = Stage::new("in-part").await;
    let batch: Vec<String> = (1..=100).map(|sequence| insert(&format!("k{sequence}"), sequence)).collect();
    stage.succeed(&batch[..60]).await;
    stage.restart().await;
    let metrics = stage.succeed(&batch).await;
    assert_eq!([&metrics["Applied"], &metrics["Duplicate"], &metrics["Failed"]], [40, 60, 0], "{metrics}");
    assert_eq!(stage.index.visible().await.len(), 100);
}

#[tokio::test]
async fn counts_are_exact_where_a_batch_or_a_request_ends() {
    let stage = Stage::new("exact").await;
    let mut sequence = 0;
    // 40 KB each: the largest batch is more than the 5 MiB that one request holds.
    let text = "x".repeat(40_000);
    for size in [1, 2, 3, 99, 100, 101, 300] {
        let batch: Vec<String> = (0..size)
            .map(|_| {
                sequence += 1;
                with_image(&format!("k{sequence}"), sequence, &format!(r#"{{"s":{{"S":"{text}"}}}}"#))
            })
            .collect();
        let metrics = stage.succeed(&batch).await;
        assert_eq!(metrics["Applied"].as_u64(), Some(size), "{metrics}");
    }
    stage.index.send(Method::Post, &format!("/{}/_refresh", stage.index.name), None).await;
    let (_, count) = stage.index.send(Method::Get, &format!("/{}/_count", stage.index.name), None).await;
    let count: Value = serde_json::from_str(&count).expect("JSON");
    assert_eq!(count["count"].as_u64(), Some(sequence));
}

#[tokio::test]
async fn an_attribute_named_like_the_metadata_hurts_neither_side() {
    let stage = Stage::new("own-metadata").await;
    let image = r#"{"_driftless":{"M":{"version":{"N":"1"},"deleted":{"BOOL":true}}},"_id":{"S":"mine"}}"#;
    stage.succeed(&[with_image("a", 1, image)]).await;
    let shown = r#"{"%5Fdriftless":{"deleted":true,"version":1},"%5Fid":"mine"}"#;
    assert_eq!(stage.index.visible().await, documents(&[("a", shown)]));
    assert_eq!(stage.index.search(json!({"term": {"%5Fdriftless.deleted": true}})).await, ["a"]);
    stage.succeed(&[remove("a", 2)]).await;
    assert_eq!(stage.index.visible().await, documents(&[]));
}
