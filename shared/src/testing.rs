//! Stream records in Lambda's JSON, for tests and simulation.

mod kinesis;
pub mod page;
pub mod rules;

use std::fmt::Display;

use serde_json::value::RawValue;

pub use kinesis::{KINESIS_ARN, KinesisRecordBuilder, START_MICROS, TABLE_ARN};

use crate::change::ChangeKind;

/// Stream of the records, unless another one is set.
pub const STREAM_ARN: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/T/stream/2026-01-15T09:30:00.000";
/// Event time of the records in seconds since the epoch, unless another one is set.
pub const EVENT_SECOND: u64 = 1_768_469_467;

/// Builder of one stream record. Its parts are JSON as DynamoDB writes it.
#[derive(Debug, Clone)]
pub struct RecordBuilder {
    kind: ChangeKind,
    stream_arn: String,
    event_second: Option<u64>,
    keys: String,
    new_image: Option<String>,
    /// Image of an item that time to live deleted.
    expired_image: Option<String>,
    event_id: String,
    sequence_number: String,
}

impl RecordBuilder {
    /// Begins a record of the item `{"pk": key}`, without an image. Its event id is `e` and the sequence number.
    #[must_use]
    pub fn new(kind: ChangeKind, key: &str, sequence_number: impl Display) -> Self {
        let key = serde_json::Value::from(key);
        Self {
            kind,
            stream_arn: STREAM_ARN.to_owned(),
            event_second: Some(EVENT_SECOND),
            keys: format!(r#"{{"pk":{{"S":{key}}}}}"#),
            new_image: None,
            expired_image: None,
            event_id: format!("e{sequence_number}"),
            sequence_number: sequence_number.to_string(),
        }
    }

    /// Begins an INSERT whose document is `{"n": sequence_number}`.
    #[must_use]
    pub fn insert(key: &str, sequence_number: u64) -> Self {
        Self::new(ChangeKind::Insert, key, sequence_number).numbered(sequence_number)
    }

    /// Begins a MODIFY whose document is `{"n": sequence_number}`.
    #[must_use]
    pub fn modify(key: &str, sequence_number: u64) -> Self {
        Self::new(ChangeKind::Modify, key, sequence_number).numbered(sequence_number)
    }

    /// Begins a REMOVE, which has no new image.
    #[must_use]
    pub fn remove(key: &str, sequence_number: u64) -> Self {
        Self::new(ChangeKind::Remove, key, sequence_number)
    }

    /// Begins the REMOVE of an item that time to live deleted, with its last image.
    #[must_use]
    pub fn expiry(key: &str, sequence_number: u64, image: impl Into<String>) -> Self {
        Self { expired_image: Some(image.into()), ..Self::remove(key, sequence_number) }
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

    /// Sets the keys, as JSON of typed attributes.
    #[must_use]
    pub fn keys(self, keys: impl Into<String>) -> Self {
        Self { keys: keys.into(), ..self }
    }

    /// Sets the ARN of the record's stream.
    #[must_use]
    pub fn stream_arn(self, arn: impl Into<String>) -> Self {
        Self { stream_arn: arn.into(), ..self }
    }

    /// Sets the event time; `None` leaves it out.
    #[must_use]
    pub fn event_second(self, second: impl Into<Option<u64>>) -> Self {
        Self { event_second: second.into(), ..self }
    }

    /// Sets the sequence number. Image and event id stay.
    #[must_use]
    pub fn sequence_number(self, number: impl Display) -> Self {
        Self { sequence_number: number.to_string(), ..self }
    }

    /// Returns the record's JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let Self { keys, sequence_number, .. } = self;
        let time = self.event_second.map(|second| format!(r#""ApproximateCreationDateTime":{second},"#));
        let image = self.new_image.as_ref().map(|image| format!(r#""NewImage":{image},"#));
        let (time, image) = (time.unwrap_or_default(), image.unwrap_or_default());
        let (image, view) = match &self.expired_image {
            None => (image, "NEW_IMAGE"),
            Some(expired) => (format!(r#""OldImage":{expired},"#), "NEW_AND_OLD_IMAGES"),
        };
        let change =
            format!(r#"{{{time}"Keys":{keys},{image}"SequenceNumber":"{sequence_number}","StreamViewType":"{view}"}}"#);
        let record = record_json(&self.event_id, self.kind.event_name(), &self.stream_arn, &change);
        if self.expired_image.is_none() {
            return record;
        }
        let identity = r#""userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}"#;
        format!("{{{identity},{}", &record[1..])
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

/// Returns a record's JSON around its `dynamodb` member, which may be anything.
#[must_use]
pub fn record_json(event_id: &str, event_name: &str, stream_arn: &str, dynamodb: &str) -> String {
    format!(
        r#"{{"eventID":"{event_id}","eventName":"{event_name}","eventSource":"aws:dynamodb","eventSourceARN":"{stream_arn}","dynamodb":{dynamodb}}}"#
    )
}
