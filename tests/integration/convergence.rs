//! Many concurrent writers: the index ends as the newest changes say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftless_harness::function::{FunctionProcess, InvocationOutcome, Invoke};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::backfill::{disturb, follow};
use crate::loading::{Scene, run};
use crate::streams::function;
use crate::support::{Index, documents, insert, modify, remove};

const DRAIN: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_processes_writing_the_same_key_converge() {
    let index = Index::new("hot");
    let writing = (0..10).map(|writer| {
        let mut process = FunctionProcess::new(function(&index));
        async move {
            for round in 0..20 {
                let event = format!(r#"{{"Records":[{}]}}"#, modify("hot", 1 + round * 10 + writer));
                let invocation = process.invoke(event.into(), None).await.expect("invoked");
                let InvocationOutcome::Response(answer) = invocation.outcome else {
                    panic!("{:?}", invocation.outcome)
                };
                assert_eq!(answer, r#"{"batchItemFailures":[]}"#);
            }
            process.kill().await;
        }
    });
    join_all(writing).await;
    assert_eq!(index.visible().await, documents(&[("hot", r#"{"n":200}"#)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_batch_delivered_to_many_at_once_is_applied_once() {
    let index = Index::new("same");
    let batch: Vec<String> = (1..=200)
        .map(|sequence| match sequence % 4 {
            0 => remove(&format!("k{}", sequence % 7), sequence),
            1 => insert(&format!("k{}", sequence % 7), sequence),
            _ => modify(&format!("k{}", sequence % 7), sequence),
        })
        .collect();
    let functions: Vec<_> = (0..6).map(|_| index.function()).collect();
    // Each in other pieces, so that nobody's batch borders meet.
    join_all(functions.iter().enumerate().map(|(at, function)| {
        let batch = &batch;
        async move {
            for piece in batch.chunks(11 + at) {
                function.succeed(piece).await;
            }
        }
    }))
    .await;
    let newest = |key: u64| (1..=200).rev().find(|sequence| sequence % 7 == key).expect("one");
    let expect: Vec<(String, String)> = (0..7)
        .map(|key| (format!("k{key}"), newest(key)))
        .filter(|(_, sequence)| sequence % 4 != 0)
        .map(|(key, sequence)| (key, format!(r#"{{"n":{sequence}}}"#)))
        .collect();
    assert_eq!(index.visible().await, expect.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_and_changes_of_the_same_items_race_and_the_newest_stands() {
    let scene = Scene::new("race").await;
    scene.fill(0..40).await;
    let mapping = follow(&scene).await;
    scene.backfilled().await;
    let stop = AtomicBool::new(false);
    let keys: Vec<Value> = (0..40).map(|n| json!({"pk": {"S": "p0"}, "sk": {"S": format!("s{n:06}")}})).collect();
    let repair = async {
        for _ in 0..15 {
            // Looked at without a pause, so that what is on its way is repaired, too.
            run(scene.verify(), json!({"keys": keys, "settle_ms": 0, "repair": true}), None).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    futures::future::join(repair, disturb(&scene, 40, &stop, 150)).await;
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    mapping.shutdown().await;
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
}
