//! The guarded write: brings a batch of changes into an index so that no older change ever overwrites a newer one,
//! whatever was delivered twice, late, out of order or concurrently.
//!
//! Per document: find its state (the cache, an optimistic `create`, or a read), compare versions, write on the
//! condition that the state has not moved, and begin again where it has. One outcome per change. What may pass is
//! retried with jitter until the deadline; what cannot ever be applied is rejected and its predecessor tried.

mod batch;
mod cache;
mod overrule;

use std::time::Duration;

use tokio::time::Instant;

use crate::change::Change;
use crate::outcome::{ConfigurationError, Outcome};
use crate::target::Target;
use crate::time::Timestamp;

use batch::Batch;
use cache::StateCache;

/// Writes changes through a [`Target`]; one per process, so that what it wrote last is known.
#[derive(Debug)]
pub struct Writer<T> {
    target: T,
    states: StateCache,
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
#[derive(Debug)]
pub struct Report {
    /// One outcome per change, in their order.
    pub outcomes: Vec<Outcome>,
    /// Time spent waiting for the engine.
    pub engine_time: Duration,
    /// Requests in a row that the engine was asked (a chunked bulk counts once).
    pub round_trips: u32,
}

impl<T: Target> Writer<T> {
    /// A writer that knows no document yet.
    #[must_use]
    pub fn new(target: T) -> Self {
        Self { target, states: StateCache::default() }
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
        let mut batch = Batch::new(changes, &self.states, limits);
        let mut round = 0;
        loop {
            batch.read(&self.target).await?;
            batch.settle_by_version();
            batch.write(&self.target).await?;
            if batch.is_settled() {
                break;
            }
            round += 1;
            let pause = batch.pause(round);
            if Instant::now() + pause >= limits.deadline {
                batch.give_up();
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Ok(batch.into_report())
    }

    /// Says how a batch would end, by version, and writes nothing. What would be written counts as applied: whether the
    /// engine would take it is not known.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn preview(&self, changes: &[Change], limits: Limits) -> Result<Vec<Outcome>, ConfigurationError> {
        let mut batch = Batch::unknown(changes, &self.states, limits);
        batch.read(&self.target).await?;
        batch.settle_by_version();
        batch.presume_written();
        Ok(batch.into_report().outcomes)
    }
}

#[cfg(test)]
mod tests;
