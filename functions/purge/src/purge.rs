//! The loop over pages of what is to go. Each tombstone is deleted on the condition of the position at which it was
//! found, so that a document that was written since stays.

use driftless::function::{FunctionError, Slice, retry};
use driftless::target::{Call, Deleted, DocumentPage, Documents, Listed, ListedDocument};
use driftless::time::Timestamp;
use tokio::time::Instant;

use crate::expired::end_expired;
use crate::report::PurgeReport;
use crate::request::PurgeRequest;
use crate::tries::{Try, try_until_ended};

/// Documents per bulk request, so that other writers of the index are not held up.
const WRITTEN_TOGETHER: usize = 500;

/// Deletes tombstones until none of the age is left, `max` are handled, or the slice is over. Before that, documents
/// whose items expired longer ago than `retention_ms` become tombstones; without it they stay.
///
/// # Errors
/// Fails if the deployment is wrong, or the index cannot be read.
pub async fn purge<T: Documents>(
    target: &T,
    request: &PurgeRequest,
    retention_ms: Option<u64>,
    slice: Slice,
    now: Timestamp,
) -> Result<PurgeReport, FunctionError> {
    let ago = |age_ms: u64| Timestamp::from_millis(now.as_millis().saturating_sub(age_ms));
    let mut run = PurgeRun { target, max: request.max, slice, now, report: PurgeReport::default() };
    let no_expired = match retention_ms {
        Some(retention_ms) => run.all(Listed::ExpiredBefore(ago(retention_ms))).await?,
        None => true,
    };
    let no_tombstone = run.all(Listed::TombstonesBefore(ago(request.age_ms()))).await?;
    run.report.done = no_expired && no_tombstone && run.report.failed == 0;
    Ok(run.report)
}

/// One invocation at work.
struct PurgeRun<'p, T> {
    target: &'p T,
    max: u64,
    slice: Slice,
    now: Timestamp,
    report: PurgeReport,
}

impl<T: Documents> PurgeRun<'_, T> {
    /// Handles what is listed, page by page. Returns `true` if nothing is left.
    async fn all(&mut self, listed: Listed) -> Result<bool, FunctionError> {
        let mut from = Some(0);
        while let Some(at) = from
            && self.slice.may_begin()
            && self.report.found < self.max
        {
            let list = async || self.target.list(listed, at, self.slice.deadline).await;
            let DocumentPage { mut found, next } = retry(self.slice.deadline, list).await?;
            let left = usize::try_from(self.max - self.report.found).unwrap_or(usize::MAX);
            from = if found.len() > left { Some(at) } else { next };
            found.truncate(left);
            self.report.found += found.len() as u64;
            for part in found.chunks(WRITTEN_TOGETHER) {
                match listed {
                    Listed::ExpiredBefore(_) => {
                        end_expired(self.target, part, self.now, self.slice.deadline, &mut self.report).await?;
                    }
                    _ => delete(self.target, part, self.slice.deadline, &mut self.report).await?,
                }
            }
        }
        Ok(from.is_none())
    }
}

/// Deletes tombstones, and again those whose deletion may succeed later.
async fn delete<T: Documents>(
    target: &T,
    part: &[ListedDocument],
    deadline: Instant,
    report: &mut PurgeReport,
) -> Result<(), FunctionError> {
    let delete = async |open: &[ListedDocument]| {
        let answers = target.delete(open, Call::until(deadline)).await.into_iter();
        let tries = answers.map(|answer| match answer {
            Ok(Deleted::Done) => Try::Ended,
            Ok(Deleted::Moved) => Try::Moved,
            Err(problem) => Try::Problem(problem),
        });
        tries.collect()
    };
    report.purged += try_until_ended(part, deadline, report, delete).await?;
    Ok(())
}
