//! B2: the lag on a real stream, at the loads that a production team measured and published.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use driftless_display::chart::{Limit, LineChart, Series};
use driftless_harness::activity::{self, ActivityItems};
use driftless_harness::lag::Lag;
use driftless_harness::load::{self, Load, Meter};
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping, MappingConfig, Observe};
use driftless_harness::services::{dynamodb_client, streams_client};

use crate::bed::Bed;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::report::Drawing;

/// Changes per second, and the parallelization factor.
const LOADS: [(f64, usize); 4] = [(20.0, 1), (63.0, 1), (200.0, 1), (400.0, 4)];
/// Simulated overhead of Lambda per invocation, and the factor at which 200 changes per second must do.
const OVERHEADS: [(Duration, usize); 2] = [(Duration::from_millis(5), 2), (Duration::from_millis(10), 3)];
const OVERHEAD_RATE: f64 = 200.0;
const P50_MS: f64 = 200.0;
const P99_MS: f64 = 300.0;
const FRESH_MS: f64 = 1_000.0;
/// The p99 of the second half over that of the first.
const GROWTH: f64 = 1.5;
const DRAIN_LIMIT: Duration = Duration::from_secs(120);
/// Items per change per second.
const KEYS_PER_RATE: f64 = 30.0;
/// Of each of the two tenants: twice as many partition keys. With the demo's 24, a lane of three may get half of all changes.
const MEMBERS: u64 = 2_000;

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<(Row, Vec<Drawing>)> {
    let (seconds, overhead_seconds) = bed.scale((60.0, 20.0), (5.0, 3.0));
    let workload = format!(
        "a real table and its stream (the embedded DynamoDB), polled every 250 ms, batch 1, open loop, {} partition keys, {seconds} s per load; with simulated \
         invocation overhead {overhead_seconds} s at {OVERHEAD_RATE} changes per second",
        2 * MEMBERS
    );
    let target = "20, 63 and 200/s at factor 1 and 400/s at factor 4: p50 under 200 ms, p99 under 300 ms, no growth; with 5 ms of \
                  overhead per invocation 200/s keep p99 under 1 s at factor 2, with 10 ms at factor 3";
    let mut row = Row::new(RowId::B2, "Replication lag on a real stream", workload, target);
    let mut over_time = Vec::new();
    for (rate, factor) in LOADS {
        let name = format!("{rate}/s, factor {factor}");
        let lag = replicate(bed, rate, seconds, factor, Duration::ZERO).await?;
        let quantile = |share| lag.quantile_ms(share).unwrap_or(f64::NAN);
        row.add(Figure::new(format!("{name}: p50"), quantile(0.5), "ms").must(Bound::Under(P50_MS)));
        row.add(Figure::new(format!("{name}: p99"), quantile(0.99), "ms").must(Bound::Under(P99_MS)));
        let (first, second) = lag.quantile_of_halves_ms(0.99);
        let growth = second.unwrap_or(f64::NAN) / first.unwrap_or(f64::NAN);
        row.add(Figure::new(format!("{name}: growth"), growth, "ratio").must(Bound::Under(GROWTH)));
        over_time.push(Series { name, points: lag.over_time_ms(0.99) });
    }
    for (overhead, promised) in OVERHEADS {
        let mut smallest = f64::NAN;
        // The quick form only looks whether the promise is kept.
        for factor in bed.scale(1, promised)..=promised {
            let lag = replicate(bed, OVERHEAD_RATE, overhead_seconds, factor, overhead).await?;
            let p99 = lag.quantile_ms(0.99).unwrap_or(f64::NAN);
            row.add(Figure::new(format!("{overhead:?} of overhead, factor {factor}: p99"), p99, "ms"));
            if p99 < FRESH_MS {
                #[expect(clippy::cast_precision_loss, reason = "at most 10")]
                let found = factor as f64;
                smallest = found;
                break;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 10")]
        let bound = Bound::AtMost(promised as f64);
        let figure =
            Figure::new(format!("{overhead:?} of overhead: smallest factor with p99 under 1 s"), smallest, "lanes");
        row.add(figure.must(bound));
    }
    row.note("Latency counts from the writer's timestamp in the item to the moment when the function has reported the record as done.");
    row.note("A production team saw, on Lambda: 20/s, factor 1: under 1 s on average; 63/s, factor 1: over 10 s; 200/s, factor 10: up to 5 s.");
    let chart = LineChart {
        title: "B2: lag over time on a real stream, p99".to_owned(),
        x: "seconds".to_owned(),
        y: "lag, ms".to_owned(),
        series: over_time,
        limits: vec![Limit { name: "p99 under 300 ms".to_owned(), value: P99_MS }],
    };
    Ok((row, vec![Drawing::lines("b2-lag", chart)]))
}

/// One load, on a table and an index of its own.
async fn replicate(bed: &Bed, rate: f64, seconds: f64, factor: usize, overhead: Duration) -> Result<Arc<Lag>> {
    let name = bed.index("stream");
    let tables = dynamodb_client(bed.services.dynamodb_endpoint());
    activity::create_table(&tables, &name).await?;
    let streams = streams_client(bed.services.dynamodb_endpoint());
    let stream = DynamoDbStream::of_table(&tables, streams, &name).await?;
    let function = bed.subject.function(&name).env("PARTITION_KEY", activity::PARTITION_KEY);
    let config = MappingConfig {
        batch_size: 1,
        parallelization_factor: factor,
        report_batch_item_failures: true,
        invocation_overhead: overhead,
        ..MappingConfig::default()
    };
    let lag = Arc::new(Lag::default());
    let observer = Some(Arc::clone(&lag) as Arc<dyn Observe>);
    let mapping =
        EventSourceMapping::start_observed(config, Arc::new(stream), Arc::new(function), None, observer).await?;
    let items = Arc::new(ActivityItems::default().with_members(MEMBERS));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
    let keys = (rate * KEYS_PER_RATE) as u64;
    let load = Load { rate, seconds, keys, seed: bed.seed, ..Load::default() };
    let warm_up = Load { seconds: bed.scale(3.0, 1.0), rate: rate.min(100.0), ..load.clone() };
    let written = load::run(&warm_up, &tables, &name, Arc::clone(&items) as _, Arc::new(Meter::default())).await?;
    ensure!(written.failed == 0, "writes failed: {:?}", written.first_failure);
    mapping.wait_until_drained(DRAIN_LIMIT).await.context("warm the lanes up")?;
    lag.forget();
    let written = load::run(&load, &tables, &name, items, Arc::new(Meter::default())).await?;
    ensure!(written.failed == 0, "writes failed: {:?}", written.first_failure);
    mapping.wait_until_drained(DRAIN_LIMIT).await.context("the lanes do not keep up")?;
    mapping.shutdown().await;
    tables.delete_table().table_name(&name).send().await.context("delete the table")?;
    Ok(lag)
}
