//! Lambda's on-failure message, which its event source mapping sends when it gives records up: metadata only.
//!
//! The shape is that of "Retain discarded records for a DynamoDB event source in Lambda" (services-dynamodb-errors).
//! The one for a Kinesis event source (kinesis-on-failure-destination) differs in the name of one member. With a
//! parallelization factor above 1, other lanes' records lie between the first and the last. `batchSize` does not count
//! them, so the range may hold more records. Writing those again is harmless.

use serde::Deserialize;

/// A range of the stream that Lambda gave up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StreamRange {
    /// Reason, and the number of invocations.
    #[serde(default, rename = "requestContext")]
    pub request: RequestContext,
    /// Range of the records.
    #[serde(rename = "DDBStreamBatchInfo", alias = "KinesisBatchInfo")]
    pub batch: BatchInfo,
}

/// Reason why Lambda gave the records up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestContext {
    /// `RetryAttemptsExhausted`, or Lambda's condition for a record that was too old.
    pub condition: String,
    /// Number of invocations with these records.
    pub approximate_invoke_count: u32,
}

/// Range of the records that Lambda gave up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInfo {
    /// ARN of the stream.
    pub stream_arn: String,
    /// Shard of the stream.
    pub shard_id: String,
    /// Sequence number of the first record.
    pub start_sequence_number: String,
    /// Sequence number of the last record.
    pub end_sequence_number: String,
    /// Number of records in the batch.
    pub batch_size: u64,
    /// Time at which the last record was written, in ISO 8601.
    #[serde(default)]
    pub approximate_arrival_of_last_record: Option<String>,
}

impl BatchInfo {
    /// Returns the table's name, from the stream's ARN.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        crate::change::table(&self.stream_arn)
    }

    /// Returns `true` if the stream is one of Kinesis.
    #[must_use]
    pub fn is_of_kinesis(&self) -> bool {
        self.stream_arn.split(':').nth(2) == Some("kinesis")
    }

    /// Returns the name of the message's member that holds this range.
    #[must_use]
    pub fn member(&self) -> &'static str {
        if self.is_of_kinesis() { "KinesisBatchInfo" } else { "DDBStreamBatchInfo" }
    }
}
