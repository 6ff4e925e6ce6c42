//! The target with conditional writes on a real index.

use std::sync::Arc;

use tokio::time::Instant;

use super::engine::{Engine, Wait};
use super::index::PhysicalIndex;
use crate::document_id::DocumentId;
use crate::outcome::Problem;
use crate::target::{
    Call, ConditionalWrite, Deleted, DocumentPage, Documents, Listed, ListedDocument, StoredDocument, StoredState,
    Target, Written,
};

/// Reads with `_mget`, writes with `_bulk`, both through the index's write alias.
#[derive(Debug, Clone)]
pub struct OpenSearchTarget {
    engine: Arc<Engine>,
    index: Arc<PhysicalIndex>,
}

impl OpenSearchTarget {
    /// Creates a target on an index that [`Engine::ensure_index`] found or created.
    #[must_use]
    pub fn new(engine: Arc<Engine>, index: PhysicalIndex) -> Self {
        Self { engine, index: Arc::new(index) }
    }

    /// Returns the physical index.
    #[must_use]
    pub fn index(&self) -> &PhysicalIndex {
        &self.index
    }
}

impl Target for OpenSearchTarget {
    async fn read(&self, ids: &[&DocumentId], call: Call) -> Vec<Result<Option<StoredState>, Problem>> {
        let wait = Wait { deadline: call.deadline, doublings: call.doublings };
        self.engine.mget(&self.index.alias, ids, wait).await
    }

    async fn write(&self, writes: &[ConditionalWrite<'_>], call: Call) -> Vec<Result<Written, Problem>> {
        self.engine.bulk(self.index.alias.bulk_path(), writes, call).await
    }

    async fn probe_beside(&self, beside: &DocumentId, deadline: Instant) -> Result<(), Problem> {
        self.engine.probe_beside(&self.index.alias, beside, deadline).await
    }
}

impl Documents for OpenSearchTarget {
    async fn read_documents(&self, ids: &[&DocumentId], call: Call) -> Vec<Result<Option<StoredDocument>, Problem>> {
        let wait = Wait { deadline: call.deadline, doublings: call.doublings };
        self.engine.whole_documents(&self.index.alias, ids, wait).await
    }

    async fn count(&self, counted: Listed, deadline: Instant) -> Result<u64, Problem> {
        self.engine.count(&self.index.alias, counted, deadline).await
    }

    async fn list(&self, listed: Listed, from: u64, deadline: Instant) -> Result<DocumentPage, Problem> {
        self.engine.list(&self.index.alias, listed, from, deadline).await
    }

    async fn latest(&self, most: usize, deadline: Instant) -> Result<Vec<DocumentId>, Problem> {
        self.engine.latest(&self.index.alias, most, deadline).await
    }

    async fn delete(&self, found: &[ListedDocument], call: Call) -> Vec<Result<Deleted, Problem>> {
        self.engine.delete_found(&self.index.alias, found, call).await
    }
}
