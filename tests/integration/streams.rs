//! The way from a table's write to the index: a real stream, and the real binary behind the event source mapping, with
//! faults.
//!
//! It runs on the embedded DynamoDB and on AWS's own DynamoDB Local.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use driftless_harness::activity::{ActivityItems, PARTITION_KEY, create_table};
use driftless_harness::compare::compare;
use driftless_harness::function::{BuildProfile, FunctionConfig, build_function};
use driftless_harness::load::{self, Load, Meter};
use driftless_harness::mapping::{
    DynamoDbStream, EventSourceMapping, MappingConfig, MappingFaults, MemoryMessages, RetryBackoff,
};
use driftless_harness::services::{DynamoDbKind, WantedServices, dynamodb_client, shared, streams_client};
use opensearch::OpenSearch;
use opensearch::http::transport::Transport;

use crate::support::{HELD, Index, engine_url, unique};

/// Built once for all tests.
pub(crate) static BINARY: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("replicate", BuildProfile::Debug).expect("the function builds"));

pub(crate) static REDRIVE: LazyLock<PathBuf> =
    LazyLock::new(|| build_function("redrive", BuildProfile::Debug).expect("the function builds"));

const DRAIN: Duration = Duration::from_secs(120);

/// The real binary, writing to `index`.
pub(crate) fn function(index: &Index) -> FunctionConfig {
    let function = FunctionConfig::new("replicate", BINARY.clone());
    index
        .settings()
        .into_iter()
        .fold(function.env("PARTITION_KEY", PARTITION_KEY), |function, (name, value)| function.env(name, value))
}

/// The template's settings, with small batches, lanes, and every fault there is.
pub(crate) fn troubled() -> MappingConfig {
    MappingConfig {
        batch_size: 3,
        parallelization_factor: 2,
        maximum_retry_attempts: Some(3),
        bisect_batch_on_function_error: true,
        report_batch_item_failures: true,
        retry_backoff: RetryBackoff { initial: Duration::from_millis(20), maximum: Duration::from_secs(1) },
        faults: MappingFaults {
            redeliver_every: NonZeroU64::new(5),
            redelivered_batches: 4,
            kill_during_every: NonZeroU64::new(23),
            kill_after: Duration::from_millis(1),
            lose_answer_every: NonZeroU64::new(31),
        },
        ..MappingConfig::default()
    }
}

async fn a_troubled_stream_converges(dynamodb: DynamoDbKind) {
    let services = shared(WantedServices { dynamodb, sqs: false, ..WantedServices::default() });
    let tables = dynamodb_client(services.dynamodb_endpoint());
    let table = unique("activity");
    create_table(&tables, &table).await.expect("a table");
    let index = Index::new("stream");
    let stream = DynamoDbStream::of_table(&tables, streams_client(services.dynamodb_endpoint()), &table).await;
    let messages = Arc::new(MemoryMessages::default());
    let mapping = EventSourceMapping::start(
        troubled(),
        Arc::new(stream.expect("a stream")),
        Arc::new(function(&index)),
        Some(Arc::clone(&messages) as _),
    );
    let mapping = mapping.await.expect("the function starts");
    let load = Load { rate: 60.0, seconds: 5.0, keys: 60, ..Load::default() };
    let written =
        load::run(&load, &tables, &table, Arc::new(ActivityItems::default()), Arc::new(Meter::default())).await;
    let written = written.expect("written");
    assert_eq!((written.failed, written.changes() > 200), (0, true), "{written:?}");
    mapping.wait_until_drained(DRAIN).await.expect("drained");
    let stats = mapping.shutdown().await;
    assert!(stats.redelivered_batches > 0 && stats.faults > 0, "{stats:?}");
    assert_eq!((stats.records_read, stats.records_lost), (written.changes(), 0), "{stats:?}");
    assert_eq!(messages.messages().len(), 0, "{:?}", messages.messages());
    let engine = OpenSearch::new(Transport::single_node(engine_url()).expect("a URL"));
    let comparison = compare(&tables, &table, &engine, &index.name, Some(PARTITION_KEY)).await.expect("compared");
    assert_eq!(comparison.differences(), 0, "{}", comparison.describe());
    assert!(comparison.items > 0 && comparison.items == comparison.documents, "{comparison:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_troubled_stream_of_the_embedded_dynamodb_converges() {
    a_troubled_stream_converges(DynamoDbKind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_troubled_stream_of_dynamodb_local_converges() {
    a_troubled_stream_converges(DynamoDbKind::DynamoDbLocal).await;
}

#[tokio::test]
async fn a_wrong_configuration_is_what_every_invocation_answers() {
    use driftless_harness::function::{FunctionProcess, InvocationOutcome, Invoke};
    let mut config =
        FunctionConfig::new("replicate", BINARY.clone()).env("OPENSEARCH_AUTH", "iam").env("GENERATION", "x");
    config.timeout = HELD;
    let mut process = FunctionProcess::new(config);
    for _ in 0..2 {
        let invocation = process.invoke(r#"{"Records":[]}"#.into(), None).await.expect("invoked");
        let InvocationOutcome::FunctionError { kind, message } = invocation.outcome else {
            panic!("{:?}", invocation.outcome)
        };
        assert_eq!(kind, "Configuration");
        for variable in
            ["OPENSEARCH_ENDPOINT is not set", "INDEX is not set", "OPENSEARCH_AUTH must be", "GENERATION must be"]
        {
            assert!(message.contains(variable), "{variable}: {message}");
        }
    }
    process.kill().await;
}
