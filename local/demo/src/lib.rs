//! `cargo demo`: a table's changes reach the index, on real services, with faults on the way, and the proof at the end.
//!
//! # Layout
//! - [`stage`]: services, table, function and event source mapping, set up and taken down; [`picture`]: its lag, drawn.
//! - [`recovery`]: an outage on the way, and what waits in the dead-letter queue, redriven once it can be.
//! - [`searches`]: what such a table is replicated for; [`summary`]: the verdict, for people and for machines.

pub mod picture;
pub mod recovery;
pub mod searches;
pub mod stage;
pub mod summary;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use driftless_display::console::{self, Progress};
use driftless_harness::activity::{self, ActivityItems};
use driftless_harness::compare::compare;
use driftless_harness::load::{self, Load, Meter};
use driftless_harness::mapping::{Faults, MappingConfig};
use driftless_harness::services::{Purpose, Services, Wanted};

use stage::{Functions, Plan, Stage};
use summary::Summary;

/// How often the progress is told.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// How long the stream may take to drain after the last write.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// Items that the activity is about, per second of the run: some are inserted, most are changed again.
const KEYS_PER_SECOND: f64 = 20.0;

/// Replicate a realistic activity history for half a minute, with faults, then compare table and index item by item
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Changes per second
    #[arg(long, default_value_t = 63.0)]
    pub rate: f64,
    /// For how long
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// Parallelization factor of the event source mapping, 1 to 10
    #[arg(long, default_value_t = 1)]
    pub factor: usize,
    /// The most records in one invocation
    #[arg(long, default_value_t = 1)]
    pub batch_size: usize,
    /// The same seed writes the same
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Which share of the writes is poison: a text where the index expects a date
    #[arg(long, default_value_t = 0.002)]
    pub poison: f64,
    /// Kill the engine after a quarter of the run, and start it again after so many seconds
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    pub outage: f64,
    /// How long one invocation may take, as in the template
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub timeout: u64,
    /// Deliver no batch again, and kill no process
    #[arg(long)]
    pub calm: bool,
    /// Print one machine-readable summary as the last line
    #[arg(long)]
    pub json: bool,
    /// Leave everything running and print the URLs, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

/// Runs the demo on services of its own.
///
/// # Errors
/// Where something cannot be started, or table and index differ.
pub async fn run(args: Args) -> Result<()> {
    args.load().check()?;
    ensure!((0.0..=1.0).contains(&args.poison), "--poison is {}, it must be 0 to 1", args.poison);
    ensure!((0.0..=600.0).contains(&args.outage), "--outage is {}, it must be 0 to 600 seconds", args.outage);
    args.mapping().validate()?;
    let started = Instant::now();
    let functions = stage::build().await?;
    console::note(format!("the functions are built after {:.1} s", started.elapsed().as_secs_f64()));
    let services = {
        let _progress = Progress::spinner("starting DynamoDB, SQS and OpenSearch");
        Services::start(Wanted { purpose: Purpose::Demo, ..Wanted::default() }).await?
    };
    console::note(format!("services are ready after {:.1} s", started.elapsed().as_secs_f64()));
    let result = play(&args, &services, functions).await;
    services.stop().await?;
    result.map(drop)
}

/// Plays the demo on these services with these binaries.
///
/// # Errors
/// Where a service refuses, or table and index differ.
pub async fn play(args: &Args, services: &Services, functions: Functions) -> Result<Summary> {
    let plan = Plan { functions, mapping: args.mapping(), timeout: Duration::from_secs(args.timeout) };
    let stage = Stage::set_up(services, plan).await?;
    let result = act(args, &args.load(), &stage, services).await;
    if args.keep {
        keep(services, &stage).await?;
    }
    stage.take_down().await;
    result
}

impl Args {
    fn load(&self) -> Load {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be positive and small")]
        let keys = (self.seconds * KEYS_PER_SECOND).max(1.0) as u64;
        Load { rate: self.rate, seconds: self.seconds, keys, seed: self.seed, ..Load::default() }
    }

    /// The template's settings, with faults spread over the run.
    fn mapping(&self) -> MappingConfig {
        MappingConfig {
            batch_size: self.batch_size,
            parallelization_factor: self.factor,
            maximum_retry_attempts: Some(3),
            bisect_batch_on_function_error: true,
            report_batch_item_failures: true,
            faults: match self.calm {
                true => Faults::default(),
                false => stage::faults(self.load().writes() / self.batch_size.max(1) as u64),
            },
            ..MappingConfig::default()
        }
    }
}

/// Writes, drains, redrives, compares, searches, and tells.
async fn act(args: &Args, load: &Load, stage: &Stage, services: &Services) -> Result<Summary> {
    stage.warm_up().await?;
    let meter = Arc::new(Meter::default());
    let items = Arc::new(ActivityItems::new(args.poison));
    console::note(format!(
        "writing {} changes at {} per second; batch size {}, parallelization factor {}",
        load.writes(),
        load.rate,
        args.batch_size,
        args.factor,
    ));
    let started = Instant::now();
    let written = tokio::select! {
        written = load_with_outage(args, load, stage, services, (&items, &meter)) => written?,
        never = show(&meter, load.writes(), stage) => match never {},
    };
    let limit = DRAIN_LIMIT + Duration::from_secs_f64(args.outage);
    stage.mapping.wait_until_drained(limit).await.context("wait until the stream has drained")?;
    let seconds = started.elapsed().as_secs_f64();
    stage.report_progress(&meter, started.elapsed());
    let recovery = recovery::redrive(stage).await?;
    let comparison =
        compare(&stage.tables, &stage.table, &stage.engine, &stage.index, Some(activity::PARTITION_KEY)).await?;
    let poison = items.poison_written();
    let function = stage.counts().await;
    let summary = Summary::of(args, &written, stage, &comparison, (seconds, poison, recovery), function);
    for line in summary.lines() {
        console::result(line);
    }
    console::result(picture::draw(&stage.lag)?);
    for line in searches::run(&stage.engine, &stage.index).await? {
        console::result(line);
    }
    if args.json {
        console::result(serde_json::to_string(&summary).context("write the summary")?);
    }
    if !summary.equal {
        bail!("table and index differ: {}", comparison.describe());
    }
    if written.failed > 0 {
        bail!("{} writes failed: {}", written.failed, written.first_failure.unwrap_or_default());
    }
    Ok(summary)
}

/// Writes the load; meanwhile the engine is away for a while, if that was asked for.
async fn load_with_outage(
    args: &Args,
    load: &Load,
    stage: &Stage,
    services: &Services,
    (items, meter): (&Arc<ActivityItems>, &Arc<Meter>),
) -> Result<load::Report> {
    let written = load::run(load, &stage.tables, &stage.table, Arc::clone(items) as _, Arc::clone(meter));
    if args.outage == 0.0 {
        return written.await;
    }
    let (starts, length) = (args.seconds / 4.0, Duration::from_secs_f64(args.outage));
    let outage = recovery::outage(services, Duration::from_secs_f64(starts), length);
    let (written, ()) = tokio::try_join!(written, outage)?;
    Ok(written)
}

/// Tells the progress for ever.
async fn show(meter: &Meter, writes: u64, stage: &Stage) -> Infallible {
    let started = Instant::now();
    let progress = Progress::bar(writes, "writes");
    let mut next = REPORT_INTERVAL;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        progress.reach(meter.done());
        if started.elapsed() >= next {
            next += REPORT_INTERVAL;
            stage.report_progress(meter, started.elapsed());
        }
    }
}

async fn keep(services: &Services, stage: &Stage) -> Result<()> {
    console::note("everything is left running until Ctrl-C:");
    for (name, value) in services.environment() {
        console::note(format!("  export {name}={value}"));
    }
    let endpoint = services.opensearch_endpoint().context("find the engine")?;
    console::note(format!("  curl '{endpoint}/{}/_search?size=1&pretty'", stage.index));
    tokio::signal::ctrl_c().await.context("listen for Ctrl-C")
}
