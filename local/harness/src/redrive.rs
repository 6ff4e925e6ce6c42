//! Invokes the real `redrive` function, as `aws lambda invoke` would, and tells what it answered.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use redrive::report::RedriveReport;
use redrive::request::Request;

use crate::function::{FunctionConfig, FunctionProcess, Invoke as _, Outcome};

/// Invokes the function once.
///
/// # Errors
/// When it cannot be started, or answers with an error.
pub async fn invoke(function: FunctionConfig, request: &Request) -> Result<RedriveReport> {
    let mut function = FunctionProcess::new(function);
    let payload = serde_json::to_vec(request).context("write the request")?;
    let invocation = function.invoke(Bytes::from(payload), None).await?;
    function.kill().await;
    match invocation.outcome {
        Outcome::Response(body) => serde_json::from_slice(&body).context("read what the function answered"),
        error => bail!("the function redrive failed: {error}"),
    }
}

/// A report for people.
#[must_use]
pub fn lines(report: &RedriveReport) -> Vec<String> {
    let (letters, changes) = (&report.letters, &report.changes);
    let mut lines = vec![format!(
        "{}{} letters: {} redriven, {} discarded, {} kept, {} skipped; changes: {} applied, {} duplicate, {} stale, {} superseded, {} order anomalies, {} rejected, {} failed; {} letters left{}",
        if report.dry_run { "dry run, nothing was done: " } else { "" },
        letters.received,
        letters.redriven,
        letters.discarded,
        letters.kept,
        letters.skipped,
        changes.applied,
        changes.duplicate,
        changes.stale,
        changes.superseded,
        changes.order_anomalies,
        changes.rejected,
        changes.failed,
        report.left,
        if report.out_of_time { ", time was up: run it again" } else { "" },
    )];
    for kept in &report.kept {
        let status = kept.status.map_or_else(String::new, |status| format!(" {status}"));
        lines.push(format!(
            "  kept {}: {}{status}, such as message {}: {}",
            kept.count, kept.class, kept.message_id, kept.reason
        ));
    }
    for trimmed in &report.trimmed {
        let (from, to, shard) = (&trimmed.from, &trimmed.to, &trimmed.shard_id);
        lines.push(format!("  trimmed: {from} to {to} of {shard}, message {}: {}", trimmed.message_id, trimmed.next));
    }
    lines
}
