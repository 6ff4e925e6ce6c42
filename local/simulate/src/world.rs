//! World of a run: its services, clock, faults and log, and the promises that are checked while it goes on.
//!
//! Each actor (processes, mappings, redrives, the backfill) has a file of its own, and the world knows none of them.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driftless::change::ReadOptions;
use driftless::version::Generation;
use driftless_harness::mapping::record::StreamRecord;

use crate::activities::Activities;
use crate::chance::chance;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::guard::{Guard, Missing};
use crate::index::SimulatedIndex;
use crate::ledger::{Ledger, Ordinal};
use crate::log::{Closed, Log};
use crate::messages::Messages;
use crate::promise::Broken;
use crate::schedule::{RunSettings, Schedule};
use crate::table::ModelTable;

/// Time after which a stream that has not drained counts as blocked.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);

/// Everything that those who act in a run share.
pub(crate) struct World<I> {
    pub(crate) index: I,
    pub(crate) scenario: RunSettings,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) activities: Activities,
    missing: Missing,
    seed: u64,
    generation: AtomicU32,
    table: Mutex<ModelTable>,
    ledger: Mutex<Ledger>,
    messages: Mutex<Messages>,
    log: Log,
}

impl<I: SimulatedIndex> World<I> {
    pub(crate) fn new(schedule: &Schedule, index: I, missing: Missing, verbose: bool) -> Arc<Self> {
        Arc::new(Self {
            index,
            scenario: schedule.scenario.clone(),
            clock: Clock::start(),
            faults: Faults::default(),
            activities: Activities::new(),
            missing,
            seed: schedule.seed,
            generation: AtomicU32::new(1),
            table: Mutex::new(ModelTable::new(&schedule.initial, schedule.scenario.kinesis)),
            ledger: Mutex::default(),
            messages: Mutex::default(),
            log: Log::new(verbose),
        })
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, ModelTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stands(&self, guard: Guard) -> bool {
        self.missing.stands(guard)
    }

    /// Returns the generation in the functions' settings.
    pub(crate) fn generation(&self) -> Generation {
        match self.stands(Guard::Generation) {
            true => Generation(self.generation.load(Ordering::Relaxed)),
            false => Generation::default(),
        }
    }

    pub(crate) fn raise_generation(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reading(&self) -> ReadOptions {
        ReadOptions { generation: self.generation(), ..ReadOptions::default() }
    }

    /// Returns a pseudo-random number below `end`, from the seed, the caller and its number of calls.
    pub(crate) fn chance(&self, who: u64, nth: u64, end: u64) -> u64 {
        chance(self.seed, who, nth) % end
    }

    /// Notes an observable event.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        self.log.note(self.clock.elapsed_ms(), what);
    }

    pub(crate) fn count(&self, what: &'static str, number: u64) {
        self.log.count(what, number);
    }

    /// Notes a broken promise. The first one is kept.
    pub(crate) fn break_promise(&self, broken: Broken) {
        self.note(format_args!("BROKEN {broken}"));
        self.log.keep(broken);
    }

    /// Ends the log, and returns it.
    pub(crate) fn close_log(&self) -> Closed {
        self.count("changes", self.ledger().len() as u64);
        self.log.close()
    }

    /// Promotes a copy of the index.
    pub(crate) fn fail_over(&self) {
        self.index.fail_over();
        self.count("failovers", 1);
    }

    /// Closes the index for a while.
    pub(crate) fn close_index(self: &Arc<Self>, time: Duration) {
        self.index.set_closed(true);
        self.count("closed indices", 1);
        let world = Arc::clone(self);
        self.activities.spawn(async move {
            tokio::time::sleep(time).await;
            world.index.set_closed(false);
        });
    }

    /// Waits until everything is delivered or given up, and nothing is under way.
    pub(crate) async fn drain(&self) {
        let on_panic = |panic| self.break_promise(Broken::Panicked(panic));
        if !self.activities.drain(DRAIN_LIMIT, on_panic).await {
            self.break_promise(Broken::Blocked(format!("the stream is not drained after {DRAIN_LIMIT:?}")));
        }
    }

    /// Returns the changes of records.
    pub(crate) fn ordinals(&self, records: &[StreamRecord]) -> Vec<Ordinal> {
        let ledger = self.ledger();
        records.iter().filter_map(|record| ledger.ordinal(record.sequence_number().as_str())).collect()
    }

    /// Stores a message in the queue, and checks that nothing is rejected without need.
    pub(crate) fn store_message(&self, body: String, changes: Vec<Ordinal>, has_record: bool) {
        self.note(format_args!("{} for {changes:?}", if has_record { "dead letter" } else { "on-failure message" }));
        self.count(if has_record { "dead letters" } else { "on-failure messages" }, 1);
        let needless = {
            let mut ledger = self.ledger();
            ledger.note_message(&changes, has_record);
            let needless = changes.iter().find(|change| has_record && !ledger.is_poison(**change));
            needless.map(|change| ledger.describe(*change))
        };
        self.messages().store(body, changes, has_record);
        if let Some(needless) = needless {
            self.break_promise(Broken::NeedlessDeadLetter(needless));
        }
    }

    /// Checks changes that leave the stream, or whose message leaves the queue. Each must have been in the index by
    /// then, or be accounted for otherwise.
    pub(crate) fn check_out(&self, changes: &[Ordinal], otherwise: impl Fn(&Ledger, Ordinal) -> bool, how: &str) {
        let lost = {
            let ledger = self.ledger();
            let lost = changes.iter().find(|change| !ledger.is_settled(**change) && !otherwise(&ledger, **change));
            lost.map(|change| ledger.describe(*change))
        };
        if let Some(lost) = lost {
            self.break_promise(Broken::Lost(format!("{lost} {how}")));
        }
    }
}
