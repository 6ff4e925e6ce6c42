//! Guarantees of the repair, on a table and a target in memory.

use super::*;
use crate::document::Document;
use crate::fixtures::{change, version};
use crate::memory::{Fault, MemoryTarget};
use crate::table::memory::MemoryTable;
use crate::version::Generation;
use crate::writer::ApplyOptions;

fn clock() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[derive(Default)]
struct Scene {
    table: MemoryTable,
    target: MemoryTarget,
}

impl Scene {
    fn writer(&self) -> Writer<MemoryTarget> {
        Writer::new(self.target.clone(), Generation::default())
    }

    async fn repair(&self, keys: &[&str]) -> Result<Vec<Outcome>, RepairError> {
        let documents = keys.iter().map(|key| (id(key), Some(MemoryTable::key(key))));
        let options = RepairOptions { deadline: deadline(), now: &clock, replication: &Replication::default() };
        Ok(self.writer().repair(&self.table, &documents.collect::<Vec<_>>(), options).await?.outcomes)
    }

    async fn apply(&self, change: crate::change::Change) {
        let options = ApplyOptions::new(deadline(), clock());
        self.writer().apply(&[change], options).await.expect("configured");
    }

    fn stored(&self, key: &str) -> crate::memory::MemoryDocument {
        self.target.documents().remove(&id(key)).expect("a document")
    }
}

fn id(key: &str) -> DocumentId {
    DocumentId::from_stored(key.to_owned())
}

#[tokio::test(start_paused = true)]
async fn documents_become_what_their_items_are_at_the_version_that_is_stored() {
    let scene = Scene::default();
    for key in ["a", "gone"] {
        scene.apply(change(key, 5)).await;
    }
    scene.target.put_foreign("foreign");
    ["a", "new", "foreign"].iter().for_each(|key| scene.table.put(key, 9));
    let outcomes = scene.repair(&["a", "gone", "new", "foreign", "neither"]).await.expect("repaired");
    assert_eq!(outcomes, [const { Outcome::Applied }; 5]);
    let lowest = Version::lowest(Generation::default());
    for (key, version) in [("a", version(5)), ("gone", version(5)), ("new", lowest.clone()), ("foreign", lowest)] {
        let stored = scene.stored(key);
        assert_eq!((stored.version.as_ref(), stored.read_at), (Some(&version), Some(clock())), "{key}");
        assert_eq!(stored.is_tombstone(), key == "gone");
    }
    assert_eq!(scene.target.visible()["a"], r#"{"n":9,"pk":"a"}"#);
    assert_eq!(scene.target.visible().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_without_item_and_document_keeps_older_changes_out() {
    let scene = Scene::default();
    assert_eq!(scene.repair(&["a"]).await.expect("repaired"), [Outcome::Applied]);
    assert!(scene.stored("a").is_tombstone());
    let at = |event_time| Some(Timestamp::from_millis(event_time));
    scene.apply(crate::change::Change { event_time: at(900_000), ..change("a", 5) }).await;
    assert!(scene.target.visible().is_empty(), "an older change, redriven, brings nothing back");
    scene.apply(crate::change::Change { event_time: at(990_000), ..change("a", 6) }).await;
    assert_eq!(scene.target.visible().len(), 1, "a change within the margin is not older for certain");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_no_item_can_have_becomes_a_tombstone() {
    let scene = Scene::default();
    scene.target.put_foreign("x");
    let options = RepairOptions { deadline: deadline(), now: &clock, replication: &Replication::default() };
    let report = scene.writer().repair(&scene.table, &[(id("x"), None)], options).await.expect("repaired");
    assert_eq!(report.outcomes, [Outcome::Applied]);
    assert!(scene.stored("x").is_tombstone());
    let report = scene.writer().repair(&scene.table, &[(id("y"), None)], options).await.expect("repaired");
    assert_eq!((report.outcomes, scene.target.documents().len()), (vec![Outcome::Duplicate], 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_comes_between_the_reads_and_the_write_is_not_lost() {
    let scene = Scene::default();
    scene.apply(change("a", 5)).await;
    scene.table.put("a", 6);
    // The table's read yields, and the change is written then.
    let newer = async {
        tokio::task::yield_now().await;
        scene.table.put("a", 7);
        let image = crate::attribute::Item::from_json(r#"{"n":{"N":"7"},"pk":{"S":"a"}}"#).expect("an item");
        let content = Content::Document(Document::from_item(&image));
        scene.apply(crate::change::Change { content, ..change("a", 7) }).await;
    };
    let (repaired, ()) = futures::future::join(scene.repair(&["a"]), newer).await;
    assert_eq!(repaired.expect("repaired"), [Outcome::Applied]);
    assert_eq!(scene.target.visible()["a"], r#"{"n":7,"pk":"a"}"#);
    assert_eq!(scene.stored("a").version, Some(version(7)));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_and_a_lasting_one_is_a_failure() {
    let scene = Scene::default();
    scene.table.put("a", 1);
    scene.target.fail_reads([Fault::Unreachable]);
    scene.target.fail_writes([Fault::Status(429), Fault::AnswerLost]);
    assert_eq!(scene.repair(&["a"]).await.expect("repaired"), [Outcome::Applied]);
    scene.target.fail_writes(std::iter::repeat_n(Fault::Status(503), 1_000));
    assert!(matches!(scene.repair(&["a"]).await.expect("tried")[..], [Outcome::Failed(_)]));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_concerns_one_document_and_a_closed_index_none() {
    let scene = Scene::default();
    ["a", "b"].iter().for_each(|key| scene.table.put(key, 1));
    scene.target.refuse(br#"{"n":1,"pk":"a"}"#, 400);
    let outcomes = scene.repair(&["a", "b"]).await.expect("repaired");
    assert!(matches!(outcomes[0], Outcome::Rejected(_)), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Applied);
    scene.target.set_closed(true);
    assert!(matches!(scene.repair(&["b"]).await, Err(RepairError::Configuration(_))));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_cannot_be_read_changes_nothing() {
    let scene = Scene::default();
    scene.apply(change("a", 5)).await;
    scene.table.fail([TableError::Unavailable("is busy".to_owned())]);
    assert!(matches!(scene.repair(&["a"]).await, Err(RepairError::Table(_))));
    assert_eq!(scene.stored("a").read_at, None);
}

/// The document of an expired item has no item, and is not to be removed.
#[tokio::test(start_paused = true)]
async fn the_document_of_an_expired_item_stays_until_an_item_is_there_again() {
    let scene = Scene::default();
    let keep = "[expiry]\nattribute = \"t\"\nthen = \"keep\"";
    let keep = Replication::from_toml(keep, None).expect("rules");
    let Content::Document(document) = change("a", 5).content else { unreachable!("a document") };
    let expired = Content::Expired { document, expired_at: Timestamp::from_millis(7) };
    scene.apply(crate::change::Change { content: expired.clone(), ..change("a", 5) }).await;
    let wanted = [(id("a"), Some(MemoryTable::key("a")))];
    let options = RepairOptions { deadline: deadline(), now: &clock, replication: &keep };
    let report = scene.writer().repair(&scene.table, &wanted, options).await.expect("repaired");
    assert_eq!((report.outcomes, scene.stored("a").content), (vec![Outcome::Duplicate], expired));
    scene.table.put("a", 9);
    scene.writer().repair(&scene.table, &wanted, options).await.expect("repaired");
    assert_eq!(scene.stored("a").content.expired_at(), None, "an item lives there");
    scene.table.delete("a");
    assert_eq!(scene.repair(&["a"]).await.expect("repaired"), [Outcome::Applied]);
    assert!(scene.stored("a").is_tombstone());
}
