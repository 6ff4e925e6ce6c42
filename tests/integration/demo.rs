//! The demo ends with the verdict that table and index are equal, and its summary says so.

use driftless_demo::stage::Functions;
use driftless_demo::{Args, play};
use driftless_harness::services::{Wanted, shared};

use crate::streams::{BINARY, REDRIVE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_an_index_that_is_equal() {
    let args = Args {
        rate: 40.0,
        seconds: 4.0,
        factor: 2,
        batch_size: 1,
        seed: 7,
        poison: 0.1,
        outage: 0.0,
        timeout: 30,
        calm: false,
        json: true,
        keep: false,
        release: false,
        picture: None,
    };
    let functions = Functions { replicate: BINARY.clone(), redrive: REDRIVE.clone() };
    let summary = play(&args, shared(Wanted::default()), functions).await.expect("played");
    assert!(summary.equal && summary.items > 0 && summary.items == summary.documents, "{summary:?}");
    assert_eq!((summary.differences, summary.letters_left), (0, 0), "{summary:?}");
    // Every poison change has a letter, and nothing else has; a killed process may have left two of one.
    assert!(summary.poison > 0 && summary.dead_lettered_records == summary.poison, "{summary:?}");
    assert_eq!((summary.redriven, summary.dead_lettered_ranges), (summary.dead_letters, 0), "{summary:?}");
    assert!(summary.changes > 100 && summary.function.applied > 100, "{summary:?}");
    // Nothing of the warm-up counts; a killed process may have kept some of what it did.
    assert!(summary.function.applied <= summary.changes + summary.redriven, "{summary:?}");
    assert!(summary.function.rejected < 100, "{summary:?}");
    assert!(summary.redelivered > 0 && summary.killed > 0 && summary.duplicates > 0, "{summary:?}");
    assert!(summary.lag_p50_ms.is_some() && summary.lag_p99_ms >= summary.lag_p50_ms, "{summary:?}");
}
