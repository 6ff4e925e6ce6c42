//! Replays sample events: gives each file to a real function binary, as Lambda would, and reports its answer.
//!
//! Warnings and errors that the function logs are passed on while it works: it may wait for its whole timeout, such as
//! with a wrong configuration.
//!
//! The files hold the event as Lambda delivers it. The function sees nothing of the caller's environment but the
//! variables that functions of this workspace are configured with, and what `--env` adds.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use serde_json::Value;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use crate::function::{
    BuildProfile, FunctionConfig, FunctionProcess, Invocation, InvocationOutcome, Invoke, build_function,
};

/// Longest wait for a line that was printed before the answer.
const LAST_LINES: Duration = Duration::from_millis(20);

/// Variables of the caller that the function sees, if they are set.
const PASSED_ON: [&str; 28] = [
    "ANSWER_MARGIN_MS",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
    "AWS_ENDPOINT_URL_KINESIS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_REGION",
    "DEAD_LETTER_QUEUE_URL",
    "GENERATION",
    "HASH_KEY",
    "HASH_KEY_SECRET_ARN",
    "HEARTBEAT_ITEM",
    "INDEX",
    "INDEX_DEFINITION",
    "ON_FAILURE_BUCKET",
    "OPENSEARCH_AUTH",
    "OPENSEARCH_CA",
    "OPENSEARCH_ENDPOINT",
    "OPENSEARCH_SECRET_ARN",
    "PARTITION_KEY",
    "REFRESH_INTERVAL",
    "REPLICATION",
    "REQUEST_TIMEOUT_MS",
    "RUST_LOG",
    "TABLE_ARN",
    "TABLE_NAME",
];

/// Replay sample events against a function's real binary.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Files with one event each, as Lambda delivers it.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The function to build and run.
    #[arg(long, default_value = "replicate", value_name = "NAME")]
    pub function: String,
    /// Binary and environment of the function.
    #[command(flatten)]
    pub source: FunctionArgs,
    /// The function's timeout, 1 to 900.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    pub timeout: u64,
    /// Append what the function prints to this file.
    #[arg(long, value_name = "PATH")]
    pub log: Option<PathBuf>,
}

/// Binary and environment of a function that is invoked by hand.
#[derive(Args, Clone, Debug, Default)]
pub struct FunctionArgs {
    /// A binary to run as it is, instead of building the function.
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Profile in which the function is built.
    #[arg(long, value_enum, default_value_t)]
    pub profile: BuildProfile,
    /// A variable of the function's environment; may be given several times.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub environment: Vec<(String, String)>,
}

impl FunctionArgs {
    /// The function `name`, built unless a binary was given, with the caller's variables that it is configured with.
    ///
    /// # Errors
    /// When it cannot be built, or a variable is not text.
    pub fn config(&self, name: &str, timeout: Duration) -> Result<FunctionConfig> {
        let binary = match &self.binary {
            Some(binary) => binary.clone(),
            None => build_function(name, self.profile)?,
        };
        let mut config = FunctionConfig::new(name, binary);
        config.environment = passed_on(|name| env::var_os(name))?;
        config.environment.extend(self.environment.iter().cloned());
        config.timeout = timeout;
        Ok(config)
    }
}

/// Result of one file.
#[derive(Debug)]
pub struct Replayed {
    /// Path of the file.
    pub file: PathBuf,
    /// End of the invocation.
    pub invocation: Invocation,
}

/// A step of a replay.
#[derive(Debug)]
pub enum ReplayStep<'a> {
    /// A warning or an error that the function logged.
    Logged(&'a LogLine),
    /// A file whose invocation is finished.
    Replayed(&'a Replayed),
}

/// A warning or an error that a function logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Level of the event, `WARN` or `ERROR`.
    pub level: String,
    /// Text of the event.
    pub message: String,
    /// Other members, as `name=value`.
    pub fields: Vec<String>,
}

impl LogLine {
    /// Reads a line of JSON as functions of this workspace print it; `None` for metrics, and for lines of lower levels.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let Value::Object(mut members) = serde_json::from_str(line).ok()? else { return None };
        let level = members.get("level")?.as_str().filter(|level| matches!(*level, "WARN" | "ERROR"))?.to_owned();
        let message = members.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        for known in ["level", "message", "timestamp", "target", "span", "spans"] {
            members.remove(known);
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fields = members.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
        Some(Self { level, message, fields })
    }

    /// Returns `true` for a setting or a deployment that a person has to fix.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        self.fields.iter().any(|field| field == "class=Configuration")
    }
}

impl std::fmt::Display for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if self.fields.is_empty() { Ok(()) } else { write!(f, " ({})", self.fields.join(", ")) }
    }
}

impl Replayed {
    /// Returns `true` if the function answered, and reported no record as failed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !self.invocation.outcome.is_function_error()
            && self.batch_item_failures().is_none_or(|failed| failed.is_empty())
    }

    /// The records that the function reported as failed, if it answered in that form.
    #[must_use]
    pub fn batch_item_failures(&self) -> Option<Vec<String>> {
        let InvocationOutcome::Response(body) = &self.invocation.outcome else {
            return None;
        };
        let answer: Value = serde_json::from_slice(body).ok()?;
        let failures = answer.get("batchItemFailures")?.as_array()?;
        let name = |failure: &Value| failure.get("itemIdentifier").and_then(Value::as_str).unwrap_or("?").to_owned();
        Some(failures.iter().map(name).collect())
    }
}

impl std::fmt::Display for Replayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        match (&self.invocation.outcome, self.batch_item_failures()) {
            (InvocationOutcome::Response(_), Some(failures)) if failures.is_empty() => f.write_str("succeeded")?,
            (InvocationOutcome::Response(_), Some(failures)) => write!(f, "batchItemFailures {}", failures.join(", "))?,
            (InvocationOutcome::Response(body), None) => write!(f, "answered {}", String::from_utf8_lossy(body))?,
            (error, _) => write!(f, "FUNCTION ERROR, {error}")?,
        }
        write!(f, " ({:.1} ms)", self.invocation.duration.as_secs_f64() * 1_000.0)
    }
}

/// Replays the files, and passes each result and each line of the log on immediately.
///
/// # Errors
/// When the function cannot be built or started, or a file is not JSON.
pub async fn replay(args: &ReplayArgs, mut report: impl FnMut(ReplayStep<'_>)) -> Result<Vec<Replayed>> {
    // All files are read first: a mistake in the last one shall not leave the others half done.
    let events = args.files.iter().map(|file| event(file)).collect::<Result<Vec<_>>>()?;
    let (sender, mut lines) = unbounded_channel();
    let mut config = function(args)?;
    config.stdout_lines = Some(sender);
    let mut function = FunctionProcess::new(config);
    function.warm_up().await?;
    let mut all = Vec::with_capacity(events.len());
    for (file, event) in args.files.iter().zip(events) {
        let mut last = String::new();
        let mut pass_on = |line: &str| {
            // The runtime logs the function's own error once more.
            if let Some(line) = LogLine::parse(line).filter(|line| line.message != last) {
                report(ReplayStep::Logged(&line));
                last = line.message;
            }
        };
        let invoking = function.invoke(event, None);
        tokio::pin!(invoking);
        let invocation = loop {
            tokio::select! {
                biased;
                Some(line) = lines.recv() => pass_on(&line),
                invocation = &mut invoking => break invocation?,
            }
        };
        // What a process printed before its answer may arrive after it.
        while let Ok(Some(line)) = timeout(LAST_LINES, lines.recv()).await {
            pass_on(&line);
        }
        let replayed = Replayed { file: file.clone(), invocation };
        report(ReplayStep::Replayed(&replayed));
        all.push(replayed);
    }
    function.end().await;
    Ok(all)
}

fn event(file: &Path) -> Result<Bytes> {
    let text = std::fs::read(file).with_context(|| format!("read the event {}", file.display()))?;
    serde_json::from_slice::<&serde_json::value::RawValue>(&text)
        .with_context(|| format!("parse the event {}", file.display()))?;
    Ok(Bytes::from(text))
}

fn function(args: &ReplayArgs) -> Result<FunctionConfig> {
    let mut config = args.source.config(&args.function, Duration::from_secs(args.timeout))?;
    config.log_file.clone_from(&args.log);
    Ok(config)
}

fn passed_on(lookup: impl Fn(&str) -> Option<OsString>) -> Result<std::collections::BTreeMap<String, String>> {
    let set = PASSED_ON.iter().filter_map(|name| Some((*name, lookup(name)?)));
    set.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name.to_owned(), value)),
        Err(_) => bail!("the variable {name} is not text"),
    })
    .collect()
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(outcome: InvocationOutcome) -> Replayed {
        let invocation = Invocation { request_id: "id".into(), outcome, duration: Duration::from_micros(1_500) };
        Replayed { file: PathBuf::from("insert.json"), invocation }
    }

    #[track_caller]
    fn check(outcome: InvocationOutcome, line: &str) {
        assert_eq!(replayed(outcome).to_string(), line);
    }

    #[test]
    fn each_outcome_has_its_line() {
        check(InvocationOutcome::Response(r#"{"batchItemFailures":[]}"#.into()), "insert.json: succeeded (1.5 ms)");
        let failures = r#"{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"2"}]}"#;
        check(InvocationOutcome::Response(failures.into()), "insert.json: batchItemFailures 1, 2 (1.5 ms)");
        check(InvocationOutcome::Response("null".into()), "insert.json: answered null (1.5 ms)");
        check(InvocationOutcome::TimedOut, "insert.json: FUNCTION ERROR, timed out (1.5 ms)");
    }

    #[test]
    fn warnings_and_errors_are_read_and_nothing_else() {
        let line = r#"{"timestamp":"t","level":"ERROR","class":"Configuration","records":1,"message":"INDEX is not set","target":"replicate","span":{"requestId":"r"}}"#;
        let line = LogLine::parse(line).expect("an error");
        assert_eq!(line.to_string(), "INDEX is not set (class=Configuration, records=1)");
        assert!(line.is_configuration());
        for other in [r#"{"level":"INFO","message":"m"}"#, r#"{"_aws":{},"Records":1}"#, "plain", "[]"] {
            assert_eq!(LogLine::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_named_variables_are_passed_on() {
        let variables = passed_on(|name| (name == "INDEX").then(|| OsString::from("people"))).unwrap();
        assert_eq!(variables.into_iter().collect::<Vec<_>>(), [("INDEX".to_owned(), "people".to_owned())]);
        let variables = passed_on(|name| Some(OsString::from(name))).unwrap();
        // Without the rules, a redrive would write the whole item.
        for name in ["HASH_KEY", "HASH_KEY_SECRET_ARN", "REPLICATION"] {
            assert_eq!(variables.get(name).map(String::as_str), Some(name));
        }
        assert!(!variables.contains_key("HOME"));
    }

    #[test]
    fn a_variable_is_a_name_and_a_value_that_may_hold_anything() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        assert!(variable("A").is_err());
        assert!(variable("=b").is_err());
    }
}
