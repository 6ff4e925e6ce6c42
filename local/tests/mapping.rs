//! The event source mapping with a real function process: the binary of `examples/scripted_function.rs`.

use std::{
    env,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use driftless_local::{
    function::{FunctionConfig, FunctionProcess, Invoke, Outcome, Sabotage, build_example},
    mapping::{
        EventSourceMapping, Faults, JsonItem, MappingConfig, MemoryChange, MemoryMessages, MemoryStream, OnFailure,
    },
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(60);

/// The example's binary, which cargo builds next to this test; built here only where a filter left it out.
fn scripted_function() -> FunctionConfig {
    let test = env::current_exe().unwrap();
    let beside = test.ancestors().nth(2).unwrap().join("examples/scripted_function");
    let binary: PathBuf = if beside.exists() { beside } else { build_example("scripted_function").unwrap() };
    FunctionConfig::new("scripted", binary)
}

fn event(actions: &[&str]) -> Bytes {
    let records: Vec<_> = actions
        .iter()
        .enumerate()
        .map(|(index, action)| json!({"dynamodb": {"SequenceNumber": index.to_string(), "NewImage": {"do": {"S": action}}}}))
        .collect();
    Bytes::from(json!({"Records": records}).to_string())
}

async fn outcome(function: &mut FunctionProcess, actions: &[&str]) -> Outcome {
    function.invoke(event(actions), None).await.unwrap().outcome
}

fn response(json: &'static str) -> Outcome {
    Outcome::Response(Bytes::from_static(json.as_bytes()))
}

fn success() -> Outcome {
    response(r#"{"batchItemFailures":[]}"#)
}

#[tokio::test]
async fn a_function_answers_fails_and_panics_in_one_process() {
    let mut function = FunctionProcess::new(scripted_function());
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
    let reported = response(r#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#);
    assert_eq!(outcome(&mut function, &["ok", "report"]).await, reported);
    for failing in ["fail", "panic"] {
        let outcome = outcome(&mut function, &[failing]).await;
        let Outcome::FunctionError { message, .. } = &outcome else { panic!("{outcome:?}") };
        assert!(message.contains("as the record says"), "{message}");
    }
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
}

#[tokio::test]
async fn a_process_that_ends_is_a_failure_and_is_started_again() {
    let mut function = FunctionProcess::new(scripted_function());
    let outcome_of_exit = outcome(&mut function, &["exit"]).await;
    let Outcome::Exited(Some(status)) = outcome_of_exit else { panic!("{outcome_of_exit:?}") };
    assert_eq!(status.code(), Some(7));
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
    function.kill().await;
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
}

#[tokio::test]
async fn a_function_that_hangs_is_killed_at_its_time_out() {
    let mut config = scripted_function();
    config.timeout = Duration::from_millis(300);
    let mut function = FunctionProcess::new(config);
    function.warm_up().await.unwrap();
    let start = Instant::now();
    assert_eq!(outcome(&mut function, &["hang"]).await, Outcome::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
}

#[tokio::test]
async fn an_initialisation_that_fails_says_why() {
    let mut function = FunctionProcess::new(scripted_function().env("FAIL_INIT", "no INDEX"));
    let error = function.warm_up().await.unwrap_err().to_string();
    assert!(error.contains("scripted did not start") && error.contains("no INDEX"), "{error}");
    assert!(matches!(outcome(&mut function, &["ok"]).await, Outcome::Exited(Some(_))));
}

#[tokio::test]
async fn sabotage_kills_the_process_during_and_after_its_work() {
    let folder = TempDir::new().unwrap();
    let deliveries = folder.path().join("deliveries");
    let mut function = FunctionProcess::new(scripted_function().env("DELIVERIES", deliveries.display().to_string()));
    let during = Some(Sabotage::KillAfter(Duration::from_millis(50)));
    assert_eq!(function.invoke(event(&["hang"]), during).await.unwrap().outcome, Outcome::Exited(None));
    let after = function.invoke(event(&["ok"]), Some(Sabotage::LoseAnswer)).await.unwrap();
    assert_eq!(after.outcome, Outcome::Exited(None));
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
    // The work of the lost answer was done.
    assert!(std::fs::read_to_string(&deliveries).unwrap().lines().count() >= 2);
}

#[tokio::test]
async fn what_a_function_prints_is_logged_and_offered() {
    let folder = TempDir::new().unwrap();
    let (sender, mut lines) = mpsc::unbounded_channel();
    let mut config = scripted_function();
    config.log_file = Some(folder.path().join("log"));
    config.stdout_lines = Some(sender);
    let expected = format!("record \"0\" of {}", config.arn());
    let mut function = FunctionProcess::new(config);
    assert_eq!(outcome(&mut function, &["print"]).await, success());
    let found = async { while lines.recv().await.unwrap() != expected {} };
    tokio::time::timeout(LIMIT, found).await.unwrap();
    assert!(std::fs::read_to_string(folder.path().join("log")).unwrap().contains(&expected));
}

fn change(key: u32, action: &str) -> MemoryChange {
    let keys: JsonItem = [("pk".to_owned(), json!({"S": key.to_string()}))].into_iter().collect();
    let image = keys.clone().into_iter().chain([("do".to_owned(), json!({"S": action}))]).collect();
    MemoryChange { event_name: "INSERT", keys, new_image: Some(image), ..MemoryChange::default() }
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
    let config = MappingConfig {
        batch_size: 10,
        parallelization_factor: 2,
        maximum_retry_attempts: Some(1),
        bisect_batch_on_function_error: true,
        report_batch_item_failures: true,
        faults: Faults {
            redeliver_every: Some(5.try_into().unwrap()),
            kill_during_every: Some(11.try_into().unwrap()),
            lose_answer_every: Some(7.try_into().unwrap()),
            ..Faults::default()
        },
        ..MappingConfig::default()
    };
    let on_failure = Arc::clone(&messages) as Arc<dyn OnFailure>;
    let mapping = EventSourceMapping::start(config, stream, Arc::new(function), Some(on_failure)).await.unwrap();
    mapping.wait_until_drained(LIMIT).await.unwrap();
    let stats = mapping.shutdown().await;
    assert_eq!((stats.records_read, stats.records_in_flight, stats.records_lost), (300, 0, 0));
    assert!(stats.sabotaged > 0 && stats.redelivered_batches > 0 && stats.bisects > 0, "{stats:?}");
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
    // A debug build on a busy machine; a release build does several thousand per second.
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?} {stats:?}");
    eprintln!("1,000 invocations in {elapsed:?}: {stats:?}");
}
