//! B15: cost of a configuration of documents, beside the same function without one.

use std::time::Duration;

use anyhow::{Context, Result};
use driftless_harness::mapping::MemoryStream;

use super::About;
use crate::changes;
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::test_bed::TestBed;
use crate::timed_process::{TimedProcess, histogram, median, micros, quantile_ms};

pub(crate) const ABOUT: About = About {
    number: "B15",
    name: "rules",
    title: "cost of a configuration of documents",
    headline: "typical: p50 over no configuration",
    notes: include_str!("rules.md"),
};

/// Number of changes per block.
const BLOCK: u64 = 50;
/// Blocks that warm up and do not count.
const WARM_UP_BLOCKS: u64 = 4;

const TYPICAL: &str = r#"
include = ["member", "company", "at", "amount", "place.floor"]
[rename]
amount = "total"
"place.floor" = "level"
[[derive]]
from = "id"
pattern = '^member-(?<number>[0-9]+)-'
"#;
const FILTERED: &str = r#"
where = '.kind != "none"'
document = '{member, company, at, amount}'
"#;

/// The configurations, each with the bound of its cost.
const CONFIGURATIONS: [(&str, Option<&str>, Option<f64>); 3] =
    [("none", None, None), ("typical", Some(TYPICAL), Some(1.05)), ("jq", Some(FILTERED), Some(1.15))];

/// Measures all configurations in turn.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let blocks = bed.scale(100, 24);
    let (mut functions, mut indexes) = (Vec::new(), Vec::new());
    for (name, rules, _) in CONFIGURATIONS {
        let index = bed.index(&format!("rules-{name}"));
        let mut config = bed.function(&index);
        config.environment.extend(rules.map(|rules| ("REPLICATION".to_owned(), rules.to_owned())));
        functions.push((TimedProcess::start(config).await?, histogram(), Vec::new()));
        indexes.push(index);
    }
    let stream = MemoryStream::new("benchmark", changes::KEY);
    for block in 0..WARM_UP_BLOCKS + blocks {
        if block == WARM_UP_BLOCKS {
            bed.pause_refresh().await?;
        }
        let keys = block * BLOCK..(block + 1) * BLOCK;
        let records = changes::push(&stream, keys.map(|key| changes::put(key, 0, key))).await?;
        let mut times = vec![Vec::new(); functions.len()];
        for (nth, record) in records.iter().enumerate() {
            // Each is the first in turn: an engine answers later after an idle time.
            for turn in 0..functions.len() {
                let at = (nth + turn) % functions.len();
                times[at].push(functions[at].0.deliver(std::slice::from_ref(record)).await?);
            }
        }
        if block >= WARM_UP_BLOCKS {
            for ((_, latencies, medians), times) in functions.iter_mut().zip(times) {
                times.iter().for_each(|&time| latencies.saturating_record(micros(time)));
                medians.push(median(times));
            }
        }
    }
    for index in &indexes {
        bed.expect_visible(index, (WARM_UP_BLOCKS + blocks) * BLOCK).await?;
    }
    let changes = thousands((blocks * BLOCK) as f64);
    let mut row = Row::new(RowId::Rules, format!("one lane, batch size 1, {changes} INSERTs with each configuration"));
    let (_, plain, plain_medians) = functions.first().context("find the function without rules")?;
    let (plain, plain_medians): (f64, Vec<Duration>) = (quantile_ms(plain, 0.5), plain_medians.clone());
    for ((name, _, most), (_, latencies, medians)) in CONFIGURATIONS.iter().zip(&functions) {
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
            row.add(Figure::new(format!("{name}: {quantile}"), quantile_ms(latencies, share), "ms"));
        }
        if let Some(most) = most {
            let noise: Vec<f64> = medians
                .iter()
                .zip(&plain_medians)
                .map(|(one, plain)| one.as_secs_f64() / plain.as_secs_f64())
                .collect();
            let cost = quantile_ms(latencies, 0.5) / plain;
            let cost = Figure::new(format!("{name}: p50 over no configuration"), cost, "ratio");
            row.add(cost.bounded(Bound::AtMost(*most)).with_noise(&noise));
        }
    }
    Ok(row)
}
