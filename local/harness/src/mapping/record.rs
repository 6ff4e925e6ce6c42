//! One stream record, in exactly the JSON in which Lambda delivers it, and what the mapping must know of it.
//!
//! The JSON is made once, when the record is read or generated; batches only join these bytes. A record does not say
//! which of its keys is the partition key, so whoever makes a record names it.

use std::{cmp::Ordering, fmt, sync::Arc};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::stable_hash::StableHash;

/// A sequence number: 21 to 40 decimal digits of DynamoDB Streams, or up to 129 of Kinesis, compared as an integer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamSequence(Arc<str>);

impl StreamSequence {
    /// A sequence number as the stream gives it.
    #[must_use]
    pub fn new(digits: &str) -> Self {
        Self(digits.into())
    }

    /// Returns the digits of the number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for StreamSequence {
    fn cmp(&self, other: &Self) -> Ordering {
        // As integers: 9900… is before 10000…, which neither text order nor 64 bits give.
        let (left, right) = (self.0.trim_start_matches('0'), other.0.trim_start_matches('0'));
        left.len().cmp(&right.len()).then_with(|| left.cmp(right)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for StreamSequence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for StreamSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record of a stream; cheap to clone.
#[derive(Clone, Debug)]
pub struct StreamRecord {
    sequence_number: StreamSequence,
    arrival_ms: i64,
    key_hash: u64,
    json: Bytes,
}

impl StreamRecord {
    /// Takes a record in Lambda's JSON, as sample events and generators have it. One of Kinesis has a partition key of
    /// its own, or none.
    ///
    /// # Errors
    /// When it is not such a record, or its `Keys` lack `partition_key`.
    pub fn from_json(json: Bytes, partition_key: &str) -> Result<Self> {
        let envelope: RecordEnvelope = serde_json::from_slice(&json).context("read the stream record")?;
        if let Some(KinesisBody { partition_key, sequence_number, arrival_s }) = envelope.kinesis {
            let key = partition_key.as_deref().unwrap_or(&sequence_number);
            return Self::new(&sequence_number, arrival_s.unwrap_or_default(), &key, json);
        }
        let change = envelope.dynamodb.context("find the change in the stream record")?;
        let key = change.keys.get(partition_key);
        let key = key.with_context(|| format!("find the partition key {partition_key} in the record's Keys"))?;
        Self::new(&change.sequence_number, change.arrival_s.unwrap_or_default(), key, json)
    }

    /// A record whose parts are known; `key` is the partition key's attribute value.
    pub(super) fn new(sequence_number: &str, arrival_s: f64, key: &impl Serialize, json: Bytes) -> Result<Self> {
        ensure!(!sequence_number.is_empty(), "the stream record has no sequence number");
        Ok(Self {
            sequence_number: StreamSequence::new(sequence_number),
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds since the epoch fit into 53 bits")]
            arrival_ms: (arrival_s * 1_000.0) as i64,
            key_hash: hash(key)?,
            json,
        })
    }

    /// The record's sequence number.
    #[must_use]
    pub fn sequence_number(&self) -> &StreamSequence {
        &self.sequence_number
    }

    /// When the change was made, approximately, in milliseconds since the epoch.
    #[must_use]
    pub fn arrival_ms(&self) -> i64 {
        self.arrival_ms
    }

    /// The record as Lambda delivers it.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The hash of the partition key.
    pub(super) fn hash(&self) -> u64 {
        self.key_hash
    }

    /// Returns the lane of the record among `lanes`: the same for all records of a partition key.
    #[must_use]
    pub fn lane(&self, lanes: usize) -> usize {
        // The remainder is below `lanes`, so it fits.
        usize::try_from(self.key_hash % lanes.max(1) as u64).unwrap_or_default()
    }
}

/// Joins records to the event that Lambda delivers.
#[must_use]
pub fn payload(records: &[StreamRecord]) -> Bytes {
    const OPEN: &[u8] = b"{\"Records\":[";
    let mut payload = Vec::with_capacity(payload_bytes(records));
    payload.extend_from_slice(OPEN);
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            payload.push(b',');
        }
        payload.extend_from_slice(&record.json);
    }
    payload.extend_from_slice(b"]}");
    Bytes::from(payload)
}

/// The size of [`payload`], in bytes.
#[must_use]
pub fn payload_bytes(records: &[StreamRecord]) -> usize {
    PAYLOAD_FRAME_BYTES + records.iter().map(|record| record.json.len() + 1).sum::<usize>()
}

/// Bytes that [`payload`] adds around the records.
pub(super) const PAYLOAD_FRAME_BYTES: usize = 14;

#[derive(Deserialize)]
struct RecordEnvelope {
    kinesis: Option<KinesisBody>,
    dynamodb: Option<RecordBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisBody {
    partition_key: Option<String>,
    sequence_number: String,
    #[serde(rename = "approximateArrivalTimestamp")]
    arrival_s: Option<f64>,
}

#[derive(Deserialize)]
struct RecordBody {
    #[serde(rename = "ApproximateCreationDateTime")]
    arrival_s: Option<f64>,
    #[serde(rename = "Keys")]
    keys: serde_json::Map<String, Value>,
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
}

fn hash(key: &impl Serialize) -> Result<u64> {
    // The same in every build, so that a record's lane is the same in every run.
    Ok(StableHash::of(&serde_json::to_vec(key).context("write the partition key")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"eventID":"1","dynamodb":{"ApproximateCreationDateTime":1700000000,
        "Keys":{"sk":{"N":"1"},"pk":{"S":"a"}},"SequenceNumber":"100000000000000000001"}}"#;

    #[test]
    fn sequence_numbers_compare_as_integers() {
        let mut numbers =
            ["10000000000000000000000", "990000000000000000000", "0990000000000000000001"].map(StreamSequence::new);
        numbers.sort();
        assert_eq!(
            numbers.map(|number| number.to_string()),
            ["990000000000000000000", "0990000000000000000001", "10000000000000000000000"]
        );
    }

    #[test]
    fn records_of_one_partition_key_share_a_lane_whatever_the_layout_of_their_json() {
        let record = StreamRecord::from_json(Bytes::from_static(RECORD.as_bytes()), "pk").unwrap();
        let other = RECORD.replace(r#"{"S":"a"}"#, r#"{ "S" : "a" }"#).replace(r#""N":"1""#, r#""N":"2""#);
        let other = StreamRecord::from_json(Bytes::from(other), "pk").unwrap();
        assert_eq!(record.key_hash, other.key_hash);
        assert!((1..=10).all(|lanes| record.lane(lanes) < lanes));
    }

    #[test]
    fn a_record_without_the_partition_key_is_refused_by_name() {
        let error = StreamRecord::from_json(Bytes::from_static(RECORD.as_bytes()), "id").unwrap_err();
        assert!(error.to_string().contains("partition key id"), "{error}");
    }

    #[test]
    fn the_payload_is_the_event_and_its_size_is_known_beforehand() {
        let record = StreamRecord::from_json(Bytes::from_static(RECORD.as_bytes()), "pk").unwrap();
        for count in [1, 2, 3] {
            let records = vec![record.clone(); count];
            let payload = payload(&records);
            let event: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(event["Records"].as_array().unwrap().len(), count);
            assert!(payload.len() <= payload_bytes(&records));
        }
    }
}
