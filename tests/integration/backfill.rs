//! The first load, on the real services: everything arrives, whatever the stream does meanwhile, and however often it
//! is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftless_harness::function::ProcessFault;
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping, MappingConfig, MemoryMessages, StartingPosition};
use driftless_harness::services::streams_client;
use driftless_harness::slices::backfill::{summary, work};
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::loading::{AT_WORK, Scene, count, fails, id, run};
use crate::streams::function;
use crate::support::services;

const ITEMS: u64 = 3_000;
const SEGMENTS: u32 = 3;
const DRAIN: Duration = Duration::from_secs(120);

/// Starts the mapping behind the items that are there, and waits until a change arrives.
pub(crate) async fn follow(scene: &Scene) -> EventSourceMapping {
    let streams = streams_client(services().dynamodb_endpoint());
    let stream = DynamoDbStream::of_table(&scene.tables, streams, &scene.table).await.expect("a stream");
    let config = MappingConfig {
        batch_size: 25,
        starting_position: StartingPosition::Latest,
        report_batch_item_failures: true,
        ..MappingConfig::default()
    };
    let messages = Arc::new(MemoryMessages::default());
    let mapping =
        EventSourceMapping::start(config, Arc::new(stream), Arc::new(function(&scene.index)), Some(messages as _));
    let mapping = mapping.await.expect("the function starts");
    let marker = 1_000_000;
    for state in 0.. {
        scene.put(marker, state).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let path = format!("/{}/_count", scene.index.name);
        let (status, _) = scene.index.send(opensearch::http::Method::Get, &path, None).await;
        if status == 200 && scene.index.visible().await.contains_key(&id(marker)) {
            break;
        }
        assert!(state < 200, "no change arrives");
    }
    mapping
}

/// Changes and deletes items at random until it is told to stop. Returns the number of writes.
pub(crate) async fn disturb(scene: &Scene, items: u64, stop: &AtomicBool, per_second: u64) -> u64 {
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let mut writes = 0;
    let mut interval = tokio::time::interval(Duration::from_millis(1_000 / per_second));
    while !stop.load(Ordering::Relaxed) {
        interval.tick().await;
        writes += 1;
        let number = rng.random_range(0..items);
        if rng.random_range(0..4) == 0 { scene.delete(number).await } else { scene.put(number, writes).await }
    }
    writes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_under_writes_and_deletes_is_loaded_although_every_process_is_killed_once() {
    let scene = Scene::new("backfill").await;
    scene.fill(0..ITEMS).await;
    let mapping = follow(&scene).await;
    let stop = AtomicBool::new(false);
    let load = async {
        let segments = (0..SEGMENTS).map(|segment| {
            let request = json!({"segment": segment, "segments": SEGMENTS, "rcu_per_second": 100.0});
            run(scene.backfill(), request, Some(ProcessFault::KillAfter(AT_WORK)))
        });
        let answers = futures::future::join_all(segments).await;
        stop.store(true, Ordering::Relaxed);
        answers
    };
    let (answers, writes) = futures::future::join(load, disturb(&scene, ITEMS, &stop, 100)).await;
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    let sum = |name: &str| answers.iter().map(|answer| count(answer, name)).sum::<u64>();
    // A killed process may have written its whole page, which its successor then finds.
    assert_eq!(sum("written") + sum("superseded"), sum("items"), "{answers:?}");
    assert!(writes > 20 && sum("items") > ITEMS / 2, "{writes} {answers:?}");
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    assert!(comparison.items > ITEMS / 2, "{comparison:?}");
    // Once more, over tombstones and newer documents: nothing changes.
    let again = scene.backfilled().await;
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{again} {}", comparison.describe());
    mapping.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_item_stays_removed_when_an_older_state_is_loaded() {
    let scene = Scene::new("removed").await;
    scene.fill(0..10).await;
    let mapping = follow(&scene).await;
    scene.put(3, 1).await;
    scene.delete(3).await;
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    mapping.shutdown().await;
    // Nobody follows the stream any more: the item is back in the table, and its tombstone is newer than the load.
    scene.put(3, 2).await;
    let answer = scene.backfilled().await;
    assert!(count(&answer, "superseded") >= 1, "{answer}");
    let visible = scene.index.visible().await;
    assert_eq!((visible.contains_key(&id(3)), visible.contains_key(&id(4))), (false, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_prefixes_are_loaded_alone() {
    let scene = Scene::new("selected").await;
    scene.fill(0..120).await;
    let answer = run(
        scene.backfill(),
        json!({"keys": [{"pk": {"S": "p0"}, "sk": {"S": "s000007"}}, {"pk": {"S": "p0"}, "sk": {"S": "none"}}]}),
        None,
    );
    let answer = answer.await;
    assert_eq!((count(&answer, "written"), count(&answer, "absent")), (1, 1));
    let prefix = json!({"prefix": {"pk": {"S": "p1"}, "sk": {"S": "s00005"}}});
    assert_eq!(count(&run(scene.backfill(), prefix, None).await, "written"), 10);
    assert_eq!(scene.index.visible().await.len(), 11);
    let prefix = json!({"prefix": {"pk": {"S": "p2"}}});
    assert_eq!(count(&run(scene.backfill(), prefix, None).await, "written"), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_document_is_named_and_the_others_are_loaded() {
    let scene = Scene::new("refused").await;
    scene.fill(0..20).await;
    // Refused wherever `state` is a number: the first document makes it one.
    assert_eq!(count(&run(scene.backfill(), json!({"prefix": {"pk": {"S": "p0"}}}), None).await, "written"), 20);
    let mut odd = crate::loading::key(100);
    odd.insert("state".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S("odd".to_owned()));
    scene.tables.put_item().table_name(&scene.table).set_item(Some(odd)).send().await.expect("put");
    scene.fill(101..110).await;
    let answer = scene.backfilled().await;
    assert_eq!((count(&answer, "written"), count(&answer, "rejected")), (9, 1), "{answer}");
    assert_eq!(answer["rejected"][0]["document_id"], id(100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_by_every_invocation() {
    let scene = Scene::new("wrong").await;
    let (kind, message) = fails(scene.backfill().env("TABLE_NAME", "no-such-table"), json!({})).await;
    assert_eq!(kind, "Configuration");
    assert!(message.contains("ResourceNotFoundException"), "{message}");
    let (kind, message) = fails(scene.backfill(), json!({"keys": [{"id": {"S": "x"}}]})).await;
    assert_eq!(kind, "Request");
    assert!(message.contains("`pk` (S) and `sk` (S)"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driven_load_goes_on_where_a_killed_process_of_each_segment_had_answered() {
    let scene = Scene::new("driven").await;
    scene.fill(0..ITEMS).await;
    let mut work = work(scene.backfill(), json!({}), Some(SEGMENTS), Some(100.0));
    work.first_fault = Some(ProcessFault::KillAfter(AT_WORK));
    let (mut state, mut told) = (work.begin(), Vec::new());
    work.run(&mut state, |state| told.push(state.counts().whole("items"))).await.expect("loaded");
    let summary = summary(&state).expect("a summary");
    assert!(summary.done && summary.items == ITEMS && summary.rejected == 0, "{summary:?}");
    assert_eq!(summary.written + summary.superseded, ITEMS, "{summary:?}");
    assert!(told.is_sorted() && told.last() == Some(&ITEMS), "{told:?}");
    // Nothing is open: no process is started for it.
    work.function.binary = "/no/such/binary".into();
    work.run(&mut state, |_| ()).await.expect("done");
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driven_load_ends_with_an_error_that_is_final_or_comes_again_and_again() {
    let scene = Scene::new("failing").await;
    let started = std::time::Instant::now();
    let wrong = work(scene.backfill().env("TABLE_NAME", "no-such-table"), json!({}), Some(2), None);
    let error = wrong.run(&mut wrong.begin(), |_| ()).await.expect_err("no table").to_string();
    assert!(error.contains("ResourceNotFoundException"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "not tried again");
    let mut dead = work(scene.backfill(), json!({}), None, None);
    dead.function.binary = "/bin/false".into();
    let error = dead.run(&mut dead.begin(), |_| ()).await.expect_err("it never answers").to_string();
    assert!(error.contains("failed 5 times in a row without progress: the process ended with"), "{error}");
}
