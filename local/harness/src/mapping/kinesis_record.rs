//! A change as DynamoDB puts it into a Kinesis data stream, and a record of such a stream as Lambda delivers it.
//!
//! The shapes are those of real captures: time as a number of milliseconds or microseconds, no sequence number of the
//! table's stream, a UUID as `eventID`, the table by its name only.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use driftless::stream::lambda_json::{KinesisPayload, KinesisRecord, LambdaIdentity};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::record::StreamRecord;
use crate::function::uuid;
use crate::services::REGION;
use crate::stable_hash::StableHash;

/// Precision of the times in a stream, as the destination's settings have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimePrecision {
    /// Milliseconds: a number of thirteen digits.
    Millisecond,
    /// Microseconds: a number of sixteen digits.
    #[default]
    Microsecond,
}

impl TimePrecision {
    fn cut(self, time_us: u64) -> u64 {
        match self {
            Self::Millisecond => time_us / 1_000,
            Self::Microsecond => time_us,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Millisecond => "MILLISECOND",
            Self::Microsecond => "MICROSECOND",
        }
    }
}

/// Record on its way into a Kinesis data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KinesisPut {
    /// Partition key of the record.
    pub partition_key: String,
    /// The change in DynamoDB's JSON.
    pub data: Bytes,
}

/// Parts of a change that its data consists of.
#[derive(Debug)]
pub(super) struct ChangeParts<'a, Image, User = LambdaIdentity<'a>> {
    pub(super) table: &'a str,
    /// Bytes that make the same `eventID` whenever the change is put again.
    pub(super) identity: &'a [u8],
    pub(super) event_name: &'a str,
    pub(super) time_us: u64,
    pub(super) precision: TimePrecision,
    pub(super) keys: Image,
    pub(super) new_image: Option<Image>,
    pub(super) old_image: Option<Image>,
    pub(super) size_bytes: Option<i64>,
    pub(super) user_identity: Option<User>,
}

impl<Image: Serialize, User: Serialize> ChangeParts<'_, Image, User> {
    /// Returns the record that DynamoDB would put.
    ///
    /// # Errors
    /// When an image cannot be written as JSON.
    pub(super) fn put(&self, partition_key: u64) -> Result<KinesisPut> {
        let data = serde_json::to_vec(&ChangeData {
            aws_region: REGION,
            event_id: &event_id(self.identity),
            event_name: self.event_name,
            user_identity: self.user_identity.as_ref(),
            record_format: "application/json",
            table_name: self.table,
            dynamodb: ChangeBody {
                approximate_creation_date_time: self.precision.cut(self.time_us),
                keys: &self.keys,
                new_image: self.new_image.as_ref(),
                old_image: self.old_image.as_ref(),
                size_bytes: self.size_bytes,
                approximate_creation_date_time_precision: self.precision.name(),
            },
            event_source: "aws:dynamodb",
        });
        let data = data.context("write the change")?.into();
        Ok(KinesisPut { partition_key: format!("{partition_key:016x}"), data })
    }
}

fn event_id(identity: &[u8]) -> String {
    let mut second = StableHash::default();
    second.write(identity);
    second.write(b"second half");
    uuid((u128::from(StableHash::of(identity)) << 64) | u128::from(second.finish()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeData<'a, Image, User> {
    aws_region: &'a str,
    #[serde(rename = "eventID")]
    event_id: &'a str,
    event_name: &'a str,
    user_identity: Option<&'a User>,
    record_format: &'a str,
    table_name: &'a str,
    dynamodb: ChangeBody<'a, Image>,
    event_source: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeBody<'a, Image> {
    approximate_creation_date_time: u64,
    keys: &'a Image,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_image: Option<&'a Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_image: Option<&'a Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<i64>,
    approximate_creation_date_time_precision: &'a str,
}

/// Record of a table's stream in Lambda's JSON, as far as Kinesis gets it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableRecord<'a> {
    #[serde(borrow)]
    pub(super) event_name: &'a str,
    #[serde(borrow, rename = "eventSourceARN")]
    pub(super) arn: &'a str,
    #[serde(borrow, default)]
    pub(super) user_identity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) dynamodb: TableChange<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableChange<'a> {
    #[serde(rename = "ApproximateCreationDateTime")]
    pub(super) created_s: Option<f64>,
    #[serde(borrow)]
    pub(super) keys: &'a RawValue,
    #[serde(borrow, default)]
    pub(super) new_image: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) old_image: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) sequence_number: &'a str,
    pub(super) size_bytes: Option<i64>,
}

/// Place of a Kinesis record: its stream, shard and number there.
#[derive(Clone, Copy, Debug)]
pub struct KinesisPlace<'a> {
    /// ARN of the Kinesis data stream.
    pub arn: &'a str,
    /// Id of the shard.
    pub shard: &'a str,
    /// Number of the record in its shard.
    pub sequence_number: &'a str,
    /// When the record arrived there, in seconds since the epoch.
    pub arrival_s: f64,
}

/// Returns a record as Lambda delivers it. Without a partition key, its lane follows from its number.
///
/// # Errors
/// When it has no sequence number.
pub fn delivered(place: KinesisPlace<'_>, partition_key: Option<&str>, data: &[u8]) -> Result<StreamRecord> {
    let payload = KinesisPayload {
        kinesis_schema_version: "1.0",
        partition_key,
        sequence_number: place.sequence_number,
        data: &STANDARD.encode(data),
        approximate_arrival_timestamp: Some(place.arrival_s),
    };
    let json = serde_json::to_vec(&KinesisRecord::new(place.arn, place.shard, payload));
    let json = json.context("write the Kinesis record")?;
    let key = partition_key.unwrap_or(place.sequence_number);
    StreamRecord::new(place.sequence_number, place.arrival_s, &key, json.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parts(precision: TimePrecision) -> ChangeParts<'static, Value> {
        ChangeParts {
            table: "T",
            identity: b"stream/1",
            event_name: "REMOVE",
            time_us: 1_720_740_233_012_995,
            precision,
            keys: json!({"pk": {"S": "a"}}),
            new_image: None,
            old_image: Some(json!({"pk": {"S": "a"}, "b": {"B": "AP8="}})),
            size_bytes: Some(99),
            user_identity: None,
        }
    }

    #[test]
    fn a_change_has_the_shape_of_real_captures() {
        let put = parts(TimePrecision::Microsecond).put(7).unwrap();
        let data: Value = serde_json::from_slice(&put.data).unwrap();
        let id = data["eventID"].as_str().unwrap();
        assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id}");
        assert_eq!(
            data,
            json!({
                "awsRegion": "us-east-1", "eventID": id, "eventName": "REMOVE", "userIdentity": null,
                "recordFormat": "application/json", "tableName": "T",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1_720_740_233_012_995_u64, "Keys": {"pk": {"S": "a"}},
                    "OldImage": {"pk": {"S": "a"}, "b": {"B": "AP8="}}, "SizeBytes": 99,
                    "ApproximateCreationDateTimePrecision": "MICROSECOND",
                },
                "eventSource": "aws:dynamodb",
            })
        );
    }

    #[test]
    fn the_same_change_has_the_same_event_id_whatever_its_precision() {
        let id = |parts: &ChangeParts<'_, Value>| {
            let data: Value = serde_json::from_slice(&parts.put(7).unwrap().data).unwrap();
            (data["eventID"].clone(), data["dynamodb"]["ApproximateCreationDateTime"].clone())
        };
        let (microseconds, milliseconds) = (parts(TimePrecision::Microsecond), parts(TimePrecision::Millisecond));
        assert_eq!(id(&microseconds).0, id(&milliseconds).0);
        assert_eq!(id(&milliseconds).1, 1_720_740_233_012_u64);
        assert_ne!(
            id(&microseconds).0,
            id(&ChangeParts { identity: b"stream/2", ..parts(TimePrecision::Microsecond) }).0
        );
    }

    #[test]
    fn a_record_is_delivered_in_lambdas_form_and_an_absent_partition_key_stays_absent() {
        let place = KinesisPlace {
            arn: "arn:aws:kinesis:us-east-1:000000000000:stream/s",
            shard: "shardId-000000000006",
            sequence_number: "49590338271490256608559692538361571095921575989136588898",
            arrival_s: 1_545_084_650.987,
        };
        let record = delivered(place, Some("1"), b"Hello").unwrap();
        assert_eq!(record.arrival_ms(), 1_545_084_650_987);
        let mut json: Value = serde_json::from_slice(record.json()).unwrap();
        assert_eq!(
            json,
            json!({
                "kinesis": {
                    "kinesisSchemaVersion": "1.0", "partitionKey": "1", "sequenceNumber": place.sequence_number,
                    "data": "SGVsbG8=", "approximateArrivalTimestamp": 1_545_084_650.987,
                },
                "eventSource": "aws:kinesis", "eventVersion": "1.0",
                "eventID": format!("shardId-000000000006:{}", place.sequence_number),
                "eventName": "aws:kinesis:record", "awsRegion": "us-east-1", "eventSourceARN": place.arn,
            })
        );
        let keyless = delivered(place, None, b"Hello").unwrap();
        json["kinesis"].as_object_mut().unwrap().remove("partitionKey");
        assert_eq!(serde_json::from_slice::<Value>(keyless.json()).unwrap(), json);
    }
}
