//! An engine that is killed, frozen, or out of disk, in the middle of a run through the event source mapping.
//!
//! These tests share an engine of their own, one after the other: nobody else may notice.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use driftless_local::function::FunctionConfig;
use driftless_local::services::{Engine, Jdks, OpenSearch, Service as _};
use opensearch::http::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, MutexGuard};

use super::on_failure::{Stage, template};
use super::{binary, eventually};
use crate::support::Index;

/// The engine outlives the runtime of the test that started it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a process can start threads")
});
static ENGINE: Mutex<Option<Arc<OpenSearch>>> = Mutex::const_new(None);

/// The engine, for one test at a time.
struct Lease(MutexGuard<'static, Option<Arc<OpenSearch>>>);

impl Lease {
    async fn take() -> Self {
        let mut slot = ENGINE.lock().await;
        if slot.is_none() {
            let started = RUNTIME.spawn(async { OpenSearch::start(Engine::default(), &Jdks::from_env()).await });
            *slot = Some(Arc::new(started.await.expect("no panic").expect("an engine")));
        }
        let lease = Self(slot);
        // What a test before this one left behind when it failed.
        if lease.engine().pid().await.is_none() {
            lease.restart().await;
        }
        lease.engine().thaw().await.expect("it goes on");
        lease
    }

    fn engine(&self) -> &Arc<OpenSearch> {
        self.0.as_ref().expect("it was started")
    }

    /// Its process must not belong to the runtime of a test.
    async fn restart(&self) {
        let engine = Arc::clone(self.engine());
        RUNTIME.spawn(async move { engine.restart().await }).await.expect("no panic").expect("it comes back");
    }

    /// The real binary, with three seconds for a request.
    fn function(&self, index: &Index) -> FunctionConfig {
        let mut settings = index.settings_at(self.engine().endpoint());
        settings.push(("REQUEST_TIMEOUT_MS".to_owned(), "3000".to_owned()));
        binary(settings)
    }

    async fn stage(&self, name: &str) -> Stage {
        let index = Index::at(self.engine().endpoint(), name);
        let function = self.function(&index);
        let stage = Stage::set_up(index, template(5), function).await;
        stage.put(0..20, 1).await;
        stage.drained().await;
        stage
    }
}

async fn ends_equal_with_an_empty_queue(stage: Stage) {
    stage.drained().await;
    assert_eq!(stage.differences().await, 0);
    assert_eq!(stage.queue.messages().await.len(), 0);
    let stats = stage.mapping.shutdown().await;
    assert_eq!((stats.dead_letters, stats.records_lost, stats.trimmed), (0, 0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_killed_and_comes_back_loses_nothing() {
    let lease = Lease::take().await;
    let stage = lease.stage("crash").await;
    stage.put(10..30, 2).await;
    // In the middle of it: what is not acknowledged is written again, what is must survive.
    lease.engine().kill().await.expect("killed");
    stage.put(20..40, 3).await;
    lease.restart().await;
    stage.put(35..50, 4).await;
    ends_equal_with_an_empty_queue(stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_accepts_and_never_answers_is_waited_out() {
    let lease = Lease::take().await;
    let stage = lease.stage("frozen").await;
    let mut function = crate::support::Function::new(stage.index.settings_at(lease.engine().endpoint()));
    lease.engine().freeze().await.expect("frozen");
    stage.put(10..30, 2).await;
    // A process of its own tells that nobody answers, in its time.
    function = function.timeout(Duration::from_secs(3));
    let started = std::time::Instant::now();
    function.invoke(&[crate::support::insert("a", 1)]).await.expect_err("nobody answers");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    lease.engine().thaw().await.expect("thawed");
    stage.put(25..40, 3).await;
    ends_equal_with_an_empty_queue(stage).await;
}

impl Index {
    async fn disk_watermarks(&self, watermarks: Value) {
        let body = json!({"persistent": {
            "cluster.info.update.interval": "10s",
            "cluster.routing.allocation.disk": watermarks,
        }});
        let (status, text) = self.send(Method::Put, "/_cluster/settings", Some(body)).await;
        assert_eq!(status, 200, "{text}");
    }

    async fn is_blocked_for_want_of_disk(&self) -> bool {
        let (status, settings) = self.send(Method::Get, &format!("/{}-write/_settings", self.name), None).await;
        assert_eq!(status, 200, "{settings}");
        settings.contains(r#""read_only_allow_delete":"true""#)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_runs_out_of_disk_is_waited_out() {
    let lease = Lease::take().await;
    let stage = lease.stage("full").await;
    // Every disk is fuller than this; the engine finds out within its interval, and sets the block itself.
    let full = json!({"watermark.low": "0.001%", "watermark.high": "0.002%", "watermark.flood_stage": "0.003%",
        "threshold_enabled": true});
    stage.index.disk_watermarks(full).await;
    eventually("the engine has blocked the index", async || stage.index.is_blocked_for_want_of_disk().await).await;
    assert_eq!(stage.index.status_of_a_write().await, 429, "what the engine says when its disk is full");
    stage.put(10..30, 2).await;
    let room = json!({"watermark.low": "99.7%", "watermark.high": "99.8%", "watermark.flood_stage": "99.9%",
        "threshold_enabled": true});
    stage.index.disk_watermarks(room).await;
    // The engine takes its block away by itself.
    ends_equal_with_an_empty_queue(stage).await;
    let index = Index::at(lease.engine().endpoint(), "full");
    index.disk_watermarks(json!({"watermark": null, "threshold_enabled": false})).await;
}
