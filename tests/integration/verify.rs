//! The proof, on the real services: what differs is found and mended, and nothing else is called a difference.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use driftless::function::clock::now;
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::backfill::{disturb, follow};
use crate::loading::{Scene, count, fails, id, run};

const ITEMS: u64 = 2_000;
/// Time of one invocation. An eighth of it is the longest lag that a comparison stands.
const TIMEOUT: Duration = Duration::from_secs(120);
const DRAIN: Duration = Duration::from_secs(120);

/// Sends a request about one document of the physical index.
async fn document(scene: &Scene, method: Method, api: &str, number: u64, body: Option<Value>) -> Value {
    let path = format!("/{}-000001/{api}/{}?refresh=true", scene.index.name, id(number).replace('|', "%7C"));
    let (status, text) = scene.index.send(method, &path, body).await;
    assert!((200..300).contains(&status), "{status} {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_difference_is_found_and_mended() {
    find_and_mend(ITEMS).await;
}

/// Makes differences of each kind among so many items, and finds and mends them.
pub(crate) async fn find_and_mend(items: u64) {
    let scene = Scene::new("verify").await;
    scene.fill(0..items).await;
    scene.backfilled().await;
    let (table, index) = scene.verified(false).await;
    assert_eq!((&table["equal"], &index["equal"]), (&json!(true), &json!(true)), "{table} {index}");
    assert_eq!((count(&table, "items"), count(&index, "documents")), (items, items));
    assert_eq!(table["documents_in_index"], items);

    // Nobody follows the stream: these changes are lost.
    scene.fill(items..items + 1).await;
    scene.put(1, 77).await;
    scene.delete(2).await;
    // A foreign partial update keeps `_driftless`.
    document(&scene, Method::Post, "_update", 3, Some(json!({"doc": {"seen": true}}))).await;
    // A foreign writer changes one field in place.
    document(&scene, Method::Post, "_update", 4, Some(json!({"doc": {"text": "changed"}}))).await;
    // An item's document is a tombstone.
    let version = "0000000001/2026-01-15T09:30:00.000000000/0000000000000000000000000000000000000007";
    let tombstone = json!({"version": version, "written_at": 1, "deleted": true, "deleted_at": 1});
    document(&scene, Method::Put, "_doc", 5, Some(json!({"_driftless": tombstone}))).await;
    // A document that nobody knows.
    document(&scene, Method::Put, "_doc", 900_000, Some(json!({"a": 1}))).await;
    // A document is gone.
    document(&scene, Method::Delete, "_doc", 6, None).await;

    let (table, index) = scene.verified(false).await;
    let kinds = ["missing", "stale", "different", "tombstone_where_item_lives", "in_motion"];
    assert_eq!(kinds.map(|kind| count(&table, kind)), [2, 2, 1, 1, 0], "{table}");
    assert_eq!(count(&index, "orphaned"), 2, "{index}");
    let example = |number: u64| {
        let mut all = table["examples"].as_array().expect("examples").iter();
        all.find(|example| example["document_id"] == id(number)).expect("an example").clone()
    };
    assert_eq!((&example(1)["kind"], &example(1)["paths"]), (&json!("stale"), &json!(["state"])));
    // A partial update also costs a number its digits: the engine reads and writes the whole document anew.
    assert_eq!((&example(3)["kind"], &example(3)["paths"]), (&json!("different"), &json!(["exact", "seen"])));
    assert_eq!(example(4)["paths"], json!(["exact", "text"]));
    assert_eq!(example(5)["kind"], "tombstone");
    assert!(!table.to_string().contains("changed"), "no value is shown: {table}");

    let (table, index) = scene.verified(true).await;
    assert_eq!((count(&table, "repaired"), count(&index, "repaired")), (6, 2), "{table} {index}");
    let (table, index) = scene.verified(false).await;
    assert_eq!((&table["equal"], &index["equal"]), (&json!(true), &json!(true)), "{table} {index}");
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    let repaired = document(&scene, Method::Get, "_doc", 5, None).await;
    assert_eq!(repaired["_source"]["_driftless"]["version"], version, "no newer version is invented");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_called_a_difference_while_the_index_shows_that_the_stream_is_behind() {
    let scene = Scene::new("behind").await;
    scene.fill(0..20).await;
    scene.backfilled().await;
    document(&scene, Method::Delete, "_doc", 2, None).await;
    let (table, _) = scene.verified(false).await;
    assert_eq!((count(&table, "missing"), count(&table, "pending")), (1, 0), "{table}");
    // A deletion of an hour ago was written just now. No item that is compared shows that.
    let (version, now) = ("0000000001/2026-01-15T09:30:00.000000000/0000000000000000000000000000000000000007", now());
    let now = now.as_millis();
    let late = json!({"version": version, "event_time": now - 3_600_000, "written_at": now, "deleted": true, "deleted_at": now});
    document(&scene, Method::Put, "_doc", 900_001, Some(json!({"_driftless": late}))).await;
    for repair in [false, true] {
        let (table, index) = scene.verified(repair).await;
        assert_eq!((count(&table, "missing"), count(&table, "pending")), (0, 1), "{table}");
        assert_eq!((&table["equal"], count(&table, "repaired")), (&json!(false), 0), "{table}");
        assert!(table["behind"].as_str().expect("a statement").contains("3600 s behind"), "{table}");
        assert_eq!((&index["equal"], &index["lag_ms"]), (&json!(true), &json!(3_600_000)), "{index}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_go_on_are_no_difference_and_no_repair_loses_one() {
    verify_under_writes(ITEMS, 100, Duration::ZERO).await;
}

/// Compares under so many writes per second, three times and for so long. Returns the number of comparisons and of
/// writes.
pub(crate) async fn verify_under_writes(items: u64, per_second: u64, at_least: Duration) -> (u64, u64) {
    let scene = Scene::new("motion").await;
    scene.fill(0..items).await;
    let mapping = follow(&scene).await;
    scene.backfilled().await;
    let (stop, started) = (AtomicBool::new(false), Instant::now());
    let verify = async {
        let (mut differences, mut rounds, mut lag_ms) = (0, 0, 0);
        while rounds < 3 || started.elapsed() < at_least {
            let mut config = scene.verify();
            config.timeout = TIMEOUT;
            let request = json!({"settle_ms": 2_000, "repair": rounds > 0});
            let answer = run(config, request, None).await;
            let kinds = ["missing", "stale", "different", "orphaned", "tombstone_where_item_lives"];
            differences += kinds.iter().map(|kind| count(&answer, kind)).sum::<u64>();
            lag_ms = lag_ms.max(answer["lag_ms"].as_u64().expect("a lag"));
            rounds += 1;
        }
        stop.store(true, Ordering::Relaxed);
        (differences, rounds, lag_ms)
    };
    let ((differences, rounds, lag_ms), writes) =
        futures::future::join(verify, disturb(&scene, items, &stop, per_second)).await;
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    mapping.shutdown().await;
    assert_eq!(differences, 0, "in {rounds} comparisons under {writes} writes, with a lag of {lag_ms} ms");
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    (rounds, writes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_of_the_index_is_taken_up_again_page_by_page() {
    // More documents than a page has, on several invocations.
    let scene = Scene::new("pages").await;
    scene.fill(0..5_000).await;
    scene.backfilled().await;
    scene.delete(4_321).await;
    // A listing shows what was refreshed.
    scene.index.refresh().await;
    let request = json!({"orphans": "full", "settle_ms": 200, "rcu_per_second": 2_000.0});
    let mut config = scene.verify();
    config.timeout = Duration::from_secs(4);
    let answer = run(config, request, None).await;
    assert_eq!((count(&answer, "documents"), count(&answer, "orphaned")), (5_000, 1), "{answer}");
    assert_eq!(answer["done"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_creates_no_index() {
    let scene = Scene::new("none").await;
    for request in [json!({}), json!({"repair": true})] {
        let (kind, message) = fails(scene.verify(), request).await;
        assert_eq!(kind, "Configuration");
        assert!(message.contains("does not exist"), "{message}");
    }
    let (status, _) = scene.index.send(Method::Get, &format!("/{}-000001", scene.index.name), None).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tables_index_is_refused() {
    let (scene, other) = (Scene::new("one").await, Scene::new("other").await);
    scene.fill(0..1).await;
    scene.backfilled().await;
    for request in [json!({}), json!({"repair": true})] {
        let (kind, message) = fails(scene.verify().env("TABLE_NAME", &other.table), request).await;
        assert_eq!(kind, "Configuration");
        assert!(message.contains(&scene.table) && message.contains(&other.table), "{message}");
    }
}
