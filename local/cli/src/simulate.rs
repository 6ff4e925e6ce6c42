//! `local simulate`: many schedules of a model, and what broke.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;
use driftless_display::console::{self, ProgressLine};
use driftless_display::style;
use driftless_simulate::{Guard, Missing, RunSummary, Schedule, SimulatedSource, SimulationRun, generate, shrunk};

const REFRESH: Duration = Duration::from_millis(200);

/// Play the whole path as a model that a seed decides, and hold its promises against it
///
/// Table, stream, event source mapping, engine and queue are models; the function and the core are the real ones.
/// Nothing runs but this process. Where a promise is broken, the schedule is shrunk, kept in a file, and can be
/// replayed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number of schedules to play
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    schedules: u64,
    /// The first schedule's seed; the next one's is one more
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Source of the records
    #[arg(long, value_enum, default_value_t)]
    source: SimulatedSource,
    /// Take a guard away; may be given more than once
    #[arg(long, value_name = "GUARD", value_enum, hide_possible_values = true)]
    without: Vec<Guard>,
    /// Threads, one for each core unless given
    #[arg(long)]
    jobs: Option<usize>,
    /// Play one schedule that was kept, and show what happens
    #[arg(long, value_name = "FILE", conflicts_with_all = ["schedules", "seed", "source", "jobs"])]
    replay: Option<PathBuf>,
    /// List the guards that can be taken away
    #[arg(long, conflicts_with_all = ["replay", "schedules", "seed", "source", "jobs", "without"])]
    list_guards: bool,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    if args.list_guards {
        for guard in Guard::value_variants() {
            console::result(format!("{:<22} {}", guard.name(), guard.about()));
        }
        return Ok(());
    }
    let missing: Missing = args.without.iter().copied().collect();
    match &args.replay {
        Some(file) => replay(file, missing),
        None => play(&args, missing).await,
    }
}

async fn play(args: &Args, missing: Missing) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let run = SimulationRun {
        schedules: args.schedules,
        seed: args.seed,
        source: args.source,
        missing,
        jobs: args.jobs.unwrap_or(cores),
    };
    let started = Instant::now();
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    let mut playing = tokio::task::spawn_blocking(move || run.play(&counter));
    let progress = ProgressLine::bar(run.schedules, "schedules");
    let summary = loop {
        tokio::select! {
            summary = &mut playing => break summary.context("play the schedules")?,
            () = tokio::time::sleep(REFRESH) => progress.reach(done.load(Ordering::Relaxed)),
        }
    };
    drop(progress);
    report(&summary, started.elapsed());
    let Some((seed, broken)) = summary.broken else {
        console::result(style::good("every promise was kept"));
        return Ok(());
    };
    console::note(format!("seed {seed}: {broken}"));
    console::note("shrinking the schedule…");
    let small = shrunk(generate(seed, args.source), missing);
    let file = driftless_harness::services::local_dir().join(format!("schedule-{seed}.json"));
    keep(&small, &file)?;
    show(small, missing);
    let without: String = missing.guards().map(|guard| format!(" --without {}", guard.name())).collect();
    console::note(format!("replay it: cargo local simulate --replay {}{without}", file.display()));
    bail!("a promise was broken by the schedule of seed {seed}");
}

fn report(summary: &RunSummary, took: Duration) {
    let changes = summary.counts.0.get("changes").copied().unwrap_or_default();
    console::result(format!(
        "{} schedules with {changes} changes in {:.1} s, trace {:016x}",
        summary.played,
        took.as_secs_f64(),
        summary.trace
    ));
    for (what, number) in summary.counts.0.iter().filter(|(what, _)| **what != "changes") {
        console::result(format!("{number:>12} {what}"));
    }
}

fn keep(schedule: &Schedule, file: &std::path::Path) -> Result<()> {
    let json = serde_json::to_string_pretty(schedule).context("write the schedule")?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    std::fs::write(file, json).with_context(|| format!("write {}", file.display()))
}

fn replay(file: &std::path::Path, missing: Missing) -> Result<()> {
    let json = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let schedule: Schedule =
        serde_json::from_str(&json).with_context(|| format!("understand the schedule in {}", file.display()))?;
    if show(schedule, missing) {
        bail!("a promise was broken");
    }
    console::result(style::good("every promise was kept"));
    Ok(())
}

/// Shows a schedule and what happens in it; tells whether a promise is broken.
fn show(schedule: Schedule, missing: Missing) -> bool {
    let played = driftless_simulate::replay(&schedule, missing);
    console::result(serde_json::to_string(&schedule).unwrap_or_default());
    for line in played.lines {
        console::result(line);
    }
    played.broken.is_some()
}
