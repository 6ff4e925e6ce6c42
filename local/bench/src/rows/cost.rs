//! B13: the cost of a million changes on AWS, from measured times and bytes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use driftless_capacity::{Cost, Prices, Scenario};
use driftless_harness::mapping::MemoryStream;
use driftless_harness::mapping::record::StreamRecord;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::About;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::processes::processor_time;
use crate::test_bed::TestBed;
use crate::timed_process::{TimedProcess, median};

pub(crate) const ABOUT: About = About {
    number: "B13",
    name: "cost",
    title: "cost on AWS",
    headline: "batch 1: a million changes",
    notes: include_str!("cost.md"),
};

const MILLION: f64 = 1e6;
/// Invocations per second of a lane while its log bytes are counted; a busier one logs less per invocation.
const RATE: u32 = 20;
/// Longer than a process waits with its metrics if it is invoked so seldom.
const APART: Duration = Duration::from_millis(1_100);
/// Records per invocation, and timed invocations of the whole run and of the quick one.
const BATCHES: [(u64, u64, u64); 3] = [(1, 3_000, 600), (10, 600, 150), (100, 150, 40)];
/// Lambda's own lines of a successful invocation in text format; in JSON format of level WARN there are none.
const PLATFORM: &str = "START RequestId: 8fc6f963-411b-48b5-8483-a32130c0f45d Version: $LATEST\n\
    END RequestId: 8fc6f963-411b-48b5-8483-a32130c0f45d\n\
    REPORT RequestId: 8fc6f963-411b-48b5-8483-a32130c0f45d\tDuration: 3.21 ms\tBilled Duration: 4 ms\tMemory Size: 256 MB\tMax Memory Used: 25 MB\t\n";
/// US dollars to send, receive and delete a million dead letters of up to 64 KB: <https://aws.amazon.com/sqs/pricing/>.
const SQS: f64 = 3.0 * 0.40;

/// Time and log bytes of one invocation.
struct InvocationUse {
    /// Time that Lambda would bill, less rounding.
    work_ms: f64,
    log_bytes: f64,
}

/// Measures all batch sizes, and adds their costs.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let scenario = Scenario::default();
    let workload = format!(
        "one lane, INSERTs in batches of 1, 10 and 100; times back to back, logs at {RATE} invocations per second; {} MB",
        scenario.memory_mb
    );
    let mut row = Row::new(RowId::Cost, workload);
    let mut spent_by_batch = Vec::new();
    for (batch, whole, quick) in BATCHES {
        let spent = measure(bed, &scenario, batch, bed.scale(whole, quick)).await?;
        add_figures(&mut row, &scenario, batch, &spent);
        spent_by_batch.push((batch, spent));
    }
    let (first, larger) = spent_by_batch.split_first().context("find the smallest batch")?;
    for other in larger {
        add_comparison(&mut row, &scenario, first, other);
    }
    let alone = logged(bed, 1, 4, APART).await?;
    let as_it_was = alone + PLATFORM.len() as f64;
    let logs = |bytes: f64| Prices::PUBLISHED.charge(0.0, 0.0, MILLION * bytes).logs;
    row.add(Figure::new("log bytes per invocation, a second or more apart", alone, "bytes"));
    row.add(Figure::new("logs of a million changes, a second or more apart", logs(alone), "USD"));
    row.add(Figure::new("Lambda's own lines per invocation, switched off", PLATFORM.len() as f64, "bytes"));
    row.add(Figure::new("logs of a million changes, with Lambda's own lines too", logs(as_it_was), "USD"));
    row.add(Figure::new("SQS, for a million dead letters", SQS, "USD"));
    Ok(row)
}

async fn measure(bed: &TestBed, scenario: &Scenario, batch: u64, invocations: u64) -> Result<InvocationUse> {
    let mut lane = TimedProcess::start(bed.function(&bed.index("cost"))).await?;
    let mut no_op = TimedProcess::start(bed.no_op()).await?;
    let batches = batches(batch, invocations + invocations / 4).await?;
    let (warm_up, counted) = batches.split_at(batches.len() / 5);
    let mut no_op_times = Vec::new();
    for records in warm_up {
        lane.deliver(records).await?;
        no_op_times.push(no_op.deliver(records).await?);
    }
    let before = processor_time(bed.subject.binary())?;
    let mut times = Vec::new();
    for records in counted {
        times.push(lane.deliver(records).await?);
    }
    let spent = processor_time(bed.subject.binary())?.saturating_sub(before);
    lane.end().await;
    let cpu_ms = spent.as_secs_f64() * 1_000.0 / counted.len() as f64;
    let wall_ms = median(times).saturating_sub(median(no_op_times)).as_secs_f64() * 1_000.0;
    let work_ms = scenario.work_ms(cpu_ms, (wall_ms - cpu_ms).max(0.0), batch as f64);
    let seconds = bed.scale(20, 6);
    let log_bytes = logged(bed, batch, seconds * u64::from(RATE), Duration::from_secs(1) / RATE).await?;
    Ok(InvocationUse { work_ms, log_bytes })
}

/// Bytes of all output per invocation, with one invocation per period; the process's end counts.
async fn logged(bed: &TestBed, batch: u64, invocations: u64, period: Duration) -> Result<f64> {
    let folder = tempfile::tempdir().context("create a folder for logs")?;
    let log = folder.path().join("log");
    let mut config = bed.function(&bed.index("cost-logs"));
    config.log_file = Some(log.clone());
    let mut lane = TimedProcess::start(config).await?;
    let batches = batches(batch, invocations).await?;
    // The first one creates the index; the times of the others count from its end.
    let (first, others) = batches.split_first().context("find a first batch")?;
    lane.deliver(first).await?;
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for records in others {
        ticks.tick().await;
        lane.deliver(records).await?;
    }
    lane.end().await;
    Ok(length(&log)? / invocations as f64)
}

fn length(log: &Path) -> Result<f64> {
    Ok(fs::metadata(log).context("read the length of the log")?.len() as f64)
}

async fn batches(batch: u64, count: u64) -> Result<Vec<Vec<StreamRecord>>> {
    let stream = MemoryStream::new("benchmark", changes::KEY);
    let mut batches = Vec::new();
    for nth in 0..count {
        let keys = nth * batch..(nth + 1) * batch;
        batches.push(changes::push(&stream, keys.map(|key| changes::put(key, 0, key))).await?);
    }
    Ok(batches)
}

/// Cost of a million changes.
fn cost_of_million(scenario: &Scenario, batch: u64, spent: &InvocationUse) -> Cost {
    let invocations = MILLION / batch as f64;
    let gb_seconds = invocations * spent.work_ms.ceil() / 1_000.0 * scenario.memory_mb as f64 / 1_024.0;
    Prices::PUBLISHED.charge(invocations, gb_seconds, invocations * spent.log_bytes)
}

/// Adds what the larger of two batches saves, and how much later its last change is written.
fn add_comparison(row: &mut Row, scenario: &Scenario, first: &(u64, InvocationUse), other: &(u64, InvocationUse)) {
    let total = |(batch, spent): &(u64, InvocationUse)| cost_of_million(scenario, *batch, spent).total();
    let name = |what: &str| format!("batch {} beside batch {}, {what}", other.0, first.0);
    row.add(Figure::new(name("cost"), total(other) / total(first), "ratio"));
    row.add(Figure::new(name("time added to an invocation"), other.1.work_ms - first.1.work_ms, "ms"));
}

/// Adds the cost of a million changes.
fn add_figures(row: &mut Row, scenario: &Scenario, batch: u64, spent: &InvocationUse) {
    let cost = cost_of_million(scenario, batch, spent);
    let (total, share) = match batch {
        1 => (Some(0.25), Some(0.2)),
        100 => (Some(0.01), None),
        _ => (None, None),
    };
    let bound = |figure: Figure, most: Option<f64>| match most {
        Some(most) => figure.bounded(Bound::AtMost(most)),
        None => figure,
    };
    let name = |what: &str| format!("batch {batch}: {what}");
    row.add(bound(Figure::new(name("a million changes"), cost.total(), "USD"), total));
    row.add(Figure::new(name("requests"), cost.requests, "USD"));
    row.add(Figure::new(name("GB-seconds"), cost.duration, "USD"));
    row.add(Figure::new(name("logs"), cost.logs, "USD"));
    row.add(bound(Figure::new(name("share of logs"), cost.logs / cost.total(), "ratio"), share));
    row.add(Figure::new(name("time of an invocation"), spent.work_ms, "ms"));
    row.add(Figure::new(name("log bytes per invocation"), spent.log_bytes, "bytes"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::BenchReport;

    #[test]
    fn the_note_names_the_prices_that_the_row_computes_with() {
        let of = |requests, gb_seconds, bytes| Prices::PUBLISHED.charge(requests, gb_seconds, bytes);
        let prices = [
            format!("{:.2} USD per million requests; Lambda", of(MILLION, 0.0, 0.0).requests),
            format!("{:.10} USD per GB-second on arm64", of(0.0, 1.0, 0.0).duration),
            format!("{:.2} USD per GB of logs", of(0.0, 0.0, 1e9).logs),
            format!("{:.2} USD per million requests to SQS", SQS / 3.0),
        ];
        for price in prices {
            assert!(ABOUT.notes.contains(&price), "local/bench/src/rows/cost.md needs: {price}");
        }
    }

    #[test]
    fn the_runbook_tells_the_measured_cost() {
        let report: BenchReport =
            serde_json::from_str(include_str!("../../../../docs/benchmark/figures.json")).unwrap();
        let row = report.rows.iter().find(|row| row.id == RowId::Cost).unwrap();
        let line = include_str!("../../../../docs/runbook.md")
            .lines()
            .find(|line| line.starts_with("| a million changes, "))
            .unwrap();
        let told: Vec<f64> = line.split([' ', ',', ':']).filter_map(|word| word.parse().ok()).collect();
        let (batches, told) = told.split_at(BATCHES.len());
        assert_eq!(batches, BATCHES.map(|(batch, ..)| batch as f64), "{line}");
        for (&batch, &told) in batches.iter().zip(told) {
            let name = format!("batch {batch}: a million changes");
            let measured = row.figures.iter().find(|figure| figure.name == name).unwrap().value;
            assert!((told / measured - 1.0).abs() < 0.2, "docs/runbook.md says {told}, and {name} cost {measured}");
        }
    }
}
