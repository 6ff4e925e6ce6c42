//! `cargo demo`: a table's changes reach the index, on real services, with faults on the way, and the proof at the end.
//!
//! # Layout
//! - [`Args`]: what is asked for on the command line.
//! - [`stage`]: services, table, function and event source mapping, set up and taken down; [`picture`]: its lag, drawn.
//! - [`recovery`]: an outage on the way, and what waits in the dead-letter queue, redriven once it can be.
//! - [`searches`]: what such a table is replicated for; [`summary`]: the verdict, for people and for machines.

mod args;
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
use driftless_harness::services::{Purpose, Services, Wanted};

pub use args::Args;
use stage::{Functions, Plan, Stage};
use summary::Summary;

/// How often the progress is told.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// How long the stream may take to drain after the last write.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

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
