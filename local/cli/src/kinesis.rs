//! The way through Kinesis of `local replicate`: a bridge from the table's stream, because no local database writes to
//! Kinesis itself.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use driftless_display::console;
use driftless_harness::mapping::stream::ChangeStream;
use driftless_harness::mapping::{
    EventSourceMapping, KinesisBridge, KinesisFaults, KinesisStream, MappingConfig, ShardChoice,
};
use driftless_harness::services::{EmbeddedKinesis, Service as _, create_stream, kinesis_client};

use crate::pair::Pair;

/// Open shards of a new Kinesis data stream.
const SHARDS: u16 = 2;
/// Records after which shards are split or merged, if anything is to go wrong.
const RESHARDED_EVERY: NonZeroU64 = NonZeroU64::new(500).expect("not zero");

/// A running bridge, and the Kinesis that it writes to, if that is one of this process.
pub(crate) struct KinesisFeed {
    bridge: KinesisBridge,
    feed: EventSourceMapping,
    _own: Option<EmbeddedKinesis>,
}

impl KinesisFeed {
    /// Brings the changes of the pair's table into a Kinesis data stream of the table's name. With a seed for disorder,
    /// records come late, again, and with equal times, and shards are split and merged.
    ///
    /// # Errors
    /// Where the table is in an AWS account, has no stream, or Kinesis refuses.
    pub(crate) async fn start(
        pair: &Pair,
        (table_stream, key): (Arc<dyn ChangeStream>, &str),
        disorder: Option<u64>,
    ) -> Result<Self> {
        ensure!(
            !pair.is_in_account(),
            "`--source kinesis` works on local tables only: an account has a Kinesis of its own"
        );
        let (endpoint, own) = match pair.kinesis_endpoint() {
            Some(endpoint) => (endpoint.to_owned(), None),
            None => {
                let own = EmbeddedKinesis::start().await?;
                console::note("Kinesis runs in this process and ends with it");
                (own.endpoint().to_owned(), Some(own))
            }
        };
        let (client, name) = (kinesis_client(&endpoint), &pair.facts.name);
        create_stream(&client, name, SHARDS).await?;
        let faults = disorder.map_or_else(KinesisFaults::default, |seed| KinesisFaults {
            seed,
            late_percent: 20,
            repeated_percent: 10,
            same_time_percent: 10,
            reshard_every: Some(RESHARDED_EVERY),
        });
        let bridge = KinesisBridge::new(client, name, key, ShardChoice::ByKey, faults).await?;
        let writer = Arc::new(bridge.clone());
        let feed = EventSourceMapping::start(MappingConfig::default(), table_stream, writer, None).await?;
        console::note(format!("the table's changes go into the Kinesis data stream {name}"));
        Ok(Self { bridge, feed, _own: own })
    }

    /// Returns the Kinesis data stream.
    pub(crate) fn stream(&self) -> KinesisStream {
        self.bridge.stream()
    }

    /// Waits until all changes that the table has now are in Kinesis.
    ///
    /// # Errors
    /// When that is not so after `limit`.
    pub(crate) async fn wait_until_put(&self, limit: Duration) -> Result<()> {
        self.feed.wait_until_drained(limit).await?;
        self.bridge.put_rest().await;
        Ok(())
    }
}
