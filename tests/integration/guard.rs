//! Order and deduplication: what the engine itself refuses.

use std::time::Duration;

use opensearch::http::Method;
use serde_json::json;

use crate::support::{Index, documents, insert, modify, remove, with_label};

#[tokio::test]
async fn duplicates_and_old_versions_are_refused() {
    let index = Index::new("guard");
    let function = index.function();
    function.succeed(&[insert("a", 1)]).await;
    function.succeed(&[modify("a", 3)]).await;
    for late in [modify("a", 3), modify("a", 2), insert("a", 1)] {
        // A second process, which remembers nothing, and the one that wrote.
        index.function().succeed(std::slice::from_ref(&late)).await;
        function.succeed(&[late]).await;
    }
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":3}"#)]));
}

#[tokio::test]
async fn a_removed_item_stays_removed_also_after_the_engine_forgot_deletes() {
    let index = Index::new("tombstone");
    index.function().succeed(&[insert("first", 1)]).await;
    // 60 s by default, for which `scale` waits.
    let forgets = Some(json!({"index.gc_deletes": "1s"}));
    let (status, answer) = index.send(Method::Put, &format!("/{}-000001/_settings", index.name), forgets).await;
    assert_eq!(status, 200, "{answer}");
    stays_removed(&index, Duration::from_secs(20)).await;
}

/// Removes items, waits until the engine has forgotten a deletion after theirs, and delivers older changes again.
pub(crate) async fn stays_removed(index: &Index, limit: Duration) {
    let function = index.function();
    function.succeed(&[remove("first", 2), insert("seen", 1), remove("seen", 5), remove("unseen", 5)]).await;
    function.succeed(&[modify("seen", 4), insert("unseen", 4)]).await;
    assert_eq!(index.visible().await, documents(&[]));
    is_forgotten(index, limit).await;
    index.function().succeed(&[modify("seen", 4), insert("unseen", 4)]).await;
    assert_eq!(index.visible().await, documents(&[]));
    assert_eq!(index.all().await, documents(&[("first", ""), ("seen", ""), ("unseen", "")]));
    function.succeed(&[insert("seen", 6)]).await;
    assert_eq!(index.visible().await, documents(&[("seen", r#"{"n":6}"#)]));
}

/// Deletes a document, and waits until the engine knows nothing of the deletion: it takes a version that is older.
async fn is_forgotten(index: &Index, limit: Duration) {
    let send = async |method, version: u32| {
        let path = format!("/{}-000001/_doc/deleted?version={version}&version_type=external", index.name);
        let body = (method == Method::Put).then(|| json!({}));
        index.send(method, &path, body).await.0
    };
    assert_eq!((send(Method::Put, 1).await, send(Method::Delete, 10).await), (201, 200));
    assert_eq!(send(Method::Put, 5).await, 409, "the engine remembers the deletion for a while");
    let forgetting = async {
        while send(Method::Put, 5).await != 201 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            // It forgets when it refreshes.
            index.refresh().await;
        }
    };
    tokio::time::timeout(limit, forgetting).await.expect("the engine forgets the deletion");
    assert_eq!(send(Method::Delete, 6).await, 200);
}

#[tokio::test]
async fn remove_then_insert_in_one_batch_ends_as_the_insert() {
    let index = Index::new("fold");
    let function = index.function();
    function.succeed(&[insert("a", 1), insert("b", 2)]).await;
    function.succeed(&[remove("a", 3), insert("a", 4), remove("b", 5)]).await;
    function.succeed(&[insert("c", 6), remove("c", 7)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":4}"#)]));
}

#[tokio::test]
async fn a_recreated_streams_change_wins_over_the_old_streams() {
    let index = Index::new("stream");
    let function = index.function();
    function.succeed(&[insert("a", 900)]).await;
    function.succeed(&[with_label("a", "2026-02-01T00:00:00.000", 2)]).await;
    function.succeed(&[modify("a", 901)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":2}"#)]));
}

#[tokio::test]
async fn a_raised_generation_wins_over_every_stream() {
    let index = Index::new("generation");
    index.function().succeed(&[with_label("a", "2026-02-01T00:00:00.000", 7)]).await;
    let mut settings = index.settings();
    settings.push(("GENERATION".to_owned(), "2".to_owned()));
    crate::support::ReplicateFunction::new(settings).succeed(&[modify("a", 1)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":1}"#)]));
}

#[tokio::test]
async fn sequence_numbers_are_compared_as_numbers() {
    let index = Index::new("numeric");
    index.function().succeed(&[insert("a", 10_000)]).await;
    index.function().succeed(&[modify("a", 9_900)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":10000}"#)]));
}

#[tokio::test]
async fn tombstones_are_hidden_from_searches_and_counts() {
    let index = Index::new("hidden");
    index.function().succeed(&[insert("a", 1), insert("b", 2), remove("b", 3)]).await;
    assert_eq!(index.search(json!({"match_all": {}})).await, ["a"]);
    assert_eq!(index.search(json!({"ids": {"values": ["a", "b"]}})).await, ["a"]);
    let (_, count) = index.send(Method::Get, &format!("/{}/_count", index.name), None).await;
    assert!(count.contains("\"count\":1"), "{count}");
}
