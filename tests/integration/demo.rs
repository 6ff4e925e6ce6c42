//! The demo ends with the verdict that table and index are equal, and its summary says so.

use driftless_local::demo::{Args, play};
use driftless_local::services::{Wanted, shared};

use crate::streams::BINARY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_an_index_that_is_equal() {
    let args = Args { rate: 40.0, seconds: 4.0, factor: 2, batch_size: 2, seed: 7, json: true, keep: false };
    let summary = play(&args, shared(Wanted::default()), BINARY.clone()).await.expect("played");
    assert!(summary.equal && summary.items > 0 && summary.items == summary.documents, "{summary:?}");
    assert_eq!((summary.differences, summary.dead_letters), (0, 0), "{summary:?}");
    assert!(summary.changes > 100 && summary.function.applied > 100, "{summary:?}");
    assert!(summary.redelivered > 0 && summary.killed > 0 && summary.duplicates > 0, "{summary:?}");
    assert!(summary.lag_p50_ms.is_some() && summary.lag_p99_ms >= summary.lag_p50_ms, "{summary:?}");
}
