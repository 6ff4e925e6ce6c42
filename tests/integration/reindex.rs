//! A re-index under load, on the real services: readers notice nothing, whatever dies in the middle.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use driftless_harness::function::{
    BuildProfile, FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, ProcessFault, build_function,
};
use driftless_harness::proxy::{Proxy, ProxyFault};
use driftless_harness::services::{EngineChoice, Jdks, OpenSearch, Service as _};
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::backfill::{disturb, follow};
use crate::loading::{Scene, count, fails, id, run};
use crate::support::{Index, insert, modify, remove};

pub(crate) static REINDEX: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("reindex", BuildProfile::Debug).expect("the function builds"));

/// Items that are changed and deleted all the time.
const RESTLESS: u64 = 300;
/// Items that nobody touches, behind them.
const STABLE: std::ops::Range<u64> = 10_000..10_200;
/// Number of the first item that is added during the re-index, and never deleted.
const ADDED: u64 = 20_000;
const DRAIN: Duration = Duration::from_secs(120);

impl Index {
    /// Count of the documents with this text in their id's sort key, through an alias, or the engine's words.
    async fn counted(&self, alias: &str, prefix: &str) -> Result<u64, String> {
        let body = json!({"query": {"prefix": {"sk.keyword": prefix}}});
        let (status, text) = self.send(Method::Post, &format!("/{alias}/_count"), Some(body)).await;
        let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match (status, answer["_shards"]["failed"].as_u64()) {
            (200, Some(0)) => Ok(answer["count"].as_u64().expect("a count")),
            _ => Err(text),
        }
    }
}

fn reindex(scene: &Scene) -> FunctionConfig {
    scene.configured("reindex", &REINDEX)
}

/// Does one step. The first process is killed after this time, if one is given; a second one then does the step.
pub(crate) async fn step(scene: &Scene, request: Value, kill_after: Option<Duration>) -> Value {
    let mut process = FunctionProcess::new(reindex(scene));
    let mut fault = kill_after.map(ProcessFault::KillAfter);
    loop {
        let outcome = process.invoke(request.to_string().into(), fault).await.expect("invoked").outcome;
        match outcome {
            InvocationOutcome::Response(body) => {
                process.kill().await;
                return serde_json::from_slice(&body).expect("JSON");
            }
            InvocationOutcome::Exited(_) if fault.is_some() => fault = None,
            outcome => panic!("{request}: {outcome}"),
        }
    }
}

/// Reads through the public alias until it is told to stop. Returns the number of looks.
async fn read(scene: &Scene, stop: &AtomicBool) -> u64 {
    let (mut looks, mut added) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let stable = scene.index.counted(&scene.index.name, "s010").await.expect("no search fails");
        assert_eq!(stable, STABLE.end - STABLE.start, "no document is missing or doubled");
        let now = scene.index.counted(&scene.index.name, "s02").await.expect("no search fails");
        assert!(now >= added, "a document that was seen is gone: {now} after {added}");
        (looks, added) = (looks + 1, now);
    }
    assert!(added > 0, "documents were added meanwhile");
    looks
}

/// Adds an item every 20 ms.
async fn add(scene: &Scene, stop: &AtomicBool, added: &AtomicU64) {
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    while !stop.load(Ordering::Relaxed) {
        interval.tick().await;
        scene.put(ADDED + added.fetch_add(1, Ordering::Relaxed), 0).await;
    }
}

/// Fills and verifies the new index, and records the proof.
pub(crate) async fn fill(scene: &Scene, kill_after: Option<Duration>) {
    let tombstones = step(scene, json!({"step": "tombstones"}), kill_after).await;
    assert_eq!(tombstones["done"], true, "{tombstones}");
    run(scene.backfill(), json!({"index": "other"}), kill_after.map(ProcessFault::KillAfter)).await;
    let verify = run(scene.verify(), json!({"index": "other", "settle_ms": 1_500}), None).await;
    let orphans = json!({"index": "other", "settle_ms": 1_500, "orphans": "full"});
    let orphans = run(scene.verify(), orphans, None).await;
    let mut totals = json!({"items": count(&verify, "items")});
    for name in ["missing", "stale", "different", "tombstone_where_item_lives", "orphaned", "rejected", "failed"] {
        totals[name] = (count(&verify, name) + count(&orphans, name)).into();
    }
    let answer = step(scene, json!({"step": "verified", "verify": totals}), kill_after).await;
    assert_eq!(answer["other"]["verified"]["differences"], 0, "{verify} {orphans}");
}

/// Searches whose answers must agree.
fn searches() -> String {
    let stable = json!({"query": {"prefix": {"sk.keyword": "s010"}}, "size": 20, "sort": [{"sk.keyword": "asc"}],
        "aggs": {"parts": {"terms": {"field": "pk.keyword", "size": 50}}, "sum": {"sum": {"field": "exact"}}}});
    format!(
        "{{}}\n{stable}\n{{\"index\": \"ignored\"}}\n{}\n",
        json!({"query": {"match": {"text": "quoted"}}, "size": 0})
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_notice_nothing_although_every_step_is_killed_once() {
    let scene = Scene::new("reindexed").await;
    scene.fill(0..RESTLESS).await;
    scene.fill(STABLE).await;
    let mapping = follow(&scene).await;
    scene.backfilled().await;
    scene.put(ADDED - 1, 0).await;
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    scene.index.refresh().await;
    let (stop, added) = (AtomicBool::new(false), AtomicU64::new(0));
    let first = format!("{}-000001", scene.index.name);
    // The old index shows a change long before the new one does by itself.
    let soon = json!({"index": {"refresh_interval": "50ms"}});
    let (status, text) = scene.index.send(Method::Put, &format!("/{first}/_settings"), Some(soon)).await;
    assert_eq!(status, 200, "{text}");
    let work = async {
        for kill_after in [Some(Duration::from_millis(30)), None] {
            // Another mapping, two shards, and rare refreshes.
            let definition = json!({"settings": {"number_of_shards": 2, "refresh_interval": "5s"}, "mappings": {"date_detection": false,
                "properties": {"exact": {"type": "scaled_float", "scaling_factor": 1}}}});
            let create = json!({"step": "create", "definition": definition});
            let answer = step(&scene, create, kill_after).await;
            assert_eq!((&answer["state"], &answer["public"]["name"]), (&json!("filling"), &json!(first)), "{answer}");
            fill(&scene, kill_after).await;
            let switch = || json!({"step": "switch"});
            let (kind, message) = fails(reindex(&scene), switch()).await;
            assert!(kind == "Request" && message.contains("no search was compared"), "{message}");
            let shadow = step(&scene, json!({"step": "shadow", "searches": searches()}), kill_after).await;
            let looked = &shadow["other"]["shadow"];
            assert_eq!((&looked["searches"], shadow["next"].as_str()), (&json!(2), looked_next(&shadow)), "{shadow}");
            // Killed before the alias moves, while the old index shows nothing new, and after it.
            let force = json!({"step": "switch", "force": true});
            step(&scene, force.clone(), kill_after.map(|_| Duration::from_millis(700))).await;
            let answer = step(&scene, json!({"step": "rollback"}), kill_after).await;
            assert_eq!((&answer["state"], &answer["public"]["name"]), (&json!("filling"), &json!(first)), "{answer}");
            let answer = step(&scene, force, None).await;
            assert_eq!(answer["state"], "switched", "{answer}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            if kill_after.is_none() {
                break;
            }
            // The other way out: back, and the new index is thrown away.
            let answer = step(&scene, json!({"step": "rollback"}), None).await;
            let new = answer["other"]["name"].as_str().expect("a name").to_owned();
            let answer = step(&scene, json!({"step": "drop", "index": new}), kill_after).await;
            assert_eq!((&answer["state"], &answer["other"]), (&json!("none"), &Value::Null), "{answer}");
        }
        let answer = step(&scene, json!({"step": "drop", "index": first}), None).await;
        assert_eq!((&answer["state"], &answer["leftovers"]), (&json!("none"), &Value::Null), "{answer}");
        stop.store(true, Ordering::Relaxed);
    };
    let (_, looks, _, _) =
        tokio::join!(work, read(&scene, &stop), add(&scene, &stop, &added), disturb(&scene, RESTLESS, &stop, 50));
    assert!(looks > 50, "{looks}");
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    let comparison = scene.compared().await;
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    mapping.shutdown().await;
}

/// Next step after shadow reads: the switch, unless a restless search differed at each look.
fn looked_next(answer: &Value) -> Option<&str> {
    match answer["other"]["shadow"]["different"].as_u64() {
        Some(0) => Some("switch"),
        _ => answer["next"].as_str().filter(|next| next.contains("of 2 searches answer otherwise")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_needs_its_proof_and_shows_what_differs() {
    let scene = Scene::new("gate").await;
    scene.fill(0..60).await;
    let mut warm = FunctionProcess::new(scene.backfill());
    let backfill =
        async |warm: &mut FunctionProcess| match warm.invoke("{}".into(), None).await.expect("invoked").outcome {
            InvocationOutcome::Response(body) => serde_json::from_slice::<Value>(&body).expect("JSON"),
            outcome => panic!("{outcome}"),
        };
    assert_eq!(count(&backfill(&mut warm).await, "written"), 60);
    step(&scene, json!({"step": "create"}), None).await;
    // The process finds its write alias gone, and both indexes instead.
    assert_eq!(count(&backfill(&mut warm).await, "items"), 60);
    warm.kill().await;
    let status = step(&scene, json!({"step": "status"}), None).await;
    assert_eq!(status["state"], "filling", "{status}");
    scene.index.send(Method::Post, &format!("/{}-000002/_refresh", scene.index.name), None).await;
    assert_eq!(scene.index.counted(&format!("{}-other", scene.index.name), "s00").await, Ok(60));
    fill(&scene, None).await;
    let answer = step(&scene, json!({"step": "shadow", "searches": searches()}), None).await;
    assert_eq!((answer["other"]["shadow"]["different"].as_u64(), answer["next"].as_str()), (Some(0), Some("switch")));
    // A foreign writer changes the new index.
    let path = format!("/{}-000002/_doc/{}", scene.index.name, id(7).replace('|', "%7C"));
    let (status, _) = scene.index.send(Method::Delete, &path, None).await;
    assert_eq!(status, 200);
    let all = "{}\n{\"query\":{\"match_all\":{}},\"size\":0}\n";
    let answer = step(&scene, json!({"step": "shadow", "searches": all}), None).await;
    let difference = &answer["differences"][0];
    assert_eq!(difference, &json!({"search": 1, "path": "hits.total", "old": "60", "new": "59"}), "{answer}");
    let (_, message) = fails(reindex(&scene), json!({"step": "switch"})).await;
    assert!(message.contains("1 of 1 searches answer otherwise"), "{message}");
    let verify = run(scene.verify(), json!({"index": "other", "settle_ms": 200}), None).await;
    assert_eq!(count(&verify, "missing"), 1, "{verify}");
    let repaired = run(scene.verify(), json!({"index": "other", "settle_ms": 200, "repair": true}), None).await;
    assert_eq!(count(&repaired, "repaired"), 1, "{repaired}");
    let answer = step(&scene, json!({"step": "shadow", "searches": all}), None).await;
    assert_eq!(answer["other"]["shadow"]["different"], 0, "{answer}");
    let (_, message) =
        fails(reindex(&scene), json!({"step": "drop", "index": format!("{}-000001", scene.index.name)})).await;
    assert!(message.contains("the index that readers see"), "{message}");
    let answer = step(&scene, json!({"step": "switch"}), None).await;
    assert_eq!((&answer["state"], &answer["public"]["documents"]), (&json!("switched"), &json!(60)), "{answer}");
}

/// Deleted items stay deleted in the new index, though a dead letter from before still holds them.
#[tokio::test]
async fn tombstones_come_along_and_a_refusal_by_one_index_names_it() {
    let scene = Scene::new("letters").await;
    scene.fill(0..1).await;
    let index = &scene.index;
    let function = index.function();
    function.succeed(&[insert("kept", 1), remove("gone", 5)]).await;
    // A function that reads no table: its table is the one of the records.
    let records_table = |config: FunctionConfig| config.env("PARTITION_KEY", "");
    let definition = json!({"mappings": {"properties": {"n": {"type": "byte"}}}});
    let create = json!({"step": "create", "definition": definition}).to_string();
    let mut process = FunctionProcess::new(records_table(reindex(&scene)));
    for request in [create, json!({"step": "tombstones"}).to_string()] {
        let outcome = process.invoke(request.into(), None).await.expect("invoked").outcome;
        assert!(matches!(outcome, InvocationOutcome::Response(_)), "{outcome}");
    }
    process.kill().await;
    // A warm process finds its alias gone, and both indexes, within the same invocation.
    function.succeed(&[insert("gone", 2), modify("kept", 7)]).await;
    for suffix in ["000001", "000002"] {
        index.send(Method::Post, &format!("/{}-{suffix}/_refresh", index.name), None).await;
        let path = format!("/{}-{suffix}/_search", index.name);
        let (_, text) = index.send(Method::Post, &path, Some(json!({"query": {"match_all": {}}}))).await;
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let hits = answer["hits"]["hits"].as_array().expect("hits");
        let source = |id: &str| hits.iter().find(|hit| hit["_id"] == id).map(|hit| hit["_source"].clone());
        assert_eq!(source("gone").expect("a tombstone")["_driftless"]["deleted"], true, "{suffix}: {text}");
        assert_eq!(source("kept").expect("a document")["n"], 7, "{suffix}: {text}");
    }
    // 300 is no byte: the new index alone refuses it.
    let failed = function.invoke(&[modify("kept", 300)]).await.expect("handled");
    assert_eq!(failed, ["30000000000000000000000"], "without a queue for dead letters, the record fails");
}

/// OpenSearch Serverless answers a refresh with 404, and refreshes by itself.
#[tokio::test]
async fn where_no_refresh_can_be_asked_for_a_step_waits_for_the_engines_own() {
    let scene = Scene::new("unrefreshed").await;
    scene.index.function().succeed(&[insert("gone", 1), remove("gone", 2)]).await;
    let proxy = Proxy::start(crate::support::engine_url()).await.expect("a proxy");
    proxy.on("/_refresh", ProxyFault::Answer(404));
    let records_table = reindex(&scene).env("PARTITION_KEY", "").env("OPENSEARCH_ENDPOINT", proxy.endpoint());
    let mut process = FunctionProcess::new(records_table.clone());
    let created = process.invoke(json!({"step": "create"}).to_string().into(), None).await.expect("invoked").outcome;
    assert!(matches!(created, InvocationOutcome::Response(_)), "{created}");
    process.kill().await;
    let copied = run(records_table, json!({"step": "tombstones"}), None).await;
    assert_eq!(count(&copied, "found"), 1, "{copied}");
    assert_eq!((proxy.requests("/_refresh"), proxy.answers("/_refresh")), (1, 0));
}

/// An upgrade: the new index is in another cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_cluster_is_filled_and_compared_and_takes_over() {
    let scene = Scene::new("upgrade").await;
    scene.fill(0..120).await;
    scene.backfilled().await;
    let second = OpenSearch::start(EngineChoice::of_tests(), &Jdks::from_env()).await.expect("an engine");
    let both = |config: FunctionConfig| {
        config.env("SECOND_OPENSEARCH_ENDPOINT", second.endpoint()).env("SECOND_OPENSEARCH_AUTH", "none")
    };
    let ask = async |request: Value| {
        let mut process = FunctionProcess::new(both(reindex(&scene)));
        let outcome = process.invoke(request.to_string().into(), None).await.expect("invoked").outcome;
        process.kill().await;
        outcome
    };
    let step = async |request: Value| match ask(request.clone()).await {
        InvocationOutcome::Response(body) => serde_json::from_slice::<Value>(&body).expect("JSON"),
        outcome => panic!("{request}: {outcome}"),
    };
    let created = step(json!({"step": "create", "definition": {"settings": {"number_of_shards": 2}}})).await;
    assert_eq!((&created["state"], &created["other"]["documents"]), (&json!("filling"), &json!(0)), "{created}");
    let copied = step(json!({"step": "tombstones"})).await;
    assert_eq!(copied["done"], true, "{copied}");
    run(both(scene.backfill()), json!({"index": "other"}), None).await;
    let verify = run(both(scene.verify()), json!({"index": "other", "settle_ms": 200, "orphans": "count"}), None).await;
    assert_eq!((count(&verify, "items"), &verify["equal"]), (120, &json!(true)), "{verify}");
    step(json!({"step": "verified", "verify": {"items": 120}})).await;
    let shadow = step(json!({"step": "shadow", "searches": searches()})).await;
    assert_eq!((&shadow["other"]["shadow"]["different"], &shadow["next"]), (&json!(0), &json!("switch")), "{shadow}");
    let InvocationOutcome::FunctionError { kind, message } = ask(json!({"step": "switch"})).await else {
        panic!("no alias leads from one cluster to the other")
    };
    assert!(kind == "Request" && message.contains("swap OPENSEARCH_ENDPOINT"), "{message}");
    // The variables are swapped: readers and verify see the second cluster, and it is whole.
    let swapped = Scene { index: scene.index.seen_at(second.endpoint()), ..scene };
    let comparison = swapped.compared().await;
    assert_eq!((comparison.items, comparison.differences()), (120, 0), "{}", comparison.describe());
    let status = {
        let first = crate::support::engine_url();
        let config = reindex(&swapped).env("OPENSEARCH_ENDPOINT", second.endpoint());
        let config = config.env("SECOND_OPENSEARCH_ENDPOINT", first).env("SECOND_OPENSEARCH_AUTH", "none");
        let mut process = FunctionProcess::new(config);
        let outcome =
            process.invoke(json!({"step": "status"}).to_string().into(), None).await.expect("invoked").outcome;
        process.kill().await;
        let InvocationOutcome::Response(body) = outcome else { panic!("{outcome}") };
        serde_json::from_slice::<Value>(&body).expect("JSON")
    };
    assert_eq!((&status["public"]["documents"], &status["other"]["documents"]), (&json!(120), &json!(120)), "{status}");
    second.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_stays_although_new_fields_update_the_mapping() {
    let scene = Scene::new("fields").await;
    scene.fill(0..1).await;
    run(scene.backfill(), json!({}), None).await;
    step(&scene, json!({"step": "create"}), None).await;
    let stop = AtomicBool::new(false);
    let index = &scene.index;
    let limit = json!({"index.mapping.total_fields.limit": 100_000});
    let (status, text) = index.send(Method::Put, &format!("/{}-000002/_settings", index.name), Some(limit)).await;
    assert_eq!(status, 200, "{text}");
    // Each document has a new field, so each updates the mapping that holds the record.
    let stop = &stop;
    let fields = futures::future::join_all((0..8).map(|lane| async move {
        let path = format!("/{}-000002/_doc/foreign-{lane}", index.name);
        for number in 0.. {
            index.send(Method::Put, &path, Some(json!({format!("field_{lane}_{number}"): 1}))).await;
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }));
    let work = async {
        for items in 1..4 {
            let answer = step(&scene, json!({"step": "verified", "verify": {"items": items}}), None).await;
            assert_eq!(answer["other"]["verified"]["items"], items, "{answer}");
            let path = format!("/{}-000002/_mapping?filter_path=*.mappings._meta.**.items", index.name);
            for _ in 0..20 {
                let (_, text) = index.send(Method::Get, &path, None).await;
                assert!(text.contains(&format!("\"items\":{items}}}")), "{items}: {text}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(fields, work);
}
