//! Interface to an index: reads document states, and writes on the condition of a state.
//!
//! Contract of every target, on which the writer's promises rest:
//! - Answers come in the order and number of the request.
//! - A conditional write happens if and only if its condition holds at that moment, atomically.
//! - A `Problem` of a write does not tell if the write happened.

use std::future::Future;

use tokio::time::Instant;

use crate::change::Content;
use crate::document_id::{DocumentId, KeyDigest};
use crate::outcome::Problem;
use crate::time::Timestamp;
use crate::version::Version;

/// Position of one state of one document, as the engine counts states. Valid in one index only: a target leads to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Number of the write that made this state: `_seq_no`.
    pub seq_no: u64,
    /// Term of the primary that took it: `_primary_term`.
    pub primary_term: u64,
}

/// Known state of an existing document, tombstones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredState {
    /// Version of the stored change. Absent for a foreign document, which is older than every change.
    pub version: Option<Version>,
    /// Event time of the stored change.
    pub event_time: Option<Timestamp>,
    /// Time of the write, by the writing process's clock.
    pub written_at: Option<Timestamp>,
    /// Time of the read that gave the content, for a document that a backfill or a repair wrote.
    pub read_at: Option<Timestamp>,
    /// Time at which the item expired, for a document that stays after that.
    pub expired_at: Option<Timestamp>,
    /// Digest of the item's key, where two keys may give one id.
    pub key: Option<KeyDigest>,
    /// True for a tombstone.
    pub deleted: bool,
    /// Position of this state.
    pub position: Position,
}

/// Item that a stored document belongs to, as another item of the same id sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The same item, or nothing shows another one.
    Same,
    /// Another item, which was deleted: its tombstone may be replaced.
    OtherDeleted,
    /// Another item, whose document must stay.
    Other,
}

impl StoredState {
    /// Returns the holder of this state, as seen from an id with the digest of its key.
    #[must_use]
    pub fn holder(&self, id: &DocumentId) -> Holder {
        match (id.key(), self.key) {
            (Some(own), Some(stored)) if own != stored => {
                if self.deleted {
                    Holder::OtherDeleted
                } else {
                    Holder::Other
                }
            }
            _ => Holder::Same,
        }
    }
}

/// Condition for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCondition {
    /// The document does not exist.
    IfAbsent,
    /// The document is still at this position.
    IfUnchanged(Position),
}

/// One conditional write of one document.
#[derive(Debug, Clone, Copy)]
pub struct ConditionalWrite<'a> {
    /// Id of the document to write.
    pub id: &'a DocumentId,
    /// Condition of the write.
    pub condition: WriteCondition,
    /// New content of the document.
    pub content: &'a Content,
    /// New version of the document.
    pub version: &'a Version,
    /// Event time of the change.
    pub event_time: Option<Timestamp>,
    /// Time of the write, by the function's clock.
    pub written_at: Timestamp,
    /// Time of the read that gave the content, by the function's clock; absent for a change of a stream.
    pub read_at: Option<Timestamp>,
}

/// Result of one write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The document is at this new position.
    Done(Position),
    /// The condition did not hold.
    Conflict,
}

/// Limit for [`Call::doublings`]: 64 times the request time-out.
pub(crate) const MAX_DOUBLINGS: u32 = 6;

/// Parameters of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Deadline of the call.
    pub deadline: Instant,
    /// Maximum number of documents in one request.
    pub max_documents: usize,
    /// Number of times to double the request time-out.
    pub doublings: u32,
    /// Adds a probe to each request. If the index refuses the probe, no refusal is due to a document: each becomes a
    /// [`Problem::Probe`].
    pub with_probe: bool,
}

impl Call {
    /// Returns the default call: the target decides the size and the time-out of requests.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self { deadline, max_documents: usize::MAX, doublings: 0, with_probe: false }
    }
}

/// An index that checks conditions of writes.
pub trait Target: Send + Sync {
    /// Reads the newest states of documents, refreshed or not; `None` for a document that does not exist.
    fn read(
        &self,
        ids: &[&DocumentId],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Option<StoredState>, Problem>>> + Send;

    /// Writes documents, each at most once per call.
    fn write(
        &self,
        writes: &[ConditionalWrite<'_>],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Written, Problem>>> + Send;

    /// Writes a probe's document into the shard of `beside`, reads it back with its version, and deletes it. No item
    /// has the probe's id.
    ///
    /// # Errors
    /// Fails with a problem of the deployment, or one that may pass; never with one of a document.
    fn probe_beside(&self, beside: &DocumentId, deadline: Instant) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// Whole document as an index holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// State of the document.
    pub state: StoredState,
    /// Content of the document.
    pub body: StoredBody,
}

/// Content of a stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredBody {
    /// JSON object without `_driftless`, byte for byte as it was written.
    Document(Vec<u8>),
    /// A tombstone, left by a deletion.
    Tombstone,
    /// The whole source of a document that does not end with `_driftless`: driftless did not write it so.
    Foreign(Vec<u8>),
}

/// Documents that a page of an index lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// All documents but tombstones.
    Live,
    /// Tombstones written before this time.
    TombstonesBefore(Timestamp),
    /// All documents but tombstones and those of expired items.
    OfItems,
    /// Documents of items that expired before this time.
    ExpiredBefore(Timestamp),
    /// Tombstones, and documents of expired items.
    WithoutItems,
}

/// Document that a page lists. It may have changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDocument {
    /// Id of the document.
    pub id: DocumentId,
    /// Position at which it was found.
    pub position: Position,
}

/// Page of an index, in the order of sequence numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentPage {
    /// Documents of the page.
    pub found: Vec<ListedDocument>,
    /// Sequence number at which the next page begins; absent after the last page.
    pub next: Option<u64>,
}

/// Result of deleting one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The document is gone for good.
    Done,
    /// The document was no longer at its position.
    Moved,
}

/// An index whose documents can be read as a whole, listed and removed: for verify and purge.
///
/// Contract: a listing goes by `_seq_no`. Each write gives its document a higher number. So a document that exists
/// throughout a listing is on one of its pages at least, and a listing may be taken up again at any page. What was not
/// refreshed yet is not listed.
pub trait Documents: Target {
    /// Reads whole documents, refreshed or not; `None` for a document that does not exist.
    fn read_documents(
        &self,
        ids: &[&DocumentId],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Option<StoredDocument>, Problem>>> + Send;

    /// Counts documents.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    fn count(&self, counted: Listed, deadline: Instant) -> impl Future<Output = Result<u64, Problem>> + Send;

    /// Lists one page of documents from this sequence number on.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    fn list(
        &self,
        listed: Listed,
        from: u64,
        deadline: Instant,
    ) -> impl Future<Output = Result<DocumentPage, Problem>> + Send;

    /// Returns the ids of up to `most` documents that were written last, tombstones included.
    ///
    /// # Errors
    /// Fails with the engine's problem.
    fn latest(&self, most: usize, deadline: Instant) -> impl Future<Output = Result<Vec<DocumentId>, Problem>> + Send;

    /// Deletes documents for good, each on the condition of its position.
    fn delete(
        &self,
        found: &[ListedDocument],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Deleted, Problem>>> + Send;
}
