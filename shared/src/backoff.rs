//! Exponential backoff with jitter: the only way in which anything here is retried.

use std::time::Duration;

use tokio::time::Instant;

/// Delays that double from retry to retry, up to a maximum. Each is shortened at random by up to a half, so that
/// processes which were refused together do not return together.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Creates delays from `first` to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Returns the next delay.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next.min(self.longest);
        self.next = pause.saturating_mul(2);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Sleeps for the next delay. Returns `false` immediately if the deadline comes before its end.
    pub async fn wait_before(&mut self, deadline: Instant) -> bool {
        let pause = self.next_pause();
        if Instant::now() + pause >= deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_lose_at_most_half() {
        let mut backoff = Backoff::new(40 * MS, 200 * MS);
        for whole in [40, 80, 160, 200, 200] {
            let pause = backoff.next_pause();
            assert!(pause >= whole * MS / 2 && pause <= whole * MS, "{pause:?} of {whole} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_past_its_deadline() {
        let mut backoff = Backoff::new(100 * MS, 100 * MS);
        let started = Instant::now();
        assert!(backoff.wait_before(started + 1_000 * MS).await);
        let waited = started.elapsed();
        assert!(waited >= 50 * MS && waited <= 101 * MS, "{waited:?}");
        assert!(!backoff.wait_before(Instant::now() + 50 * MS).await);
        assert_eq!(started.elapsed(), waited, "it says so immediately");
    }
}
