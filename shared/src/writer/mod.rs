//! The guarded write: brings a batch of changes into an index so that no older change ever overwrites a newer one,
//! whatever was delivered twice, late, out of order or concurrently.
//!
//! Per document: find its state (the cache, an optimistic `create`, or a read), compare versions, write on the
//! condition that the state has not moved, and begin again where it has. One outcome per change. What may pass is
//! retried with jitter until the deadline; what cannot ever be applied is rejected and its predecessor tried.

mod cache;
mod overrule;
mod part;
mod pending;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;

use crate::change::Change;
use crate::fold::{Folded, fold};
use crate::outcome::{ConfigurationError, Outcome};
use crate::target::{Stored, Target};
use crate::time::Timestamp;
use crate::version::Generation;

use cache::StateCache;
use part::{Ended, Part};

/// Parts of a batch that are under way concurrently, where each has enough documents: the engine then indexes on more than
/// one of its threads, and this process reads one answer while the engine works on the other part.
const MAX_PARTS: usize = 2;
/// Fewest documents of a part.
const MIN_DOCUMENTS: usize = 40;
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
        let parts = parts(fold(changes)).into_iter().enumerate().map(|(nth, documents)| async move {
            if nth > 0 {
                // The request of the part before goes out first, while this one is still made.
                tokio::task::yield_now().await;
            }
            Part::new(documents, changes, self, limits).apply().await
        });
        Ok(Report::of(try_join_all(parts).await?))
    }

    /// Says how a batch would end, by version, and writes nothing. What would be written counts as applied: whether the
    /// engine would take it is not known.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn preview(&self, changes: &[Change], limits: Limits) -> Result<Vec<Outcome>, ConfigurationError> {
        let ended = Part::new(fold(changes), changes, self, limits).preview().await?;
        Ok(Report::of(vec![ended]).outcomes)
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

impl Report {
    /// Puts the parts of a batch together; they were under way concurrently.
    fn of(parts: Vec<Ended>) -> Self {
        let engine_time = parts.iter().map(|part| part.engine_time).max().unwrap_or_default();
        let round_trips = parts.iter().map(|part| part.round_trips).max().unwrap_or_default();
        let together = parts.into_iter().reduce(|mut all, part| {
            all.outcomes.iter_mut().zip(part.outcomes).for_each(|(one, other)| *one = one.take().or(other));
            all
        });
        let outcomes = together.unwrap_or_default().outcomes.into_iter();
        let outcomes = outcomes.map(|outcome| outcome.expect("every change has ended")).collect();
        Self { outcomes, engine_time, round_trips }
    }
}

/// Splits the documents of a batch into parts that are about equal in number.
fn parts(mut documents: Vec<Folded<'_>>) -> Vec<Vec<Folded<'_>>> {
    let count = (documents.len() / MIN_DOCUMENTS).clamp(1, MAX_PARTS);
    let mut parts = Vec::with_capacity(count);
    for left in (1..count).rev() {
        let rest = documents.split_off(documents.len() / (left + 1));
        parts.push(std::mem::replace(&mut documents, rest));
    }
    parts.push(documents);
    parts
}

#[cfg(test)]
mod tests;
