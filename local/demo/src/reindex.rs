//! A re-index under load: another mapping, and readers who notice nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use driftless_display::console::{self, ProgressLine};
use driftless_harness::activity::INDEX_DEFINITION;
use driftless_harness::slices::backfill::BackfillSummary;
use driftless_harness::slices::reindex::ReindexSteps;
use driftless_harness::slices::verify::{OrphanSearch, VerifySummary};
use driftless_harness::words::counted;
use opensearch::indices::IndicesRefreshParts;
use reindex::report::ReindexReport;
use reindex::request::VerifyTotals;
use serde::Serialize;
use serde_json::{Value, json};

use crate::first_load::backfill;
use crate::proof;
use crate::reader::Reads;
use crate::searches;
use crate::stage::{DemoStage, LONG_WAIT};

/// Runs of the shadow reads. Under load, a search may differ at each look of a run: its documents come and go.
const SHADOW_RUNS: usize = 5;
/// Runs of verify. On a machine that does not keep up with the load, changes that wait look like differences.
const VERIFY_RUNS: u32 = 3;
/// Longest wait before each for the changes of the stream.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);
const CATCH_UP_POLL: Duration = Duration::from_millis(200);
/// A word of a company's name, which the first mapping has as a whole only.
const WORD: &str = "bank";

/// A re-index under load.
#[derive(Debug, Serialize)]
pub struct Reindexed {
    /// From the creation of the new index until the old one was dropped.
    pub seconds: f64,
    /// Name of the new physical index.
    pub index: String,
    /// Documents of the new index after the switch.
    pub documents: u64,
    /// Tombstones that were copied.
    pub tombstones: u64,
    /// Backfill of the new index.
    pub backfill: BackfillSummary,
    /// Verify of the new index, which the switch rests on.
    pub verify: VerifySummary,
    /// Users' searches whose answers were compared.
    pub searches_compared: u64,
    /// Documents that a search by the new mapping found in the old index.
    pub found_before: u64,
    /// Documents that it found in the new index.
    pub found_after: u64,
    /// Searches through the public alias meanwhile.
    pub reads: Reads,
}

/// Re-indexes while a reader searches.
///
/// # Errors
/// Where a step fails, or the new index is not proven.
pub async fn run(stage: &DemoStage) -> Result<Reindexed> {
    let (engine, index) = (&stage.engine, stage.index.as_str());
    let refreshed = engine.indices().refresh(IndicesRefreshParts::Index(&[index])).send().await;
    refreshed.context("refresh the index")?.error_for_status_code().context("refresh the index")?;
    let mut reads = Reads::default();
    let reindexed = tokio::select! {
        reindexed = steps(stage) => reindexed?,
        never = reads.go_on(engine, index, stage.held.untouched()) => match never {},
    };
    Ok(Reindexed { reads, ..reindexed })
}

async fn steps(stage: &DemoStage) -> Result<Reindexed> {
    let started = Instant::now();
    let mut steps = ReindexSteps::new(stage.reindex.clone(), None);
    let found_before = found(stage).await?;
    let created = take(&mut steps, &json!({"step": "create", "definition": definition()?})).await?;
    let (old, new) = (created.public.name, created.other.context("find the new index")?.name);
    console::note(format!("re-index: created {new}, where `company` is searched by word; both indexes are written"));
    let tombstones = steps.copy_tombstones().await?;
    let backfill = backfill(&stage.backfill, json!({"index": "other"}), stage.held.numbers.end).await?;
    console::note(format!(
        "re-index: copied {}, and backfilled {} in {:.1} s",
        counted(tombstones, "tombstone"),
        counted(backfill.items, "item"),
        backfill.seconds
    ));
    let (verify, totals) = verified(stage).await?;
    console::note(format!("re-index: verified the new index: {}", proof::words(&verify)));
    take(&mut steps, &json!({"step": "verified", "verify": totals})).await?;
    let searches_compared = shadow(&mut steps).await?;
    let compared = counted(searches_compared, "search");
    console::note(format!("re-index: {compared} of the demo's own answered alike by both indexes"));
    take(&mut steps, &json!({"step": "switch"})).await?;
    let dropped = take(&mut steps, &json!({"step": "drop", "index": old})).await?;
    steps.end().await;
    ensure!(dropped.public.name == new, "readers see {} instead of {new}", dropped.public.name);
    let seconds = started.elapsed().as_secs_f64();
    console::note(format!("re-index: switched to {new} and dropped {old}; {seconds:.1} s in all"));
    Ok(Reindexed {
        seconds,
        index: new,
        documents: dropped.public.documents,
        tombstones,
        backfill,
        verify,
        searches_compared,
        found_before,
        found_after: found(stage).await?,
        reads: Reads::default(),
    })
}

/// Verifies the new index, and does so again if changes that wait may be what differs. Returns the result, and its sums
/// for the gate of the switch.
async fn verified(stage: &DemoStage) -> Result<(VerifySummary, Value)> {
    let mut runs = 1;
    loop {
        let deadline = Instant::now() + CATCH_UP_LIMIT;
        while stage.freshness.waiting().oldest > LONG_WAIT && Instant::now() < deadline {
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
        let verify = proof::verify(stage, json!({"index": "other"}), OrphanSearch::Full).await?;
        let totals = serde_json::to_value(&verify).context("write the verify's sums")?;
        let differences = differences_at_the_gate(&totals)?;
        if differences == 0 || runs == VERIFY_RUNS {
            return Ok((verify, totals));
        }
        runs += 1;
        let differences = counted(differences, "possible difference");
        console::note(format!("re-index: {differences}, and verify looks again"));
    }
}

/// Returns the number of differences as the gate of the switch counts them: with those that may wait for a change.
fn differences_at_the_gate(totals: &Value) -> Result<u64> {
    let totals: VerifyTotals = serde_json::from_value(totals.clone()).context("read the verify's sums")?;
    Ok(totals.differences())
}

/// Takes a step, and shows that it goes on.
async fn take(steps: &mut ReindexSteps, request: &Value) -> Result<ReindexReport> {
    let step = request["step"].as_str().unwrap_or_default();
    let _progress = ProgressLine::spinner(&format!("re-index: {step}"));
    steps.take(request).await
}

/// The demo's mapping, in which companies are found by a word of their names, too.
fn definition() -> Result<Value> {
    let mut definition: Value = serde_json::from_str(INDEX_DEFINITION).context("parse the index definition")?;
    definition["mappings"]["properties"]["company"] = json!({"type": "keyword", "fields": {"words": {"type": "text"}}});
    Ok(definition)
}

/// Compares the demo's searches on both indexes.
async fn shadow(steps: &mut ReindexSteps) -> Result<u64> {
    let mut differences = Vec::new();
    for _ in 0..SHADOW_RUNS {
        let report = take(steps, &json!({"step": "shadow", "searches": searches::for_msearch()})).await?;
        let shadow = report.other.and_then(|other| other.shadow).context("find the searches in the answer")?;
        if shadow.different == 0 {
            return Ok(shadow.searches);
        }
        differences = report.differences;
    }
    bail!("the indexes answer differently, {SHADOW_RUNS} times in a row: {differences:?}")
}

/// Counts what the new mapping alone finds.
async fn found(stage: &DemoStage) -> Result<u64> {
    let body = json!({"size": 0, "track_total_hits": true, "query": {"match": {"company.words": WORD}}});
    let answer = searches::search(&stage.engine, &stage.index, body).await?;
    answer["hits"]["total"]["value"].as_u64().context("count what was found")
}

impl Reindexed {
    /// Words the result, in three lines.
    pub(crate) fn lines(&self) -> [String; 3] {
        let Self { reads, verify, .. } = self;
        [
            format!(
                "in {:.1} s under load: {} backfilled, verified with {}, {} compared",
                self.seconds,
                counted(self.backfill.items, "item"),
                counted(verify.differences(), "difference"),
                counted(self.searches_compared, "search"),
            ),
            format!(
                "{} through the public alias meanwhile: {} failed, {} missed or doubled a document",
                counted(reads.searches, "search"),
                reads.failed,
                reads.wrong
            ),
            format!(
                "a search for `{WORD}` among the words of companies: {} found before, {} after",
                self.found_before, self.found_after
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_wait_for_a_change_is_verified_again_as_the_gate_refuses_it() {
        let sums = |pending: u64| json!({"items": 3_045, "documents": 3_039, "missing": 0, "in_motion": 1, "pending": pending});
        assert_eq!(differences_at_the_gate(&sums(0)).expect("sums"), 0);
        assert_eq!(differences_at_the_gate(&sums(1)).expect("sums"), 1);
    }

    #[test]
    fn the_new_mapping_is_one_that_the_function_takes() {
        let definition = definition().expect("a definition");
        assert_eq!(definition["mappings"]["properties"]["company"]["type"], "keyword", "the old searches go on");
        assert!(driftless::opensearch::IndexDefinition::from_json(&definition.to_string()).is_ok());
    }
}
