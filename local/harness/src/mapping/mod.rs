//! The local event source mapping: reads a change stream and drives a function with Lambda's documented semantics.
//!
//! What it keeps, as Lambda does: shard lineage (a parent is finished before its children start), order per partition
//! key, batch size, window and payload limit, parallelization factor, `ReportBatchItemFailures`, retries, bisecting,
//! maximum record age and the on-failure destination. Every record that is read ends as delivered or in an on-failure
//! message.
//!
//! # Layout
//! - [`stream`], [`record`]: what a stream is, and a record in Lambda's JSON.
//!   [`DynamoDbStream`] and [`KinesisStream`] read real ones, [`MemoryStream`] is filled by a generator.
//!   [`KinesisBridge`] brings the changes of a table into Kinesis, with the faults that they meet there.
//! - [`batch`], [`response`], `lineage`: the semantics as pure functions.
//! - `shard`, `lane`: the loops that read a shard and deliver its records; `read_ahead`: how far one may be ahead of
//!   the other.
//! - [`on_failure`], `stats`, `config`: what goes in and comes out; `requested`: faults that are asked for meanwhile.
//!
//! Deliberately absent: event filtering, tumbling windows, and checkpoints that outlive the process. A mapping that is
//! started again starts at its starting position.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use crate::function::Launch;

pub mod batch;
mod change_times;
mod config;
mod disorder;
mod dynamodb_stream;
mod environments;
mod kinesis_bridge;
mod kinesis_record;
mod kinesis_stream;
mod lane;
mod lineage;
mod memory_shards;
mod memory_stream;
pub mod on_failure;
#[cfg(test)]
mod properties;
mod read_ahead;
pub mod record;
mod requested;
pub mod response;
mod shard;
mod since;
mod stats;
pub mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::{MappingConfig, MappingFaults, RetryBackoff, StartingPosition};
pub use disorder::{Disorder, KinesisFaults};
pub use dynamodb_stream::DynamoDbStream;
pub use kinesis_bridge::{BridgeCounts, KinesisBridge};
pub use kinesis_record::{KinesisPlace, KinesisPut, TimePrecision, delivered};
pub use kinesis_stream::{KinesisStream, ShardChoice};
pub use lane::Observe;
pub use memory_stream::{JsonItem, MemoryChange, MemoryStream};
pub use on_failure::{FailureMessage, FailureObject, MemoryMessages, OnFailure};
pub use since::SinceStream;
pub use stats::MappingStats;

use environments::Environments;
use lane::MappingState;
use lineage::Lineage;
use requested::RequestedFaults;
use shard::ShardReader;
use stats::{Counter, MappingProgress};
use stream::{ChangeStream, ShardId};

/// Interval between listings of the shards; the end of a shard causes another one.
const LISTING_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between looks while waiting for the stream to drain.
const DRAIN_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// A running event source mapping. It stops when this is dropped; [`shutdown`](Self::shutdown) also waits for the end.
pub struct EventSourceMapping {
    shared: Arc<MappingState>,
    relist: Arc<Notify>,
    supervisor: JoinHandle<()>,
}

impl EventSourceMapping {
    /// Starts to deliver `stream` to the function that `launcher` starts; what is given up goes to `on_failure`.
    ///
    /// As with provisioned concurrency, one environment for each lane of a shard is started before this returns: a
    /// function that cannot start says so immediately, and the first records do not wait for a cold start.
    ///
    /// # Errors
    /// When a setting is out of its range, or the function does not start.
    pub async fn start(
        config: MappingConfig,
        stream: Arc<dyn ChangeStream>,
        launcher: Arc<dyn Launch>,
        on_failure: Option<Arc<dyn OnFailure>>,
    ) -> Result<Self> {
        Self::start_observed(config, stream, launcher, on_failure, None).await
    }

    /// The same, with somebody who is told of every delivery.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_observed(
        config: MappingConfig,
        stream: Arc<dyn ChangeStream>,
        launcher: Arc<dyn Launch>,
        on_failure: Option<Arc<dyn OnFailure>>,
        observer: Option<Arc<dyn Observe>>,
    ) -> Result<Self> {
        config.validate()?;
        let warm = config.parallelization_factor;
        let shared = Arc::new(MappingState {
            config,
            stream_arn: stream.arn().to_owned(),
            stream_kind: stream.kind(),
            environments: Environments::new(launcher),
            on_failure,
            observer,
            progress: MappingProgress::new(),
            attempts: Counter::default(),
            requested: RequestedFaults::default(),
        });
        shared.environments.warm_up(warm).await.context("start the function")?;
        let relist = Arc::new(Notify::new());
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared), stream, Arc::clone(&relist)));
        Ok(Self { shared, relist, supervisor })
    }

    /// Returns the counts of the mapping so far.
    #[must_use]
    pub fn stats(&self) -> MappingStats {
        self.shared.progress.stats()
    }

    /// Returns `true` if nothing is in flight, and the last look at each shard found nothing new.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.shared.progress.drained(None)
    }

    /// Waits until everything that is in the stream now is delivered or given up.
    ///
    /// # Errors
    /// When that is not so after `limit`; says what is left.
    pub async fn wait_until_drained(&self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        // Shards that opened since the last listing count, too.
        self.relist.notify_one();
        while !self.shared.progress.drained(Some(start)) {
            if start.elapsed() > limit {
                bail!("the stream is not drained after {limit:?}: {:?}", self.stats());
            }
            if self.supervisor.is_finished() {
                bail!("the event source mapping has stopped");
            }
            sleep(DRAIN_CHECK_INTERVAL).await;
        }
        Ok(())
    }

    /// Kills the function's process in the middle of the next invocation.
    pub fn kill_next(&self) {
        self.shared.requested.ask_for_kill();
    }

    /// Delivers the last batches again, after the next one that succeeds. The settings must say how many are kept.
    pub fn deliver_again(&self) {
        self.shared.requested.ask_for_redelivery();
    }

    /// Withdraws the faults that were asked for and have not happened.
    pub fn withdraw_faults(&self) {
        self.shared.requested.withdraw();
    }

    /// Ends the processes that are idle, as Lambda does, so that they print the metrics that they keep.
    pub async fn end_idle(&self) {
        self.shared.environments.end_idle().await;
    }

    /// Stops immediately: invocations in progress are cut off and all processes are killed. Returns what was done.
    ///
    /// To lose nothing, [`wait_until_drained`](Self::wait_until_drained) first.
    pub async fn shutdown(mut self) -> MappingStats {
        // Lanes end with the supervisor, and idle processes must not be killed with them: they still hold metrics.
        let held = self.shared.environments.held_by_lanes();
        self.supervisor.abort();
        // Cancelled, as asked; its readers and lanes end with it.
        let _ = (&mut self.supervisor).await;
        self.shared.environments.end_idle().await;
        drop(held);
        self.stats()
    }
}

impl Drop for EventSourceMapping {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

/// Finds shards, and starts a reader for each once its parent is finished.
async fn supervise(shared: Arc<MappingState>, stream: Arc<dyn ChangeStream>, relist: Arc<Notify>) {
    let mut lineage = Lineage::default();
    let mut readers: JoinSet<Option<ShardId>> = JoinSet::new();
    loop {
        let start = Instant::now();
        match stream.shards().await {
            Ok(shards) => {
                shared.progress.listed(start, shards.iter().map(|shard| &shard.id));
                lineage.learn(shards, shared.config.starting_position);
            }
            Err(error) => {
                shared.progress.counters.stream_errors.add(1);
                tracing::warn!(%error, "the stream's shards could not be listed");
            }
        }
        for (shard, position) in lineage.ready() {
            let reader = ShardReader::run(Arc::clone(&shared), Arc::clone(&stream), shard.clone(), position);
            readers.spawn(async move { reader.await.then_some(shard) });
        }
        tokio::select! {
            Some(finished) = readers.join_next() => match finished {
                Ok(Some(shard)) => lineage.finish(shard),
                // A panic, which has been printed. Records are neither delivered nor given up: better to stop, and
                // to be seen to have stopped, than to go on with the shard's children.
                Ok(None) | Err(_) => return tracing::error!("a shard failed; the event source mapping stops"),
            },
            () = relist.notified() => {}
            () = sleep(LISTING_INTERVAL) => {}
        }
    }
}
