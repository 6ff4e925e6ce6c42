//! Output of the real binaries, at every level: lines, and nothing of an item.

use std::fs;
use std::path::Path;

use driftless_harness::function::{FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _};
use serde_json::Value;

use super::on_failure::{TestQueue, services};
use crate::streams::{BINARY, REDRIVE};
use crate::support::{Index, insert, with_image, with_keys};

/// Begins every value that is planted in an item.
const PLANTED: &str = "planted";

/// `RUST_LOG` in all its forms; with the last ones, people ask for other crates' lines.
const LEVELS: [&str; 7] = [
    "error",
    "warn",
    "info",
    "debug",
    "trace",
    "trace,lambda_runtime=trace,aws_smithy_runtime=trace",
    "error,hyper_util=trace,aws_smithy_runtime=debug,aws_sdk_sqs=trace,log=trace,[{requestId}]=trace",
];

/// Good records, one that the engine refuses and quotes, and malformed ones.
fn batch() -> String {
    let records = [
        with_keys(r#"{"pk":{"S":"planted-key"},"sk":{"N":"7"}}"#, 2),
        with_image("planted-id", 3, r#"{"text":{"S":"planted-text"},"list":{"L":[{"S":"planted-member"}]}}"#),
        with_image("planted-refused-key", 4, r#"{"n":{"S":"planted-refused"}}"#),
        with_image("planted-malformed-key", 5, r#"{"n":{"N":"planted-malformed"}}"#),
        with_image("planted-shape-key", 6, r#"{"n":{"S":{"planted-name":"planted-shape"}}}"#),
        with_keys(r#"{"pk":{"N":"planted-number-key"}}"#, 7),
        r#"{"eventID":"e8","dynamodb":"planted-record"}"#.to_owned(),
        r#""planted-text-record""#.to_owned(),
    ];
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

/// Invokes a process of `config` with these events; gives all that it printed.
async fn printed(
    mut config: FunctionConfig,
    log: &Path,
    level: &str,
    events: &[String],
) -> (String, Vec<InvocationOutcome>) {
    config.log_file = Some(log.to_owned());
    let mut process = FunctionProcess::new(config.env("RUST_LOG", level));
    let mut outcomes = Vec::new();
    for event in events {
        outcomes.push(process.invoke(event.clone().into(), None).await.expect("invoked").outcome);
    }
    process.kill().await;
    let text = fs::read_to_string(log).expect("a log");
    fs::remove_file(log).expect("removed");
    (text, outcomes)
}

#[track_caller]
fn assert_clean(text: &str, level: &str) {
    let dirty: Vec<_> = text.lines().filter(|line| line.contains(PLANTED)).collect();
    assert!(dirty.is_empty(), "at {level}: {dirty:#?}");
    let foreign = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let below: Vec<_> = foreign.filter(|line| line["level"] == "DEBUG" || line["level"] == "TRACE").collect();
    let of_others = |line: &&Value| !line["target"].as_str().is_some_and(|target| target.starts_with("dr"));
    assert_eq!(below.iter().filter(of_others).count(), 0, "at {level}: {below:#?}");
}

#[tokio::test]
async fn nothing_of_an_item_is_logged_at_any_level() {
    let (index, queue) = (Index::new("logs"), TestQueue::new("logs").await);
    index.function().succeed(&[insert("first", 1)]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let sqs = services().sqs_endpoint().expect("queues are wanted");
    let config = |name: &str, binary: &Path| {
        let config = FunctionConfig::new(name, binary).env("DEAD_LETTER_QUEUE_URL", &queue.url);
        let settings = index.settings().into_iter();
        settings.fold(config.env("AWS_ENDPOINT_URL_SQS", sqs), |config, (name, value)| config.env(name, value))
    };
    // Events that are no events: DynamoDB sends none, and the runtime would quote them.
    let foreign = [r#""planted-event""#, r#"{"Records":"planted-records"}"#, r#"{"Records":[planted"#];
    let events: Vec<_> = std::iter::once(batch()).chain(foreign.map(str::to_owned)).collect();
    for level in LEVELS {
        let (text, outcomes) = printed(config("replicate", &BINARY), &log, level, &events).await;
        assert!(matches!(&outcomes[0], InvocationOutcome::Response(_)), "{outcomes:?}");
        assert!(!format!("{:?}", outcomes).contains(PLANTED), "Lambda stores an error's message: {outcomes:?}");
        assert!(text.contains(r#""Rejected":"#), "metrics at {level}: {text}");
        let rejections = text.lines().filter(|line| line.contains(r#""message":"rejected""#)).count();
        assert_eq!(rejections, 6, "at {level}: {text}");
        assert_clean(&text, level);
        // What was refused is refused again, and the letters are read, and kept.
        let redrive = [r#"{"dry_run":true}"#.to_owned(), "{}".to_owned()];
        let (text, _) = printed(config("redrive", &REDRIVE), &log, level, &redrive).await;
        let is_told = !matches!(level, "error" | "warn");
        assert_eq!(text.contains(r#""message":"redrive""#), is_told, "at {level}: {text}");
        assert_clean(&text, level);
    }
}
