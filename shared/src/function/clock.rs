//! The function's clock: the one place where time comes in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

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
