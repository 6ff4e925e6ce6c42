//! An engine that is killed, frozen, out of disk, overrun, or sent too much concurrently, during a run through the
//! event source mapping.
//!
//! All in one test, on an engine of its own: no other test may notice, or wait for its turn.

use std::time::{Duration, Instant};

use driftless_harness::mapping::MappingConfig;
use driftless_harness::services::{EngineChoice, Jdks, OpenSearch, Purpose, Service as _};
use opensearch::http::Method;
use serde_json::{Value, json};

use super::on_failure::{MappedStage, template};
use super::{binary, eventually};
use crate::complaints::limit;
use crate::support::{Index, ReplicateFunction, insert};

/// The least that the engine takes, and one write that waits while others are under way.
const SETTINGS: &str = "http.max_content_length: 1mb\nthread_pool.write.queue_size: 1\n";
const LARGEST_REQUEST: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_killed_frozen_out_of_disk_or_overrun_loses_nothing_and_leaves_no_dead_letter() {
    let jdks = Jdks::from_env();
    let engine = OpenSearch::start_with(Purpose::Tests, SETTINGS, EngineChoice::of_tests(), &jdks);
    let engine = engine.await.expect("an engine");
    limit::is_kept_by_splitting_down_to_the_one_that_is_too_large(engine.endpoint(), LARGEST_REQUEST).await;
    overrun(&engine).await;
    killed_and_restarted(&engine).await;
    frozen_and_thawed(&engine).await;
    out_of_disk(&engine).await;
    engine.stop().await.expect("stopped");
}

/// A run on `engine` with a few documents, through the real binary with the template's attempts.
async fn stage(engine: &OpenSearch, name: &str) -> MappedStage {
    let index = Index::at(engine.endpoint(), name);
    let mut settings = index.settings_at(engine.endpoint());
    settings.push(("REQUEST_TIMEOUT_MS".to_owned(), "3000".to_owned()));
    let stage = MappedStage::set_up(index, template(5), binary(settings)).await;
    stage.put(0..20, 1).await;
    stage.drained().await;
    stage
}

async fn ends_equal_with_an_empty_queue(stage: MappedStage) {
    stage.drained().await;
    assert_eq!(stage.differences().await, 0);
    assert_eq!(stage.queue.messages().await.len(), 0);
    let stats = stage.mapping.shutdown().await;
    assert_eq!((stats.dead_letters, stats.records_lost, stats.trimmed), (0, 0, 0), "{stats:?}");
}

/// Ten lanes, each with one change at a time, and an engine that takes fewer together: it answers 429 to the others.
async fn overrun(engine: &OpenSearch) {
    let index = Index::at(engine.endpoint(), "overrun");
    let function = binary(index.settings_at(engine.endpoint()));
    let lanes = MappingConfig { parallelization_factor: 10, ..template(1) };
    let stage = MappedStage::set_up(index, lanes, function).await;
    let before = refused_writes(&stage.index).await;
    for round in 1..=10 {
        stage.put(0..60, round).await;
        stage.drained().await;
        if refused_writes(&stage.index).await > before + 10 {
            break;
        }
    }
    assert!(refused_writes(&stage.index).await > before + 10, "the engine was never overrun");
    ends_equal_with_an_empty_queue(stage).await;
}

/// Number of writes that the engine has answered with 429 because too many were in progress.
async fn refused_writes(index: &Index) -> u64 {
    let (status, pools) = index.send(Method::Get, "/_nodes/stats/thread_pool", None).await;
    assert_eq!(status, 200, "{pools}");
    let pools: Value = serde_json::from_str(&pools).expect("JSON");
    let node = pools["nodes"].as_object().and_then(|nodes| nodes.values().next()).expect("a node");
    node["thread_pool"]["write"]["rejected"].as_u64().expect("a count")
}

async fn killed_and_restarted(engine: &OpenSearch) {
    let stage = stage(engine, "crash").await;
    stage.put(10..30, 2).await;
    // In the middle of it: what is not acknowledged is written again, what is must survive.
    engine.kill().await.expect("killed");
    stage.put(20..40, 3).await;
    engine.restart().await.expect("it comes back");
    stage.put(35..50, 4).await;
    ends_equal_with_an_empty_queue(stage).await;
}

async fn frozen_and_thawed(engine: &OpenSearch) {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let stage = stage(engine, "frozen").await;
    let other = ReplicateFunction::new(stage.index.settings_at(engine.endpoint())).timeout(TIMEOUT);
    engine.freeze().await.expect("frozen");
    stage.put(10..30, 2).await;
    let started = Instant::now();
    other.invoke(&[insert("a", 1)]).await.expect_err("it accepts, and nobody answers");
    assert!(started.elapsed() < TIMEOUT, "answered after {:?}", started.elapsed());
    engine.thaw().await.expect("thawed");
    stage.put(25..40, 3).await;
    ends_equal_with_an_empty_queue(stage).await;
}

async fn out_of_disk(engine: &OpenSearch) {
    let stage = stage(engine, "full").await;
    // Every disk is fuller than this; the engine finds out within its interval, and sets the block itself.
    stage.index.disk_watermarks(["0.001%", "0.002%", "0.003%"]).await;
    eventually("the engine has blocked the index", async || stage.index.is_blocked_for_want_of_disk().await).await;
    assert_eq!(stage.index.status_of_a_write().await, 429, "what the engine says when its disk is full");
    stage.put(10..30, 2).await;
    stage.index.disk_watermarks(["99.7%", "99.8%", "99.9%"]).await;
    // The engine takes its block away by itself.
    ends_equal_with_an_empty_queue(stage).await;
}

impl Index {
    /// Low, high and flood stage, as shares of the disk that are in use.
    async fn disk_watermarks(&self, [low, high, flood_stage]: [&str; 3]) {
        let watermark = json!({"low": low, "high": high, "flood_stage": flood_stage});
        let disk = json!({"threshold_enabled": true, "watermark": watermark});
        let body = json!({"persistent": {
            "cluster.info.update.interval": "10s",
            "cluster.routing.allocation.disk": disk,
        }});
        let (status, text) = self.send(Method::Put, "/_cluster/settings", Some(body)).await;
        assert_eq!(status, 200, "{text}");
    }

    async fn is_blocked_for_want_of_disk(&self) -> bool {
        let (status, settings) = self.send(Method::Get, &format!("/{}-000001/_settings", self.name), None).await;
        assert_eq!(status, 200, "{settings}");
        let settings: Value = serde_json::from_str(&settings).expect("JSON");
        let index = settings.as_object().and_then(|indices| indices.values().next()).expect("an index");
        index["settings"]["index"]["blocks"]["read_only_allow_delete"] == "true"
    }
}
