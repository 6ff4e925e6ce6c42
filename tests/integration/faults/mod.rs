//! Faults on the real services, each in its exact place: none of them loses a change, or applies one twice.
//!
//! # Layout
//! - `network`: the way to the engine, cut, slow or silent; `status`: engines and gateways that refuse.
//! - `index`: an index that is blocked, gone or not ours; `process`: a function that is killed, step by step.
//! - `engine`: an engine that is killed, frozen, or out of disk.
//! - `cluster`: a primary that dies while its replica hangs.
//! - `slow_documents`: one document that takes the engine too long, or makes it throw.
//! - `on_failure`, `kinesis`: records that the event source mapping gives up; `dead_letters`: those that the function
//!   gives up.
//! - `bucket`: batches that the mapping puts into an S3 bucket.
//! - `trimmed`: records that the stream no longer holds; `logs`: what is printed about all of it, and what is not.

mod answers;
mod bucket;
mod cluster;
mod dead_letters;
mod deployment;
mod engine;
mod index;
mod kinesis;
mod logs;
mod network;
mod on_failure;
mod process;
mod slow_documents;
mod status;
mod trimmed;

use std::time::Duration;

use driftless_harness::function::{FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, ProcessFault};
use driftless_harness::outcomes::{FunctionCounts, Tally};
use driftless_harness::proxy::Proxy;
use serde_json::Value;

use crate::streams::BINARY;
use crate::support::{Index, ReplicateFunction, engine_url};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A proxy before the engine that all tests share.
async fn proxy() -> Proxy {
    Proxy::start(engine_url()).await.expect("a proxy")
}

/// The function in this process, with the engine behind `proxy` and this many milliseconds for a request.
fn function(index: &Index, proxy: &Proxy, request_timeout_ms: u64) -> ReplicateFunction {
    ReplicateFunction::new(settings(index, proxy, request_timeout_ms))
}

fn settings(index: &Index, proxy: &Proxy, request_timeout_ms: u64) -> Vec<(String, String)> {
    let mut settings = index.settings_at(proxy.endpoint());
    settings.push(("REQUEST_TIMEOUT_MS".to_owned(), request_timeout_ms.to_string()));
    settings
}

/// The real binary with these settings.
fn binary(settings: Vec<(String, String)>) -> FunctionConfig {
    let function = FunctionConfig::new("replicate", BINARY.clone());
    settings.into_iter().fold(function, |function, (name, value)| function.env(name, value))
}

/// Waits until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("it never came to be that {what}"));
}

/// The real binary in one execution environment, and what it counted.
struct CountedProcess {
    process: FunctionProcess,
    tally: Tally,
}

impl CountedProcess {
    fn new(mut config: FunctionConfig) -> Self {
        let tally = Tally::default();
        config.stdout_lines = Some(tally.lines());
        Self { process: FunctionProcess::new(config), tally }
    }

    /// Invokes it; gives the failed sequence numbers, or how it ended without an answer.
    async fn invoke(
        &mut self,
        records: &[String],
        fault: Option<ProcessFault>,
    ) -> Result<Vec<String>, InvocationOutcome> {
        let payload = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        match self.process.invoke(payload.into(), fault).await.expect("invoked").outcome {
            InvocationOutcome::Response(body) => Ok(failures(&body)),
            outcome => Err(outcome),
        }
    }

    /// Ends the process. Returns its counts once they include so many records.
    async fn counts(&mut self, records: u64) -> FunctionCounts {
        self.process.end().await;
        eventually("the metrics are there", async || self.tally.counts().records >= records).await;
        self.tally.counts()
    }
}

fn failures(body: &[u8]) -> Vec<String> {
    let answer: Value = serde_json::from_slice(body).expect("JSON");
    let failures = answer["batchItemFailures"].as_array().expect("a list of failures").iter();
    failures.map(|failure| failure["itemIdentifier"].as_str().expect("a number").to_owned()).collect()
}
