//! The on-failure destination: what the mapping gives up leaves a message, in the shape that Lambda sends to SQS.
//!
//! The message holds metadata only, "Retain discarded records for a DynamoDB event source in Lambda"
//! (services-dynamodb-errors). An object in an S3 bucket holds the event, too. With more than one lane, records of
//! other lanes may lie between its first and its last sequence number; `batchSize` counts only its own. The types have
//! the names of `driftless::dead_letter::range`, which reads such a message. They are apart on purpose: a mistake in
//! one of them does not hide in the other.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use driftless::dead_letter::message::Message;
use driftless::queue::Queue;
use driftless::queue::sqs::SqsQueue;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    batch::Delivery,
    record::StreamRecord,
    stream::{ShardId, StreamKind},
};
use crate::function::{Invocation, new_request_id};

/// Timeout of one try to store a message.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// Reason why records were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Condition {
    /// Their retries are used up.
    RetryAttemptsExhausted,
    /// They are older than the maximum record age.
    RecordAgeExceeded,
}

/// A message to the on-failure destination.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureMessage {
    /// Function, and reason why the records were given up.
    pub request_context: RequestContext,
    /// End of the last invocation; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_context: Option<ResponseContext>,
    /// Version of the message's format, always `1.0`.
    pub version: &'static str,
    /// When the records were given up.
    pub timestamp: String,
    /// Range of records that were given up.
    #[serde(flatten)]
    pub batch: DiscardedBatch,
}

/// Range of records that were given up, under the name that Lambda gives it.
#[derive(Clone, Debug, Serialize)]
pub enum DiscardedBatch {
    /// Range of a stream of DynamoDB.
    #[serde(rename = "DDBStreamBatchInfo")]
    DynamoDb(BatchInfo),
    /// Range of a Kinesis data stream.
    #[serde(rename = "KinesisBatchInfo")]
    Kinesis(BatchInfo),
}

impl DiscardedBatch {
    /// Names the range by the kind of its stream.
    #[must_use]
    pub fn new(kind: StreamKind, range: BatchInfo) -> Self {
        match kind {
            StreamKind::DynamoDb => Self::DynamoDb(range),
            StreamKind::Kinesis => Self::Kinesis(range),
        }
    }

    /// Returns the range, whatever the kind of its stream.
    #[must_use]
    pub fn range(&self) -> &BatchInfo {
        match self {
            Self::DynamoDb(range) | Self::Kinesis(range) => range,
        }
    }
}

/// Function, and reason why its records were given up.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    /// The id of the last invocation.
    pub request_id: String,
    /// ARN of the function.
    pub function_arn: String,
    /// Reason why the records were given up.
    pub condition: Condition,
    /// Number of invocations with them.
    pub approximate_invoke_count: u32,
}

/// End of the last invocation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseContext {
    /// 200: Lambda itself did its part.
    pub status_code: u16,
    /// Version of the function, always `$LATEST` here.
    pub executed_version: &'static str,
    /// `Unhandled`; absent when the function answered with `batchItemFailures`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_error: Option<&'static str>,
}

/// Range of records that were given up.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInfo {
    /// Id of their shard.
    pub shard_id: String,
    /// Sequence number of the first one.
    pub start_sequence_number: String,
    /// Sequence number of the last one.
    pub end_sequence_number: String,
    /// When the first one was written.
    pub approximate_arrival_of_first_record: String,
    /// When the last one was written.
    pub approximate_arrival_of_last_record: String,
    /// Number of these records.
    pub batch_size: usize,
    /// ARN of their stream.
    pub stream_arn: String,
}

impl FailureMessage {
    /// The message for `batch`, given up at `now_ms` after `last`, the last invocation with it.
    pub(super) fn new(
        kind: StreamKind,
        (function_arn, stream_arn, shard): (&str, &str, &ShardId),
        batch: &Delivery,
        condition: Condition,
        last: Option<&Invocation>,
        now_ms: i64,
    ) -> Option<Self> {
        let (first, end) = (batch.records.first()?, batch.records.last()?);
        Some(Self {
            request_context: RequestContext {
                request_id: last.map_or_else(new_request_id, |last| last.request_id.clone()),
                function_arn: function_arn.to_owned(),
                condition,
                approximate_invoke_count: batch.invocations,
            },
            response_context: last.map(|last| ResponseContext {
                status_code: 200,
                executed_version: "$LATEST",
                function_error: last.outcome.is_function_error().then_some("Unhandled"),
            }),
            version: "1.0",
            timestamp: timestamp(now_ms, true),
            batch: DiscardedBatch::new(
                kind,
                BatchInfo {
                    shard_id: shard.to_string(),
                    start_sequence_number: first.sequence_number().to_string(),
                    end_sequence_number: end.sequence_number().to_string(),
                    approximate_arrival_of_first_record: arrival(first),
                    approximate_arrival_of_last_record: arrival(end),
                    batch_size: batch.records.len(),
                    stream_arn: stream_arn.to_owned(),
                },
            ),
        })
    }
}

/// An object for an on-failure bucket.
#[derive(Debug)]
pub struct FailureObject {
    /// Key, as Lambda makes it.
    pub key: String,
    /// The message as JSON, with the event as its payload.
    pub body: String,
}

impl FailureMessage {
    /// Makes the object that Lambda puts into an S3 bucket, for the mapping of this UUID.
    ///
    /// # Errors
    /// When the event is no text.
    pub fn object(&self, mapping_id: &str, event: &Bytes) -> Result<FailureObject> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            message: &'a FailureMessage,
            payload: &'a str,
        }
        let payload = str::from_utf8(event).context("read the event as text")?;
        let body = serde_json::to_string(&Whole { message: self, payload }).context("write the object")?;
        let (day, shard) = (self.timestamp.get(..10).unwrap_or_default(), &self.batch.range().shard_id);
        let second = self.timestamp.get(..19).unwrap_or_default().replace(':', ".");
        let key = format!("aws/lambda/{mapping_id}/{shard}/{}/{second}-{}", day.replace('-', "/"), new_request_id());
        Ok(FailureObject { key, body })
    }
}

fn arrival(record: &StreamRecord) -> String {
    timestamp(record.arrival_ms(), record.arrival_ms() % 1_000 != 0)
}

/// ISO 8601 in UTC, `2026-01-31T23:59:59Z`, with milliseconds if asked for.
fn timestamp(epoch_ms: i64, with_ms: bool) -> String {
    let seconds = DateTime::from_secs(epoch_ms.div_euclid(1_000));
    // Only years after 9999 have no such form.
    let text = seconds.fmt(DateTimeFormat::DateTime).unwrap_or_default();
    match text.strip_suffix('Z') {
        Some(text) if with_ms => format!("{text}.{:03}Z", epoch_ms.rem_euclid(1_000)),
        _ => text,
    }
}

/// Takes what the mapping gives up.
#[async_trait]
pub trait OnFailure: Send + Sync {
    /// Stores the message about this event.
    ///
    /// # Errors
    /// When it is not stored; the mapping then tries again, for as long as it runs.
    async fn send(&self, message: &FailureMessage, event: &Bytes) -> Result<()>;
}

#[async_trait]
impl OnFailure for SqsQueue {
    async fn send(&self, message: &FailureMessage, _: &Bytes) -> Result<()> {
        let body = serde_json::to_string(message).context("write the on-failure message")?;
        let message = Message { body, attributes: Vec::new() };
        let sent = Queue::send(self, &message, Instant::now() + SEND_LIMIT).await;
        sent.with_context(|| format!("send the on-failure message to {}", self.url()))
    }
}

/// On-failure messages kept in memory.
#[derive(Debug, Default)]
pub struct MemoryMessages(Mutex<Vec<FailureMessage>>);

impl MemoryMessages {
    /// All messages so far.
    #[must_use]
    pub fn messages(&self) -> Vec<FailureMessage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl OnFailure for MemoryMessages {
    async fn send(&self, message: &FailureMessage, _: &Bytes) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::record, *};
    use crate::function::InvocationOutcome;

    fn message(last: Option<&Invocation>) -> serde_json::Value {
        message_about(StreamKind::DynamoDb, last)
    }

    fn message_about(kind: StreamKind, last: Option<&Invocation>) -> serde_json::Value {
        serde_json::to_value(failure(kind, last)).unwrap()
    }

    fn failure(kind: StreamKind, last: Option<&Invocation>) -> FailureMessage {
        let mut batch = Delivery::new(vec![record(7, "key"), record(9, "key")]);
        batch.invocations = 2;
        let shard = ShardId::new("shardId-1");
        let about = ("arn:function", "arn:stream", &shard);
        let condition = Condition::RetryAttemptsExhausted;
        FailureMessage::new(kind, about, &batch, condition, last, 1_573_690_429_717).unwrap()
    }

    fn invocation(outcome: InvocationOutcome) -> Invocation {
        Invocation { request_id: "id".into(), outcome, duration: Duration::ZERO }
    }

    #[test]
    fn the_message_has_the_shape_that_lambda_documents() {
        assert_eq!(
            message(Some(&invocation(InvocationOutcome::TimedOut))),
            json!({
                "requestContext": {
                    "requestId": "id", "functionArn": "arn:function", "condition": "RetryAttemptsExhausted",
                    "approximateInvokeCount": 2,
                },
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
                "version": "1.0",
                "timestamp": "2019-11-14T00:13:49.717Z",
                "DDBStreamBatchInfo": {
                    "shardId": "shardId-1", "startSequenceNumber": "7", "endSequenceNumber": "9",
                    "approximateArrivalOfFirstRecord": "2023-11-14T22:13:20Z",
                    "approximateArrivalOfLastRecord": "2023-11-14T22:13:20Z",
                    "batchSize": 2, "streamArn": "arn:stream",
                },
            })
        );
    }

    #[test]
    fn a_range_of_kinesis_has_its_own_name_and_the_same_members() {
        let (mut dynamodb, mut kinesis) = (message(None), message_about(StreamKind::Kinesis, None));
        let range = |message: &mut serde_json::Value, name| message.as_object_mut().unwrap().remove(name).unwrap();
        assert_eq!(range(&mut kinesis, "KinesisBatchInfo"), range(&mut dynamodb, "DDBStreamBatchInfo"));
        assert!(kinesis.get("DDBStreamBatchInfo").is_none());
    }

    #[test]
    fn an_object_has_the_key_and_the_payload_that_lambda_documents() {
        let event = Bytes::from_static(br#"{"Records":["\u0001"]}"#);
        let object = failure(StreamKind::DynamoDb, None).object("esm", &event).unwrap();
        let id = object.key.strip_prefix("aws/lambda/esm/shardId-1/2019/11/14/2019-11-14T00.13.49-").unwrap();
        assert_eq!(id.len(), 36, "{}", object.key);
        let mut body: serde_json::Value = serde_json::from_str(&object.body).unwrap();
        assert_eq!(body.as_object_mut().unwrap().remove("payload"), Some(r#"{"Records":["\u0001"]}"#.into()));
        let keys = |body: &serde_json::Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&body), keys(&message(None)));
    }

    #[test]
    fn a_partial_response_is_no_function_error_and_no_invocation_leaves_no_response() {
        let answered = message(Some(&invocation(InvocationOutcome::Response("{}".into()))));
        assert_eq!(answered["responseContext"], json!({"statusCode": 200, "executedVersion": "$LATEST"}));
        assert!(message(None).get("responseContext").is_none());
    }

    #[test]
    fn timestamps_carry_milliseconds_where_lambdas_do() {
        assert_eq!(timestamp(1_573_690_399_000, false), "2019-11-14T00:13:19Z");
        assert_eq!(timestamp(1_573_690_399_070, true), "2019-11-14T00:13:19.070Z");
    }
}
