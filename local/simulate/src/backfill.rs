//! Sketches of the backfill and the purge, which work beside the stream.

use std::sync::Arc;
use std::time::Duration;

use driftless::attribute::Item;
use driftless::change::{Change, ChangeKind, Content};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::outcome::Outcome;
use driftless::target::{Call, Position};
use driftless::time::Timestamp;
use driftless::version::{Generation, SequenceNumber, StreamLabel, Version};
use driftless::writer::ApplyOptions;
use tokio::time::{Instant, sleep};

use crate::guard::Guard;
use crate::index::Index;
use crate::process::Processes;
use crate::table::{image, keys as keys_of};
use crate::world::World;

/// Number of items that the backfill reads together.
const PAGE: usize = 3;
/// Age from which a tombstone may be purged: that of the last stale write that can arrive, with a margin for clocks.
pub(crate) const PURGE_AGE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const DEADLINE: Duration = Duration::from_millis(1_800);

/// Writes all items that the index lacks.
pub(crate) async fn backfill<I: Index>(processes: Arc<Processes<I>>, nth: u64) {
    let world = processes.world();
    let keys: Vec<u8> = world.table().items.keys().copied().collect();
    let mut process = processes.start(!world.stands(Guard::BackfillCreate));
    for (page, keys) in keys.chunks(PAGE).enumerate() {
        loop {
            let changes = read_page(world, keys);
            // Meanwhile, the items change behind the backfill's back.
            sleep(Duration::from_millis(world.chance(2_000 + nth, page as u64, 300))).await;
            let options = ApplyOptions {
                deadline: Instant::now() + DEADLINE,
                written_at: Timestamp::from_millis(world.clock.now_ms()),
            };
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
fn read_page<I: Index>(world: &World<I>, keys: &[u8]) -> Vec<Change> {
    let table = world.table();
    let items = keys.iter().filter_map(|key| table.items.get(key).map(|item| (*key, *item)));
    let version = backfill_version(world.stands(Guard::BackfillVersion));
    let change = |(key, item)| {
        let (image, keys) = (image(key, item), keys_of(key));
        let keys = Item::from_json(&keys).expect("the model's keys are keys");
        Change {
            id: DocumentId::from_keys(&keys, None).expect("the model's keys are keys"),
            version: version.clone(),
            event_time: None,
            kind: ChangeKind::Insert,
            content: Content::Document(Document::from_item(
                &Item::from_json(&image).expect("the model's items are items"),
            )),
        }
    };
    items.map(change).collect()
}

/// Deletes tombstones that are old enough. Finding them takes time, in which they may change.
pub(crate) async fn purge<I: Index>(world: Arc<World<I>>, nth: u64) {
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
async fn position<I: Index>(index: &I, id: &DocumentId) -> Option<Position> {
    let state = index.read(&[id], Call::until(Instant::now() + DEADLINE)).await.pop()?;
    state.ok().flatten().map(|stored| stored.position)
}

fn backfill_version(oldest: bool) -> Version {
    let (generation, year) = if oldest { (0, 1970) } else { (9, 2099) };
    let label = StreamLabel::from_arn(&format!("arn:aws:dynamodb:::table/T/stream/{year}-01-01T00:00:00"));
    let sequence = SequenceNumber::parse(if oldest { "0" } else { "9999999999999999999999" });
    Version::new(
        Generation(generation),
        &label.expect("a label in its form"),
        &sequence.expect("a sequence number in its form"),
    )
}
