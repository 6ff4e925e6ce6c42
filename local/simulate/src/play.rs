//! Player of a schedule, which checks the promises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::backfill::{PURGE_AGE, backfill, purge, repair};
use crate::counts::EventCounts;
use crate::guard::Missing;
use crate::index::{self, SimulatedIndex};
use crate::kinesis_way;
use crate::log::Closed;
use crate::mapping::Mappings;
use crate::messages::Messages;
use crate::process::Processes;
use crate::promise::Broken;
use crate::redrive::redrive;
use crate::schedule::{Act, Schedule};
use crate::table::{ItemContent, WrittenChange};
use crate::world::World;

/// Number of redrives after which messages count as stuck.
const REDRIVES: u32 = 20;
/// Time without events after everything has settled: more than the age at which tombstones are purged.
const QUIET: Duration = PURGE_AGE.saturating_add(Duration::from_secs(24 * 60 * 60));

/// Result of a schedule.
#[derive(Clone, Debug)]
pub struct Played {
    /// First broken promise, if any.
    pub broken: Option<Broken>,
    /// Numbers of its events.
    pub counts: EventCounts,
    /// Hash of everything observable. The same schedule gives the same hash.
    pub trace: u64,
    /// Documents that the index shows in the end.
    pub visible: BTreeMap<String, String>,
    /// Lines of everything observable, if asked for.
    pub lines: Vec<String>,
}

/// Plays a schedule on the model, in virtual time. Must not be called within a runtime.
#[must_use]
pub fn play(schedule: &Schedule, missing: Missing, verbose: bool) -> Played {
    fastrand::seed(schedule.seed);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime needs no resources");
    // The functions log the faults that are made on purpose.
    tracing::dispatcher::with_default(&tracing::Dispatch::none(), || {
        runtime.block_on(play_on(schedule, index::model(), missing, verbose))
    })
}

/// Plays a schedule on any index, in the present runtime's time.
pub async fn play_on<I: SimulatedIndex>(schedule: &Schedule, index: I, missing: Missing, verbose: bool) -> Played {
    LocalSet::new().run_until(play_all(schedule, index, missing, verbose)).await
}

async fn play_all<I: SimulatedIndex>(schedule: &Schedule, index: I, missing: Missing, verbose: bool) -> Played {
    let world = World::new(schedule, index, missing, verbose);
    let mut player = Player::new(Arc::clone(&world), schedule.initial.is_empty());
    player.mappings.add(0);
    for step in &schedule.steps {
        sleep(Duration::from_millis(step.after_ms.into())).await;
        player.perform(&step.act).await;
    }
    let visible = player.close().await;
    let Closed { counts, broken, trace, lines } = world.close_log();
    Played { broken, counts, trace, visible, lines }
}

struct Player<I> {
    world: Arc<World<I>>,
    processes: Arc<Processes<I>>,
    mappings: Arc<Mappings<I>>,
    /// Number of backfills and purges that were begun.
    activities: u64,
    /// True once all items from before the stream are in the index.
    backfilled: Arc<AtomicBool>,
    /// Number of messages that were discarded.
    discarded: u64,
    /// Number of messages that were discarded before a repair of all documents.
    repaired: Arc<AtomicU64>,
    /// Year of the label that sorts first.
    oldest_year: usize,
}

impl<I: SimulatedIndex> Player<I> {
    fn new(world: Arc<World<I>>, backfilled: bool) -> Self {
        let processes = Processes::new(Arc::clone(&world));
        let mappings = Mappings::new(Arc::clone(&processes));
        let backfilled = Arc::new(AtomicBool::new(backfilled));
        let repaired = Arc::default();
        Self { world, processes, mappings, activities: 0, backfilled, discarded: 0, repaired, oldest_year: 2026 }
    }

    async fn perform(&mut self, act: &Act) {
        let world = Arc::clone(&self.world);
        world.note(format_args!("{act:?}"));
        match act {
            Act::Put { key, number, poison } => self.put(*key, ItemContent { number: *number, poison: *poison }),
            Act::Delete { key } => self.delete(*key),
            Act::Split => world.table().split(),
            Act::Merge => world.table().merge(),
            Act::SwitchPrecision => world.table().switch_precision(),
            Act::AddSource => world.table().add_source(2026),
            Act::SwitchSource => self.switch_source().await,
            Act::RecreateStream => self.recreate_stream(2026),
            Act::RaiseGeneration => self.raise_generation().await,
            Act::SecondMapping => self.mappings.add(world.table().newest()),
            Act::Backfill => self.backfill(),
            Act::Purge => world.activities.spawn(purge(Arc::clone(&world), self.next_activity())),
            Act::Redrive => self.redrive(false),
            Act::Discard => self.discard(),
            Act::Repair => self.repair(),
            Act::Mend => world.index.mend().await,
            Act::FailOver => world.fail_over(),
            Act::Close { for_ms } => world.close_index(Duration::from_millis((*for_ms).into())),
            Act::Settle => {
                self.settle().await;
                world.clock.skip(QUIET);
                world.table().trim();
                self.mappings.resume(world.table().newest());
            }
            fault => world.faults.add(fault),
        }
        world.activities.notify();
    }

    fn next_activity(&mut self) -> u64 {
        self.activities += 1;
        self.activities
    }

    fn put(&self, key: u8, item: ItemContent) {
        let now_ms = self.world.clock.now_ms();
        let written = self.world.table().put(key, item, now_ms);
        self.log(written);
    }

    /// Notes a change, and sends it on its way into Kinesis if it is to go there.
    fn log(&self, mut written: WrittenChange) {
        let puts = std::mem::take(&mut written.kinesis);
        let ordinal = self.world.ledger().log(written);
        for change in puts {
            kinesis_way::put(&self.world, change, ordinal);
        }
    }

    fn delete(&self, key: u8) {
        let now_ms = self.world.clock.now_ms();
        let written = self.world.table().delete(key, now_ms);
        if let Some(written) = written {
            self.log(written);
        }
    }

    fn recreate_stream(&self, year: usize) {
        self.world.table().replace_stream(year);
        self.mappings.add(self.world.table().newest());
    }

    fn backfill(&mut self) {
        let (processes, nth) = (Arc::clone(&self.processes), self.next_activity());
        let backfilled = Arc::clone(&self.backfilled);
        self.world.activities.spawn(async move {
            backfill(processes, nth).await;
            backfilled.store(true, Ordering::Relaxed);
        });
    }

    fn discard(&mut self) {
        let discarded = self.world.messages().discard_newest();
        if let Some(changes) = discarded {
            self.world.ledger().discard(&changes);
            self.world.note(format_args!("discarded {changes:?}"));
            self.world.count("discarded messages", 1);
            self.discarded += 1;
        }
    }

    fn repair(&mut self) {
        let (processes, nth) = (Arc::clone(&self.processes), self.next_activity());
        let (repaired, discarded) = (Arc::clone(&self.repaired), self.discarded);
        self.world.activities.spawn(async move {
            if repair(processes, nth).await {
                repaired.fetch_max(discarded, Ordering::Relaxed);
            }
        });
    }

    fn redrive(&self, is_named: bool) {
        self.world.activities.spawn(redrive(Arc::clone(&self.processes), is_named));
    }

    /// Raises the generation, once the old mapping is done and its on-failure messages are redriven. A record that is
    /// read from the stream later would count as the new generation's. Dead letters, which hold their record, may stay.
    async fn raise_generation(&mut self) {
        self.deploy_raised_generation().await;
        self.recreate_stream(self.oldest_year);
    }

    /// Replaces the source by the other kind, under a raised generation. If both were enabled for a while, the new one
    /// repeats what the old one has brought since.
    async fn switch_source(&mut self) {
        self.deploy_raised_generation().await;
        self.world.count("switches of the source", 1);
        self.world.table().switch_source(self.oldest_year);
        self.world.ledger().forget_acknowledged();
        self.mappings.add(self.world.table().newest());
    }

    async fn deploy_raised_generation(&mut self) {
        self.drain().await;
        self.world.faults.clear();
        self.redrive_until(|messages| !messages.has_range()).await;
        self.oldest_year -= 1;
        // The new deployment's processes take the place of the old one's.
        self.processes.end_idle();
        self.world.raise_generation();
        self.mappings.forget();
    }

    /// Waits until nothing is under way. By then, every change must be accounted for.
    async fn drain(&self) {
        self.world.drain().await;
        let lost = {
            let (ledger, messages) = (self.world.ledger(), self.world.messages());
            let lost = ledger.open().find(|&change| !messages.names(change));
            lost.map(|change| ledger.describe(change))
        };
        if let Some(lost) = lost {
            self.world.break_promise(Broken::Lost(format!("{lost} is in neither index nor queue")));
        }
    }

    /// Drains the stream, mends the index, and redrives all messages.
    async fn settle(&mut self) {
        self.drain().await;
        self.world.faults.clear();
        self.world.index.mend().await;
        self.redrive_until(Messages::is_empty).await;
        self.drain().await;
    }

    /// Redrives until `done` accepts the queue.
    async fn redrive_until(&self, done: impl Fn(&Messages) -> bool) {
        for _ in 0..REDRIVES {
            if done(&self.world.messages()) {
                return;
            }
            self.redrive(true);
            self.world.drain().await;
            // Messages that a redrive has left behind reappear.
            sleep(Duration::from_secs(1)).await;
        }
        self.world.break_promise(Broken::Blocked(format!("messages stay after {REDRIVES} redrives")));
    }

    /// Ends everything that is under way, and compares index and table.
    async fn close(&mut self) -> BTreeMap<String, String> {
        self.settle().await;
        let world = Arc::clone(&self.world);
        if !self.backfilled.load(Ordering::Relaxed) {
            self.backfill();
            world.drain().await;
        }
        if self.repaired.load(Ordering::Relaxed) < self.discarded {
            self.repair();
            world.drain().await;
        }
        let shown = world.index.visible().await;
        let expected = world.table().documents();
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
