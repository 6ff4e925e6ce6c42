//! The function's clock: the only source of time, and the deadlines of an invocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout_at};

use super::error::FunctionError;
use super::settings::DEFAULT_ANSWER_MARGIN;
use crate::environment::Misconfigured;
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
    /// Margin and time of the invocation, in milliseconds, if the margin leaves no time for work.
    too_wide: Option<(u64, u64)>,
}

impl Deadlines {
    /// Computes the deadlines from Lambda's (see [`time_left`]) and the margin that is kept for the answer. A margin as
    /// long as the invocation gives way to the default one, and [`Deadlines::checked`] fails.
    #[must_use]
    pub fn new(deadline_ms: u64, margin: Duration) -> Self {
        let left = time_left(deadline_ms);
        let end = Instant::now() + left;
        if margin < left {
            return Self::before(end, margin);
        }
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let too_wide = Some((milliseconds(margin), milliseconds(left)));
        Self { too_wide, ..Self::before(end, DEFAULT_ANSWER_MARGIN.min(left / 2)) }
    }

    /// Checks that the margin leaves time for work.
    ///
    /// # Errors
    /// Fails if it does not, and names the variable.
    pub fn checked(self) -> Result<Self, Misconfigured> {
        match self.too_wide {
            None => Ok(self),
            Some((margin, left)) => Err(Misconfigured(vec![format!(
                "ANSWER_MARGIN_MS is {margin}, and the invocation has {left} ms: set it to less than the function's timeout"
            )])),
        }
    }

    /// Computes the deadlines from the moment at which Lambda ends the invocation.
    #[must_use]
    pub fn before(end: Instant, margin: Duration) -> Self {
        let work = end.checked_sub(margin).unwrap_or(end);
        Self { work, dead_letters: work + margin / 4, answer: work + margin / 2, too_wide: None }
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

    #[tokio::test]
    async fn a_margin_as_long_as_the_invocation_is_named_and_leaves_time_to_say_so() {
        let deadlines = Deadlines::new(3_000, Duration::from_secs(5));
        assert!(deadlines.work > Instant::now() + Duration::from_secs(2));
        let error = deadlines.checked().expect_err("no time for work").to_string();
        assert!(error.contains("ANSWER_MARGIN_MS is 5000, and the invocation has 3000 ms"), "{error}");
        assert!(Deadlines::new(3_000, Duration::from_secs(2)).checked().is_ok());
    }

    #[test]
    fn the_time_left_is_read_from_lambda_and_from_cargo_lambda() {
        let in_ten_seconds = now().as_millis() + 10_000;
        assert!((9_000..=10_000).contains(&time_left(in_ten_seconds).as_millis()));
        assert_eq!(time_left(now().as_millis() - 1), Duration::ZERO);
        assert_eq!(time_left(600_000), Duration::from_secs(600));
    }
}
