//! B2: the lag on a real stream, at the loads that a production team measured and published.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::Client;
use driftless_display::chart::{Axis, Chart, Series};
use driftless_harness::activity::{self, ActivityItems};
use driftless_harness::function::FunctionConfig;
use driftless_harness::lag::Lag;
use driftless_harness::load::{self, Load, Meter};
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping, MappingConfig, Observe};
use driftless_harness::services::{dynamodb_client, streams_client};

use super::About;
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::open_loop::POLL_S;
use crate::report::Drawing;
use crate::test_bed::TestBed;

pub(crate) const ABOUT: About = About {
    number: "B2",
    name: "real-stream",
    title: "replication lag on a real stream",
    headline: "200/s, factor 1: p99",
    notes: include_str!("real_stream.md"),
};

/// Changes per second, and the parallelization factor.
const LOADS: [(f64, usize); 4] = [(20.0, 1), (63.0, 1), (200.0, 1), (400.0, 4)];
/// Simulated overhead of Lambda per invocation, and the factor that must be enough for 200 changes per second.
const OVERHEADS: [(Duration, usize); 2] = [(Duration::from_millis(5), 2), (Duration::from_millis(10), 3)];
const OVERHEAD_RATE: f64 = 200.0;
const P50_MS: f64 = 200.0;
const P99_MS: f64 = 300.0;
const FRESH_MS: f64 = 1_000.0;
/// Most that the p99 of the second half may be over that of the first.
const GROWTH: f64 = 1.5;
const DRAIN_LIMIT: Duration = Duration::from_secs(120);
/// Items per change per second.
const KEYS_PER_RATE: f64 = 30.0;
/// Members of each of the two tenants; there are twice as many partition keys.
/// With the demo's 24, a lane of three may get half of all changes.
const MEMBERS: u64 = 2_000;

/// A load on a table of its own.
struct StreamLoad {
    rate: f64,
    seconds: f64,
    factor: usize,
    overhead: Duration,
}

/// Measures all loads, with and without overhead.
pub(crate) async fn run(bed: &TestBed) -> Result<(Row, Vec<Drawing>)> {
    let (seconds, overhead_seconds) = bed.scale((60.0, 20.0), (5.0, 3.0));
    let workload = format!(
        "polls every 250 ms, batch size 1, open loop, {} partition keys, {seconds} s per load; \
         with overhead, {overhead_seconds} s at {OVERHEAD_RATE} per second",
        thousands((2 * MEMBERS) as f64)
    );
    let mut row = Row::new(RowId::RealStream, workload);
    let mut series = Vec::new();
    for (rate, factor) in LOADS {
        let name = format!("{rate}/s, factor {factor}");
        let lag = replicate(bed, &StreamLoad { rate, seconds, factor, overhead: Duration::ZERO }).await?;
        let quantile = |share| lag.quantile_ms(share).unwrap_or(f64::NAN);
        row.add(Figure::new(format!("{name}: p50"), quantile(0.5), "ms").bounded(Bound::Under(P50_MS)));
        row.add(Figure::new(format!("{name}: p99"), quantile(0.99), "ms").bounded(Bound::Under(P99_MS)));
        let (first, second) = lag.quantile_of_halves_ms(0.99);
        let growth = second.unwrap_or(f64::NAN) / first.unwrap_or(f64::NAN);
        row.add(Figure::new(format!("{name}: growth"), growth, "ratio").bounded(Bound::Under(GROWTH)));
        series.push(Series::new(name, p99_over_time(&lag)));
    }
    for (overhead, promised) in OVERHEADS {
        let name = format!("{} ms of overhead", overhead.as_millis());
        let mut smallest = f64::NAN;
        // The quick form only checks the promised factor.
        for factor in bed.scale(1, promised)..=promised {
            let load = StreamLoad { rate: OVERHEAD_RATE, seconds: overhead_seconds, factor, overhead };
            let lag = replicate(bed, &load).await?;
            let p99 = lag.quantile_ms(0.99).unwrap_or(f64::NAN);
            row.add(Figure::new(format!("{name}, factor {factor}: p99"), p99, "ms"));
            series.push(Series::new(format!("{name}, factor {factor}"), p99_over_time(&lag)).dashed());
            if p99 < FRESH_MS {
                smallest = lanes(factor);
                break;
            }
        }
        let figure = Figure::new(format!("{name}: smallest factor with p99 under 1 s"), smallest, "lanes");
        row.add(figure.bounded(Bound::AtMost(lanes(promised))));
    }
    let x = Axis::linear("seconds since the first write, at the middle of a window");
    let chart = Chart::new("B2 real-stream: lag over time, p99 of each window", x, Axis::log("lag of a change, s"))
        .all_series(series)
        .reference("Lambda's poll: 0.25 s", POLL_S)
        .limit("limit without overhead: 0.3 s", P99_MS / 1_000.0);
    Ok((row, vec![Drawing { name: "b2-lag", chart }]))
}

#[expect(clippy::cast_precision_loss, reason = "at most 10")]
fn lanes(factor: usize) -> f64 {
    factor as f64
}

/// Seconds, because 29 s and a quarter of one share the picture.
fn p99_over_time(lag: &Lag) -> Vec<(f64, f64)> {
    lag.windows_ms(0.99).into_iter().map(|(at, ms)| (at, ms / 1_000.0)).collect()
}

/// Runs one load on a table and an index of its own.
async fn replicate(bed: &TestBed, stream_load: &StreamLoad) -> Result<Arc<Lag>> {
    let StreamLoad { rate, seconds, factor, overhead } = *stream_load;
    let name = bed.index("stream");
    let function = bed.function(&name);
    let replication = Replication::start(bed, name, function, factor, overhead).await?;
    replication.warm_up(rate).await?;
    replication.load(rate, seconds).await?;
    replication.end().await
}

/// A table whose stream goes to an index.
pub(super) struct Replication<'b> {
    bed: &'b TestBed,
    pub(super) tables: Client,
    pub(super) table: String,
    mapping: EventSourceMapping,
    lag: Arc<Lag>,
    items: Arc<ActivityItems>,
}

impl<'b> Replication<'b> {
    /// Creates the table, and starts the lanes.
    pub(super) async fn start(
        bed: &'b TestBed,
        table: String,
        function: FunctionConfig,
        factor: usize,
        overhead: Duration,
    ) -> Result<Self> {
        let tables = dynamodb_client(bed.services.dynamodb_endpoint());
        activity::create_table(&tables, &table).await?;
        let streams = streams_client(bed.services.dynamodb_endpoint());
        let stream = DynamoDbStream::of_table(&tables, streams, &table).await?;
        let function = function.env("PARTITION_KEY", activity::PARTITION_KEY);
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
        Ok(Self { bed, tables, table, mapping, lag, items })
    }

    /// Writes until the lanes are warm, and forgets their lag.
    pub(super) async fn warm_up(&self, rate: f64) -> Result<()> {
        let load = Load { seconds: self.bed.scale(3.0, 1.0), rate: rate.min(100.0), ..self.load_of(rate) };
        self.write(&load).await?;
        self.mapping.wait_until_drained(DRAIN_LIMIT).await.context("warm the lanes up")?;
        self.lag.forget();
        Ok(())
    }

    /// Writes changes, and waits until the lanes have delivered them.
    pub(super) async fn load(&self, rate: f64, seconds: f64) -> Result<()> {
        self.write(&Load { seconds, ..self.load_of(rate) }).await?;
        self.mapping.wait_until_drained(DRAIN_LIMIT).await.context("the lanes do not keep up")
    }

    /// Stops the lanes, deletes the table, and returns the lag of the load.
    pub(super) async fn end(self) -> Result<Arc<Lag>> {
        self.mapping.shutdown().await;
        self.tables.delete_table().table_name(&self.table).send().await.context("delete the table")?;
        Ok(self.lag)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
    fn load_of(&self, rate: f64) -> Load {
        Load { rate, keys: (rate * KEYS_PER_RATE) as u64, seed: self.bed.seed, ..Load::default() }
    }

    async fn write(&self, load: &Load) -> Result<()> {
        let items = Arc::clone(&self.items) as _;
        let written = load::run(load, &self.tables, &self.table, items, Arc::new(Meter::default())).await?;
        ensure!(written.failed == 0, "writes failed: {:?}", written.first_failure);
        Ok(())
    }
}
