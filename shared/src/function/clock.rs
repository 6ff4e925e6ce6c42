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

/// Times of one slice of long work, which goes on in the next invocation.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Time after which nothing new is begun.
    pub stop: Instant,
    /// Deadline for what is under way.
    pub deadline: Instant,
}

impl Slice {
    /// Computes the slice of an invocation that has just begun, and must end its work at `deadline`. The last minute is
    /// kept for what is under way, or a tenth of a shorter invocation.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        const CLOSING: Duration = Duration::from_secs(60);
        let left = deadline.saturating_duration_since(Instant::now());
        let stop = deadline.checked_sub(CLOSING.min(left / 10)).unwrap_or(deadline);
        Self { stop, deadline }
    }

    /// Returns `true` if something new may be begun.
    #[must_use]
    pub fn may_begin(&self) -> bool {
        Instant::now() < self.stop
    }
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
