//! Batches that the event source mapping puts into an S3 bucket, in AWS's shape: a redrive needs nothing but them.
//!
//! The bucket is `s3s-fs`, a real S3 API on a folder, in this process. It checks the signature of each request.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use driftless_harness::activity::PARTITION_KEY;
use driftless_harness::function::{FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, ProcessFault};
use driftless_harness::mapping::{FailureMessage, FailureObject, OnFailure};
use driftless_harness::proxy::{Proxy, ProxyFault};
use driftless_harness::services::{CREDENTIALS, sdk_config};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::on_failure::{MappedStage, TestQueue, hasty, services, template};
use super::{eventually, proxy};
use crate::streams::REDRIVE;
use crate::support::{Index, insert, modify, with_image};

const BUCKET: &str = "on-failure";
/// UUID of the mapping.
const MAPPING: &str = "5a1c6b0e-3f2d-4b7a-9c8e-0d1f2a3b4c5d";

/// An S3 with one bucket.
struct TestBucket {
    endpoint: String,
    client: aws_sdk_s3::Client,
    folder: TempDir,
}

impl TestBucket {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut service = S3ServiceBuilder::new(FileSystem::new(folder.path()).expect("a folder"));
        service.set_auth(SimpleAuth::from_single(CREDENTIALS.0, CREDENTIALS.1));
        let service = service.build();
        let router = Router::new().fallback(move |request: Request| answer(service.clone(), request));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        // Until the test's runtime ends.
        tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        let client = aws_sdk_s3::Client::new(&sdk_config(&endpoint));
        client.create_bucket().bucket(BUCKET).send().await.expect("created");
        Self { endpoint, client, folder }
    }

    /// Puts the batch of these records, as Lambda does, as the `nth` one of its shard.
    async fn put(&self, nth: u64, records: &[String]) -> String {
        let key = format!("aws/lambda/{MAPPING}/shardId-1/2026/01/15/2026-01-15T09.51.38-{nth:04}");
        self.client.put_object().bucket(BUCKET).key(&key).body(object(records).into()).send().await.expect("put");
        key
    }

    async fn keys(&self) -> Vec<String> {
        let listed = self.client.list_objects_v2().bucket(BUCKET).send().await.expect("listed");
        listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()
    }

    /// The function with this bucket at `endpoint`, and without a way to any stream or table.
    fn redrive(&self, index: &Index, queue: &TestQueue, endpoint: &str) -> FunctionConfig {
        let sqs = services().sqs_endpoint().expect("queues are wanted");
        let function = FunctionConfig::new("redrive", REDRIVE.clone()).env("ON_FAILURE_BUCKET", BUCKET);
        let function = function.env("AWS_ENDPOINT_URL_S3", endpoint).env("AWS_ENDPOINT_URL_SQS", sqs);
        let function = function.env("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", "http://127.0.0.1:9");
        let function = function.env("DEAD_LETTER_QUEUE_URL", &queue.url);
        index.settings().into_iter().fold(function, |function, (name, value)| function.env(name, value))
    }
}

#[async_trait]
impl OnFailure for TestBucket {
    async fn send(&self, message: &FailureMessage, event: &Bytes) -> Result<()> {
        let FailureObject { key, body } = message.object(MAPPING, event)?;
        let put = self.client.put_object().bucket(BUCKET).key(key).body(body.into_bytes().into());
        put.send().await.map(drop).context("put the object")
    }
}

async fn answer(service: S3Service, request: Request) -> Response {
    match service.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response(),
    }
}

/// Returns an invocation record of these records of the stream of `insert` and its like.
fn object(records: &[String]) -> Vec<u8> {
    let stream: Value = serde_json::from_str(&records[0]).expect("JSON");
    json!({
        "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0", "timestamp": "2026-01-15T09:51:38.017Z",
        "DDBStreamBatchInfo": {"shardId": "shardId-1", "startSequenceNumber": "1", "endSequenceNumber": "9",
                               "batchSize": records.len(), "streamArn": stream["eventSourceARN"]},
        "payload": format!(r#"{{"Records":[{}]}}"#, records.join(",")),
    })
    .to_string()
    .into_bytes()
}

/// One invocation; its answer.
async fn invoke(function: FunctionConfig, request: Value) -> Value {
    match FunctionProcess::new(function).invoke(request.to_string().into(), None).await.expect("invoked").outcome {
        InvocationOutcome::Response(body) => serde_json::from_slice(&body).expect("JSON"),
        outcome => panic!("{outcome}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_all_attempts_leaves_whole_batches_that_a_redrive_writes_without_the_stream() {
    let (proxy, bucket) = (proxy().await, Arc::new(TestBucket::new().await));
    let index = Index::new("kept-batches");
    let function = hasty(&index, &proxy, Duration::from_secs(2));
    let destination = Arc::clone(&bucket) as Arc<dyn OnFailure>;
    let stage = MappedStage::set_up_to(Some(destination), index, template(5), function).await;
    stage.put(0..3, 1).await;
    stage.drained().await;
    proxy.refuse().await;
    stage.put(3..15, 1).await;
    eventually("something was given up", async || stage.mapping.stats().dead_letters > 0).await;
    proxy.accept().await.expect("listens");
    stage.drained().await;
    let stats = stage.mapping.stats();
    assert_eq!(bucket.keys().await.len() as u64, stats.dead_letters, "{stats:?}");
    let missing = stats.dead_lettered_records;
    assert_eq!(stage.differences().await, missing, "an item is missing for each record that was given up");
    let redrive = || bucket.redrive(&stage.index, &stage.queue, &bucket.endpoint).env("PARTITION_KEY", PARTITION_KEY);
    let dry = invoke(redrive(), json!({"dry_run": true})).await;
    assert_eq!((&dry["changes"]["applied"], &dry["left"]), (&json!(missing), &json!(stats.dead_letters)), "{dry}");
    assert_eq!(stage.differences().await, missing, "a dry run writes nothing");
    let report = invoke(redrive(), json!({})).await;
    assert_eq!((&report["letters"], &report["changes"]), (&dry["letters"], &dry["changes"]));
    assert_eq!((&report["letters"]["kept"], &report["left"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(stage.differences().await, 0, "after one redrive");
    assert_eq!((bucket.keys().await.len(), stage.queue.messages().await.len()), (0, 0));
    stage.mapping.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_that_is_killed_among_batches_goes_on_where_it_was_and_loses_none() {
    let (bucket, queue) = (TestBucket::new().await, TestQueue::new("killed-batches").await);
    let index = Index::new("killed-batches");
    index.function().succeed(&[insert("k0", 1)]).await;
    let mut keys = Vec::new();
    for nth in 1..=4 {
        keys.push(bucket.put(nth, &[insert(&format!("k{nth}"), nth), modify("all", nth)]).await);
    }
    let storage = Proxy::start(&bucket.endpoint).await.expect("a proxy");
    // The second object is read, and the order to delete it is not answered: then the process is killed.
    let name = keys[1].rsplit('/').next().expect("a name");
    storage.next(name, [ProxyFault::Pass, ProxyFault::Swallow]);
    let function = bucket.redrive(&index, &queue, storage.endpoint());
    let killed = Some(ProcessFault::KillAfter(Duration::from_secs(5)));
    let killed = FunctionProcess::new(function.clone()).invoke("{}".into(), killed).await.expect("invoked");
    assert!(matches!(killed.outcome, InvocationOutcome::Exited(_)), "{}", killed.outcome);
    assert_eq!(bucket.keys().await, keys[1..], "the first is done");
    let report = invoke(function, json!({})).await;
    assert_eq!((&report["letters"]["redriven"], &report["left"]), (&json!(3), &json!(0)), "{report}");
    assert_eq!((&report["changes"]["duplicate"], &report["changes"]["applied"]), (&json!(2), &json!(4)), "{report}");
    assert_eq!(index.visible().await.len(), 6);
    assert_eq!(bucket.keys().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_record_of_a_batch_is_in_the_queue_when_its_object_is_gone() {
    let (bucket, queue) = (TestBucket::new().await, TestQueue::new("refused-batches").await);
    let index = Index::new("refused-batches");
    index.function().succeed(&[insert("first", 1)]).await;
    let poison = with_image("poison", 3, r#"{"n":{"S":"no number"}}"#);
    bucket.put(1, &[insert("good", 2), poison, insert("better", 4)]).await;
    let redrive = || bucket.redrive(&index, &queue, &bucket.endpoint);
    let report = invoke(redrive(), json!({"filter": {"shape": "batch"}})).await;
    assert_eq!((&report["changes"]["applied"], &report["changes"]["rejected"]), (&json!(2), &json!(1)), "{report}");
    assert_eq!((bucket.keys().await.len(), &report["left"]), (0, &json!(1)), "{report}");
    let report = invoke(redrive(), json!({})).await;
    assert_eq!(report["kept"][0]["field"], "n", "{report}");
    let letters = queue.messages().await;
    assert!(letters.len() == 1 && super::on_failure::body(&letters[0])["document_id"] == "poison", "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_objects_than_one_listing_holds_are_all_found() {
    let (bucket, queue) = (TestBucket::new().await, TestQueue::new("many-batches").await);
    let index = Index::new("many-batches");
    index.function().succeed(&[insert("first", 1)]).await;
    let folder: PathBuf = bucket.folder.path().join(BUCKET).join("aws/lambda").join(MAPPING).join("shardId-1");
    fs::create_dir_all(&folder).expect("created");
    for nth in 0..1_050 {
        fs::write(folder.join(format!("{nth:04}")), object(&[modify("a", 2 + nth)])).expect("written");
    }
    let request = json!({"max": 3, "filter": {"shape": "batch"}});
    let report = invoke(bucket.redrive(&index, &queue, &bucket.endpoint), request).await;
    assert_eq!((&report["letters"]["redriven"], &report["left"]), (&json!(3), &json!(1_047)), "{report}");
    assert_eq!(report["out_of_time"], json!(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_does_not_exist_fails_the_invocation_and_is_named() {
    let (bucket, queue) = (TestBucket::new().await, TestQueue::new("no-bucket").await);
    let index = Index::new("no-bucket");
    index.function().succeed(&[insert("first", 1)]).await;
    let function = bucket.redrive(&index, &queue, &bucket.endpoint).env("ON_FAILURE_BUCKET", "another");
    let ended = FunctionProcess::new(function).invoke("{}".into(), None).await.expect("invoked").outcome;
    let InvocationOutcome::FunctionError { kind, message } = ended else { panic!("{ended}") };
    assert_eq!(kind, "Unavailable");
    assert!(message.contains("NoSuchBucket") && message.contains("ON_FAILURE_BUCKET"), "{message}");
}
