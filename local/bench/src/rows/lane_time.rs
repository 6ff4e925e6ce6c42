//! B7: the time of one invocation, split into processor and waiting, and the capacity that follows for large tables.

use std::time::Duration;

use anyhow::Result;
use driftless_capacity::{Plan, Prices, Scenario, Timing, markdown, plans};
use driftless_harness::mapping::MemoryStream;
use driftless_harness::mapping::record::StreamRecord;

use super::About;
use crate::changes;
use crate::comparison::{BATCH, changes_of};
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::processes::processor_time;
use crate::test_bed::TestBed;
use crate::timed_process::{TimedProcess, median};

pub(crate) const ABOUT: About = About {
    number: "B7",
    name: "lane-time",
    title: "time of one invocation, and capacity",
    headline: "loads of the table for which a plan fits",
    notes: include_str!("lane_time.md"),
};

const WARM_UP: usize = 200;
const RATES: [f64; 3] = [1_000.0, 40_000.0, 100_000.0];

/// Measures single records and batches.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let (single, batches): (u64, u64) = bed.scale((5_000, 50), (1_500, 10));
    let workload = format!(
        "one lane, {} INSERTs in batches of one, then {batches} batches of {}",
        thousands(single as f64),
        thousands(BATCH as f64)
    );
    let mut row = Row::new(RowId::LaneTime, workload);
    let timing = measure(bed, single, batches).await?;
    let values = [timing.cpu_first_ms, timing.cpu_further_ms, timing.engine_first_ms, timing.engine_further_ms];
    for (name, value) in Timing::FIGURES.into_iter().zip(values) {
        row.add(Figure::new(name, value, "ms"));
    }
    let fitting = loads(&timing).iter().filter(|(_, plans)| plans.iter().any(|plan| plan.fits)).count();
    row.add(Figure::new(ABOUT.headline, fitting as f64, "loads").bounded(Bound::AtLeast(RATES.len() as f64)));
    Ok(row)
}

/// Markdown table of the capacity that follows from a row's figures, if it has them.
pub(crate) fn capacity(row: &Row) -> Option<String> {
    let value = |name: &str| row.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value);
    let [cpu_first_ms, cpu_further_ms, engine_first_ms, engine_further_ms] = Timing::FIGURES.map(value);
    let timing = Timing {
        cpu_first_ms: cpu_first_ms?,
        cpu_further_ms: cpu_further_ms?,
        engine_first_ms: engine_first_ms?,
        engine_further_ms: engine_further_ms?,
    };
    Some(markdown(&loads(&timing)))
}

fn loads(timing: &Timing) -> Vec<(Scenario, Vec<Plan>)> {
    let scenarios = RATES.map(|rate| Scenario { rate, average: rate, ..Scenario::default() });
    let planned = scenarios.into_iter().map(|scenario| {
        let plans = plans(&scenario, timing, &Prices::PUBLISHED);
        (scenario, plans)
    });
    planned.collect()
}

async fn measure(bed: &TestBed, single: u64, batches: u64) -> Result<Timing> {
    let stream = MemoryStream::new("benchmark", changes::KEY);
    let mut lane = TimedProcess::start(bed.function(&bed.index("lane-time"))).await?;
    let mut no_op = TimedProcess::start(bed.no_op()).await?;

    let records = changes::push(&stream, (0..single).map(|key| changes::put(key, 0, key))).await?;
    let (warm_up, counted) = records.split_at(WARM_UP.min(records.len() / 2));
    let mut no_op_times = Vec::new();
    for record in warm_up {
        lane.deliver(std::slice::from_ref(record)).await?;
        no_op_times.push(no_op.deliver(std::slice::from_ref(record)).await?);
    }
    let first = InvocationTime::by(bed, &mut lane, counted.chunks(1)).await?;
    let runtime_api_ms = median(no_op_times).as_secs_f64() * 1_000.0;

    lane.deliver(&changes::push(&stream, changes_of(1 << 40, 0)).await?).await?;
    let mut many = Vec::new();
    for batch in 0..batches {
        many.push(changes::push(&stream, changes_of((1 << 41) + batch * BATCH, 0)).await?);
    }
    let batch = InvocationTime::by(bed, &mut lane, many.iter().map(Vec::as_slice)).await?;

    let further = (BATCH - 1) as f64;
    let waiting = |spent: &InvocationTime| (spent.wall_ms - runtime_api_ms - spent.processor_ms).max(0.0);
    Ok(Timing {
        cpu_first_ms: first.processor_ms,
        cpu_further_ms: ((batch.processor_ms - first.processor_ms) / further).max(0.0),
        engine_first_ms: waiting(&first),
        engine_further_ms: ((waiting(&batch) - waiting(&first)) / further).max(0.0),
    })
}

/// Time of one invocation.
struct InvocationTime {
    wall_ms: f64,
    processor_ms: f64,
}

impl InvocationTime {
    /// Delivers these batches: the median of their wall times, and the mean of their processor times.
    async fn by(
        bed: &TestBed,
        lane: &mut TimedProcess,
        batches: impl Iterator<Item = &[StreamRecord]>,
    ) -> Result<Self> {
        let before = processor_time(bed.subject.binary())?;
        let mut times: Vec<Duration> = Vec::new();
        for records in batches {
            times.push(lane.deliver(records).await?);
        }
        let processor = processor_time(bed.subject.binary())?.saturating_sub(before);
        let invocations = times.len() as f64;
        Ok(Self {
            wall_ms: median(times).as_secs_f64() * 1_000.0,
            processor_ms: processor.as_secs_f64() * 1_000.0 / invocations,
        })
    }
}
