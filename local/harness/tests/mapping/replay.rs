//! Replaying sample events against a real process.

use driftless_harness::replay::{FunctionArgs, ReplayArgs, ReplayStep, replay};
use serde_json::json;
use tempfile::TempDir;

use super::scripted_function;

#[tokio::test]
async fn each_file_is_replayed_and_told() {
    let folder = TempDir::new().unwrap();
    let files: Vec<_> = ["ok", "report", "fail", "warn"]
        .map(|action| {
            let file = folder.path().join(format!("{action}.json"));
            let record = json!({"dynamodb": {"SequenceNumber": "7", "NewImage": {"do": {"S": action}}}});
            std::fs::write(&file, json!({"Records": [record]}).to_string()).unwrap();
            file
        })
        .into();
    let deliveries = folder.path().join("deliveries");
    let args = ReplayArgs {
        files,
        function: "scripted".to_owned(),
        source: FunctionArgs {
            binary: Some(scripted_function().binary),
            environment: vec![("DELIVERIES".to_owned(), deliveries.display().to_string())],
            ..FunctionArgs::default()
        },
        timeout: 30,
        log: None,
    };
    let (mut told, mut logged) = (0, Vec::new());
    let replayed = replay(&args, |progress| match progress {
        ReplayStep::Replayed(_) => told += 1,
        ReplayStep::Logged(line) => logged.push((told, line.to_string())),
    });
    let replayed = replayed.await.unwrap();
    assert_eq!((replayed.len(), told), (4, 4));
    assert_eq!(logged, [(3, "as the record says (class=test)".to_owned())], "before the result of its own file");
    assert!(replayed[0].is_success() && !replayed[1].is_success() && !replayed[2].is_success());
    assert_eq!(replayed[0].batch_item_failures(), Some(Vec::new()));
    assert_eq!(replayed[1].batch_item_failures(), Some(vec!["7".to_owned()]));
    assert!(replayed[2].invocation.outcome.is_function_error());
    assert_eq!(std::fs::read_to_string(deliveries).unwrap().lines().count(), 4);
}

#[tokio::test]
async fn a_file_that_is_no_event_is_named_before_anything_runs() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("broken.json");
    std::fs::write(&file, "{").unwrap();
    let args = ReplayArgs {
        files: vec![file],
        function: "scripted".to_owned(),
        source: FunctionArgs { binary: Some("/nowhere".into()), ..FunctionArgs::default() },
        timeout: 30,
        log: None,
    };
    let error = replay(&args, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("broken.json"), "{error}");
}
