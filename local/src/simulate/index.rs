//! The model's index: the engine's semantics of conditional writes, without the engine.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use driftless::change::Content;
use driftless::document_id::DocumentId;
use driftless::outcome::{Problem, Refusal};
use driftless::target::{Guard as State, GuardedWrite, Position, Stored, Target, Written};
use driftless::time::Timestamp;
use tokio::time::Instant;

use super::guard::{Guard, Missing};

/// The field that the engine refuses until its mapping is mended.
pub const POISON: &str = "\"poison\":";

/// A tombstone, as a search finds it: it may be something else by now.
#[derive(Clone, Debug)]
pub struct Tombstone {
    /// Whose.
    pub id: DocumentId,
    /// In which state it was found.
    pub position: Position,
    /// When it was written, by the writer's clock.
    pub written_at: Timestamp,
}

/// An index that the simulation plays on: the model, or the real engine.
pub trait Index: Target + Clone + 'static {
    /// What readers see: documents by id, without `_driftless`.
    fn visible(&self) -> impl Future<Output = BTreeMap<String, String>> + Send;

    /// All tombstones.
    fn tombstones(&self) -> impl Future<Output = Vec<Tombstone>> + Send;

    /// Deletes a document for good if it is in this state; without one, whatever its state.
    fn delete(&self, id: &DocumentId, state: Option<&Position>) -> impl Future<Output = ()> + Send;

    /// From now on, documents with the field [`POISON`] are accepted.
    fn mend(&self) -> impl Future<Output = ()> + Send;

    /// Reads the states before the last writes, as a copy that lags behind would show them.
    fn read_outdated(
        &self,
        ids: &[&DocumentId],
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<Option<Stored>, Problem>>> + Send {
        self.read(ids, deadline)
    }

    /// Writes whatever the documents' states are. Only the model can: it is what a missing guard looks like.
    fn force(
        &self,
        writes: &[GuardedWrite<'_>],
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<Written, Problem>>> + Send {
        self.write(writes, deadline)
    }
}

struct Document {
    content: Content,
    stored: Stored,
    /// The state before, which a copy that lags behind still has.
    before: Option<Stored>,
    written_at: Timestamp,
    deleted: bool,
}

#[derive(Default)]
struct Documents {
    documents: BTreeMap<DocumentId, Document>,
    seq_no: u64,
    mended: bool,
    missing: Missing,
}

/// The model. Clones share one index.
#[derive(Clone, Default)]
pub struct ModelIndex(Arc<Mutex<Documents>>);

impl ModelIndex {
    /// An empty index.
    #[must_use]
    pub fn new(missing: Missing) -> Self {
        Self(Arc::new(Mutex::new(Documents { missing, ..Documents::default() })))
    }

    fn documents(&self) -> MutexGuard<'_, Documents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Documents {
    fn write(&mut self, write: &GuardedWrite<'_>, forced: bool) -> Result<Written, Problem> {
        if !self.mended && is_poison(write.content) {
            let refusal =
                Refusal { status: 400, kind: "strict_dynamic_mapping_exception".into(), reason: "poison".into() };
            return Err(Problem::Item(refusal));
        }
        let current = self.documents.get(write.id).map(|document| &document.stored.position);
        let holds = match write.guard {
            State::Absent => current.is_none(),
            State::At(position) => current == Some(position),
        };
        if !holds && !forced && self.missing.stands(Guard::AtomicWrite) {
            return Ok(Written::Conflict);
        }
        self.seq_no += 1;
        let position = position(self.seq_no);
        let deleted = *write.content == Content::Removed;
        if deleted && !self.missing.stands(Guard::Tombstone) {
            self.documents.remove(write.id);
            return Ok(Written::Done(position));
        }
        let stored =
            Stored { version: Some(write.version.clone()), event_time: write.event_time, position: position.clone() };
        let before = self.documents.remove(write.id).map(|document| document.stored);
        let document =
            Document { content: write.content.clone(), stored, before, written_at: write.written_at, deleted };
        self.documents.insert(write.id.clone(), document);
        Ok(Written::Done(position))
    }
}

impl Target for ModelIndex {
    async fn read(&self, ids: &[&DocumentId], _: Instant) -> Vec<Result<Option<Stored>, Problem>> {
        let documents = self.documents();
        ids.iter().map(|id| Ok(documents.documents.get(id).map(|document| document.stored.clone()))).collect()
    }

    async fn write(&self, writes: &[GuardedWrite<'_>], _: Instant) -> Vec<Result<Written, Problem>> {
        let mut documents = self.documents();
        writes.iter().map(|write| documents.write(write, false)).collect()
    }
}

impl Index for ModelIndex {
    async fn visible(&self) -> BTreeMap<String, String> {
        let documents = self.documents();
        let shown = documents.documents.iter().filter_map(|(id, document)| match &document.content {
            Content::Document(json) => Some((id.to_string(), String::from_utf8_lossy(json.as_bytes()).into_owned())),
            Content::Removed => None,
        });
        shown.collect()
    }

    async fn tombstones(&self) -> Vec<Tombstone> {
        let documents = self.documents();
        let dead = documents.documents.iter().filter(|(_, document)| document.deleted);
        dead.map(|(id, document)| Tombstone {
            id: id.clone(),
            position: document.stored.position.clone(),
            written_at: document.written_at,
        })
        .collect()
    }

    async fn delete(&self, id: &DocumentId, state: Option<&Position>) {
        let mut documents = self.documents();
        let current = documents.documents.get(id).map(|document| &document.stored.position);
        if state.is_none() || current == state {
            documents.documents.remove(id);
        }
    }

    async fn mend(&self) {
        self.documents().mended = true;
    }

    async fn read_outdated(&self, ids: &[&DocumentId], _: Instant) -> Vec<Result<Option<Stored>, Problem>> {
        let documents = self.documents();
        ids.iter().map(|id| Ok(documents.documents.get(id).and_then(|document| document.before.clone()))).collect()
    }

    async fn force(&self, writes: &[GuardedWrite<'_>], _: Instant) -> Vec<Result<Written, Problem>> {
        let mut documents = self.documents();
        writes.iter().map(|write| documents.write(write, true)).collect()
    }
}

fn is_poison(content: &Content) -> bool {
    let Content::Document(document) = content else { return false };
    let poison = POISON.as_bytes();
    document.as_bytes().windows(poison.len()).any(|window| window == poison)
}

fn position(seq_no: u64) -> Position {
    Position { index: "model-000001".into(), seq_no, primary_term: 1 }
}
