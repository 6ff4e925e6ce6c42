//! Counts and progress of a mapping, which lanes and readers share.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::stream::ShardId;

/// The longest duration that is told apart.
const LONGEST_US: u64 = 15 * 60 * 1_000_000;

/// Counts of a mapping so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingStats {
    /// Records that were read from the stream.
    pub records_read: u64,
    /// Records whose delivery succeeded, each counted once.
    pub records_delivered: u64,
    /// Records that are read but neither delivered nor given up; redeliveries on purpose count, too.
    pub records_in_flight: u64,
    /// Invocations, failed ones and redeliveries included.
    pub invocations: u64,
    /// Invocations that ended in a function error, a time-out or a dead process.
    pub function_errors: u64,
    /// Invocations that answered with `batchItemFailures`, or with what cannot be read.
    pub failed_responses: u64,
    /// Deliveries again after a back-off.
    pub retries: u64,
    /// Batches that were split.
    pub bisects: u64,
    /// Successful batches that were delivered again on purpose.
    pub redelivered_batches: u64,
    /// Invocations whose process was killed on purpose.
    pub faults: u64,
    /// Messages to the on-failure destination.
    pub dead_letters: u64,
    /// The records in these messages.
    pub dead_lettered_records: u64,
    /// Records that were given up without an on-failure destination: lost.
    pub records_lost: u64,
    /// Messages that the on-failure destination refused, and that were sent again.
    pub refused_dead_letters: u64,
    /// Times that records were trimmed from the stream before they were read: lost, too.
    pub trimmed: u64,
    /// Reads of the stream that failed and were tried again.
    pub stream_errors: u64,
    /// Invocations that could not be made, and were tried again.
    pub launch_errors: u64,
    /// Duration of invocations: median.
    pub invocation_p50: Duration,
    /// Duration of invocations: 99th percentile.
    pub invocation_p99: Duration,
    /// Duration of invocations: the longest.
    pub invocation_max: Duration,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        #[derive(Debug, Default)]
        pub(super) struct Counters { $(pub(super) $name: Counter),* }

        impl MappingStats {
            /// Adds the counts of a mapping that fed the same function before. The quantiles stay those of this one.
            #[must_use]
            pub fn after(self, earlier: &Self) -> Self {
                let invocation_max = self.invocation_max.max(earlier.invocation_max);
                Self { $($name: self.$name + earlier.$name,)* invocation_max, ..self }
            }
        }

        impl Counters {
            fn snapshot(&self) -> MappingStats {
                MappingStats { $($name: self.$name.get(),)* ..MappingStats::default() }
            }
        }
    };
}

counters!(
    records_read,
    records_delivered,
    records_in_flight,
    invocations,
    function_errors,
    failed_responses,
    retries,
    bisects,
    redelivered_batches,
    faults,
    dead_letters,
    dead_lettered_records,
    records_lost,
    refused_dead_letters,
    trimmed,
    stream_errors,
    launch_errors,
);

/// Counter that tasks share.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds, and tells the new value.
    pub(super) fn add(&self, count: usize) -> u64 {
        let count = count as u64;
        self.0.fetch_add(count, Relaxed) + count
    }

    pub(super) fn subtract(&self, count: usize) {
        self.0.fetch_sub(count as u64, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Progress as readers and lanes report it, and as the mapping's owner asks for it.
#[derive(Debug)]
pub(super) struct MappingProgress {
    pub(super) counters: Counters,
    durations: Mutex<Histogram<u64>>,
    shards: Mutex<Shards>,
}

#[derive(Debug, Default)]
struct Shards {
    /// When the last listing that succeeded was asked for.
    listed_at: Option<Instant>,
    /// When the last shard ended: children that a listing before that did not show may exist.
    last_finish: Option<Instant>,
    states: HashMap<ShardId, ShardState>,
}

#[derive(Debug, Default)]
struct ShardState {
    finished: bool,
    /// When the last read that found nothing was asked for.
    caught_up_at: Option<Instant>,
}

impl MappingProgress {
    pub(super) fn new() -> Self {
        let durations = Histogram::new_with_max(LONGEST_US, 3);
        Self {
            counters: Counters::default(),
            durations: Mutex::new(durations.expect("invariant: three digits and a maximum over two are valid")),
            shards: Mutex::default(),
        }
    }

    pub(super) fn invoked(&self, duration: Duration) {
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US);
        self.durations.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(duration_us);
    }

    pub(super) fn stats(&self) -> MappingStats {
        let mut stats = self.counters.snapshot();
        let durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        stats.invocation_p50 = Duration::from_micros(durations.value_at_quantile(0.5));
        stats.invocation_p99 = Duration::from_micros(durations.value_at_quantile(0.99));
        stats.invocation_max = Duration::from_micros(durations.max());
        stats
    }

    pub(super) fn listed<'a>(&self, at: Instant, ids: impl Iterator<Item = &'a ShardId>) {
        let mut shards = self.shards();
        shards.listed_at = Some(at);
        for id in ids {
            shards.states.entry(id.clone()).or_default();
        }
    }

    pub(super) fn caught_up(&self, id: &ShardId, at: Instant) {
        self.shards().states.entry(id.clone()).or_default().caught_up_at = Some(at);
    }

    pub(super) fn finished(&self, id: &ShardId) {
        let mut shards = self.shards();
        shards.last_finish = Some(Instant::now());
        shards.states.entry(id.clone()).or_default().finished = true;
    }

    /// Returns `true` if everything that was in the stream at `since` is finished; `None` asks about the last look at
    /// each shard.
    pub(super) fn drained(&self, since: Option<Instant>) -> bool {
        let shards = self.shards();
        let after = |time: Option<Instant>, since: Option<Instant>| time.is_some() && time >= since;
        // The counter is read last: a reader counts records before it reports that there are no more.
        after(shards.listed_at, since.max(shards.last_finish))
            && shards.states.values().all(|state| state.finished || after(state.caught_up_at, since))
            && self.counters.records_in_flight.get() == 0
    }

    fn shards(&self) -> MutexGuard<'_, Shards> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
