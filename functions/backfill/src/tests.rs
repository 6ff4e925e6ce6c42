//! Guarantees of the backfill, on a table and a target in memory with scripted faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use driftless::change::{Change, ReadOptions, Record};
use driftless::function::{FunctionError, Slice};
use driftless::memory::{Fault, MemoryTarget};
use driftless::outcome::Outcome;
use driftless::table::TableError;
use driftless::table::memory::{MemoryTable, schema};
use driftless::testing::RecordBuilder;
use driftless::time::Timestamp;
use driftless::version::{Generation, Version};
use driftless::writer::{ApplyOptions, Writer};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::backfill::Backfill;
use crate::metrics::BackfillProgress;
use crate::report::BackfillReport;
use crate::request::BackfillRequest;

/// Time of every read and write, in seconds since the epoch.
const NOW_SECOND: u64 = 1_768_500_000;

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
    fn writer(&self) -> Writer<MemoryTarget> {
        Writer::new(self.target.clone(), self.read_options.generation)
    }

    async fn run(&self, request: Value) -> Result<BackfillReport, FunctionError> {
        self.run_for(Duration::from_secs(300), request).await
    }

    async fn run_for(&self, time: Duration, request: Value) -> Result<BackfillReport, FunctionError> {
        let (writer, schema) = (self.writer(), schema());
        let Self { table, read_options, .. } = self;
        let backfill = Backfill { read_options, writer: &writer, table, schema: &schema, now: clock };
        let slice = Slice::until(Instant::now() + time);
        backfill.run(&BackfillRequest::read(request)?, slice, &mut BackfillProgress::new("i", clock())).await
    }

    async fn succeed(&self, request: Value) -> BackfillReport {
        let report = self.run(request).await.expect("backfilled");
        assert!(report.done && report.cursor.is_none(), "{report:?}");
        report
    }

    /// Delivers a change of the stream.
    async fn deliver(&self, record: RecordBuilder) -> Outcome {
        let change = self.change(record);
        let options = ApplyOptions::new(Instant::now() + Duration::from_secs(10), clock());
        self.writer().apply(&[change], options).await.expect("configured").outcomes.remove(0)
    }

    fn change(&self, record: RecordBuilder) -> Change {
        Record::read(&record.json(), &self.read_options).change.expect("a change")
    }

    fn visible(&self) -> BTreeMap<String, String> {
        self.target.visible()
    }
}

/// Returns the document of `{"pk": key, "n": number}`.
fn document(key: &str, number: u64) -> (String, String) {
    (key.to_owned(), format!(r#"{{"n":{number},"pk":"{key}"}}"#))
}

fn image(key: &str, number: u64) -> String {
    format!(r#"{{"pk":{{"S":"{key}"}},"n":{{"N":"{number}"}}}}"#)
}

/// Returns a MODIFY of the item, so many seconds before now.
fn modify(key: &str, sequence: u64, seconds_ago: u64) -> RecordBuilder {
    RecordBuilder::modify(key, sequence).new_image(image(key, sequence)).event_second(NOW_SECOND - seconds_ago)
}

#[tokio::test(start_paused = true)]
async fn every_item_gets_its_document() {
    let scene = Scene::default();
    (0..250).for_each(|n| scene.table.put(&format!("k{n}"), n));
    scene.table.set_page_size(100);
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.counts.items, report.counts.written, report.counts.rejected), (250, 250, 0));
    assert_eq!(scene.visible(), (0..250).map(|n| document(&format!("k{n}"), n)).collect());
    let versions: Vec<_> = scene.target.documents().into_values().map(|document| document.version).collect();
    assert!(versions.iter().all(|version| *version == Some(Version::lowest(Generation(1)))));
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_wrote_or_deleted_wins() {
    let scene = Scene::default();
    ["a", "b", "c"].iter().for_each(|key| scene.table.put(key, 1));
    scene.deliver(modify("a", 2, 0)).await;
    scene.deliver(RecordBuilder::remove("b", 3)).await;
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.counts.written, report.counts.superseded), (1, 2));
    assert_eq!(scene.visible(), BTreeMap::from([document("a", 2), document("c", 1)]));
    assert_eq!(scene.deliver(modify("c", 4, 0)).await, Outcome::Applied, "every later change still applies");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_older_than_the_read_does_not_come_back() {
    let scene = Scene::default();
    scene.table.put("a", 9);
    scene.succeed(json!({"consistent": true})).await;
    assert_eq!(scene.deliver(modify("a", 5, 61)).await, Outcome::Superseded);
    assert_eq!(scene.visible(), BTreeMap::from([document("a", 9)]));
    assert_eq!(scene.deliver(modify("a", 6, 60)).await, Outcome::Applied, "within the margin, the version decides");
}

#[tokio::test(start_paused = true)]
async fn an_eventually_consistent_read_hides_no_change_of_the_last_minutes() {
    let scene = Scene::default();
    scene.table.put("a", 1);
    scene.table.lag();
    scene.table.put("a", 2);
    scene.succeed(json!({})).await;
    assert_eq!(scene.visible(), BTreeMap::from([document("a", 1)]), "it was read before the change");
    assert_eq!(scene.deliver(modify("a", 2, 600)).await, Outcome::Applied);
    assert_eq!(scene.visible(), BTreeMap::from([document("a", 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_goes_on_at_its_cursor() {
    let scene = Scene::default();
    (0..100).for_each(|n| scene.table.put(&format!("k{n}"), n));
    scene.table.set_page_size(10);
    // Ten units a second and pages of ten: a page per second, for 9 of 10 seconds.
    let first = scene.run_for(Duration::from_secs(5), json!({"rcu_per_second": 10.0})).await.expect("a slice");
    assert!(!first.done && (30..=60).contains(&first.counts.items), "{first:?}");
    let request = json!({"cursor": first.cursor});
    let rest = scene.succeed(request.clone()).await;
    assert_eq!(first.counts.items + rest.counts.items, 100);
    // The same again, as after a kill: nothing changes.
    let again = scene.succeed(request).await;
    assert_eq!((again.counts.items, again.counts.written), (rest.counts.items, 0));
    assert_eq!(scene.visible().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn segments_keys_and_prefixes_select_items() {
    let scene = Scene::default();
    (0..30).for_each(|n| scene.table.put(&format!("k{n}"), n));
    let report = scene.succeed(json!({"keys": [{"pk": {"S": "k1"}}, {"pk": {"S": "none"}}]})).await;
    assert_eq!((report.counts.items, report.counts.absent), (1, 1));
    let report = scene.succeed(json!({"prefix": {"pk": {"S": "k2"}}})).await;
    assert_eq!(report.counts.items, 1);
    assert_eq!(scene.visible(), BTreeMap::from([document("k1", 1), document("k2", 2)]));
    for segment in 0..4 {
        scene.succeed(json!({"segment": segment, "segments": 4})).await;
    }
    assert_eq!(scene.visible().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_refused_document_is_reported_and_stops_no_other() {
    let scene = Scene::default();
    (0..30).for_each(|n| scene.table.put(&format!("k{n}"), n));
    scene.target.refuse(document("k7", 7).1.as_bytes(), 400);
    let report = scene.succeed(json!({})).await;
    assert_eq!((report.counts.written, report.counts.rejected, scene.visible().len()), (29, 1, 29));
    assert_eq!((report.rejected[0].document_id.as_deref(), report.rejected[0].status), (Some("k7"), Some(400)));
}

#[tokio::test(start_paused = true)]
async fn outages_are_waited_out_and_a_page_counts_only_when_it_is_done() {
    let scene = Scene::default();
    (0..20).for_each(|n| scene.table.put(&format!("k{n}"), n));
    scene.table.set_page_size(10);
    scene.table.fail([TableError::Unavailable("is busy".to_owned())]);
    scene.target.fail_writes([Fault::Status(429), Fault::Unreachable, Fault::AnswerLost]);
    assert_eq!(scene.succeed(json!({})).await.counts.items, 20);
    // Nothing can be written: nothing is done, and the next invocation begins at the same place.
    scene.target.fail_writes(std::iter::repeat_n(Fault::Status(503), 10_000));
    let error = scene.run(json!({})).await.expect_err("no page is done");
    assert!(matches!(error, FunctionError::Unavailable(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn page_behind_one_that_is_not_done_is_written_and_does_not_count() {
    let scene = Scene::default();
    // In the order of their keys, so that the first page is known.
    (0..100).for_each(|n| scene.table.put(&format!("k{n:02}"), n));
    scene.table.set_page_size(10);
    scene.target.fail_writes([Fault::Hang]);
    let error = scene.run(json!({})).await.expect_err("the first page is not done");
    assert!(matches!(error, FunctionError::Unavailable(_)), "{error}");
    let pages: BTreeSet<String> = scene.visible().into_keys().map(|id| id[..2].to_owned()).collect();
    assert_eq!(pages.into_iter().collect::<Vec<_>>(), ["k1"], "a page that is not done stops the reading");
    assert_eq!(scene.succeed(json!({})).await.counts.items, 100);
}

#[tokio::test(start_paused = true)]
async fn page_goes_in_small_requests_and_two_at_once() {
    let scene = Scene::default();
    (0..1_700).for_each(|n| scene.table.put(&format!("k{n:04}"), n));
    scene.table.set_page_size(1_200);
    scene.succeed(json!({})).await;
    assert_eq!(scene.target.request_sizes(), [500, 500, 200, 500]);

    let scene = Scene { table: scene.table, ..Scene::default() };
    scene.target.fail_writes([Fault::Hang, Fault::Hang]);
    scene.run(json!({})).await.expect_err("the first page is not done");
    assert_eq!(scene.visible().len(), 0, "a third request went beside the two that hang");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_table_or_a_wrong_request_fails_loudly() {
    let scene = Scene::default();
    scene.table.fail([TableError::Refused("AccessDeniedException".to_owned())]);
    assert_eq!(scene.run(json!({})).await.expect_err("refused").kind(), "Configuration");
    let error = scene.run(json!({"keys": [{"sk": {"S": "a"}}]})).await.expect_err("no key");
    assert!(error.to_string().contains("`pk` (S)"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_raised_generation_replaces_all_documents_of_the_old_one() {
    let mut scene = Scene::default();
    scene.table.put("a", 1);
    scene.deliver(modify("a", 7, 0)).await;
    scene.read_options.generation = Generation(2);
    assert_eq!(scene.succeed(json!({})).await.counts.written, 1);
    assert_eq!(scene.visible(), BTreeMap::from([document("a", 1)]));
}

/// Writes of a table: `Some` puts a number, `None` deletes.
fn history() -> impl Strategy<Value = Vec<(usize, bool)>> {
    proptest::collection::vec((0usize..4, any::<bool>()), 1..24)
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Writes go on while backfills run, their pages overlap, and the stream delivers every change at some time, late
    /// and in any order. In the end the index equals the table.
    #[test]
    fn backfill_and_stream_converge_in_any_interleaving(
        writes in history(),
        at in proptest::collection::vec(0usize..24, 1..4),
        page_size in 1usize..4,
        order in any::<u64>(),
        pauses in proptest::collection::vec(0u64..40, 24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let scene = Scene::default();
            scene.table.set_page_size(page_size);
            let mut records = Vec::new();
            let mut live = [false; 4];
            let mut plan: Vec<Option<RecordBuilder>> = Vec::new();
            for (nth, (key, puts)) in writes.iter().enumerate() {
                let (name, sequence) = (KEYS[*key], nth as u64 + 1);
                let record = match (*puts, live[*key]) {
                    (true, false) => Some(RecordBuilder::insert(name, sequence)),
                    (true, true) => Some(RecordBuilder::modify(name, sequence)),
                    (false, true) => Some(RecordBuilder::remove(name, sequence)),
                    (false, false) => None,
                };
                live[*key] = *puts;
                let second = NOW_SECOND;
                plan.push(record.map(|record| {
                    let record = record.event_second(second);
                    if *puts { record.new_image(image(name, sequence)) } else { record }
                }));
            }
            let table_writes = async {
                for (nth, (key, puts)) in writes.iter().enumerate() {
                    tokio::time::sleep(Duration::from_millis(pauses[nth])).await;
                    if *puts { scene.table.put(KEYS[*key], nth as u64 + 1) } else { scene.table.delete(KEYS[*key]) }
                }
            };
            let backfills = futures::future::join_all(at.iter().map(|at| {
                let scene = &scene;
                async move {
                    tokio::time::sleep(Duration::from_millis(*at as u64 * 20)).await;
                    scene.run(json!({})).await
                }
            }));
            let ((), reports) = futures::future::join(table_writes, backfills).await;
            for report in reports {
                prop_assert!(report.expect("backfilled").done);
            }
            records.extend(plan.into_iter().flatten());
            let mut shuffled = records;
            let mut state = order;
            for place in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(place, (state >> 33) as usize % (place + 1));
            }
            for record in shuffled {
                scene.deliver(record).await;
            }
            let mut table = BTreeMap::new();
            for (nth, (key, puts)) in writes.iter().enumerate() {
                let (id, json) = document(KEYS[*key], nth as u64 + 1);
                if *puts { table.insert(id, json); } else { table.remove(&id); }
            }
            prop_assert_eq!(scene.visible(), table);
            Ok(())
        })?;
    }
}
