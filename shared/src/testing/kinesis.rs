//! Records of Kinesis Data Streams for DynamoDB in Lambda's JSON, for tests and simulation.

use std::fmt::Display;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;

use crate::change::ChangeKind;

/// Table of the records.
pub const TABLE_ARN: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/T";
/// Kinesis stream of the records.
pub const KINESIS_ARN: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/T-changes";
/// Time from which [`KinesisRecordBuilder::at`] counts, in microseconds since the epoch.
pub const START_MICROS: u64 = 1_768_469_467_000_000;

/// Builder of one record of a Kinesis stream. Its parts are JSON as DynamoDB writes it.
#[derive(Debug, Clone)]
pub struct KinesisRecordBuilder {
    kind: ChangeKind,
    table: String,
    keys: String,
    new_image: Option<String>,
    old_image: Option<String>,
    time: String,
    precision: Option<String>,
    user_identity: String,
    event_id: String,
    partition_key: Option<String>,
    sequence_number: String,
}

impl KinesisRecordBuilder {
    /// Begins a record of the item `{"pk": key}`, this many microseconds after [`START_MICROS`]. Its event id is `e`
    /// and that number.
    #[must_use]
    pub fn new(kind: ChangeKind, key: &str, micros: u64) -> Self {
        let key = serde_json::Value::from(key);
        let begun = Self {
            kind,
            table: "T".to_owned(),
            keys: format!(r#"{{"pk":{{"S":{key}}}}}"#),
            new_image: None,
            old_image: (kind != ChangeKind::Insert).then(|| r#"{"n":{"N":"0"}}"#.to_owned()),
            time: String::new(),
            precision: Some("MICROSECOND".to_owned()),
            user_identity: "null".to_owned(),
            event_id: format!("e{micros}"),
            partition_key: Some(format!("partition of {micros}")),
            sequence_number: format!("4959033827149025660855969253836157109592157598913{micros:07}"),
        };
        begun.at(micros)
    }

    /// Begins an INSERT whose document is `{"n": micros}`.
    #[must_use]
    pub fn insert(key: &str, micros: u64) -> Self {
        Self::new(ChangeKind::Insert, key, micros).numbered(micros)
    }

    /// Begins a MODIFY whose document is `{"n": micros}`.
    #[must_use]
    pub fn modify(key: &str, micros: u64) -> Self {
        Self::new(ChangeKind::Modify, key, micros).numbered(micros)
    }

    /// Begins a REMOVE, which has no new image.
    #[must_use]
    pub fn remove(key: &str, micros: u64) -> Self {
        Self::new(ChangeKind::Remove, key, micros)
    }

    /// Sets the image to `{"n": number}`.
    #[must_use]
    pub fn numbered(self, number: u64) -> Self {
        self.new_image(format!(r#"{{"n":{{"N":"{number}"}}}}"#))
    }

    /// Sets the new image.
    #[must_use]
    pub fn new_image(self, image: impl Into<String>) -> Self {
        Self { new_image: Some(image.into()), ..self }
    }

    /// Makes it a deletion by time to live, of an item with this image.
    #[must_use]
    pub fn expiry(self, image: impl Into<String>) -> Self {
        let user_identity = r#"{"type":"Service","principalId":"dynamodb.amazonaws.com"}"#.to_owned();
        Self { kind: ChangeKind::Remove, new_image: None, old_image: Some(image.into()), user_identity, ..self }
    }

    /// Sets the keys, as JSON of typed attributes.
    #[must_use]
    pub fn keys(self, keys: impl Into<String>) -> Self {
        Self { keys: keys.into(), ..self }
    }

    /// Sets the time to this many microseconds after [`START_MICROS`]. The event id stays.
    #[must_use]
    pub fn at(self, micros: u64) -> Self {
        Self { time: (START_MICROS + micros).to_string(), ..self }
    }

    /// Gives the time in milliseconds, as the destination of a table is configured by default.
    #[must_use]
    pub fn in_milliseconds(self) -> Self {
        let micros: u64 = self.time.parse().expect("invariant: the builder wrote it");
        Self { time: (micros / 1_000).to_string(), precision: Some("MILLISECOND".to_owned()), ..self }
    }

    /// Leaves the precision out, as captures from before 2023 do.
    #[must_use]
    pub fn without_precision(self) -> Self {
        Self { precision: None, ..self }
    }

    /// Sets the time's JSON.
    #[must_use]
    pub fn time(self, json: impl Into<String>) -> Self {
        Self { time: json.into(), ..self }
    }

    /// Sets the event id.
    #[must_use]
    pub fn event_id(self, id: impl Into<String>) -> Self {
        Self { event_id: id.into(), ..self }
    }

    /// Sets the table's name.
    #[must_use]
    pub fn table(self, name: impl Into<String>) -> Self {
        Self { table: name.into(), ..self }
    }

    /// Leaves the partition key out, as streams that distribute records by themselves do.
    #[must_use]
    pub fn without_partition_key(self) -> Self {
        Self { partition_key: None, ..self }
    }

    /// Sets Kinesis's sequence number.
    #[must_use]
    pub fn sequence_number(self, number: impl Display) -> Self {
        Self { sequence_number: number.to_string(), ..self }
    }

    /// Returns DynamoDB's own record.
    #[must_use]
    pub fn inner(&self) -> String {
        let Self { table, keys, time, user_identity, event_id, .. } = self;
        let image = |name: &str, image: &Option<String>| {
            image.as_ref().map(|image| format!(r#","{name}":{image}"#)).unwrap_or_default()
        };
        let images = image("NewImage", &self.new_image) + &image("OldImage", &self.old_image);
        let precision = self
            .precision
            .as_ref()
            .map(|precision| format!(r#","ApproximateCreationDateTimePrecision":"{precision}""#));
        let precision = precision.unwrap_or_default();
        let kind = self.kind.event_name();
        format!(
            r#"{{"awsRegion":"eu-central-1","eventID":"{event_id}","eventName":"{kind}","userIdentity":{user_identity},"recordFormat":"application/json","tableName":"{table}","dynamodb":{{"ApproximateCreationDateTime":{time},"Keys":{keys}{images},"SizeBytes":99{precision}}},"eventSource":"aws:dynamodb"}}"#
        )
    }

    /// Returns the record's JSON, as Lambda delivers it.
    #[must_use]
    pub fn json(&self) -> String {
        self.with_data(&BASE64_STANDARD.encode(self.inner()))
    }

    /// Returns the record with this text in the place of its data.
    #[must_use]
    pub fn with_data(&self, data: &str) -> String {
        let number = &self.sequence_number;
        let partition_key = self.partition_key.as_ref().map(|key| format!(r#""partitionKey":"{key}","#));
        let partition_key = partition_key.unwrap_or_default();
        format!(
            r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0",{partition_key}"sequenceNumber":"{number}","data":"{data}","approximateArrivalTimestamp":1768469467.31}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-000000000000:{number}","eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/replicate-kinesis","awsRegion":"eu-central-1","eventSourceARN":"{KINESIS_ARN}"}}"#
        )
    }

    /// Returns the record as an event holds it.
    ///
    /// # Panics
    /// If one of the parts is no JSON.
    #[must_use]
    pub fn raw(&self) -> Box<RawValue> {
        RawValue::from_string(self.json()).expect("the parts of a record are JSON")
    }
}
