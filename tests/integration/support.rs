//! Parts that all tests share: an index of their own on the real engine, the function in this process, stream records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use driftless::change::ChangeKind;
use driftless::function::replicate::{DynamoDbStreams, Outbox, StreamEvent, invoke};
use driftless::function::{Context, FunctionError, Settings};
use driftless::opensearch::Identity;
use driftless::replication::Fingerprints;
use driftless::testing::RecordBuilder;
use driftless::version::Generation;
use driftless_harness::services::{DynamoDbKind, Services, WantedServices, shared};
use lambda_runtime::LambdaEvent;
use opensearch::OpenSearch;
use opensearch::http::Method;
use opensearch::http::headers::HeaderMap;
use opensearch::http::transport::Transport;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Another index name in every test and every run.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nth = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{nth}", std::process::id())
}

/// The engine that all tests share.
pub(crate) fn services() -> &'static Services {
    shared(WantedServices { dynamodb: DynamoDbKind::Embedded, sqs: false, ..WantedServices::default() })
}

pub(crate) fn engine_url() -> &'static str {
    services().opensearch_endpoint().expect("an engine is wanted")
}

/// The time-out of an invocation that waits a wrong configuration out.
pub(crate) const HELD: Duration = Duration::from_secs(3);
/// The same of one that has to create its index, on a busy machine, before.
pub(crate) const CREATED: Duration = Duration::from_secs(8);

/// An index, as its readers see it.
pub(crate) struct Index {
    pub(crate) name: String,
    client: OpenSearch,
}

impl Index {
    pub(crate) fn new(name: &str) -> Self {
        Self::at(engine_url(), name)
    }

    /// The same on another engine.
    pub(crate) fn at(engine: &str, name: &str) -> Self {
        let client = OpenSearch::new(Transport::single_node(engine).expect("a URL"));
        Self { name: unique(name), client }
    }

    /// The index of this very name, which one test alone may use.
    pub(crate) fn named(name: &str) -> Self {
        let client = OpenSearch::new(Transport::single_node(engine_url()).expect("a URL"));
        Self { name: name.to_owned(), client }
    }

    /// The same index, asked through another node.
    pub(crate) fn seen_at(&self, engine: &str) -> Self {
        let client = OpenSearch::new(Transport::single_node(engine).expect("a URL"));
        Self { name: self.name.clone(), client }
    }

    /// Returns the engine's client, which all tests share.
    pub(crate) fn client(&self) -> &OpenSearch {
        &self.client
    }

    /// Sends a request and gives status and body.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let body = body.map(|body| body.to_string());
        let sent = self.client.send(method, path, HeaderMap::new(), None::<&()>, body, None).await.expect("an answer");
        (sent.status_code().as_u16(), sent.text().await.expect("a body"))
    }

    /// Sends a request until the engine has room for it. Elasticsearch answers 429 while large requests fill its heap.
    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let until = Instant::now() + Duration::from_secs(30);
        let (status, text) = loop {
            let (status, text) = self.send(method, path, body.clone()).await;
            if status != 429 || Instant::now() > until {
                break (status, text);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert!((200..300).contains(&status), "{path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Returns `true` for the engine whose words the pages of documentation quote.
    pub(crate) async fn is_quoted_engine(&self) -> bool {
        let about = self.json(Method::Get, "/", None).await;
        let number = about["version"]["number"].as_str().expect("a version");
        about["version"]["distribution"] == "opensearch" && number.starts_with("3.")
    }

    /// Returns the kind of the engine: `opensearch`, `elasticsearch`, or `elasticsearch-oss` without Elastic's licence.
    pub(crate) async fn engine_kind(&self) -> &'static str {
        let about = self.json(Method::Get, "/", None).await;
        match [&about["version"]["distribution"], &about["version"]["build_flavor"]].map(Value::as_str) {
            [Some("opensearch"), _] => "opensearch",
            [_, Some("default")] => "elasticsearch",
            _ => "elasticsearch-oss",
        }
    }

    /// Returns the engine's mapping for a map of any keys.
    pub(crate) async fn flat_mapping(&self) -> Value {
        match self.engine_kind().await {
            "opensearch" => json!({"type": "flat_object"}),
            "elasticsearch" => json!({"type": "flattened"}),
            _ => json!({"type": "object", "enabled": false}),
        }
    }

    /// Refreshes the index, so that searches and counts see every write before.
    pub(crate) async fn refresh(&self) {
        self.json(Method::Post, &format!("/{}/_refresh", self.name), None).await;
    }

    /// Returns the hits of a search through the public alias, by id, as the text that was indexed less `_driftless`.
    pub(crate) async fn visible(&self) -> BTreeMap<String, String> {
        self.found(&self.name).await
    }

    /// The same with tombstones, whose text is empty.
    pub(crate) async fn all(&self) -> BTreeMap<String, String> {
        self.found(&format!("{}-000001", self.name)).await
    }

    async fn found(&self, alias: &str) -> BTreeMap<String, String> {
        self.refresh().await;
        let answer = self.send(Method::Post, &format!("/{alias}/_search"), Some(json!({"size": 10_000}))).await.1;
        // Raw, so that numbers keep the digits they were sent with.
        let answer: BTreeMap<&str, &RawValue> = serde_json::from_str(&answer).expect("an answer");
        let hits: BTreeMap<&str, &RawValue> = serde_json::from_str(answer["hits"].get()).expect("hits");
        let hits: Vec<BTreeMap<&str, &RawValue>> = serde_json::from_str(hits["hits"].get()).expect("hits");
        hits.into_iter()
            .map(|hit| (serde_json::from_str(hit["_id"].get()).expect("an id"), without_metadata(hit["_source"].get())))
            .collect()
    }

    /// Number of writes of a document, by the engine's own count.
    pub(crate) async fn writes(&self, id: &str) -> u64 {
        let path = format!("/{}-000001/_doc/{id}", self.name);
        self.json(Method::Get, &path, None).await["_version"].as_u64().expect("a version")
    }

    /// Searches through the public alias for the ids of matching documents.
    pub(crate) async fn search(&self, query: Value) -> Vec<String> {
        self.refresh().await;
        let body = json!({"size": 100, "query": query, "sort": ["_doc"]});
        let answer = self.json(Method::Post, &format!("/{}/_search", self.name), Some(body)).await;
        let hits = answer["hits"]["hits"].as_array().expect("hits").iter();
        hits.map(|hit| hit["_id"].as_str().expect("an id").to_owned()).collect()
    }

    /// The least settings of a function that writes here.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        self.settings_at(engine_url())
    }

    /// The same with the engine at another URL.
    pub(crate) fn settings_at(&self, endpoint: &str) -> Vec<(String, String)> {
        [("OPENSEARCH_ENDPOINT", endpoint), ("INDEX", &self.name), ("OPENSEARCH_AUTH", "none")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// The function in this process.
    pub(crate) fn function(&self) -> ReplicateFunction {
        ReplicateFunction::new(self.settings())
    }
}

/// The text of a document less its last field, `_driftless`.
fn without_metadata(source: &str) -> String {
    let (text, metadata) = source.rsplit_once("\"_driftless\":").expect("every document carries _driftless");
    assert!(metadata.contains("\"version\":"), "{metadata}");
    let text = text.trim_end_matches(',');
    if text == "{" { String::new() } else { format!("{text}}}") }
}

/// The `replicate` function in this process, as its `main` builds it.
pub(crate) struct ReplicateFunction {
    context: Context,
    outbox: Outbox,
    timeout: Duration,
}

impl ReplicateFunction {
    pub(crate) fn new(settings: Vec<(String, String)>) -> Self {
        let lookup = move |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let context = Context::new(Settings::from_env(&lookup));
        Self { context, outbox: Outbox::default(), timeout: Duration::from_secs(30) }
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Invokes it with a batch of records; gives the failed sequence numbers.
    pub(crate) async fn invoke(&self, records: &[String]) -> Result<Vec<String>, FunctionError> {
        let raw = |json: &String| RawValue::from_string(json.clone()).expect("JSON");
        let event = StreamEvent { records: records.iter().map(raw).collect() };
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + self.timeout;
        let mut context = lambda_runtime::Context::default();
        context.deadline = u64::try_from(deadline.as_millis()).expect("milliseconds");
        let failed = invoke(&self.context, &self.outbox, &DynamoDbStreams, LambdaEvent::new(event, context)).await;
        self.outbox.flush();
        failed
    }

    /// Invokes it with a batch, all of which must succeed.
    pub(crate) async fn succeed(&self, records: &[String]) {
        assert_eq!(self.invoke(records).await.expect("handled"), [""; 0]);
    }
}

/// ARN of the table that the records here are of.
pub(crate) const TABLE_ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/T";

/// Identity of an index of these records.
pub(crate) fn identity() -> Identity {
    Identity {
        source: None,
        table: Some(TABLE_ARN.to_owned()),
        partition_key: None,
        generation: Generation(1),
        rules: Fingerprints::default(),
    }
}

/// Record with a sequence number as long as DynamoDB's own, from a stream of that table.
fn record(kind: ChangeKind, key: &str, sequence: u64) -> RecordBuilder {
    let record = RecordBuilder::new(kind, key, sequence).sequence_number(format!("{sequence}{:020}", 0));
    record.stream_arn(stream_arn("2026-01-15T09:30:00.000"))
}

fn stream_arn(label: &str) -> String {
    format!("{TABLE_ARN}/stream/{label}")
}

/// An INSERT whose document is `{"n": sequence}`.
pub(crate) fn insert(key: &str, sequence: u64) -> String {
    record(ChangeKind::Insert, key, sequence).numbered(sequence).json()
}

/// The same as a MODIFY.
pub(crate) fn modify(key: &str, sequence: u64) -> String {
    record(ChangeKind::Modify, key, sequence).numbered(sequence).json()
}

/// A REMOVE, which has no image.
pub(crate) fn remove(key: &str, sequence: u64) -> String {
    record(ChangeKind::Remove, key, sequence).json()
}

/// An INSERT with this image.
pub(crate) fn with_image(key: &str, sequence: u64, image: &str) -> String {
    record(ChangeKind::Insert, key, sequence).new_image(image).json()
}

/// An INSERT with these keys.
pub(crate) fn with_keys(keys: &str, sequence: u64) -> String {
    record(ChangeKind::Insert, "", sequence).numbered(sequence).keys(keys).json()
}

/// A MODIFY from a stream with another label.
pub(crate) fn with_label(key: &str, label: &'static str, sequence: u64) -> String {
    record(ChangeKind::Modify, key, sequence).numbered(sequence).stream_arn(stream_arn(label)).json()
}

/// Documents by id, for comparison.
pub(crate) fn documents(expect: &[(&str, &str)]) -> BTreeMap<String, String> {
    expect.iter().map(|(id, json)| ((*id).to_owned(), (*json).to_owned())).collect()
}
