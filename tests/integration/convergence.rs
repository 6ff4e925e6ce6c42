//! Many concurrent writers: the index ends as the newest changes say.

use driftless_harness::function::{FunctionProcess, InvocationOutcome, Invoke};
use futures::future::join_all;

use crate::streams::function;
use crate::support::{Index, documents, insert, modify, remove};

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
