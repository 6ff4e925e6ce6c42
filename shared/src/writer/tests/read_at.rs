//! Guarantees for documents whose content was read from the table: what is older than the read does not come back.

use super::*;
use crate::change::ChangeKind;
use crate::fixtures::version;
use crate::version::Version;

const READ_SECOND: u64 = 1_000;

/// A backfilled item with this number, read at second 1,000.
fn read(id: &str, number: u64) -> Change {
    Change {
        version: Version::lowest(Generation::default()),
        event_time: None,
        read_at: Some(Timestamp::from_millis(READ_SECOND * 1_000)),
        kind: ChangeKind::Insert,
        ..change(id, number)
    }
}

fn at(second: u64, change: Change) -> Change {
    Change { event_time: Some(Timestamp::from_millis(second * 1_000)), ..change }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_older_than_the_read_by_a_minute_is_superseded() {
    for (second, expect, shown) in [
        (939, Outcome::Superseded, r#"{"n":9}"#),
        (940, Outcome::Applied, r#"{"n":4}"#),
        (1_001, Outcome::Applied, r#"{"n":4}"#),
    ] {
        let (writer, target) = writer();
        assert_eq!(apply(&writer, &[read("a", 9)]).await, [Outcome::Applied]);
        // By the process that wrote it, and by another one.
        for process in [&writer, &Writer::new(target.clone(), Generation::default())] {
            let outcome = apply(process, &[at(second, change("a", 4))]).await.remove(0);
            assert!(outcome == expect || outcome == Outcome::Duplicate, "{second}: {outcome:?}");
            shows(&target, &[("a", shown)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_read_never_replaces_a_newer_one() {
    let (writer, target) = writer();
    let earlier = Change { read_at: Some(Timestamp::from_millis(READ_SECOND * 1_000 - 1)), ..read("a", 4) };
    assert_eq!(apply(&writer, &[read("a", 9)]).await, [Outcome::Applied]);
    // Another process, which held its page while this one read and wrote.
    let late = Writer::new(target.clone(), Generation::default());
    assert_eq!(apply(&late, &[earlier]).await, [Outcome::Superseded]);
    shows(&target, &[("a", r#"{"n":9}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_change_without_an_event_time_applies_by_its_version() {
    let (writer, target) = writer();
    apply(&writer, &[read("a", 9)]).await;
    assert_eq!(apply(&writer, &[change("a", 4)]).await, [Outcome::Applied]);
    shows(&target, &[("a", r#"{"n":4}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_read_hides_no_change_after_it() {
    let (writer, target) = writer();
    apply(&writer, &[read("a", 9)]).await;
    let batch = [at(900, change("a", 4)), at(1_100, change("a", 5)), at(900, remove("a", 3))];
    assert_eq!(apply(&writer, &batch).await, [Outcome::Superseded, Outcome::Applied, Outcome::Superseded]);
    shows(&target, &[("a", r#"{"n":5}"#)]);
    assert_eq!(target.documents().into_values().next().and_then(|document| document.read_at), None);
    assert_eq!(apply(&writer, &[at(900, change("a", 6))]).await, [Outcome::Applied], "the read is over");
}

#[tokio::test(start_paused = true)]
async fn an_older_change_behind_a_rejected_one_does_not_come_back_either() {
    let (writer, target) = writer();
    apply(&writer, &[read("a", 9)]).await;
    target.refuse(br#"{"n":5}"#, 400);
    let outcomes = apply(&writer, &[at(900, change("a", 4)), at(1_100, change("a", 5))]).await;
    assert_eq!(outcomes[0], Outcome::Superseded);
    assert!(matches!(outcomes[1], Outcome::Rejected(_)), "{outcomes:?}");
    shows(&target, &[("a", r#"{"n":9}"#)]);
}

#[tokio::test(start_paused = true)]
async fn an_older_insert_of_an_item_that_was_read_as_deleted_does_not_come_back() {
    let (writer, target) = writer();
    apply(&writer, &[Change { content: Content::Tombstone, ..read("a", 9) }]).await;
    assert_eq!(apply(&writer, &[at(900, insert("a", 4))]).await, [Outcome::Superseded]);
    shows(&target, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_read_includes_is_no_order_anomaly() {
    let (writer, target) = writer();
    let repaired = Change { version: version(5), event_time: Some(Timestamp::from_millis(1_000)), ..read("a", 9) };
    apply(&writer, &[repaired]).await;
    assert_eq!(apply(&writer, &[at(900, change("a", 4))]).await, [STALE]);
    assert_eq!(apply(&writer, &[at(990, change("a", 4))]).await, [Outcome::OrderAnomaly]);
    shows(&target, &[("a", r#"{"n":9}"#)]);
}
