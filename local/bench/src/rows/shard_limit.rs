//! B3: one shard at its write limit, from a stream in memory: no local database keeps up.

use std::sync::Arc;

use anyhow::Result;
use driftless_display::chart::{Limit, LineChart, PercentileChart, Series};

use crate::bed::Bed;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::lane::quantile_ms;
use crate::open_loop::{Play, play};
use crate::plain_function::PlainFunction;
use crate::report::Drawing;

/// Changes per second, and the parallelization factor.
const LOADS: [(f64, usize); 3] = [(400.0, 1), (1_000.0, 4), (1_500.0, 10)];
const P99_MS: f64 = 300.0;
/// The median of the last quarter over that of the first.
const GROWTH: f64 = 1.5;

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<(Row, Vec<Drawing>)> {
    let (seconds, bare_seconds) = bed.scale((60.0, 20.0), (6.0, 3.0));
    let workload = format!(
        "open loop, stream in memory, polled every 250 ms, batch 1, 40 % INSERT, 55 % MODIFY, 5 % REMOVE, {seconds} s per load; the same \
         loads with bare requests in the lanes for {bare_seconds} s"
    );
    let target = "p99 under 300 ms at 400/s on 1 lane, 1,000/s on 4 and 1,500/s on 10, and no growth";
    let mut row = Row::new(RowId::B3, "One shard at its write limit", workload, target);
    let (mut over_time, mut curves) = (Vec::new(), Vec::new());
    for (rate, factor) in LOADS {
        let name = format!("{rate}/s, factor {factor}");
        let load = Play { rate, seconds, factor, hot_share: 0.0, seed: bed.seed, warm_up: bed.scale(4.0, 2.0) };
        let index = bed.index("shard");
        let function = Arc::new(bed.subject.function(&index));
        let lags = play(bed, &load, function, bed.subject.shown_in(&index)).await?;
        let plain = PlainFunction::shared(&bed.endpoint, &bed.plain_index("shard").await?);
        let bare = play(bed, &Play { seconds: bare_seconds, ..load }, plain, None).await?;
        for (what, lags) in [("", &lags.all()), (", bare requests", &bare.all())] {
            row.add(Figure::new(format!("{name}{what}: p50"), quantile_ms(lags, 0.5), "ms"));
            let p99 = Figure::new(format!("{name}{what}: p99"), quantile_ms(lags, 0.99), "ms");
            row.add(if what.is_empty() { p99.must(Bound::Under(P99_MS)) } else { p99 });
        }
        row.add(Figure::new(format!("{name}: growth"), lags.growth(), "ratio").must(Bound::Under(GROWTH)));
        if let Some(share) = lags.share_seen() {
            let seen = Figure::new(format!("{name}: a realtime read shows the change, of a sample"), share, "ratio");
            row.add(seen.must(Bound::AtLeast(1.0)));
        }
        over_time.push(Series { name: format!("{name}, p99"), points: lags.over_time(0.99) });
        curves.push((name.clone(), lags.all()));
        curves.push((format!("{name}, bare requests"), bare.all()));
        bed.drop_indices().await?;
    }
    row.note("Latency counts from when a change was due to the moment when the function has reported it as done; for one change in 50 a realtime read by id is made right then.");
    row.note("A change waits up to 250 ms for the poll: that is the floor of every figure here.");
    let lag = LineChart {
        title: "B3: lag over time, one shard in memory".to_owned(),
        x: "seconds".to_owned(),
        y: "lag, ms".to_owned(),
        series: over_time,
        limits: vec![Limit { name: "p99 under 300 ms".to_owned(), value: P99_MS }],
    };
    let title = "B3: lag by percentile, function and bare requests".to_owned();
    let curve = PercentileChart { title, y: "lag, ms".to_owned(), series: curves };
    Ok((row, vec![Drawing::lines("b3-lag", lag), Drawing::percentiles("b3-percentiles", curve)]))
}
