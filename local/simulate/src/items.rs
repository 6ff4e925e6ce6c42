//! Items of the model's table, as functions read them: by key, consistently, and with delays.

use std::time::Duration;

use driftless::attribute::Item;
use driftless::document_id::DocumentId;
use driftless::table::{Consistency, FoundItems, ItemPage, Key, KeySchema, PageRequest, Table, TableError};
use driftless::time::Timestamp;
use tokio::time::{Instant, sleep};

use crate::guard::Guard;
use crate::index::SimulatedIndex;
use crate::table::{image, keys as keys_of};
use crate::world::World;

/// Number of keys that a repair looks at: more than any schedule has.
pub(crate) const MOST_KEYS: u8 = 8;

/// Returns document and key of an item.
pub(crate) fn identified(key: u8) -> (DocumentId, Key) {
    let keys = keys_of(key);
    let keys = Item::from_json(&keys).expect("the model's keys are keys");
    let id = DocumentId::from_keys(&keys, None).expect("the model's keys are keys");
    (id, Key::from_attributes(&keys).expect("the model's keys are keys"))
}

/// Limit for the error of the clocks of processes that read the table: within the margin of the guard.
const MOST_SKEW_MS: u32 = 30_000;

/// Returns the time by the clock of a process that reads the table.
pub(crate) fn clock<I: SimulatedIndex>(world: &World<I>, nth: u64) -> Timestamp {
    let skew = u64::from(world.scenario.skew_ms.min(MOST_SKEW_MS));
    Timestamp::from_millis(world.clock.now_ms() - skew + world.chance(7_000, nth, 2 * skew + 1))
}

/// Table of the model, as its items are read.
pub(crate) struct ModelItems<'w, I> {
    world: &'w World<I>,
    /// Number of the process that reads them to decide between changes.
    decider: Option<u64>,
}

impl<'w, I> ModelItems<'w, I> {
    /// Items that a repair reads.
    pub(crate) fn new(world: &'w World<I>) -> Self {
        Self { world, decider: None }
    }

    /// Items that this process reads to decide between changes.
    pub(crate) fn deciding(world: &'w World<I>, process: u64) -> Self {
        Self { world, decider: Some(process) }
    }
}

impl<I: SimulatedIndex> Table for ModelItems<'_, I> {
    async fn describe(&self, _: Instant) -> Result<KeySchema, TableError> {
        Err(TableError::Refused("nobody describes the table".to_owned()))
    }

    async fn page<M: Send>(
        &self,
        _: PageRequest<'_>,
        _: impl Fn(&Item<'_>) -> M + Send + Sync,
        _: Instant,
    ) -> Result<ItemPage<M>, TableError> {
        Err(TableError::Refused("items are read by key".to_owned()))
    }

    async fn get(&self, keys: &[Key], _: Consistency, _: Instant) -> Result<FoundItems, TableError> {
        let Self { world, decider } = self;
        let (there, back) = (world.chance(9_000, keys.len() as u64, 30), world.chance(9_001, keys.len() as u64, 30));
        if decider.is_some() {
            world.count("items read to decide", keys.len() as u64);
        }
        sleep(Duration::from_millis(there)).await;
        let items = {
            let table = world.table();
            // An eventually consistent read may show an item as it was.
            let is_former = decider.is_some() && !world.stands(Guard::ConsistentItem);
            let shown = if is_former { &table.former } else { &table.items };
            let mut ledger = world.ledger();
            let read_at = clock(world, keys.len() as u64);
            let item = |key: &Key| {
                let nth = (0..MOST_KEYS).find(|nth| identified(*nth).1 == *key)?;
                let id = identified(nth).0;
                ledger.note_read(id.as_str());
                if let Some(process) = *decider {
                    let is_poison = shown.get(&nth).is_some_and(|item| item.poison);
                    ledger.note_decision(process, id.as_str(), read_at, is_poison);
                }
                let image = image(nth, *shown.get(&nth)?);
                Some(Item::from_json(&image).expect("the model's items are items").into_owned())
            };
            keys.iter().map(item).collect()
        };
        sleep(Duration::from_millis(back)).await;
        Ok(FoundItems { items, capacity: 0.0 })
    }
}
