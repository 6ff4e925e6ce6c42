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
            "  batch size {batch_size}, factor {factor}, {}{}, {} of {}",
            numbered(*before, "shard"),
            if before == after { String::new() } else { format!(" ({after} at the end)") },
            numbered(u64::from(*nodes), "node"),
            numbered(u64::from(*processors), "processor")
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
        "| {} | {} | {} | {shards} | {} | {} | {} | {} | {worst} | {drained} | {bound} |",
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

/// Number with its noun: 1 shard, 2 shards.
fn numbered(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::{BoundLimit, Course, LagWindow, LimitKind};

    fn run() -> SimulatedRun {
        let lag = LagFigures { p50_ms: 178.4, p99_ms: 2_720.0, max_ms: 251_000.0 };
        SimulatedRun {
            course: Course::SlowNode,
            rate: 1_000.0,
            batch_size: 10,
            factor: 2,
            shards: [1, 3],
            nodes: 1,
            processors: 8,
            changes: 1_234_567,
            invocations: 9_876,
            highest_concurrency: 2,
            busy_nodes: 0.256,
            lag,
            drained_s: None,
            bound: vec![
                BoundLimit { limit: LimitKind::NodeProcessors, first_s: 3_661.0, times: 5 },
                BoundLimit { limit: LimitKind::Lanes, first_s: 3_700.0, times: 1_000 },
            ],
            windows: vec![LagWindow { at_s: 70.0, rate: 999.6, lag }],
        }
    }

    #[test]
    fn a_run_is_told_with_what_bound_first() {
        assert_eq!(
            simulated_text(&run()),
            [
                "1,000 writes/s: slow node for 5 minutes",
                "  batch size 10, factor 2, 1 shard (3 at the end), 1 node of 8 processors",
                "  lag of 1,234,567 changes: p50 178 ms, p99 2.7 s, max 251 s",
                "  worst window, at 00:01:10: p50 178 ms, p99 2.7 s, max 251 s at 1,000 changes/s",
                "  not all applied: the lag grows without end",
                "  9,876 invocations, at most 2 at a time; nodes busy for 26 % of their time",
                "  bound first: processors of a node, at 01:01:01: 5 late bulk requests",
                "  then: lanes per shard, at 01:01:40: 1,000 polls behind which a lane was late",
            ]
        );
    }

    #[test]
    fn a_row_has_the_lag_in_the_unit_that_fits() {
        let quick = SimulatedRun { drained_s: Some(0.28), bound: Vec::new(), shards: [1, 1], ..run() };
        let row = "| slow node for 5 minutes | 10 | 2 | 1 | 1 | 178 ms | 2.7 s | 251 s | 2.7 s | 280 ms | none |";
        assert_eq!(simulated_row(&quick), row);
    }
}
