//! Plays a schedule, and holds the promises against what came of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::backfill::PURGE_AGE;
use crate::guard::Missing;
use crate::index::{Index, ModelIndex};
use crate::letters::Letters;
use crate::schedule::{Act, EngineFault, Schedule};
use crate::table::Item;
use crate::world::{Armed, Broken, Counts, World};

/// Redrives after which letters count as stuck.
const REDRIVES: u32 = 20;
/// How long nothing happens when everything has settled: longer than tombstones are kept.
const QUIET: Duration = PURGE_AGE.saturating_add(Duration::from_secs(24 * 60 * 60));

/// What came of a schedule.
#[derive(Clone, Debug)]
pub struct Played {
    /// The first promise that was broken.
    pub broken: Option<Broken>,
    /// What it consisted of.
    pub counts: Counts,
    /// Everything observable, as one number: the same schedule gives the same.
    pub trace: u64,
    /// What the index shows in the end.
    pub visible: BTreeMap<String, String>,
    /// Everything observable, if asked for.
    pub lines: Vec<String>,
}

/// Plays a schedule on the model, in no time. Must not be called within a runtime.
#[must_use]
pub fn play(schedule: &Schedule, missing: Missing, verbose: bool) -> Played {
    missing.apply_to_core();
    fastrand::seed(schedule.seed);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime needs no resources");
    // What the function logs about faults on purpose is of no interest.
    let played = tracing::dispatcher::with_default(&tracing::Dispatch::none(), || {
        runtime.block_on(play_on(schedule, ModelIndex::new(missing), missing, verbose))
    });
    Missing::default().apply_to_core();
    played
}

/// Plays a schedule on any index, in the time of the runtime that this is called in.
pub async fn play_on<I: Index>(schedule: &Schedule, index: I, missing: Missing, verbose: bool) -> Played {
    LocalSet::new().run_until(play_all(schedule, index, missing, verbose)).await
}

async fn play_all<I: Index>(schedule: &Schedule, index: I, missing: Missing, verbose: bool) -> Played {
    let world = World::new(schedule, index, missing, verbose);
    let mut player = Player { world: Arc::clone(&world), activities: 0, oldest_year: 2026 };
    world.add_mapping(0);
    for step in &schedule.steps {
        sleep(Duration::from_millis(step.after_ms.into())).await;
        player.act(&step.act).await;
    }
    let visible = player.close().await;
    // The processes hold the world that holds them.
    world.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let (trace, lines) = world.trace();
    let mut state = world.state();
    let changes = state.ledger.len() as u64;
    state.counts.add("changes", changes);
    Played { broken: state.broken.clone(), counts: std::mem::take(&mut state.counts), trace, visible, lines }
}

struct Player<I> {
    world: Arc<World<I>>,
    activities: u64,
    /// The year of the label that sorts first.
    oldest_year: usize,
}

impl<I: Index> Player<I> {
    async fn act(&mut self, act: &Act) {
        let world = Arc::clone(&self.world);
        world.note(format_args!("{act:?}"));
        match act {
            Act::Put { key, number, poison } => self.put(*key, Item { number: *number, poison: *poison }),
            Act::Delete { key } => self.delete(*key),
            Act::Split => world.state().table.split(),
            Act::RecreateStream => self.recreate_stream(2026),
            Act::RaiseGeneration => self.raise_generation().await,
            Act::SecondMapping => {
                let newest = world.state().table.streams.len() - 1;
                world.add_mapping(newest);
            }
            Act::Backfill => world.spawn(Arc::clone(&world).backfill(self.next_activity())),
            Act::Purge => world.spawn(Arc::clone(&world).purge(self.next_activity())),
            Act::Redrive => world.spawn(Arc::clone(&world).redrive(false)),
            Act::Mend => world.index.mend().await,
            Act::FailOver => world.fail_over(),
            Act::Close { for_ms } => world.close_index(Duration::from_millis((*for_ms).into())),
            Act::Settle => {
                self.settle().await;
                world.skip(QUIET);
                world.state().table.trim();
                self.resume();
            }
            Act::Redeliver { batches } => world.state().armed.redeliveries.push_back(*batches),
            fault => arm(&mut world.state().armed, fault),
        }
        world.changed.send_replace(());
    }

    fn next_activity(&mut self) -> u64 {
        self.activities += 1;
        self.activities
    }

    fn put(&self, key: u8, item: Item) {
        let at_s = self.world.now_ms() / 1_000;
        let mut state = self.world.state();
        let written = state.table.put(key, item, at_s);
        state.ledger.log(written);
    }

    fn delete(&self, key: u8) {
        let at_s = self.world.now_ms() / 1_000;
        let mut state = self.world.state();
        if let Some(written) = state.table.delete(key, at_s) {
            state.ledger.log(written);
        }
    }

    fn recreate_stream(&self, year: usize) {
        let newest = {
            let mut state = self.world.state();
            state.table.add_stream(year);
            state.table.streams.len() - 1
        };
        self.world.add_mapping(newest);
    }

    /// The old mapping must be done, and its letters without a record redriven: what is read from the stream counts as
    /// the new generation's. Letters with a record may stay.
    async fn raise_generation(&mut self) {
        self.drain().await;
        self.world.state().armed = Armed::default();
        self.redrive_until(|letters| !letters.has_range()).await;
        self.oldest_year -= 1;
        // The new deployment's processes take the place of the old one's.
        self.world.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        {
            let mut state = self.world.state();
            state.generation += 1;
            state.mappings.clear();
        }
        self.recreate_stream(self.oldest_year);
    }

    /// Waits until nothing is under way; by then, every change must be accounted for.
    async fn drain(&self) {
        self.world.drain().await;
        let lost = {
            let state = self.world.state();
            let lost = state.ledger.open().find(|&change| !state.letters.name(change));
            lost.map(|change| state.ledger.describe(change))
        };
        if let Some(lost) = lost {
            self.world.break_promise(Broken::Lost(format!("{lost} is in neither index nor queue")));
        }
    }

    /// Drains the stream, mends what was wrong, and redrives all letters.
    async fn settle(&mut self) {
        self.drain().await;
        let world = &self.world;
        world.state().armed = Armed::default();
        world.index.mend().await;
        self.redrive_until(|letters| letters.letters.is_empty()).await;
        self.drain().await;
    }

    /// Redrives until the queue is as it should be.
    async fn redrive_until(&self, done: impl Fn(&Letters) -> bool) {
        for _ in 0..REDRIVES {
            if done(&self.world.state().letters) {
                return;
            }
            self.world.spawn(Arc::clone(&self.world).redrive(true));
            self.world.drain().await;
            // Letters that a redrive has left behind come back.
            sleep(Duration::from_secs(1)).await;
        }
        self.world.break_promise(Broken::Blocked(format!("letters stay after {REDRIVES} redrives")));
    }

    /// The mappings of the newest stream read on.
    fn resume(&self) {
        let resumed: Vec<usize> = {
            let mut state = self.world.state();
            let newest = state.table.streams.len() - 1;
            state.mappings.retain(|places| places.stream == newest);
            (0..state.mappings.len()).collect()
        };
        for number in resumed {
            self.world.resume_mapping(number);
        }
    }

    /// Brings everything to its end, and compares.
    async fn close(&mut self) -> BTreeMap<String, String> {
        self.settle().await;
        let world = Arc::clone(&self.world);
        if !world.state().backfilled {
            world.spawn(Arc::clone(&world).backfill(self.next_activity()));
            world.drain().await;
        }
        let shown = world.index.visible().await;
        let expected = world.state().table.documents();
        if let Some(difference) = difference(&expected, &shown) {
            world.break_promise(Broken::Differs(difference));
        }
        shown
    }
}

fn difference(expected: &BTreeMap<String, String>, shown: &BTreeMap<String, String>) -> Option<String> {
    let mut ids = expected.keys().chain(shown.keys());
    let id = ids.find(|id| expected.get(*id) != shown.get(*id))?;
    let of = |documents: &BTreeMap<String, String>| documents.get(id).map_or("nothing", String::as_str).to_owned();
    Some(format!("{id}: the table has {}, the index shows {}", of(expected), of(shown)))
}

fn arm(armed: &mut Armed, fault: &Act) {
    let push = |faults: &mut VecDeque<EngineFault>, fault| faults.push_back(fault);
    match fault {
        // Only reads can be outdated.
        Act::Write(EngineFault::Outdated) => push(&mut armed.reads, EngineFault::Outdated),
        Act::Write(fault) => push(&mut armed.writes, *fault),
        Act::Read(fault) => push(&mut armed.reads, *fault),
        Act::Outage { for_ms } => {
            armed.outage_until = Some(Instant::now() + Duration::from_millis((*for_ms).into()));
        }
        Act::CrashBefore => armed.crashes_before += 1,
        Act::CrashAfter => armed.crashes_after += 1,
        Act::Send(fault) => armed.sends.push_back(*fault),
        Act::ReceiveTwice => armed.received_twice += 1,
        Act::Reappear => armed.reappearances += 1,
        Act::UnreadableRange => armed.unreadable_ranges += 1,
        Act::LoseAnswer => armed.lost_answers += 1,
        _ => {}
    }
}
