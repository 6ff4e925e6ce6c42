//! Reads of both sides, repeated while their problem may pass.

use driftless::document_id::DocumentId;
use driftless::function::FunctionError;
use driftless::function::retry::{pauses, read_documents};
use driftless::table::{Consistency, FoundItems, Key, Table, TableError};
use driftless::target::{Documents, StoredDocument};
use tokio::time::Instant;

use super::Verify;

impl<T: Documents, B: Table> Verify<'_, T, B> {
    /// Reads whole documents, and again those whose read failed.
    pub(super) async fn read_documents(
        &self,
        ids: &[&DocumentId],
        deadline: Instant,
    ) -> Result<Vec<Option<StoredDocument>>, FunctionError> {
        read_documents(self.writer.target(), ids, deadline).await
    }

    /// Reads items, and again while the table may answer later.
    pub(super) async fn get(
        &self,
        keys: &[Key],
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<FoundItems, TableError> {
        if keys.is_empty() {
            return Ok(FoundItems::default());
        }
        let mut pauses = pauses();
        loop {
            match self.table.get(keys, consistency, deadline).await {
                Err(error) if error.may_pass() && pauses.wait_before(deadline).await => {}
                answer => return answer,
            }
        }
    }
}
