//! The proof: the real `verify`, from the table's side and from the index's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use driftless_display::console::ProgressLine;
use driftless_harness::slices::verify::{OrphanSearch, Verification, VerifySummary};
use driftless_harness::words::counted;
use serde_json::{Value, json};

use crate::first_load::SEGMENTS;
use crate::stage::DemoStage;

/// Least time between two looks at what differs: several times the usual lag.
const SETTLE: Duration = Duration::from_secs(1);
/// The same on a machine that does not keep up. Two of them are less than an invocation takes.
const LONGEST_SETTLE: Duration = Duration::from_secs(50);

/// Seconds in which a long lag still makes verify take the stream to be behind, and the longest lag besides.
const LATELY_SECONDS: u64 = 90;

/// Compares all items with their documents, and looks for documents without an item as `orphans` says. The time between
/// two looks follows from the changes that wait, unless the request has it.
///
/// # Errors
/// Where the function fails.
pub async fn verify(stage: &DemoStage, mut request: Value, orphans: OrphanSearch) -> Result<VerifySummary> {
    // Changes that wait for longer than two looks are apart would count as differences.
    let settle = SETTLE.max(2 * stage.freshness.waiting().oldest).min(LONGEST_SETTLE);
    if request.get("settle_ms").is_none() {
        request["settle_ms"] = json!(settle.as_millis());
    }
    let verification = Verification { function: stage.verify.clone(), request, segments: Some(SEGMENTS), orphans };
    let mut state = verification.begin();
    let _progress = ProgressLine::spinner("verifying: every item, then every document");
    verification.run(&mut state, |_| ()).await.context("verify table and index")
}

/// Time between two looks that no change of late has taken: with it, verify does not take the stream to be behind.
pub(crate) fn settle_after_lag_ms(stage: &DemoStage) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let lately = stage.freshness.lag.each_second_ms(now.as_secs().saturating_sub(LATELY_SECONDS), [1.0, 1.0]);
    let longest = lately.into_iter().map(|(_, [longest, _])| longest).fold(0.0, f64::max);
    // The function sees DynamoDB's times, which have whole seconds.
    let settle = Duration::from_secs_f64(longest / 1_000.0) + 2 * SETTLE;
    u64::try_from(settle.min(LONGEST_SETTLE).as_millis()).unwrap_or_default()
}

/// Returns the result of a verification, in words.
pub(crate) fn words(verify: &VerifySummary) -> String {
    let in_motion = match verify.in_motion {
        0 => String::new(),
        in_motion => format!(", {in_motion} in motion"),
    };
    format!(
        "{}, {}, {}{in_motion} in {:.1} s",
        counted(verify.items, "item"),
        counted(verify.documents, "document"),
        counted(verify.differences(), "difference"),
        verify.seconds
    )
}
