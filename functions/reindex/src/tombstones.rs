//! Copies the tombstones of the public index to the new one, at their versions.
//!
//! A new index has none. A dead letter from before the re-index may hold an item that was deleted since: redriven, it
//! is stale in the old index, because of the tombstone there. In the new index it would bring the item back.

use driftless::change::{Change, ChangeKind, Content};
use driftless::function::{FunctionError, Slice};
use driftless::outcome::Outcome;
use driftless::target::{Call, DocumentPage, Documents, Listed, StoredBody, Target};
use driftless::time::Timestamp;
use driftless::writer::{ApplyOptions, Writer};

use crate::report::TombstoneCounts;

/// Copies tombstones from a sequence number on. Returns the number to go on at, or `None` after the last.
///
/// # Errors
/// Fails if the deployment is wrong, or an index cannot be read or written now.
pub async fn copy<T: Documents, W: Target>(
    from: &T,
    to: &Writer<W>,
    mut at: u64,
    slice: Slice,
    now: Timestamp,
) -> Result<(Option<u64>, TombstoneCounts), FunctionError> {
    let mut counts = TombstoneCounts::default();
    let options = ApplyOptions { deadline: slice.deadline, written_at: now };
    // Clocks of functions differ by less than an hour.
    let all = Listed::TombstonesBefore(Timestamp::from_millis(now.as_millis() + 60 * 60 * 1_000));
    while slice.may_begin() {
        let DocumentPage { found, next } = from.list(all, at, slice.deadline).await?;
        let ids: Vec<_> = found.iter().map(|found| &found.id).collect();
        let stored = from.read_documents(&ids, Call::until(slice.deadline)).await;
        let mut changes = Vec::with_capacity(ids.len());
        for (id, stored) in ids.into_iter().zip(stored) {
            let Some(stored) = stored? else { continue };
            // A document that lives again has been written to both indexes.
            let (StoredBody::Tombstone, Some(version)) = (stored.body, stored.state.version) else { continue };
            changes.push(Change {
                id: id.clone(),
                version,
                event_time: stored.state.event_time,
                read_at: stored.state.read_at,
                kind: ChangeKind::Remove,
                content: Content::Tombstone,
            });
        }
        counts.found += changes.len() as u64;
        for outcome in to.apply(&changes, options).await?.outcomes {
            match outcome {
                Outcome::Applied => counts.copied += 1,
                // Not at fault: a tombstone has no content that a mapping could refuse.
                Outcome::Rejected(problem) | Outcome::Failed(problem) => return Err(problem.into()),
                _ => counts.superseded += 1,
            }
        }
        match next {
            Some(next) => at = next,
            None => return Ok((None, counts)),
        }
    }
    Ok((Some(at), counts))
}
