//! Every sample event of Kinesis is read, applied to the real engine, and leaves in the index what its README says.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use driftless::function::replicate::{Outbox, StreamEvent, Trigger, invoke};
use driftless::function::{Context, FunctionError, Settings};
use driftless::source::RecordSource;
use driftless::table::dynamodb::DynamoDbTable;
use driftless_harness::activity::create_table;
use driftless_harness::replay::{FunctionArgs, ReplayArgs, replay};
use driftless_harness::services::{CREDENTIALS, REGION, dynamodb_client};
use lambda_runtime::LambdaEvent;
use serde_json::value::RawValue;

use crate::events::records;
use crate::support::{HELD, Index, ReplicateFunction, services, unique};

/// Table that the sample events name.
const TABLE_ARN: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/activity-history";
const PARTITION: &str = "acme#m-1042";
const SORT: &str = "2026-01-15T09:31:07.123Z#01KF0FX3ZK9D4Q3E81CDRZ9974";
/// Note of the older one of two changes without an order.
const OLDER: &str = "Sent the quote for 40 seats.";
/// Note of the newer one.
const NEWER: &str = "Confirmed.";

/// The trigger of `replicate-kinesis`, on a table of the test's own.
struct TestTrigger(Arc<DynamoDbTable>);

impl Trigger for TestTrigger {
    type Items = DynamoDbTable;

    fn source<'s>(&self, _: &'s Settings) -> Result<RecordSource<'s>, FunctionError> {
        Ok(RecordSource::Kinesis { table_arn: TABLE_ARN })
    }

    fn items(&self, _: &Settings) -> Option<Arc<DynamoDbTable>> {
        Some(Arc::clone(&self.0))
    }
}

/// The function in this process, with an index of its own.
struct Function {
    index: Index,
    context: Context,
    trigger: TestTrigger,
}

impl Function {
    /// Begins with an empty index and this table.
    fn on(table: &str) -> Self {
        let index = Index::new("kinesis");
        let settings = index.settings();
        let lookup = move |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let table = DynamoDbTable::with_client(tables(), table);
        Self { index, context: Context::new(Settings::from_env(&lookup)), trigger: TestTrigger(Arc::new(table)) }
    }

    /// Applies an event, and returns the numbers of its failed records.
    async fn apply(&self, file: &str) -> Vec<String> {
        let raw = |json: String| RawValue::from_string(json).expect("JSON");
        let event = StreamEvent { records: records(file).into_iter().map(raw).collect() };
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(30);
        let mut context = lambda_runtime::Context::default();
        context.deadline = u64::try_from(deadline.as_millis()).expect("milliseconds");
        let event = LambdaEvent::new(event, context);
        let response = invoke(&self.context, &Outbox::default(), &self.trigger, event).await;
        let response = response.unwrap_or_else(|error| panic!("{file}: {error}"));
        response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }
}

/// Applies events to an empty index. Returns the number of failed records, and what readers then see. No table exists,
/// so a read of an item would fail.
async fn after(files: &[&str]) -> (usize, BTreeMap<String, String>) {
    let function = Function::on("no-table");
    let mut failed = 0;
    for file in files {
        failed += function.apply(file).await.len();
    }
    (failed, function.index.visible().await)
}

/// Returns the documents that `replicate` makes of changes of a DynamoDB stream.
async fn by_stream(files: &[&str]) -> BTreeMap<String, String> {
    let index = Index::new("stream");
    for file in files {
        index.function().succeed(&records(file)).await;
    }
    index.visible().await
}

/// Client of the DynamoDB that all tests share.
fn tables() -> Client {
    dynamodb_client(services().dynamodb_endpoint())
}

/// Creates the table of the sample events under a name of its own.
async fn new_table() -> String {
    let name = unique("kinesis-items");
    create_table(&tables(), &name).await.expect("a table");
    name
}

/// Puts the item of the sample events with this note.
async fn put(table: &str, note: &str) {
    let item = HashMap::from([("pk", PARTITION), ("sk", SORT), ("note", note)]);
    let item = item.into_iter().map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
    let put = tables().put_item().table_name(table).set_item(Some(item.collect()));
    put.send().await.expect("put");
}

#[track_caller]
fn only(visible: &BTreeMap<String, String>) -> &str {
    assert_eq!(visible.len(), 1, "{visible:?}");
    visible.values().next().expect("one")
}

#[tokio::test]
async fn a_change_by_kinesis_makes_the_document_that_the_stream_makes() {
    let inserted = by_stream(&["insert.json"]).await;
    for file in ["kinesis-insert.json", "kinesis-no-partition-key.json"] {
        assert_eq!(after(&[file]).await, (0, inserted.clone()), "{file}");
    }
    let modified = by_stream(&["modify.json"]).await;
    for files in [
        &["kinesis-insert.json", "kinesis-modify.json"][..],
        &["kinesis-modify.json", "kinesis-insert.json"],
        &["kinesis-milliseconds.json"],
        &["kinesis-duplicate.json"],
        &["kinesis-out-of-order.json"],
    ] {
        assert_eq!(after(files).await, (0, modified.clone()), "{files:?}");
    }
    for files in [["kinesis-insert.json", "kinesis-remove.json"], ["kinesis-remove.json", "kinesis-modify.json"]] {
        assert_eq!(after(&files).await, (0, BTreeMap::new()), "{files:?}");
    }
    assert_eq!(after(&["kinesis-insert.json", "kinesis-ttl-expiry.json"]).await, (0, BTreeMap::new()));
}

#[tokio::test]
async fn binary_values_are_encoded_once() {
    let (failed, visible) = after(&["kinesis-binary.json"]).await;
    let document = only(&visible);
    for field in [r#""signature":"3q2+7w==""#, r#""weather":["UmFpbnk=","U3Vubnk="]"#, r#""empty":"""#] {
        assert!(document.contains(field), "{field}: {document}");
    }
    assert_eq!(failed, 0);
}

#[tokio::test]
async fn what_dynamodb_did_not_write_fails_alone() {
    let (failed, visible) = after(&["kinesis-malformed.json"]).await;
    assert_eq!((failed, visible.len()), (3, 2));
}

#[tokio::test]
async fn changes_without_an_order_become_what_the_item_is() {
    let table = new_table().await;
    for file in ["kinesis-same-microsecond.json", "kinesis-precision-switch.json"] {
        for note in [OLDER, NEWER] {
            put(&table, note).await;
            let function = Function::on(&table);
            assert_eq!(function.apply(file).await, [""; 0]);
            let visible = function.index.visible().await;
            assert!(only(&visible).contains(&format!(r#""note":"{note}""#)), "{file}: {visible:?}");
            assert_eq!(function.apply(file).await, [""; 0]);
            assert_eq!(function.index.visible().await, visible, "delivered twice");
        }
    }
}

#[tokio::test]
async fn without_its_table_a_change_without_an_order_fails_and_nothing_is_chosen() {
    let function = Function::on("no-table");
    let index = &function.index;
    let event = function.apply("kinesis-insert.json").await;
    assert_eq!(event, [""; 0]);
    let before = index.visible().await;
    let failed = tokio::time::timeout(HELD, function.apply("kinesis-same-microsecond.json")).await;
    assert!(failed.map_or(true, |failed| failed.len() == 2), "held as a configuration error, or failed");
    assert_eq!(index.visible().await, before);
}

#[tokio::test]
async fn each_function_refuses_the_events_of_the_other() {
    let index = Index::new("refused");
    let function: ReplicateFunction = index.function();
    let error = function.timeout(HELD).invoke(&records("kinesis-insert.json")).await.expect_err("refused").to_string();
    assert!(error.contains("aws:kinesis") && error.contains("DynamoDB Streams"), "{error}");
}

#[tokio::test]
async fn the_real_binary_decides_by_the_item_and_names_a_missing_setting() {
    let table = new_table().await;
    put(&table, OLDER).await;
    let index = Index::new("binary");
    let mut environment = index.settings();
    for (name, value) in [
        ("AWS_ENDPOINT_URL_DYNAMODB", services().dynamodb_endpoint()),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", CREDENTIALS.0),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIALS.1),
        ("TABLE_NAME", &table),
    ] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let args = |environment, timeout| ReplayArgs {
        files: vec![folder.join("kinesis-same-microsecond.json")],
        function: "replicate-kinesis".to_owned(),
        source: FunctionArgs { environment, ..FunctionArgs::default() },
        timeout,
        log: None,
    };
    let without_table = replay(&args(environment.clone(), 3), |_| ()).await.expect("replayed");
    assert!(without_table[0].to_string().contains("TABLE_ARN is not set"), "{}", without_table[0]);
    environment.push(("TABLE_ARN".to_owned(), TABLE_ARN.to_owned()));
    let replayed = replay(&args(environment, 30), |_| ()).await.expect("replayed");
    assert!(replayed[0].is_success(), "{}", replayed[0]);
    let visible = index.visible().await;
    assert!(only(&visible).contains(OLDER), "{visible:?}");
}
