//! What all actors of a run share: the index, the table, the book, the clock, and what is about to go wrong.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driftless::change::Reading;
use driftless::version::Generation;
use driftless_harness::mapping::record::StreamRecord;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::guard::{Guard, Missing};
use crate::index::Index;
use crate::ledger::{Ledger, Ordinal};
use crate::letters::Letters;
use crate::process::Process;
use crate::schedule::{EngineFault, QueueFault, Schedule, Setting};
use crate::table::Table;

/// When a run starts, in milliseconds since the epoch.
const START_MS: u64 = 1_768_469_467_000;
/// After this, a stream that is not drained counts as blocked.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Table and index differ in the end.
    #[error("the index is not what the table is: {0}")]
    Differs(String),
    /// A change was reported as done, or its letter deleted, and is neither in the index nor in the queue.
    #[error("lost without a report: {0}")]
    Lost(String),
    /// A letter names a change that was no one's to reject.
    #[error("a letter without need: {0}")]
    NeedlessLetter(String),
    /// The stream does not drain, or letters stay.
    #[error("blocked: {0}")]
    Blocked(String),
    /// Something panicked.
    #[error("panicked: {0}")]
    Panicked(String),
}

/// What a run, or many, consisted of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, what: &'static str, number: u64) {
        *self.0.entry(what).or_default() += number;
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        for (what, number) in &other.0 {
            self.add(what, *number);
        }
    }
}

/// A mapping's place in its stream, per shard: how far it has read, and whether the shard is finished.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) stream: usize,
    pub(crate) shards: BTreeMap<usize, (usize, bool)>,
}

/// What is about to go wrong, each once, first come first served.
#[derive(Default)]
pub(crate) struct Armed {
    pub(crate) writes: VecDeque<EngineFault>,
    pub(crate) reads: VecDeque<EngineFault>,
    pub(crate) outage_until: Option<Instant>,
    pub(crate) crashes_before: u32,
    pub(crate) crashes_after: u32,
    pub(crate) lost_answers: u32,
    pub(crate) redeliveries: VecDeque<u8>,
    pub(crate) sends: VecDeque<QueueFault>,
    pub(crate) received_twice: u32,
    pub(crate) reappearances: u32,
    pub(crate) unreadable_ranges: u32,
}

/// What changes in a run.
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) ledger: Ledger,
    pub(crate) letters: Letters,
    pub(crate) armed: Armed,
    pub(crate) mappings: Vec<Places>,
    pub(crate) draining: bool,
    pub(crate) generation: u32,
    pub(crate) backfilled: bool,
    pub(crate) processes: u64,
    pub(crate) counts: Counts,
    pub(crate) broken: Option<Broken>,
    /// Time that has gone by without anybody waiting for it.
    skipped_ms: u64,
    trace: Trace,
}

/// Everything observable, in order, as one number; as lines, too, if asked for.
struct Trace {
    hasher: DefaultHasher,
    lines: Option<Vec<String>>,
}

/// One run.
pub(crate) struct World<I> {
    pub(crate) index: I,
    pub(crate) setting: Setting,
    pub(crate) missing: Missing,
    pub(crate) changed: watch::Sender<()>,
    pub(crate) idle: Mutex<Vec<Process<I>>>,
    seed: u64,
    start: Instant,
    state: Mutex<State>,
    /// What must end before the stream counts as drained.
    background: Mutex<JoinSet<()>>,
}

impl<I: Index> World<I> {
    pub(crate) fn new(schedule: &Schedule, index: I, missing: Missing, verbose: bool) -> Arc<Self> {
        let state = State {
            table: Table::new(&schedule.initial),
            ledger: Ledger::default(),
            letters: Letters::default(),
            armed: Armed::default(),
            mappings: Vec::new(),
            draining: false,
            generation: 1,
            backfilled: schedule.initial.is_empty(),
            processes: 0,
            counts: Counts::default(),
            broken: None,
            skipped_ms: 0,
            trace: Trace { hasher: DefaultHasher::new(), lines: verbose.then(Vec::new) },
        };
        Arc::new(Self {
            index,
            setting: schedule.setting.clone(),
            missing,
            changed: watch::Sender::new(()),
            idle: Mutex::default(),
            seed: schedule.seed,
            start: Instant::now(),
            state: Mutex::new(state),
            background: Mutex::default(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stands(&self, guard: Guard) -> bool {
        self.missing.stands(guard)
    }

    pub(crate) fn reading(&self) -> Reading {
        Reading { generation: Generation(self.state().generation), partition_key: None }
    }

    /// The right time, in milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        START_MS + self.state().skipped_ms + u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Lets time go by at once.
    pub(crate) fn skip(&self, time: Duration) {
        self.state().skipped_ms += u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }

    /// A number below `end` that follows from the seed, and from who asks for the how manieth time.
    pub(crate) fn chance(&self, who: u64, nth: u64, end: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(who);
        hasher.write_u64(nth);
        hasher.finish() % end
    }

    /// Notes something observable.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let now_ms = self.start.elapsed().as_millis();
        let line = format!("{now_ms:>6} {what}");
        let mut state = self.state();
        state.trace.hasher.write(line.as_bytes());
        if let Some(lines) = &mut state.trace.lines {
            lines.push(line);
        }
    }

    pub(crate) fn count(&self, what: &'static str, number: u64) {
        self.state().counts.add(what, number);
    }

    /// Keeps the first broken promise.
    pub(crate) fn break_promise(&self, broken: Broken) {
        self.note(format_args!("BROKEN {broken}"));
        self.state().broken.get_or_insert(broken);
    }

    /// The stream's trace so far, and its lines.
    pub(crate) fn trace(&self) -> (u64, Vec<String>) {
        let mut state = self.state();
        (state.trace.hasher.finish(), state.trace.lines.take().unwrap_or_default())
    }

    /// Runs something that must end before the stream counts as drained.
    pub(crate) fn spawn(&self, activity: impl Future<Output = ()> + 'static) {
        self.background.lock().unwrap_or_else(PoisonError::into_inner).spawn_local(activity);
    }

    /// A copy of the index takes over.
    pub(crate) fn fail_over(&self) {
        self.index.fail_over();
        self.count("failovers", 1);
    }

    /// The index refuses everything for a while.
    pub(crate) fn close_index(self: &Arc<Self>, time: Duration) {
        self.index.close(true);
        self.count("closed indices", 1);
        let world = Arc::clone(self);
        self.spawn(async move {
            tokio::time::sleep(time).await;
            world.index.close(false);
        });
    }

    /// Waits until everything has been delivered or given up, and nothing is under way.
    pub(crate) async fn drain(&self) {
        self.state().draining = true;
        self.changed.send_replace(());
        let ended = timeout(DRAIN_LIMIT, async {
            loop {
                let mut activities =
                    std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
                if activities.is_empty() {
                    break;
                }
                while let Some(ended) = activities.join_next().await {
                    if let Err(error) = ended {
                        self.break_promise(Broken::Panicked(error.to_string()));
                    }
                }
            }
        });
        if ended.await.is_err() {
            self.break_promise(Broken::Blocked(format!("the stream is not drained after {DRAIN_LIMIT:?}")));
        }
        self.state().draining = false;
    }

    /// The changes that records hold.
    pub(crate) fn ordinals(&self, records: &[StreamRecord]) -> Vec<Ordinal> {
        let state = self.state();
        records.iter().filter_map(|record| state.ledger.ordinal(record.sequence_number().as_str())).collect()
    }

    /// These changes leave the stream, or their letter the queue: each must have been in the index by now, or be
    /// accounted for otherwise.
    pub(crate) fn check_out(&self, changes: &[Ordinal], otherwise: impl Fn(&Ledger, Ordinal) -> bool, how: &str) {
        let lost = {
            let State { ledger, .. } = &*self.state();
            let lost = changes.iter().find(|change| !ledger.is_settled(**change) && !otherwise(ledger, **change));
            lost.map(|change| ledger.describe(*change))
        };
        if let Some(lost) = lost {
            self.break_promise(Broken::Lost(format!("{lost} {how}")));
        }
    }
}
