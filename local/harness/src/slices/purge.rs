//! Purges: the function is invoked until no tombstone of the age is left.

use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use purge::report::PurgeReport;
use serde::Serialize;
use serde_json::Value;

use crate::function::{FunctionConfig, FunctionProcess, Invoke as _};

/// Sums of a purge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PurgeSummary {
    /// Tombstones of the age that were found.
    pub found: u64,
    /// Tombstones that were deleted for good.
    pub purged: u64,
    /// Documents of expired items that became tombstones, because their retention is over.
    pub expired: u64,
    /// Written again since they were found, or purged by another process.
    pub moved: u64,
    /// Tombstones whose deletion failed, which a later purge finds again.
    pub failed: u64,
    /// Time of the purge.
    pub seconds: f64,
    /// True if no tombstone of the age is left.
    pub done: bool,
}

/// Purges until nothing is left, or an invocation removes nothing. Ends the process.
///
/// # Errors
/// Fails if the function does.
pub async fn run(
    function: FunctionConfig,
    request: &Value,
    mut on_answer: impl FnMut(&PurgeSummary),
) -> Result<PurgeSummary> {
    let (mut process, mut summary, start) = (FunctionProcess::new(function), PurgeSummary::default(), Instant::now());
    loop {
        let invocation = process.invoke(Bytes::from(request.to_string()), None).await?;
        let PurgeReport { found, purged, expired, moved, failed, done } = invocation.outcome.answer("purge")?;
        summary.found += found;
        summary.purged += purged;
        summary.expired += expired;
        summary.moved += moved;
        summary.failed += failed;
        (summary.done, summary.seconds) = (done, start.elapsed().as_secs_f64());
        on_answer(&summary);
        if done || purged + expired + moved == 0 {
            process.end().await;
            return Ok(summary);
        }
    }
}
