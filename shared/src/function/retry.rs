//! Calls of the engine outside the writer, repeated while their problem may pass.

use std::time::Duration;

use tokio::time::Instant;

use super::error::FunctionError;
use crate::backoff::Backoff;
use crate::outcome::Problem;

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
