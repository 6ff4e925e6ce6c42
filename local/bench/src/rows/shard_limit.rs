//! B3: one shard at its write limit, from a stream in memory: no local database keeps up.

use std::sync::Arc;

use anyhow::Result;
use driftless_display::chart::{Axis, Chart, Series};

use super::About;
use crate::baseline_function::BaselineFunction;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::open_loop::{self, OpenLoop, POLL_S};
use crate::report::Drawing;
use crate::test_bed::TestBed;
use crate::timed_process::quantile_ms;

pub(crate) const ABOUT: About = About {
    number: "B3",
    name: "shard-limit",
    title: "one shard at its write limit",
    headline: "1000/s, factor 4: p99",
    notes: include_str!("shard_limit.md"),
};

/// Changes per second, and the parallelization factor.
pub(super) const LOADS: [(f64, usize); 3] = [(400.0, 1), (1_000.0, 4), (1_500.0, 10)];
const P99_MS: f64 = 300.0;
/// Most that the median of the last quarter may be over that of the first.
const GROWTH: f64 = 1.5;

/// Measures all loads, each with its baseline.
pub(crate) async fn run(bed: &TestBed) -> Result<(Row, Vec<Drawing>)> {
    let (seconds, baseline_seconds) = bed.scale((60.0, 20.0), (6.0, 3.0));
    let workload = format!(
        "open loop, polls every 250 ms, batch size 1, 40 % INSERT, 55 % MODIFY, 5 % REMOVE, \
         {seconds} s per load, {baseline_seconds} s of the baseline"
    );
    let mut row = Row::new(RowId::ShardLimit, workload);
    let (mut over_time, mut percentiles) = (Vec::new(), Vec::new());
    for (rate, factor) in LOADS {
        let name = format!("{rate}/s, factor {factor}");
        let load = OpenLoop { rate, seconds, factor, hot_share: 0.0, seed: bed.seed, warm_up: bed.scale(4.0, 2.0) };
        let index = bed.index("shard");
        let function = Arc::new(bed.function(&index));
        let lags = open_loop::run(bed, &load, function, bed.subject.shown_in(&index)).await?;
        let function = BaselineFunction::shared(&bed.endpoint, &bed.baseline_index("shard").await?);
        let baseline = open_loop::run(bed, &OpenLoop { seconds: baseline_seconds, ..load }, function, None).await?;
        let (all, baseline) = (lags.all(), baseline.all());
        row.add(Figure::new(format!("{name}: p50"), quantile_ms(&all, 0.5), "ms"));
        row.add(Figure::new(format!("{name}: p99"), quantile_ms(&all, 0.99), "ms").bounded(Bound::Under(P99_MS)));
        row.add(Figure::new(format!("{name}: baseline p50"), quantile_ms(&baseline, 0.5), "ms"));
        row.add(Figure::new(format!("{name}: baseline p99"), quantile_ms(&baseline, 0.99), "ms"));
        row.add(Figure::new(format!("{name}: growth"), lags.growth(), "ratio").bounded(Bound::Under(GROWTH)));
        if let Some(share) = lags.share_seen() {
            let seen = Figure::new(format!("{name}: share of a sample that a realtime read shows"), share, "ratio");
            row.add(seen.bounded(Bound::AtLeast(1.0)));
        }
        over_time.push(Series::new(name.clone(), lags.over_time(0.99)));
        percentiles.push(Series::percentiles(name.clone(), &all));
        percentiles.push(Series::percentiles(format!("{name}: baseline"), &baseline).baseline_of_previous());
        bed.drop_indices().await?;
    }
    let poll = "Lambda's poll: 250 ms";
    let x = Axis::linear("seconds since the first change, at the middle of a window");
    let lag = Chart::new("B3 shard-limit: lag over time, p99 of each window", x, Axis::linear("lag of a change, ms"))
        .all_series(over_time)
        .reference(poll, POLL_S * 1_000.0)
        .limit("limit of the p99: 300 ms", P99_MS);
    let x = Axis::percentiles("share of changes that are at most this late");
    let curves = Chart::new("B3 shard-limit: lag by percentile", x, Axis::linear("lag of a change, ms"))
        .all_series(percentiles)
        .reference(poll, POLL_S * 1_000.0);
    Ok((row, vec![Drawing { name: "b3-lag", chart: lag }, Drawing { name: "b3-percentiles", chart: curves }]))
}
