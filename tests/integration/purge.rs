//! The clean-up, on the real engine: old tombstones go, and nothing else.

use std::path::PathBuf;
use std::sync::LazyLock;

use driftless_harness::function::{
    BuildProfile, FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, build_function,
};
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::loading::fails;
use crate::support::{Index, documents, insert, remove};

pub(crate) static PURGE: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("purge", BuildProfile::Debug).expect("the function builds"));

fn function(index: &Index) -> FunctionConfig {
    let config = FunctionConfig::new("purge", PURGE.clone());
    index.settings().into_iter().fold(config, |config, (name, value)| config.env(name, value))
}

async fn purge(index: &Index, request: Value) -> Value {
    let (status, body) = index.send(Method::Post, &format!("/{}/_refresh", index.name), None).await;
    assert_eq!(status, 200, "{body}");
    let mut process = FunctionProcess::new(function(index));
    let outcome = process.invoke(request.to_string().into(), None).await.expect("invoked").outcome;
    process.kill().await;
    let InvocationOutcome::Response(body) = outcome else { panic!("{outcome}") };
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_tombstones_are_purged_and_nothing_else() {
    let index = Index::new("purge");
    let records: Vec<String> = (0..30).map(|n| remove(&format!("k{n}"), 100 + n)).collect();
    index.function().succeed(&records).await;
    index.function().succeed(&[insert("a", 1), insert("b", 2), remove("b", 3)]).await;
    let report = purge(&index, json!({})).await;
    assert_eq!((&report["found"], &report["done"]), (&json!(0), &json!(true)), "all are young");
    let report = purge(&index, json!({"age_days": 0, "max": 10})).await;
    assert_eq!((&report["purged"], &report["done"]), (&json!(10), &json!(false)), "{report}");
    let report = purge(&index, json!({"age_days": 0})).await;
    assert_eq!((&report["purged"], &report["moved"], &report["done"]), (&json!(21), &json!(0), &json!(true)));
    assert_eq!(index.all().await, documents(&[("a", r#"{"n":1}"#)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_that_was_written_over_stays_what_it_is() {
    let index = Index::new("moved");
    index.function().succeed(&[remove("a", 1), remove("b", 2)]).await;
    let (status, _) = index.send(Method::Post, &format!("/{}/_refresh", index.name), None).await;
    assert_eq!(status, 200);
    // The search does not see this yet.
    let settings = json!({"index": {"refresh_interval": "-1"}});
    index.send(Method::Put, &format!("/{}-000001/_settings", index.name), Some(settings)).await;
    index.function().succeed(&[insert("a", 3)]).await;
    let mut process = FunctionProcess::new(function(&index));
    let outcome = process.invoke(r#"{"age_days": 0}"#.into(), None).await.expect("invoked").outcome;
    process.kill().await;
    let InvocationOutcome::Response(body) = outcome else { panic!("{outcome}") };
    let report: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&report["purged"], &report["moved"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(index.all().await, documents(&[("a", r#"{"n":3}"#)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_creates_no_index() {
    let index = Index::new("no-purge");
    let (kind, message) = fails(function(&index), json!({})).await;
    assert_eq!(kind, "Configuration");
    assert!(message.contains("does not exist"), "{message}");
    let (status, _) = index.send(Method::Get, &format!("/{}-000001", index.name), None).await;
    assert_eq!(status, 404);
}
