//! Records as the functions are shown them: as they are in the stream, or as if a guard of the core were missing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use driftless_harness::mapping::record::StreamRecord;
use serde_json::Value;

use crate::guard::Guard;
use crate::index::SimulatedIndex;
use crate::ledger::{Ordinal, as_text};
use crate::table::PARTITION_KEY;
use crate::world::World;

/// Label of every stream, if labels do not count.
const ONE_STREAM: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/T/stream/2026-01-15T09:30:00.000";

/// Least number of microseconds since the epoch that is taken for one.
const FIRST_MICROSECONDS: u64 = 100_000_000_000_000;

/// A batch as the function is shown it.
pub(crate) struct ShownBatch {
    pub(crate) records: Vec<StreamRecord>,
    /// Sequence numbers of these records in the stream.
    numbers: Vec<String>,
}

impl ShownBatch {
    /// Shows a batch to the function. A record that is left out counts as done, unless one before it fails.
    pub(crate) fn new<I: SimulatedIndex>(world: &World<I>, records: &[StreamRecord]) -> Self {
        let handed_on: Vec<_> =
            records.iter().enumerate().filter(|(at, _)| is_handed_on(world, records, *at)).collect();
        Self {
            numbers: handed_on.iter().map(|(_, record)| record.sequence_number().to_string()).collect(),
            records: handed_on.into_iter().map(|(_, record)| shown(world, record)).collect(),
        }
    }

    /// Returns the number in the stream of the record that was shown under this number.
    pub(crate) fn number_in_stream(&self, shown: String) -> String {
        let at = self.records.iter().position(|record| record.sequence_number().as_str() == shown);
        at.map_or(shown, |at| self.numbers[at].clone())
    }
}

/// Returns `false` for a record that a missing guard hides behind another one of the same item.
fn is_handed_on<I: SimulatedIndex>(world: &World<I>, records: &[StreamRecord], at: usize) -> bool {
    let (in_order, fallback) = (world.stands(Guard::FoldOrder), world.stands(Guard::FoldFallback));
    if in_order && fallback {
        return true;
    }
    let ledger = world.ledger();
    let change = |record: &StreamRecord| ledger.ordinal(record.sequence_number().as_str());
    let document = |change: Option<Ordinal>| change.map(|change| ledger.document(change));
    let own = change(&records[at]);
    let of_item: Vec<_> = records.iter().map(change).filter(|other| document(*other) == document(own)).collect();
    // Without an order, nothing that is newer than the last record is written. Without a fallback, only the newest is.
    (in_order || Some(&own) <= of_item.last()) && (fallback || of_item.iter().all(|other| *other <= own))
}

/// Returns a record as the functions are shown it.
pub(crate) fn shown<I: SimulatedIndex>(world: &World<I>, record: &StreamRecord) -> StreamRecord {
    let missing = |guards: &[Guard]| guards.iter().any(|guard| !world.stands(*guard));
    let of_streams = [Guard::StreamLabel, Guard::SequencePadding];
    let of_kinesis = [Guard::ChangeTime, Guard::TimeUnit, Guard::PrecisionMargin, Guard::EventId];
    if !missing(&of_streams) && !missing(&of_kinesis) {
        return record.clone();
    }
    let mut json: Value = serde_json::from_slice(record.json()).expect("the model's records are JSON");
    if let Some(data) = json["kinesis"]["data"].as_str() {
        let data = STANDARD.decode(data).expect("the model's records are base64");
        let mut data: Value = serde_json::from_slice(&data).expect("the model's records are JSON");
        alter_kinesis(world, record, &mut data);
        json["kinesis"]["data"] = STANDARD.encode(data.to_string()).into();
    } else {
        if !world.stands(Guard::StreamLabel) {
            json["eventSourceARN"] = ONE_STREAM.into();
        }
        if !world.stands(Guard::SequencePadding) {
            json["dynamodb"]["SequenceNumber"] = as_text(record.sequence_number().as_str()).into();
        }
    }
    StreamRecord::from_json(Bytes::from(json.to_string()), PARTITION_KEY).expect("the model's records are records")
}

/// Changes DynamoDB's own record in a record of Kinesis as if guards were missing.
fn alter_kinesis<I: SimulatedIndex>(world: &World<I>, record: &StreamRecord, data: &mut Value) {
    let number = record.sequence_number().as_str();
    let change = &mut data["dynamodb"];
    let time = change["ApproximateCreationDateTime"].as_u64().unwrap_or_default();
    let has_milliseconds = time < FIRST_MICROSECONDS;
    if !world.stands(Guard::ChangeTime) {
        // The place in the stream is the last part of its number.
        let place: u64 = number[number.len() - 10..].parse().unwrap_or_default();
        set_time(change, FIRST_MICROSECONDS + place);
    } else if !world.stands(Guard::TimeUnit) && has_milliseconds {
        // As a plain number, it is less than any number of microseconds.
        set_time(change, FIRST_MICROSECONDS + time);
    } else if !world.stands(Guard::PrecisionMargin) && has_milliseconds {
        set_time(change, 1_000 * time);
    }
    if !world.stands(Guard::EventId) {
        // By the time alone, the last change of its time cannot be told from the others.
        if let Some(last) = world.ledger().last_of_its_time(number) {
            data["eventID"] = format!("e{last}").into();
        }
    }
}

fn set_time(change: &mut Value, microseconds: u64) {
    change["ApproximateCreationDateTime"] = microseconds.into();
    change["ApproximateCreationDateTimePrecision"] = "MICROSECOND".into();
}
