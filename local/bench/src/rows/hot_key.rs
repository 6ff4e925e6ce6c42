//! B8: what a hot key does to its neighbours.

use std::sync::Arc;

use anyhow::Result;

use crate::bed::Bed;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::lane::quantile_ms;
use crate::open_loop::{Lags, Play, play};

const RATE: f64 = 200.0;
const FACTOR: usize = 4;
const HOT_SHARE: f64 = 0.5;
const TARGET: f64 = 1.2;

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<Row> {
    let (seconds, rounds) = bed.scale((30.0, 2), (7.0, 2));
    let workload = format!(
        "{RATE} changes per second in memory, factor {FACTOR}, batch 1, half of them on one key, beside the same load without the hot \
         key; {rounds} rounds of {seconds} s of each, in turn"
    );
    let target = "p99 lag of all other keys within 1.2 times of the load without the hot key";
    let mut row = Row::new(RowId::B8, "Noisy neighbour", workload, target);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (hot_share, lags) in [(HOT_SHARE, &mut with), (0.0, &mut without)] {
            let seed = bed.seed + round;
            let load = Play { rate: RATE, seconds, factor: FACTOR, hot_share, seed, warm_up: bed.scale(4.0, 2.0) };
            let index = bed.index("hot");
            let function = Arc::new(bed.subject.function(&index));
            lags.push(play(bed, &load, function, bed.subject.shown_in(&index)).await?);
        }
    }
    let p99 = |rounds: &[Lags]| {
        let mut all = crate::lane::histogram();
        rounds.iter().for_each(|lags| all += lags.of_others());
        quantile_ms(&all, 0.99)
    };
    let (with, without) = (p99(&with), p99(&without));
    row.add(Figure::new("p99 of other keys beside the hot key", with, "ms"));
    row.add(Figure::new("p99 without a hot key", without, "ms"));
    row.add(Figure::new("with over without", with / without, "ratio").must(Bound::AtMost(TARGET)));
    Ok(row)
}
