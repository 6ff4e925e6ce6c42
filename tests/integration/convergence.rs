//! Many writers at once: the index ends as the newest changes say.

use futures::future::join_all;

use crate::support::{Index, documents, insert, modify, remove};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_writers_of_one_key_converge() {
    let index = Index::new("hot");
    let functions: Vec<_> = (0..10).map(|_| index.function()).collect();
    let rounds = 20;
    let writing = functions.iter().enumerate().map(|(writer, function)| async move {
        for round in 0..rounds {
            let sequence = 1 + round * 10 + writer as u64;
            function.succeed(&[modify("hot", sequence)]).await;
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
