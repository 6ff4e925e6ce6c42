//! B7: what one invocation takes, split into processor and engine, and what follows for large tables.

use std::time::Duration;

use anyhow::Result;
use driftless_capacity::{Prices, Setting, Timing, markdown, plans};
use driftless_harness::mapping::MemoryStream;

use crate::bed::Bed;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::lane::{Lane, median};
use crate::processes::processor_time;
use crate::race::{BATCH, changes_of};

const WARM_UP: usize = 200;
const RATES: [f64; 3] = [1_000.0, 40_000.0, 100_000.0];

/// Measures the row.
pub(crate) async fn run(bed: &Bed) -> Result<Row> {
    let (single, batches): (u64, u64) = bed.scale((5_000, 50), (1_500, 10));
    let index = bed.index("lane-time");
    let workload = format!("one lane: {single} INSERTs in batches of one, then {batches} batches of {BATCH}");
    let target = "a table for 1,000, 40,000 and 100,000 writes per second, with the formula and the limits that bind first: [capacity.md](capacity.md)";
    let mut row = Row::new(RowId::B7, "Capacity on paper", workload, target);
    let stream = MemoryStream::new("benchmark", changes::KEY);
    let mut lane = Lane::start(bed.subject.function(&index)).await?;
    let mut nothing = Lane::start(bed.subject.nothing()).await?;

    let records = changes::push(&stream, (0..single).map(|key| changes::put(key, 0, key))).await?;
    let (warm_up, counted) = records.split_at(WARM_UP.min(records.len() / 2));
    let mut idle = Vec::new();
    for record in warm_up {
        lane.deliver(std::slice::from_ref(record)).await?;
        idle.push(nothing.deliver(std::slice::from_ref(record)).await?);
    }
    let first = Spent::during(bed, counted.len(), async {
        let mut times = Vec::new();
        for record in counted {
            times.push(lane.deliver(std::slice::from_ref(record)).await?);
        }
        Ok(median(times))
    })
    .await?;
    let runtime_api = median(idle);

    lane.deliver(&changes::push(&stream, changes_of(1 << 40, 0)).await?).await?;
    let mut many = Vec::new();
    for batch in 0..batches {
        many.push(changes::push(&stream, changes_of((1 << 41) + batch * BATCH, 0)).await?);
    }
    let batch = Spent::during(bed, many.len(), async {
        let mut times = Vec::new();
        for records in &many {
            times.push(lane.deliver(records).await?);
        }
        Ok(median(times))
    })
    .await?;

    let further = (BATCH - 1) as f64;
    let waiting = |spent: &Spent| (spent.wall_ms - runtime_api.as_secs_f64() * 1_000.0 - spent.processor_ms).max(0.0);
    let timing = Timing {
        cpu_first_ms: first.processor_ms,
        cpu_further_ms: ((batch.processor_ms - first.processor_ms) / further).max(0.0),
        engine_first_ms: waiting(&first),
        engine_further_ms: ((waiting(&batch) - waiting(&first)) / further).max(0.0),
    };
    let values = [timing.cpu_first_ms, timing.cpu_further_ms, timing.engine_first_ms, timing.engine_further_ms];
    for (name, value) in Timing::FIGURES.into_iter().zip(values) {
        row.add(Figure::new(name, value, "ms"));
    }
    let loads: Vec<_> = RATES
        .into_iter()
        .map(|rate| {
            let setting = Setting { rate, average: rate, ..Setting::default() };
            let plans = plans(&setting, &timing, &Prices::PUBLISHED);
            (setting, plans)
        })
        .collect();
    let fitting = loads.iter().filter(|(_, plans)| plans.iter().any(|plan| plan.fits)).count();
    let fitting = Figure::new("loads of the table for which a plan fits", fitting as f64, "loads");
    row.add(fitting.must(Bound::AtLeast(RATES.len() as f64)));
    row.note(markdown(&loads));
    row.note("From the times of this run; in bold the smallest batch size that fits. `cargo local size` computes it for other loads.");
    Ok(row)
}

/// Per invocation.
struct Spent {
    wall_ms: f64,
    processor_ms: f64,
}

impl Spent {
    async fn during(bed: &Bed, invocations: usize, work: impl Future<Output = Result<Duration>>) -> Result<Self> {
        let before = processor_time(bed.subject.binary())?;
        let wall = work.await?;
        let processor = processor_time(bed.subject.binary())?.saturating_sub(before);
        Ok(Self {
            wall_ms: wall.as_secs_f64() * 1_000.0,
            processor_ms: processor.as_secs_f64() * 1_000.0 / invocations as f64,
        })
    }
}
