//! B8: the lag of other keys beside a hot key.

use std::sync::Arc;

use anyhow::Result;

use super::About;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::open_loop::{self, Lags, OpenLoop};
use crate::test_bed::TestBed;
use crate::timed_process::{histogram, quantile_ms};

pub(crate) const ABOUT: About = About {
    number: "B8",
    name: "hot-key",
    title: "other keys beside a hot key",
    headline: "p99 with the hot key over p99 without",
    notes: include_str!("hot_key.md"),
};

const RATE: f64 = 200.0;
const FACTOR: usize = 4;
const HOT_SHARE: f64 = 0.5;
const MOST_P99: f64 = 1.2;

/// Measures both loads in turn.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let (seconds, rounds) = bed.scale((30.0, 2), (7.0, 2));
    let workload = format!(
        "open loop from a stream in memory, {RATE} changes per second, factor {FACTOR}, batch size 1; \
         in turn {rounds} rounds of {seconds} s"
    );
    let mut row = Row::new(RowId::HotKey, workload);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (hot_share, lags) in [(HOT_SHARE, &mut with), (0.0, &mut without)] {
            let seed = bed.seed + round;
            let load = OpenLoop { rate: RATE, seconds, factor: FACTOR, hot_share, seed, warm_up: bed.scale(4.0, 2.0) };
            let index = bed.index("hot");
            let function = Arc::new(bed.function(&index));
            lags.push(open_loop::run(bed, &load, function, bed.subject.shown_in(&index)).await?);
        }
    }
    let p99 = |rounds: &[Lags]| {
        let mut all = histogram();
        rounds.iter().for_each(|lags| all += lags.of_others());
        quantile_ms(&all, 0.99)
    };
    let (with, without) = (p99(&with), p99(&without));
    row.add(Figure::new("p99 of other keys with the hot key", with, "ms"));
    row.add(Figure::new("p99 without a hot key", without, "ms"));
    row.add(Figure::new(ABOUT.headline, with / without, "ratio").bounded(Bound::AtMost(MOST_P99)));
    Ok(row)
}
