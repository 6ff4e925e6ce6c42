//! The proof: the real `verify`, from the table's side and from the index's.

use anyhow::{Context, Result};
use driftless_display::console::Progress;
use driftless_harness::slices::verify::{OrphanSearch, Verification, VerifySummary};
use driftless_harness::words::counted;
use serde_json::Value;

use crate::first_load::SEGMENTS;
use crate::stage::Stage;

/// Time between two looks at what differs: several times the lag. The function waits longer where the lag is longer.
const SETTLE_MS: u64 = 1_000;

/// Compares all items with their documents, and looks for documents without an item as `orphans` says.
///
/// # Errors
/// Where the function fails.
pub async fn verify(stage: &Stage, mut request: Value, orphans: OrphanSearch) -> Result<VerifySummary> {
    request["settle_ms"] = SETTLE_MS.into();
    let verification = Verification { function: stage.verify.clone(), request, segments: Some(SEGMENTS), orphans };
    let mut state = verification.begin();
    let _progress = Progress::spinner("verifying: every item, then every document");
    verification.run(&mut state, |_| ()).await.context("verify table and index")
}

/// Words a verification.
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
