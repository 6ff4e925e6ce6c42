//! B12: the proof that table and index are equal, beside the bare reads of both.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use driftless_harness::slices::reindex::ReindexSteps;
use serde_json::{Value, json};

use super::About;
use crate::baseline::BaselineClient;
use crate::figures::{Bound, Figure, Row, RowId, thousands};
use crate::loaded_table::{LoadedTable, id, ids};
use crate::slices::{MOST_MB, SliceRun};
use crate::test_bed::TestBed;
use crate::timed_process::median;

pub(crate) const ABOUT: About = About {
    number: "B12",
    name: "proof",
    title: "proof",
    headline: "verify over bare scan and reads together",
    notes: include_str!("proof.md"),
};

/// Processes that fill the index before anything is measured.
const LOADERS: u32 = 4;
/// Documents of one `_mget`: those of a page, as verify reads them.
const READ_TOGETHER: usize = 2_000;
/// Connections with a read under way: as many as pages that verify compares together.
const READERS: usize = 4;
/// Tombstones of one bulk request.
const BATCH: usize = 5_000;
/// Turns of the baseline and of verify, one after the other. The medians count, because the baseline varies by a sixth.
const TURNS: usize = 3;
const LEAST_RATE: f64 = 20_000.0;
const LEAST_SHARE: f64 = 0.8;

/// Measures the comparison from both sides, and the memory of everything.
pub(crate) async fn run(bed: &TestBed) -> Result<Row> {
    let table = bed.loaded_table().await?;
    let index = bed.index("proof");
    let loaded = SliceRun::segments(&bed.backfill(table, &index)?, &json!({}), LOADERS).await?;
    bed.merged(&index).await?;
    let keys = table.scan(true).await?;
    let items = keys.len() as f64;
    // A bulk request whose answer was lost is sent again, and finds its documents.
    let there = loaded.count("written") + loaded.count("superseded");
    ensure!((there - items).abs() < 0.5, "not all items were written: {:?}", loaded.counts);
    let workload = format!("{} items of half a kilobyte, equal on both sides, one process", thousands(items));
    let mut row = Row::new(RowId::Proof, workload);

    let rate = |started: Instant| items / started.elapsed().as_secs_f64();
    let mut alone = Instant::now();
    table.scan(false).await?;
    let scan = rate(alone);
    alone = Instant::now();
    read_all(bed, &index, &keys).await?;
    let reads = rate(alone);
    let (mut together, mut verified, mut peak_mb) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..TURNS {
        let began = Instant::now();
        tokio::try_join!(table.scan(false), read_all(bed, &index, &keys))?;
        together.push(rate(began));
        let verify = SliceRun::segments(&bed.verify(table, &index)?, &json!({"settle_ms": 1_000}), 1).await?;
        let found = ["missing", "stale", "different", "tombstone_where_item_lives", "in_motion"];
        ensure!(found.iter().all(|kind| verify.count(kind) == 0.0), "differences: {:?}", verify.counts);
        verified.push(verify.rate("items"));
        peak_mb = peak_mb.max(verify.peak_mb);
    }
    let shares = verified.iter().zip(&together).map(|(verified, together)| verified / together).collect();
    row.add(Figure::new("verify", median(verified), "items/s").bounded(Bound::AtLeast(LEAST_RATE)));
    row.add_turns("verify over bare scan and reads together", shares, LEAST_SHARE);
    let peak = |name: &str, peak_mb: f64| {
        Figure::new(format!("{name}: peak resident memory"), peak_mb, "MB").bounded(Bound::Under(MOST_MB))
    };
    row.add(peak("verify", peak_mb));
    row.add(Figure::new("bare scan and reads together", median(together), "items/s"));
    row.add(Figure::new("bare scan alone", scan, "items/s"));
    row.add(Figure::new("bare reads alone", reads, "items/s"));

    let request = json!({"settle_ms": 1_000, "orphans": "full"});
    let index_side = SliceRun::segments(&bed.verify(table, &index)?, &request, 1).await?;
    ensure!(index_side.count("orphaned") == 0.0, "differences: {:?}", index_side.counts);
    row.add(peak("verify from the index's side", index_side.peak_mb));
    row.add(Figure::new("verify from the index's side", index_side.rate("documents"), "documents/s"));

    bury(bed, &index, &keys).await?;
    let copied = copy_tombstones(bed, table, &index).await?;
    ensure!((copied.count("copied") - items).abs() < 0.5, "not all tombstones were copied: {:?}", copied.counts);
    row.add(peak("re-index", copied.peak_mb));
    row.add(Figure::new("re-index: copy of tombstones", copied.rate("copied"), "tombstones/s"));
    let purged =
        SliceRun::segments(&bed.purge(table, &index)?, &json!({"age_days": 0, "max": keys.len() + 1}), 1).await?;
    ensure!((purged.count("purged") - items).abs() < 0.5, "not all tombstones were purged: {:?}", purged.counts);
    row.add(peak("purge", purged.peak_mb));
    row.add(Figure::new("purge", purged.rate("purged"), "tombstones/s"));
    row.add(peak("backfill, four processes, each", loaded.peak_mb));
    Ok(row)
}

/// Reads all documents in the order of their items, over several connections.
async fn read_all(bed: &TestBed, index: &str, keys: &[u64]) -> Result<()> {
    let parts: Vec<&[u64]> = keys.chunks(READ_TOGETHER).collect();
    let readers = (0..READERS).map(|reader| {
        let own = parts.iter().skip(reader).step_by(READERS);
        async move {
            let mut client = BaselineClient::connect(&bed.endpoint, index).await?;
            for part in own {
                client.read(&ids(part)).await?;
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(readers).await.map(drop)
}

/// Begins a re-index, copies all tombstones into the new index, and drops that index.
async fn copy_tombstones(bed: &TestBed, table: &LoadedTable, index: &str) -> Result<SliceRun> {
    let function = bed.reindex(table, index)?;
    let mut steps = ReindexSteps::new(function.clone(), None);
    let _: Value = steps.take(&json!({"step": "create"})).await?;
    let copied = SliceRun::segments(&function, &json!({"step": "tombstones"}), 1).await?;
    let _: Value = steps.take(&json!({"step": "drop", "index": format!("{index}-000002")})).await?;
    steps.end().await;
    Ok(copied)
}

/// Replaces all documents by tombstones.
async fn bury(bed: &TestBed, index: &str, keys: &[u64]) -> Result<()> {
    let mut client = BaselineClient::connect(&bed.endpoint, &format!("{index}-000001")).await?;
    let version = "0000000001/2026-01-15T09:30:00.000000000/0000000000000000000000000000000000000007";
    let metadata = json!({"version": version, "written_at": 1, "deleted": true, "deleted_at": 1});
    for part in keys.chunks(BATCH) {
        let mut operations = String::new();
        for key in part {
            operations
                .push_str(&format!("{{\"index\":{{\"_id\":\"{}\"}}}}\n{{\"_driftless\":{metadata}}}\n", id(*key)));
        }
        client.bulk(operations).await.context("write tombstones")?;
    }
    bed.refresh(index).await
}
