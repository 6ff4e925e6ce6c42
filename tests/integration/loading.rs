//! Parts that the tests of backfill and verify share: a table of their own, and the real functions on it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use driftless_harness::activity::{PARTITION_KEY, create_table};
use driftless_harness::compare::{TableComparison, compare};
use driftless_harness::function::{
    BuildProfile, FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, ProcessFault, build_function,
};
use driftless_harness::load::LoadItem;
use driftless_harness::services::dynamodb_client;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::{Index, services, unique};

pub(crate) static BACKFILL: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("backfill", BuildProfile::Debug).expect("the function builds"));
pub(crate) static VERIFY: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("verify", BuildProfile::Debug).expect("the function builds"));

/// Requests under way while a table is filled.
const CONCURRENT_WRITES: usize = 4;
/// Most repetitions of a request that could not reach a service, as many as a state machine's.
const REPEATED: u32 = 4;
/// Keys that share a partition.
const IN_A_PARTITION: u64 = 50;

/// A table and an index of one test.
pub(crate) struct Scene {
    pub(crate) tables: Client,
    pub(crate) table: String,
    pub(crate) index: Index,
}

/// Key attributes of an item.
pub(crate) fn key(number: u64) -> LoadItem {
    let text = |text: String| AttributeValue::S(text);
    HashMap::from([
        (PARTITION_KEY.to_owned(), text(format!("p{}", number / IN_A_PARTITION))),
        ("sk".to_owned(), text(format!("s{number:06}"))),
    ])
}

/// Id of the item's document.
pub(crate) fn id(number: u64) -> String {
    format!("p{}|s{number:06}", number / IN_A_PARTITION)
}

/// An item with content that changes with `state`.
fn item(number: u64, state: u64) -> LoadItem {
    let mut item = key(number);
    item.insert("state".to_owned(), AttributeValue::N(state.to_string()));
    item.insert("exact".to_owned(), AttributeValue::N(format!("12345678901234567890.{:09}", number + 1)));
    item.insert("text".to_owned(), AttributeValue::S(format!("\"quoted\" {number} ü {}", "x".repeat(100))));
    item
}

impl Scene {
    pub(crate) async fn new(name: &str) -> Self {
        let tables = dynamodb_client(services().dynamodb_endpoint());
        let table = unique(name);
        create_table(&tables, &table).await.expect("a table");
        services().index_scan(&table).expect("an index for scans");
        Self { tables, table, index: Index::new(name) }
    }

    /// Puts many new items.
    pub(crate) async fn fill(&self, numbers: std::ops::Range<u64>) {
        let numbers: Vec<u64> = numbers.collect();
        let write = |part: Vec<u64>| async move {
            let put = |number| {
                let put = PutRequest::builder().set_item(Some(item(number, 0))).build().expect("an item");
                WriteRequest::builder().put_request(put).build()
            };
            let request =
                self.tables.batch_write_item().request_items(&self.table, part.into_iter().map(put).collect());
            let answer = request.send().await.expect("written");
            assert!(answer.unprocessed_items.unwrap_or_default().is_empty());
        };
        let parts = numbers.chunks(25).map(|part| write(part.to_vec()));
        stream::iter(parts).buffer_unordered(CONCURRENT_WRITES).collect::<()>().await;
    }

    pub(crate) async fn put(&self, number: u64, state: u64) {
        let request = self.tables.put_item().table_name(&self.table).set_item(Some(item(number, state)));
        request.send().await.expect("put");
    }

    pub(crate) async fn delete(&self, number: u64) {
        let request = self.tables.delete_item().table_name(&self.table).set_key(Some(key(number)));
        request.send().await.expect("deleted");
    }

    /// A function's settings with this table and index.
    pub(crate) fn configured(&self, name: &str, binary: &PathBuf) -> FunctionConfig {
        let mut config = FunctionConfig::new(name, binary);
        for (name, value) in services().environment() {
            config = config.env(name, value);
        }
        for (name, value) in self.index.settings() {
            config = config.env(name, value);
        }
        config.env("PARTITION_KEY", PARTITION_KEY).env("TABLE_NAME", &self.table)
    }

    pub(crate) fn backfill(&self) -> FunctionConfig {
        self.configured("backfill", &BACKFILL)
    }

    pub(crate) fn verify(&self) -> FunctionConfig {
        self.configured("verify", &VERIFY)
    }

    /// Backfills the whole table in one segment. Returns the sums of the counts.
    pub(crate) async fn backfilled(&self) -> Value {
        run(self.backfill(), json!({}), None).await
    }

    /// Compares the table's side, then the index's, once everything written before is refreshed. Returns both answers.
    pub(crate) async fn verified(&self, repair: bool) -> (Value, Value) {
        self.index.refresh().await;
        let request = json!({"settle_ms": 1_000, "repair": repair, "orphans": "count"});
        let table = run(self.verify(), request, None).await;
        let request = json!({"settle_ms": 1_000, "repair": repair, "orphans": "full"});
        (table, run(self.verify(), request, None).await)
    }

    /// Compares table and index by means that are not the functions' own.
    pub(crate) async fn compared(&self) -> TableComparison {
        compare(&self.tables, &self.table, self.index.client(), &self.index.name, Some(PARTITION_KEY))
            .await
            .expect("compared")
    }
}

/// Invokes a function with a request and its answers' cursors until it is done. Returns the last answer with the sums
/// of the counts. The first invocation may go wrong, and is then repeated, as a state machine does.
pub(crate) async fn run(config: FunctionConfig, request: Value, first: Option<ProcessFault>) -> Value {
    let mut process = FunctionProcess::new(config);
    let answer = run_in(&mut process, request, first).await;
    process.kill().await;
    answer
}

/// The same in a process that goes on.
pub(crate) async fn run_in(
    process: &mut FunctionProcess,
    mut request: Value,
    mut first: Option<ProcessFault>,
) -> Value {
    let mut sums: HashMap<String, f64> = HashMap::new();
    let mut unavailable = 0;
    loop {
        let outcome = process.invoke(request.to_string().into(), first).await.expect("invoked").outcome;
        let mut answer: Value = match outcome {
            InvocationOutcome::Response(body) => serde_json::from_slice(&body).expect("JSON"),
            InvocationOutcome::Exited(_) if first.is_some() => {
                first = None;
                continue;
            }
            // A short invocation on a busy machine may end before it has an answer.
            InvocationOutcome::FunctionError { kind, .. } if kind == "Unavailable" && unavailable < REPEATED => {
                unavailable += 1;
                continue;
            }
            outcome => panic!("{outcome}"),
        };
        first = None;
        for (name, count) in answer["counts"].as_object().expect("counts") {
            *sums.entry(name.clone()).or_default() += count.as_f64().expect("a number");
        }
        if answer["done"] == true {
            answer["counts"] = json!(sums);
            return answer;
        }
        request["cursor"] = answer["cursor"].clone();
    }
}

/// Returns kind and message of the error of an invocation that must fail.
pub(crate) async fn fails(config: FunctionConfig, request: Value) -> (String, String) {
    let mut process = FunctionProcess::new(config);
    let outcome = process.invoke(request.to_string().into(), None).await.expect("invoked").outcome;
    process.kill().await;
    let InvocationOutcome::FunctionError { kind, message } = outcome else { panic!("{outcome}") };
    (kind, message)
}

/// Returns a count of an answer.
#[track_caller]
pub(crate) fn count(answer: &Value, name: &str) -> u64 {
    let count = answer["counts"][name].as_f64().unwrap_or_else(|| panic!("{name}: {answer}"));
    format!("{count:.0}").parse().expect("a whole number")
}

/// A time after which a killed process has begun its work and not ended it.
pub(crate) const AT_WORK: Duration = Duration::from_millis(400);
