//! The guarded target on a real index.

use std::sync::Arc;

use tokio::time::Instant;

use super::engine::Engine;
use crate::document_id::DocumentId;
use crate::outcome::Problem;
use crate::target::{GuardedWrite, Stored, Target, Written};

/// Reads with `_mget`, writes with `_bulk`, through the write alias.
#[derive(Debug, Clone)]
pub struct OpenSearchTarget(Arc<Engine>);

impl OpenSearchTarget {
    /// A target on the engine's index, which must exist.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }
}

impl Target for OpenSearchTarget {
    async fn read(&self, ids: &[&DocumentId], deadline: Instant) -> Vec<Result<Option<Stored>, Problem>> {
        self.0.mget(ids, deadline).await
    }

    async fn write(&self, writes: &[GuardedWrite<'_>], deadline: Instant) -> Vec<Result<Written, Problem>> {
        self.0.bulk(writes, deadline).await
    }
}
