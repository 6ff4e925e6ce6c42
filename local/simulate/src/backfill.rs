//! The backfill, the repair and the purge, which work beside the stream.

use std::sync::Arc;
use std::time::Duration;

use driftless::attribute::Item;
use driftless::change::{Change, ChangeKind, Content};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::outcome::Outcome;
use driftless::replication::Replication;
use driftless::target::{Call, Position};
use driftless::time::Timestamp;
use driftless::version::{Generation, SequenceNumber, StreamLabel, Version};
use driftless::writer::ApplyOptions;
use driftless::writer::repair::RepairOptions;
use tokio::time::{Instant, sleep};

use crate::guard::Guard;
use crate::index::SimulatedIndex;
use crate::items::{MOST_KEYS, ModelItems, clock, identified};
use crate::process::Processes;
use crate::table::image;
use crate::world::World;

/// Number of items that the backfill reads together.
const PAGE: usize = 3;
/// Age from which a tombstone may be purged: that of the last stale write that can arrive, with a margin for clocks.
pub(crate) const PURGE_AGE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const DEADLINE: Duration = Duration::from_millis(1_800);

/// Writes all items that the index lacks.
pub(crate) async fn backfill<I: SimulatedIndex>(processes: Arc<Processes<I>>, nth: u64) {
    let world = processes.world();
    let keys: Vec<u8> = world.table().items.keys().copied().collect();
    let mut process = processes.start(!world.stands(Guard::BackfillCreate));
    for (page, keys) in keys.chunks(PAGE).enumerate() {
        loop {
            let changes = read_page(world, keys);
            // Meanwhile, the items change behind the backfill's back.
            sleep(Duration::from_millis(world.chance(2_000 + nth, page as u64, 300))).await;
            let options = ApplyOptions::new(Instant::now() + DEADLINE, Timestamp::from_millis(world.clock.now_ms()));
            let report = tokio::select! {
                biased;
                () = process.killed.notified() => None,
                report = process.writer.apply(&changes, options) => Some(report),
            };
            match report {
                Some(Ok(report)) if !report.outcomes.iter().any(|end| matches!(end, Outcome::Failed(_))) => break,
                Some(_) => {}
                None => process = processes.start(!world.stands(Guard::BackfillCreate)),
            }
        }
    }
    world.note(format_args!("backfilled {} items", keys.len()));
}

/// Reads items of the table as changes that are older than every change of a stream.
fn read_page<I: SimulatedIndex>(world: &World<I>, keys: &[u8]) -> Vec<Change> {
    let table = world.table();
    let items = keys.iter().filter_map(|key| table.items.get(key).map(|item| (*key, *item)));
    let version = backfill_version(world);
    let read_at = Some(clock(world, 2));
    let change = |(key, item)| {
        let (image, (id, _)) = (image(key, item), identified(key));
        world.ledger().note_read(id.as_str());
        Change {
            id,
            version: version.clone(),
            event_time: None,
            read_at,
            kind: ChangeKind::Insert,
            content: Content::Document(Document::from_item(
                &Item::from_json(&image).expect("the model's items are items"),
            )),
        }
    };
    items.map(change).collect()
}

/// Makes every document equal to its item. Returns `true` if the engine took all of them.
///
/// Minutes pass before: a repair decides only on changes that are older than its margin.
pub(crate) async fn repair<I: SimulatedIndex>(processes: Arc<Processes<I>>, nth: u64) -> bool {
    let world = processes.world();
    // Longer than a write is on its way to the copies, so that each such write sees one leap of the clock at most.
    sleep(Duration::from_secs(2)).await;
    world.clock.skip(Duration::from_secs(120 + world.chance(8_000, nth, 60)));
    let documents: Vec<_> = (0..MOST_KEYS).map(identified).map(|(id, key)| (id, Some(key))).collect();
    let mut process = processes.start(false);
    loop {
        let now = || clock(world, nth);
        let options =
            RepairOptions { deadline: Instant::now() + DEADLINE, now: &now, replication: &Replication::default() };
        let items = ModelItems::new(world);
        let report = tokio::select! {
            biased;
            () = process.killed.notified() => None,
            report = process.writer.repair(&items, &documents, options) => Some(report),
        };
        match report {
            Some(Ok(report)) if !report.outcomes.iter().any(|end| matches!(end, Outcome::Failed(_))) => {
                world.count("repairs", 1);
                world.note(format_args!("repaired"));
                return !report.outcomes.iter().any(|end| matches!(end, Outcome::Rejected(_)));
            }
            Some(_) => sleep(Duration::from_millis(100)).await,
            None => process = processes.start(false),
        }
    }
}

/// Deletes tombstones that are old enough. Finding them takes time, in which they may change.
pub(crate) async fn purge<I: SimulatedIndex>(world: Arc<World<I>>, nth: u64) {
    let age = if world.stands(Guard::PurgeAge) { PURGE_AGE } else { Duration::ZERO };
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let now_ms = world.clock.now_ms();
    let found = world.index.tombstones().await;
    let old = found.into_iter().filter(|tombstone| tombstone.written_at.as_millis() + age_ms <= now_ms);
    for (at, tombstone) in old.enumerate() {
        sleep(Duration::from_millis(world.chance(3_000 + nth, at as u64, 200))).await;
        let state = match world.stands(Guard::PurgeAtomic) {
            true => Some(tombstone.position),
            false => position(&world.index, &tombstone.id).await,
        };
        if let Some(state) = state {
            world.index.delete(&tombstone.id, state).await;
        }
        world.note(format_args!("purged {}", tombstone.id));
        world.count("purged tombstones", 1);
    }
}

/// Reads the present state of a document.
async fn position<I: SimulatedIndex>(index: &I, id: &DocumentId) -> Option<Position> {
    let state = index.read(&[id], Call::until(Instant::now() + DEADLINE)).await.pop()?;
    state.ok().flatten().map(|stored| stored.position)
}

fn backfill_version<I: SimulatedIndex>(world: &World<I>) -> Version {
    if world.stands(Guard::BackfillVersion) {
        return Version::lowest(world.generation());
    }
    let label = StreamLabel::from_arn("arn:aws:dynamodb:::table/T/stream/2099-01-01T00:00:00");
    let sequence = SequenceNumber::parse("9999999999999999999999");
    Version::new(Generation(9), &label.expect("a label in its form"), &sequence.expect("a number in its form"))
}
