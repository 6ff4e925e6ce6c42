//! Kinesis of the model: a change as DynamoDB puts it, and a record of it as Lambda delivers it.

use bytes::Bytes;
use driftless::change::ChangeKind;
use driftless::testing::{KinesisRecordBuilder, START_MICROS};
use driftless::version::{ChangeTime, Generation, Version};
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::{KinesisPlace, delivered};

/// A change on its way into Kinesis.
#[derive(Clone, Debug)]
pub(crate) struct KinesisChange {
    /// Stream that it was put into.
    pub(crate) stream: usize,
    /// Partition of its item.
    pub(crate) partition: u8,
    /// DynamoDB's own record, in JSON.
    pub(crate) data: Bytes,
}

/// Time of a change, as its record tells it.
#[derive(Clone, Copy)]
pub(crate) struct ToldTime {
    /// Microseconds since the epoch.
    pub(crate) micros: u64,
    pub(crate) in_milliseconds: bool,
    /// True if the record names the precision.
    pub(crate) with_precision: bool,
}

/// Returns DynamoDB's own record of a change. `image` is the new image, if any.
pub(crate) fn data(kind: ChangeKind, number: u128, time: ToldTime, keys: &str, image: Option<String>) -> Bytes {
    let record = KinesisRecordBuilder::new(kind, "", time.micros - START_MICROS);
    let mut record = record.event_id(format!("e{number}")).keys(keys);
    if let Some(image) = image {
        record = record.new_image(image);
    }
    if time.in_milliseconds {
        record = record.in_milliseconds();
    }
    Bytes::from(if time.with_precision { record.inner() } else { record.without_precision().inner() })
}

/// Returns the last part of the version of a change of this event.
pub(crate) fn version_name(number: u128) -> String {
    let time = ChangeTime::parse("1768469467000000", None).expect("a time");
    let version = Version::from_kinesis(Generation(1), time, &format!("e{number}"));
    version.as_str().rsplit('/').next().unwrap_or_default().to_owned()
}

/// Returns the number of the `nth` record of all streams: longer than a number of DynamoDB Streams.
pub(crate) fn sequence_number(nth: u64) -> String {
    format!("4959033827149025660855969253836157109592{nth:016}")
}

/// Returns a record as Lambda delivers it.
pub(crate) fn record(
    arn: &str,
    shard: usize,
    number: &str,
    now_ms: u64,
    change: &KinesisChange,
    keyless: bool,
) -> StreamRecord {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit into 53 bits")]
    let arrival_s = now_ms as f64 / 1_000.0;
    let place = KinesisPlace { arn, shard: &format!("shardId-{shard:012}"), sequence_number: number, arrival_s };
    let key = format!("p{}", change.partition);
    let key = (!keyless).then_some(key.as_str());
    delivered(place, key, &change.data).expect("the model's records are records")
}
