//! Guarantees of the purge, on a target in memory with scripted faults.

use std::time::Duration;

use driftless::change::{Change, ChangeKind, Content};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::function::Slice;
use driftless::memory::{Fault, MemoryTarget};
use driftless::target::{Call, Deleted, Documents, Listed, Target as _};
use driftless::time::Timestamp;
use driftless::version::{Generation, Version};
use driftless::writer::{ApplyOptions, Writer};
use tokio::time::Instant;

use crate::purge::purge;
use crate::report::PurgeReport;
use crate::request::PurgeRequest;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const NOW_DAYS: u64 = 100;

fn slice() -> Slice {
    Slice::until(Instant::now() + Duration::from_secs(600))
}

/// Writes a tombstone, or a document, on a day.
async fn write(target: &MemoryTarget, id: &str, day: u64, is_tombstone: bool) {
    let document = Document::from_item(&driftless::attribute::Item::default());
    let content = if is_tombstone { Content::Tombstone } else { Content::Document(document) };
    write_content(target, id, day, content).await;
}

/// Writes the document of an item that expired on a day, on the same day.
async fn write_expired(target: &MemoryTarget, id: &str, day: u64) {
    let document = Document::from_item(&driftless::attribute::Item::default());
    let expired_at = Timestamp::from_millis(day * DAY_MS);
    write_content(target, id, day, Content::Expired { document, expired_at }).await;
}

async fn write_content(target: &MemoryTarget, id: &str, day: u64, content: Content) {
    let writer = Writer::new(target.clone(), Generation::default());
    let change = Change {
        id: DocumentId::from_stored(id.to_owned()),
        version: Version::from_stored(format!("0000000001/{day}")),
        event_time: Some(Timestamp::from_millis(day * DAY_MS)),
        read_at: None,
        kind: ChangeKind::Modify,
        content,
    };
    let options = ApplyOptions::new(Instant::now() + Duration::from_secs(10), Timestamp::from_millis(day * DAY_MS));
    writer.apply(&[change], options).await.expect("configured");
}

async fn run(target: &MemoryTarget, request: &PurgeRequest) -> PurgeReport {
    purge(target, request, None, slice(), Timestamp::from_millis(NOW_DAYS * DAY_MS)).await.expect("purged")
}

fn ids(target: &MemoryTarget) -> Vec<String> {
    target.documents().keys().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn only_old_tombstones_are_purged() {
    let target = MemoryTarget::default();
    write(&target, "old", 83, true).await;
    write(&target, "young", 85, true).await;
    write(&target, "document", 10, false).await;
    target.put_foreign("foreign");
    let report = run(&target, &PurgeRequest::default()).await;
    assert_eq!(report, PurgeReport { found: 1, purged: 1, done: true, ..PurgeReport::default() });
    assert_eq!(ids(&target), ["document", "foreign", "young"]);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_was_written_since_stays() {
    let target = MemoryTarget::default();
    write(&target, "a", 10, true).await;
    let found = target.list(Listed::TombstonesBefore(Timestamp::from_millis(20 * DAY_MS)), 0, Instant::now()).await;
    write(&target, "a", 11, false).await;
    let found = found.expect("listed").found;
    let deleted = Documents::delete(&target, &found, Call::until(Instant::now())).await;
    assert_eq!(deleted, [Ok(Deleted::Moved)]);
    assert_eq!(ids(&target), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_page_by_page_and_stops_at_the_maximum() {
    let target = MemoryTarget::default();
    for n in 0..25 {
        write(&target, &format!("k{n}"), 1, true).await;
    }
    target.set_page_size(10);
    let report = run(&target, &PurgeRequest { max: 12, ..PurgeRequest::default() }).await;
    assert_eq!((report.found, report.purged, report.done), (12, 12, false));
    let report = run(&target, &PurgeRequest::default()).await;
    assert_eq!((report.found, report.purged, report.done), (13, 13, true));
}

#[tokio::test(start_paused = true)]
async fn a_busy_engine_is_waited_out_and_a_lasting_outage_is_reported() {
    let target = MemoryTarget::default();
    write(&target, "a", 1, true).await;
    target.fail_writes([Fault::Status(429), Fault::Status(503)]);
    assert_eq!(run(&target, &PurgeRequest::default()).await.purged, 1);
    write(&target, "b", 1, true).await;
    target.fail_writes(std::iter::repeat_n(Fault::Status(503), 10_000));
    let report = run(&target, &PurgeRequest::default()).await;
    assert_eq!((report.failed, report.done), (1, false));
}

async fn retained(target: &MemoryTarget, days: u64, now_days: u64) -> PurgeReport {
    let now = Timestamp::from_millis(now_days * DAY_MS);
    purge(target, &PurgeRequest::default(), Some(days * DAY_MS), slice(), now).await.expect("purged")
}

#[tokio::test(start_paused = true)]
async fn the_document_of_an_expired_item_becomes_a_tombstone_after_its_retention() {
    let target = MemoryTarget::default();
    write_expired(&target, "old", 60).await;
    write_expired(&target, "young", 75).await;
    write(&target, "document", 10, false).await;
    assert_eq!(run(&target, &PurgeRequest::default()).await.found, 0, "without a retention they stay");
    let report = retained(&target, 30, NOW_DAYS).await;
    assert_eq!(report, PurgeReport { found: 1, expired: 1, done: true, ..PurgeReport::default() });
    let old = target.documents().remove(&DocumentId::from_stored("old".to_owned())).expect("a tombstone");
    assert!(old.is_tombstone(), "an older change may still be on its way");
    assert_eq!(old.version, Some(Version::from_stored("0000000001/60".to_owned())), "and is stale by its version");
    assert_eq!(old.written_at, Some(Timestamp::from_millis(NOW_DAYS * DAY_MS)));
    let state = target.read(&[&DocumentId::from_stored("old".to_owned())], Call::until(Instant::now())).await.remove(0);
    let event_time = state.expect("a read").expect("a tombstone").event_time;
    assert_eq!(event_time, None, "verify would take the expiry's age for the stream's lag");
    assert_eq!(retained(&target, 30, NOW_DAYS + 1).await.found, 0, "the tombstone ages from its own write on");
    let report = retained(&target, 30, NOW_DAYS + 17).await;
    assert_eq!((report.purged, report.expired), (1, 1));
    assert_eq!(ids(&target), ["document", "young"]);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_was_put_again_since_keeps_its_document() {
    let target = MemoryTarget::default();
    write_expired(&target, "a", 10).await;
    let all = Listed::ExpiredBefore(Timestamp::from_millis(NOW_DAYS * DAY_MS));
    let found = target.list(all, 0, Instant::now()).await.expect("listed").found;
    write(&target, "a", 11, false).await;
    let mut report = PurgeReport::default();
    let now = Timestamp::from_millis(NOW_DAYS * DAY_MS);
    crate::expired::end_expired(&target, &found, now, slice().deadline, &mut report).await.expect("written");
    assert_eq!((report.moved, report.expired), (1, 0));
    assert_eq!(target.visible().len(), 1);
    write_expired(&target, "b", 10).await;
    target.fail_writes([Fault::Status(429)]);
    target.fail_reads([Fault::Status(503)]);
    assert_eq!(retained(&target, 30, NOW_DAYS).await.expired, 1, "a busy engine is waited out");
}
