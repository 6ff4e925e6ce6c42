//! Guarantees of the decision by item, on a table and a target in memory.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::change::{ReadOptions, kinesis};
use crate::memory::{Fault, MemoryTarget};
use crate::replication::Replication;
use crate::table::memory::MemoryTable;
use crate::testing::{KinesisRecordBuilder, TABLE_ARN};
use crate::time::Timestamp;
use crate::version::{Generation, Version};
use crate::writer::ApplyOptions;

/// Function's clock: less than a minute after the changes.
fn clock() -> Timestamp {
    Timestamp::from_millis(1_768_469_470_000)
}

#[derive(Default)]
struct Scene {
    table: MemoryTable,
    target: MemoryTarget,
}

impl Scene {
    /// Writes the changes of records as one batch of a new process, and returns their outcomes.
    async fn deliver(&self, records: &[KinesisRecordBuilder]) -> Vec<Outcome> {
        let writer = Writer::new(self.target.clone(), Generation::default());
        self.deliver_through(&writer, records).await.expect("decided")
    }

    async fn deliver_through(
        &self,
        writer: &Writer<MemoryTarget>,
        records: &[KinesisRecordBuilder],
    ) -> Result<Vec<Outcome>, RepairError> {
        let read = |record: &KinesisRecordBuilder| kinesis::read(&record.json(), TABLE_ARN, &ReadOptions::default());
        let changes: Vec<_> = records.iter().map(|record| read(record).change.expect("a change")).collect();
        let deadline = Instant::now() + Duration::from_secs(10);
        let options = ApplyOptions::new(deadline, clock());
        let mut outcomes = writer.apply(&changes, options).await.expect("configured").outcomes;
        let options = RepairOptions { deadline, now: &clock, replication: &Replication::default() };
        let key = |place: usize| Some(MemoryTable::key(changes[place].id.as_str()));
        writer.decide(Some(&self.table), &changes, key, &mut outcomes, options).await?;
        Ok(outcomes)
    }

    fn visible(&self) -> Option<String> {
        self.target.visible().remove("a")
    }

    fn version(&self) -> Version {
        self.target.documents().into_values().next().and_then(|document| document.version).expect("a version")
    }
}

/// A MODIFY with the event id `id`, whose document is `{"n": number}`.
fn modify(micros: u64, id: &str, number: u64) -> KinesisRecordBuilder {
    KinesisRecordBuilder::modify("a", micros).event_id(id).numbered(number)
}

fn document(number: u64) -> Option<String> {
    Some(format!(r#"{{"n":{number},"pk":"a"}}"#))
}

#[tokio::test(start_paused = true)]
async fn the_item_decides_between_two_changes_of_one_microsecond_in_any_order_of_delivery() {
    let (first, last) = (modify(5, "first", 1), modify(5, "last", 2));
    for order in [[&first, &last], [&last, &first]] {
        let scene = Scene::default();
        scene.table.put("a", 2);
        assert_eq!(scene.deliver(&[order[0].clone()]).await, [Outcome::Applied]);
        assert_eq!(scene.deliver(&[order[1].clone()]).await, [Outcome::Applied]);
        assert_eq!(scene.visible(), document(2));
        assert!(scene.version().as_str().ends_with("/us/item"), "{}", scene.version());
        // Delivered once more, both are decided once more, and neither overwrites.
        for record in order {
            scene.deliver(std::slice::from_ref(record)).await;
            assert_eq!(scene.visible(), document(2));
        }
        // The order is known again.
        assert_eq!(scene.deliver(&[modify(4, "older", 9)]).await, [Outcome::Stale]);
        assert_eq!(scene.deliver(&[modify(6, "newer", 3)]).await, [Outcome::Applied]);
        assert_eq!(scene.visible().as_deref(), Some(r#"{"n":3}"#));
        assert_eq!(scene.deliver(&[first.clone(), last.clone()]).await, [const { Outcome::Stale }; 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_both_never_chooses_by_their_ids() {
    type Begin = fn(&str, u64) -> KinesisRecordBuilder;
    let (insert, modify_a): (Begin, Begin) = (KinesisRecordBuilder::insert, KinesisRecordBuilder::modify);
    for kinds in [[insert, modify_a], [modify_a; 2]] {
        let scene = Scene::default();
        scene.table.put("a", 2);
        let [one, other] = [(kinds[0], "x"), (kinds[1], "y")].map(|(kind, id)| kind("a", 5).event_id(id).numbered(1));
        let older = modify(4, "older", 9);
        let outcomes = scene.deliver(&[one.clone(), older, other, one]).await;
        let count = |wanted: &Outcome| outcomes.iter().filter(|outcome| *outcome == wanted).count();
        assert_eq!((count(&Outcome::Applied), outcomes.len()), (1, 4), "{outcomes:?}");
        assert_eq!(count(&Outcome::Superseded) + count(&Outcome::Duplicate), 3, "{outcomes:?}");
        assert_eq!(scene.visible(), document(2));
        assert_eq!(scene.table.reads(), 1);
        assert_eq!(scene.deliver(&[modify(4, "late", 9)]).await, [Outcome::Stale], "older than what is included");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_behind_both_needs_no_decision() {
    let scene = Scene::default();
    let outcomes = scene.deliver(&[modify(5, "x", 1), modify(6, "z", 3), modify(5, "y", 2)]).await;
    assert_eq!(outcomes, [Outcome::Superseded, Outcome::Applied, Outcome::Superseded]);
    assert_eq!((scene.visible().as_deref(), scene.table.reads()), (Some(r#"{"n":3}"#), 0));
    let outcomes = scene.deliver(&[modify(5, "x", 1), modify(5, "y", 2)]).await;
    assert_eq!((outcomes, scene.table.reads()), (vec![Outcome::Stale; 2], 0));
    // An insert is presumed to be new, so the decision finds what is stored.
    let insert = KinesisRecordBuilder::insert("a", 5).event_id("x");
    assert_eq!(scene.deliver(&[insert, modify(5, "y", 2)]).await, [const { Outcome::Stale }; 2]);
    assert_eq!(scene.visible().as_deref(), Some(r#"{"n":3}"#));
}

#[tokio::test(start_paused = true)]
async fn the_same_event_again_is_a_duplicate_without_a_read() {
    let scene = Scene::default();
    let writer = Writer::new(scene.target.clone(), Generation::default());
    let record = [modify(5, "x", 1)];
    assert_eq!(scene.deliver_through(&writer, &record).await.expect("decided"), [Outcome::Applied]);
    assert_eq!(scene.deliver_through(&writer, &record).await.expect("decided"), [Outcome::Duplicate]);
    assert_eq!(scene.table.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_remembers_the_first_change_does_not_overwrite_it() {
    let scene = Scene::default();
    scene.table.put("a", 1);
    let writer = Writer::new(scene.target.clone(), Generation::default());
    for id in ["x", "y", "x", "z"] {
        scene.deliver_through(&writer, &[modify(5, id, u64::from(id != "x") + 1)]).await.expect("decided");
    }
    assert_eq!(scene.visible(), document(1));
}

#[tokio::test(start_paused = true)]
async fn a_removed_item_leaves_a_tombstone() {
    let scene = Scene::default();
    let remove = KinesisRecordBuilder::remove("a", 5).event_id("gone");
    scene.deliver(&[modify(5, "x", 1), remove.clone()]).await;
    assert_eq!((scene.visible(), scene.target.documents().len()), (None, 1));
    assert_eq!(scene.deliver(&[modify(4, "older", 1)]).await, [Outcome::Stale]);
    scene.deliver(&[modify(5, "x", 1)]).await;
    assert_eq!(scene.visible(), None);
}

#[tokio::test(start_paused = true)]
async fn changes_of_two_precisions_are_decided_by_the_item_and_none_of_them_is_lost() {
    // In truth: milliseconds 1 (n 1), milliseconds 2 (n 2), then microseconds 1,900 (n 3), stamped early.
    let (one, two, three) = (
        modify(1_000, "one", 1).in_milliseconds(),
        modify(2_000, "two", 2).in_milliseconds(),
        modify(1_900, "three", 3),
    );
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let scene = Scene::default();
        scene.table.put("a", 3);
        for nth in order {
            scene.deliver(&[[&one, &two, &three][nth].clone()]).await;
        }
        assert_eq!(scene.visible(), document(3), "{order:?}");
        // Beyond the margin, versions decide again.
        let reads = scene.table.reads();
        assert_eq!(scene.deliver(&[modify(13_000, "later", 4)]).await, [Outcome::Applied]);
        assert_eq!((scene.visible().as_deref(), scene.table.reads()), (Some(r#"{"n":4}"#), reads));
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_cannot_be_read_fails_these_changes_alone_and_a_refusal_is_a_configuration_error() {
    let scene = Scene::default();
    scene.table.put("a", 2);
    scene.table.fail([TableError::Unavailable("is busy".to_owned())]);
    let other = KinesisRecordBuilder::modify("b", 5);
    let batch = [modify(5, "x", 1), other, modify(5, "y", 2)];
    let outcomes = scene.deliver(&batch).await;
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(Problem::Unordered(_)));
    assert!(failed(&outcomes[0]) && failed(&outcomes[2]) && outcomes[1] == Outcome::Applied, "{outcomes:?}");
    assert_eq!(scene.visible(), None, "nothing was chosen meanwhile");
    scene.table.fail([TableError::Refused("AccessDenied".to_owned())]);
    let writer = Writer::new(scene.target.clone(), Generation::default());
    let refused = scene.deliver_through(&writer, &batch).await.expect_err("a configuration error");
    assert_eq!(refused, RepairError::Table(TableError::Refused("AccessDenied".to_owned())));
    scene.deliver(&batch).await;
    assert_eq!(scene.visible(), document(2));
}

#[tokio::test(start_paused = true)]
async fn without_a_table_or_a_key_such_changes_fail_and_nothing_is_written() {
    let scene = Scene::default();
    let read = |id: &str| kinesis::read(&modify(5, id, 1).json(), TABLE_ARN, &ReadOptions::default());
    let changes = ["x", "y"].map(|id| read(id).change.expect("a change"));
    let writer = Writer::new(scene.target.clone(), Generation::default());
    let deadline = Instant::now() + Duration::from_secs(10);
    let options = RepairOptions { deadline, now: &clock, replication: &Replication::default() };
    for table in [None, Some(&scene.table)] {
        let mut outcomes = vec![Outcome::Unordered; 2];
        writer.decide(table, &changes, |_| None, &mut outcomes, options).await.expect("configured");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Failed(Problem::Unordered(_)))));
    }
    assert_eq!(scene.target.documents().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_decided_once_more() {
    let scene = Scene::default();
    scene.table.put("a", 2);
    scene.deliver(&[modify(5, "x", 1)]).await;
    scene.target.fail_writes([Fault::AnswerLost, Fault::Status(503)]);
    assert_eq!(scene.deliver(&[modify(5, "y", 2)]).await, [Outcome::Applied]);
    assert_eq!(scene.visible(), document(2));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_the_engine_refuses_ends_its_changes_as_rejected() {
    let scene = Scene::default();
    scene.table.put("a", 2);
    scene.target.refuse(br#"{"n":2,"pk":"a"}"#, 400);
    let outcomes = scene.deliver(&[modify(5, "x", 1), modify(5, "y", 1)]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Rejected(_))), "{outcomes:?}");
}

/// One change in a history of one item: microseconds since the one before, its precision, and its kind.
#[derive(Debug, Clone)]
struct Step {
    later_by: u64,
    is_milli: bool,
    is_removal: bool,
}

/// Records of a history, in the order in which the changes happened. Times in milliseconds count on where they would
/// repeat, as DynamoDB once did, or repeat, as it may.
fn history(steps: &[Step], counts_on: bool) -> Vec<KinesisRecordBuilder> {
    let (mut micros, mut last_milli) = (0, 0);
    let mut records = Vec::with_capacity(steps.len());
    for (nth, step) in steps.iter().enumerate() {
        micros += step.later_by;
        let begun = match step.is_removal {
            true => KinesisRecordBuilder::remove("a", micros),
            false => KinesisRecordBuilder::modify("a", micros).numbered(nth as u64),
        };
        let record = begun.event_id(format!("change {nth}"));
        records.push(match step.is_milli {
            true => {
                let milli = micros / 1_000;
                last_milli = if counts_on { milli.max(last_milli + 1) } else { milli };
                record.at(last_milli * 1_000).in_milliseconds()
            }
            false => record,
        });
    }
    records
}

fn step() -> impl Strategy<Value = Step> {
    let later_by = prop_oneof![Just(0), 0..40_u64, 0..3_000_u64, 9_000..12_000_u64];
    (later_by, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(later_by, is_milli, is_removal)| Step {
        later_by,
        is_milli,
        is_removal,
    })
}

proptest! {
    /// Delivers a history while it happens: late, in any order, repeatedly, in batches of one to three.
    #[test]
    fn any_delivery_of_any_history_ends_as_the_item(
        steps in prop::collection::vec(step(), 1..7),
        counts_on in any::<bool>(),
        deliveries in prop::collection::vec((any::<prop::sample::Index>(), 1..4_usize, any::<bool>()), 0..20),
        last in Just((0..7_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let records = history(&steps, counts_on);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (found, expect) = runtime.expect("a runtime").block_on(async {
            let scene = Scene::default();
            let mut happened = 0;
            let happen = |nth: usize| match steps[nth].is_removal {
                true => scene.table.delete("a"),
                false => scene.table.put("a", nth as u64),
            };
            for (which, size, goes_on) in deliveries {
                if happened == 0 || (goes_on && happened < records.len()) {
                    happen(happened);
                    happened += 1;
                }
                let batch: Vec<_> = (0..size).map(|nth| records[(which.index(happened) + nth) % happened].clone()).collect();
                scene.deliver(&batch).await;
            }
            (happened..records.len()).for_each(happen);
            for nth in last.into_iter().filter(|&nth| nth < records.len()) {
                scene.deliver(&[records[nth].clone()]).await;
            }
            let end = records.len() - 1;
            let number = |document: String| document.split([':', ',', '}']).nth(1).map(str::to_owned);
            (scene.visible().and_then(number), (!steps[end].is_removal).then(|| end.to_string()))
        });
        prop_assert_eq!(found, expect, "{:?}", records.iter().map(KinesisRecordBuilder::inner).collect::<Vec<_>>());
    }
}
