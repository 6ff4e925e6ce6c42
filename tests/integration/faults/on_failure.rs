//! Messages on the real queue about records that the event source mapping gives up, in AWS's shape.
//!
//! They name exactly these records. An outage that is shorter than attempts × time-out leaves no message.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use driftless::queue::sqs::SqsQueue;
use driftless_harness::activity::{ActivityItems, PARTITION_KEY, create_table};
use driftless_harness::function::{
    BuildProfile, FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, build_function,
};
use driftless_harness::load::ItemMaker as _;
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping, MappingConfig, OnFailure, RetryBackoff};
use driftless_harness::proxy::{Proxy, ProxyFault};
use driftless_harness::services::{DynamoDbKind, Services, WantedServices};
use driftless_harness::services::{dynamodb_client, shared, sqs_client, streams_client};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{LIMIT, binary, eventually, proxy, settings};
use crate::support::{Index, unique};

/// Attempts as in the template: the first and three more.
const ATTEMPTS: u32 = 4;

pub(super) fn services() -> &'static Services {
    shared(WantedServices { dynamodb: DynamoDbKind::Embedded, ..WantedServices::default() })
}

/// The template's settings; the back-off is short, so that it does not help.
pub(super) fn template(batch_size: usize) -> MappingConfig {
    MappingConfig {
        batch_size,
        maximum_retry_attempts: Some(ATTEMPTS - 1),
        maximum_record_age: Some(Duration::from_secs(43_200)),
        bisect_batch_on_function_error: true,
        report_batch_item_failures: true,
        retry_backoff: RetryBackoff { initial: Duration::from_millis(10), maximum: Duration::from_millis(10) },
        ..MappingConfig::default()
    }
}

/// A queue of its own on the real SQS.
pub(super) struct TestQueue {
    client: aws_sdk_sqs::Client,
    pub(super) url: String,
}

impl TestQueue {
    pub(super) async fn new(name: &str) -> Self {
        let client = sqs_client(services().sqs_endpoint().expect("queues are wanted"));
        let created = client.create_queue().queue_name(unique(name)).send().await.expect("created");
        Self { client, url: created.queue_url.expect("a URL") }
    }

    /// Sends a message with this body.
    pub(super) async fn put(&self, body: &Value) {
        self.client.send_message().queue_url(&self.url).message_body(body.to_string()).send().await.expect("sent");
    }

    /// All messages, which stay.
    pub(super) async fn messages(&self) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
            let received = receive.message_attribute_names("All").visibility_timeout(60).send().await;
            let messages = received.expect("received").messages.unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            all.extend(messages);
        }
        for message in &all {
            let receipt = message.receipt_handle().expect("a receipt");
            let back = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
            back.visibility_timeout(0).send().await.expect("given back");
        }
        all
    }

    pub(super) fn on_failure(&self) -> SqsQueue {
        SqsQueue::with_client(self.client.clone(), &self.url)
    }
}

/// A message's body as JSON.
pub(super) fn body(message: &Message) -> Value {
    serde_json::from_str(message.body().expect("a body")).expect("JSON")
}

/// A table with its stream, the real binary behind the event source mapping, an index and a queue.
pub(super) struct MappedStage {
    pub(super) tables: aws_sdk_dynamodb::Client,
    pub(super) table: String,
    pub(super) index: Index,
    pub(super) queue: TestQueue,
    pub(super) mapping: EventSourceMapping,
}

impl MappedStage {
    pub(super) async fn set_up(index: Index, config: MappingConfig, function: FunctionConfig) -> Self {
        Self::set_up_to(None, index, config, function).await
    }

    /// With this destination for what is given up, instead of the queue.
    pub(super) async fn set_up_to(
        destination: Option<Arc<dyn OnFailure>>,
        index: Index,
        config: MappingConfig,
        function: FunctionConfig,
    ) -> Self {
        let tables = dynamodb_client(services().dynamodb_endpoint());
        let table = unique("faults");
        create_table(&tables, &table).await.expect("a table");
        let queue = TestQueue::new("dead-letters").await;
        let streams = streams_client(services().dynamodb_endpoint());
        let stream = DynamoDbStream::of_table(&tables, streams, &table).await.expect("a stream");
        let function = Arc::new(function.env("PARTITION_KEY", PARTITION_KEY));
        let on_failure = destination.unwrap_or_else(|| Arc::new(queue.on_failure()));
        let mapping = EventSourceMapping::start(config, Arc::new(stream), function, Some(on_failure));
        let mapping = mapping.await.expect("the function starts");
        Self { tables, table, index, queue, mapping }
    }

    /// Puts the items with these numbers.
    pub(super) async fn put(&self, keys: std::ops::Range<u64>, revision: u64) {
        let mut rng = StdRng::seed_from_u64(revision);
        for key in keys {
            let item = ActivityItems::default().item(key, &mut rng, revision);
            self.tables.put_item().table_name(&self.table).set_item(Some(item)).send().await.expect("put");
        }
    }

    pub(super) async fn drained(&self) {
        self.mapping.wait_until_drained(LIMIT).await.expect("drained");
    }

    /// Number of ids that differ between table and index.
    pub(super) async fn differences(&self) -> u64 {
        let engine = self.index.client();
        let (table, index) = (&self.table, &self.index.name);
        let compared =
            driftless_harness::compare::compare(&self.tables, table, engine, index, Some(PARTITION_KEY)).await;
        let compared = compared.expect("compared");
        assert!(compared.items > 0);
        compared.differences()
    }
}

/// The function with little time, so that attempts × time-out is a matter of seconds.
pub(super) fn hasty(index: &Index, proxy: &Proxy, timeout: Duration) -> FunctionConfig {
    let mut function = binary(settings(index, proxy, 1_000));
    function.timeout = timeout;
    function
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_all_attempts_leaves_exactly_what_was_given_up_in_the_queue() {
    let (timeout, proxy) = (Duration::from_secs(2), proxy().await);
    let index = Index::new("given-up");
    let function = hasty(&index, &proxy, timeout);
    let stage = MappedStage::set_up(index, template(5), function).await;
    stage.put(0..3, 1).await;
    stage.drained().await;
    assert_eq!(stage.differences().await, 0);
    proxy.refuse().await;
    stage.put(3..15, 1).await;
    let stats = || stage.mapping.stats();
    eventually("something was given up", async || stats().dead_letters > 0).await;
    let given_up = stats().dead_lettered_records;
    proxy.accept().await.expect("listens");
    stage.drained().await;
    assert!(given_up >= 1 && stats().dead_lettered_records < 12, "the rest was delivered: {:?}", stats());
    let messages: Vec<Value> = stage.queue.messages().await.iter().map(body).collect();
    let mut missing = 0;
    for message in &messages {
        missing += check(message, &stage.table);
    }
    assert_eq!((messages.len() as u64, missing), (stats().dead_letters, stats().dead_lettered_records));
    assert_eq!(stage.differences().await, missing, "an item is missing for each record that was given up");
    assert_eq!(stats().records_lost, 0);
    let report = redrive(&stage.queue, settings(&stage.index, &proxy, 3_000)).await;
    assert_eq!(report["changes"]["applied"], json!(missing), "{report}");
    assert_eq!((&report["letters"]["kept"], &report["left"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(stage.differences().await, 0, "after one redrive");
    assert_eq!(stage.queue.messages().await.len(), 0);
    stage.mapping.shutdown().await;
}

/// One invocation of the real redrive function with these settings, for a table of activities; its answer.
pub(super) async fn redrive(queue: &TestQueue, mut settings: Vec<(String, String)>) -> Value {
    settings.push(("PARTITION_KEY".to_owned(), PARTITION_KEY.to_owned()));
    redrive_as(queue, settings, json!({})).await
}

/// One invocation of the real redrive function with these settings and this request; its answer.
pub(super) async fn redrive_as(queue: &TestQueue, settings: Vec<(String, String)>, request: Value) -> Value {
    let binary = build_function("redrive", BuildProfile::Debug).expect("the function builds");
    let mut function = FunctionConfig::new("redrive", binary);
    for (name, value) in services().environment() {
        function = function.env(name, value);
    }
    for (name, value) in settings {
        function = function.env(name, value);
    }
    let mut process = FunctionProcess::new(function.env("DEAD_LETTER_QUEUE_URL", &queue.url));
    match process.invoke(request.to_string().into(), None).await.expect("invoked").outcome {
        InvocationOutcome::Response(body) => serde_json::from_slice(&body).expect("JSON"),
        outcome => panic!("{outcome}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_configuration_is_waited_out_and_drains_nothing_into_the_queue() {
    let proxy = proxy().await;
    let index = Index::new("misconfigured");
    let function = hasty(&index, &proxy, Duration::from_secs(2));
    let stage = MappedStage::set_up(index, template(5), function).await;
    stage.put(0..3, 1).await;
    stage.drained().await;
    // The role has lost its permission to write, for longer than two attempts.
    proxy.on("/_bulk", ProxyFault::Answer(403));
    stage.put(1..9, 2).await;
    eventually("two attempts have failed", async || stage.mapping.stats().function_errors >= 2).await;
    proxy.pass();
    stage.put(7..12, 3).await;
    stage.drained().await;
    assert_eq!(stage.differences().await, 0);
    assert_eq!(stage.queue.messages().await.len(), 0);
    let stats = stage.mapping.shutdown().await;
    assert_eq!((stats.dead_letters, stats.records_lost), (0, 0), "{stats:?}");
}

/// Checks a message of Lambda's shape. Returns the number of records that it names.
fn check(message: &Value, table: &str) -> u64 {
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let is = |value: &Value, names: &[&str]| assert_eq!(keys(value), names.iter().map(|name| (*name).into()).collect());
    is(message, &["requestContext", "responseContext", "version", "timestamp", "DDBStreamBatchInfo"]);
    let context = &message["requestContext"];
    is(context, &["requestId", "functionArn", "condition", "approximateInvokeCount"]);
    assert_eq!(context["condition"], "RetryAttemptsExhausted");
    assert!(context["approximateInvokeCount"].as_u64() >= Some(u64::from(ATTEMPTS)), "{message}");
    let batch = &message["DDBStreamBatchInfo"];
    let names = [
        "shardId",
        "startSequenceNumber",
        "endSequenceNumber",
        "approximateArrivalOfFirstRecord",
        "approximateArrivalOfLastRecord",
        "batchSize",
        "streamArn",
    ];
    is(batch, &names);
    assert!(batch["streamArn"].as_str().is_some_and(|arn| arn.contains(&format!("table/{table}/stream/"))), "{batch}");
    let number = |name: &str| batch[name].as_str().and_then(|number| number.parse::<u128>().ok()).expect("a number");
    assert!(number("startSequenceNumber") <= number("endSequenceNumber"));
    batch["batchSize"].as_u64().expect("a size")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_shorter_than_attempts_times_timeout_leaves_no_dead_letter() {
    let (timeout, proxy) = (Duration::from_secs(2), proxy().await);
    let index = Index::new("waited");
    let function = hasty(&index, &proxy, timeout);
    let stage = MappedStage::set_up(index, template(5), function).await;
    stage.put(0..3, 1).await;
    stage.drained().await;
    for silent in [false, true] {
        // It ends after two attempts have failed, in the third.
        let failed = stage.mapping.stats().retries + 2;
        if silent {
            proxy.every(ProxyFault::Swallow)
        } else {
            proxy.refuse().await
        };
        stage.put(0..10, 2 + u64::from(silent)).await;
        eventually("two attempts have failed", async || stage.mapping.stats().retries >= failed).await;
        proxy.pass();
        proxy.accept().await.expect("listens");
        stage.drained().await;
        assert_eq!(stage.differences().await, 0);
    }
    assert_eq!(stage.queue.messages().await.len(), 0);
    let stats = stage.mapping.shutdown().await;
    assert_eq!((stats.dead_letters, stats.records_lost), (0, 0), "{stats:?}");
}
