//! Event source mapping of the model's stream. It decides by the pure functions of the tool's own mapping. The loop
//! around them is another one, on virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driftless_harness::mapping::batch::{Delivery, FollowUp, batch_length};
use driftless_harness::mapping::on_failure::Condition;
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::response::verdict;
use driftless_harness::mapping::{MappingConfig, RetryBackoff};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use crate::guard::Guard;
use crate::index::SimulatedIndex;
use crate::ledger::Ledger;
use crate::on_failure;
use crate::process::Processes;
use crate::schedule::RunSettings;
use crate::world::World;

/// Number of a lane's last batches that can be delivered once more.
const REMEMBERED_BATCHES: usize = 4;

/// Places of a mapping in its stream: by shard, the number of records read, and `true` once the shard is finished.
#[derive(Clone, Debug, Default)]
struct Places {
    stream: usize,
    shards: BTreeMap<usize, (usize, bool)>,
}

/// Mappings of a run, by number.
pub(crate) struct Mappings<I> {
    world: Arc<World<I>>,
    processes: Arc<Processes<I>>,
    places: Mutex<Vec<Places>>,
}

impl<I: SimulatedIndex> Mappings<I> {
    /// Creates a list without mappings; they will invoke the function in these processes.
    pub(crate) fn new(processes: Arc<Processes<I>>) -> Arc<Self> {
        let world = Arc::clone(processes.world());
        Arc::new(Self { world, processes, places: Mutex::default() })
    }

    /// Starts a mapping that reads a stream from its start.
    pub(crate) fn add(self: &Arc<Self>, stream: usize) {
        let number = {
            let mut places = self.places();
            places.push(Places { stream, ..Places::default() });
            places.len() - 1
        };
        self.read_on(number);
    }

    /// Resumes the mappings of this stream, and forgets all others.
    pub(crate) fn resume(self: &Arc<Self>, stream: usize) {
        let resumed = {
            let mut places = self.places();
            places.retain(|places| places.stream == stream);
            0..places.len()
        };
        for number in resumed {
            self.read_on(number);
        }
    }

    /// Forgets all mappings and how far they have read.
    pub(crate) fn forget(&self) {
        self.places().clear();
    }

    fn places(&self) -> MutexGuard<'_, Vec<Places>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self, number: usize) -> usize {
        self.places()[number].stream
    }

    /// Runs a mapping until the stream drains.
    fn read_on(self: &Arc<Self>, number: usize) {
        self.world.activities.spawn(run(Arc::clone(self), number));
    }

    /// Returns the shards of the mapping's stream that may be read and are not in `started`.
    fn ready(&self, number: usize, started: &BTreeSet<usize>) -> Vec<usize> {
        let (places, table) = (self.places(), self.world.table());
        let places = &places[number];
        let finished = |shard: usize| places.shards.get(&shard).is_some_and(|(_, finished)| *finished);
        let shards = table.streams[places.stream].shards.iter().enumerate();
        let ready = shards.filter(|(at, shard)| {
            let waits = self.world.scenario.parents_first && shard.parents.iter().any(|&parent| !finished(parent));
            !started.contains(at) && !finished(*at) && !waits
        });
        ready.map(|(at, _)| at).collect()
    }

    /// Takes the shard's new records. Returns `true` with them if there will be no more.
    fn take_new(&self, number: usize, shard: usize) -> (Vec<StreamRecord>, bool) {
        let (mut places, table) = (self.places(), self.world.table());
        let places = &mut places[number];
        let read = &table.streams[places.stream].shards[shard];
        let (place, _) = places.shards.entry(shard).or_default();
        let from = std::mem::replace(place, read.records.len()).max(read.trimmed);
        let drained = self.world.activities.is_draining() && !table.has_records_under_way();
        (read.records[from..].to_vec(), drained || read.closed)
    }

    fn finish_shard(&self, number: usize, shard: usize) {
        let (mut places, table) = (self.places(), self.world.table());
        let places = &mut places[number];
        let read = &table.streams[places.stream].shards[shard];
        let (place, finished) = places.shards.entry(shard).or_default();
        *finished = read.closed && *place == read.records.len();
    }
}

fn config(scenario: &RunSettings) -> MappingConfig {
    MappingConfig {
        batch_size: scenario.batch_size,
        parallelization_factor: scenario.lanes,
        maximum_retry_attempts: Some(scenario.retries),
        maximum_record_age: scenario.maximum_age_ms.map(|age_ms| Duration::from_millis(age_ms.into())),
        bisect_batch_on_function_error: scenario.bisect,
        report_batch_item_failures: true,
        retry_backoff: RetryBackoff { initial: Duration::from_millis(20), maximum: Duration::from_millis(200) },
        ..MappingConfig::default()
    }
}

async fn run<I: SimulatedIndex>(mappings: Arc<Mappings<I>>, number: usize) {
    let activities = &mappings.world.activities;
    let mut changes = activities.changes();
    let mut started = BTreeSet::new();
    let mut readers = JoinSet::new();
    loop {
        changes.mark_seen();
        for shard in mappings.ready(number, &started) {
            started.insert(shard);
            readers.spawn_local(read_shard(Arc::clone(&mappings), number, shard));
        }
        if readers.is_empty() && activities.is_draining() {
            return;
        }
        tokio::select! {
            biased;
            Some(ended) = readers.join_next() => pass_on_panic(ended),
            () = changes.next() => {}
        }
    }
}

async fn read_shard<I: SimulatedIndex>(mappings: Arc<Mappings<I>>, number: usize, shard: usize) {
    let mut changes = mappings.world.activities.changes();
    let mut lanes = JoinSet::new();
    let config = config(&mappings.world.scenario);
    let senders: Vec<_> = (0..config.parallelization_factor)
        .map(|lane| {
            let (sender, inbox) = mpsc::unbounded_channel();
            let who = 1_000 * (1 + number as u64) + 10 * shard as u64 + lane as u64;
            let lane = Lane {
                world: Arc::clone(&mappings.world),
                processes: Arc::clone(&mappings.processes),
                config: config.clone(),
                stream: mappings.stream(number),
                shard,
                who,
                recent: VecDeque::new(),
            };
            lanes.spawn_local(lane.run(inbox));
            sender
        })
        .collect();
    loop {
        changes.mark_seen();
        let (records, over) = mappings.take_new(number, shard);
        let new = !records.is_empty();
        for record in records {
            // A lane that has panicked has no inbox. Joining it shows the panic.
            let _ = senders[record.lane(senders.len())].send(record);
        }
        if !new && over {
            break;
        }
        if !new {
            changes.next().await;
        }
    }
    drop(senders);
    while let Some(ended) = lanes.join_next().await {
        pass_on_panic(ended);
    }
    mappings.finish_shard(number, shard);
}

fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Lane of a shard: delivers the records of some partition keys, one batch at a time.
struct Lane<I> {
    world: Arc<World<I>>,
    processes: Arc<Processes<I>>,
    config: MappingConfig,
    stream: usize,
    shard: usize,
    who: u64,
    recent: VecDeque<Vec<StreamRecord>>,
}

impl<I: SimulatedIndex> Lane<I> {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<StreamRecord>) {
        let mut waiting = VecDeque::new();
        let mut batches = 0;
        loop {
            if waiting.is_empty() {
                match inbox.recv().await {
                    Some(record) => waiting.push_back(record),
                    None => return,
                }
                // Poll interval: records that come meanwhile are in the same batch.
                sleep(Duration::from_millis(self.world.chance(self.who, batches, 40))).await;
            }
            while let Ok(record) = inbox.try_recv() {
                waiting.push_back(record);
            }
            let (length, _) = batch_length(waiting.iter(), self.config.batch_size);
            let mut records: Vec<_> = waiting.drain(..length).collect();
            batches += 1;
            if !self.world.scenario.in_order {
                records.sort_by_key(|record| self.world.chance(record.arrival_ms().unsigned_abs(), batches, 1_000));
            }
            self.recent.push_back(records.clone());
            self.recent.drain(..self.recent.len().saturating_sub(REMEMBERED_BATCHES));
            self.finish(Delivery::new(records)).await;
            self.redeliver();
        }
    }

    /// Delivers a batch, with all its retries and splits.
    async fn finish(&self, batch: Delivery) {
        let mut pending = VecDeque::from([batch]);
        while let Some(mut batch) = pending.pop_front() {
            let now_ms = i64::try_from(self.world.clock.now_ms()).unwrap_or(i64::MAX);
            if let Some(expired) = batch.expired(&self.config, now_ms) {
                self.give_up(&expired, Condition::RecordAgeExceeded);
            }
            if batch.records.is_empty() {
                continue;
            }
            let outcome = self.processes.invoke(&batch.records).await;
            let verdict = verdict(&outcome, &batch.records, true);
            let decision = batch.decide(verdict, &self.config);
            let delivered = self.world.ordinals(&decision.delivered);
            self.world.check_out(&delivered, Ledger::has_dead_letter, "was reported as done");
            match decision.then {
                FollowUp::Done => {}
                FollowUp::Retry(batch) => {
                    sleep(self.config.retry_backoff.delay(batch.retries)).await;
                    pending.push_front(batch);
                }
                FollowUp::Bisect(batches) => {
                    for batch in batches.into_iter().rev() {
                        pending.push_front(batch);
                    }
                }
                FollowUp::GiveUp(batch) => self.give_up(&batch, Condition::RetryAttemptsExhausted),
            }
        }
    }

    fn give_up(&self, batch: &Delivery, condition: Condition) {
        let changes = self.world.ordinals(&batch.records);
        let why = if condition == Condition::RecordAgeExceeded { "too old" } else { "tried too often" };
        self.world.note(format_args!("given up, {why}: {changes:?}"));
        self.world.count("given up by the mapping", batch.records.len() as u64);
        if self.world.stands(Guard::OnFailureMessage) {
            let (arn, kind) = {
                let table = self.world.table();
                let stream = &table.streams[self.stream];
                (stream.arn.clone(), stream.kind)
            };
            if let Some(message) = on_failure::message(kind, &arn, self.shard, &batch.records, condition) {
                self.world.store_message(message, changes.clone(), false);
            }
        }
        self.world.check_out(
            &changes,
            |ledger, change| ledger.has_dead_letter(change) || ledger.has_range(change),
            "was given up",
        );
    }

    /// Delivers the last batches once more, while the lane goes on.
    fn redeliver(&self) {
        let Some(batches) = self.world.faults.next_redelivery() else { return };
        let batches: Vec<_> = self.recent.iter().rev().take(batches.into()).rev().cloned().collect();
        self.world.count("redelivered batches", batches.len() as u64);
        let processes = Arc::clone(&self.processes);
        let pause = Duration::from_millis(self.world.chance(self.who, u64::MAX, 800));
        self.world.activities.spawn(async move {
            sleep(pause).await;
            for records in batches {
                // The lane accounts for these records, so the answer does not matter.
                processes.invoke(&records).await;
            }
        });
    }
}
