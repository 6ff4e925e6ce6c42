//! Kinesis of the model: a change as DynamoDB puts it, and its records, which come late, again, and to any shard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use driftless::change::ChangeKind;
use driftless::testing::{KinesisRecordBuilder, START_MICROS};
use driftless::version::{ChangeTime, Generation, Version};
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::{KinesisPlace, delivered};
use tokio::time::sleep;

use crate::index::SimulatedIndex;
use crate::ledger::Ordinal;
use crate::world::World;

/// Longest delay of a late record.
const LATE_MS: u64 = 400;
/// Longest delay of a repetition.
const REPEATED_MS: u64 = 1_500;

/// A change on its way into Kinesis.
#[derive(Clone, Debug)]
pub(crate) struct KinesisChange {
    /// Stream that it was put into.
    pub(crate) stream: usize,
    /// Partition of its item.
    pub(crate) partition: u8,
    /// DynamoDB's own record.
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
pub(crate) fn record(arn: &str, shard: usize, number: &str, now_ms: u64, change: &KinesisChange, keyless: bool) -> StreamRecord {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit into 53 bits")]
    let arrival_s = now_ms as f64 / 1_000.0;
    let place = KinesisPlace { arn, shard: &format!("shardId-{shard:012}"), sequence_number: number, arrival_s };
    let key = format!("p{}", change.partition);
    let key = (!keyless).then_some(key.as_str());
    delivered(place, key, &change.data).expect("the model's records are records")
}

/// Brings a change into its stream, now or later, once or twice, as the seed decides.
pub(crate) fn put<I: SimulatedIndex>(world: &Arc<World<I>>, change: KinesisChange, ordinal: Ordinal) {
    let Some(settings) = world.scenario.kinesis else { return };
    let chance = |nth, end| world.chance(40_000 + ordinal as u64, nth, end);
    let delay = if chance(0, 100) < settings.late_percent.into() { 1 + chance(1, LATE_MS) } else { 0 };
    let repeated = (chance(2, 100) < settings.repeated_percent.into()).then(|| 1 + chance(3, REPEATED_MS));
    if delay == 0 {
        append(world, &change, ordinal);
    } else {
        world.count("late records", 1);
        put_later(world, change.clone(), ordinal, delay);
    }
    if let Some(delay) = repeated {
        world.count("repeated records", 1);
        put_later(world, change, ordinal, delay);
    }
}

fn put_later<I: SimulatedIndex>(world: &Arc<World<I>>, change: KinesisChange, ordinal: Ordinal, delay_ms: u64) {
    world.table().begin_put();
    let spawner = Arc::clone(world);
    let world = Arc::clone(world);
    spawner.activities.spawn(async move {
        sleep(Duration::from_millis(delay_ms)).await;
        append(&world, &change, ordinal);
        world.table().end_put();
        world.activities.notify();
    });
}

fn append<I: SimulatedIndex>(world: &World<I>, change: &KinesisChange, ordinal: Ordinal) {
    let any = world.scenario.kinesis.is_some_and(|settings| settings.any_shard);
    let now_ms = world.clock.now_ms();
    let number = world.table().append(change, now_ms, any.then(|| world.chance(50_000, ordinal as u64, u64::MAX)));
    world.ledger().name(&number, ordinal);
}
