//! Cache of the states that this process wrote last, from a stream: saves the read for hot documents. Bounded, and only
//! a hint. A stale entry costs a conflict, never a wrong write, because the engine checks the condition.

use quick_cache::sync::Cache;

use crate::document_id::DocumentId;
use crate::target::Position;
use crate::version::Version;

/// Number of remembered documents. An entry takes some 300 bytes, so 3 MB at most.
const DOCUMENTS: usize = 10_000;

#[derive(Debug)]
pub(super) struct StateCache(Cache<DocumentId, (Version, Position)>);

impl Default for StateCache {
    fn default() -> Self {
        Self(Cache::new(DOCUMENTS))
    }
}

impl StateCache {
    pub(super) fn get(&self, id: &DocumentId) -> Option<(Version, Position)> {
        self.0.get(id)
    }

    pub(super) fn remember(&self, id: &DocumentId, version: &Version, position: Position) {
        self.0.insert(id.clone(), (version.clone(), position));
    }

    pub(super) fn forget(&self, id: &DocumentId) {
        self.0.remove(id);
    }
}
