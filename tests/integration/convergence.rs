//! Many concurrent writers: the index ends as the newest changes say.

use std::time::Duration;

use driftless::change::ChangeKind;
use driftless_harness::function::FunctionProcess;

use crate::backfill::follow;
use crate::loading::Scene;
use crate::many_writers::{ManyWriters, repair_under_changes};
use crate::streams::function;
use crate::support::{Index, insert, modify, remove};

const DRAIN: Duration = Duration::from_secs(120);

fn process(index: &Index) -> FunctionProcess {
    FunctionProcess::new(function(index))
}

fn record(kind: ChangeKind, key: &str, number: u64) -> String {
    match kind {
        ChangeKind::Insert => insert(key, number),
        ChangeKind::Modify => modify(key, number),
        ChangeKind::Remove => remove(key, number),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_processes_writing_the_same_key_converge() {
    ManyWriters { index: &Index::new("hot"), process, record }.write_one_key().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_batch_delivered_to_many_at_once_is_applied_once() {
    ManyWriters { index: &Index::new("same"), process, record }.write_one_batch().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_and_changes_of_the_same_items_race_and_the_newest_stands() {
    let scene = Scene::new("race").await;
    scene.fill(0..40).await;
    let mapping = follow(&scene).await;
    scene.backfilled().await;
    repair_under_changes(&scene).await;
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    mapping.shutdown().await;
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
}
