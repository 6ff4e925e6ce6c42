//! Lag of one shard at its write limit, as in B3.

use std::sync::Arc;

use anyhow::{Context, Result};
use driftless_harness::mapping::stream::StreamKind;

use super::pair::{MOST_LATENCY, function, stream};
use crate::figures::{Bound, Figure, Row};
use crate::open_loop::{self, OpenLoop};
use crate::rows::shard_limit::LOADS;
use crate::test_bed::TestBed;
use crate::timed_process::{histogram, quantile_ms};

/// Order in which the ways take turns, so that a machine that gets slower or faster hits both.
static TURNS: [StreamKind; 4] = [StreamKind::DynamoDb, StreamKind::Kinesis, StreamKind::Kinesis, StreamKind::DynamoDb];

/// Seconds of each load through either stream.
pub(super) fn seconds(bed: &TestBed) -> f64 {
    turn_seconds(bed) * turns(bed).len() as f64 / 2.0
}

fn turn_seconds(bed: &TestBed) -> f64 {
    bed.scale(20.0, 2.0)
}

fn turns(bed: &TestBed) -> &'static [StreamKind] {
    bed.scale(&TURNS[..], &TURNS[..2])
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
        for &kind in turns(bed) {
            let index = bed.index("shard");
            let function = Arc::new(function(bed, kind, &index)?);
            let lags = open_loop::run_from(stream(kind), bed, &load, function, None).await?;
            let all = match kind {
                StreamKind::DynamoDb => &mut streams,
                StreamKind::Kinesis => &mut kinesis,
            };
            all.add(lags.all()).context("add up lags")?;
            bed.drop_indices().await?;
        }
        let case = format!("{rate}/s, factor {factor}");
        for (way, lags) in [("streams", &streams), ("Kinesis", &kinesis)] {
            for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
                row.add(Figure::new(format!("{case}: {way} {quantile}"), quantile_ms(lags, share), "ms"));
            }
        }
        let ratio = quantile_ms(&kinesis, 0.99) / quantile_ms(&streams, 0.99);
        row.add(Figure::new(format!("{case}: p99 over streams"), ratio, "ratio").bounded(Bound::AtMost(MOST_LATENCY)));
    }
    Ok(())
}
