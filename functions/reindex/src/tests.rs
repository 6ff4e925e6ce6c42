//! Tests of the gate, and of the tombstones' copy on memory.

use std::time::Duration;

use driftless::change::{Change, ChangeKind, Content};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::function::Slice;
use driftless::memory::MemoryTarget;
use driftless::opensearch::{ReindexRecord, Shadowed, SourceProof, Verified};
use driftless::outcome::Outcome;
use driftless::time::Timestamp;
use driftless::version::{Generation, Version};
use driftless::writer::{ApplyOptions, Writer};
use tokio::time::Instant;

use crate::gate::gate;
use crate::report::TombstoneCounts;
use crate::tombstones::{copied, copy};

#[test]
fn the_gate_names_what_is_missing_first() {
    let at = Timestamp::from_millis(1);
    let verified = |differences| Some(Verified { at, items: 9, differences });
    let shadow = |different| Some(Shadowed { at, searches: 3, different });
    let mut record = ReindexRecord::default();
    let refused = |record: &ReindexRecord| gate(record, &[]).expect_err("refused");
    assert!(refused(&record).contains("tombstones"));
    record.tombstones_copied_at = Some(at);
    assert!(refused(&record).contains("not verified"));
    record.verified = verified(2);
    assert!(refused(&record).contains("2 differences in 9 items"));
    record.verified = verified(0);
    assert!(refused(&record).contains("no search was compared"));
    record.shadow = shadow(1);
    assert!(refused(&record).contains("1 of 3 searches"));
    record.shadow = shadow(0);
    assert_eq!(gate(&record, &[]), Ok(()));
    // Another table that shares the index has to be proved, too.
    let sources = ["orders".to_owned(), "notes".to_owned()];
    let proof = SourceProof { tombstones_copied_at: Some(at), verified: verified(0) };
    record.sources.insert("orders".to_owned(), proof);
    let missing = gate(&record, &sources).expect_err("refused");
    assert!(missing.contains("the table `notes`") && missing.contains("tombstones"), "{missing}");
    record.sources.insert("notes".to_owned(), proof);
    assert_eq!(gate(&record, &sources), Ok(()));
}

fn change(id: &str, sequence: u64, content: Content) -> Change {
    let kind = if content == Content::Tombstone { ChangeKind::Remove } else { ChangeKind::Modify };
    Change {
        id: DocumentId::from_stored(id.to_owned()),
        version: Version::from_stored(format!("0000000001/2026-01-15T09:30:00.000/{sequence:040}")),
        event_time: Some(Timestamp::from_millis(1_000 * sequence)),
        read_at: None,
        kind,
        content,
    }
}

fn live() -> Content {
    Content::Document(Document::from_item(&driftless::attribute::Item::from_json("{}").expect("an item")))
}

fn writer() -> (Writer<MemoryTarget>, MemoryTarget) {
    let target = MemoryTarget::default();
    (Writer::new(target.clone(), Generation::default()), target)
}

async fn apply(writer: &Writer<MemoryTarget>, changes: &[Change]) -> Vec<Outcome> {
    let options = ApplyOptions::new(Instant::now() + Duration::from_secs(60), Timestamp::from_millis(1_000));
    writer.apply(changes, options).await.expect("configured").outcomes
}

/// A dead letter from before the re-index is redriven into the new index, after its item was deleted.
#[tokio::test(start_paused = true)]
async fn an_old_dead_letter_finds_the_tombstone_in_the_new_index_too() {
    let ((old, old_target), (new, new_target)) = (writer(), writer());
    apply(&old, &[change("gone", 2, Content::Tombstone), change("lives", 1, live())]).await;
    // Written to both since the re-index began, and deleted before the copy comes to it.
    apply(&new, &[change("late", 1, live())]).await;
    apply(&old, &[change("late", 2, Content::Tombstone)]).await;
    let letter = change("gone", 1, live());
    assert_eq!(apply(&old, std::slice::from_ref(&letter)).await, [Outcome::Stale]);
    let (fresh, _) = writer();
    assert_eq!(apply(&fresh, std::slice::from_ref(&letter)).await, [Outcome::Applied], "without a copy, it is back");

    let slice = Slice::until(Instant::now() + Duration::from_secs(60));
    let now = Timestamp::from_millis(2_000);
    let from = (copied(false, now), 0);
    let (next, counts) = copy(&old_target, &new, from, slice, now).await.expect("copied");
    assert_eq!((next, counts), (None, TombstoneCounts { found: 2, copied: 2, ..TombstoneCounts::default() }));
    assert_eq!(apply(&new, std::slice::from_ref(&letter)).await, [Outcome::Stale]);
    // Once more, nothing changes.
    let (_, counts) = copy(&old_target, &new, from, slice, now).await.expect("copied");
    assert_eq!(counts, TombstoneCounts { found: 2, superseded: 2, ..TombstoneCounts::default() });
    drop(new_target);
}

/// The document of an expired item stays in the new index too, and an older change does not replace it.
#[tokio::test(start_paused = true)]
async fn the_document_of_an_expired_item_is_copied_if_it_is_to_stay() {
    let ((old, old_target), (new, new_target)) = (writer(), writer());
    let expired_at = Timestamp::from_millis(700);
    let Content::Document(document) = live() else { unreachable!("a document") };
    let kept = Content::Expired { document, expired_at };
    apply(&old, &[change("expired", 2, kept.clone()), change("lives", 1, live())]).await;
    let slice = Slice::until(Instant::now() + Duration::from_secs(60));
    let now = Timestamp::from_millis(2_000);
    let (_, counts) = copy(&old_target, &new, (copied(false, now), 0), slice, now).await.expect("copied");
    assert_eq!(counts, TombstoneCounts::default());
    let (_, counts) = copy(&old_target, &new, (copied(true, now), 0), slice, now).await.expect("copied");
    assert_eq!(counts, TombstoneCounts { found: 1, copied: 1, ..TombstoneCounts::default() });
    assert_eq!(apply(&new, &[change("expired", 1, live())]).await, [Outcome::Stale]);
    let documents = new_target.documents();
    assert_eq!(documents.values().map(|document| &document.content).collect::<Vec<_>>(), [&kept]);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_refuses_the_document_of_an_expired_item_does_not_stop_the_copy() {
    let ((old, old_target), (new, new_target)) = (writer(), writer());
    let Content::Document(document) = live() else { unreachable!("a document") };
    new_target.refuse(document.as_bytes(), 400);
    let kept = Content::Expired { document, expired_at: Timestamp::from_millis(700) };
    apply(&old, &[change("expired", 2, kept), change("gone", 3, Content::Tombstone)]).await;
    let slice = Slice::until(Instant::now() + Duration::from_secs(60));
    let now = Timestamp::from_millis(2_000);
    let (next, counts) = copy(&old_target, &new, (copied(true, now), 0), slice, now).await.expect("copied");
    assert_eq!((next, counts), (None, TombstoneCounts { found: 2, copied: 1, refused: 1, superseded: 0 }));
}
