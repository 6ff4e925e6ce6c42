//! The guarantees of first load and proof on large tables. These tests take minutes, so they run when asked for:
//!
//! `cargo test -p driftless-tests scale -- --ignored --nocapture --test-threads 1`

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use driftless_harness::function::ProcessFault;
use serde_json::json;

use crate::backfill::{disturb, follow};
use crate::guard::stays_removed;
use crate::loading::{Scene, count, run};
use crate::support::{Index, insert};
use crate::verify::{find_and_mend, verify_under_writes};

const LOADED: u64 = 200_000;
const COMPARED: u64 = 100_000;
const SEGMENTS: u32 = 4;
const PER_SECOND: u64 = 200;
/// Items that are deleted while they are loaded, and that nobody writes again.
const DELETED: u64 = 100;
/// Time after which OpenSearch has forgotten the versions of deleted documents.
const FORGOTTEN: Duration = Duration::from_secs(61);
/// Time of one invocation, so that each segment takes several.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Time after which each process is killed, with pages written and no cursor returned.
const KILLED_AFTER: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(600);
const MOTION: Duration = Duration::from_secs(180);

#[expect(clippy::print_stderr, reason = "figures for the person who runs a long test")]
fn show(line: &str) {
    eprintln!("{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes 4 minutes: cargo test -p driftless-tests scale -- --ignored"]
async fn two_hundred_thousand_items_are_loaded_under_changes_although_every_process_is_killed_once() {
    let scene = Scene::new("large").await;
    scene.fill(0..LOADED).await;
    let mapping = follow(&scene).await;
    let (stop, started) = (AtomicBool::new(false), Instant::now());
    let load = async {
        let segments = (0..SEGMENTS).map(|segment| {
            let mut config = scene.backfill();
            config.timeout = TIMEOUT;
            let request = json!({"segment": segment, "segments": SEGMENTS});
            run(config, request, Some(ProcessFault::KillAfter(KILLED_AFTER)))
        });
        let answers = futures::future::join_all(segments).await;
        let took = started.elapsed();
        stop.store(true, Ordering::Relaxed);
        (answers, took)
    };
    let delete = async {
        for number in LOADED - DELETED..LOADED {
            tokio::time::sleep(Duration::from_millis(50)).await;
            scene.delete(number).await;
        }
        Instant::now()
    };
    let changes = disturb(&scene, LOADED - DELETED, &stop, PER_SECOND);
    let ((answers, took), deleted_at, writes) = futures::future::join3(load, delete, changes).await;
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    let sum = |name: &str| answers.iter().map(|answer| count(answer, name)).sum::<u64>();
    assert_eq!(sum("written") + sum("superseded"), sum("items"), "{answers:?}");
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    // OpenSearch has forgotten deleted documents by then. A tombstone is none.
    tokio::time::sleep((deleted_at + FORGOTTEN).saturating_duration_since(Instant::now())).await;
    scene.backfilled().await;
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    mapping.shutdown().await;
    show(&format!(
        "{} items read in {:.0} s, {} of them written, under {writes} changes: {} items and documents are equal",
        sum("items"),
        took.as_secs_f64(),
        sum("written"),
        comparison.items
    ));
}

#[tokio::test]
#[ignore = "takes a minute: cargo test -p driftless-tests scale -- --ignored"]
async fn a_removed_item_stays_removed_also_after_the_engines_own_time_for_deletes() {
    let (index, started) = (Index::new("scale-tombstone"), Instant::now());
    index.function().succeed(&[insert("first", 1)]).await;
    stays_removed(&index, 2 * FORGOTTEN).await;
    assert!(started.elapsed() >= Duration::from_secs(60), "{:?}: `index.gc_deletes` is another", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes 2 minutes: cargo test -p driftless-tests scale -- --ignored"]
async fn each_kind_of_difference_is_found_and_mended_among_a_hundred_thousand() {
    let started = Instant::now();
    find_and_mend(COMPARED).await;
    show(&format!(
        "8 differences among {COMPARED} items were found and mended, in {:.0} s",
        started.elapsed().as_secs_f64()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes 5 minutes: cargo test -p driftless-tests scale -- --ignored"]
async fn three_minutes_of_changes_are_no_difference_among_a_hundred_thousand() {
    let (rounds, writes) = verify_under_writes(COMPARED, PER_SECOND, MOTION).await;
    show(&format!("{rounds} comparisons of {COMPARED} items under {writes} changes found no difference"));
}
