//! B10: time from a write until a search finds it, at explicit refresh intervals, and what they cost the engine.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use driftless_harness::activity::PARTITION_KEY;
use hdrhistogram::Histogram;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep};

use super::About;
use super::real_stream::Replication;
use crate::baseline::BaselineClient;
use crate::figures::{Bound, Figure, Row, RowId};
use crate::processes::processor_time_of;
use crate::test_bed::TestBed;
use crate::timed_process::{histogram, micros, quantile_ms};

pub(crate) const ABOUT: About = About {
    number: "B10",
    name: "searchable",
    title: "from a write to the search that finds it",
    headline: "refresh every 1s: to searchable, p99",
    notes: include_str!("searchable.md"),
};

/// Refresh intervals, with the bound of the p99 in milliseconds.
const INTERVALS: [(&str, f64); 3] = [("1s", 1_500.0), ("200ms", 600.0), ("100ms", 450.0)];
const RATE: f64 = 200.0;
/// Time between two probes. It shares no factor with the intervals' seconds, so that probes come at all phases.
const PROBE_EVERY: Duration = Duration::from_millis(103);
/// Pause between two searches for probes.
const POLL: Duration = Duration::from_millis(20);
/// Longest wait for a probe.
const FIND_LIMIT: Duration = Duration::from_secs(20);
const PROBE: &str = "probe";

/// Measures all refresh intervals in turn.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let seconds = bed.scale(60.0, 6.0);
    let workload = format!(
        "{RATE} changes per second for {seconds} s, factor 1, batch size 1, polls of the stream every 250 ms; a probe \
         every {} ms",
        PROBE_EVERY.as_millis()
    );
    let mut row = Row::new(RowId::Searchable, workload);
    for (interval, bound_ms) in INTERVALS {
        let measured = measure(bed, interval, seconds).await.with_context(|| format!("refresh every {interval}"))?;
        let name = |quantity: &str| format!("refresh every {interval}: {quantity}");
        row.add(Figure::new(name("to searchable, p50"), quantile_ms(&measured.found, 0.5), "ms"));
        let p99 = Figure::new(name("to searchable, p99"), quantile_ms(&measured.found, 0.99), "ms");
        row.add(p99.bounded(Bound::Under(bound_ms)));
        row.add(Figure::new(name("acknowledged, p50"), measured.acknowledged_ms[0], "ms"));
        row.add(Figure::new(name("acknowledged, p99"), measured.acknowledged_ms[1], "ms"));
        row.add(Figure::new(name("engine's processor time"), measured.processors, "processors"));
    }
    Ok(row)
}

/// Figures of one interval.
struct Measured {
    found: Histogram<u64>,
    /// Lag until the acknowledgement of the changes beside the probes: p50 and p99.
    acknowledged_ms: [f64; 2],
    /// Processors that the engine took on average.
    processors: f64,
}

/// Probes that no search has found yet, with the time at which each should have been written.
#[derive(Default)]
struct Probes(Mutex<BTreeMap<String, Instant>>);

impl Probes {
    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn measure(bed: &TestBed, interval: &str, seconds: f64) -> Result<Measured> {
    let table = bed.index("searchable");
    let function = bed.function(&table).env("REFRESH_INTERVAL", interval);
    let replication = Replication::start(bed, table.clone(), function, 1, Duration::ZERO).await?;
    replication.warm_up(RATE).await?;
    let probes = Probes::default();
    let mut found = histogram();
    let engine = match bed.services.opensearch() {
        Some(engine) => engine.pid().await,
        None => None,
    };
    let (started, before) = (Instant::now(), engine.and_then(processor_time_of));
    let end = started + Duration::from_secs_f64(seconds);
    let load = async {
        replication.load(RATE, seconds).await?;
        let spent = engine.and_then(processor_time_of).zip(before).map(|(after, before)| after.saturating_sub(before));
        anyhow::Ok(spent.map_or(f64::NAN, |spent| spent.as_secs_f64() / started.elapsed().as_secs_f64()))
    };
    let write = write_probes(&replication, &probes, end);
    let search = find_probes(bed, &table, &probes, end, &mut found);
    let (processors, (), ()) = tokio::try_join!(load, write, search)?;
    let lag = replication.end().await?;
    let acknowledged_ms = [0.5, 0.99].map(|share| lag.quantile_ms(share).unwrap_or(f64::NAN));
    Ok(Measured { found, acknowledged_ms, processors })
}

/// Writes a probe at each of its times, however long the writes before it take.
async fn write_probes(replication: &Replication<'_>, probes: &Probes, end: Instant) -> Result<()> {
    let mut due = interval(PROBE_EVERY);
    for number in 0_u64.. {
        let at = due.tick().await;
        if at >= end {
            break;
        }
        let text = format!("probe{number}");
        probes.open().insert(text.clone(), at);
        let value = |text: &str| AttributeValue::S(text.to_owned());
        let put = replication.tables.put_item().table_name(&replication.table);
        let put = put.item(PARTITION_KEY, value(&text)).item("sk", value(PROBE)).item(PROBE, value(&text));
        put.send().await.context("write a probe")?;
    }
    Ok(())
}

/// Searches for all open probes again and again, until all are found.
async fn find_probes(
    bed: &TestBed,
    index: &str,
    probes: &Probes,
    end: Instant,
    found: &mut Histogram<u64>,
) -> Result<()> {
    let mut client = BaselineClient::connect(&bed.endpoint, index).await?;
    let field = format!("{PROBE}.keyword");
    let path = format!("/{index}/_search");
    loop {
        sleep(POLL).await;
        let wanted: Vec<String> = probes.open().keys().cloned().collect();
        if wanted.is_empty() {
            if Instant::now() >= end {
                return Ok(());
            }
            continue;
        }
        let search = json!({
            "size": wanted.len(), "_source": false, "docvalue_fields": [field], "query": {"terms": {&field: wanted}},
        });
        let answer = client.send(Method::POST, &path, Bytes::from(search.to_string())).await?;
        let (now, answer) = (Instant::now(), serde_json::from_slice::<Value>(&answer.body).context("read hits")?);
        let mut open = probes.open();
        for hit in answer["hits"]["hits"].as_array().into_iter().flatten() {
            let text = hit["fields"][&field][0].as_str().context("read a hit's field")?;
            if let Some(at) = open.remove(text) {
                found.saturating_record(micros(now - at));
            }
        }
        let oldest = open.values().min().copied();
        ensure!(oldest.is_none_or(|at| now - at < FIND_LIMIT), "a probe was not found in {FIND_LIMIT:?}");
    }
}
