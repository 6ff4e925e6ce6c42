//! The handler's guarantees, on the target in memory with scripted faults.

use driftless::memory::{Fault, MemoryTarget};
use lambda_runtime::Diagnostic;

use super::*;

const ARN: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/activity-history/stream/2026-01-15T09:30:00.000";

fn record(name: &str, key: &str, sequence: u32, image: &str) -> Box<RawValue> {
    let image = if image.is_empty() { String::new() } else { format!(r#""NewImage":{image},"#) };
    let json = format!(
        r#"{{"eventID":"e{sequence}","eventName":"{name}","eventSource":"aws:dynamodb","eventSourceARN":"{ARN}","dynamodb":{{
            "ApproximateCreationDateTime":1768469467,"Keys":{{"pk":{{"S":"{key}"}}}},{image}"SequenceNumber":"{sequence}","StreamViewType":"NEW_IMAGE"}}}}"#
    );
    RawValue::from_string(json).expect("JSON")
}

fn insert(key: &str, sequence: u32) -> Box<RawValue> {
    record("INSERT", key, sequence, &format!(r#"{{"n":{{"N":"{sequence}"}}}}"#))
}

struct Function {
    target: MemoryTarget,
    writer: Writer<MemoryTarget>,
}

impl Function {
    fn new() -> Self {
        let target = MemoryTarget::default();
        Self { writer: Writer::new(target.clone()), target }
    }

    async fn invoke(&self, records: &[Box<RawValue>]) -> (Result<Vec<String>, HandlerError>, serde_json::Value) {
        let mut metrics = Metrics::new(records.len());
        let deadline = Instant::now() + Duration::from_secs(10);
        let result = handle(records, &Reading::default(), &self.writer, deadline, &mut metrics).await;
        let failures = result.map(|response| {
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier.expect("a number")).collect()
        });
        (failures, serde_json::from_slice(&metrics.line("i")).expect("JSON"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_applied_and_counted() {
    let function = Function::new();
    let batch = [insert("a", 1), record("MODIFY", "a", 2, r#"{"n":{"N":"2"}}"#), insert("b", 3), insert("b", 3)];
    let (failures, line) = function.invoke(&batch).await;
    assert_eq!(failures.expect("handled"), [""; 0]);
    assert_eq!(
        ["Records", "Applied", "Superseded", "Duplicate", "Failed"].map(|name| line[name].as_u64()),
        [Some(4), Some(2), Some(1), Some(1), Some(0)]
    );
    assert_eq!(function.target.visible().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_malformed_record_fails_alone() {
    let function = Function::new();
    let malformed = record("INSERT", "b", 2, r#"{"n":{"N":7}}"#);
    let (failures, line) = function.invoke(&[insert("a", 1), malformed, insert("c", 3)]).await;
    assert_eq!(failures.expect("handled"), ["2"]);
    assert_eq!((line["Applied"].as_u64(), line["Rejected"].as_u64()), (Some(2), Some(1)));
    assert_eq!(function.target.visible().keys().collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_rejected_record_is_a_failed_record() {
    let function = Function::new();
    function.target.refuse(br#"{"n":2}"#, 400);
    let (failures, _) = function.invoke(&[insert("a", 1), insert("b", 2), insert("c", 3)]).await;
    assert_eq!(failures.expect("handled"), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_fails_every_record_before_the_deadline_and_none_is_reported_as_done() {
    for fault in [Fault::Unreachable, Fault::Status(429), Fault::Status(503), Fault::Hang] {
        let function = Function::new();
        function.target.fail_writes(std::iter::repeat_n(fault, 1_000));
        let (failures, line) = function.invoke(&[insert("b", 9), insert("a", 10)]).await;
        assert_eq!(failures.expect("handled"), ["9", "10"]);
        assert_eq!((line["Applied"].as_u64(), line["Failed"].as_u64()), (Some(0), Some(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_new_images_fails_the_invocation_and_writes_nothing() {
    let function = Function::new();
    let keys_only = record("INSERT", "b", 2, "").get().replace("NEW_IMAGE", "KEYS_ONLY");
    let (failures, _) = function.invoke(&[insert("a", 1), RawValue::from_string(keys_only).expect("JSON")]).await;
    let error = failures.expect_err("a configuration error");
    assert_eq!(error.kind(), "Configuration");
    assert!(error.to_string().contains("StreamViewType"), "{error}");
    assert_eq!(function.target.documents().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_record_that_cannot_be_named_fails_the_invocation() {
    let function = Function::new();
    let (failures, _) = function.invoke(&[RawValue::from_string("{}".to_owned()).expect("JSON")]).await;
    assert_eq!(failures.expect_err("not to be named").kind(), "MalformedRecord");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_configuration_is_the_answer_of_every_invocation() {
    let context = Context::new(crate::config::ReplicateConfig::from_env(&|_| None));
    let event = StreamEvent { records: vec![insert("a", 1)] };
    let error = invoke(&context, LambdaEvent::new(event, lambda_runtime::Context::default())).await.expect_err("wrong");
    let diagnostic = Diagnostic::from(error);
    assert_eq!(diagnostic.error_type, "Configuration");
    assert!(diagnostic.error_message.contains("OPENSEARCH_ENDPOINT is not set"), "{}", diagnostic.error_message);
}

#[test]
fn the_time_left_is_read_from_lambda_and_from_cargo_lambda() {
    let in_ten_seconds = now().as_millis() + 10_000;
    assert!((9_000..=10_000).contains(&time_left(in_ten_seconds).as_millis()));
    assert_eq!(time_left(now().as_millis() - 1), Duration::ZERO);
    assert_eq!(time_left(600_000), Duration::from_secs(600));
}
