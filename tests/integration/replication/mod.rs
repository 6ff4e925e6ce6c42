//! `REPLICATION` on the real services: one table, and the same document on every path, whatever the rules are.
//!
//! # Layout
//! - `paths`: each rule through stream, backfill, redrive, repair and verify.
//! - `changes`: items that stop matching, records that the rules refuse, rules that change.
//! - `hashed_ids`: keys that are personal data, searched for in everything that comes out.
//! - `one_id`: two items whose keys give one id. `routing`: documents in the shard of their partition.
//! - `shared_index`: several tables in one index. `entity_indexes`: one table in several indexes.
//! - `released`: what formats left behind that were released once.
//! - `examples`: the folders of `examples/`, loaded and searched.

mod changes;
mod entity_indexes;
mod examples;
mod hashed_ids;
mod one_id;
mod paths;
mod released;
mod routing;
mod shared_index;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driftless::dead_letter::{DeadLetter, DeadLetterMessage};
use driftless::testing::rules::HASH_KEY;
use driftless_harness::function::{FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _};
use driftless_harness::list_dead_letters::{peek, queue_at};
use driftless_harness::load::LoadItem;
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping, MappingConfig, MemoryMessages};
use driftless_harness::services::{create_queue, streams_client};
use driftless_harness::slices::verify::{OrphanSearch, Verification, VerifySummary};
use driftless_harness::table::TableFacts;
use opensearch::http::Method;
use serde_json::{Value, json};

use crate::commands::services;
use crate::loading::Scene;
use crate::purge::PURGE;
use crate::reindex::REINDEX;
use crate::streams::{BINARY, REDRIVE};
use crate::support::{Index, unique};

const DRAIN: Duration = Duration::from_secs(120);

/// A table that may be shared, an index and a queue for dead letters, and the rules between them.
struct RulesScene {
    scene: Scene,
    rules: String,
    definition: Option<PathBuf>,
    hash_key: String,
    table_arn: String,
    queue: String,
    /// File with all that the functions print.
    log: PathBuf,
    folder: tempfile::TempDir,
}

impl RulesScene {
    async fn new(name: &str, rules: &str) -> Self {
        Self::on(Scene::new(name).await, rules).await
    }

    /// Another index of the same table, made by other rules.
    async fn beside(&self, name: &str, rules: &str) -> Self {
        let Scene { tables, table, .. } = &self.scene;
        let scene = Scene { tables: tables.clone(), table: table.clone(), index: Index::new(name) };
        Self::on(scene, rules).await
    }

    async fn on(scene: Scene, rules: &str) -> Self {
        let sqs = services().sqs_endpoint().expect("queues are wanted");
        let queue = create_queue(sqs, &unique("rules")).await.expect("a queue");
        let table_arn = TableFacts::of(&scene.tables, &scene.table).await.expect("a table").arn;
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        Self {
            scene,
            rules: rules.to_owned(),
            definition: None,
            hash_key: HASH_KEY.to_owned(),
            table_arn,
            queue,
            log,
            folder,
        }
    }

    /// The same with other rules.
    fn with(&mut self, rules: &str) {
        rules.clone_into(&mut self.rules);
    }

    /// Another look at the same table and the same index, by other rules.
    async fn beside_in_same_index(&self, rules: &str) -> Self {
        let Scene { tables, table, index } = &self.scene;
        let index = index.seen_at(crate::support::engine_url());
        Self::on(Scene { tables: tables.clone(), table: table.clone(), index }, rules).await
    }

    /// Gives the index this definition, if it is not there yet.
    fn define(&mut self, definition: &Value) {
        let file = self.folder.path().join("definition.json");
        fs::write(&file, definition.to_string()).expect("written");
        self.definition = Some(file);
    }

    /// A function's settings with the rules.
    fn function(&self, name: &str, binary: &PathBuf) -> FunctionConfig {
        let sqs = services().sqs_endpoint().expect("queues are wanted");
        let mut config = self.scene.configured(name, binary).env("HASH_KEY", &self.hash_key);
        config = config.env("DEAD_LETTER_QUEUE_URL", &self.queue).env("AWS_ENDPOINT_URL_SQS", sqs);
        config = config.env("RUST_LOG", "trace").env("TABLE_ARN", &self.table_arn);
        if let Some(definition) = &self.definition {
            config = config.env("INDEX_DEFINITION", definition.to_str().expect("text"));
        }
        if !self.rules.is_empty() {
            config = config.env("REPLICATION", &self.rules);
        }
        config.log_file = Some(self.log.clone());
        config
    }

    fn replicate(&self) -> FunctionConfig {
        self.function("replicate", &BINARY)
    }

    fn verify_function(&self) -> FunctionConfig {
        let mut config = self.function("verify", &crate::loading::VERIFY);
        // An eighth of it is the longest lag that a comparison stands, and the changes here are recent.
        config.timeout = Duration::from_secs(600);
        config
    }

    async fn put(&self, item: &Value) {
        let request = self.scene.tables.put_item().table_name(&self.scene.table).set_item(Some(sdk_item(item)));
        request.send().await.expect("put");
    }

    async fn delete(&self, key: &Value) {
        let request = self.scene.tables.delete_item().table_name(&self.scene.table).set_key(Some(sdk_item(key)));
        request.send().await.expect("deleted");
    }

    /// Gives the function the whole stream, from its oldest record.
    async fn stream(&self) {
        self.stream_with(&self.rules).await;
    }

    /// The same under other rules.
    async fn stream_with(&self, rules: &str) {
        let function = if rules.is_empty() { self.replicate() } else { self.replicate().env("REPLICATION", rules) };
        let streams = streams_client(services().dynamodb_endpoint());
        let stream = DynamoDbStream::of_table(&self.scene.tables, streams, &self.scene.table).await.expect("a stream");
        let config = MappingConfig { report_batch_item_failures: true, ..MappingConfig::default() };
        let messages = Arc::new(MemoryMessages::default());
        let mapping =
            EventSourceMapping::start(config, Arc::new(stream), Arc::new(function), Some(Arc::clone(&messages) as _));
        let mapping = mapping.await.expect("the function starts");
        mapping.wait_until_drained(DRAIN).await.expect("drained");
        mapping.shutdown().await;
        assert_eq!(messages.messages().len(), 0, "no record is given up");
    }

    async fn backfill(&self) -> Value {
        crate::loading::run(self.function("backfill", &crate::loading::BACKFILL), json!({}), None).await
    }

    async fn redrive(&self) -> Value {
        answer(self.function("redrive", &REDRIVE), json!({})).await
    }

    async fn purge(&self) -> Value {
        self.refresh().await;
        answer(self.function("purge", &PURGE), json!({"age_days": 0})).await
    }

    async fn reindex(&self, step: &str) -> Value {
        answer(self.function("reindex", &REINDEX), json!({"step": step})).await
    }

    /// Compares as `cargo local verify` does.
    async fn verify(&self, repair: bool, orphans: OrphanSearch) -> VerifySummary {
        let function = self.verify_function();
        let request = json!({"settle_ms": 200, "repair": repair});
        let verification = Verification { function, request, segments: Some(2), orphans };
        let mut state = verification.begin();
        verification.run(&mut state, |_| ()).await.expect("compared")
    }

    /// Compares the table's side in one long invocation, which waits until recent changes are settled.
    async fn compare(&self, repair: bool) -> Value {
        let request = json!({"settle_ms": 200, "repair": repair});
        crate::loading::run(self.verify_function(), request, None).await
    }

    /// Compares the index's side in the same way.
    async fn list(&self, repair: bool) -> Value {
        self.refresh().await;
        let request = json!({"settle_ms": 200, "repair": repair, "orphans": "full"});
        crate::loading::run(self.verify_function(), request, None).await
    }

    /// Dead letters in the queue, which stay there.
    async fn letters(&self) -> Vec<DeadLetter> {
        let letters = peek(&queue_at(services().sqs_endpoint(), &self.queue), 100).await.expect("read");
        let letter = |entry: driftless_harness::list_dead_letters::ListedMessage| match entry.letter {
            Ok(DeadLetterMessage::Record(letter)) => *letter,
            other => panic!("{other:?}"),
        };
        letters.into_iter().map(letter).collect()
    }

    async fn refresh(&self) {
        self.scene.index.refresh().await;
    }

    /// Everything that the physical index holds, tombstones included, as text.
    async fn raw(&self) -> String {
        self.refresh().await;
        let path = format!("/{}-000001/_search", self.scene.index.name);
        let (status, text) = self.scene.index.send(Method::Post, &path, Some(json!({"size": 1_000}))).await;
        assert_eq!(status, 200, "{text}");
        let (_, mapping) =
            self.scene.index.send(Method::Get, &format!("/{}-000001", self.scene.index.name), None).await;
        format!("{text}\n{mapping}")
    }

    /// All that the functions have printed.
    fn printed(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }
}

/// Returns the answer of an invocation.
async fn answer(config: FunctionConfig, request: Value) -> Value {
    let mut process = FunctionProcess::new(config);
    let outcome = process.invoke(request.to_string().into(), None).await.expect("invoked").outcome;
    process.kill().await;
    let InvocationOutcome::Response(body) = outcome else { panic!("{request}: {outcome}") };
    serde_json::from_slice(&body).expect("JSON")
}

/// Converts an item in DynamoDB JSON.
fn sdk_item(item: &Value) -> LoadItem {
    item.as_object().expect("an item").iter().map(|(name, value)| (name.clone(), sdk_value(value))).collect()
}

fn sdk_value(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().and_then(|map| map.iter().next()).expect("an attribute value");
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{kind}: {value}")).to_owned();
    let texts = || value.as_array().expect("a set").iter().map(text).collect();
    let bytes = |value: &Value| Blob::new(STANDARD.decode(value.as_str().expect("base64")).expect("base64"));
    match kind.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "B" => AttributeValue::B(bytes(value)),
        "BOOL" => AttributeValue::Bool(value.as_bool().expect("a boolean")),
        "NULL" => AttributeValue::Null(true),
        "SS" => AttributeValue::Ss(texts()),
        "NS" => AttributeValue::Ns(texts()),
        "L" => AttributeValue::L(value.as_array().expect("a list").iter().map(sdk_value).collect()),
        "M" => AttributeValue::M(sdk_item(value)),
        other => panic!("{other} is no type of DynamoDB that items here have"),
    }
}

/// A folder of the repository.
fn repository() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().expect("a folder")
}
