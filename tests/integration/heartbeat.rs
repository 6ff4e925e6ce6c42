//! The heartbeat, on the real services: an item that is written, streamed, and looked for by a search.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use driftless_harness::function::{
    BuildProfile, FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, build_function,
};
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping, MappingConfig};
use driftless_harness::services::streams_client;
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::loading::{Scene, fails};
use crate::streams::BINARY;
use crate::support::{services, with_keys};

pub(crate) static HEARTBEAT: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("heartbeat", BuildProfile::Debug).expect("the function builds"));

const ITEM: &str = r#"{"pk":{"S":"heartbeat"},"sk":{"S":"beat"},"type":{"S":"heartbeat"}}"#;
const ID: &str = "heartbeat|beat";

/// Far longer than a beat takes here.
const LONG: Duration = Duration::from_secs(50);
/// Long enough for searches to see what is refreshed every second.
const SHORT: Duration = Duration::from_secs(5);

fn heartbeat(scene: &Scene, timeout: Duration) -> FunctionConfig {
    let mut config = scene.configured("heartbeat", &HEARTBEAT).env("HEARTBEAT_ITEM", ITEM);
    config.timeout = timeout;
    config
}

/// Replicates the scene's table under these rules.
async fn replicate(scene: &Scene, rules: &str) -> EventSourceMapping {
    let function = scene.configured("replicate", &BINARY).env("REPLICATION", rules);
    let streams = streams_client(services().dynamodb_endpoint());
    let stream = DynamoDbStream::of_table(&scene.tables, streams, &scene.table).await.expect("a stream");
    let config = MappingConfig { report_batch_item_failures: true, ..MappingConfig::default() };
    let mapping = EventSourceMapping::start(config, Arc::new(stream), Arc::new(function), None);
    mapping.await.expect("the function starts")
}

/// One beat; its answer, and the line of its metrics.
async fn beat(mut config: FunctionConfig) -> (Value, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    config.log_file = Some(log.clone());
    let mut process = FunctionProcess::new(config);
    let outcome = process.invoke("{}".into(), None).await.expect("invoked").outcome;
    process.end().await;
    let InvocationOutcome::Response(body) = outcome else { panic!("{outcome}") };
    let printed = fs::read_to_string(log).expect("a log");
    let metrics = printed.lines().find(|line| line.contains("HeartbeatsMissed")).expect("a line of metrics");
    (serde_json::from_slice(&body).expect("JSON"), serde_json::from_str(metrics).expect("JSON"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beat_is_found_by_a_search_and_its_lag_is_told() {
    let scene = Scene::new("heartbeat").await;
    let mapping = replicate(&scene, "").await;
    let (report, metrics) = beat(heartbeat(&scene, LONG)).await;
    assert_eq!((&report["found"], &metrics["HeartbeatsMissed"]), (&json!(true), &json!(0)), "{report}");
    assert_eq!((&metrics["SearchableLag"], &metrics["Index"]), (&report["lag_ms"], &json!(scene.index.name)));
    mapping.wait_until_drained(LONG).await.expect("drained");
    let visible = scene.index.visible().await;
    assert!(visible.len() == 1 && visible[ID].contains(r#""driftless_heartbeat":"#), "{visible:?}");
    assert_eq!(scene.compared().await.differences(), 0, "it is an item like any other");
    mapping.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beat_that_only_a_read_by_id_would_find_is_missed() {
    let scene = Scene::new("heartbeat-search").await;
    let mapping = replicate(&scene, "").await;
    scene.put(1, 0).await;
    mapping.wait_until_drained(LONG).await.expect("drained");
    let physical = format!("/{}-000001", scene.index.name);
    let never = json!({"index": {"refresh_interval": "-1"}});
    let (status, body) = scene.index.send(Method::Put, &format!("{physical}/_settings"), Some(never)).await;
    assert_eq!(status, 200, "{body}");
    let (report, metrics) = beat(heartbeat(&scene, SHORT)).await;
    assert_eq!((&report["found"], &metrics["HeartbeatsMissed"]), (&json!(false), &json!(1)), "{report}");
    assert!(metrics.get("SearchableLag").is_none() && report["searches"].as_u64() > Some(3), "{metrics} {report}");
    let (status, body) = scene.index.send(Method::Get, &format!("{physical}/_doc/{ID}"), None).await;
    assert_eq!(status, 200, "it was replicated: {body}");
    mapping.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_beat_is_not_taken_for_this_one() {
    let scene = Scene::new("heartbeat-before").await;
    // Of January 2026, and nothing replicates this beat.
    let earlier = with_keys(r#"{"pk":{"S":"heartbeat"},"sk":{"S":"beat"}}"#, 5);
    scene.index.function().succeed(&[earlier]).await;
    assert!(scene.index.visible().await.contains_key(ID));
    let (report, _) = beat(heartbeat(&scene, SHORT)).await;
    assert_eq!(report["found"], json!(false), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_may_hide_the_beat_from_documents_but_not_leave_the_item_out() {
    let scene = Scene::new("heartbeat-rules").await;
    let rules = "include = [\"type\"]\nwhere = '.type == \"heartbeat\"'\n";
    let mapping = replicate(&scene, rules).await;
    let (report, _) = beat(heartbeat(&scene, LONG).env("REPLICATION", rules)).await;
    assert_eq!(report["found"], json!(true), "{report}");
    let visible = scene.index.visible().await;
    assert_eq!(visible[ID], r#"{"type":"heartbeat"}"#);
    mapping.shutdown().await;
    for (rules, item, named) in [
        ("where = '.type == \"order\"'", ITEM, "`where`"),
        ("", r#"{"pk":{"S":"heartbeat"}}"#, "`sk` (S)"),
        ("", "", "is not set"),
    ] {
        let config = heartbeat(&scene, SHORT).env("REPLICATION", rules).env("HEARTBEAT_ITEM", item);
        let (kind, message) = fails(config, json!({})).await;
        assert!(kind == "Configuration" && message.contains("HEARTBEAT_ITEM") && message.contains(named), "{message}");
    }
}
