//! The door to an index: reading what a write must be compared with, and writing under a guard.
//!
//! The contract that every target keeps, and that the writer's promises rest on:
//! - answers come in the order and number of what was asked;
//! - a guarded write happens if and only if the document is in the guarded state at that moment, atomically;
//! - a `Problem` on a write says nothing about whether it happened.

use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use crate::change::Content;
use crate::document_id::DocumentId;
use crate::outcome::Problem;
use crate::time::Timestamp;
use crate::version::Version;

/// One state of one document, as the engine counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The physical index: sequence numbers mean nothing in another one.
    pub index: Arc<str>,
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
    /// Its state.
    pub position: Position,
}

/// The state that a document must be in for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard<'a> {
    /// It does not exist.
    Absent,
    /// It is still in this state.
    At(&'a Position),
}

/// One write.
#[derive(Debug, Clone, Copy)]
pub struct GuardedWrite<'a> {
    /// The document.
    pub id: &'a DocumentId,
    /// The condition.
    pub guard: Guard<'a>,
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

/// An index that guards its writes.
pub trait Target: Send + Sync {
    /// Reads the newest state of documents, whether refreshed or not; `None` where there is none.
    fn read(
        &self,
        ids: &[&DocumentId],
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<Option<Stored>, Problem>>> + Send;

    /// Writes; no two writes are of the same document.
    fn write(
        &self,
        writes: &[GuardedWrite<'_>],
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<Written, Problem>>> + Send;
}
