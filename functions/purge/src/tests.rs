//! Guarantees of the purge, on a target in memory with scripted faults.

use std::time::Duration;

use driftless::change::{Change, ChangeKind, Content};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::function::Slice;
use driftless::memory::{Fault, MemoryTarget};
use driftless::target::{Call, Deleted, Documents, Listed};
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
    let writer = Writer::new(target.clone(), Generation::default());
    let document = Document::from_item(&driftless::attribute::Item::default());
    let change = Change {
        id: DocumentId::from_stored(id.to_owned()),
        version: Version::from_stored(format!("0000000001/{day}")),
        event_time: None,
        read_at: None,
        kind: ChangeKind::Modify,
        content: if is_tombstone { Content::Tombstone } else { Content::Document(document) },
    };
    let options = ApplyOptions {
        deadline: Instant::now() + Duration::from_secs(10),
        written_at: Timestamp::from_millis(day * DAY_MS),
    };
    writer.apply(&[change], options).await.expect("configured");
}

async fn run(target: &MemoryTarget, request: &PurgeRequest) -> PurgeReport {
    purge(target, request, slice(), Timestamp::from_millis(NOW_DAYS * DAY_MS)).await.expect("purged")
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
