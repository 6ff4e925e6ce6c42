//! Errors of the deployment: they are reported, and never taken for bad data.
//!
//! They leave no dead letter, and everything is applied once they are fixed.

use std::time::{Duration, Instant};

use driftless::outcome::Outcome;
use driftless_harness::proxy::ProxyFault;
use opensearch::http::Method;
use serde_json::{Value, json};

use super::{function, proxy};
use crate::stage::{InvocationResult, Stage};
use crate::support::{
    CREATED, HELD, Index, ReplicateFunction, TABLE_ARN, documents, insert, modify, remove, with_image,
};

impl Index {
    async fn put(&self, method: Method, path: &str, body: Option<Value>) {
        let (status, text) = self.send(method, path, body).await;
        assert_eq!(status, 200, "{path}: {text}");
    }

    async fn alias(&self, actions: Value) {
        self.put(Method::Post, "/_aliases", Some(json!({"actions": actions}))).await;
    }

    /// The name of its write alias.
    async fn write_alias(&self) -> String {
        let (_, text) = self.send(Method::Get, &format!("/{}-000001/_alias", self.name), None).await;
        let aliases: Value = serde_json::from_str(&text).expect("JSON");
        let names = aliases[format!("{}-000001", self.name)]["aliases"].as_object().expect("aliases");
        names.keys().find(|name| name.contains("-write-")).expect("a write alias").clone()
    }
}

/// Each kind of record, by a process that remembers `known` and has never seen `unseen`.
fn records() -> [String; 4] {
    [insert("new", 11), modify("known", 12), modify("unseen", 13), remove("gone", 14)]
}

async fn stage(name: &str) -> Stage {
    let stage = Stage::new(name).await;
    stage.succeed(&[insert("known", 1)]).await;
    stage
}

/// Every record alone fails the invocation with these words, and leaves no dead letter.
async fn is_said_of_every_record(stage: &Stage, words: &str) {
    for record in records() {
        let InvocationResult { answer, letters, .. } = stage.invoke(std::slice::from_ref(&record)).await;
        let error = answer.expect_err("a matter of the deployment");
        assert_eq!(error.kind(), "Configuration", "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(letters.len(), 0, "{:?}", letters.first().map(|letter| &letter.rejected));
    }
}

async fn is_applied(stage: &Stage) {
    stage.succeed(&records()).await;
    let expected = [("gone", ""), ("known", r#"{"n":12}"#), ("new", r#"{"n":11}"#), ("unseen", r#"{"n":13}"#)];
    assert_eq!(stage.index.all().await, documents(&expected));
}

#[tokio::test]
async fn a_closed_index_rejects_nothing() {
    let stage = stage("closed").await;
    let path = |what: &str| format!("/{}-000001/_{what}", stage.index.name);
    stage.index.put(Method::Post, &path("close"), None).await;
    is_said_of_every_record(&stage, "closed").await;
    stage.index.put(Method::Post, &path("open"), None).await;
    is_applied(&stage).await;
}

#[tokio::test]
async fn a_write_alias_without_a_write_index_rejects_nothing() {
    let stage = stage("unwritable").await;
    let (index, alias) = (format!("{}-000001", stage.index.name), stage.index.write_alias().await);
    let add = |is_write_index| json!([{"add": {"index": index, "alias": alias, "is_write_index": is_write_index}}]);
    stage.index.alias(add(false)).await;
    for record in [insert("new", 11), modify("known", 12)] {
        let InvocationResult { answer, letters, .. } = stage.invoke(&[record]).await;
        let error = answer.expect_err("a matter of the deployment").to_string();
        assert!(error.contains("takes no writes") && error.contains("write alias"), "{error}");
        assert_eq!(letters.len(), 0);
    }
    stage.index.alias(add(true)).await;
    is_applied(&stage).await;
}

#[tokio::test]
async fn an_index_that_hides_versions_is_refused_before_anything_is_overwritten() {
    for (mapping, words) in [
        (json!({"_source": {"excludes": ["_driftless.version"]}}), "_source"),
        (json!({"_routing": {"required": true}}), "routing"),
    ] {
        let index = Index::new("hides");
        let mut mappings = mapping;
        mappings["_meta"]["driftless"] = json!({"format": 2, "table": TABLE_ARN, "generation": 1});
        let filter = json!({"bool": {"must_not": [{"term": {"_driftless.deleted": true}}]}});
        let alias = format!("{}-write-00000000000000ff", index.name);
        let aliases = json!({&index.name: {"filter": filter}, alias: {"is_write_index": true}});
        let body = json!({"mappings": mappings, "aliases": aliases});
        index.put(Method::Put, &format!("/{}-000001", index.name), Some(body)).await;
        refused(&with(&index, &[]), &insert("a", 1), &["INDEX", words]).await;
    }
}

#[tokio::test]
async fn corrected_poison_that_is_delivered_again_is_stale_and_leaves_no_letter() {
    let mut stage = stage("corrected").await;
    let poison = with_image("a", 2, r#"{"n":{"M":{"x":{"S":"no number"}}}}"#);
    let (letters, _) = stage.handle(std::slice::from_ref(&poison)).await;
    assert_eq!(letters.len(), 1);
    stage.succeed(&[modify("a", 3)]).await;
    // In the process that knows the document, and in one that presumes it new.
    for _ in 0..2 {
        let (letters, metrics) = stage.handle(std::slice::from_ref(&poison)).await;
        assert_eq!((letters.len(), metrics["Stale"].as_u64()), (0, Some(1)));
        stage.restart().await;
    }
    let reading = driftless::change::ReadOptions::default();
    let change = driftless::change::Record::read(&poison, &reading).change.expect("a change");
    assert_eq!(stage.preview(&[change]).await, [Outcome::Stale], "a dry run says the same");
}

#[tokio::test]
async fn an_engine_that_does_not_know_require_alias_is_refused_at_the_cold_start() {
    let (index, proxy) = (Index::new("old-engine"), proxy().await);
    let function = function(&index, &proxy, 3_000).timeout(CREATED);
    proxy.on("-000001/_bulk", ProxyFault::Answer(400));
    let error = function.invoke(&[insert("a", 1)]).await.expect_err("an engine without require_alias").to_string();
    assert!(error.contains("require_alias") && error.contains("7.10"), "{error}");
    assert_eq!(index.visible().await.len(), 0);
    proxy.pass();
    function.succeed(&[insert("a", 1)]).await;
}

/// The function with more settings.
fn with(index: &Index, settings: &[(&str, &str)]) -> ReplicateFunction {
    let more = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ReplicateFunction::new(index.settings().into_iter().chain(more).collect()).timeout(HELD)
}

async fn refused(function: &ReplicateFunction, record: &str, words: &[&str]) {
    let error = function.invoke(&[record.to_owned()]).await.expect_err("another source").to_string();
    for word in words {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[tokio::test]
async fn an_index_takes_the_changes_of_one_table_with_one_partition_key_and_no_lower_generation() {
    let index = Index::new("identity");
    with(&index, &[("GENERATION", "2")]).timeout(CREATED).succeed(&[insert("a", 1)]).await;
    let other = insert("a", 9).replace("table/T/", "table/Other/");
    let second = with(&index, &[("GENERATION", "2")]);
    refused(&second, &other, &["table/T", "table/Other", "GENERATION to 3"]).await;
    let other_key = with(&index, &[("GENERATION", "2"), ("PARTITION_KEY", "pk")]);
    refused(&other_key, &modify("a", 9), &["PARTITION_KEY not set", "here it is `pk`"]).await;
    refused(&with(&index, &[]), &modify("a", 9), &["GENERATION is 1", "set GENERATION to 2"]).await;
    assert_eq!(index.all().await, documents(&[("a", r#"{"n":1}"#)]), "nothing was written");
    // The process that refused the other table goes on with its own, whichever came first.
    second.succeed(&[modify("a", 10)]).await;
    refused(&second, &other, &["table/Other"]).await;
    second.succeed(&[modify("a", 11)]).await;
    // A restore makes another table; its changes are newer by their generation, whatever their numbers are.
    let restored = with(&index, &[("GENERATION", "3")]);
    restored.succeed(&[insert("a", 5).replace("table/T/", "table/Other/")]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":5}"#)]));
    // What still runs with the old generation finds that out by the documents, and by a cold start.
    refused(&second, &modify("a", 12), &["GENERATION"]).await;
    refused(&with(&index, &[("GENERATION", "2")]), &modify("b", 12), &["set GENERATION to 3"]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":5}"#)]));
}

#[tokio::test]
async fn processes_that_raise_the_generation_together_do_no_harm() {
    let index = Index::new("raised");
    index.function().succeed(&[insert("a", 1)]).await;
    let raised: Vec<_> = (0..4).map(|_| with(&index, &[("GENERATION", "2")]).timeout(CREATED)).collect();
    let keys = ["a", "b", "c", "d"];
    let writes = raised.iter().zip(keys).map(async |(function, key)| function.succeed(&[insert(key, 2)]).await);
    futures::future::join_all(writes).await;
    assert_eq!(index.visible().await.into_keys().collect::<Vec<_>>(), keys);
    let (_, mapping) = index.send(Method::Get, &format!("/{}-000001/_mapping", index.name), None).await;
    assert!(mapping.contains(r#""generation":2"#), "{mapping}");
}

#[tokio::test]
async fn a_warm_process_follows_moved_aliases_within_the_invocation() {
    let index = Index::new("moved");
    let function = index.function();
    function.succeed(&[insert("a", 1)]).await;
    let (first, second) = (format!("{}-000001", index.name), format!("{}-000002", index.name));
    let (_, text) = index.send(Method::Get, &format!("/{first}"), None).await;
    let described: Value = serde_json::from_str(&text).expect("JSON");
    let body = json!({"mappings": described[&first]["mappings"]});
    index.put(Method::Put, &format!("/{second}"), Some(body)).await;
    let filter = &described[&first]["aliases"][&index.name]["filter"];
    index
        .alias(json!([
            {"remove": {"index": first, "alias": index.name}},
            {"remove": {"index": first, "alias": index.write_alias().await}},
            {"add": {"index": second, "alias": index.name, "filter": filter}},
            {"add": {"index": second, "alias": format!("{}-write-00000000000000ff", index.name), "is_write_index": true}},
        ]))
        .await;
    let started = Instant::now();
    function.succeed(&[modify("a", 2), insert("b", 3)]).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":2}"#), ("b", r#"{"n":3}"#)]));
}

#[tokio::test]
async fn nothing_is_created_where_somebody_restores() {
    let index = Index::new("restored");
    let never = with(&index, &[("CREATE_INDEX", "never")]);
    refused(&never, &insert("a", 1), &["does not exist, and is not created", "CREATE_INDEX"]).await;
    assert_eq!(index.send(Method::Get, &format!("/{}-000001", index.name), None).await.0, 404);
    index.function().succeed(&[insert("a", 1)]).await;
    never.succeed(&[modify("a", 2)]).await;
    assert_eq!(index.visible().await, documents(&[("a", r#"{"n":2}"#)]));
}
