//! Guarantees of the writer, on the target in memory with scripted faults.

mod beside;
pub(super) mod busy;
mod doubt;
mod other_item;
mod read_at;
mod rounds;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::change::{Change, Content};
use crate::fixtures::{change, insert, remove};
use crate::memory::{Fault, MemoryTarget};
use crate::outcome::{Problem, Treatment};

fn options() -> ApplyOptions {
    ApplyOptions::new(Instant::now() + Duration::from_secs(10), Timestamp::from_millis(1))
}

fn long() -> ApplyOptions {
    ApplyOptions { deadline: Instant::now() + Duration::from_secs(300), ..options() }
}

fn writer() -> (Writer<MemoryTarget>, MemoryTarget) {
    let target = MemoryTarget::default();
    (Writer::new(target.clone(), Generation::default()), target)
}

async fn apply(writer: &Writer<MemoryTarget>, changes: &[Change]) -> Vec<Outcome> {
    writer.apply(changes, options()).await.expect("configured").outcomes
}

fn shows(target: &MemoryTarget, expect: &[(&str, &str)]) {
    let expect: BTreeMap<String, String> = expect.iter().map(|(id, json)| ((*id).into(), (*json).into())).collect();
    assert_eq!(target.visible(), expect);
}

const STALE: Outcome = Outcome::Stale;

#[tokio::test(start_paused = true)]
async fn older_change_never_overwrites_newer() {
    let (writer, target) = writer();
    assert_eq!(apply(&writer, &[change("a", 2)]).await, [Outcome::Applied]);
    assert_eq!(apply(&writer, &[change("a", 1)]).await, [STALE]);
    assert_eq!(apply(&writer, &[change("a", 2)]).await, [Outcome::Duplicate]);
    shows(&target, &[("a", r#"{"n":2}"#)]);
}

#[tokio::test(start_paused = true)]
async fn removed_stays_removed() {
    let (writer, target) = writer();
    assert_eq!(apply(&writer, &[remove("a", 5)]).await, [Outcome::Applied]);
    assert_eq!(apply(&writer, &[change("a", 4)]).await, [STALE]);
    assert_eq!(apply(&writer, &[insert("a", 3)]).await, [STALE]);
    shows(&target, &[]);
    assert_eq!(apply(&writer, &[insert("a", 6)]).await, [Outcome::Applied]);
    shows(&target, &[("a", r#"{"n":6}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_folded_to_its_newest_change() {
    let (writer, target) = writer();
    let outcomes = apply(
        &writer,
        &[insert("a", 1), remove("a", 2), insert("a", 3), insert("a", 3), insert("b", 4), remove("b", 5)],
    )
    .await;
    use Outcome::{Applied, Duplicate, Superseded};
    assert_eq!(outcomes, [Superseded, Superseded, Duplicate, Applied, Superseded, Applied]);
    shows(&target, &[("a", r#"{"n":3}"#)]);
    assert_eq!(target.calls(), (0, 1), "a new document costs one write and no read");
}

#[tokio::test(start_paused = true)]
async fn a_large_batch_goes_in_two_requests_and_its_outcomes_keep_their_places() {
    let keys = |count: u64| (0..count).map(|n| format!("k{n}")).collect::<Vec<_>>();
    for (count, sizes) in [(79, vec![79]), (80, vec![40, 40]), (1_001, vec![500, 501])] {
        let (writer, target) = writer();
        let newer: Vec<_> = keys(count).iter().step_by(3).map(|key| change(key, 2)).collect();
        for one in &newer {
            apply(&writer, std::slice::from_ref(one)).await;
        }
        let before = target.request_sizes().len();
        let batch: Vec<_> = keys(count).iter().map(|key| insert(key, 1)).collect();
        // Another process, with an empty cache.
        let other = Writer::new(target.clone(), Generation::default());
        let report = other.apply(&batch, options()).await.expect("configured");
        for (place, outcome) in report.outcomes.iter().enumerate() {
            let expected = if place.is_multiple_of(3) { Outcome::Stale } else { Outcome::Applied };
            assert_eq!(*outcome, expected, "{place} of {count}");
        }
        assert_eq!(target.request_sizes()[before..], sizes);
        assert_eq!(report.round_trips, 2, "a part's write, and the read of its conflicts");
    }
}

#[tokio::test(start_paused = true)]
async fn what_this_process_wrote_last_is_not_read_again() {
    let (writer, target) = writer();
    apply(&writer, &[insert("a", 1)]).await;
    apply(&writer, &[change("a", 2)]).await;
    assert_eq!(target.calls(), (0, 2));
    apply(&writer, &[change("b", 3)]).await;
    assert_eq!(target.calls(), (1, 3), "an unseen document is read first");
}

#[tokio::test(start_paused = true)]
async fn a_stale_cache_costs_a_conflict_and_never_a_wrong_write() {
    let target = MemoryTarget::default();
    let (one, other) =
        (Writer::new(target.clone(), Generation::default()), Writer::new(target.clone(), Generation::default()));
    apply(&one, &[insert("a", 1)]).await;
    apply(&other, &[change("a", 3)]).await;
    assert_eq!(apply(&one, &[change("a", 2)]).await, [STALE]);
    assert_eq!(apply(&one, &[change("a", 4)]).await, [Outcome::Applied]);
    assert_eq!(apply(&other, &[change("a", 4)]).await, [Outcome::Duplicate]);
    shows(&target, &[("a", r#"{"n":4}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_document_is_older_than_every_change() {
    let (writer, target) = writer();
    target.put_foreign("a");
    assert_eq!(apply(&writer, &[insert("a", 1)]).await, [Outcome::Applied]);
    shows(&target, &[("a", r#"{"n":1}"#)]);
}

#[tokio::test(start_paused = true)]
async fn one_bad_record_does_not_block_the_batch() {
    let (writer, target) = writer();
    target.refuse(br#"{"n":2}"#, 400);
    let outcomes = apply(&writer, &[insert("a", 1), insert("b", 2), insert("c", 3)]).await;
    assert!(matches!(outcomes[1], Outcome::Rejected(_)), "{outcomes:?}");
    assert_eq!([&outcomes[0], &outcomes[2]], [&Outcome::Applied, &Outcome::Applied]);
    shows(&target, &[("a", r#"{"n":1}"#), ("c", r#"{"n":3}"#)]);
}

#[tokio::test(start_paused = true)]
async fn folding_never_loses_what_single_writes_would_have_kept() {
    let (writer, target) = writer();
    target.refuse(br#"{"n":3}"#, 400);
    let outcomes = apply(&writer, &[insert("a", 1), change("a", 2), change("a", 3)]).await;
    assert_eq!([&outcomes[0], &outcomes[1]], [&Outcome::Superseded, &Outcome::Applied]);
    assert!(matches!(outcomes[2], Outcome::Rejected(_)));
    shows(&target, &[("a", r#"{"n":2}"#)]);
}

#[tokio::test(start_paused = true)]
async fn lost_response_does_not_duplicate() {
    let (writer, target) = writer();
    target.fail_writes([Fault::AnswerLost]);
    assert_eq!(apply(&writer, &[insert("a", 1)]).await, [Outcome::Duplicate]);
    target.fail_writes([Fault::AnswerLost]);
    assert_eq!(apply(&writer, &[change("a", 2)]).await, [Outcome::Duplicate]);
    shows(&target, &[("a", r#"{"n":2}"#)]);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_waited_out() {
    let (writer, target) = writer();
    target.fail_writes([Fault::Unreachable, Fault::Status(429), Fault::Status(503), Fault::Status(403)]);
    target.fail_reads([Fault::Unreachable]);
    assert_eq!(apply(&writer, &[insert("a", 1), change("b", 2)]).await, [Outcome::Applied, Outcome::Applied]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_before_the_deadline() {
    for fault in [Fault::Unreachable, Fault::Status(429), Fault::Status(503), Fault::Hang] {
        let (writer, target) = writer();
        target.fail_writes(std::iter::repeat_n(fault.clone(), 1_000));
        let options = options();
        let outcomes = writer.apply(&[insert("a", 1)], options).await.expect("configured").outcomes;
        assert!(matches!(outcomes[..], [Outcome::Failed(_)]), "{fault:?}: {outcomes:?}");
        assert!(Instant::now() <= options.deadline, "{fault:?}");
        shows(&target, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_index_is_no_matter_of_the_data() {
    let (writer, target) = writer();
    target.fail_writes([Fault::Status(404)]);
    let error = writer.apply(&[insert("a", 1)], options()).await.expect_err("a configuration error");
    assert!(error.to_string().contains("INDEX"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_order_anomaly_is_noticed() {
    let (writer, _) = writer();
    let at = |mut change: Change, millis| {
        change.event_time = Some(Timestamp::from_millis(millis));
        change
    };
    apply(&writer, &[at(insert("a", 5), 10_000)]).await;
    assert_eq!(apply(&writer, &[at(change("a", 4), 12_000)]).await, [STALE]);
    assert_eq!(apply(&writer, &[at(change("a", 4), 12_001)]).await, [Outcome::OrderAnomaly]);
}

/// Delivery of one table's history: batches of places in it, by one of several processes, with faults.
#[derive(Debug, Clone)]
struct Delivery {
    process: usize,
    places: Vec<usize>,
    fault: Fault,
}

fn history() -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec((0usize..4, 0u8..4), 1..24).prop_map(|writes| {
        let mut live = [false; 4];
        let one = |(sequence, (key, what)): (usize, (usize, u8))| {
            let (id, sequence) = (["a", "b", "c", "d"][key], sequence as u64 + 1);
            let was_live = std::mem::replace(&mut live[key], what != 0);
            match (what, was_live) {
                (0, _) => remove(id, sequence),
                (_, false) => insert(id, sequence),
                (_, true) => change(id, sequence),
            }
        };
        writes.into_iter().enumerate().map(one).collect()
    })
}

fn deliveries(changes: usize) -> impl Strategy<Value = Vec<Delivery>> {
    let fault = prop_oneof![
        4 => Just(Fault::None), 1 => Just(Fault::Unreachable), 1 => Just(Fault::AnswerLost), 1 => Just(Fault::Status(429)),
    ];
    let delivery = (0usize..3, proptest::collection::vec(0..changes, 1..8), fault)
        .prop_map(|(process, places, fault)| Delivery { process, places, fault });
    proptest::collection::vec(delivery, 0..12)
}

fn history_and_deliveries() -> impl Strategy<Value = (Vec<Change>, Vec<Delivery>, Vec<usize>)> {
    history().prop_flat_map(|changes| {
        let count = changes.len();
        let last = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
        (Just(changes), deliveries(count), last)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    /// Changes may come in any order, duplicated and in any batches, through several concurrent processes and with
    /// faults. Once every change was delivered at least once, the index equals the table.
    #[test]
    fn every_delivery_converges((changes, deliveries, last) in history_and_deliveries()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let target = MemoryTarget::default();
            let processes = [Writer::new(target.clone(), Generation::default()), Writer::new(target.clone(), Generation::default()), Writer::new(target.clone(), Generation::default())];
            let running = deliveries.iter().map(|delivery| {
                let (processes, changes, target) = (&processes, &changes, &target);
                async move {
                    target.fail_writes([delivery.fault.clone()]);
                    let batch: Vec<Change> = delivery.places.iter().map(|&place| changes[place].clone()).collect();
                    apply(&processes[delivery.process], &batch).await
                }
            });
            for outcomes in futures::future::join_all(running).await {
                prop_assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::Rejected(_) | Outcome::Failed(_))));
            }
            for place in last {
                apply(&processes[0], std::slice::from_ref(&changes[place])).await;
            }
            let mut table = BTreeMap::new();
            for change in &changes {
                match change.content.document() {
                    Some(json) => table.insert(change.id.to_string(), String::from_utf8(json.as_bytes().to_vec()).unwrap()),
                    None => table.remove(change.id.as_str()),
                };
            }
            prop_assert_eq!(target.visible(), table);
            Ok(())
        })?;
    }
}

#[test]
fn a_contended_document_is_left_to_lambda() {
    assert_eq!(Problem::Contended(16).treatment(), Treatment::Retry);
}
