//! B11: the first load of a table, beside plain bulk requests of the same documents, and beside a stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use driftless_harness::lag::Lag;
use driftless_harness::load::{self, Load, Meter};
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping, MappingConfig, Observe, StartingPosition};
use driftless_harness::services::streams_client;
use serde_json::{Value, json};

use super::About;
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::loaded_table::LoadedTable;
use crate::slices::{MOST_MB, SliceRun};
use crate::test_bed::TestBed;
use crate::timed_process::median;

pub(crate) const ABOUT: About = About {
    number: "B11",
    name: "first-load",
    title: "first load",
    headline: "one process over plain bulks",
    notes: include_str!("first_load.md"),
};

/// Documents of one plain bulk request. A backfill sends half as many in one, and two at once.
const BATCH: usize = 1_000;
const SEGMENTS: u32 = 4;
/// Turns of plain bulks and of a load. The medians count, so that one pause of the engine decides nothing.
const TURNS: usize = 3;
/// Share of the rate of plain bulks that one process must reach.
const LEAST_RATE: f64 = 0.8;
/// Changes per second while a table is loaded.
const RATE: f64 = 200.0;
/// Keys of these changes, all of them of items that the load writes, too.
const CHANGED_KEYS: u64 = 6_000;
/// Items for each second of changes: a load is slower.
const ITEMS_OF_A_SECOND: f64 = 25_000.0;
/// Most that the stream's p99 beside the load may be over that without one.
const MOST_LAG: f64 = 1.5;
/// Read budget of a load that goes on beside a stream.
const BUDGET: f64 = 250.0;
const DRAIN_LIMIT: Duration = Duration::from_secs(300);

/// Measures loads alone, and then beside a stream.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let table = bed.loaded_table().await?;
    // A load at full speed must take longer than the changes beside it.
    let seconds = (table.items as f64 / ITEMS_OF_A_SECOND).max(4.0);
    let workload = format!(
        "{} items of half a kilobyte in the embedded DynamoDB; then {RATE} changes per second for {seconds} s, \
         batch size 100, factor 1",
        thousands(table.items as f64)
    );
    let mut row = Row::new(RowId::FirstLoad, workload);
    let one = alone(bed, table, &mut row).await?;
    row.add(Figure::new("one process: peak resident memory", one.peak_mb, "MB").bounded(Bound::Under(MOST_MB)));
    beside_a_stream(bed, table, seconds, &mut row).await?;
    row.add(Figure::new("filling the table", table.fill_rate, "items/s"));
    Ok(row)
}

/// Loads with one process, in turn with plain bulks, and then with several. Each begins with an empty index.
async fn alone(bed: &TestBed, table: &LoadedTable, row: &mut Row) -> Result<SliceRun> {
    let (mut plain, mut one) = (Vec::new(), Vec::new());
    // In the order in which a load meets them. Ids that rise are all above those of older segments, and OpenSearch
    // finds out sooner that it has none of them.
    let mut keys = table.scan(true).await?;
    let bulks = table.create_bulks(&keys, BATCH)?;
    for turn in 0..TURNS {
        // Each is first in turn, so that a machine that gets slower or faster hits both.
        for is_plain in [turn % 2 == 0, turn % 2 != 0] {
            if is_plain {
                plain.push(table.items as f64 / plain_bulks(bed, &bulks).await?.as_secs_f64());
            } else {
                one.push(load(bed, table, 1).await?);
            }
            bed.drop_indices().await?;
        }
    }
    let four = load(bed, table, SEGMENTS).await?;
    bed.drop_indices().await?;
    drop(bulks);
    keys.sort_unstable();
    let rising = plain_bulks(bed, &table.create_bulks(&keys, BATCH)?).await?;
    bed.drop_indices().await?;
    let scan = Instant::now();
    table.scan(false).await?;
    let scan = table.items as f64 / scan.elapsed().as_secs_f64();
    let rates: Vec<f64> = one.iter().map(|run| run.rate("items")).collect();
    let ratios = rates.iter().zip(&plain).map(|(one, plain)| one / plain).collect();
    row.add_turns("one process over plain bulks", ratios, LEAST_RATE);
    let (rate, plain) = (median(rates), median(plain));
    row.add(Figure::new("four processes over plain bulks", four.rate("items") / plain, "ratio"));
    row.add(Figure::new("one process", rate, "items/s"));
    row.add(Figure::new("four processes", four.rate("items"), "items/s"));
    row.add(Figure::new("plain bulks", plain, "items/s"));
    row.add(Figure::new("plain bulks, in the order of ids", table.items as f64 / rising.as_secs_f64(), "items/s"));
    row.add(Figure::new("bare scan", scan, "items/s"));
    one.into_iter().max_by(|one, other| one.peak_mb.total_cmp(&other.peak_mb)).context("no turn")
}

async fn load(bed: &TestBed, table: &LoadedTable, segments: u32) -> Result<SliceRun> {
    let index = bed.index("first-load");
    let loaded = SliceRun::segments(&bed.backfill(table, &index)?, &json!({}), segments).await?;
    ensure!(loaded.count("written") == loaded.count("items"), "not all items were written: {:?}", loaded.counts);
    bed.expect_visible(&index, table.items).await?;
    Ok(loaded)
}

/// Creates documents by plain bulk requests over one connection, one after the other. Nothing is done between two
/// requests: OpenSearch would merge segments meanwhile, in time that nobody counts.
async fn plain_bulks(bed: &TestBed, bulks: &[Bytes]) -> Result<Duration> {
    let mut client = bed.baseline("first-load").await?;
    let began = Instant::now();
    for bulk in bulks {
        client.bulk(bulk.clone()).await?;
    }
    Ok(began.elapsed())
}

/// Measures the stream's lag without a load, beside one at full speed, and beside one with a read budget.
async fn beside_a_stream(bed: &TestBed, table: &LoadedTable, seconds: f64, row: &mut Row) -> Result<()> {
    table.enable_stream().await?;
    let without = replicate(bed, table, seconds, None).await?;
    // Within a budget, half of the table takes longer than the changes do.
    let budget = json!({"rcu_per_second": BUDGET, "segment": 0, "segments": 2});
    let cases = [("full speed", json!({})), ("250 read units per second", budget)];
    row.add(Figure::new("stream without a load: p50", without.p50_ms, "ms"));
    row.add(Figure::new("stream without a load: p99", without.p99_ms, "ms"));
    for (name, request) in cases {
        let beside = replicate(bed, table, seconds, Some(request)).await?;
        let ratio = Figure::new(
            format!("{name}: stream's p99 over that without a load"),
            beside.p99_ms / without.p99_ms,
            "ratio",
        );
        row.add(ratio.bounded(Bound::AtMost(MOST_LAG)));
        row.add(Figure::new(format!("{name}: stream's p50"), beside.p50_ms, "ms"));
        row.add(Figure::new(format!("{name}: stream's p99"), beside.p99_ms, "ms"));
        let Some(loaded) = beside.loaded else { continue };
        row.add(Figure::new(format!("{name}: load"), loaded.rate("items"), "items/s"));
        let differences = beside.differences.context("compare after a load")?;
        row.add(Figure::new(format!("{name}: differences afterwards"), differences, "").bounded(Bound::AtMost(0.0)));
    }
    Ok(())
}

/// Lag of a stream, and the load beside it.
struct StreamLag {
    p50_ms: f64,
    p99_ms: f64,
    loaded: Option<SliceRun>,
    differences: Option<f64>,
}

/// Replicates changes into an index of its own, and loads the table into it meanwhile if there is a request.
/// Lag counts for changes that were written while the load ran.
async fn replicate(bed: &TestBed, table: &LoadedTable, seconds: f64, request: Option<Value>) -> Result<StreamLag> {
    let index = bed.index("first-load-stream");
    let streams = streams_client(bed.services.dynamodb_endpoint());
    let stream = DynamoDbStream::of_table(&table.client, streams, &table.name).await?;
    let config = MappingConfig {
        batch_size: 100,
        report_batch_item_failures: true,
        starting_position: StartingPosition::Latest,
        ..MappingConfig::default()
    };
    let lag = Arc::new(Lag::default());
    let observer = Some(Arc::clone(&lag) as Arc<dyn Observe>);
    let function = Arc::new(bed.function(&index));
    let mapping = EventSourceMapping::start_observed(config, Arc::new(stream), function, None, observer).await?;
    let load = Load { rate: RATE, seconds, keys: CHANGED_KEYS, seed: bed.seed, ..Load::default() };
    write(table, &Load { seconds: bed.scale(3.0, 1.0), ..load.clone() }).await?;
    mapping.wait_until_drained(DRAIN_LIMIT).await.context("warm the lane up")?;
    lag.forget();
    let backfill = bed.backfill(table, &index)?;
    let loads = async {
        match &request {
            Some(request) => SliceRun::segments(&backfill, request, 1).await.map(Some),
            None => Ok(None),
        }
    };
    let (loaded, written) = tokio::join!(loads, write(table, &load));
    let (loaded, ()) = (loaded?, written?);
    mapping.wait_until_drained(DRAIN_LIMIT).await.context("the lane does not keep up")?;
    mapping.shutdown().await;
    let differences = match &loaded {
        Some(loaded) => {
            if !bed.quick {
                ensure!(loaded.took.as_secs_f64() > seconds, "the load ended before the changes: take more items");
            }
            let mut compare = json!({"settle_ms": 1_000});
            for member in ["segment", "segments"] {
                if let Some(value) = request.as_ref().and_then(|request| request.get(member)) {
                    compare[member] = value.clone();
                }
            }
            let verified = SliceRun::segments(&bed.verify(table, &index)?, &compare, 1).await?;
            let kinds = ["missing", "stale", "different", "orphaned", "tombstone_where_item_lives"];
            Some(kinds.iter().map(|kind| verified.count(kind)).sum())
        }
        None => None,
    };
    bed.drop_indices().await?;
    let quantile = |share| lag.quantile_ms(share).unwrap_or(f64::NAN);
    Ok(StreamLag { p50_ms: quantile(0.5), p99_ms: quantile(0.99), loaded, differences })
}

async fn write(table: &LoadedTable, load: &Load) -> Result<()> {
    let items = Arc::new(table.makes.clone());
    let written = load::run(load, &table.client, &table.name, items as _, Arc::new(Meter::default())).await?;
    ensure!(written.failed == 0, "writes failed: {:?}", written.first_failure);
    Ok(())
}
