//! Record of a Kinesis stream → change. DynamoDB's own record is JSON in the record's data, base64 around it.
//!
//! It differs from a record of DynamoDB Streams: there is no sequence number, no stream view type, and no ARN. Its time
//! makes the version, and its `eventID` tells duplicates. Its table is named, so a stream that carries a second table
//! is noticed. What Kinesis adds (shard, sequence number, partition key) says nothing about the change. The sequence
//! number names the record to Lambda, and a partition key may be absent.

use std::borrow::Cow;

use base64_simd::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::member::{RecordError, malformed, quoted, text};
use super::record_number::RecordNumber;
use super::{Change, Origin, RawChange, RawRecord, ReadOptions, Record, RecordItem};
use super::{change_of, damaged, object, required};
use crate::attribute::Item;
use crate::outcome::ConfigurationError;
use crate::version::{ChangeTime, Version};

/// Value of `eventSource` in the records of a Kinesis stream.
pub const EVENT_SOURCE: &str = "aws:kinesis";
/// First bytes of an aggregated record of the Kinesis Producer Library ("KPL aggregated record format").
const AGGREGATED: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

#[derive(Deserialize)]
struct StreamedRecord<'a> {
    #[serde(borrow, default, rename = "eventID")]
    event_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "eventSource")]
    event_source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    kinesis: Option<Payload<'a>>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default, rename = "sequenceNumber")]
    sequence_number: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reads one record of a Kinesis stream that carries the changes of this table.
#[must_use]
pub fn read(json: &str, table_arn: &str, read_options: &ReadOptions) -> Record {
    let Ok(record) = serde_json::from_str::<StreamedRecord<'_>>(json) else {
        let problem = "cannot be read as a record of a Kinesis stream".to_owned();
        return Record { origin: Origin::default(), change: Err(malformed("record", problem)) };
    };
    let number = record.kinesis.as_ref().and_then(|payload| payload.sequence_number).and_then(text);
    let mut origin = Origin {
        event_id: None,
        sequence_number: number.filter(|number| RecordNumber::is_one(number)).map(Cow::into_owned),
        table_arn: None,
    };
    let change = change(&record, table_arn, read_options, &mut origin);
    // Without one of DynamoDB, that of Kinesis names the record in logs.
    origin.event_id = origin.event_id.or_else(|| record.event_id.and_then(text).map(Cow::into_owned));
    Record { origin, change }
}

/// Returns DynamoDB's own record in the data of a record; `None` if there is none.
#[must_use]
pub fn inner(json: &str) -> Option<String> {
    let record: StreamedRecord<'_> = serde_json::from_str(json).ok()?;
    data(record.kinesis.as_ref()?).ok()
}

/// Reads the change, and notes in `origin` what DynamoDB's own record says of itself.
fn change(
    record: &StreamedRecord<'_>,
    table_arn: &str,
    read_options: &ReadOptions,
    origin: &mut Origin,
) -> Result<Change, RecordError> {
    let source = required("eventSource", record.event_source)?;
    if source != EVENT_SOURCE {
        let expected = "Kinesis Data Streams (aws:kinesis)";
        return Err(ConfigurationError::EventSource { found: source.into_owned(), expected }.into());
    }
    let payload = record.kinesis.as_ref().ok_or_else(|| malformed("kinesis", "missing".to_owned()))?;
    let json = data(payload)?;
    if let Some(record) = object::<Item<'_>>(&json) {
        return change_in(&record, table_arn, read_options, origin);
    }
    if let Some(record) = object::<&RawValue>(&json) {
        return change_in(&record, table_arn, read_options, origin);
    }
    let (found, error) = damaged::explain(&json);
    origin.event_id = found.event_id;
    Err(error)
}

/// Reads the change of DynamoDB's own record.
fn change_in(
    record: &RawRecord<'_, impl RecordItem>,
    table_arn: &str,
    read_options: &ReadOptions,
    origin: &mut Origin,
) -> Result<Change, RecordError> {
    let event_id = required("eventID", record.event_id)?;
    origin.event_id = Some(event_id.clone().into_owned());
    let table = required("tableName", record.table_name)?;
    if table_arn.split_once(":table/").is_none_or(|(_, expected)| expected != table) {
        return Err(ConfigurationError::OtherTable { found: table.into_owned(), expected: table_arn.to_owned() }.into());
    }
    origin.table_arn = Some(table_arn.to_owned());
    let Some(change) = &record.dynamodb else { return Err(malformed("dynamodb", "missing".to_owned())) };
    if event_id.is_empty() {
        return Err(malformed("eventID", "empty".to_owned()));
    }
    let version = Version::from_kinesis(read_options.generation, time(change)?, &event_id);
    change_of(record, change, version, read_options)
}

fn time<I>(change: &RawChange<'_, I>) -> Result<ChangeTime, RecordError> {
    let field = "dynamodb.ApproximateCreationDateTime";
    let time = change.approximate_creation_date_time.ok_or_else(|| malformed(field, "missing".to_owned()))?;
    let precision = match change.precision {
        Some(precision) => Some(required("dynamodb.ApproximateCreationDateTimePrecision", Some(precision))?),
        None => None,
    };
    ChangeTime::parse(time.get(), precision.as_deref()).map_err(|error| malformed(field, error.to_string()))
}

/// Decodes the data of a record as text.
fn data(payload: &Payload<'_>) -> Result<String, RecordError> {
    let field = "kinesis.data";
    // AWS writes no escapes. With one, this is no base64.
    let plain = payload.data.and_then(quoted).and_then(|base64| BASE64.decode_to_vec(base64).ok());
    let bytes = match plain {
        Some(bytes) => bytes,
        None => BASE64
            .decode_to_vec(&*required(field, payload.data)?)
            .map_err(|_| malformed(field, "expected base64".to_owned()))?,
    };
    if bytes.starts_with(&AGGREGATED) {
        let problem = "holds an aggregated record of the Kinesis Producer Library, and DynamoDB writes none".to_owned();
        return Err(malformed(field, problem));
    }
    String::from_utf8(bytes).map_err(|_| malformed(field, "expected JSON in UTF-8".to_owned()))
}

#[cfg(test)]
mod tests;
