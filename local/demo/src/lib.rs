//! `cargo demo`: a table that holds items is backfilled, re-indexed and replicated while it changes, on real services,
//! with faults on the way, and the proof at the end.
//!
//! # Layout
//! - [`Args`]: what is asked for on the command line.
//! - [`stage`]: services, table, function and event source mapping, set up and taken down; `warm_up`: before anything
//!   counts.
//! - [`first_load`]: the items that the table holds, and their backfill; [`reindex`]: another mapping under load, and
//!   [`reader`], who notices nothing of it; [`proof`]: the verify at the end.
//! - [`picture`]: the lag, drawn and held against its limit.
//! - `run`: what all parts of a run share; [`current_mapping`]: its event source mapping.
//! - `live`, `troubles`: the page, and what its buttons do.
//! - [`recovery`]: an outage on the way, and what is in the dead-letter queue, redriven once it can be.
//! - [`searches`]: what such a table is replicated for; [`summary`]: the verdict, for people and for machines.

mod args;
pub mod current_mapping;
pub mod first_load;
mod live;
pub mod picture;
pub mod proof;
pub mod reader;
pub mod recovery;
pub mod reindex;
mod run;
pub mod searches;
pub mod stage;
pub mod summary;
mod troubles;
mod warm_up;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use driftless_display::console::{self, ProgressLine};
use driftless_display::{style, terminal};
use driftless_harness::function::BuildProfile;
use driftless_harness::load::{self, LoadReport, Meter};
use driftless_harness::services::{Existing, Jdks, Purpose, Services, WantedServices, check_requirements};
use driftless_harness::slices::verify::OrphanSearch;
use driftless_harness::words::counted;
use serde_json::json;
use tokio::sync::oneshot;

pub use args::Args;
use live::LiveDemo;
use run::DemoRun;
use stage::{DemoStage, Functions, StagePlan};
use summary::{Summary, Work};

/// Time between two lines of progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Longest time that the stream takes to drain after the last write.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// Runs the demo on services of its own, or on those of the environment.
///
/// # Errors
/// Where something is missing or cannot be started, or table and index differ.
pub async fn run(args: Args) -> Result<()> {
    args.check()?;
    if args.picture.is_some() {
        console::record();
        console::note(style::command(prompt(std::env::args())));
    }
    let wanted = WantedServices { purpose: Purpose::Demo, ..WantedServices::default() };
    let (existing, jdks) = (Existing::from_env(), Jdks::from_env());
    announce(&args, &existing);
    ensure!(args.outage == 0.0 || existing.opensearch.is_none(), "{}", recovery::OWN_ENGINE);
    existing.check().await?;
    check_requirements(wanted, &existing, &jdks)?;
    let started = Instant::now();
    let functions = stage::build(if args.release { BuildProfile::Release } else { BuildProfile::Debug }).await?;
    let services = {
        let _progress = ProgressLine::spinner("starting DynamoDB, SQS and OpenSearch");
        Services::start_beside(wanted, &existing, &jdks).await?
    };
    console::note(format!("functions and services are ready after {:.0} s", started.elapsed().as_secs_f64()));
    let result = play(&args, &services, functions).await;
    services.stop().await?;
    result?;
    match &args.picture {
        Some(file) => draw_terminal(file),
        None => Ok(()),
    }
}

/// Says what is going to happen, on which services, and how long it takes.
fn announce(args: &Args, existing: &Existing) {
    let own: Vec<&str> =
        [("DynamoDB", &existing.dynamodb), ("SQS", &existing.sqs), ("OpenSearch", &existing.opensearch)]
            .into_iter()
            .filter_map(|(service, url)| url.is_none().then_some(service))
            .collect();
    let starts = match own.as_slice() {
        [] => String::new(),
        [service] => format!(", starts {service}"),
        [services @ .., last] => format!(", starts {} and {last}", services.join(", ")),
    };
    let length = match args.page.page {
        true => "until Ctrl-C, with a page".to_owned(),
        false => format!("for {} s: about {:.0} s in all", args.seconds, args.expected_seconds()),
    };
    console::note(format!(
        "builds the functions{starts}, backfills and re-indexes a table while it changes, and replicates {length}, some minutes more the first time"
    ));
    existing.lines().iter().for_each(console::note);
}

/// The command line as it was typed, without what asks for the picture.
fn prompt(arguments: impl Iterator<Item = String>) -> String {
    let mut shown = vec!["$ cargo".to_owned()];
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--picture" => drop(arguments.next()),
            argument if argument.starts_with("--picture=") => {}
            _ => shown.push(argument),
        }
    }
    shown.join(" ")
}

fn draw_terminal(file: &Path) -> Result<()> {
    let picture = terminal::svg("A run of cargo demo: table and index are equal", &console::recorded());
    std::fs::write(file, picture).with_context(|| format!("write {}", file.display()))?;
    console::note(format!("the terminal is drawn in {}", file.display()));
    Ok(())
}

/// Plays the demo on these services with these binaries.
///
/// # Errors
/// Where a service refuses, or table and index differ.
pub async fn play(args: &Args, services: &Services, functions: Functions) -> Result<Summary> {
    let stage = set_up(args, services, functions).await?;
    let result = replicate(args, &stage, services).await;
    if args.keep {
        keep_running(services, &stage).await?;
    }
    stage.take_down().await;
    result
}

/// Sets the demo's stage up.
///
/// # Errors
/// Where a service refuses, or a function does not start.
pub async fn set_up(args: &Args, services: &Services, functions: Functions) -> Result<DemoStage> {
    let timeout = Duration::from_secs(args.timeout);
    let plan = StagePlan { functions, mapping: args.mapping(), timeout, held: args.held_items() };
    DemoStage::set_up(services, plan).await
}

/// Backfills, re-indexes and replicates while the load goes on, drains, redrives, verifies, searches, and prints the
/// verdict.
///
/// # Errors
/// Where a service refuses, or table and index differ.
pub async fn replicate(args: &Args, stage: &DemoStage, services: &Services) -> Result<Summary> {
    replicate_and_tell(args, stage, services, |_| ()).await
}

/// The same, and tells the address of the page, if one is asked for.
///
/// # Errors
/// As [`replicate`].
pub async fn replicate_and_tell(
    args: &Args,
    stage: &DemoStage,
    services: &Services,
    opened: impl FnOnce(&str),
) -> Result<Summary> {
    let run = DemoRun::new(args, stage, services);
    if !args.page.page {
        return replicate_with(&run, None).await;
    }
    let live = LiveDemo::open(&run).await?;
    opened(live.desk.url());
    let summary = tokio::select! {
        summary = replicate_with(&run, Some(&live)) => summary,
        never = live.desk.refresh(&run) => match never {},
    };
    let verdict = match &summary {
        Ok(summary) => format!("verify: table and index are equal: {}", proof::words(&summary.verify)),
        Err(_) => "the run failed: the terminal says why".to_owned(),
    };
    live.desk.conclude(summary.is_ok(), &verdict, &run).await;
    summary
}

/// The same, with a page that is open or without one.
async fn replicate_with(run: &DemoRun<'_>, live: Option<&LiveDemo>) -> Result<Summary> {
    let DemoRun { args, stage, meter, .. } = run;
    console::note(format!(
        "writing changes at {} per second; batch size {}, parallelization factor {}",
        args.rate, args.batch_size, args.factor,
    ));
    let started = Instant::now();
    let (written, work) = tokio::select! {
        written = write_and_work(run, live) => written?,
        never = show_progress(meter, stage) => match never {},
    };
    if let Some(live) = live {
        live.desk.close("draining the stream, and comparing table and index");
    }
    let limit = DRAIN_LIMIT + Duration::from_secs_f64(args.outage);
    {
        let _progress = ProgressLine::spinner("waiting until the stream has drained");
        stage.mapping.wait_until_drained(limit).await.context("wait until the stream has drained")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    stage.report_progress(meter, started.elapsed());
    let recovery = run.redrive_all().await?;
    let function = stage.counts().await;
    let verify = proof::verify(stage, json!({}), OrphanSearch::Full).await?;
    let summary = Summary::of(args, &written, stage, work, (seconds, run.poison_written(), recovery, verify), function);
    print_verdict(run, &summary).await?;
    if let Some(failure) = summary.failure() {
        bail!("{failure}");
    }
    if written.failed > 0 {
        bail!("{} writes failed: {}", written.failed, written.first_failure.unwrap_or_default());
    }
    Ok(summary)
}

/// Prints the verdict, the searches and, where it was asked for, the summary for machines.
async fn print_verdict(run: &DemoRun<'_>, summary: &Summary) -> Result<()> {
    let DemoRun { args, stage, .. } = run;
    let mut lines = summary.lines();
    lines.push(picture::verdict(&stage.freshness.lag, run.outage_seconds()));
    lines.push(format!("the lag over time is drawn in {}", picture::draw(&stage.freshness.lag)?));
    lines.extend(searches::run(&stage.engine, &stage.index).await?);
    // A machine reads standard output where it was asked for JSON.
    lines.iter().for_each(if args.json { console::note } else { console::result });
    if args.json {
        console::result(serde_json::to_string(summary).context("write the summary")?);
    }
    Ok(())
}

/// Writes the load from the backfill to the end of the stream's own part.
async fn write_and_work(run: &DemoRun<'_>, live: Option<&LiveDemo>) -> Result<(LoadReport, Work)> {
    let DemoRun { args, stage, items, meter, .. } = run;
    let load = args.whole_load();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        // The sender is dropped, never used.
        let _ = stopped.await;
    };
    let written =
        load::run_until(&load, &stage.tables, &stage.table, Arc::clone(items) as _, Arc::clone(meter), stopped);
    let worked = async {
        if let Some(live) = live {
            live.desk.close("backfill and re-index are at work");
        }
        let work = work_under_load(stage, meter).await?;
        let begun = Instant::now();
        match live {
            Some(live) => live.take_orders(run).await?,
            None => change_for_a_while(run).await?,
        }
        drop(stop);
        Ok(Work { stream_seconds: begun.elapsed().as_secs_f64(), ..work })
    };
    tokio::try_join!(written, worked)
}

/// Lets the stream's own part go on for its time, with poison and the outage that was asked for.
async fn change_for_a_while(run: &DemoRun<'_>) -> Result<()> {
    let args = run.args;
    run.items.poison();
    let replicated = async {
        tokio::time::sleep(Duration::from_secs_f64(args.seconds)).await;
        Ok(())
    };
    let outage = async {
        match args.outage > 0.0 {
            true => {
                let starts = Duration::from_secs_f64(args.seconds / 4.0);
                recovery::outage(run.services, starts, Duration::from_secs_f64(args.outage)).await
            }
            false => Ok(()),
        }
    };
    tokio::try_join!(replicated, outage).map(drop)
}

/// Backfills the table and re-indexes it, and begins the lag anew: these two have taken their share of the machine.
async fn work_under_load(stage: &DemoStage, meter: &Meter) -> Result<Work> {
    let held = stage.held.numbers.end - stage.held.numbers.start;
    let before = meter.done();
    let backfill = first_load::backfill(&stage.backfill, json!({}), held).await?;
    let changes = meter.done() - before;
    let meanwhile = counted(changes, "change");
    console::note(format!(
        "backfilled {} in {:.1} s while {meanwhile} were written",
        counted(backfill.items, "item"),
        backfill.seconds
    ));
    let reindex = reindex::run(stage).await?;
    let lag = stage.freshness.lag.take();
    console::note("from here the stream is alone, and the lag is measured anew");
    Ok(Work { backfill, changes_during_backfill: changes, reindex, lag, stream_seconds: 0.0 })
}

/// Prints the progress for ever.
async fn show_progress(meter: &Meter, stage: &DemoStage) -> Infallible {
    let started = Instant::now();
    let progress = ProgressLine::spinner("writing");
    let mut next = REPORT_INTERVAL;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        progress.say(counted(meter.done(), "write"));
        if started.elapsed() >= next {
            next += REPORT_INTERVAL;
            stage.report_progress(meter, started.elapsed());
        }
    }
}

/// Says what is where, and how to see a change of one's own, and waits for Ctrl-C.
async fn keep_running(services: &Services, stage: &DemoStage) -> Result<()> {
    let (table, index) = (&stage.table, &stage.index);
    console::note("\neverything goes on until Ctrl-C, and changes are replicated; in another terminal:");
    for (name, value) in services.environment() {
        console::note(format!("  export {name}={value}"));
    }
    console::note(format!("  export DEAD_LETTER_QUEUE_URL={}", stage.queue_url));
    console::note(format!("table {table}, index {index}; a change of your own, and the search that finds it:"));
    for line in [
        format!(
            "  aws dynamodb put-item --table-name {table} \\\n    --item '{{\"pk\": {{\"S\": \"acme#me\"}}, \"sk\": {{\"S\": \"1\"}}, \"company\": {{\"S\": \"Mine\"}}}}'"
        ),
        // Pasted together, the refresh would come before the stream's next poll.
        format!("  sleep 2; curl -s -X POST \"$OPENSEARCH_ENDPOINT/{index}/_refresh\""),
        format!("  curl -s \"$OPENSEARCH_ENDPOINT/{index}/_search?q=company:Mine&pretty\""),
    ] {
        console::note(style::command(line));
    }
    tokio::signal::ctrl_c().await.context("listen for Ctrl-C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_the_command_without_itself() {
        let typed = ["local", "demo", "--rate", "200", "--picture", "docs/demo.svg"].map(str::to_owned);
        assert_eq!(prompt(typed.into_iter()), "$ cargo demo --rate 200");
    }
}
