//! True time of a run. Processes have clocks of their own, which are wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Start of every run, in milliseconds since the epoch.
const START_MS: u64 = 1_768_469_467_000;

/// Clock of virtual time, which can skip some.
pub(crate) struct Clock {
    start: Instant,
    /// Time that was skipped: nobody waited for it.
    skipped_ms: AtomicU64,
}

impl Clock {
    /// Starts a clock at the start of a run.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), skipped_ms: AtomicU64::new(0) }
    }

    /// Returns the milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        START_MS + self.skipped_ms.load(Ordering::Relaxed) + self.elapsed_ms()
    }

    /// Returns the milliseconds since the start, without those that were skipped.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        millis(self.start.elapsed())
    }

    /// Skips some time immediately.
    pub(crate) fn skip(&self, time: Duration) {
        self.skipped_ms.fetch_add(millis(time), Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
