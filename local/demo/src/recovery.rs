//! Faults of the demo that are put right: an engine that is away for a while, and poison that waits in the dead-letter
//! queue until the mapping is fixed and it is redriven.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use driftless::dead_letter::DeadLetterMessage;
use driftless_display::console;
use driftless_harness::list_dead_letters::{ListedMessage, causes, peek};
use driftless_harness::redrive::{invoke, lines};
use driftless_harness::services::Services;
use driftless_harness::words::counted;
use opensearch::indices::{IndicesFlushParts, IndicesPutMappingParts};
use redrive::request::RedriveRequest;
use serde_json::json;

use crate::stage::DemoStage;

/// Dead letters that are read before the redrive.
const READ: usize = 20_000;
/// Requirement of an outage.
pub(crate) const OWN_ENGINE: &str =
    "--outage kills and starts the engine, so it must be the tool's own: unset OPENSEARCH_ENDPOINT";
/// Limit for invocations of the redrive.
const INVOCATIONS: usize = 20;

/// Messages of the dead-letter queue before and after the redrive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recovery {
    /// Number of messages before the redrive.
    pub letters: u64,
    /// Different records among those of ours.
    pub records: u64,
    /// On-failure messages of Lambda among them.
    pub ranges: u64,
    /// Letters that were redriven.
    pub redriven: u64,
    /// Letters that are left.
    pub left: u64,
}

/// Mapping of the field that poison has a text in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FollowUp {
    /// A date that is none is kept in the document, and left out of the index's dates.
    Lenient,
    /// A document with a date that is none is refused.
    Strict,
}

impl Recovery {
    /// Adds a later one. What is left is what the later one left.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            letters: self.letters + later.letters,
            records: self.records + later.records,
            ranges: self.ranges + later.ranges,
            redriven: self.redriven + later.redriven,
            left: later.left,
        }
    }
}

/// After a while, kills the engine, and starts it again after `length`.
///
/// # Errors
/// Where the engine is not ours, or does not start again.
pub async fn outage(services: &Services, starts: Duration, length: Duration) -> Result<()> {
    let engine = services.opensearch().context(OWN_ENGINE)?;
    tokio::time::sleep(starts).await;
    engine.kill().await.context("kill the engine")?;
    console::note(format!("on purpose, the engine was killed; it starts again in {:.0} s", length.as_secs_f64()));
    tokio::time::sleep(length).await;
    engine.restart().await.context("start the engine again")?;
    console::note("the engine is back");
    Ok(())
}

/// Shows what waits in the dead-letter queue, mends the mapping, and redrives.
///
/// # Errors
/// Where the queue or the engine refuses, or the function fails.
pub async fn redrive(stage: &DemoStage) -> Result<Recovery> {
    let entries = peek(&stage.queue, READ).await?;
    let mut recovery = Recovery { letters: entries.len() as u64, ..Recovery::default() };
    if entries.is_empty() {
        return Ok(recovery);
    }
    (recovery.records, recovery.ranges) = count(&entries);
    let waiting = counted(entries.len() as u64, "dead letter");
    console::note(format!("{waiting} in the queue, by class, status and field:"));
    causes(&entries).into_iter().for_each(|line| console::note(format!("  {line}")));
    console::note("mending the mapping: `follow_up` now ignores what is no date");
    set_mapping(stage, FollowUp::Lenient).await?;
    for _ in 0..INVOCATIONS {
        let report = invoke(stage.redrive.clone(), &RedriveRequest::default()).await?;
        lines(&report).into_iter().for_each(|line| console::note(format!("redrive: {line}")));
        recovery.redriven += report.letters.redriven;
        recovery.left = report.left;
        if report.left == 0 || report.letters.redriven == 0 {
            break;
        }
    }
    Ok(recovery)
}

/// Different records that have letters of ours, and letters of Lambda's.
fn count(entries: &[ListedMessage]) -> (u64, u64) {
    let mut records = BTreeSet::new();
    let mut ranges = 0;
    for entry in entries {
        match &entry.letter {
            Ok(DeadLetterMessage::Record(letter)) => {
                records.insert((&letter.event_id, &letter.version));
            }
            Ok(DeadLetterMessage::Range(_)) => ranges += 1,
            Err(_) => {}
        }
    }
    (records.len() as u64, ranges)
}

/// Sets how the index takes dates that are none, from now on.
///
/// # Errors
/// Where the engine refuses.
pub(crate) async fn set_mapping(stage: &DemoStage, dates: FollowUp) -> Result<()> {
    let lenient = dates == FollowUp::Lenient;
    if !lenient {
        // After a crash, the engine reads its translog under the new mapping, and drops what that refuses.
        let flush = stage.engine.indices().flush(IndicesFlushParts::Index(&[stage.index.as_str()])).send().await;
        flush.context("flush the index")?.error_for_status_code().context("flush the index")?;
    }
    let mapping = json!({"properties": {"follow_up": {"type": "date", "ignore_malformed": lenient}}});
    let (indices, index) = (stage.engine.indices(), [stage.index.as_str()]);
    let put = indices.put_mapping(IndicesPutMappingParts::Index(&index)).body(mapping).send();
    let status = put.await.context("mend the mapping")?.status_code();
    ensure!(status.is_success(), "the engine refused the mended mapping with {status}");
    Ok(())
}
