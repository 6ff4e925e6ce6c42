//! Copies the tombstones of the public index to the new one, at their versions.
//!
//! A new index has none. A dead letter from before the re-index may hold an item that was deleted since: redriven, it
//! is stale in the old index, because of the tombstone there. In the new index it would bring the item back.
//!
//! Documents of expired items that stay are copied with them: no item is left of which a backfill could make them. They
//! are copied as they are, so they have the shape that the rules of their time gave them.

use driftless::change::{Change, ChangeKind, Content};
use driftless::document::Document;
use driftless::document_id::DocumentId;
use driftless::function::{FunctionError, Slice};
use driftless::outcome::Outcome;
use driftless::target::{Call, DocumentPage, Documents, Listed, StoredBody, StoredDocument, Target};
use driftless::time::Timestamp;
use driftless::writer::{ApplyOptions, Writer};

use crate::report::TombstoneCounts;

/// Returns the listing of what a backfill cannot make. Without `keeps_expired`, documents of expired items are not
/// wanted.
#[must_use]
pub fn copied(keeps_expired: bool, now: Timestamp) -> Listed {
    if keeps_expired {
        return Listed::WithoutItems;
    }
    // Clocks of functions differ by less than an hour.
    Listed::TombstonesBefore(Timestamp::from_millis(now.as_millis() + 60 * 60 * 1_000))
}

/// Copies what is listed from a sequence number on. Returns the number to go on at, or `None` after the last.
///
/// # Errors
/// Fails if the deployment is wrong, or an index cannot be read or written now.
pub async fn copy<T: Documents, W: Target>(
    from: &T,
    to: &Writer<W>,
    (listed, mut at): (Listed, u64),
    slice: Slice,
    now: Timestamp,
) -> Result<(Option<u64>, TombstoneCounts), FunctionError> {
    let mut counts = TombstoneCounts::default();
    let options = ApplyOptions::new(slice.deadline, now);
    while slice.may_begin() {
        let DocumentPage { found, next } = from.list(listed, at, slice.deadline).await?;
        let ids: Vec<_> = found.iter().map(|found| &found.id).collect();
        let stored = from.read_documents(&ids, Call::until(slice.deadline)).await;
        let mut changes = Vec::with_capacity(ids.len());
        for (id, stored) in ids.into_iter().zip(stored) {
            let Some(stored) = stored? else { continue };
            changes.extend(copy_of(id, stored));
        }
        counts.found += changes.len() as u64;
        for (change, outcome) in changes.iter().zip(to.apply(&changes, options).await?.outcomes) {
            match outcome {
                Outcome::Applied => counts.copied += 1,
                Outcome::Rejected(problem) if change.content != Content::Tombstone => {
                    tracing::error!(class = problem.class(), status = problem.status(), "a document is not copied");
                    counts.refused += 1;
                }
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

/// Returns the change that makes the same document; `None` for a document of an item, which has been written to both
/// indexes.
fn copy_of(id: &DocumentId, StoredDocument { state, body }: StoredDocument) -> Option<Change> {
    let content = match (body, state.expired_at) {
        (StoredBody::Tombstone, _) => Content::Tombstone,
        (StoredBody::Document(json), Some(expired_at)) => {
            Content::Expired { document: Document::from_stored(json), expired_at }
        }
        (StoredBody::Document(_) | StoredBody::Foreign(_), _) => return None,
    };
    Some(Change {
        id: id.clone().with_key(state.key),
        version: state.version?,
        event_time: state.event_time,
        read_at: state.read_at,
        kind: ChangeKind::Remove,
        content,
    })
}
