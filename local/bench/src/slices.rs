//! Functions that work in slices, each segment in a process of its own: invoked with the cursor of the answer before,
//! as a state machine does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use driftless_display::console;
use driftless_harness::function::{
    BuildProfile, FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, build_functions,
};
use driftless_harness::services::Services;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::processes::peak_resident_mb;

/// Longest time of one invocation, as the template deploys these functions.
const TIMEOUT: Duration = Duration::from_secs(900);
/// Memory that each of these functions may take, whatever the size of the table.
pub(crate) const MOST_MB: f64 = 64.0;

/// Binaries of the functions.
pub(crate) struct SliceFunctions {
    pub(crate) backfill: PathBuf,
    pub(crate) verify: PathBuf,
    pub(crate) purge: PathBuf,
}

/// End of a run.
pub(crate) struct SliceRun {
    /// Time from the first invocation to the last answer.
    pub(crate) took: Duration,
    /// Sums of the answers' numbers.
    pub(crate) counts: BTreeMap<String, f64>,
    /// Highest peak of the processes' resident memory.
    pub(crate) peak_mb: f64,
}

impl SliceFunctions {
    /// Builds the functions as they are deployed.
    pub(crate) async fn build() -> Result<Self> {
        console::note("building the functions `backfill`, `verify` and `purge` (release)");
        let built =
            tokio::task::spawn_blocking(|| build_functions(&["backfill", "verify", "purge"], BuildProfile::Release));
        let built = built.await.context("wait for cargo")??;
        let Ok([backfill, verify, purge]) = <[PathBuf; 3]>::try_from(built) else {
            bail!("cargo built other functions")
        };
        Ok(Self { backfill, verify, purge })
    }
}

/// Configures a function on this table and index.
pub(crate) fn configured(services: &Services, binary: &PathBuf, table: &str, index: &str) -> FunctionConfig {
    let mut config = FunctionConfig::new("slices", binary);
    for (name, value) in services.environment() {
        config = config.env(name, value);
    }
    config.timeout = TIMEOUT;
    config.env("OPENSEARCH_AUTH", "none").env("INDEX", index).env("TABLE_NAME", table)
}

impl SliceRun {
    /// Runs a request on so many segments, each in a process that runs already.
    pub(crate) async fn segments(config: &FunctionConfig, request: &Value, segments: u32) -> Result<Self> {
        let mut processes = Vec::new();
        for _ in 0..segments {
            let mut process = FunctionProcess::new(config.clone());
            process.warm_up().await?;
            processes.push(process);
        }
        let started = Instant::now();
        let runs = processes.iter_mut().zip(0..).map(|(process, segment)| {
            let mut request = request.clone();
            if segments > 1 {
                (request["segment"], request["segments"]) = (json!(segment), json!(segments));
            }
            run(process, request)
        });
        let all = try_join_all(runs).await?;
        let took = started.elapsed();
        let peak_mb = peak_resident_mb(&config.binary);
        for mut process in processes {
            process.end().await;
        }
        let mut counts = BTreeMap::new();
        for (name, count) in all.into_iter().flatten() {
            *counts.entry(name).or_default() += count;
        }
        Ok(Self { took, counts, peak_mb })
    }

    /// Sum of one of the answers' numbers; NaN if they have none of this name.
    pub(crate) fn count(&self, name: &str) -> f64 {
        self.counts.get(name).copied().unwrap_or(f64::NAN)
    }

    /// So many of something per second.
    pub(crate) fn rate(&self, name: &str) -> f64 {
        self.count(name) / self.took.as_secs_f64()
    }
}

/// Invokes a process until its work is done, and returns the sums of its answers' numbers.
async fn run(process: &mut FunctionProcess, mut request: Value) -> Result<BTreeMap<String, f64>> {
    let mut sums = BTreeMap::new();
    loop {
        let outcome = process.invoke(request.to_string().into(), None).await?.outcome;
        let InvocationOutcome::Response(answer) = outcome else { bail!("the function failed: {outcome}") };
        let answer: Value = serde_json::from_slice(&answer).context("read the function's answer")?;
        // A purge has its counts beside the rest.
        let counts = answer["counts"].as_object().or(answer.as_object()).context("find the counts of an answer")?;
        for (name, count) in counts {
            if let Some(count) = count.as_f64() {
                *sums.entry(name.clone()).or_default() += count;
            }
        }
        if answer["done"] == true {
            return Ok(sums);
        }
        if !answer["cursor"].is_null() {
            request["cursor"] = answer["cursor"].clone();
        }
    }
}
