//! Calls of the engine outside the writer, repeated while their problem may pass.

use std::time::Duration;

use tokio::time::Instant;

use super::error::FunctionError;
use crate::backoff::Backoff;
use crate::document_id::DocumentId;
use crate::outcome::Problem;
use crate::target::{Call, Documents, StoredDocument};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Returns the pauses between two attempts at a call.
#[must_use]
pub fn pauses() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
}

/// Calls the engine, and again while the problem may pass.
///
/// # Errors
/// Fails if the deployment is wrong, or the deadline comes first.
pub async fn retry<V>(deadline: Instant, call: impl AsyncFn() -> Result<V, Problem>) -> Result<V, FunctionError> {
    let mut pauses = pauses();
    loop {
        let problem = match call().await {
            Ok(value) => return Ok(value),
            Err(problem) => problem.unless_configuration()?,
        };
        if !pauses.wait_before(deadline).await {
            return Err(FunctionError::Unavailable(problem));
        }
    }
}

/// Reads whole documents, and again those whose read failed, in the order of `ids`.
///
/// # Errors
/// Fails if the deployment is wrong, or the deadline comes first.
pub async fn read_documents<D: Documents>(
    target: &D,
    ids: &[&DocumentId],
    deadline: Instant,
) -> Result<Vec<Option<StoredDocument>>, FunctionError> {
    let mut found: Vec<Option<StoredDocument>> = vec![None; ids.len()];
    let mut open: Vec<usize> = (0..ids.len()).collect();
    let mut pauses = pauses();
    while !open.is_empty() {
        let due: Vec<&DocumentId> = open.iter().map(|&at| ids[at]).collect();
        let answers = target.read_documents(&due, Call::until(deadline)).await;
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
