//! The guarded target on a real index.

use std::sync::Arc;

use tokio::time::Instant;

use super::engine::Engine;
use super::index_name::WriteAlias;
use crate::document_id::DocumentId;
use crate::outcome::Problem;
use crate::target::{GuardedWrite, Stored, Target, Written};

/// Reads with `_mget`, writes with `_bulk`, both through the index's write alias.
#[derive(Debug, Clone)]
pub struct OpenSearchTarget {
    engine: Arc<Engine>,
    alias: WriteAlias,
}

impl OpenSearchTarget {
    /// A target on the engine's index: its write alias is what [`Engine::ensure_index`] found or made.
    #[must_use]
    pub fn new(engine: Arc<Engine>, alias: WriteAlias) -> Self {
        Self { engine, alias }
    }
}

impl Target for OpenSearchTarget {
    async fn read(&self, ids: &[&DocumentId], deadline: Instant) -> Vec<Result<Option<Stored>, Problem>> {
        self.engine.mget(&self.alias, ids, deadline).await
    }

    async fn write(&self, writes: &[GuardedWrite<'_>], deadline: Instant) -> Vec<Result<Written, Problem>> {
        self.engine.bulk(self.alias.bulk_path(), writes, deadline).await
    }
}
