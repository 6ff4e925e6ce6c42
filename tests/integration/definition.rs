//! Definitions of an index: where they come from, how a live index drifts from one, and what it can be given.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use driftless_harness::activity::INDEX_DEFINITION;
use driftless_harness::function::{FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _};
use opensearch::http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use crate::loading::{Scene, VERIFY, fails, run};
use crate::reindex::REINDEX;
use crate::support::{CREATED, HELD, Index, ReplicateFunction, insert};

/// Members with the engine's own defaults, which it leaves out of its answers.
const DEFAULTS: &str = r#"{
  "settings": {"number_of_shards": 1, "index": {"refresh_interval": "5s", "mapping": {"depth": {"limit": 40}}},
    "analysis": {"normalizer": {"folded": {"type": "custom", "filter": "lowercase"}}}},
  "mappings": {"dynamic": true, "date_detection": true, "numeric_detection": false, "properties": {
    "code": {"type": "keyword", "index": true, "doc_values": true, "store": false, "norms": false, "index_options": "docs"},
    "name": {"type": "text", "norms": true, "index": true, "analyzer": "standard", "fields": {
      "exact": {"type": "keyword", "normalizer": "folded", "ignore_above": 256, "doc_values": true}}},
    "at": {"type": "date", "format": "strict_date_optional_time||epoch_millis", "ignore_malformed": false},
    "amount": {"type": "scaled_float", "scaling_factor": 100, "coerce": true},
    "place": {"type": "object", "dynamic": true, "enabled": true, "properties": {"city": {"type": "keyword"}}},
    "place.zip": {"type": "keyword"},
    "lines": {"type": "nested", "include_in_parent": false, "properties": {"sku": {"type": "keyword"}}},
    "spot": {"type": "geo_point"},
    "raw": {"type": "object", "enabled": false},
    "seen": {"type": "boolean", "null_value": null},
    "bytes": {"type": "binary", "doc_values": false}
  }}
}"#;

fn with_variable(index: &Index, name: &str, value: &str) -> ReplicateFunction {
    let mut settings = index.settings();
    settings.push((name.to_owned(), value.to_owned()));
    ReplicateFunction::new(settings).timeout(CREATED)
}

async fn described(index: &Index) -> Value {
    let (_, described) = index.send(Method::Get, &format!("/{}", index.name), None).await;
    let described: Value = serde_json::from_str(&described).expect("JSON");
    described[format!("{}-000001", index.name)].clone()
}

fn compressed(json: &str) -> String {
    // A gzip file of one stored block: header, block, checksum, size.
    let (length, bytes) = (u16::try_from(json.len()).expect("short"), json.as_bytes());
    let checksum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 })
    });
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
    gzip.extend(length.to_le_bytes());
    gzip.extend((!length).to_le_bytes());
    gzip.extend(bytes);
    gzip.extend((!checksum).to_le_bytes());
    gzip.extend(u32::from(length).to_le_bytes());
    BASE64_STANDARD.encode(gzip)
}

#[tokio::test]
async fn one_variable_carries_the_definition() {
    let json = r#"{"mappings": {"properties": {"n": {"type": "keyword"}}}}"#;
    for value in [json.to_owned(), compressed(json)] {
        let index = Index::new("carried");
        with_variable(&index, "INDEX_DEFINITION", &value).succeed(&[insert("a", 1)]).await;
        assert_eq!(described(&index).await["mappings"]["properties"]["n"]["type"], "keyword", "{value}");
        assert_eq!(index.search(json!({"term": {"n": "1"}})).await, ["a"]);
    }
}

#[tokio::test]
async fn a_new_index_has_the_refresh_interval_and_an_existing_one_keeps_its_own() {
    let index = Index::new("refreshed");
    with_variable(&index, "REFRESH_INTERVAL", "200ms").succeed(&[insert("a", 1)]).await;
    with_variable(&index, "REFRESH_INTERVAL", "7s").succeed(&[insert("b", 2)]).await;
    let described = described(&index).await;
    assert_eq!(described["settings"]["index"]["refresh_interval"], "200ms");
    assert_eq!(described["mappings"]["date_detection"], false, "the default definition stays");
}

/// The least interval that the cluster of all tests takes meanwhile: shorter than in any other test.
const MINIMUM: &str = "20ms";

#[tokio::test]
async fn an_interval_below_the_clusters_minimum_is_refused_with_its_variable() {
    let index = Index::new("below");
    let setting = |value: Value| json!({"transient": {"cluster.minimum.index.refresh_interval": value}});
    let (status, text) = index.send(Method::Put, "/_cluster/settings", Some(setting(json!(MINIMUM)))).await;
    let function = with_variable(&index, "REFRESH_INTERVAL", "10ms").timeout(HELD);
    if status == 400 {
        // Elasticsearch 7.10 has no such setting.
        return function.succeed(&[insert("a", 1)]).await;
    }
    assert_eq!(status, 200, "{text}");
    let refused = function.invoke(&[insert("a", 1)]).await;
    index.send(Method::Put, "/_cluster/settings", Some(setting(Value::Null))).await;
    let error = refused.expect_err("refused");
    assert_eq!(error.kind(), "Configuration");
    for words in ["REFRESH_INTERVAL", "is 10ms", MINIMUM, "raise or remove it"] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    function.succeed(&[insert("a", 1)]).await;
}

fn defined(config: FunctionConfig, definition: &str) -> FunctionConfig {
    config.env("INDEX_DEFINITION", definition)
}

/// Does one step of a re-index.
async fn step(scene: &Scene, definition: &str, request: Value) -> Value {
    let mut process = FunctionProcess::new(defined(scene.configured("reindex", &REINDEX), definition));
    let outcome = process.invoke(request.to_string().into(), None).await.expect("invoked").outcome;
    process.kill().await;
    let InvocationOutcome::Response(body) = outcome else { panic!("{request}: {outcome}") };
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_never_drifts_from_the_definition_that_made_it() {
    let exact = include_str!("../../docs/exact-numbers.json");
    for definition in [exact, INDEX_DEFINITION, DEFAULTS] {
        let scene = Scene::new("steady").await;
        scene.fill(0..3).await;
        run(defined(scene.backfill(), definition), json!({}), None).await;
        let answer = run(defined(scene.verify(), definition), json!({"settle_ms": 200}), None).await;
        assert_eq!((&answer["equal"], answer.get("drift")), (&json!(true), None), "{answer}");
        let status = step(&scene, definition, json!({"step": "status"})).await;
        assert_eq!(status["drift"], json!({"index": format!("{}-000001", scene.index.name)}), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_told_by_paths_and_what_is_applicable_is_applied() {
    let scene = Scene::new("drifted").await;
    scene.fill(0..3).await;
    let first = r#"{"mappings": {"properties": {"state": {"type": "long"}}}}"#;
    run(defined(scene.backfill(), first), json!({}), None).await;
    let second = json!({
        "settings": {"number_of_shards": 2, "refresh_interval": "30s", "mapping.total_fields.limit": 1_234},
        "mappings": {"date_detection": false,
            "properties": {"state": {"type": "keyword"}, "new": {"type": "date", "fields": {"text": {"type": "keyword"}}}}}
    });
    let second = second.to_string();
    let physical = format!("{}-000001", scene.index.name);
    let applicable = ["date_detection", "new", "index.mapping.total_fields.limit", "index.refresh_interval"];
    let needs_reindex = ["state (type)", "index.number_of_shards"];
    let drift = json!({"index": physical, "applicable": applicable, "needs_reindex": needs_reindex});
    let verify = async || run(defined(scene.verify(), &second), json!({"settle_ms": 200}), None).await;
    let answer = verify().await;
    assert_eq!((&answer["drift"], &answer["equal"]), (&drift, &json!(true)), "{answer}");
    let status = step(&scene, &second, json!({"step": "status"})).await;
    assert_eq!(status["drift"], drift, "{status}");

    let applied = step(
        &scene,
        first,
        json!({"step": "apply", "definition": serde_json::from_str::<Value>(&second).expect("JSON")}),
    )
    .await;
    let left = json!({"index": physical, "needs_reindex": needs_reindex});
    assert_eq!(applied["drift"], left, "{applied}");
    let described = described(&scene.index).await;
    assert_eq!(described["mappings"]["properties"]["new"]["type"], "date", "{described}");
    assert_eq!(described["settings"]["index"]["refresh_interval"], "30s");
    assert_eq!(described["mappings"]["_meta"]["driftless"]["format"], 2, "the identity stays");
    assert_eq!(step(&scene, &second, json!({"step": "apply"})).await["drift"], left, "it may be repeated");
    assert_eq!(verify().await["drift"], left);

    let refused =
        json!({"step": "apply", "definition": {"mappings": {"properties": {"other": {"type": "no-such-type"}}}}});
    let (kind, message) = fails(scene.configured("reindex", &REINDEX), refused).await;
    assert!(kind == "Configuration" && message.contains("no-such-type"), "{message}");
    step(&scene, &second, json!({"step": "create"})).await;
    let (kind, message) =
        fails(defined(scene.configured("reindex", &REINDEX), &second), json!({"step": "apply"})).await;
    assert!(kind == "Request" && message.contains("end the re-index first"), "{message}");
    let during = run(defined(scene.verify(), &second), json!({"settle_ms": 200}), None).await;
    assert_eq!(during.get("drift"), None, "the new index has the definition: {during}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_warns_once_of_drift_by_paths_alone() {
    let scene = Scene::new("warned").await;
    scene.fill(0..3).await;
    scene.backfilled().await;
    let (sender, mut lines) = unbounded_channel();
    let definition = r#"{"mappings": {"properties": {"text": {"type": "keyword", "null_value": "a private word"}}}}"#;
    let mut config = defined(scene.configured("verify", &VERIFY), definition);
    config.stdout_lines = Some(sender);
    let mut process = FunctionProcess::new(config);
    for _ in 0..2 {
        let outcome =
            process.invoke(json!({"settle_ms": 200}).to_string().into(), None).await.expect("invoked").outcome;
        assert!(matches!(outcome, InvocationOutcome::Response(_)), "{outcome}");
    }
    process.end().await;
    drop(process);
    let mut warnings = Vec::new();
    while let Some(line) = lines.recv().await {
        assert!(!line.contains("private word"), "{line}");
        warnings.extend(line.contains("differs from INDEX_DEFINITION").then_some(line));
    }
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    for words in ["WARN", "text (type)", "reindex's step apply", &format!("{}-000001", scene.index.name)] {
        assert!(warning.contains(words), "{words}: {warning}");
    }
}
