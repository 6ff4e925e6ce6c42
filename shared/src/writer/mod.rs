//! The guarded write: brings a batch of changes into an index so that no older change ever overwrites a newer one,
//! whatever was delivered twice, late, out of order or concurrently.
//!
//! Per document: find its state (the cache, an optimistic `create`, or a read), compare versions, write on the
//! condition that the state has not moved, and begin again where it has. One outcome per change. What may pass is
//! retried with jitter until the deadline; what cannot ever be applied is rejected and its predecessor tried.

mod batch;
mod cache;
mod pending;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::change::Change;
use crate::outcome::{ConfigurationError, Outcome};
use crate::target::{Stored, Target};
use crate::time::Timestamp;
use crate::version::Generation;

use batch::Batch;
use cache::StateCache;

const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The most by which a batch begins with more time for an answer, as those before it needed it.
const MOST_REMEMBERED: u32 = 2;

/// Writes changes through a [`Target`]; one per process, so that what it wrote last is known.
#[derive(Debug)]
pub struct Writer<T> {
    target: T,
    generation: Generation,
    states: StateCache,
    /// A document was read with its version, so that one without is someone else's.
    shows_versions: AtomicBool,
    /// By how much the last calls had to wait longer for an answer than usual.
    doublings: AtomicU32,
}

/// What one call of [`Writer::apply`] may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// When every outcome must be known.
    pub deadline: Instant,
    /// The function's clock, for `_driftless.written_at`.
    pub written_at: Timestamp,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Report {
    /// One outcome per change, in their order.
    pub outcomes: Vec<Outcome>,
    /// Time spent waiting for the engine.
    pub engine_time: Duration,
    /// Requests in a row that the engine was asked (a chunked bulk counts once).
    pub round_trips: u32,
}

impl<T: Target> Writer<T> {
    /// A writer that knows no document yet; `generation` is the function's own.
    #[must_use]
    pub fn new(target: T, generation: Generation) -> Self {
        Self {
            target,
            generation,
            states: StateCache::default(),
            shows_versions: AtomicBool::new(false),
            doublings: AtomicU32::new(0),
        }
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &T {
        &self.target
    }

    /// Applies a batch. Answers by the deadline, whatever the target does, as long as the target keeps it.
    ///
    /// # Errors
    /// Where the deployment is wrong. Some changes may have been applied; none has been rejected for it.
    pub async fn apply(&self, changes: &[Change], limits: Limits) -> Result<Report, ConfigurationError> {
        let mut batch = Batch::new(changes, self, limits);
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            batch.read().await?;
            batch.probe().await?;
            batch.settle();
            batch.write().await?;
            if batch.is_settled() {
                break;
            }
            let goes_on = match batch.goes_on_immediately() {
                true => Instant::now() < limits.deadline,
                false => backoff.wait_before(limits.deadline).await,
            };
            if !goes_on {
                batch.give_up();
                break;
            }
        }
        Ok(batch.into_report())
    }

    /// Says how a batch would end, by version, and writes nothing. What would be written counts as applied: whether the
    /// engine would take it is not known.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn preview(&self, changes: &[Change], limits: Limits) -> Result<Vec<Outcome>, ConfigurationError> {
        let mut batch = Batch::unknown(changes, self, limits);
        batch.read().await?;
        batch.presume_written();
        Ok(batch.into_report().outcomes)
    }

    /// Refuses to go on under documents of a higher generation: every change of ours would be stale, and count as done.
    fn check(&self, found: Option<&Stored>) -> Result<(), ConfigurationError> {
        let Some(version) = found.and_then(|stored| stored.version.as_ref()) else { return Ok(()) };
        self.versions_are_shown();
        match version.generation() {
            Some(stored) if stored > self.generation => {
                Err(ConfigurationError::GenerationLowered { own: self.generation.0, stored: stored.0 })
            }
            _ => Ok(()),
        }
    }

    fn shows_versions(&self) -> bool {
        self.shows_versions.load(Ordering::Relaxed)
    }

    fn versions_are_shown(&self) {
        self.shows_versions.store(true, Ordering::Relaxed);
    }

    fn doublings(&self) -> u32 {
        self.doublings.load(Ordering::Relaxed)
    }

    /// Remembers for the next batch that an engine took longer than `timed_out` doublings for everything, or recovers.
    fn note_answers(&self, timed_out: Option<u32>) {
        let doublings = timed_out.map_or(self.doublings().saturating_sub(1), |doublings| doublings + 1);
        self.doublings.store(doublings.min(MOST_REMEMBERED), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
