//! JSON of one stream record, in exactly the form in which Lambda delivers it.
//!
//! Real and generated streams write it through these structs, so that their records look the same.

use serde::{Serialize, Serializer};

/// A record in Lambda's JSON, made of parts. `Image` is anything that serialises as an item in DynamoDB's JSON.
#[expect(missing_docs, reason = "the members are those of Lambda\'s JSON")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LambdaRecord<'a, Image> {
    #[serde(rename = "eventID")]
    pub event_id: &'a str,
    pub event_name: &'a str,
    pub event_version: &'a str,
    pub event_source: &'a str,
    pub aws_region: &'a str,
    pub dynamodb: LambdaChange<'a, Image>,
    /// Identity, which only records of a time-to-live expiry carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_identity: Option<LambdaIdentity<'a>>,
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: &'a str,
}

/// The `dynamodb` part of a record. An absent image stays absent.
#[expect(missing_docs, reason = "the members are those of Lambda\'s JSON")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LambdaChange<'a, Image> {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "epoch_seconds")]
    pub approximate_creation_date_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_image: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_image: Option<Image>,
    pub sequence_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_view_type: Option<&'a str>,
}

/// Identity of the service that made the change; absent for clients.
#[expect(missing_docs, reason = "the members are those of Lambda\'s JSON")]
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LambdaIdentity<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<&'a str>,
}

/// A record of a Kinesis stream in Lambda's JSON.
#[expect(missing_docs, reason = "the members are those of Lambda\'s JSON")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KinesisRecord<'a> {
    pub kinesis: KinesisPayload<'a>,
    pub event_source: &'a str,
    pub event_version: &'a str,
    #[serde(rename = "eventID")]
    pub event_id: String,
    pub event_name: &'a str,
    pub aws_region: &'a str,
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: &'a str,
}

/// The `kinesis` part of a record. Its partition key may be absent.
#[expect(missing_docs, reason = "the members are those of Lambda\'s JSON")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KinesisPayload<'a> {
    pub kinesis_schema_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<&'a str>,
    pub sequence_number: &'a str,
    /// Bytes of the record in base64.
    pub data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approximate_arrival_timestamp: Option<f64>,
}

impl<'a> KinesisRecord<'a> {
    /// Makes the record of a shard.
    #[must_use]
    pub fn new(stream_arn: &'a str, shard_id: &str, payload: KinesisPayload<'a>) -> Self {
        Self {
            event_id: format!("{shard_id}:{}", payload.sequence_number),
            kinesis: payload,
            event_source: "aws:kinesis",
            event_version: "1.0",
            event_name: "aws:kinesis:record",
            aws_region: stream_arn.split(':').nth(3).unwrap_or_default(),
            event_source_arn: stream_arn,
        }
    }
}

/// Writes whole seconds as an integer, as AWS's records have them; a fraction only if there is one.
fn epoch_seconds<S: Serializer>(seconds: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match seconds {
        #[expect(clippy::cast_possible_truncation, reason = "the value is whole and far below 2^53")]
        Some(seconds) if seconds.fract() == 0.0 => serializer.serialize_i64(*seconds as i64),
        Some(seconds) => serializer.serialize_f64(*seconds),
        None => serializer.serialize_none(),
    }
}
