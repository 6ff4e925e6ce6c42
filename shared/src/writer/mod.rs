//! Conditional writes: an older change never overwrites a newer one, however changes are duplicated, delayed, reordered
//! or written concurrently.
//!
//! Per document, the writer finds the stored state (by the cache, an optimistic `create`, or a read). It compares
//! versions, and writes on the condition that the state has not changed. After a conflict it begins again. Each change
//! gets one outcome. Problems that may pass are retried with jitter until the deadline. If a change can never be
//! applied, it is rejected, and its predecessor tried.

mod apply;
mod beside;
mod cache;
mod decide;
mod entities;
mod overrule;
mod part;
mod pending;
pub mod repair;
mod second;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::{ConfigurationError, Outcome};
use crate::target::{StoredState, Target};
use crate::time::Timestamp;
use crate::version::Generation;

use cache::StateCache;
use second::Beside;

/// Limit for the doublings of the request time-out that one batch passes on to the next.
const MOST_REMEMBERED: u32 = 2;
/// Number of concurrent parts of a large batch. The engine then indexes on more than one of its threads. This process
/// parses one answer while the engine works on the other part.
const MAX_PARTS: usize = 2;

/// Writes changes through a [`Target`]. One per process, so that it knows the documents that it wrote last.
#[derive(Debug)]
pub struct Writer<T> {
    target: T,
    generation: Generation,
    states: StateCache,
    /// True once a document was read with its version. A document without one is then foreign.
    shows_versions: AtomicBool,
    /// Doublings of the request time-out with which the next batch begins.
    doublings: AtomicU32,
    /// Writer on a second index, which gets the same changes.
    beside: Option<Beside<Self>>,
    /// Writers on the indexes that entities have of their own, by the indexes' names.
    entities: BTreeMap<Arc<str>, Arc<Self>>,
}

/// Options for one call of [`Writer::apply`].
#[derive(Debug, Clone, Copy)]
pub struct ApplyOptions {
    /// Deadline for all outcomes.
    pub deadline: Instant,
    /// Time of writing by the function's clock, for `_driftless.written_at`.
    pub written_at: Timestamp,
    /// Maximum number of concurrent parts. A part has requests of its own.
    pub max_parts: usize,
}

impl ApplyOptions {
    /// Creates options with which a large batch goes in concurrent parts.
    #[must_use]
    pub fn new(deadline: Instant, written_at: Timestamp) -> Self {
        Self { deadline, written_at, max_parts: MAX_PARTS }
    }
}

/// Outcomes of a batch, and their cost.
#[derive(Debug, Default)]
pub struct ApplyReport {
    /// One outcome per change, in the order of the changes.
    pub outcomes: Vec<Outcome>,
    /// Time spent waiting for the engine.
    pub engine_time: Duration,
    /// Consecutive requests to the engine. Parts of one bulk request count once.
    pub round_trips: u32,
}

impl<T: Target> Writer<T> {
    /// Creates a writer that knows no document yet. `generation` is the function's own.
    #[must_use]
    pub fn new(target: T, generation: Generation) -> Self {
        Self {
            target,
            generation,
            states: StateCache::default(),
            shows_versions: AtomicBool::new(false),
            doublings: AtomicU32::new(0),
            beside: None,
            entities: BTreeMap::new(),
        }
    }

    /// Returns the writer's target.
    #[must_use]
    pub fn target(&self) -> &T {
        &self.target
    }

    /// Fails under documents of a higher generation: every change would be stale, and count as done.
    fn check(&self, found: Option<&StoredState>) -> Result<(), ConfigurationError> {
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

    /// Remembers for the next batch that the engine needed more than `timed_out` doublings for everything, or recovers.
    fn note_answers(&self, timed_out: Option<u32>) {
        let doublings = timed_out.map_or(self.doublings().saturating_sub(1), |doublings| doublings + 1);
        self.doublings.store(doublings.min(MOST_REMEMBERED), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
