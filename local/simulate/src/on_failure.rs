//! On-failure message about records that the mapping gives up, as Lambda words it.

use driftless_harness::mapping::on_failure::{BatchInfo, Condition, DiscardedBatch, FailureMessage, RequestContext};
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::stream::StreamKind;

/// Returns the message about records of a shard; `None` without a record.
pub(crate) fn message(
    kind: StreamKind,
    arn: &str,
    shard: usize,
    records: &[StreamRecord],
    condition: Condition,
) -> Option<String> {
    // The records may come in any order.
    let numbers = || records.iter().map(StreamRecord::sequence_number);
    let (first, last) = (numbers().min()?, numbers().max()?);
    let message = FailureMessage {
        request_context: RequestContext {
            request_id: "request".to_owned(),
            function_arn: "function".to_owned(),
            condition,
            approximate_invoke_count: 1,
        },
        response_context: None,
        version: "1.0",
        timestamp: String::new(),
        batch: DiscardedBatch::new(
            kind,
            BatchInfo {
                shard_id: shard.to_string(),
                start_sequence_number: first.to_string(),
                end_sequence_number: last.to_string(),
                approximate_arrival_of_first_record: String::new(),
                approximate_arrival_of_last_record: String::new(),
                batch_size: records.len(),
                stream_arn: arn.to_owned(),
            },
        ),
    };
    Some(serde_json::to_string(&message).expect("a message is JSON"))
}
