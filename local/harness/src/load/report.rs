//! Report of a load, while it runs and afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::time::Instant;

use super::schedule::WriteKind;

/// Latencies are kept in microseconds with two significant digits, up to an hour.
const DIGITS: u8 = 2;
const LONGEST_US: u64 = 3_600_000_000;

/// Counters to look at while a load runs, and the means to hold it.
#[derive(Debug, Default)]
pub struct Meter {
    pub(super) due: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Written by who holds the load, read before each write.
    held: RwLock<()>,
}

impl Meter {
    /// Holds the load while the guard lives. No write is begun meanwhile, and the schedule goes on later by that time.
    pub async fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.held.write().await
    }

    /// Waits while the load is held, and tells for how long it did.
    pub(super) async fn while_held(&self) -> Duration {
        let begun = Instant::now();
        drop(self.held.read().await);
        begun.elapsed()
    }

    /// Writes whose time has come.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Writes that the table has answered, with success or not.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Returns the number of those that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// End of one write.
#[derive(Debug)]
pub(super) struct WriteOutcome {
    /// Kind of the write by the table's own answer; `None` for a removal of nothing.
    pub(super) effect: Result<Option<WriteKind>>,
    pub(super) waited: Waited,
    /// From its time in the schedule to its start.
    pub(super) delay: Duration,
    /// From its start to the answer.
    pub(super) service: Duration,
}

/// Reason why a write did not start at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Not,
    ForItsKey,
    ForASlot,
}

/// The result of a load. Planned = inserted + modified + removed + without effect + failed: nothing is dropped.
#[derive(Clone, Debug)]
pub struct LoadReport {
    /// Writes of the schedule.
    pub planned: u64,
    /// By what the table answered, not by what was planned.
    pub inserted: u64,
    /// Items replaced, by the same answers.
    pub modified: u64,
    /// Items removed, by the same answers.
    pub removed: u64,
    /// Removals of what was not there; they leave no trace in a stream.
    pub without_effect: u64,
    /// Writes that failed after the client's own retries; whether they happened is unknown.
    pub failed: u64,
    /// Error of the first of them.
    pub first_failure: Option<String>,
    /// Writes that were held back because the previous one of the same key was under way.
    pub waited_for_key: u64,
    /// Writes that were held back because too many were under way.
    pub waited_for_slot: u64,
    /// The longest that one was held back.
    pub longest_wait: Duration,
    /// From the first write to the last answer.
    pub elapsed: Duration,
    /// From a write's time in the schedule to its answer, in microseconds, of successful writes.
    pub latency_us: Histogram<u64>,
    /// From a write's real start to its answer, in microseconds, of successful writes.
    pub service_us: Histogram<u64>,
}

impl LoadReport {
    pub(super) fn new() -> Result<Self> {
        let histogram: Histogram<u64> = Histogram::new_with_max(LONGEST_US, DIGITS).context("make a histogram")?;
        Ok(Self {
            planned: 0,
            inserted: 0,
            modified: 0,
            removed: 0,
            without_effect: 0,
            failed: 0,
            first_failure: None,
            waited_for_key: 0,
            waited_for_slot: 0,
            longest_wait: Duration::ZERO,
            elapsed: Duration::ZERO,
            latency_us: histogram.clone(),
            service_us: histogram,
        })
    }

    /// Returns the number of records that a stream of the table has for this load, unless a write failed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.inserted + self.modified + self.removed
    }

    pub(super) fn add(&mut self, outcome: WriteOutcome) {
        match outcome.waited {
            Waited::Not => (),
            Waited::ForItsKey => self.waited_for_key += 1,
            Waited::ForASlot => self.waited_for_slot += 1,
        }
        if outcome.waited != Waited::Not {
            self.longest_wait = self.longest_wait.max(outcome.delay);
        }
        match outcome.effect {
            Ok(Some(WriteKind::Insert)) => self.inserted += 1,
            Ok(Some(WriteKind::Modify)) => self.modified += 1,
            Ok(Some(WriteKind::Remove)) => self.removed += 1,
            Ok(None) => self.without_effect += 1,
            Err(error) => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| format!("{error:#}"));
                return;
            }
        }
        self.latency_us.saturating_record(micros(outcome.delay + outcome.service));
        self.service_us.saturating_record(micros(outcome.service));
    }

    /// The report as lines for a person.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate is printed with one digit")]
    pub fn lines(&self) -> Vec<String> {
        let seconds = self.elapsed.as_secs_f64();
        let answered = self.planned - self.failed;
        let mut lines = vec![
            format!("{} writes in {seconds:.1} s: {:.1} per second", self.planned, answered as f64 / seconds),
            format!(
                "inserted {}, modified {}, removed {}, without effect {}, failed {}",
                self.inserted, self.modified, self.removed, self.without_effect, self.failed
            ),
            format!("latency from the planned time: {}", percentiles(&self.latency_us)),
            format!("latency from the real start:   {}", percentiles(&self.service_us)),
            format!(
                "held back: {} by the previous write of the key, {} by the limit in flight, {:.1} ms at most",
                self.waited_for_key,
                self.waited_for_slot,
                self.longest_wait.as_secs_f64() * 1e3
            ),
        ];
        lines.extend(self.first_failure.iter().map(|failure| format!("the first failure: {failure}")));
        lines
    }
}

fn percentiles(histogram: &Histogram<u64>) -> String {
    if histogram.is_empty() {
        return "no successful write".to_owned();
    }
    let at = |name: &str, quantile| format!("{name} {} ms", milliseconds(histogram.value_at_quantile(quantile)));
    [at("p50", 0.5), at("p99", 0.99), format!("max {} ms", milliseconds(histogram.max()))].join(", ")
}

fn milliseconds(micros: u64) -> String {
    format!("{:.1}", Duration::from_micros(micros).as_secs_f64() * 1e3)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
