//! The event source mapping: Lambda's semantics, which are the tool's own pure functions, around the model's stream.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use driftless_harness::mapping::batch::{Batch, Then, batch_length};
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::response::verdict;
use driftless_harness::mapping::{Backoff, MappingConfig};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use crate::guard::Guard;
use crate::index::Index;
use crate::ledger::Ledger;
use crate::world::{Places, World};

/// Batches of a lane that can be delivered once more.
const REMEMBERED_BATCHES: usize = 4;

impl<I: Index> World<I> {
    /// Starts a mapping that reads a stream from its start.
    pub(crate) fn add_mapping(self: &Arc<Self>, stream: usize) {
        let number = {
            let mut state = self.state();
            state.mappings.push(Places { stream, ..Places::default() });
            state.mappings.len() - 1
        };
        self.resume_mapping(number);
    }

    /// Lets a mapping read on, until the stream drains.
    pub(crate) fn resume_mapping(self: &Arc<Self>, number: usize) {
        self.spawn(run(Arc::clone(self), number));
    }

    fn config(&self) -> MappingConfig {
        let setting = &self.setting;
        MappingConfig {
            batch_size: setting.batch_size,
            parallelization_factor: setting.lanes,
            maximum_retry_attempts: Some(setting.retries),
            maximum_record_age: setting.maximum_age_ms.map(|age_ms| Duration::from_millis(age_ms.into())),
            bisect_batch_on_function_error: setting.bisect,
            report_batch_item_failures: true,
            retry_backoff: Backoff { initial: Duration::from_millis(20), maximum: Duration::from_millis(200) },
            ..MappingConfig::default()
        }
    }

    /// Shards of the mapping's stream that may be read and are not in `started`.
    fn ready(&self, number: usize, started: &BTreeSet<usize>) -> Vec<usize> {
        let state = self.state();
        let places = &state.mappings[number];
        let finished = |shard: usize| places.shards.get(&shard).is_some_and(|(_, finished)| *finished);
        let shards = state.table.streams[places.stream].shards.iter().enumerate();
        let ready = shards.filter(|(at, shard)| {
            let waits = self.setting.parents_first && shard.parent.is_some_and(|parent| !finished(parent));
            !started.contains(at) && !finished(*at) && !waits
        });
        ready.map(|(at, _)| at).collect()
    }

    /// Takes the shard's new records, and tells whether there will be no more.
    fn read_on(&self, number: usize, shard: usize) -> (Vec<StreamRecord>, bool) {
        let mut state = self.state();
        let stream = state.mappings[number].stream;
        let end = state.table.streams[stream].shards[shard].records.len();
        let trimmed = state.table.streams[stream].shards[shard].trimmed;
        let (place, _) = state.mappings[number].shards.entry(shard).or_default();
        let from = std::mem::replace(place, end).max(trimmed);
        let over = state.draining || state.table.streams[stream].shards[shard].closed;
        (state.table.streams[stream].shards[shard].records[from..].to_vec(), over)
    }

    fn finish_shard(&self, number: usize, shard: usize) {
        let mut state = self.state();
        let stream = state.mappings[number].stream;
        let closed = state.table.streams[stream].shards[shard].closed;
        let end = state.table.streams[stream].shards[shard].records.len();
        let (place, finished) = state.mappings[number].shards.entry(shard).or_default();
        *finished = closed && *place == end;
    }
}

async fn run<I: Index>(world: Arc<World<I>>, number: usize) {
    let mut changes = world.changed.subscribe();
    let mut started = BTreeSet::new();
    let mut readers = JoinSet::new();
    loop {
        changes.borrow_and_update();
        for shard in world.ready(number, &started) {
            started.insert(shard);
            readers.spawn_local(read_shard(Arc::clone(&world), number, shard));
        }
        if readers.is_empty() && world.state().draining {
            return;
        }
        tokio::select! {
            biased;
            Some(ended) = readers.join_next() => pass_on_panic(ended),
            _ = changes.changed() => {}
        }
    }
}

async fn read_shard<I: Index>(world: Arc<World<I>>, number: usize, shard: usize) {
    let mut changes = world.changed.subscribe();
    let mut lanes = JoinSet::new();
    let config = world.config();
    let senders: Vec<_> = (0..config.parallelization_factor)
        .map(|lane| {
            let (sender, inbox) = mpsc::unbounded_channel();
            let who = 1_000 * (1 + number as u64) + 10 * shard as u64 + lane as u64;
            let name = (world.state().mappings[number].stream, shard);
            let lane = Lane { world: Arc::clone(&world), config: config.clone(), name, who, recent: VecDeque::new() };
            lanes.spawn_local(lane.run(inbox));
            sender
        })
        .collect();
    loop {
        changes.borrow_and_update();
        let (records, over) = world.read_on(number, shard);
        let new = !records.is_empty();
        for record in records {
            // A lane that has panicked has no inbox; joining it tells.
            let _ = senders[record.lane(senders.len())].send(record);
        }
        if !new && over {
            break;
        }
        if !new {
            let _ = changes.changed().await;
        }
    }
    drop(senders);
    while let Some(ended) = lanes.join_next().await {
        pass_on_panic(ended);
    }
    world.finish_shard(number, shard);
}

fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Delivers the records of some partition keys, one batch at a time.
struct Lane<I> {
    world: Arc<World<I>>,
    config: MappingConfig,
    /// Stream and shard.
    name: (usize, usize),
    who: u64,
    recent: VecDeque<Vec<StreamRecord>>,
}

impl<I: Index> Lane<I> {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<StreamRecord>) {
        let mut waiting = VecDeque::new();
        let mut batches = 0;
        loop {
            if waiting.is_empty() {
                match inbox.recv().await {
                    Some(record) => waiting.push_back(record),
                    None => return,
                }
                // The poll interval: what comes in the meantime is in the same batch.
                sleep(Duration::from_millis(self.world.chance(self.who, batches, 40))).await;
            }
            while let Ok(record) = inbox.try_recv() {
                waiting.push_back(record);
            }
            let (length, _) = batch_length(waiting.iter(), self.config.batch_size);
            let mut records: Vec<_> = waiting.drain(..length).collect();
            batches += 1;
            if !self.world.setting.in_order {
                records.sort_by_key(|record| self.world.chance(record.arrival_ms().unsigned_abs(), batches, 1_000));
            }
            self.recent.push_back(records.clone());
            self.recent.drain(..self.recent.len().saturating_sub(REMEMBERED_BATCHES));
            self.finish(Batch::new(records)).await;
            self.redeliver();
        }
    }

    /// Delivers a batch, with all retries and splits that it takes.
    async fn finish(&self, batch: Batch) {
        let mut pending = VecDeque::from([batch]);
        while let Some(mut batch) = pending.pop_front() {
            let now_ms = i64::try_from(self.world.now_ms()).unwrap_or(i64::MAX);
            if let Some(expired) = batch.expired(&self.config, now_ms) {
                self.give_up(&expired, true);
            }
            if batch.records.is_empty() {
                continue;
            }
            let outcome = self.world.invoke(&batch.records).await;
            let verdict = verdict(&outcome, &batch.records, true);
            let decision = batch.decide(verdict, &self.config);
            let delivered = self.world.ordinals(&decision.delivered);
            self.world.check_out(&delivered, Ledger::has_letter, "was reported as done");
            match decision.then {
                Then::Done => {}
                Then::Retry(batch) => {
                    sleep(self.config.retry_backoff.delay(batch.retries)).await;
                    pending.push_front(batch);
                }
                Then::Bisect(batches) => {
                    for batch in batches.into_iter().rev() {
                        pending.push_front(batch);
                    }
                }
                Then::GiveUp(batch) => self.give_up(&batch, false),
            }
        }
    }

    fn give_up(&self, batch: &Batch, expired: bool) {
        let changes = self.world.ordinals(&batch.records);
        self.world.note(format_args!("given up, {}: {changes:?}", if expired { "too old" } else { "tried too often" }));
        self.world.count("given up by the mapping", batch.records.len() as u64);
        if self.world.stands(Guard::OnFailureMessage) {
            self.world.send_range(self.name, &batch.records, expired);
        }
        self.world.check_out(
            &changes,
            |ledger, change| ledger.has_letter(change) || ledger.has_range(change),
            "was given up",
        );
    }

    /// Delivers the last batches once more, beside the lane.
    fn redeliver(&self) {
        let Some(batches) = self.world.state().armed.redeliveries.pop_front() else { return };
        let batches: Vec<_> = self.recent.iter().rev().take(batches.into()).rev().cloned().collect();
        self.world.count("redelivered batches", batches.len() as u64);
        let world = Arc::clone(&self.world);
        let pause = Duration::from_millis(world.chance(self.who, u64::MAX, 800));
        self.world.spawn(async move {
            sleep(pause).await;
            for records in batches {
                // Whatever the answer is, these records are accounted for by the lane.
                world.invoke(&records).await;
            }
        });
    }
}
