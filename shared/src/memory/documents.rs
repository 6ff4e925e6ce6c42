//! Documents of an index in memory: OpenSearch's conditional writes, on the primary of a shard and its copies.

use std::collections::BTreeMap;

use crate::change::Content;
use crate::document_id::{DocumentId, KeyDigest};
use crate::target::{
    ConditionalWrite, Listed, Position, StoredBody, StoredDocument, StoredState, WriteCondition, Written,
};
use crate::time::Timestamp;
use crate::version::Version;

/// A document or a tombstone in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryDocument {
    /// Content as it was written.
    pub content: Content,
    /// Version as it was written; absent for a foreign document.
    pub version: Option<Version>,
    /// Time of the write, by the writer's clock.
    pub written_at: Option<Timestamp>,
    /// Time of the read that gave the content; absent for a change of a stream.
    pub read_at: Option<Timestamp>,
    /// Position of this state.
    pub position: Position,
    event_time: Option<Timestamp>,
    /// Digest of the item's key, where two keys may give one id.
    key: Option<KeyDigest>,
    /// Source that a foreign writer left, whatever the content was.
    foreign: Option<Vec<u8>>,
}

impl MemoryDocument {
    /// Returns its sequence number: the number of writes until then.
    #[must_use]
    pub fn seq_no(&self) -> u64 {
        self.position.seq_no
    }

    /// Returns `true` for a document without content that driftless wrote.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.content == Content::Tombstone && self.version.is_some() && self.foreign.is_none()
    }

    /// Returns `true` if a listing of this kind shows the document.
    pub(super) fn is_listed(&self, listed: Listed) -> bool {
        let is_tombstone = self.is_tombstone();
        let expired_at = self.stored().expired_at;
        match listed {
            Listed::Live => !is_tombstone,
            Listed::OfItems => !is_tombstone && expired_at.is_none(),
            Listed::WithoutItems => is_tombstone || expired_at.is_some(),
            Listed::ExpiredBefore(time) => expired_at.is_some_and(|expired_at| expired_at < time),
            Listed::TombstonesBefore(time) => {
                is_tombstone && self.written_at.is_some_and(|written_at| written_at < time)
            }
        }
    }

    /// Returns the document as a whole.
    pub(super) fn whole(&self) -> StoredDocument {
        let body = match (&self.foreign, &self.content) {
            (Some(source), _) => StoredBody::Foreign(source.clone()),
            (None, Content::Tombstone) if self.version.is_none() => StoredBody::Foreign(b"{}".to_vec()),
            (None, Content::Tombstone) => StoredBody::Tombstone,
            (None, Content::Document(document) | Content::Expired { document, .. }) => {
                StoredBody::Document(document.as_bytes().to_vec())
            }
        };
        StoredDocument { state: self.stored(), body }
    }

    fn stored(&self) -> StoredState {
        StoredState {
            version: self.version.clone(),
            event_time: self.event_time,
            written_at: self.written_at,
            read_at: self.read_at,
            expired_at: self.content.expired_at().filter(|_| self.foreign.is_none()),
            key: self.key,
            deleted: self.is_tombstone(),
            position: self.position,
        }
    }
}

/// Copies of a shard that have a write when it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The primary and all copies, as for a write that is acknowledged.
    AllCopies,
    /// Only the primary, which has not heard from the copies yet.
    Primary,
}

#[derive(Debug, Clone)]
struct Entry {
    document: MemoryDocument,
    /// State before the last write.
    before: Option<StoredState>,
}

/// All documents of an index.
#[derive(Debug, Default)]
pub(super) struct StoredDocuments {
    entries: BTreeMap<DocumentId, Entry>,
    /// Entries of the copies where the primary is ahead of them.
    behind: BTreeMap<DocumentId, Option<Entry>>,
    writes: u64,
    failovers: u64,
}

impl StoredDocuments {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&DocumentId, &MemoryDocument)> {
        self.entries.iter().map(|(id, entry)| (id, &entry.document))
    }

    /// Returns the newest state.
    pub(super) fn stored(&self, id: &DocumentId) -> Option<StoredState> {
        self.entries.get(&in_index(id)).map(|entry| entry.document.stored())
    }

    /// Returns the state before the last write.
    pub(super) fn stored_before(&self, id: &DocumentId) -> Option<StoredState> {
        self.entries.get(&in_index(id)).and_then(|entry| entry.before.clone())
    }

    /// Writes a document if its condition holds.
    pub(super) fn write(&mut self, write: &ConditionalWrite<'_>, reach: Reach) -> Written {
        let current = self.position(write.id);
        let holds = match write.condition {
            WriteCondition::IfAbsent => current.is_none(),
            WriteCondition::IfUnchanged(position) => current == Some(position),
        };
        if !holds {
            return Written::Conflict;
        }
        let position = self.next_position();
        let document = MemoryDocument {
            content: write.content.clone(),
            version: Some(write.version.clone()),
            written_at: Some(write.written_at),
            read_at: write.read_at,
            position,
            event_time: write.event_time,
            key: write.id.key(),
            foreign: None,
        };
        let id = in_index(write.id);
        let old = self.entries.remove(&id);
        let before = old.as_ref().map(|entry| entry.document.stored());
        match reach {
            // A document is replicated as a whole: with this state, the copies have all before it.
            Reach::AllCopies => drop(self.behind.remove(&id)),
            Reach::Primary => drop(self.behind.entry(id.clone()).or_insert(old)),
        }
        self.entries.insert(id, Entry { document, before });
        Written::Done(position)
    }

    /// Adds a document that driftless did not write.
    pub(super) fn put_foreign(&mut self, id: DocumentId) {
        let position = self.next_position();
        let content = Content::Tombstone;
        let (version, written_at, read_at, event_time, key, foreign) = (None, None, None, None, None, None);
        let document = MemoryDocument { content, version, written_at, read_at, position, event_time, key, foreign };
        self.entries.insert(id, Entry { document, before: None });
    }

    /// Replaces a document's source and keeps its version, as a foreign writer's partial update does.
    pub(super) fn disfigure(&mut self, id: &DocumentId, source: &[u8]) {
        let position = self.next_position();
        if let Some(entry) = self.entries.get_mut(&in_index(id)) {
            entry.before = Some(entry.document.stored());
            entry.document.foreign = Some(source.to_vec());
            entry.document.position = position;
        }
    }

    /// Deletes a document, tombstone and all, if it is in this state. Returns `true` if it was.
    pub(super) fn delete(&mut self, id: &DocumentId, state: Position) -> bool {
        let is_there = self.position(id) == Some(state);
        if is_there {
            self.entries.remove(&in_index(id));
            self.behind.remove(&in_index(id));
        }
        is_there
    }

    /// Brings the copies up to the primary for one document, if it is still in this state.
    pub(super) fn replicate(&mut self, id: &DocumentId, state: Position) {
        if self.position(id) == Some(state) {
            self.behind.remove(&in_index(id));
        }
    }

    /// Promotes a copy to primary. What it lacks is lost.
    pub(super) fn fail_over(&mut self) {
        self.failovers += 1;
        for (id, copy) in std::mem::take(&mut self.behind) {
            match copy {
                Some(entry) => self.entries.insert(id, entry),
                None => self.entries.remove(&id),
            };
        }
    }

    fn position(&self, id: &DocumentId) -> Option<Position> {
        self.entries.get(&in_index(id)).map(|entry| entry.document.position)
    }

    fn next_position(&mut self) -> Position {
        self.writes += 1;
        Position { seq_no: self.writes, primary_term: 1 + self.failovers }
    }
}

/// Returns the id as an index knows it: the text alone.
fn in_index(id: &DocumentId) -> DocumentId {
    DocumentId::from_stored(id.as_str().to_owned())
}
