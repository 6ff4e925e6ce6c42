//! DynamoDB's way into Kinesis: records come late, again, and to any shard, as the seed decides.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::index::SimulatedIndex;
use crate::kinesis::KinesisChange;
use crate::ledger::Ordinal;
use crate::world::World;

/// Longest delay of a late record.
const LATE_MS: u64 = 400;
/// Longest delay of a repetition.
const REPEATED_MS: u64 = 1_500;

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
