//! Guarantees of the handler, on the target in memory with scripted faults.

use std::convert::Infallible;

use lambda_runtime::Diagnostic;

use super::*;
use crate::change::ChangeKind;
use crate::dead_letter::DeadLetterMessage;
use crate::function::Settings;
use crate::function::replicate::DynamoDbStreams;
use crate::memory::{Fault, MemoryTarget};
use crate::queue::memory::{MemoryQueue, SendFault};
use crate::testing::{EVENT_SECOND, RecordBuilder};
use crate::version::Generation;

fn insert(key: &str, sequence: u64) -> Box<RawValue> {
    RecordBuilder::insert(key, sequence).raw()
}

fn modify(key: &str, sequence: u64) -> Box<RawValue> {
    RecordBuilder::modify(key, sequence).raw()
}

struct Process {
    target: MemoryTarget,
    writer: Writer<MemoryTarget>,
    queue: Option<MemoryQueue>,
}

impl Process {
    fn new() -> Self {
        let target = MemoryTarget::default();
        Self { writer: Writer::new(target.clone(), Generation::default()), target, queue: Some(MemoryQueue::default()) }
    }

    async fn invoke(&self, records: &[Box<RawValue>]) -> (Result<Vec<String>, FunctionError>, serde_json::Value) {
        let mut metrics = Metrics::new(records.len());
        let read_options = ReadOptions::default();
        let queue = self.queue.as_ref();
        let sender = Sender { index: "i", function_version: "1" };
        let function = Function {
            source: RecordSource::DynamoDbStreams,
            read_options: &read_options,
            writer: Some(&self.writer),
            items: None::<&Infallible>,
            queue,
            sender,
        };
        let deadlines = Deadlines::before(Instant::now() + Duration::from_millis(10_400), Duration::from_millis(400));
        let result = function.handle(records, deadlines, &mut metrics).await;
        (result, serde_json::from_slice(&metrics.line("i")).expect("JSON"))
    }

    /// Returns class and event id of each dead letter in the queue.
    fn dead_letters(&self) -> Vec<(String, Option<String>)> {
        let dead_letter = |body: &String| match DeadLetterMessage::read(body).expect("a letter") {
            DeadLetterMessage::Record(dead_letter) => (dead_letter.rejected.class, dead_letter.event_id),
            DeadLetterMessage::Range(range) => panic!("{range:?}"),
        };
        self.queue.iter().flat_map(MemoryQueue::bodies).map(|body| dead_letter(&body)).collect()
    }
}

fn dead_letter(class: &str, event_id: &str) -> (String, Option<String>) {
    (class.to_owned(), Some(event_id.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_applied_and_counted() {
    let function = Process::new();
    let batch = [insert("a", 1), modify("a", 2), insert("b", 3), insert("b", 3)];
    let (failures, line) = function.invoke(&batch).await;
    assert_eq!(failures.expect("handled"), [""; 0]);
    assert_eq!(
        ["Records", "Applied", "Superseded", "Duplicate", "Failed"].map(|name| line[name].as_u64()),
        [Some(4), Some(2), Some(1), Some(1), Some(0)]
    );
    assert_eq!(function.target.visible().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_malformed_record_becomes_a_dead_letter_alone() {
    let function = Process::new();
    let malformed = RecordBuilder::insert("b", 2).new_image(r#"{"n":{"N":7}}"#).raw();
    let (failures, line) = function.invoke(&[insert("a", 1), malformed.clone(), insert("c", 3)]).await;
    assert_eq!(failures.expect("handled"), [""; 0]);
    assert_eq!((line["Applied"].as_u64(), line["Rejected"].as_u64()), (Some(2), Some(1)));
    assert_eq!(function.target.visible().keys().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(function.dead_letters(), [dead_letter("malformed_record", "e2")]);
    let body = &function.queue.as_ref().expect("a queue").bodies()[0];
    let DeadLetterMessage::Record(dead_letter) = DeadLetterMessage::read(body).expect("a letter") else {
        panic!("{body}")
    };
    assert_eq!(dead_letter.record.get(), malformed.get());
    assert!(dead_letter.rejected.reason.starts_with("dynamodb.NewImage.n"), "{}", dead_letter.rejected.reason);
    assert_eq!(dead_letter.table.as_deref(), Some("T"));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_change_becomes_a_dead_letter_with_the_reason_of_the_engine() {
    let function = Process::new();
    function.target.refuse(br#"{"n":2}"#, 400);
    let (failures, line) = function.invoke(&[insert("a", 1), insert("b", 2), insert("c", 3)]).await;
    assert_eq!(failures.expect("handled"), [""; 0]);
    assert_eq!(["Rejected", "Failed"].map(|name| line[name].as_u64()), [Some(1), Some(0)]);
    assert_eq!(function.dead_letters(), [dead_letter("scripted", "e2")]);
}

#[tokio::test(start_paused = true)]
async fn an_order_anomaly_becomes_a_dead_letter_and_is_not_thrown_away() {
    let function = Process::new();
    let batch = |key| {
        let later = RecordBuilder::modify(key, 4).event_second(EVENT_SECOND + 3);
        [RecordBuilder::insert(key, 5).raw(), later.raw()]
    };
    for record in batch("a") {
        assert_eq!(function.invoke(&[record]).await.0.expect("handled"), [""; 0]);
    }
    assert_eq!(function.dead_letters(), [dead_letter("order_anomaly", "e4")]);
    assert_eq!(function.target.visible()["a"], r#"{"n":5}"#, "only the item itself can tell which is right");
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_rejected_record_is_a_failed_record() {
    let function = Process { queue: None, ..Process::new() };
    function.target.refuse(br#"{"n":2}"#, 400);
    let (failures, line) = function.invoke(&[insert("a", 1), insert("b", 2), insert("c", 3)]).await;
    assert_eq!(failures.expect("handled"), ["2"]);
    assert_eq!(["Rejected", "Failed"].map(|name| line[name].as_u64()), [Some(0), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_sent_makes_its_record_a_failure() {
    let function = Process::new();
    function.target.refuse(br#"{"n":2}"#, 400);
    function.queue.as_ref().expect("a queue").fail_sends(std::iter::repeat_n(SendFault::Refused, 100));
    let batch = [insert("a", 1), insert("b", 2), insert("c", 3)];
    assert_eq!(function.invoke(&batch).await.0.expect("handled"), ["2"]);
    assert_eq!(function.dead_letters(), []);
    // Delivered again after the queue's recovery, the record becomes a dead letter.
    function.queue.as_ref().expect("a queue").mend();
    assert_eq!(function.invoke(&batch[1..]).await.0.expect("handled"), [""; 0]);
    assert_eq!(function.dead_letters(), [dead_letter("scripted", "e2")]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_the_queue_refuses_for_good_is_not_sent_again() {
    let function = Process::new();
    function.target.refuse(br#"{"n":2}"#, 400);
    let queue = function.queue.as_ref().expect("a queue");
    queue.fail_sends(std::iter::repeat_n(SendFault::MessageRefused, 100));
    let started = Instant::now();
    assert_eq!(function.invoke(&[insert("a", 1), insert("b", 2), insert("c", 3)]).await.0.expect("handled"), ["2"]);
    assert_eq!((queue.sends(), started.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_of_the_queue_is_waited_out() {
    let function = Process::new();
    function.target.refuse(br#"{"n":2}"#, 400);
    function.queue.as_ref().expect("a queue").fail_sends([SendFault::Refused; 5]);
    assert_eq!(function.invoke(&[insert("b", 2)]).await.0.expect("handled"), [""; 0]);
    assert_eq!(function.dead_letters(), [dead_letter("scripted", "e2")]);
    // The message is stored and its answer lost, so it is sent again. Two dead letters are better than none.
    function.queue.as_ref().expect("a queue").fail_sends([SendFault::AnswerLost]);
    assert_eq!(function.invoke(&[insert("b", 2)]).await.0.expect("handled"), [""; 0]);
    assert_eq!(function.dead_letters().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_record_behind_a_failed_one_gets_its_dead_letter_when_it_is_delivered_again() {
    let function = Process::new();
    for (document, status) in [(&br#"{"n":1}"#[..], 400), (br#"{"n":2}"#, 503), (br#"{"n":3}"#, 400)] {
        function.target.refuse(document, status);
    }
    let batch = [insert("a", 1), insert("b", 2), insert("c", 3)];
    let (failures, line) = function.invoke(&batch).await;
    assert_eq!(failures.expect("handled"), ["2", "3"]);
    assert_eq!(["Rejected", "Failed"].map(|name| line[name].as_u64()), [Some(1), Some(2)]);
    assert_eq!(function.dead_letters(), [dead_letter("scripted", "e1")]);
    function.target.accept(br#"{"n":2}"#);
    assert_eq!(function.invoke(&batch[1..]).await.0.expect("handled"), [""; 0]);
    assert_eq!(function.dead_letters(), [dead_letter("scripted", "e1"), dead_letter("scripted", "e3")]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_too_large_for_the_queue_is_left_to_lambda() {
    let function = Process::new();
    // Random digits do not compress to less than 42 %.
    let digits: String =
        std::iter::successors(Some(1_u64), |n| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)))
            .take(200_000)
            .map(|n| format!("{:016x}", n))
            .collect();
    let large = RecordBuilder::insert("b", 2).new_image(format!(r#"{{"n":{{"N":"x"}},"s":{{"S":"{digits}"}}}}"#)).raw();
    assert_eq!(function.invoke(&[insert("a", 1), large]).await.0.expect("handled"), ["2"]);
    assert_eq!(function.dead_letters(), []);
}

#[tokio::test(start_paused = true)]
async fn an_outage_fails_every_record_before_the_deadline_and_none_is_reported_as_done() {
    for fault in [Fault::Unreachable, Fault::Status(429), Fault::Status(503), Fault::Hang] {
        let function = Process::new();
        function.target.fail_writes(std::iter::repeat_n(fault, 1_000));
        let (failures, line) = function.invoke(&[insert("b", 9), insert("a", 10)]).await;
        assert_eq!(failures.expect("handled"), ["9", "10"]);
        assert_eq!((line["Applied"].as_u64(), line["Failed"].as_u64()), (Some(0), Some(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_new_images_fails_the_invocation_and_writes_nothing() {
    let function = Process::new();
    let keys_only = RecordBuilder::new(ChangeKind::Insert, "b", 2).json().replace("NEW_IMAGE", "KEYS_ONLY");
    let (failures, _) = function.invoke(&[insert("a", 1), RawValue::from_string(keys_only).expect("JSON")]).await;
    let error = failures.expect_err("a configuration error");
    assert_eq!(error.kind(), "Configuration");
    assert!(error.to_string().contains("StreamViewType"), "{error}");
    assert_eq!(function.target.documents().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_record_that_cannot_be_named_becomes_a_dead_letter_or_fails_the_invocation() {
    let nameless = [RawValue::from_string("{}".to_owned()).expect("JSON")];
    let function = Process::new();
    assert_eq!(function.invoke(&nameless).await.0.expect("handled"), [""; 0]);
    assert_eq!(function.dead_letters(), [("malformed_record".to_owned(), None)]);
    let function = Process { queue: None, ..Process::new() };
    assert_eq!(function.invoke(&nameless).await.0.expect_err("not to be named").kind(), "MalformedRecord");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_configuration_is_the_answer_of_every_invocation_when_its_time_is_over() {
    let context = Context::new(Settings::from_env(&|_| None));
    let event = StreamEvent { records: vec![insert("a", 1)] };
    let mut lambda = lambda_runtime::Context::default();
    lambda.deadline = crate::function::clock::now().as_millis() + 300_000;
    let started = Instant::now();
    let error = invoke(&context, &Outbox::default(), &DynamoDbStreams, LambdaEvent::new(event, lambda))
        .await
        .expect_err("wrong");
    // Four immediate attempts would drain a stream into the dead-letter queue.
    assert!((290..300).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    let diagnostic = Diagnostic::from(error);
    assert_eq!(diagnostic.error_type, "Configuration");
    assert!(diagnostic.error_message.contains("OPENSEARCH_ENDPOINT is not set"), "{}", diagnostic.error_message);
}
