//! The mapping's guarantees, each on a stream in memory and a scripted function.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{
    EventSourceMapping, FailureMessage, MappingConfig, MappingFaults, MemoryMessages, OnFailure, StartingPosition,
    on_failure::Condition,
    testing::{Bench, ScriptedFunction, SeenInvocation, change, function_error, quick_config, success},
};

/// Far longer than any of these takes.
const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn config(batch_size: usize) -> MappingConfig {
    MappingConfig { batch_size, maximum_retry_attempts: Some(2), report_batch_item_failures: true, ..quick_config() }
}

fn every(count: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(count)
}

async fn eventually_read(mapping: &EventSourceMapping, records: usize) {
    let start = Instant::now();
    while mapping.stats().records_read < records as u64 {
        assert!(start.elapsed() < LIMIT, "{:?}", mapping.stats());
        sleep(Duration::from_millis(1)).await;
    }
}

fn always_successful() -> Bench {
    Bench::new(ScriptedFunction::new(|_| success()))
}

#[tokio::test]
async fn batches_are_of_the_batch_size_and_in_order() {
    let bench = always_successful();
    bench.push("a b c d e f g");
    let stats = bench.drain(config(3)).await;
    assert_eq!(bench.function.deliveries(), ["a b c", "d e f", "g"]);
    assert_eq!((stats.records_read, stats.records_delivered, stats.invocations), (7, 7, 3));
    assert_eq!((stats.records_in_flight, stats.retries, stats.dead_letters), (0, 0, 0));
}

#[tokio::test]
async fn a_batch_that_keeps_failing_leaves_a_message_and_the_shard_goes_on() {
    let bench = Bench::new(ScriptedFunction::failing_on(&["b"]));
    bench.push("a b c d");
    let stats = bench.drain(config(2)).await;
    assert_eq!(bench.function.deliveries(), ["a b", "a b", "a b", "c d"]);
    let messages = bench.messages.messages();
    assert_eq!(messages.len(), 1);
    let first = &bench.function.calls()[0];
    assert_eq!(messages[0].request_context.condition, Condition::RetryAttemptsExhausted);
    assert_eq!(messages[0].request_context.approximate_invoke_count, 3);
    assert_eq!(messages[0].batch.range().start_sequence_number, first.numbers[0]);
    assert_eq!(messages[0].batch.range().end_sequence_number, first.numbers[1]);
    assert_eq!(messages[0].batch.range().batch_size, 2);
    assert_eq!((stats.retries, stats.dead_letters, stats.dead_lettered_records), (2, 1, 2));
    assert_eq!((stats.function_errors, stats.records_delivered), (3, 2));
}

#[tokio::test]
async fn records_before_the_checkpoint_are_not_delivered_again() {
    let bench = Bench::new(ScriptedFunction::new(|call| {
        SeenInvocation::failures(
            call.numbers.iter().zip(&call.keys).filter(|(_, key)| *key == "c").map(|(number, _)| number),
        )
    }));
    bench.push("a b c d");
    let stats = bench.drain(config(4)).await;
    assert_eq!(bench.function.deliveries(), ["a b c d", "c d", "c d"]);
    assert_eq!((stats.records_delivered, stats.dead_lettered_records, stats.failed_responses), (2, 2, 3));
    assert_eq!(bench.messages.messages()[0].response_context.as_ref().unwrap().function_error, None);
}

#[tokio::test]
async fn bisecting_leaves_only_the_bad_record_behind() {
    let bench = Bench::new(ScriptedFunction::failing_on(&["f"]));
    bench.push("a b c d e f g h");
    let stats = bench.drain(MappingConfig { bisect_batch_on_function_error: true, ..config(8) }).await;
    assert_eq!(
        bench.function.deliveries(),
        ["a b c d e f g h", "a b c d", "e f g h", "e f", "e", "f", "f", "f", "g h"]
    );
    assert_eq!((stats.bisects, stats.retries, stats.records_delivered), (3, 2, 7));
    let messages = bench.messages.messages();
    assert_eq!((messages.len(), messages[0].batch.range().batch_size), (1, 1));
}

#[tokio::test]
async fn without_a_limit_a_batch_is_tried_until_it_succeeds() {
    let attempts = AtomicUsize::new(0);
    let bench = Bench::new(ScriptedFunction::new(move |_| {
        if attempts.fetch_add(1, SeqCst) < 50 { function_error() } else { success() }
    }));
    bench.push("a");
    let stats = bench.drain(MappingConfig { maximum_retry_attempts: None, ..config(1) }).await;
    assert_eq!((stats.invocations, stats.records_delivered, stats.dead_letters), (51, 1, 0));
}

#[tokio::test]
async fn records_that_are_too_old_are_given_up_without_an_invocation() {
    let bench = always_successful();
    bench.stream.push_at(&change("old"), super::testing::ARRIVAL_S as f64).unwrap();
    bench.push("new");
    bench.drain(MappingConfig { maximum_record_age: Some(HOUR), ..config(10) }).await;
    assert_eq!(bench.function.deliveries(), ["new"]);
    let messages = bench.messages.messages();
    assert_eq!(messages[0].request_context.condition, Condition::RecordAgeExceeded);
    assert_eq!(messages[0].request_context.approximate_invoke_count, 0);
    assert!(messages[0].response_context.is_none());
}

/// Refuses the first messages.
struct Reluctant(AtomicUsize, MemoryMessages);

#[async_trait]
impl OnFailure for Reluctant {
    async fn send(&self, message: &FailureMessage, event: &Bytes) -> Result<()> {
        if self.0.try_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            bail!("not now");
        }
        self.1.send(message, event).await
    }
}

#[tokio::test]
async fn a_message_that_is_refused_is_sent_again() {
    let bench = Bench::new(ScriptedFunction::failing_on(&["a"]));
    bench.push("a b");
    let sink = Arc::new(Reluctant(AtomicUsize::new(5), MemoryMessages::default()));
    let mapping = bench.start_with(config(1), Some(Arc::clone(&sink) as Arc<dyn OnFailure>)).await;
    mapping.wait_until_drained(LIMIT).await.unwrap();
    let stats = mapping.shutdown().await;
    assert_eq!((stats.refused_dead_letters, stats.dead_letters, stats.records_delivered), (5, 1, 1));
    assert_eq!(sink.1.messages().len(), 1);
}

#[tokio::test]
async fn without_a_destination_what_is_given_up_counts_as_lost() {
    let bench = Bench::new(ScriptedFunction::failing_on(&["a"]));
    bench.push("a b");
    let mapping = bench.start_with(config(1), None).await;
    mapping.wait_until_drained(LIMIT).await.unwrap();
    let stats = mapping.stats();
    assert_eq!((stats.records_lost, stats.dead_letters, stats.records_delivered), (1, 0, 1));
}

#[tokio::test]
async fn a_parent_is_finished_retries_included_before_its_children_start() {
    let bench = Bench::new(ScriptedFunction::failing_on(&["p3"]));
    bench.push("p1 p2 p3");
    let root = bench.stream.open_shards().remove(0);
    bench.stream.split(&root).unwrap();
    bench.push("c1 c2 c3 c4 c5 c6");
    bench.drain(config(1)).await;
    let calls = bench.function.calls();
    let parents_end = calls.iter().filter(|call| call.keys[0].starts_with('p')).map(|call| call.end).max();
    let children: Vec<_> = calls.iter().filter(|call| call.keys[0].starts_with('c')).collect();
    assert_eq!(children.len(), 6);
    assert!(children.iter().all(|call| Some(call.start) >= parents_end), "{:?}", bench.function.deliveries());
    assert!(children.iter().any(|call| call.environment != children[0].environment), "siblings run side by side");
}

#[tokio::test]
async fn lanes_work_side_by_side_and_keep_the_order_of_each_key() {
    let bench = always_successful();
    (0..10).for_each(|_| bench.push("a b c d e f g h i j"));
    bench.drain(MappingConfig { parallelization_factor: 4, ..config(1) }).await;
    let calls = bench.function.calls();
    for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        let of_key: Vec<_> = calls.iter().filter(|call| call.keys[0] == key).collect();
        assert_eq!(of_key.len(), 10);
        assert!(of_key.is_sorted_by_key(|call| call.numbers[0].clone()), "{key}");
        assert!(of_key.iter().all(|call| call.environment == of_key[0].environment), "{key}");
    }
    let environments: std::collections::HashSet<_> = calls.iter().map(|call| call.environment).collect();
    assert_eq!(environments.len(), 4);
    let overlaps = calls.iter().filter(|call| {
        calls
            .iter()
            .any(|other| other.environment != call.environment && other.start < call.end && call.start < other.end)
    });
    assert!(overlaps.count() > 50, "lanes do not wait for each other");
}

#[tokio::test]
async fn the_batching_window_waits_for_a_full_batch_but_not_for_ever() {
    let bench = always_successful();
    let config = MappingConfig { batching_window: Duration::from_millis(300), ..config(4) };
    let mapping = bench.start(config).await;
    for keys in ["a", "b c", "d"] {
        bench.push(keys);
        // Each is read by itself, so that without a window it would be a batch.
        eventually_read(&mapping, bench.stream.len()).await;
    }
    bench.push("e");
    mapping.wait_until_drained(LIMIT).await.unwrap();
    assert_eq!(bench.function.deliveries(), ["a b c d", "e"]);
    let waited = bench.function.calls()[1].start - bench.function.calls()[0].end;
    assert!(waited >= Duration::from_millis(290), "{waited:?}");
}

#[tokio::test]
async fn a_batch_stays_below_the_payload_limit() {
    let bench = always_successful();
    let mut large = change("a");
    let text = "x".repeat(2 * 1024 * 1024);
    large.new_image = Some([("text".to_owned(), serde_json::json!({"S": text}))].into_iter().collect());
    (0..7).for_each(|_| {
        bench.stream.push(&large).unwrap();
    });
    let stats = bench.drain(config(100)).await;
    assert_eq!(bench.function.deliveries(), ["a a", "a a", "a a", "a"]);
    assert_eq!(stats.records_delivered, 7);
}

#[tokio::test]
async fn an_expired_iterator_loses_and_repeats_nothing() {
    let bench = always_successful();
    bench.push("a b");
    let mapping = bench.start(config(10)).await;
    mapping.wait_until_drained(LIMIT).await.unwrap();
    bench.stream.expire_iterators();
    bench.push("c");
    mapping.wait_until_drained(LIMIT).await.unwrap();
    assert_eq!(bench.function.deliveries(), ["a b", "c"]);
}

#[tokio::test]
async fn trimmed_records_are_reported_and_the_rest_is_delivered() {
    let bench = always_successful();
    bench.push("a");
    let mapping = bench.start(config(10)).await;
    mapping.wait_until_drained(LIMIT).await.unwrap();
    bench.push("b c");
    bench.stream.trim(&bench.stream.open_shards()[0], 2).unwrap();
    mapping.wait_until_drained(LIMIT).await.unwrap();
    assert_eq!(bench.function.deliveries(), ["a", "c"]);
    assert_eq!(mapping.stats().trimmed, 1);
}

#[tokio::test]
async fn latest_skips_what_is_there_and_reads_later_shards_from_their_start() {
    let bench = always_successful();
    bench.push("a b");
    let config = MappingConfig { starting_position: StartingPosition::Latest, ..config(10) };
    let mapping = bench.start(config).await;
    mapping.wait_until_drained(LIMIT).await.unwrap();
    bench.push("c");
    let shard = bench.stream.open_shards().remove(0);
    bench.stream.roll(&shard).unwrap();
    bench.push("d");
    mapping.wait_until_drained(LIMIT).await.unwrap();
    assert_eq!(bench.function.deliveries(), ["c", "d"]);
}

#[tokio::test]
async fn a_function_that_cannot_be_invoked_uses_up_no_retry() {
    let bench = always_successful();
    bench.function.failing_launches.store(9, SeqCst);
    bench.push("a");
    let stats = bench.drain(MappingConfig { maximum_retry_attempts: Some(0), ..config(1) }).await;
    assert_eq!((stats.launch_errors, stats.records_delivered, stats.dead_letters), (9, 1, 0));
}

#[tokio::test]
async fn redelivery_repeats_the_last_batches_and_counts_no_record_twice() {
    let bench = always_successful();
    bench.push("a b c d e");
    let faults = MappingFaults { redeliver_every: every(2), redelivered_batches: 2, ..MappingFaults::default() };
    let stats = bench.drain(MappingConfig { faults, ..config(1) }).await;
    assert_eq!(bench.function.deliveries(), ["a", "b", "a", "b", "c", "d", "c", "d", "e"]);
    assert_eq!((stats.records_delivered, stats.redelivered_batches, stats.records_in_flight), (5, 4, 0));
}

#[tokio::test]
async fn a_kill_and_a_redelivery_that_are_asked_for_happen_once() {
    let bench = always_successful();
    let faults = MappingFaults { redelivered_batches: 2, ..MappingFaults::default() };
    let mapping = bench.start(MappingConfig { faults, ..config(1) }).await;
    bench.push("a b");
    mapping.wait_until_drained(LIMIT).await.unwrap();
    mapping.kill_next();
    mapping.deliver_again();
    bench.push("c d");
    mapping.wait_until_drained(LIMIT).await.unwrap();
    assert_eq!(bench.function.deliveries(), ["a", "b", "c", "c", "b", "c", "d"]);
    let stats = mapping.shutdown().await;
    assert_eq!((stats.faults, stats.redelivered_batches, stats.records_delivered), (1, 2, 4));
    let both = stats.clone().after(&stats);
    assert_eq!((both.faults, both.records_delivered, both.invocation_max), (2, 8, stats.invocation_max));
}

#[tokio::test]
async fn a_lost_answer_is_a_function_error_and_the_batch_comes_again() {
    let bench = always_successful();
    bench.push("a b c");
    let faults = MappingFaults { lose_answer_every: every(2), ..MappingFaults::default() };
    let stats = bench.drain(MappingConfig { faults, ..config(1) }).await;
    assert_eq!(bench.function.deliveries(), ["a", "b", "b", "c", "c"]);
    assert_eq!((stats.faults, stats.retries, stats.records_delivered), (2, 2, 3));
}

#[tokio::test]
async fn draining_waits_for_records_that_fail_and_says_what_is_left() {
    let bench = Bench::new(ScriptedFunction::failing_on(&["a"]));
    bench.push("a");
    let mapping = bench.start(MappingConfig { maximum_retry_attempts: None, ..config(1) }).await;
    let error = mapping.wait_until_drained(Duration::from_millis(100)).await.unwrap_err().to_string();
    assert!(error.contains("records_in_flight: 1"), "{error}");
    assert!(!mapping.drained());
}

#[tokio::test]
async fn a_disabled_stream_is_drained_when_its_shards_are_finished() {
    let bench = always_successful();
    bench.push("a");
    bench.stream.close(&bench.stream.open_shards()[0]).unwrap();
    assert_eq!(bench.drain(config(1)).await.records_delivered, 1);
}
