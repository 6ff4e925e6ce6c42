//! Lag of one shard at its write limit, as in B3.

use std::sync::Arc;

use anyhow::{Context, Result};
use driftless_harness::mapping::stream::StreamKind;

use super::pair::{MOST_LATENCY, function, stream};
use crate::figures::{Bound, Figure, Row};
use crate::open_loop::{self, OpenLoop};
use crate::rows::shard_limit::LOADS;
use crate::test_bed::TestBed;
use crate::timed_process::{histogram, median, quantile_ms};

/// Pairs of turns. Each way is first in turn, so that a machine that gets slower or faster hits both.
static PAIRS: [[StreamKind; 2]; 3] = [
    [StreamKind::DynamoDb, StreamKind::Kinesis],
    [StreamKind::Kinesis, StreamKind::DynamoDb],
    [StreamKind::DynamoDb, StreamKind::Kinesis],
];

/// Seconds of each load through either stream.
pub(super) fn seconds(bed: &TestBed) -> f64 {
    turn_seconds(bed) * pairs(bed).len() as f64
}

fn turn_seconds(bed: &TestBed) -> f64 {
    bed.scale(20.0, 2.0)
}

fn pairs(bed: &TestBed) -> &'static [[StreamKind; 2]] {
    bed.scale(&PAIRS[..], &PAIRS[..1])
}

/// Measures all loads through both streams.
pub(super) async fn run(bed: &TestBed, row: &mut Row) -> Result<()> {
    for (rate, factor) in LOADS {
        let load = OpenLoop {
            rate,
            seconds: turn_seconds(bed),
            factor,
            hot_share: 0.0,
            seed: bed.seed,
            warm_up: bed.scale(4.0, 1.0),
        };
        let (mut streams, mut kinesis) = (histogram(), histogram());
        let mut ratios = Vec::new();
        for pair in pairs(bed) {
            let mut p99 = [f64::NAN; 2];
            for &kind in pair {
                let index = bed.index("shard");
                let function = Arc::new(function(bed, kind, &index)?);
                let lags = open_loop::run_from(stream(kind), bed, &load, function, None).await?.all();
                let (all, p99) = match kind {
                    StreamKind::DynamoDb => (&mut streams, &mut p99[0]),
                    StreamKind::Kinesis => (&mut kinesis, &mut p99[1]),
                };
                *p99 = quantile_ms(&lags, 0.99);
                all.add(&lags).context("add up lags")?;
                bed.drop_indices().await?;
            }
            let [of_streams, of_kinesis] = p99;
            ratios.push(of_kinesis / of_streams);
        }
        let case = format!("{rate}/s, factor {factor}");
        for (way, lags) in [("streams", &streams), ("Kinesis", &kinesis)] {
            for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
                row.add(Figure::new(format!("{case}: {way} {quantile}"), quantile_ms(lags, share), "ms"));
            }
        }
        // Of the median pair: a p99 is as long as the engine's pauses, and these fall to one of the two.
        let ratio = Figure::new(format!("{case}: p99 over streams"), median(ratios), "ratio");
        row.add(ratio.bounded(Bound::AtMost(MOST_LATENCY)));
    }
    Ok(())
}
