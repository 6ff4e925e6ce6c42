//! The letter that Lambda's event source mapping sends to an SQS queue when it gives records up: metadata only.
//!
//! The shape is that of "Retain discarded records for a DynamoDB event source in Lambda" (services-dynamodb-errors).
//! With a parallelization factor above 1, records of other lanes lie between the first and the last: `batchSize` counts
//! only its own, so more than those may be read in the range. Writing them again is harmless.

use serde::Deserialize;

/// Records that were given up, by their place in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StreamRange {
    /// Why, and after how many tries.
    #[serde(default, rename = "requestContext")]
    pub request: RequestContext,
    /// Which records.
    #[serde(rename = "DDBStreamBatchInfo")]
    pub batch: BatchInfo,
}

/// Why records were given up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestContext {
    /// `RetryAttemptsExhausted`, or what Lambda says for a record that got too old.
    pub condition: String,
    /// How often the function was invoked with them.
    pub approximate_invoke_count: u32,
}

/// Which records were given up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInfo {
    /// Their stream.
    pub stream_arn: String,
    /// Their shard.
    pub shard_id: String,
    /// The first one.
    pub start_sequence_number: String,
    /// The last one.
    pub end_sequence_number: String,
    /// How many they are.
    pub batch_size: u64,
    /// When the last one was written, as ISO 8601.
    #[serde(default)]
    pub approximate_arrival_of_last_record: Option<String>,
}

impl BatchInfo {
    /// The table, from the stream's ARN.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        crate::change::table(&self.stream_arn)
    }
}
