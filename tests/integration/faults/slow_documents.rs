//! One document that takes the engine seconds, or makes it throw: it is found among its neighbours, and ends alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use driftless::dead_letter::DeadLetter;
use driftless::opensearch::IndexDefinition;
use driftless_harness::services::{EngineChoice, Jdks, OpenSearch, Service as _};
use opensearch::http::Method;
use serde_json::{Value, json};

use super::eventually;
use crate::stage::Stage;
use crate::support::{Index, ReplicateFunction, insert, modify, with_image};

/// Time for a request. The slow documents take several times as long.
const REQUEST: Duration = Duration::from_millis(700);
const SLOW: Duration = Duration::from_secs(2);
/// Far longer than a slow document is tried, and far shorter than what the template waits an engine out for.
const LIMIT: Duration = Duration::from_secs(60);
/// Longer than the tries of a slow document fill all threads of the engine.
const ON_TIME: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_exceeds_every_request_holds_up_no_neighbour_and_ends_in_one_invocation() {
    // An engine of its own, for two slow documents take both of its threads for writes.
    let engine = OpenSearch::start(EngineChoice::of_tests(), &Jdks::from_env()).await.expect("an engine");
    slow_until_its_field_is_mapped(&engine).await;
    slow_and_wrong(&engine).await;
    slow_each_time(&engine).await;
    engine.stop().await.expect("stopped");
}

/// The docs' list in a field that is not mapped yet. The engine does its work once, and the retry finds it done.
async fn slow_until_its_field_is_mapped(engine: &OpenSearch) {
    let stage = impatient(engine, "slow-list", &IndexDefinition::default()).await;
    let slow = with_image("slow", 3, &list(elements(&stage.index).await, ""));
    let metrics = ends_beside_its_neighbours(&stage, engine, slow, |letters| assert_eq!(letters.len(), 0)).await;
    assert_eq!((&metrics["Rejected"], &metrics["Failed"]), (&json!(0), &json!(0)), "{metrics}");
    assert!(stage.index.visible().await.contains_key("slow"));
}

/// It is refused each time, too late for a usual request: the refusal is heard with more time.
async fn slow_and_wrong(engine: &OpenSearch) {
    let stage = impatient(engine, "slow-wrong", &IndexDefinition::default()).await;
    // Two types in one new field.
    let wrong = with_image("slow", 3, &list(elements(&stage.index).await, r#",{"N":"1"}"#));
    let metrics = ends_beside_its_neighbours(&stage, engine, wrong.clone(), |letters| {
        assert_eq!((letters.len(), letters[0].record.get()), (1, &*wrong));
        let rejected = &letters[0].rejected;
        assert!(rejected.status == Some(400) || rejected.class == "timed_out", "{rejected:?}");
    })
    .await;
    assert_eq!(metrics["Rejected"], 1, "{metrics}");
    assert!(!stage.index.visible().await.contains_key("slow"));
    // The item is corrected.
    stage.succeed(&[modify("slow", 10)]).await;
    assert_eq!(stage.index.visible().await["slow"], r#"{"n":10}"#);
}

/// An analyzer of the user's own backtracks, at every write of the document.
async fn slow_each_time(engine: &OpenSearch) {
    let filter = json!({"type": "pattern_replace", "pattern": "x*x*y", "replacement": ""});
    let stage = impatient(engine, "slow-analysis", &analyzed(&filter)).await;
    let slow = with_image("slow", 3, &text(&"x".repeat(letters(&stage.index).await)));
    let mut is_rejected = false;
    ends_beside_its_neighbours(&stage, engine, slow.clone(), |letters| {
        // On a busy machine the engine proves that it is well before the document has time enough.
        is_rejected = !letters.is_empty();
        assert!(letters.len() <= 1 && letters.iter().all(|letter| letter.rejected.class == "timed_out"));
        assert!(letters.iter().all(|letter| letter.record.get() == slow));
    })
    .await;
    assert!(is_rejected || stage.index.visible().await.contains_key("slow"));
}

#[tokio::test]
async fn a_document_that_makes_the_engine_throw_is_rejected_alone_with_its_whole_record() {
    // There is no group 1, which the engine finds out where the pattern matches.
    let filter = json!({"type": "pattern_replace", "pattern": "poison", "replacement": "$1"});
    let stage = Stage::defined("throws", &analyzed(&filter)).await;
    let thrown = with_image("bad", 3, &text("poison"));
    let started = Instant::now();
    let (letters, metrics) = stage.handle(&[insert("a", 1), insert("b", 2), thrown.clone(), insert("c", 4)]).await;
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    assert_eq!((letters.len(), letters[0].record.get()), (1, &*thrown));
    let rejected = &letters[0].rejected;
    assert_eq!((rejected.status, &*rejected.class), (Some(500), "index_out_of_bounds_exception"));
    assert!(rejected.reason.ends_with(": No group 1"), "the engine's own words: {}", rejected.reason);
    assert_eq!((&metrics["Applied"], &metrics["Rejected"]), (&json!(3), &json!(1)), "{metrics}");
    // Its neighbours, and nothing of the probes.
    assert_eq!(stage.index.all().await.into_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    stage.succeed(&[with_image("bad", 5, &text("cured"))]).await;
    assert_eq!(stage.index.visible().await["bad"], r#"{"text":"cured"}"#);
}

/// Hands the function a slow record between others, while another lane writes its own changes. Gives the metrics.
async fn ends_beside_its_neighbours(
    stage: &Stage,
    engine: &OpenSearch,
    slow: String,
    ended: impl FnOnce(&[DeadLetter]),
) -> Value {
    let batch = [insert("a", 1), insert("b", 2), slow, insert("c", 4), insert("d", 5)];
    let other_lane = ReplicateFunction::new(stage.index.settings_at(engine.endpoint()));
    other_lane.succeed(&[insert("other-6", 6)]).await;
    let (started, has_ended) = (Instant::now(), AtomicBool::new(false));
    let invocation = async {
        let handled = stage.handle(&batch).await;
        has_ended.store(true, Ordering::Relaxed);
        (started.elapsed(), handled)
    };
    let neighbours = async {
        eventually("all neighbours are there", async || {
            let visible = stage.index.visible().await;
            ["a", "b", "c", "d"].iter().all(|key| visible.contains_key(*key))
        })
        .await;
        started.elapsed()
    };
    let others = async {
        let mut slowest = Duration::ZERO;
        for sequence in 7.. {
            let started = Instant::now();
            other_lane.succeed(&[insert(&format!("other-{sequence}"), sequence)]).await;
            slowest = slowest.max(started.elapsed());
            if has_ended.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slowest
    };
    let ((invocation, (letters, metrics)), neighbours, others) = tokio::join!(invocation, neighbours, others);
    let times = format!("{invocation:?}, its neighbours {neighbours:?}, another lane at most {others:?}");
    assert!(REQUEST < invocation && invocation < LIMIT && neighbours < ON_TIME && others < ON_TIME, "{times}");
    ended(&letters);
    metrics
}

async fn impatient(engine: &OpenSearch, name: &str, definition: &IndexDefinition) -> Stage {
    Stage::impatient(name, engine.endpoint(), definition, REQUEST).await
}

/// A definition with this token filter in the analyzer of the field `text`.
fn analyzed(filter: &Value) -> IndexDefinition {
    let analysis = json!({
        "filter": {"own": filter},
        "analyzer": {"own": {"tokenizer": "keyword", "filter": ["own"]}},
    });
    let mappings = json!({"properties": {"text": {"type": "text", "analyzer": "own"}}});
    let definition = json!({"settings": {"analysis": analysis}, "mappings": mappings});
    IndexDefinition::from_json(&definition.to_string()).expect("valid")
}

fn text(text: &str) -> String {
    json!({"text": {"S": text}}).to_string()
}

/// An image with a list of so many texts, and these elements more.
fn list(count: usize, more: &str) -> String {
    format!(r#"{{"l":{{"L":[{}{more}]}}}}"#, vec![r#"{"S":"x"}"#; count].join(","))
}

/// Returns the number of a list's elements, in an unmapped field, for which this engine is as slow as a test needs.
async fn elements(index: &Index) -> usize {
    const SAMPLE: usize = 10_000;
    let took = time_of(index, json!({"sample": vec!["x"; SAMPLE]})).await;
    let count = SAMPLE as f64 * SLOW.as_secs_f64() / took.as_secs_f64();
    // An item of 400 KB has no more.
    (count as usize).min(130_000)
}

/// The same for the letters of a text, whose time grows with their third power.
async fn letters(index: &Index) -> usize {
    const SAMPLE: usize = 500;
    let took = time_of(index, json!({"text": "x".repeat(SAMPLE)})).await;
    let count = SAMPLE as f64 * (SLOW.as_secs_f64() / took.as_secs_f64()).cbrt();
    count as usize
}

/// Shortest time that the engine takes for a document in a new index.
async fn time_of(index: &Index, document: Value) -> Duration {
    let (mut best, body) = (Duration::MAX, index.body().await);
    for nth in 0..3 {
        let name = format!("sample-{nth}-{}", index.name);
        let (status, text) = index.send(Method::Put, &format!("/{name}"), Some(body.clone())).await;
        assert_eq!(status, 200, "{text}");
        let started = Instant::now();
        let (status, text) = index.send(Method::Put, &format!("/{name}/_doc/1"), Some(document.clone())).await;
        assert_eq!(status, 201, "{text}");
        best = best.min(started.elapsed());
    }
    best
}

impl Index {
    /// Body of a request that creates another index with the same analysis and mappings.
    async fn body(&self) -> Value {
        let (status, text) = self.send(Method::Get, &format!("/{}-000001", self.name), None).await;
        assert_eq!(status, 200, "{text}");
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        let index = answer.as_object_mut().and_then(|indices| indices.values_mut().next()).expect("an index");
        let analysis = index["settings"]["index"]["analysis"].take();
        let analysis = if analysis.is_null() { json!({}) } else { analysis };
        json!({"settings": {"index": {"analysis": analysis}}, "mappings": index["mappings"].take()})
    }
}
