//! Invokes the real `redrive` function, as `aws lambda invoke` would, and words its answer.

use anyhow::{Context, Result};
use bytes::Bytes;
use driftless::dead_letter::cause::Cause;
use redrive::report::RedriveReport;
use redrive::request::RedriveRequest;

use crate::function::{FunctionConfig, FunctionProcess, Invoke as _};
use crate::list_dead_letters::cause_in_words;
use crate::words::counted;

/// Invokes the function once.
///
/// # Errors
/// When it cannot be started, or answers with an error.
pub async fn invoke(function: FunctionConfig, request: &RedriveRequest) -> Result<RedriveReport> {
    let mut function = FunctionProcess::new(function);
    let payload = serde_json::to_vec(request).context("write the request")?;
    let invocation = function.invoke(Bytes::from(payload), None).await?;
    function.kill().await;
    invocation.outcome.answer("redrive")
}

/// Words a report for people.
#[must_use]
pub fn lines(report: &RedriveReport) -> Vec<String> {
    let (letters, changes) = (&report.letters, &report.changes);
    let dry = |dry, wet| if report.dry_run { dry } else { wet };
    let messages = counts([
        (letters.redriven, dry("would be written or are done already", "redriven")),
        (letters.discarded, dry("would be deleted for good", "deleted for good, not applied")),
        (letters.kept, "kept"),
        (letters.skipped, "skipped by the filter"),
    ]);
    let outcomes = counts([
        (changes.applied, dry("to be written", "applied")),
        (changes.duplicate, "applied before"),
        (changes.stale, "stale"),
        (changes.superseded, "superseded"),
        (changes.order_anomalies, "in doubtful order"),
        (changes.rejected, "rejected"),
        (changes.failed, "failed"),
    ]);
    let mut first = dry("dry run, nothing was done: ", "").to_owned();
    first.push_str(&counted(letters.received, "dead letter"));
    for (start, part) in [(": ", messages), ("; changes: ", outcomes)] {
        if !part.is_empty() {
            first = format!("{first}{start}{part}");
        }
    }
    first = format!("{first}; about {} left", report.left);
    if report.out_of_time {
        first.push_str("; time was up: run it again");
    }
    let mut lines = vec![first];
    let caveat = report.caveat.iter().filter(|_| changes.applied > 0);
    lines.extend(caveat.map(|caveat| format!("  {caveat}")));
    for kept in &report.kept {
        let cause =
            Cause { class: kept.class.clone(), status: kept.status, field: kept.field.clone(), shape: String::new() };
        let cause = cause_in_words(&cause);
        lines.push(format!("  kept {}: {cause}, such as message {}: {}", kept.count, kept.message_id, kept.reason));
    }
    for trimmed in &report.trimmed {
        let (from, to, shard) = (&trimmed.from, &trimmed.to, &trimmed.shard_id);
        lines.push(format!("  trimmed: {from} to {to} of {shard}, message {}: {}", trimmed.message_id, trimmed.next));
    }
    lines
}

/// Joins the counts that are not zero.
fn counts<const N: usize>(counts: [(u64, &str); N]) -> String {
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_says_what_it_does_not_know() {
        let mut report = RedriveReport::new(true);
        (report.letters.received, report.letters.redriven, report.changes.applied, report.left) = (2, 2, 2, 2);
        assert_eq!(
            lines(&report),
            [
                "dry run, nothing was done: 2 dead letters: 2 would be written or are done already; changes: 2 to be \
                 written; about 2 left",
                "  a dry run compares versions only: whether OpenSearch takes what would be written is not known",
            ]
        );
    }

    #[test]
    fn what_was_deleted_is_called_so() {
        let mut report = RedriveReport::new(false);
        (report.letters.received, report.letters.discarded) = (1, 1);
        let expected = "1 dead letter: 1 deleted for good, not applied; about 0 left";
        assert_eq!(lines(&report), [expected]);
    }
}
