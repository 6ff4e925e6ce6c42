//! The door to an index: reading what a write must be compared with, and writing under a guard.
//!
//! The contract that every target keeps, and that the writer's promises rest on:
//! - answers come in the order and number of what was asked;
//! - a guarded write happens if and only if the document is in the guarded state at that moment, atomically;
//! - a `Problem` on a write says nothing about whether it happened.

use std::future::Future;

use tokio::time::Instant;

use crate::change::Content;
use crate::document_id::DocumentId;
use crate::outcome::Problem;
use crate::time::Timestamp;
use crate::version::Version;

/// One state of one document, as the engine counts them. Means nothing in another index: a target leads to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// `_seq_no`.
    pub seq_no: u64,
    /// `_primary_term`.
    pub primary_term: u64,
}

/// What is known of a document that exists, tombstones included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Absent where the document was not written by driftless: older than every change.
    pub version: Option<Version>,
    /// Event time of the change that made it.
    pub event_time: Option<Timestamp>,
    /// Time of its writing, by the clock of the process that wrote it.
    pub written_at: Option<Timestamp>,
    /// Its state.
    pub position: Position,
}

/// The state that a document must be in for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It does not exist.
    Absent,
    /// It is still in this state.
    At(Position),
}

/// One write.
#[derive(Debug, Clone, Copy)]
pub struct GuardedWrite<'a> {
    /// The document.
    pub id: &'a DocumentId,
    /// The condition.
    pub guard: Guard,
    /// What it becomes.
    pub content: &'a Content,
    /// Its version from then on.
    pub version: &'a Version,
    /// Event time of the change.
    pub event_time: Option<Timestamp>,
    /// Time of writing, by the function's clock.
    pub written_at: Timestamp,
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The document is in this new state.
    Done(Position),
    /// It was not in the guarded state.
    Conflict,
}

/// How one call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// When it must be over.
    pub deadline: Instant,
    /// Most documents that share a request.
    pub max_documents: usize,
    /// How often the time for one answer is doubled.
    pub doublings: u32,
    /// A probe goes along in each request. Where the index refuses that, too, no refusal is a document's own: each becomes
    /// a [`Problem::Probe`].
    pub with_probe: bool,
}

impl Call {
    /// The usual call: as many documents and as much time as the target finds right.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self { deadline, max_documents: usize::MAX, doublings: 0, with_probe: false }
    }
}

/// An index that guards its writes.
pub trait Target: Send + Sync {
    /// Reads the newest state of documents, whether refreshed or not; `None` where there is none.
    fn read(
        &self,
        ids: &[&DocumentId],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Option<Stored>, Problem>>> + Send;

    /// Writes; no two writes are of the same document.
    fn write(
        &self,
        writes: &[GuardedWrite<'_>],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Written, Problem>>> + Send;

    /// Writes a document that no item has into the shard that holds `beside`, reads it back with its version, and deletes it.
    ///
    /// # Errors
    /// A problem of the deployment, or one that may pass; never one of a document.
    fn probe_beside(&self, beside: &DocumentId, deadline: Instant) -> impl Future<Output = Result<(), Problem>> + Send;
}
