//! Two items whose keys give one document id: neither takes the document of the other, whatever the versions show.

use futures::future::join;

use super::*;
use crate::document_id::{DocumentId, KeyDigest};
use crate::replication::Replication;
use crate::table::memory::MemoryTable;
use crate::writer::repair::RepairOptions;

/// Id of the item of one shard: both have the text `acme`.
fn id(shard: u64) -> DocumentId {
    DocumentId::from_stored("acme".to_owned()).with_key(KeyDigest::from_hash(&format!("{shard:016x}")))
}

fn of(shard: u64, change: Change) -> Change {
    Change { id: id(shard), ..change }
}

const OTHER: Outcome = Outcome::Rejected(Problem::OtherItem);

#[tokio::test(start_paused = true)]
async fn the_second_item_of_one_id_is_rejected_and_the_first_stays() {
    let (first, second) = (of(1, insert("", 1)), of(2, insert("", 2)));
    let (writer, target) = writer();
    assert_eq!(apply(&writer, std::slice::from_ref(&first)).await, [Outcome::Applied]);
    assert_eq!(apply(&writer, std::slice::from_ref(&second)).await, [OTHER]);
    assert_eq!(apply(&writer, &[of(2, change("", 3)), of(1, change("", 4))]).await, [OTHER, Outcome::Applied]);
    shows(&target, &[("acme", r#"{"n":4}"#)]);
    let preview = writer.preview(&[of(2, change("", 9))], options()).await.expect("configured");
    assert_eq!(preview, [OTHER]);
    // In one batch, the newer one is no newer state of the older one.
    let (writer, target) = super::writer();
    assert_eq!(apply(&writer, &[first, second]).await, [Outcome::Applied, OTHER]);
    shows(&target, &[("acme", r#"{"n":1}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_one_item_leaves_the_document_of_the_other() {
    let (writer, target) = writer();
    apply(&writer, &[of(1, insert("", 1))]).await;
    assert_eq!(apply(&writer, &[of(2, insert("", 2)), of(2, remove("", 3))]).await, [const { Outcome::Superseded }; 2]);
    shows(&target, &[("acme", r#"{"n":1}"#)]);
}

#[tokio::test(start_paused = true)]
async fn an_item_takes_over_a_tombstone_that_is_older() {
    let (writer, target) = writer();
    apply(&writer, &[of(1, insert("", 1)), of(1, remove("", 3))]).await;
    assert_eq!(apply(&writer, &[of(2, insert("", 5))]).await, [Outcome::Applied]);
    shows(&target, &[("acme", r#"{"n":5}"#)]);
    // In one batch, too.
    let batch = [of(2, remove("", 6)), of(3, insert("", 7))];
    assert_eq!(apply(&writer, &batch).await, [Outcome::Applied, Outcome::Applied]);
    shows(&target, &[("acme", r#"{"n":7}"#)]);
}

#[tokio::test(start_paused = true)]
async fn versions_of_two_items_say_nothing_about_each_other() {
    let (writer, target) = writer();
    // The second item lives, and its insertion comes after the removal of the first, which is newer.
    apply(&writer, &[of(1, insert("", 1)), of(1, remove("", 3))]).await;
    assert_eq!(apply(&writer, &[of(2, insert("", 2))]).await, [OTHER], "stale would lose it");
    assert_eq!(apply(&writer, &[of(2, remove("", 2))]).await, [STALE]);
    shows(&target, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_is_on_its_way_is_waited_for() {
    let (writer, target) = writer();
    let other = Writer::new(target.clone(), Generation::default());
    apply(&writer, &[of(1, insert("", 1))]).await;
    let remove = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        apply(&other, &[of(1, remove("", 3))]).await
    };
    let insertion = [of(2, insert("", 5))];
    let (inserted, removed) = join(apply(&writer, &insertion), remove).await;
    assert_eq!((inserted, removed), (vec![Outcome::Applied], vec![Outcome::Applied]));
    shows(&target, &[("acme", r#"{"n":5}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_document_from_before_digests_is_everybodys() {
    let (writer, target) = writer();
    apply(&writer, &[insert("acme", 1)]).await;
    assert_eq!(apply(&writer, &[of(2, change("", 2))]).await, [Outcome::Applied]);
    assert_eq!(apply(&writer, &[of(1, change("", 3))]).await, [OTHER]);
    shows(&target, &[("acme", r#"{"n":2}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_repair_takes_nothing_from_another_item() {
    let (writer, target) = writer();
    let table = MemoryTable::default();
    let repair = async |shard: u64| {
        let now = || Timestamp::from_millis(1);
        let replication = Replication::default();
        let options = RepairOptions { deadline: options().deadline, now: &now, replication: &replication };
        let documents = [(id(shard), Some(MemoryTable::key(&format!("acme#{shard}"))))];
        writer.repair(&table, &documents, options).await.expect("repaired").outcomes.remove(0)
    };
    apply(&writer, &[of(1, insert("", 1))]).await;
    assert_eq!(repair(2).await, Outcome::Duplicate, "no item, and no document of its own");
    shows(&target, &[("acme", r#"{"n":1}"#)]);
    table.put("acme#2", 9);
    assert_eq!(repair(2).await, OTHER);
    shows(&target, &[("acme", r#"{"n":1}"#)]);
    apply(&writer, &[of(1, remove("", 3))]).await;
    assert_eq!(repair(2).await, Outcome::Applied, "a tombstone is free");
    shows(&target, &[("acme", r#"{"n":9,"pk":"acme#2"}"#)]);
}
