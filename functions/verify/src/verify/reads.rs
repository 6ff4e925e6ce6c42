//! Reads of both sides, repeated while their problem may pass.

use driftless::document_id::DocumentId;
use driftless::function::FunctionError;
use driftless::function::retry::pauses;
use driftless::table::{Consistency, FoundItems, Key, Table, TableError};
use driftless::target::{Call, Documents, StoredDocument};
use tokio::time::Instant;

use super::Verify;

impl<T: Documents, B: Table> Verify<'_, T, B> {
    /// Reads whole documents, and again those whose read failed.
    pub(super) async fn read_documents(
        &self,
        ids: &[&DocumentId],
        deadline: Instant,
    ) -> Result<Vec<Option<StoredDocument>>, FunctionError> {
        let mut found: Vec<Option<StoredDocument>> = vec![None; ids.len()];
        let mut open: Vec<usize> = (0..ids.len()).collect();
        let mut pauses = pauses();
        while !open.is_empty() {
            let due: Vec<&DocumentId> = open.iter().map(|&at| ids[at]).collect();
            let answers = self.writer.target().read_documents(&due, Call::until(deadline)).await;
            let mut last = None;
            let mut left = Vec::new();
            for (at, answer) in open.into_iter().zip(answers) {
                match answer {
                    Ok(document) => found[at] = document,
                    Err(problem) => {
                        last = Some(problem.unless_configuration()?);
                        left.push(at);
                    }
                }
            }
            open = left;
            if let Some(problem) = last
                && !pauses.wait_before(deadline).await
            {
                return Err(FunctionError::Unavailable(problem));
            }
        }
        Ok(found)
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
