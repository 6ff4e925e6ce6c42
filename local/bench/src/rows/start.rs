//! B5: how long a process takes from its start to its first request for an event. What it keeps in memory is seen under the
//! load of B3.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use driftless_harness::function::{FunctionConfig, FunctionProcess, Invoke as _};

use crate::bed::Bed;
use crate::figures::{Bound, Figure, Row, RowId, quantile};
use crate::open_loop::{Play, play};

const STARTS: usize = 20;
/// Under what load the memory is read: 1,000 changes per second on four lanes, as in B3.
const RATE: f64 = 1_000.0;
const FACTOR: usize = 4;

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<Row> {
    let index = bed.index("start");
    let (mut ours, mut nothing) = (Vec::new(), Vec::new());
    for _ in 0..=STARTS {
        ours.push(start(bed.subject.function(&index)).await?);
        nothing.push(start(bed.subject.nothing()).await?);
    }
    // The first start reads the binary from disk.
    let (first, ours) = (ours.remove(0), sorted(ours));
    let nothing = sorted(nothing.split_off(1));
    let seconds = bed.scale(60.0, 10.0);
    let load =
        Play { rate: RATE, seconds, factor: FACTOR, hot_share: 0.0, seed: bed.seed, warm_up: bed.scale(4.0, 2.0) };
    let lags = play(bed, &load, Arc::new(bed.subject.function(&index)), None).await?;
    let workload = format!(
        "{STARTS} starts; peak resident memory of a process under {RATE} changes per second on {FACTOR} lanes for {seconds} s"
    );
    let target = "median start under 30 ms; peak resident memory under 40 MB";
    let mut row = Row::new(RowId::B5, "Start and memory", workload, target);
    row.add(Figure::new("start, median", quantile(&ours, 0.5), "ms").must(Bound::Under(30.0)).over(&ours));
    row.add(Figure::new("start, slowest", quantile(&ours, 1.0), "ms"));
    row.add(Figure::new("start, the very first", first, "ms"));
    row.add(Figure::new("start of a function that does nothing, median", quantile(&nothing, 0.5), "ms"));
    row.add(Figure::new("peak resident memory", lags.peak_resident_mb, "MB").must(Bound::Under(40.0)));
    Ok(row)
}

/// From before the process exists to its first request for an event, in milliseconds.
async fn start(config: FunctionConfig) -> Result<f64> {
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
