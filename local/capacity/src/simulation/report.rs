//! Simulated runs as text and as rows of a Markdown table.

use super::lag_windows::LagFigures;
use super::result::SimulatedRun;
use crate::render::thousands;

/// Title of a run.
pub fn simulated_title(run: &SimulatedRun) -> String {
    format!("{} writes/s: {}", thousands(run.rate), run.course.words())
}

/// Lines for a terminal.
pub fn simulated_text(run: &SimulatedRun) -> Vec<String> {
    let SimulatedRun { batch_size, factor, nodes, processors, shards: [before, after], .. } = run;
    let mut lines = vec![
        simulated_title(run),
        format!(
            "  batch size {batch_size}, factor {factor}, {before} shards{}, {nodes} nodes of {processors} processors",
            if before == after { String::new() } else { format!(" ({after} at the end)") }
        ),
        format!("  lag of {} changes: {}", thousands(run.changes as f64), quantiles(&run.lag)),
    ];
    if let Some(worst) = run.worst() {
        lines.push(format!(
            "  worst window, at {}: {} at {} changes/s",
            time(worst.at_s),
            quantiles(&worst.lag),
            thousands(worst.rate)
        ));
    }
    lines.push(match run.drained_s {
        Some(seconds) => format!("  all applied {seconds:.1} s after the last change"),
        None => "  not all applied: the lag grows without end".to_owned(),
    });
    lines.push(format!(
        "  {} invocations, at most {} at a time; nodes busy for {:.0} % of their time",
        thousands(run.invocations as f64),
        thousands(f64::from(run.highest_concurrency)),
        run.busy_nodes * 100.0
    ));
    for (nth, bound) in run.bound.iter().enumerate() {
        let (limit, counted) = bound.limit.words();
        let first = if nth == 0 { "bound first" } else { "then" };
        lines.push(format!(
            "  {first}: {limit}, at {}: {} {counted}",
            time(bound.first_s),
            thousands(bound.times as f64)
        ));
    }
    if run.bound.is_empty() {
        lines.push("  no limit bound".to_owned());
    }
    lines
}

/// Row of a Markdown table: course, batch, factor, shards, nodes, lag of all, worst window, drained, what bound first.
pub fn simulated_row(run: &SimulatedRun) -> String {
    let [before, after] = run.shards;
    let shards = if before == after { before.to_string() } else { format!("{before} to {after}") };
    let worst = run.worst().map_or_else(String::new, |worst| lag(worst.lag.p99_ms));
    let drained = run.drained_s.map_or_else(|| "–".to_owned(), |seconds| lag(seconds * 1_000.0));
    let bound = run.bound.first().map_or("none", |bound| bound.limit.words().0);
    format!(
        "| {} | {} | {} | {shards} | {} | {} | {} | {worst} | {} | {drained} | {bound} |",
        run.course.words(),
        thousands(run.batch_size as f64),
        run.factor,
        run.nodes,
        lag(run.lag.p50_ms),
        lag(run.lag.p99_ms),
        lag(run.lag.max_ms),
    )
}

fn quantiles(figures: &LagFigures) -> String {
    format!("p50 {}, p99 {}, max {}", lag(figures.p50_ms), lag(figures.p99_ms), lag(figures.max_ms))
}

/// Lag in the unit that fits it.
fn lag(ms: f64) -> String {
    match ms {
        100_000.0.. => format!("{:.0} s", ms / 1_000.0),
        1_000.0.. => format!("{:.1} s", ms / 1_000.0),
        _ => format!("{ms:.0} ms"),
    }
}

/// Time since the beginning, as hours, minutes and seconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run")]
fn time(seconds: f64) -> String {
    let seconds = seconds as u64;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
