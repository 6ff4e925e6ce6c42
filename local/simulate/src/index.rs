//! The model's index: the engine's semantics of conditional writes, without the engine.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use driftless::change::Content;
use driftless::document_id::DocumentId;
use driftless::outcome::{Problem, Refusal};
use driftless::target::{Call, ConditionalWrite, Position, StoredState, Target, WriteCondition, Written};
use driftless::time::Timestamp;
use tokio::time::Instant;

use crate::guard::{Guard, Missing};

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
        call: Call,
    ) -> impl Future<Output = Vec<Result<Option<StoredState>, Problem>>> + Send {
        self.read(ids, call)
    }

    /// Writes to the primary only: the copies of the shard get it when they are told to, unless one of them takes over
    /// before. Only the model can.
    fn write_to_primary(
        &self,
        writes: &[ConditionalWrite<'_>],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Written, Problem>>> + Send {
        self.write(writes, call)
    }

    /// The copies get what they lack of a document, if it still is in this state.
    fn replicate(&self, _: &DocumentId, _: Position) {}

    /// A copy takes the primary's place: what it lacks is gone.
    fn fail_over(&self) {}

    /// From now on the index takes no writes, or takes them again.
    fn close(&self, _: bool) {}

    /// Writes whatever the documents' states are. Only the model can: it is what a missing guard looks like.
    fn force(
        &self,
        writes: &[ConditionalWrite<'_>],
        call: Call,
    ) -> impl Future<Output = Vec<Result<Written, Problem>>> + Send {
        self.write(writes, call)
    }
}

#[derive(Clone)]
struct Document {
    content: Content,
    stored: StoredState,
    /// The state before, which a copy that lags behind still has.
    before: Option<StoredState>,
    written_at: Timestamp,
    deleted: bool,
}

#[derive(Default)]
struct Documents {
    documents: BTreeMap<DocumentId, Document>,
    /// What the copies have of documents that the primary has newer.
    copies: BTreeMap<DocumentId, Option<Document>>,
    seq_no: u64,
    /// How often a copy took over.
    failovers: u64,
    closed: bool,
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

/// Whom a write reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    AllCopies,
    PrimaryOnly,
}

impl Documents {
    fn write(
        &mut self,
        write: &ConditionalWrite<'_>,
        forced: bool,
        (reach, call): (Reach, Call),
    ) -> Result<Written, Problem> {
        if self.closed {
            return Err(if call.with_probe { closed() } else { refusal("index_closed_exception") });
        }
        if !self.mended && is_poison(write.content) {
            return Err(refusal("strict_dynamic_mapping_exception"));
        }
        let current = self.documents.get(write.id).map(|document| document.stored.position);
        let holds = match write.condition {
            WriteCondition::IfAbsent => current.is_none(),
            WriteCondition::IfUnchanged(position) => current == Some(position),
        };
        if !holds && !forced && self.missing.stands(Guard::AtomicWrite) {
            return Ok(Written::Conflict);
        }
        self.seq_no += 1;
        let position = Position { seq_no: self.seq_no, primary_term: 1 + self.failovers };
        let before = self.documents.remove(write.id);
        match reach {
            // A document is replicated as a whole: with this state the copies have all before it.
            Reach::AllCopies => drop(self.copies.remove(write.id)),
            Reach::PrimaryOnly => drop(self.copies.entry(write.id.clone()).or_insert_with(|| before.clone())),
        }
        let deleted = *write.content == Content::Tombstone;
        if deleted && !self.missing.stands(Guard::Tombstone) {
            return Ok(Written::Done(position));
        }
        let stored = StoredState {
            version: Some(write.version.clone()),
            event_time: write.event_time,
            written_at: Some(write.written_at),
            position,
        };
        let before = before.map(|document| document.stored);
        let document =
            Document { content: write.content.clone(), stored, before, written_at: write.written_at, deleted };
        self.documents.insert(write.id.clone(), document);
        Ok(Written::Done(position))
    }
}

/// What a probe shows of an index that takes no writes.
fn closed() -> Problem {
    Problem::Probe("the index is closed".into())
}

/// A refusal for good, as an engine words it per document.
fn refusal(kind: &str) -> Problem {
    Problem::Item(Refusal { status: 400, kind: kind.into(), reason: "refused".into() })
}

impl Target for ModelIndex {
    async fn read(&self, ids: &[&DocumentId], _: Call) -> Vec<Result<Option<StoredState>, Problem>> {
        let documents = self.documents();
        ids.iter().map(|id| Ok(documents.documents.get(id).map(|document| document.stored.clone()))).collect()
    }

    async fn write(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let mut documents = self.documents();
        writes.iter().map(|write| documents.write(write, false, (Reach::AllCopies, call))).collect()
    }

    async fn probe_beside(&self, _: &DocumentId, _: Instant) -> Result<(), Problem> {
        if self.documents().closed { Err(closed()) } else { Ok(()) }
    }
}

impl Index for ModelIndex {
    async fn visible(&self) -> BTreeMap<String, String> {
        let documents = self.documents();
        let shown = documents.documents.iter().filter_map(|(id, document)| match &document.content {
            Content::Document(json) => Some((id.to_string(), String::from_utf8_lossy(json.as_bytes()).into_owned())),
            Content::Tombstone => None,
        });
        shown.collect()
    }

    async fn tombstones(&self) -> Vec<Tombstone> {
        let documents = self.documents();
        let dead = documents.documents.iter().filter(|(_, document)| document.deleted);
        dead.map(|(id, document)| Tombstone {
            id: id.clone(),
            position: document.stored.position,
            written_at: document.written_at,
        })
        .collect()
    }

    async fn delete(&self, id: &DocumentId, state: Option<&Position>) {
        let mut documents = self.documents();
        let current = documents.documents.get(id).map(|document| &document.stored.position);
        if state.is_none() || current == state {
            documents.documents.remove(id);
            documents.copies.remove(id);
        }
    }

    async fn mend(&self) {
        self.documents().mended = true;
    }

    async fn write_to_primary(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let mut documents = self.documents();
        writes.iter().map(|write| documents.write(write, false, (Reach::PrimaryOnly, call))).collect()
    }

    fn replicate(&self, id: &DocumentId, state: Position) {
        let mut documents = self.documents();
        if documents.documents.get(id).is_some_and(|document| document.stored.position == state) {
            documents.copies.remove(id);
        }
    }

    fn fail_over(&self) {
        let mut documents = self.documents();
        documents.failovers += 1;
        for (id, copy) in std::mem::take(&mut documents.copies) {
            match copy {
                Some(document) => documents.documents.insert(id, document),
                None => documents.documents.remove(&id),
            };
        }
    }

    fn close(&self, closed: bool) {
        self.documents().closed = closed;
    }

    async fn read_outdated(&self, ids: &[&DocumentId], _: Call) -> Vec<Result<Option<StoredState>, Problem>> {
        let documents = self.documents();
        ids.iter().map(|id| Ok(documents.documents.get(id).and_then(|document| document.before.clone()))).collect()
    }

    async fn force(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        let mut documents = self.documents();
        writes.iter().map(|write| documents.write(write, true, (Reach::AllCopies, call))).collect()
    }
}

fn is_poison(content: &Content) -> bool {
    let Content::Document(document) = content else { return false };
    let poison = POISON.as_bytes();
    document.as_bytes().windows(poison.len()).any(|window| window == poison)
}
