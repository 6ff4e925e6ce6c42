//! The benchmark, `cargo local bench`: freshness, throughput, start and memory on the real services, each beside the
//! baseline of the same run.
//!
//! # Layout
//! - `args`: the command line.
//! - `figures`: results of a row, and their bounds; `regression`: comparison with an earlier run;
//!   `report`: text, JSON and files; `markdown`: the page.
//! - `machine_lock`: one benchmark at a time.
//! - `test_bed`: services, indices, scale; `subject`: the function that is measured.
//! - `changes`: the changes that are written; `baseline`, `baseline_function`: the same without a function or a guard.
//! - `timed_process`, `comparison`, `open_loop`: the ways to drive the function; `processes`: the kernel's accounts of
//!   it; `sample`: realtime reads of what it reports as done.
//! - `loaded_table`, `slices`: a table of many items, and the functions that work on it slice by slice.
//! - `rows`: one module and one Markdown page per row.

mod args;
mod baseline;
mod baseline_function;
mod changes;
mod comparison;
mod figures;
mod loaded_table;
mod machine_lock;
mod markdown;
mod open_loop;
mod processes;
mod regression;
mod report;
mod rows;
mod sample;
mod slices;
mod subject;
mod test_bed;
mod timed_process;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use driftless_display::console;
use driftless_harness::services::{Purpose, Services, WantedServices};

pub use args::Args;
pub use figures::{Bound, Figure, Row, RowId};
use machine_lock::lock_machine;
pub use report::{BenchReport, RunSetting};
use slices::SliceFunctions;
use subject::SubjectChoice;
use test_bed::TestBed;

/// Measures the rows, and reports.
///
/// # Errors
/// Fails if something cannot be started, a row cannot be measured, or a figure is worse than in the earlier run.
/// With `--strict`, it also fails if a bound is missed.
pub async fn run(args: Args) -> Result<()> {
    if let (Some(figures), Some(folder)) = (&args.from, &args.report) {
        return report::render_again(figures, folder);
    }
    let earlier = args.earlier.as_deref().map(report::read).transpose()?;
    let measured = match &args.newcomer {
        Some(file) => {
            let mut report = BenchReport::new(&args, "driftless", "");
            record(&args, &mut report, rows::newcomer::read(file)?, Vec::new())?;
            report
        }
        None => measure(&args).await?,
    };
    let worse = earlier.map(|earlier| regression::worse(&measured.rows, &earlier.rows)).unwrap_or_default();
    for line in &worse {
        console::result(format!("worse: {line}"));
    }
    ensure!(worse.is_empty(), "{} figures are worse than in the earlier run, beyond noise", worse.len());
    let missed = measured.missed();
    ensure!(!args.strict || missed == 0, "{missed} figures miss their bounds");
    Ok(())
}

async fn measure(args: &Args) -> Result<BenchReport> {
    // Wrong arguments are found before anything is built or started.
    let rows = args.rows()?;
    let _alone = lock_machine()?;
    let subject = SubjectChoice::new(args.command.clone(), &args.env)?.build(&rows).await?;
    let needs_slices = rows.iter().any(|row| matches!(row, RowId::FirstLoad | RowId::Proof));
    let slices = if needs_slices { Some(SliceFunctions::build().await?) } else { None };
    let services = {
        let _progress = console::ProgressLine::spinner("starting DynamoDB and OpenSearch");
        Services::start(WantedServices { sqs: false, purpose: Purpose::Benchmark, ..WantedServices::default() }).await?
    };
    let engine = services.opensearch().map_or("an existing engine", |engine| engine.name());
    let mut report = BenchReport::new(args, &subject.name, engine);
    console::result(report.heading());
    let bed = TestBed::new(services, subject, slices, args)?;
    bed.warm_up().await?;
    for id in rows {
        let started = Instant::now();
        let (row, drawings) = {
            let _progress = console::ProgressLine::spinner(&format!("measuring {id}"));
            measure_row(&bed, id).await.with_context(|| format!("measure {id}"))?
        };
        console::note(format!("{id} took {:.0} s", started.elapsed().as_secs_f64()));
        record(args, &mut report, row, drawings)?;
        bed.drop_indices().await?;
    }
    bed.services.stop().await?;
    Ok(report)
}

/// Prints and writes a row as soon as it ends: a later failure loses nothing.
fn record(args: &Args, report: &mut BenchReport, row: Row, drawings: Vec<report::Drawing>) -> Result<()> {
    report::lines(&row).into_iter().for_each(console::result);
    report.add(row, drawings);
    if let Some(file) = &args.json {
        report.write_json(file)?;
    }
    if let Some(folder) = &args.report {
        report.write_markdown(folder)?;
    }
    Ok(())
}

async fn measure_row(bed: &TestBed, id: RowId) -> Result<(Row, Vec<report::Drawing>)> {
    let without_drawings = |row| (row, Vec::new());
    Ok(match id {
        RowId::OneLane => rows::one_lane::run(bed).await?,
        RowId::RealStream => rows::real_stream::run(bed).await?,
        RowId::ShardLimit => rows::shard_limit::run(bed).await?,
        RowId::Backlog => without_drawings(rows::backlog::run(bed).await?),
        RowId::Start => without_drawings(rows::start::run(bed).await?),
        RowId::Growth => rows::growth::run(bed).await?,
        RowId::LaneTime => without_drawings(rows::lane_time::run(bed).await?),
        RowId::HotKey => without_drawings(rows::hot_key::run(bed).await?),
        RowId::Unguarded => without_drawings(rows::unguarded::run(bed).await?),
        RowId::Searchable => without_drawings(rows::searchable::run(bed).await?),
        RowId::FirstLoad => without_drawings(rows::first_load::run(bed).await?),
        RowId::Proof => without_drawings(rows::proof::run(bed).await?),
        RowId::Cost => without_drawings(rows::cost::run(bed).await?),
        RowId::Rules => without_drawings(rows::rules::run(bed).await?),
        RowId::ViewType => without_drawings(rows::view_type::run(bed).await?),
        RowId::KinesisPath => without_drawings(rows::kinesis_path::run(bed).await?),
        RowId::Newcomer => anyhow::bail!("`.ci/newcomer` measures this row"),
    })
}
