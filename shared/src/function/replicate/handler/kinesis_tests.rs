//! Guarantees of the handler behind a Kinesis stream, on a target and a table in memory.

use super::*;
use crate::dead_letter::{DeadLetter, DeadLetterMessage};
use crate::memory::MemoryTarget;
use crate::queue::memory::MemoryQueue;
use crate::table::TableError;
use crate::table::memory::MemoryTable;
use crate::testing::{KinesisRecordBuilder, TABLE_ARN};
use crate::version::Generation;

struct Process {
    target: MemoryTarget,
    writer: Writer<MemoryTarget>,
    queue: Option<MemoryQueue>,
    table: MemoryTable,
}

impl Process {
    fn new() -> Self {
        let target = MemoryTarget::default();
        let writer = Writer::new(target.clone(), Generation::default());
        Self { target, writer, queue: Some(MemoryQueue::default()), table: MemoryTable::default() }
    }

    async fn invoke(&self, records: &[Box<RawValue>]) -> (Result<Vec<String>, FunctionError>, serde_json::Value) {
        let mut metrics = Metrics::new(records.len());
        let read_options = ReadOptions::default();
        let function = Function {
            source: RecordSource::Kinesis { table_arn: TABLE_ARN },
            read_options: &read_options,
            writer: Some(&self.writer),
            items: Some(&self.table),
            queue: self.queue.as_ref(),
            sender: Sender { index: "i", function_version: "1" },
        };
        let deadlines = Deadlines::before(Instant::now() + Duration::from_millis(10_400), Duration::from_millis(400));
        let result = function.handle(records, deadlines, &mut metrics).await;
        (result, serde_json::from_slice(&metrics.line("i")).expect("JSON"))
    }

    fn dead_letters(&self) -> Vec<DeadLetter> {
        let dead_letter = |body: &String| match DeadLetterMessage::read(body).expect("a letter") {
            DeadLetterMessage::Record(dead_letter) => *dead_letter,
            DeadLetterMessage::Range(range) => panic!("{range:?}"),
        };
        self.queue.iter().flat_map(MemoryQueue::bodies).map(|body| dead_letter(&body)).collect()
    }
}

fn counts<const N: usize>(line: &serde_json::Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| line[name].as_u64().expect("a metric"))
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_applied_and_counted_whatever_kinesis_made_of_its_order() {
    let function = Process::new();
    let newer = KinesisRecordBuilder::modify("a", 2).sequence_number(7);
    let older = KinesisRecordBuilder::insert("a", 1).sequence_number(8);
    let batch =
        [newer.raw(), older.raw(), newer.clone().sequence_number(9).raw(), KinesisRecordBuilder::remove("b", 3).raw()];
    let (failures, line) = function.invoke(&batch).await;
    assert_eq!(failures.expect("handled"), [""; 0]);
    assert_eq!(counts(&line, ["Records", "Applied", "Superseded", "Duplicate", "Failed"]), [4, 2, 1, 1, 0]);
    assert_eq!(function.target.visible()["a"], r#"{"n":2}"#);
    assert_eq!((function.target.documents().len(), function.table.reads()), (2, 0));
    assert!(line["DecidedByItem"].is_null(), "{line}");
}

#[tokio::test(start_paused = true)]
async fn changes_without_an_order_are_decided_by_the_item_and_counted_once() {
    let function = Process::new();
    function.table.put("a", 5);
    let batch = ["x", "y"].map(|id| KinesisRecordBuilder::modify("a", 1).event_id(id).raw());
    let (failures, line) = function.invoke(&batch).await;
    assert_eq!(failures.expect("handled"), [""; 0]);
    assert_eq!(counts(&line, ["Records", "Applied", "Superseded", "Failed", "DecidedByItem"]), [2, 1, 1, 0, 2]);
    assert_eq!(function.target.visible()["a"], r#"{"n":5,"pk":"a"}"#);
}

#[tokio::test(start_paused = true)]
async fn while_the_table_cannot_be_read_these_records_are_named_by_kinesis_and_no_others() {
    let function = Process::new();
    function.table.fail([TableError::Unavailable("is busy".to_owned())]);
    let at =
        |key: &str, id: &str, number: u64| KinesisRecordBuilder::modify(key, 1).event_id(id).sequence_number(number);
    let batch = [at("b", "z", 5).raw(), at("a", "x", 1_000).raw(), at("a", "y", 99).raw()];
    let (failures, line) = function.invoke(&batch).await;
    assert_eq!(failures.expect("handled"), ["99", "1000"]);
    assert_eq!(counts(&line, ["Applied", "Failed"]), [1, 2]);
    assert!(line["DecidedByItem"].is_null(), "nothing is decided yet: {line}");
    function.table.fail([TableError::Refused("AccessDenied".to_owned())]);
    assert_eq!(function.invoke(&batch).await.0.expect_err("loud").kind(), "Configuration");
}

#[tokio::test(start_paused = true)]
async fn one_malformed_record_becomes_a_dead_letter_alone_with_the_whole_record() {
    let function = Process::new();
    let builder = KinesisRecordBuilder::insert("b", 2);
    let malformed = RawValue::from_string(builder.with_data("?")).expect("JSON");
    let batch =
        [KinesisRecordBuilder::insert("a", 1).raw(), malformed.clone(), KinesisRecordBuilder::insert("c", 3).raw()];
    let (failures, line) = function.invoke(&batch).await;
    assert_eq!(failures.expect("handled"), [""; 0]);
    assert_eq!(counts(&line, ["Applied", "Rejected"]), [2, 1]);
    let [dead_letter] = &function.dead_letters()[..] else { panic!("one") };
    assert_eq!(dead_letter.record.get(), malformed.get());
    assert_eq!(dead_letter.rejected.class, "malformed_record");
    let without_queue = Process { queue: None, ..Process::new() };
    assert_eq!(without_queue.invoke(&batch).await.0.expect("handled").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_becomes_a_dead_letter_with_its_version_and_table() {
    let function = Process::new();
    function.target.refuse(br#"{"n":2}"#, 400);
    let record = KinesisRecordBuilder::insert("b", 2);
    assert_eq!(function.invoke(&[record.raw()]).await.0.expect("handled"), [""; 0]);
    let [dead_letter] = &function.dead_letters()[..] else { panic!("one") };
    let version = dead_letter.version.as_deref().expect("a version");
    assert!(version.starts_with("0000000001/kinesis/1768469467000002/us/"), "{version}");
    assert_eq!((dead_letter.table.as_deref(), dead_letter.event_id.as_deref()), (Some("T"), Some("e2")));
    assert_eq!(dead_letter.record.get(), record.json());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_carries_another_table_fails_the_invocation_and_writes_nothing() {
    let function = Process::new();
    let batch = [KinesisRecordBuilder::insert("a", 1).raw(), KinesisRecordBuilder::insert("a", 1).table("U").raw()];
    let error = function.invoke(&batch).await.0.expect_err("a configuration error");
    assert_eq!(error.kind(), "Configuration");
    assert_eq!(function.target.documents().len(), 0);
}
