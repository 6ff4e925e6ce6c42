//! Functions that work in slices, each segment in a process of its own: invoked with the cursor of the answer before,
//! as a state machine does.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use driftless_display::console;
use driftless_harness::function::{
    BuildProfile, FunctionConfig, FunctionProcess, InvocationOutcome, Invoke as _, build_functions,
};
use driftless_harness::services::Services;
use driftless_harness::slices::LongWork;
use driftless_harness::slices::state::{Counts, PartState};
use futures::future::try_join_all;
use serde_json::Value;

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
    pub(crate) reindex: PathBuf,
}

/// End of a run.
pub(crate) struct SliceRun {
    /// Time from the first invocation to the last answer.
    pub(crate) took: Duration,
    /// Sums of the answers' counts.
    pub(crate) counts: Counts,
    /// Highest peak of the processes' resident memory.
    pub(crate) peak_mb: f64,
}

impl SliceFunctions {
    /// Builds the functions as they are deployed.
    pub(crate) async fn build() -> Result<Self> {
        console::note("building the functions `backfill`, `verify`, `purge` and `reindex` (release)");
        let names = ["backfill", "verify", "purge", "reindex"];
        let built = tokio::task::spawn_blocking(move || build_functions(&names, BuildProfile::Release));
        let built = built.await.context("wait for cargo")??;
        let Ok([backfill, verify, purge, reindex]) = <[PathBuf; 4]>::try_from(built) else {
            bail!("cargo built other functions")
        };
        Ok(Self { backfill, verify, purge, reindex })
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
        let segments = (segments > 1).then_some(segments);
        let work = LongWork { segments, ..LongWork::new(config.clone(), request.clone()) };
        let mut state = work.begin();
        let started = Instant::now();
        try_join_all(processes.iter_mut().zip(&mut state.parts).map(|(process, part)| run(&work, process, part)))
            .await?;
        let took = started.elapsed();
        let peak_mb = peak_resident_mb(&config.binary);
        for mut process in processes {
            process.end().await;
        }
        Ok(Self { took, counts: state.counts(), peak_mb })
    }

    /// Sum of one of the answers' counts; NaN if they have none of this name.
    pub(crate) fn count(&self, name: &str) -> f64 {
        self.counts.get(name).unwrap_or(f64::NAN)
    }

    /// So many of something per second.
    pub(crate) fn rate(&self, name: &str) -> f64 {
        self.count(name) / self.took.as_secs_f64()
    }
}

/// Invokes a process until its part is done, with the whole timeout for each invocation.
async fn run(work: &LongWork, process: &mut FunctionProcess, part: &mut PartState) -> Result<()> {
    while !part.done {
        let outcome = process.invoke(work.payload(part), None).await?.outcome;
        let InvocationOutcome::Response(answer) = outcome else { bail!("the function failed: {outcome}") };
        ensure!(part.take(&answer)?, "the function answers without progress");
    }
    Ok(())
}
