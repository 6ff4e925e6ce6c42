//! The function's clock: the only source of time, and the deadlines of an invocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout_at};

use super::error::FunctionError;
use crate::time::Timestamp;

/// Deadlines for the parts of an invocation. Everything that it awaits has one of them.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Deadline for set-up, reading and writing.
    pub work: Instant,
    /// Deadline for sending dead letters afterwards.
    pub dead_letters: Instant,
    /// Deadline for the answer. An invocation that is not over by then fails.
    pub answer: Instant,
}

impl Deadlines {
    /// Computes the deadlines from Lambda's (see [`time_left`]) and the margin that is kept for the answer.
    #[must_use]
    pub fn new(deadline_ms: u64, margin: Duration) -> Self {
        Self::before(Instant::now() + time_left(deadline_ms), margin)
    }

    /// Computes the deadlines from the moment at which Lambda ends the invocation.
    #[must_use]
    pub fn before(end: Instant, margin: Duration) -> Self {
        let work = end.checked_sub(margin).unwrap_or(end);
        Self { work, dead_letters: work + margin / 4, answer: work + margin / 2 }
    }

    /// Awaits an invocation until its answer is due.
    ///
    /// # Errors
    /// Fails with the invocation's own error, or because its time is over.
    pub async fn keep<T>(self, invocation: impl Future<Output = Result<T, FunctionError>>) -> Result<T, FunctionError> {
        timeout_at(self.answer, invocation).await.unwrap_or(Err(FunctionError::OutOfTime))
    }
}

/// Returns the current time.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Returns the time until Lambda ends the invocation, from its deadline in milliseconds since the epoch. `cargo lambda
/// watch` sends the remaining milliseconds instead, so a deadline within the first day of 1970 is read as such.
#[must_use]
pub fn time_left(deadline_ms: u64) -> Duration {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    if deadline_ms < DAY_MS {
        return Duration::from_millis(deadline_ms);
    }
    Duration::from_millis(Timestamp::from_millis(deadline_ms).millis_since(now()))
}

/// Returns the time at which long work ends its slice, so that what is under way can be finished: a minute before Lambda
/// ends the invocation, or a tenth of a shorter one.
#[must_use]
pub fn slice_end(deadline_ms: u64) -> Instant {
    const CLOSING: Duration = Duration::from_secs(60);
    let left = time_left(deadline_ms);
    Instant::now() + left.saturating_sub(CLOSING.min(left / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_read_from_lambda_and_from_cargo_lambda() {
        let in_ten_seconds = now().as_millis() + 10_000;
        assert!((9_000..=10_000).contains(&time_left(in_ten_seconds).as_millis()));
        assert_eq!(time_left(now().as_millis() - 1), Duration::ZERO);
        assert_eq!(time_left(600_000), Duration::from_secs(600));
    }
}
