//! The benchmark, `cargo local bench`: freshness, throughput, start and memory on the real services, each beside its bare limit in the same run.
//!
//! # Layout
//! - `args`: what is asked for on the command line.
//! - `figures`: what a row found, and whether that is within its bounds; `baseline`: beside an earlier run;
//!   `report`: as text, JSON, Markdown and charts.
//! - `bed`: services, indices, scale; `subject`: the function that is measured.
//! - `changes`: what is written; `plain`, `plain_function`: the bare limit; `lane`, `race`, `open_loop`: how it is driven;
//!   `processes`: what the kernel says of it; `sample`: whether it tells the truth.
//! - `rows`: one module per row.

mod args;
mod baseline;
mod bed;
mod changes;
mod figures;
mod lane;
mod open_loop;
mod plain;
mod plain_function;
mod processes;
mod race;
mod report;
mod rows;
mod sample;
mod subject;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum as _;
use driftless_display::console;
use driftless_harness::services::{Purpose, Services, Wanted};

pub use args::Args;
use bed::Bed;
pub use figures::{Bound, Figure, Row, RowId};
pub use report::{Report, Setting};
use subject::Subject;

/// Measures the rows, and reports.
///
/// # Errors
/// Where something cannot be started, a row cannot be measured, or a figure is worse than in the baseline.
pub async fn run(args: Args) -> Result<()> {
    let baseline = args.baseline.as_deref().map(report::read).transpose()?;
    let services = {
        let _progress = console::Progress::spinner("starting DynamoDB and OpenSearch");
        Services::start(Wanted { sqs: false, purpose: Purpose::Benchmark, ..Wanted::default() }).await?
    };
    let measured = measure(&args, services).await?;
    let worse = baseline.map(|before| baseline::worse(&measured.rows, &before)).unwrap_or_default();
    for line in &worse {
        console::result(format!("worse: {line}"));
    }
    ensure!(worse.is_empty(), "{} figures are worse than in the baseline, beyond noise", worse.len());
    Ok(())
}

/// Prints and writes each row as it ends: what goes wrong later takes nothing away.
async fn measure(args: &Args, services: Services) -> Result<Report> {
    let engine = services.opensearch().map_or("an existing engine", |engine| engine.name());
    let endpoint = services.opensearch_endpoint().context("find the engine")?.to_owned();
    let subject = Subject::prepare(args.command.clone(), &args.env, &endpoint).await?;
    let mut report = Report::new(args, &subject.name, engine);
    console::result(report.heading());
    let bed = Bed::new(services, subject, args.quick, args.seed)?;
    bed.warm_up().await?;
    let mut rows = if args.rows.is_empty() { RowId::value_variants().to_vec() } else { args.rows.clone() };
    rows.sort_unstable();
    rows.dedup();
    for id in rows {
        let started = Instant::now();
        let (row, drawings) = {
            let _progress = console::Progress::spinner(&format!("measuring {id:?}"));
            measure_row(&bed, id).await.with_context(|| format!("measure {id:?}"))?
        };
        console::note(format!("{id:?} took {:.0} s", started.elapsed().as_secs_f64()));
        for line in report::lines(&row) {
            console::result(line);
        }
        report.add(row, drawings);
        if let Some(file) = &args.json {
            report.write_json(file)?;
        }
        if let Some(folder) = &args.report {
            report.write_markdown(folder)?;
        }
        bed.drop_indices().await?;
    }
    bed.services.stop().await?;
    Ok(report)
}

async fn measure_row(bed: &Bed, id: RowId) -> Result<(Row, Vec<report::Drawing>)> {
    let without_drawings = |row| (row, Vec::new());
    Ok(match id {
        RowId::B1 => rows::one_lane::run(bed).await?,
        RowId::B2 => rows::real_stream::run(bed).await?,
        RowId::B3 => rows::shard_limit::run(bed).await?,
        RowId::B4 => without_drawings(rows::backlog::run(bed).await?),
        RowId::B5 => without_drawings(rows::start::run(bed).await?),
        RowId::B6 => rows::growth::run(bed).await?,
        RowId::B7 => without_drawings(rows::lane_time::run(bed).await?),
        RowId::B8 => without_drawings(rows::hot_key::run(bed).await?),
        RowId::B9 => without_drawings(rows::unguarded::run(bed).await?),
        RowId::B13 => without_drawings(rows::cost::run(bed).await?),
    })
}
