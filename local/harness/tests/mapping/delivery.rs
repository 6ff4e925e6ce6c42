//! The event source mapping with a stream in memory and real processes.

use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
};

use driftless_harness::mapping::{
    EventSourceMapping, JsonItem, MappingConfig, MappingFaults, MemoryChange, MemoryMessages, MemoryStream, OnFailure,
};
use serde_json::json;
use tempfile::TempDir;

use super::{LIMIT, scripted_function};

fn change(key: u32, action: &str) -> MemoryChange {
    let keys: JsonItem = [("pk".to_owned(), json!({"S": key.to_string()}))].into_iter().collect();
    let image = keys.clone().into_iter().chain([("do".to_owned(), json!({"S": action}))]).collect();
    MemoryChange { event_name: "INSERT", keys, new_image: Some(image), ..MemoryChange::default() }
}

/// Everything is on, and much goes wrong.
fn faulty() -> MappingConfig {
    let every = NonZeroU64::new;
    MappingConfig {
        batch_size: 10,
        parallelization_factor: 2,
        maximum_retry_attempts: Some(1),
        bisect_batch_on_function_error: true,
        report_batch_item_failures: true,
        faults: MappingFaults {
            redeliver_every: every(5),
            kill_during_every: every(11),
            lose_answer_every: every(7),
            ..MappingFaults::default()
        },
        ..MappingConfig::default()
    }
}

/// Delivers 300 changes, some of which can never succeed, while processes are killed.
#[tokio::test]
async fn every_record_reaches_a_real_function_or_the_destination_while_processes_die() {
    let folder = TempDir::new().unwrap();
    let deliveries = folder.path().join("deliveries");
    let function = scripted_function().env("DELIVERIES", deliveries.display().to_string());
    let stream = Arc::new(MemoryStream::new("table", "pk"));
    let mut numbers = Vec::new();
    for index in 0..300 {
        let action = match index {
            100 => "fail",
            150 => "exit",
            200 => "report",
            _ => "ok",
        };
        numbers.push(stream.push(&change(index % 20, action)).unwrap().to_string());
    }
    let messages = Arc::new(MemoryMessages::default());
    let on_failure = Arc::clone(&messages) as Arc<dyn OnFailure>;
    let mapping = EventSourceMapping::start(faulty(), stream, Arc::new(function), Some(on_failure)).await.unwrap();
    mapping.wait_until_drained(LIMIT).await.unwrap();
    let stats = mapping.shutdown().await;
    assert_eq!((stats.records_read, stats.records_in_flight, stats.records_lost), (300, 0, 0));
    assert!(stats.faults > 0 && stats.redelivered_batches > 0 && stats.bisects > 0, "{stats:?}");
    assert!((3..10).contains(&stats.dead_letters), "{stats:?}");
    assert_eq!(messages.messages().len() as u64, stats.dead_letters);
    let delivered = std::fs::read_to_string(&deliveries).unwrap();
    assert!(numbers.iter().all(|number| delivered.contains(number)), "every record reached the function");
}

/// The lane must add little: what is measured in a demo is the function, not this tool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_adds_little_to_a_function_that_does_nothing() {
    let stream = Arc::new(MemoryStream::new("table", "pk"));
    for index in 0..1_000 {
        stream.push(&change(index, "ok")).unwrap();
    }
    let config = MappingConfig { batch_size: 1, report_batch_item_failures: true, ..MappingConfig::default() };
    let start = Instant::now();
    let function = Arc::new(scripted_function());
    let mapping = EventSourceMapping::start(config, stream, function, None).await.unwrap();
    mapping.wait_until_drained(LIMIT).await.unwrap();
    let (elapsed, stats) = (start.elapsed(), mapping.shutdown().await);
    assert_eq!(stats.records_delivered, 1_000);
    // On two busy cores a debug build does 400 per second, a release build 4,000.
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?} {stats:?}");
}
