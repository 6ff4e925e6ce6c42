//! Event source mapping of the demo. Where its stream is re-created, another one takes its place, and the counts go on.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use driftless::queue::sqs::SqsQueue;
use driftless_harness::freshness::Freshness;
use driftless_harness::function::FunctionConfig;
use driftless_harness::mapping::{DynamoDbStream, EventSourceMapping, MappingConfig, MappingStats};

/// Time between two looks at who still uses a mapping.
const POLL: Duration = Duration::from_millis(5);

/// Parts of the mapping that a re-created stream does not change.
pub(crate) struct MappingParts {
    /// Settings of each mapping.
    pub(crate) config: MappingConfig,
    /// The function that it feeds.
    pub(crate) function: Arc<FunctionConfig>,
    /// Destination of on-failure messages.
    pub(crate) queue: Arc<SqsQueue>,
    /// Observer of all mappings.
    pub(crate) freshness: Arc<Freshness>,
}

/// The mapping that runs now, and the counts of those before it.
pub struct CurrentMapping {
    parts: MappingParts,
    running: RwLock<Option<Arc<EventSourceMapping>>>,
    earlier: Mutex<MappingStats>,
}

impl CurrentMapping {
    /// Starts the first one.
    pub(crate) async fn start(parts: MappingParts, stream: Arc<DynamoDbStream>) -> Result<Self> {
        let mapping = Self { parts, running: RwLock::default(), earlier: Mutex::default() };
        mapping.begin(stream).await?;
        Ok(mapping)
    }

    /// Starts a mapping of `stream`; there must be none.
    pub(crate) async fn begin(&self, stream: Arc<DynamoDbStream>) -> Result<()> {
        let MappingParts { config, function, queue, freshness } = &self.parts;
        let mapping = EventSourceMapping::start_observed(
            config.clone(),
            stream,
            Arc::clone(function) as _,
            Some(Arc::clone(queue) as _),
            Some(Arc::clone(freshness) as _),
        )
        .await?;
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(mapping));
        Ok(())
    }

    /// Stops the mapping, and keeps its counts. What it had not delivered is forgotten.
    pub(crate) async fn end(&self) {
        let mapping = self.running.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut mapping) = mapping else { return };
        let mapping = loop {
            match Arc::try_unwrap(mapping) {
                Ok(mapping) => break mapping,
                Err(used) => mapping = used,
            }
            tokio::time::sleep(POLL).await;
        };
        let stats = mapping.shutdown().await;
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        *earlier = MappingStats { records_in_flight: 0, ..stats.after(&earlier) };
        self.parts.freshness.forget_waiting();
    }

    /// Returns the counts of all mappings so far.
    #[must_use]
    pub fn stats(&self) -> MappingStats {
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.running() {
            Some(mapping) => mapping.stats().after(&earlier),
            None => earlier,
        }
    }

    /// Waits until everything that is in the stream now is delivered or given up.
    ///
    /// # Errors
    /// As [`EventSourceMapping::wait_until_drained`], and where no mapping runs.
    pub async fn wait_until_drained(&self, limit: Duration) -> Result<()> {
        self.running().context("find an event source mapping that runs")?.wait_until_drained(limit).await
    }

    /// Ends the processes that are idle, so that they print the metrics that they keep.
    pub async fn end_idle(&self) {
        if let Some(mapping) = self.running() {
            mapping.end_idle().await;
        }
    }

    /// The mapping that runs now.
    pub(crate) fn running(&self) -> Option<Arc<EventSourceMapping>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
