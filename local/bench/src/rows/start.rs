//! B5: time from a process's start to its first request for an event, and its memory under the load of B3.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use driftless_harness::function::{FunctionConfig, FunctionProcess, Invoke as _};

use super::About;
use crate::figures::{Bound, Figure, Row, RowId, quantile};
use crate::open_loop::{self, OpenLoop};
use crate::test_bed::TestBed;

pub(crate) const ABOUT: About = About {
    number: "B5",
    name: "start",
    title: "start and memory",
    headline: "start, median",
    notes: include_str!("start.md"),
};

const STARTS: usize = 20;
/// Load under which the memory is read: 1,000 changes per second on four lanes, as in B3.
const RATE: f64 = 1_000.0;
const FACTOR: usize = 4;

/// Measures starts, and then memory.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let index = bed.index("start");
    let (mut function, mut no_op) = (Vec::new(), Vec::new());
    for _ in 0..=STARTS {
        function.push(start_ms(bed.function(&index)).await?);
        no_op.push(start_ms(bed.no_op()).await?);
    }
    // The first start reads the binary from disk.
    let (first, function) = (function.remove(0), sorted(function));
    let no_op = sorted(no_op.split_off(1));
    let seconds = bed.scale(60.0, 10.0);
    let load =
        OpenLoop { rate: RATE, seconds, factor: FACTOR, hot_share: 0.0, seed: bed.seed, warm_up: bed.scale(4.0, 2.0) };
    let lags = open_loop::run(bed, &load, Arc::new(bed.function(&index)), None).await?;
    let workload = format!("{STARTS} starts; {RATE} changes per second on {FACTOR} lanes for {seconds} s");
    let mut row = Row::new(RowId::Start, workload);
    row.add(
        Figure::new("start, median", quantile(&function, 0.5), "ms").bounded(Bound::Under(30.0)).with_noise(&function),
    );
    row.add(Figure::new("start, slowest", quantile(&function, 1.0), "ms"));
    row.add(Figure::new("start, the very first", first, "ms"));
    row.add(Figure::new("start of the no-op function, median", quantile(&no_op, 0.5), "ms"));
    row.add(Figure::new("peak resident memory", lags.peak_resident_mb, "MB").bounded(Bound::Under(40.0)));
    Ok(row)
}

/// Milliseconds from before the process exists to its first request for an event.
async fn start_ms(config: FunctionConfig) -> Result<f64> {
    let mut process = FunctionProcess::new(config);
    let started = Instant::now();
    process.warm_up().await?;
    let took = started.elapsed();
    process.kill().await;
    Ok(took.as_secs_f64() * 1_000.0)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
