//! One execution environment with a real process.

use std::time::{Duration, Instant};

use bytes::Bytes;
use driftless_harness::function::{FunctionProcess, InvocationOutcome, Invoke, ProcessFault};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{LIMIT, scripted_function};

fn event(actions: &[&str]) -> Bytes {
    let records: Vec<_> = actions
        .iter()
        .enumerate()
        .map(|(index, action)| json!({"dynamodb": {"SequenceNumber": index.to_string(), "NewImage": {"do": {"S": action}}}}))
        .collect();
    Bytes::from(json!({"Records": records}).to_string())
}

async fn outcome(function: &mut FunctionProcess, actions: &[&str]) -> InvocationOutcome {
    function.invoke(event(actions), None).await.expect("the function can be invoked").outcome
}

fn response(json: &'static str) -> InvocationOutcome {
    InvocationOutcome::Response(Bytes::from_static(json.as_bytes()))
}

fn success() -> InvocationOutcome {
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
        let InvocationOutcome::FunctionError { message, .. } = &outcome else { panic!("{outcome:?}") };
        assert!(message.contains("as the record says"), "{message}");
    }
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
}

#[tokio::test]
async fn an_answer_above_lambdas_limit_is_a_function_error() {
    let mut function = FunctionProcess::new(scripted_function());
    let refused = outcome(&mut function, &["swell"]).await;
    let InvocationOutcome::FunctionError { kind, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(kind, "Function.ResponseSizeTooLarge");
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
}

#[tokio::test]
async fn a_process_that_ends_is_a_failure_and_is_started_again() {
    let mut function = FunctionProcess::new(scripted_function());
    let outcome_of_exit = outcome(&mut function, &["exit"]).await;
    let InvocationOutcome::Exited(Some(status)) = outcome_of_exit else { panic!("{outcome_of_exit:?}") };
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
    assert_eq!(outcome(&mut function, &["hang"]).await, InvocationOutcome::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(outcome(&mut function, &["ok"]).await, success());
}

#[tokio::test]
async fn an_initialisation_that_fails_says_why() {
    let mut function = FunctionProcess::new(scripted_function().env("FAIL_INIT", "no INDEX"));
    let error = function.warm_up().await.unwrap_err().to_string();
    assert!(error.contains("scripted did not start") && error.contains("no INDEX"), "{error}");
    assert!(matches!(outcome(&mut function, &["ok"]).await, InvocationOutcome::Exited(Some(_))));
}

#[tokio::test]
async fn sabotage_kills_the_process_during_and_after_its_work() {
    let folder = TempDir::new().unwrap();
    let deliveries = folder.path().join("deliveries");
    let mut function = FunctionProcess::new(scripted_function().env("DELIVERIES", deliveries.display().to_string()));
    let during = Some(ProcessFault::KillAfter(Duration::from_millis(50)));
    assert_eq!(function.invoke(event(&["hang"]), during).await.unwrap().outcome, InvocationOutcome::Exited(None));
    let after = function.invoke(event(&["ok"]), Some(ProcessFault::LoseAnswer)).await.unwrap();
    assert_eq!(after.outcome, InvocationOutcome::Exited(None));
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
