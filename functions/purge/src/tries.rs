//! The loop of tries: each document of a part is tried until it has ended, or the time is up.

use driftless::function::FunctionError;
use driftless::function::retry::pauses;
use driftless::outcome::{Problem, Treatment};
use driftless::target::ListedDocument;
use tokio::time::Instant;

use crate::report::PurgeReport;

/// Result of one try for one document.
pub(crate) enum Try {
    /// The document is as it is to be.
    Ended,
    /// The document was no longer at its position.
    Moved,
    /// Another try may succeed, unless the problem is lasting.
    Problem(Problem),
}

/// Tries documents, and again those whose try may succeed later. Returns the number that ended, and counts the others.
pub(crate) async fn try_until_ended(
    part: &[ListedDocument],
    deadline: Instant,
    report: &mut PurgeReport,
    try_all: impl AsyncFn(&[ListedDocument]) -> Vec<Try>,
) -> Result<u64, FunctionError> {
    let mut pauses = pauses();
    let mut open = part.to_vec();
    let mut ended = 0;
    loop {
        let tries = try_all(&open).await;
        let mut left = Vec::new();
        for (found, result) in open.into_iter().zip(tries) {
            match result {
                Try::Ended => ended += 1,
                Try::Moved => report.moved += 1,
                Try::Problem(problem) => match problem.unless_configuration()?.treatment() {
                    Treatment::Retry => left.push(found),
                    Treatment::Reject | Treatment::Configuration => report.failed += 1,
                },
            }
        }
        if left.is_empty() {
            return Ok(ended);
        }
        if !pauses.wait_before(deadline).await {
            report.failed += left.len() as u64;
            return Ok(ended);
        }
        open = left;
    }
}
