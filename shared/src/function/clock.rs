//! The function's clock: the one place where time comes in, and where it is told how much of it an invocation has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout_at};

use super::error::FunctionError;
use crate::time::Timestamp;

/// When the parts of an invocation must be done. Whatever it awaits stands under one of them.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Set-up, reading and writing.
    pub work: Instant,
    /// Sending dead letters, after it.
    pub letters: Instant,
    /// The answer: what is not done by then has broken its deadline.
    pub answer: Instant,
}

impl Deadlines {
    /// The deadlines of an invocation, from Lambda's (see [`time_left`]) and the time that is kept for the answer.
    #[must_use]
    pub fn new(deadline_ms: u64, margin: Duration) -> Self {
        Self::before(Instant::now() + time_left(deadline_ms), margin)
    }

    /// The same from the moment at which Lambda ends the invocation.
    #[must_use]
    pub fn before(end: Instant, margin: Duration) -> Self {
        let work = end.checked_sub(margin).unwrap_or(end);
        Self { work, letters: work + margin / 4, answer: work + margin / 2 }
    }

    /// Waits for an invocation's end, and no longer than until its answer must be given.
    ///
    /// # Errors
    /// Its own, or that its time is over.
    pub async fn keep<T>(self, invocation: impl Future<Output = Result<T, FunctionError>>) -> Result<T, FunctionError> {
        timeout_at(self.answer, invocation).await.unwrap_or(Err(FunctionError::OutOfTime))
    }
}

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Time until Lambda ends the invocation, from its deadline in milliseconds since the epoch. `cargo lambda watch` sends
/// the milliseconds that are left instead: a deadline within the first day of 1970 is taken so.
#[must_use]
pub fn time_left(deadline_ms: u64) -> Duration {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    if deadline_ms < DAY_MS {
        return Duration::from_millis(deadline_ms);
    }
    Duration::from_millis(Timestamp::from_millis(deadline_ms).millis_since(now()))
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
