//! The loop over pages of tombstones. Each is deleted on the condition of the position at which it was found, so that a
//! document that was written since stays.

use driftless::function::retry::pauses;
use driftless::function::{FunctionError, Slice, retry};
use driftless::outcome::Treatment;
use driftless::target::{Call, Deleted, DocumentPage, Documents, Listed, ListedDocument};
use driftless::time::Timestamp;
use tokio::time::Instant;

use crate::report::PurgeReport;
use crate::request::PurgeRequest;

/// Tombstones per bulk request, so that other writers of the index are not held up.
const DELETED_TOGETHER: usize = 500;

/// Deletes tombstones until none of the age is left, `max` are handled, or the slice is over.
///
/// # Errors
/// Fails if the deployment is wrong, or the index cannot be read.
pub async fn purge<T: Documents>(
    target: &T,
    request: &PurgeRequest,
    slice: Slice,
    now: Timestamp,
) -> Result<PurgeReport, FunctionError> {
    let before = Timestamp::from_millis(now.as_millis().saturating_sub(request.age_ms()));
    let mut report = PurgeReport::default();
    let mut from = Some(0);
    while let Some(at) = from
        && slice.may_begin()
        && report.found < request.max
    {
        let list = async || target.list(Listed::TombstonesBefore(before), at, slice.deadline).await;
        let DocumentPage { mut found, next } = retry(slice.deadline, list).await?;
        let left = usize::try_from(request.max - report.found).unwrap_or(usize::MAX);
        from = if found.len() > left { Some(at) } else { next };
        found.truncate(left);
        report.found += found.len() as u64;
        for part in found.chunks(DELETED_TOGETHER) {
            delete(target, part, slice.deadline, &mut report).await?;
        }
    }
    report.done = from.is_none() && report.failed == 0;
    Ok(report)
}

/// Deletes tombstones, and again those whose deletion may succeed later.
async fn delete<T: Documents>(
    target: &T,
    part: &[ListedDocument],
    deadline: Instant,
    report: &mut PurgeReport,
) -> Result<(), FunctionError> {
    let mut pauses = pauses();
    let mut open = part.to_vec();
    loop {
        let answers = target.delete(&open, Call::until(deadline)).await;
        let mut left = Vec::new();
        for (found, answer) in open.into_iter().zip(answers) {
            match answer {
                Ok(Deleted::Done) => report.purged += 1,
                Ok(Deleted::Moved) => report.moved += 1,
                Err(problem) => match problem.unless_configuration()?.treatment() {
                    Treatment::Retry => left.push(found),
                    Treatment::Reject | Treatment::Configuration => report.failed += 1,
                },
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if !pauses.wait_before(deadline).await {
            report.failed += left.len() as u64;
            return Ok(());
        }
        open = left;
    }
}
