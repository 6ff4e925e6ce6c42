//! Guarantees of the comparison and the repair, on a table and a target in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use driftless::change::{ReadOptions, Record};
use driftless::document_id::DocumentId;
use driftless::function::{FunctionError, Slice};
use driftless::memory::{Fault, MemoryTarget};
use driftless::outcome::Outcome;
use driftless::table::memory::{MemoryTable, schema};
use driftless::testing::RecordBuilder;
use driftless::time::Timestamp;
use driftless::version::{Generation, Version};
use driftless::writer::{ApplyOptions, Writer};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::compare::DifferenceKind;
use crate::report::{VerifyCounts, VerifyReport};
use crate::request::VerifyRequest;
use crate::verify::Verify;

const NOW_SECOND: u64 = 1_768_500_000;
const SETTLE_MS: u64 = 1_000;

fn clock() -> Timestamp {
    Timestamp::from_millis(NOW_SECOND * 1_000)
}

#[derive(Default)]
struct Scene {
    table: MemoryTable,
    target: MemoryTarget,
    read_options: ReadOptions,
}

impl Scene {
    /// A table of so many items, all of which have their documents.
    async fn equal(items: u64) -> Self {
        let scene = Self::default();
        for n in 0..items {
            scene.write(&format!("k{n}"), n + 1).await;
        }
        scene
    }

    fn writer(&self) -> Writer<MemoryTarget> {
        Writer::new(self.target.clone(), self.read_options.generation)
    }

    /// Puts an item, and delivers its change.
    async fn write(&self, key: &str, number: u64) {
        self.table.put(key, number);
        self.deliver(modify(key, number, 0)).await;
    }

    /// Puts an item, and delivers its change so late.
    async fn write_late(&self, key: &str, number: u64, seconds: u64) {
        self.table.put(key, number);
        self.deliver(modify(key, number, seconds)).await;
    }

    async fn deliver(&self, record: RecordBuilder) -> Outcome {
        let change = Record::read(&record.json(), &self.read_options).change.expect("a change");
        let options = ApplyOptions::new(Instant::now() + Duration::from_secs(10), clock());
        self.writer().apply(&[change], options).await.expect("configured").outcomes.remove(0)
    }

    async fn run(&self, request: Value) -> Result<VerifyReport, FunctionError> {
        self.run_for(Duration::from_secs(300), request).await
    }

    async fn run_for(&self, time: Duration, mut request: Value) -> Result<VerifyReport, FunctionError> {
        let (writer, schema) = (self.writer(), schema());
        let Self { table, read_options, .. } = self;
        let verify = Verify { read_options, writer: &writer, table, schema: &schema, now: clock };
        request["settle_ms"] = SETTLE_MS.into();
        verify.run(&VerifyRequest::read(request)?, Slice::until(Instant::now() + time)).await
    }

    async fn succeed(&self, request: Value) -> VerifyReport {
        let report = self.run(request).await.expect("compared");
        assert!(report.done && report.cursor.is_none(), "{report:?}");
        report
    }

    /// Compares from the table's side, then from the index's.
    async fn both(&self, repair: bool) -> VerifyCounts {
        let mut counts = self.succeed(json!({"repair": repair})).await.counts;
        let index = self.succeed(json!({"repair": repair, "orphans": "full"})).await.counts;
        counts.orphaned = index.orphaned;
        counts.repaired += index.repaired;
        counts
    }
}

fn modify(key: &str, number: u64, seconds_ago: u64) -> RecordBuilder {
    let image = format!(r#"{{"pk":{{"S":"{key}"}},"n":{{"N":"{number}"}}}}"#);
    RecordBuilder::modify(key, number).new_image(image).event_second(NOW_SECOND - seconds_ago)
}

fn remove(key: &str, number: u64) -> RecordBuilder {
    RecordBuilder::remove(key, number).event_second(NOW_SECOND)
}

fn document(key: &str, number: u64) -> (String, String) {
    (key.to_owned(), format!(r#"{{"n":{number},"pk":"{key}"}}"#))
}

fn id(key: &str) -> DocumentId {
    DocumentId::from_stored(key.to_owned())
}

#[tokio::test(start_paused = true)]
async fn equal_sides_have_no_difference() {
    let scene = Scene::equal(250).await;
    scene.table.set_page_size(100);
    scene.target.set_page_size(100);
    scene.table.delete("k3");
    scene.deliver(remove("k3", 900)).await;
    let report = scene.succeed(json!({"orphans": "count"})).await;
    assert!(report.equal, "{report:?}");
    assert_eq!((report.counts.items, report.counts.documents), (249, 249));
    assert_eq!(report.documents_in_index, Some(249));
    let report = scene.succeed(json!({"orphans": "full"})).await;
    assert_eq!((report.equal, report.counts.documents, report.counts.items), (true, 249, 249));
}

/// A scene with one difference of each kind.
async fn differing() -> Scene {
    let scene = Scene::equal(20).await;
    // Missing: put without its change.
    scene.table.put("missing", 1);
    // Stale: its last change was lost.
    scene.table.put("k1", 901);
    // Changed by a foreign partial update, which keeps `_driftless` and puts its field behind it.
    scene.target.disfigure(&id("k2"), br#"{"n":3,"pk":"k2","_driftless":{"version":"v"},"seen":true}"#);
    // A tombstone where an item lives.
    scene.deliver(remove("k3", 902)).await;
    // Orphans: an item that was deleted without its change, and a document of an id that no item can have.
    scene.table.delete("k4");
    scene.target.put_foreign("");
    scene
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_difference_is_found_and_nothing_else() {
    let scene = differing().await;
    let report = scene.succeed(json!({})).await;
    let found: BTreeMap<&str, DifferenceKind> =
        report.examples.iter().map(|example| (example.document_id.as_str(), example.kind)).collect();
    let expect = [
        ("missing", DifferenceKind::Missing),
        ("k1", DifferenceKind::Stale),
        ("k2", DifferenceKind::Different),
        ("k3", DifferenceKind::Tombstone),
    ];
    assert_eq!(found, BTreeMap::from(expect));
    let paths = |id: &str| report.examples.iter().find(|one| one.document_id == id).map(|one| one.paths.clone());
    assert_eq!((paths("k1"), paths("k2")), (Some(vec!["n".to_owned()]), Some(vec!["seen".to_owned()])));
    assert!(!report.equal);
    let report = scene.succeed(json!({"orphans": "full"})).await;
    let mut orphans: Vec<&str> = report.examples.iter().map(|example| example.document_id.as_str()).collect();
    orphans.sort_unstable();
    assert_eq!((report.counts.orphaned, orphans), (2, vec!["", "k4"]));
}

#[tokio::test(start_paused = true)]
async fn repair_mends_each_of_them() {
    let scene = differing().await;
    let counts = scene.both(true).await;
    assert_eq!((counts.differences(), counts.repaired, counts.failed), (6, 6, 0));
    let counts = scene.both(false).await;
    assert_eq!((counts.differences(), counts.in_motion), (0, 0), "{counts:?}");
    let expect = (0..20).filter(|n| *n != 4).map(|n| document(&format!("k{n}"), if n == 1 { 901 } else { n + 1 }));
    assert_eq!(scene.target.visible(), expect.chain([document("missing", 1)]).collect());
}

#[tokio::test(start_paused = true)]
async fn repair_writes_no_newer_version_and_no_older_change_undoes_it() {
    let scene = Scene::equal(1).await;
    // The changes 2 and 3 were lost: 2 waits as a dead letter.
    scene.table.put("k0", 3);
    assert_eq!(scene.succeed(json!({"repair": true})).await.counts.repaired, 1);
    let version = scene.target.documents().into_values().next().and_then(|document| document.version);
    let first = Record::read(&modify("k0", 1, 0).json(), &scene.read_options).change.expect("a change").version;
    assert_eq!(version, Some(first));
    assert_eq!(scene.deliver(modify("k0", 2, 61)).await, Outcome::Superseded);
    assert_eq!(scene.deliver(modify("k0", 1, 61)).await, Outcome::Superseded, "also the change whose version it has");
    assert_eq!(scene.target.visible(), BTreeMap::from([document("k0", 3)]));
    scene.write("k0", 4).await;
    assert_eq!(scene.target.visible(), BTreeMap::from([document("k0", 4)]), "what is pending still applies");
}

#[tokio::test(start_paused = true)]
async fn a_missing_document_is_repaired_at_the_lowest_version() {
    let scene = Scene::default();
    scene.table.put("a", 1);
    scene.succeed(json!({"repair": true})).await;
    let version = scene.target.documents().into_values().next().and_then(|document| document.version);
    assert_eq!(version, Some(Version::lowest(Generation(1))));
}

#[tokio::test(start_paused = true)]
async fn a_change_on_its_way_is_no_difference() {
    let scene = Scene::equal(3).await;
    scene.table.put("k0", 50);
    scene.table.delete("k1");
    let late = async {
        tokio::time::sleep(Duration::from_millis(SETTLE_MS / 2)).await;
        scene.deliver(modify("k0", 50, 0)).await;
        scene.deliver(remove("k1", 51)).await;
    };
    let (report, ()) = join(scene.succeed(json!({})), late).await;
    assert!(report.equal && report.counts.in_motion == 0, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn the_settling_time_grows_with_the_lag_that_documents_show() {
    let scene = Scene::equal(2).await;
    scene.write_late("k1", 10, 15).await;
    // A redriven dead letter is no measure.
    scene.write_late("k2", 11, 100_000).await;
    scene.table.put("k0", 50);
    let late = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        scene.deliver(modify("k0", 50, 20)).await;
    };
    let (report, ()) = join(scene.succeed(json!({})), late).await;
    assert!(report.equal && report.counts.in_motion == 0, "{report:?}");
    assert_eq!(report.lag_ms, 20_000);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_pending_in_a_stream_that_is_behind_is_no_difference() {
    let scene = Scene::equal(3).await;
    // The longest time between two looks is an eighth of 300 s.
    scene.write_late("k1", 10, 60).await;
    let report = scene.succeed(json!({})).await;
    assert!(report.equal && report.behind.is_none(), "all is equal, whatever is on its way: {report:?}");
    assert_eq!(report.lag_ms, 60_000);
    scene.table.put("k0", 50);
    scene.table.put("new", 51);
    scene.table.delete("k2");
    for repair in [false, true] {
        let report = scene.succeed(json!({"repair": repair})).await;
        assert_eq!((report.equal, report.counts.differences(), report.counts.repaired), (false, 0, 0), "{report:?}");
        assert_eq!((report.counts.in_motion, report.counts.pending), (2, 2));
        assert_eq!(report.examples, []);
        let behind = report.behind.expect("a statement");
        assert!(behind.contains("60 s behind") && behind.contains("verify again"), "{behind}");
        let report = scene.succeed(json!({"repair": repair, "orphans": "full"})).await;
        assert_eq!((report.equal, report.counts.orphaned, report.counts.pending), (false, 0, 1), "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lag_that_shows_late_takes_back_what_was_named() {
    let scene = Scene::equal(8).await;
    scene.table.put("k0", 50);
    scene.table.set_page_size(1);
    let late = async {
        // The first item is decided by then, and the last one is not read yet.
        tokio::time::sleep(Duration::from_secs(4)).await;
        scene.write_late("k7", 10, 60).await;
    };
    let (report, ()) = join(scene.succeed(json!({"rcu_per_second": 1})), late).await;
    assert_eq!((report.equal, report.counts.differences(), report.counts.pending), (false, 0, 1), "{report:?}");
    assert_eq!(report.examples, []);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_never_rests_is_in_motion_and_no_difference() {
    let scene = Scene::equal(2).await;
    let busy = async {
        // The document is always one change behind.
        for number in 100..140 {
            scene.table.put("k0", number + 1);
            scene.deliver(modify("k0", number, 0)).await;
            tokio::time::sleep(Duration::from_millis(SETTLE_MS / 3)).await;
        }
    };
    let (report, ()) = join(scene.succeed(json!({})), busy).await;
    assert_eq!((report.equal, report.counts.in_motion), (true, 1), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_lags_behind_the_index_is_no_difference() {
    let scene = Scene::equal(3).await;
    scene.table.lag();
    scene.write("k0", 50).await;
    scene.table.put("new", 51);
    scene.deliver(modify("new", 51, 0)).await;
    assert!(scene.succeed(json!({})).await.equal);
    assert!(scene.succeed(json!({"orphans": "full"})).await.equal);
}

#[tokio::test(start_paused = true)]
async fn a_newer_change_during_a_repair_is_not_lost() {
    let scene = Scene::equal(1).await;
    scene.table.put("k0", 3);
    let late = async {
        // Between the looks, and again at the moment of the repair.
        for number in [4, 5] {
            tokio::time::sleep(Duration::from_millis(SETTLE_MS)).await;
            scene.write("k0", number).await;
        }
    };
    join(scene.succeed(json!({"repair": true})), late).await;
    assert_eq!(scene.target.visible(), BTreeMap::from([document("k0", 5)]));
    assert!(scene.succeed(json!({})).await.equal);
}

#[tokio::test(start_paused = true)]
async fn a_sample_says_what_it_proves() {
    let scene = Scene::equal(400).await;
    let report = scene.succeed(json!({"sample": 0.5})).await;
    assert!((100..300).contains(&report.counts.items) && report.counts.read == 400, "{report:?}");
    assert!(report.sample.expect("a conclusion").contains("95 %"));
    assert_eq!(scene.succeed(json!({})).await.sample, None);
}

#[tokio::test(start_paused = true)]
async fn single_keys_are_compared_also_without_an_item() {
    let scene = Scene::equal(3).await;
    scene.table.delete("k1");
    let keys = json!({"keys": [{"pk": {"S": "k0"}}, {"pk": {"S": "k1"}}, {"pk": {"S": "none"}}], "repair": true});
    let report = scene.succeed(keys).await;
    assert_eq!((report.counts.items, report.counts.orphaned, report.counts.repaired), (1, 1, 1));
    assert_eq!(scene.target.visible().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_and_a_lasting_one_is_reported() {
    let scene = Scene::equal(3).await;
    scene.target.fail_reads([Fault::Unreachable, Fault::Status(503)]);
    assert!(scene.succeed(json!({})).await.equal);
    scene.target.fail_reads(std::iter::repeat_n(Fault::Status(503), 10_000));
    assert_eq!(scene.run(json!({})).await.expect_err("unavailable").kind(), "Unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_slow_page_leaves_the_next_one_to_the_next_invocation() {
    let scene = Scene::equal(2).await;
    scene.table.set_page_size(1);
    scene.table.put("k1", 50);
    // The lag, the first page, which takes ten seconds, the second one, and the first again; then the next run's lag.
    scene.target.fail_reads([Fault::None, Fault::TimedOut, Fault::None, Fault::None, Fault::TimedOut]);
    let time = Duration::from_secs(30);
    let first = scene.run_for(time, json!({})).await.expect("compared");
    assert_eq!((first.done, first.counts.items, first.counts.in_motion), (false, 1, 0), "{first:?}");
    let second = scene.run_for(time, json!({"cursor": first.cursor})).await.expect("compared");
    assert_eq!((second.done, second.counts.stale, second.counts.in_motion), (true, 1, 0), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_repair_is_reported() {
    let scene = Scene::equal(1).await;
    scene.table.put("k0", 3);
    scene.target.refuse(document("k0", 3).1.as_bytes(), 400);
    let report = scene.succeed(json!({"repair": true})).await;
    assert_eq!((report.counts.stale, report.counts.repaired, report.counts.rejected), (1, 0, 1));
}

async fn join<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    tokio::join!(one, other)
}

/// A scene whose configuration keeps documents of expired items: one is kept, five have items.
async fn kept() -> Scene {
    let rules = "[expiry]\nattribute = \"t\"\nthen = \"keep\"";
    let replication = driftless::replication::Replication::from_toml(rules, None).expect("rules");
    let read_options = ReadOptions { replication: replication.into(), ..ReadOptions::default() };
    let scene = Scene { read_options, ..Scene::equal(6).await };
    scene.table.delete("k2");
    let image = r#"{"pk":{"S":"k2"},"n":{"N":"3"}}"#;
    scene.deliver(RecordBuilder::expiry("k2", 900, image).event_second(NOW_SECOND)).await;
    scene
}

#[tokio::test(start_paused = true)]
async fn the_document_of_an_expired_item_is_no_orphan_while_it_is_to_stay() {
    let scene = kept().await;
    let report = scene.succeed(json!({"orphans": "count"})).await;
    assert!(report.equal, "{report:?}");
    assert_eq!((report.counts.items, report.documents_in_index, report.expired_in_index), (5, Some(5), Some(1)));
    let counts = scene.both(true).await;
    assert_eq!((counts.differences(), counts.repaired), (0, 0));
    assert_eq!(scene.target.visible().len(), 6);
    let no_longer = Scene { read_options: ReadOptions::default(), ..scene };
    let report = no_longer.succeed(json!({"orphans": "count"})).await;
    assert_eq!((report.documents_in_index, report.expired_in_index), (Some(6), None));
    assert_eq!(no_longer.both(true).await.orphaned, 1);
    assert_eq!(no_longer.target.visible().len(), 5);
}

/// Its fields are equal, and yet the purge would remove it.
#[tokio::test(start_paused = true)]
async fn an_item_that_is_there_again_needs_a_document_that_is_not_that_of_an_expired_one() {
    let scene = kept().await;
    scene.table.put("k2", 3);
    let counts = scene.both(true).await;
    assert_eq!((counts.stale, counts.repaired), (1, 1));
    assert!(scene.target.documents().values().all(|document| document.content.expired_at().is_none()));
    assert!(scene.succeed(json!({"orphans": "count"})).await.equal);
}
