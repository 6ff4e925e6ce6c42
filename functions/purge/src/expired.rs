//! Documents of expired items whose retention is over: each becomes a tombstone.
//!
//! It is not deleted yet. A record from before the expiry may still arrive, from the stream or as a dead letter,
//! however long ago the item expired: an item may be written with a time that has passed. The tombstone keeps the
//! document's version, so that such a record is stale. It ages from now on, and a later purge deletes it.

use driftless::change::Content;
use driftless::document_id::DocumentId;
use driftless::function::FunctionError;
use driftless::outcome::Problem;
use driftless::target::{Call, ConditionalWrite, Documents, ListedDocument, StoredState, WriteCondition, Written};
use driftless::time::Timestamp;
use driftless::version::Version;
use tokio::time::Instant;

use crate::report::PurgeReport;
use crate::tries::{Try, try_until_ended};

/// Replaces documents by tombstones, and again those whose write may succeed later.
pub(crate) async fn end_expired<T: Documents>(
    target: &T,
    part: &[ListedDocument],
    now: Timestamp,
    deadline: Instant,
    report: &mut PurgeReport,
) -> Result<(), FunctionError> {
    let end = async |open: &[ListedDocument]| try_all(target, open, now, deadline).await;
    report.expired += try_until_ended(part, deadline, report, end).await?;
    Ok(())
}

/// Tries once, on the condition of the position at which each document was found.
async fn try_all<T: Documents>(target: &T, open: &[ListedDocument], now: Timestamp, deadline: Instant) -> Vec<Try> {
    let ids: Vec<&DocumentId> = open.iter().map(|found| &found.id).collect();
    let states = target.read(&ids, Call::until(deadline)).await;
    let due: Vec<Result<Due, Try>> = open.iter().zip(states).map(|(found, state)| Due::new(found, state)).collect();
    let writes: Vec<ConditionalWrite<'_>> = due.iter().flatten().map(|due| due.tombstone(now)).collect();
    let written = match writes.is_empty() {
        true => Vec::new(),
        false => target.write(&writes, Call::until(deadline)).await,
    };
    let mut written = written.into_iter();
    let mut end = |_| match written.next().expect("a target answers every write") {
        Ok(Written::Done(_)) => Try::Ended,
        Ok(Written::Conflict) => Try::Moved,
        Err(problem) => Try::Problem(problem),
    };
    drop(writes);
    due.into_iter().map(|due| due.map_or_else(|failed| failed, &mut end)).collect()
}

/// A document that is still as it was found, with what its tombstone takes over.
struct Due {
    /// Id with the digest that the document has.
    id: DocumentId,
    state: StoredState,
    version: Version,
}

impl Due {
    fn new(found: &ListedDocument, read: Result<Option<StoredState>, Problem>) -> Result<Self, Try> {
        let state = read.map_err(Try::Problem)?.filter(|state| state.position == found.position).ok_or(Try::Moved)?;
        let version = state.version.clone().ok_or(Try::Moved)?;
        Ok(Self { id: found.id.clone().with_key(state.key), state, version })
    }

    fn tombstone(&self, written_at: Timestamp) -> ConditionalWrite<'_> {
        ConditionalWrite {
            id: &self.id,
            condition: WriteCondition::IfUnchanged(self.state.position),
            content: &Content::Tombstone,
            version: &self.version,
            // No change was written now: with its time, the purge would look like a stream that is far behind.
            event_time: None,
            written_at,
            read_at: self.state.read_at,
        }
    }
}
