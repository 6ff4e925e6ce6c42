//! Lambda's on-failure messages about records that the stream no longer holds.

use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use driftless_harness::services::streams_client;
use serde_json::{Value, json};

use super::on_failure::{MappedStage, redrive, services, template};
use super::{binary, proxy, settings};
use crate::support::Index;

/// Place of the records in a stream with one shard.
struct Shard {
    stream_arn: String,
    id: String,
    numbers: Vec<String>,
}

impl Shard {
    async fn of(stage: &MappedStage) -> Self {
        let described = stage.tables.describe_table().table_name(&stage.table).send().await.expect("described");
        let stream_arn = described.table.and_then(|table| table.latest_stream_arn).expect("a stream");
        let client = streams_client(services().dynamodb_endpoint());
        let stream = client.describe_stream().stream_arn(&stream_arn).send().await.expect("described");
        let shards = stream.stream_description.and_then(|stream| stream.shards).expect("shards");
        let id = shards[0].shard_id.clone().expect("an id");
        let iterator = client.get_shard_iterator().stream_arn(&stream_arn).shard_id(&id);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.expect("an iterator");
        let read = client.get_records().set_shard_iterator(iterator.shard_iterator).send().await.expect("read");
        let number = |record: aws_sdk_dynamodbstreams::types::Record| record.dynamodb?.sequence_number;
        let numbers = read.records.unwrap_or_default().into_iter().filter_map(number).collect();
        Self { stream_arn, id, numbers }
    }

    /// Lambda's on-failure message about a range.
    fn letter(&self, from: &str, to: &str) -> Value {
        json!({
            "requestContext": {
                "requestId": "r", "functionArn": "f", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4
            },
            "version": "1.0",
            "timestamp": "2026-01-15T09:30:00.000Z",
            "DDBStreamBatchInfo": {
                "shardId": self.id, "startSequenceNumber": from, "endSequenceNumber": to, "batchSize": 10,
                "streamArn": self.stream_arn,
            },
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_is_gone_is_reported_with_what_to_do_and_what_is_left_of_it_applied() {
    let proxy = proxy().await;
    let source = Index::new("trimmed-source");
    let function = binary(settings(&source, &proxy, 3_000));
    let stage = MappedStage::set_up(source, template(5), function).await;
    stage.put(0..5, 1).await;
    stage.drained().await;
    let shard = Shard::of(&stage).await;
    assert_eq!(shard.numbers.len(), 5);
    // From before the first record that the stream has to its third one.
    let before = shard.numbers[0].parse::<u128>().expect("a number") - 1;
    stage.queue.put(&shard.letter(&before.to_string(), &shard.numbers[2])).await;
    let index = Index::new("trimmed");
    // The index is not there yet: nothing that was delivered could be written.
    let table = shard.stream_arn.split_once("/stream/").expect("a stream's ARN").0.to_owned();
    let settings = || [settings(&index, &proxy, 3_000), vec![("TABLE_ARN".to_owned(), table.clone())]].concat();

    let report = redrive(&stage.queue, settings()).await;
    assert_eq!(report["changes"]["applied"], 3, "{report}");
    assert_eq!(
        (&report["letters"]["redriven"], &report["kept"][0]["class"]),
        (&json!(0), &json!("trimmed")),
        "{report}"
    );
    assert!(report["trimmed"][0]["next"].as_str().is_some_and(|next| next.contains("backfill")), "{report}");
    assert_eq!((index.visible().await.len(), stage.queue.messages().await.len()), (3, 1));

    // The table is deleted, and its stream with it: nothing is left to apply, and nothing is tried for ever.
    stage.tables.delete_table().table_name(&stage.table).send().await.expect("deleted");
    let report = redrive(&stage.queue, settings()).await;
    assert_eq!((&report["kept"][0]["class"], &report["out_of_time"]), (&json!("trimmed"), &json!(false)), "{report}");
    assert_eq!((index.visible().await.len(), stage.queue.messages().await.len()), (3, 1));
    stage.mapping.shutdown().await;
}
