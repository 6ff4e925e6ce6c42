//! Carries out the plan of a load.
//!
//! Each write is a task that begins at its time, waits for the previous write of its key, then for a slot, and then
//! sends. So the writes of a key reach the table in the order of the plan, and the schedule never waits.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::items::{ItemMaker, WRITTEN_AT};
use super::report::{LoadReport, Meter, Waited, WriteOutcome};
use super::schedule::{Write, WriteKind, WriteSchedule};
use super::{Load, LoadItem};
use crate::services::client_error;

/// Writes `load` to `table` and waits for the last answer. Dropping the future ends the load immediately.
///
/// # Errors
/// Where the load makes no sense. Writes that fail are counted in the report.
pub async fn run(
    load: &Load,
    client: &Client,
    table: &str,
    items: Arc<dyn ItemMaker>,
    meter: Arc<Meter>,
) -> Result<LoadReport> {
    run_until(load, client, table, items, meter, pending()).await
}

/// Writes `load` as [`run`] does, but begins no write once `stop` has completed. The report's plan is what was begun.
///
/// # Errors
/// As [`run`].
pub async fn run_until(
    load: &Load,
    client: &Client,
    table: &str,
    items: Arc<dyn ItemMaker>,
    meter: Arc<Meter>,
    stop: impl Future<Output = ()>,
) -> Result<LoadReport> {
    load.check()?;
    let mut report = LoadReport::new()?;
    let writer = Arc::new(LoadWriter {
        client: client.clone(),
        table: table.to_owned(),
        items,
        seed: load.seed,
        slots: Semaphore::new(load.max_in_flight),
        meter,
    });
    let mut turns = Turns::default();
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    // Later by all the time that the load was held.
    let mut start = begun;
    tokio::pin!(stop);
    for write in WriteSchedule::new(load) {
        let next = async {
            sleep_until(start + write.at).await;
            writer.meter.while_held().await
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            held = next => start += held,
        }
        let due = start + write.at;
        report.planned += 1;
        writer.meter.due.fetch_add(1, Ordering::Relaxed);
        let turn = turns.next(write.key);
        tasks.spawn(Arc::clone(&writer).carry_out(write, due, turn));
        while let Some(outcome) = tasks.try_join_next() {
            add(&mut report, outcome)?;
        }
    }
    while let Some(outcome) = tasks.join_next().await {
        add(&mut report, outcome)?;
    }
    report.elapsed = begun.elapsed();
    Ok(report)
}

fn add(report: &mut LoadReport, outcome: Result<WriteOutcome, JoinError>) -> Result<()> {
    report.add(outcome.context("carry out a write")?);
    Ok(())
}

/// Turns of the writes of each key, in their order.
#[derive(Default)]
struct Turns {
    last: HashMap<u64, oneshot::Receiver<()>>,
}

/// A write's place in the queue of its key.
struct Turn {
    /// Resolves when the previous write of the key is over.
    previous: Option<oneshot::Receiver<()>>,
    /// Dropping it lets the next one go.
    _over: oneshot::Sender<()>,
}

impl Turns {
    fn next(&mut self, key: u64) -> Turn {
        let (over, previous_of_next) = oneshot::channel();
        Turn { previous: self.last.insert(key, previous_of_next), _over: over }
    }
}

impl Turn {
    /// Waits for the previous write of the key, if it is still under way.
    async fn come(&mut self) -> Waited {
        let Some(mut previous) = self.previous.take() else {
            return Waited::Not;
        };
        match previous.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => {
                // The sender is dropped, never used.
                let _ = previous.await;
                Waited::ForItsKey
            }
            _ => Waited::Not,
        }
    }
}

struct LoadWriter {
    client: Client,
    table: String,
    items: Arc<dyn ItemMaker>,
    seed: u64,
    slots: Semaphore,
    meter: Arc<Meter>,
}

impl LoadWriter {
    async fn carry_out(self: Arc<Self>, write: Write, due: Instant, mut turn: Turn) -> WriteOutcome {
        let mut waited = turn.come().await;
        let slot = match self.slots.try_acquire() {
            Ok(slot) => Some(slot),
            Err(_) => {
                waited = Waited::ForASlot;
                // The semaphore is never closed.
                self.slots.acquire().await.ok()
            }
        };
        let started = Instant::now();
        let effect = self.send(write).await;
        let service = started.elapsed();
        drop((slot, turn));
        self.meter.done.fetch_add(1, Ordering::Relaxed);
        if effect.is_err() {
            self.meter.failed.fetch_add(1, Ordering::Relaxed);
        }
        WriteOutcome { effect, waited, delay: started.saturating_duration_since(due), service }
    }

    /// Asks for the previous item, so that the table itself says what the write was.
    async fn send(&self, write: Write) -> Result<Option<WriteKind>> {
        match write.kind {
            WriteKind::Insert | WriteKind::Modify => {
                let put = self.client.put_item().table_name(&self.table).set_item(Some(self.item(write)));
                let answer =
                    put.return_values(ReturnValue::AllOld).send().await.map_err(client_error).context("put an item")?;
                Ok(Some(if is_item(answer.attributes) { WriteKind::Modify } else { WriteKind::Insert }))
            }
            WriteKind::Remove => {
                let key = self.items.key(write.key);
                let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key));
                let answer = delete
                    .return_values(ReturnValue::AllOld)
                    .send()
                    .await
                    .map_err(client_error)
                    .context("delete an item")?;
                Ok(is_item(answer.attributes).then_some(WriteKind::Remove))
            }
        }
    }

    fn item(&self, write: Write) -> LoadItem {
        // Each write has randomness of its own, so that its item does not depend on when others are made.
        let mut rng = StdRng::seed_from_u64(self.seed.rotate_left(32) ^ write.n);
        let mut item = self.items.item(write.key, &mut rng, write.n);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        item.insert(WRITTEN_AT.to_owned(), AttributeValue::N(since_epoch.as_micros().to_string()));
        item
    }
}

fn is_item(attributes: Option<LoadItem>) -> bool {
    attributes.is_some_and(|attributes| !attributes.is_empty())
}
