//! Items that the table holds before it is replicated, and the backfill that brings them to the index while writes go
//! on.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use driftless_display::console::{self, ProgressLine};
use driftless_harness::activity::ActivityItems;
use driftless_harness::function::FunctionConfig;
use driftless_harness::load::{ItemMaker, LoadItem};
use driftless_harness::services::client_error;
use driftless_harness::slices::backfill::{BackfillSummary, summary, work};
use driftless_harness::words::counted;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;

/// Most items that one BatchWriteItem takes.
const BATCH: usize = 25;
/// Tries of what a BatchWriteItem has left over.
const TRIES: usize = 10;
/// Segments of the parallel scan, each with a process of its own.
pub(crate) const SEGMENTS: u32 = 4;
/// Tag of the items that the load never touches.
pub(crate) const ARCHIVED: &str = "archived";

/// Items that the table holds before it is replicated.
#[derive(Clone, Debug)]
pub struct HeldItems {
    /// Numbers of the items, from which their keys follow.
    pub numbers: Range<u64>,
    /// Number of keys of the load: it touches none from there on.
    pub load_keys: u64,
    /// The same seed makes the same items.
    pub seed: u64,
}

impl HeldItems {
    /// Returns the number of items that the load never touches.
    #[must_use]
    pub fn untouched(&self) -> u64 {
        self.numbers.end.saturating_sub(self.load_keys.max(self.numbers.start))
    }

    /// Puts all items into the table.
    ///
    /// # Errors
    /// Where DynamoDB refuses.
    pub async fn put(&self, tables: &Client, table: &str) -> Result<()> {
        let progress = ProgressLine::bar(self.numbers.end - self.numbers.start, "items of a table that is not new");
        let (activity, mut rng) = (ActivityItems::default(), StdRng::seed_from_u64(self.seed));
        let numbers: Vec<u64> = self.numbers.clone().collect();
        for batch in numbers.chunks(BATCH) {
            let items = batch.iter().map(|number| self.item(&activity, *number, &mut rng));
            put_batch(tables, table, items.collect()).await?;
            progress.reach(batch.last().map_or(0, |last| last - self.numbers.start));
        }
        drop(progress);
        console::note(format!("the table holds {} that no stream will deliver", counted(numbers.len() as u64, "item")));
        Ok(())
    }

    fn item(&self, activity: &ActivityItems, number: u64, rng: &mut StdRng) -> LoadItem {
        let mut item = activity.item(number, rng, 0);
        if number >= self.load_keys {
            item.insert("tags".to_owned(), AttributeValue::Ss(vec![ARCHIVED.to_owned()]));
        }
        item
    }
}

async fn put_batch(tables: &Client, table: &str, items: Vec<LoadItem>) -> Result<()> {
    let put = |item| {
        let put = PutRequest::builder().set_item(Some(item)).build().context("make a request of an item")?;
        Ok(WriteRequest::builder().put_request(put).build())
    };
    let requests = items.into_iter().map(put).collect::<Result<Vec<_>>>()?;
    let mut left = HashMap::from([(table.to_owned(), requests)]);
    for _ in 0..TRIES {
        let answer = tables.batch_write_item().set_request_items(Some(left)).send().await;
        left = answer.map_err(client_error).context("put a batch of items")?.unprocessed_items.unwrap_or_default();
        if left.is_empty() {
            return Ok(());
        }
    }
    ensure!(left.is_empty(), "DynamoDB leaves items over, {TRIES} times in a row");
    Ok(())
}

/// Backfills the whole table in segments, into all indexes that are written or into the one that `request` names.
///
/// # Errors
/// Where the function fails, or the engine refuses an item.
pub(crate) async fn backfill(function: &FunctionConfig, request: Value, items: u64) -> Result<BackfillSummary> {
    let work = work(function.clone(), request, Some(SEGMENTS), None);
    let mut state = work.begin();
    let progress = ProgressLine::bar(items, "items backfilled");
    work.run(&mut state, |state| progress.reach(state.counts().whole("items"))).await.context("backfill the table")?;
    drop(progress);
    let summary = summary(&state)?;
    ensure!(summary.rejected == 0, "the engine refused {} of the backfill", counted(summary.rejected, "document"));
    Ok(summary)
}

/// Items of the load: without poison until [`DemoItems::poison`] is called.
#[derive(Debug)]
pub(crate) struct DemoItems {
    healthy: ActivityItems,
    poisoned: ActivityItems,
    poisons: AtomicBool,
}

impl DemoItems {
    /// Creates activities; `share` of the later ones is poison.
    pub(crate) fn new(share: f64) -> Arc<Self> {
        let (healthy, poisoned) = (ActivityItems::default(), ActivityItems::new(share));
        Arc::new(Self { healthy, poisoned, poisons: AtomicBool::new(false) })
    }

    /// Lets writes be poison from now on. A re-index would have to wait for them to be mended: its verify finds them.
    pub(crate) fn poison(&self) {
        self.poisons.store(true, Ordering::Relaxed);
    }

    /// Returns the number of poison items made so far.
    pub(crate) fn poison_written(&self) -> u64 {
        self.poisoned.poison_written()
    }
}

impl ItemMaker for DemoItems {
    fn key(&self, key: u64) -> LoadItem {
        self.healthy.key(key)
    }

    fn item(&self, key: u64, rng: &mut StdRng, n: u64) -> LoadItem {
        let items = if self.poisons.load(Ordering::Relaxed) { &self.poisoned } else { &self.healthy };
        items.item(key, rng, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_items_are_those_behind_the_keys_of_the_load() {
        let held = |numbers, load_keys| HeldItems { numbers, load_keys, seed: 1 }.untouched();
        assert_eq!(held(300..3_300, 600), 2_700);
        assert_eq!(held(300..400, 600), 0);
        let held = HeldItems { numbers: 1..4, load_keys: 2, seed: 1 };
        let tags = |number| {
            let item = held.item(&ActivityItems::default(), number, &mut StdRng::seed_from_u64(1));
            item["tags"].as_ss().expect("tags").clone()
        };
        assert!(!tags(1).contains(&ARCHIVED.to_owned()) && tags(2).contains(&ARCHIVED.to_owned()));
    }
}
