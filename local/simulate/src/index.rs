//! Indexes that the simulation plays on: the target in memory, or the real engine.

use std::collections::BTreeMap;
use std::future::Future;

use driftless::document_id::DocumentId;
use driftless::memory::{MemoryDocument, MemoryTarget};
use driftless::outcome::Problem;
use driftless::target::{Call, ConditionalWrite, Position, StoredState, Target, Written};
use driftless::time::Timestamp;

/// Name of the field that the engine refuses until its mapping is mended.
pub const POISON: &str = "poison";

/// A tombstone, as a search finds it. It may be something else by now.
#[derive(Clone, Debug)]
pub struct Tombstone {
    /// Id of the removed document.
    pub id: DocumentId,
    /// State in which it was found.
    pub position: Position,
    /// Time of its write, by the writer's clock.
    pub written_at: Timestamp,
}

/// An index that the simulation plays on. What only the model can has a default that is no fault.
pub trait SimulatedIndex: Target + Clone + 'static {
    /// Returns what readers see: documents by id, without `_driftless`.
    fn visible(&self) -> impl Future<Output = BTreeMap<String, String>> + Send;

    /// Returns all tombstones, however old.
    fn tombstones(&self) -> impl Future<Output = Vec<Tombstone>> + Send;

    /// Deletes a document for good if it is in this state.
    fn delete(&self, id: &DocumentId, state: Position) -> impl Future<Output = ()> + Send;

    /// Accepts documents with the field [`POISON`] from now on.
    fn mend(&self) -> impl Future<Output = ()> + Send;

    /// Reads the states before the last writes, as from a copy that lags behind.
    fn read_outdated(
        &self,
        ids: &[&DocumentId],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Option<StoredState>, Problem>>> + Send {
        self.read(ids, call)
    }

    /// Writes to the primary only. The copies of the shard get it by [`SimulatedIndex::replicate`], unless one of them
    /// takes over before.
    fn write_to_primary(
        &self,
        writes: &[ConditionalWrite<'_>],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Written, Problem>>> + Send {
        self.write(writes, call)
    }

    /// Brings the copies up to the primary for one document, if it is still in this state.
    fn replicate(&self, _: &DocumentId, _: Position) {}

    /// Promotes a copy to primary. What it lacks is gone.
    fn fail_over(&self) {}

    /// Closes the index for writes, or opens it again.
    fn set_closed(&self, _: bool) {}
}

/// Returns the model's index, empty.
pub(crate) fn model() -> MemoryTarget {
    let index = MemoryTarget::default();
    index.refuse_field(POISON);
    index
}

impl SimulatedIndex for MemoryTarget {
    async fn visible(&self) -> BTreeMap<String, String> {
        self.visible()
    }

    async fn tombstones(&self) -> Vec<Tombstone> {
        let tombstone = |(id, document): (DocumentId, MemoryDocument)| {
            let written_at = document.written_at.filter(|_| document.is_tombstone())?;
            Some(Tombstone { id, position: document.position, written_at })
        };
        self.documents().into_iter().filter_map(tombstone).collect()
    }

    async fn delete(&self, id: &DocumentId, state: Position) {
        self.delete(id, state);
    }

    async fn mend(&self) {
        self.accept_field(POISON);
    }

    async fn read_outdated(&self, ids: &[&DocumentId], _: Call) -> Vec<Result<Option<StoredState>, Problem>> {
        self.read_outdated(ids).into_iter().map(Ok).collect()
    }

    async fn write_to_primary(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        self.write_to_primary(writes, call)
    }

    fn replicate(&self, id: &DocumentId, state: Position) {
        self.replicate(id, state);
    }

    fn fail_over(&self) {
        self.fail_over();
    }

    fn set_closed(&self, is_closed: bool) {
        self.set_closed(is_closed);
    }
}
