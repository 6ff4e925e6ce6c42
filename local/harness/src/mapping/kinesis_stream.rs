//! A Kinesis data stream, read through the Kinesis API, and the changes of its shards.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_kinesis::{
    Client,
    operation::get_records::GetRecordsError,
    types::{Record, Shard as SdkShard, ShardIteratorType},
};

use super::{
    disorder::Disorder,
    kinesis_record::{KinesisPlace, delivered},
    record::StreamRecord,
    stream::{ChangeStream, Shard, ShardId, ShardIterator, ShardPosition, StreamError, StreamKind, StreamPage},
};
use crate::services::{active_stream, client_error};

/// Number of open shards from which they are merged rather than split.
const MOST_OPEN_SHARDS: usize = 6;

/// Way in which records come to shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShardChoice {
    /// By the hash of their partition key.
    #[default]
    ByKey,
    /// Any shard, as with `RecordDistributionStrategy: AUTO`. Readers get no partition keys.
    Any,
}

/// Kinesis data stream of one table's changes.
#[derive(Clone, Debug)]
pub struct KinesisStream {
    client: Client,
    name: String,
    arn: String,
    choice: ShardChoice,
}

impl KinesisStream {
    /// The stream `name`, whose records came to their shards by `choice`.
    ///
    /// # Errors
    /// When there is no such stream, or it does not become active.
    pub async fn new(client: Client, name: &str, choice: ShardChoice) -> Result<Self> {
        let arn = active_stream(&client, name).await?.stream_arn;
        Ok(Self { client, name: name.to_owned(), arn, choice })
    }

    /// Splits an open shard, or merges two, as `disorder` decides.
    ///
    /// # Errors
    /// When Kinesis refuses.
    pub(super) async fn reshard<T: Clone>(&self, disorder: &mut Disorder<T>) -> Result<()> {
        active_stream(&self.client, &self.name).await?;
        let mut open: Vec<_> = self.listed().await?.into_iter().filter(|shard| !is_closed(shard)).collect();
        open.sort_by_key(start);
        let splits = open.len() < 2 || (open.len() < MOST_OPEN_SHARDS && disorder.happens(60));
        if splits {
            let shard = &open[disorder.below(open.len())];
            let middle = start(shard) + (end(shard) - start(shard)) / 2;
            let request = self.client.split_shard().stream_name(&self.name).shard_to_split(&shard.shard_id);
            let split = request.new_starting_hash_key(middle.to_string()).send().await;
            split.map_err(client_error).with_context(|| format!("split the shard {}", shard.shard_id))?;
        } else {
            let at = disorder.below(open.len() - 1);
            let (left, right) = (&open[at].shard_id, &open[at + 1].shard_id);
            let request = self.client.merge_shards().stream_name(&self.name).shard_to_merge(left);
            let merged = request.adjacent_shard_to_merge(right).send().await;
            merged.map_err(client_error).with_context(|| format!("merge the shards {left} and {right}"))?;
        }
        active_stream(&self.client, &self.name).await.map(drop)
    }

    async fn listed(&self) -> Result<Vec<SdkShard>> {
        let mut shards = Vec::new();
        let mut next = None;
        loop {
            // The token stands for the stream, too.
            let name = next.is_none().then(|| self.name.clone());
            let page = self.client.list_shards().set_stream_name(name).set_next_token(next).send().await;
            let page = page.map_err(client_error).with_context(|| format!("list the shards of {}", self.name))?;
            shards.extend(page.shards.unwrap_or_default());
            next = page.next_token;
            if next.is_none() {
                return Ok(shards);
            }
        }
    }

    fn delivered(&self, shard: &str, record: &Record) -> Result<StreamRecord> {
        let arrival_s = record.approximate_arrival_timestamp().map(|time| time.as_secs_f64());
        let key = record.partition_key().filter(|_| self.choice == ShardChoice::ByKey);
        let place = KinesisPlace {
            arn: &self.arn,
            shard,
            sequence_number: record.sequence_number(),
            arrival_s: arrival_s.unwrap_or_default(),
        };
        delivered(place, key, record.data().as_ref())
    }
}

fn is_closed(shard: &SdkShard) -> bool {
    shard.sequence_number_range().and_then(|range| range.ending_sequence_number()).is_some()
}

/// First hash of a shard's range. Kinesis's own ranges are numbers.
fn start(shard: &SdkShard) -> u128 {
    shard.hash_key_range().and_then(|range| range.starting_hash_key().parse().ok()).unwrap_or_default()
}

fn end(shard: &SdkShard) -> u128 {
    shard.hash_key_range().and_then(|range| range.ending_hash_key().parse().ok()).unwrap_or(u128::MAX)
}

#[async_trait]
impl ChangeStream for KinesisStream {
    fn kind(&self) -> StreamKind {
        StreamKind::Kinesis
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> Result<Vec<Shard>, StreamError> {
        let shard = |shard: SdkShard| Shard {
            id: ShardId::new(&shard.shard_id),
            closed: is_closed(&shard),
            parent: shard.parent_shard_id.as_deref().map(ShardId::new),
            adjacent_parent: shard.adjacent_parent_shard_id.as_deref().map(ShardId::new),
        };
        Ok(self.listed().await?.into_iter().map(shard).collect())
    }

    async fn iterator(&self, shard: &ShardId, position: &ShardPosition) -> Result<ShardIterator, StreamError> {
        let (kind, number) = match position {
            ShardPosition::TrimHorizon => (ShardIteratorType::TrimHorizon, None),
            ShardPosition::Latest => (ShardIteratorType::Latest, None),
            ShardPosition::At(number) => (ShardIteratorType::AtSequenceNumber, Some(number.to_string())),
            ShardPosition::After(number) => (ShardIteratorType::AfterSequenceNumber, Some(number.to_string())),
        };
        let request = self.client.get_shard_iterator().stream_name(&self.name).shard_id(shard.as_str());
        let reply = request.shard_iterator_type(kind).set_starting_sequence_number(number).send().await;
        let reply = reply.map_err(client_error).with_context(|| format!("get an iterator for {shard}"))?;
        // The iterator of Kinesis does not say of which shard it is, and `eventID` does.
        let iterator = reply.shard_iterator.context("find the iterator in the answer")?;
        Ok(ShardIterator(format!("{shard} {iterator}")))
    }

    async fn records(&self, iterator: &ShardIterator, limit: usize) -> Result<StreamPage, StreamError> {
        let (shard, iterator) = iterator.0.split_once(' ').context("read the iterator")?;
        // The clamped value fits.
        let limit = i32::try_from(limit.clamp(1, self.kind().read_limit())).unwrap_or(1);
        let reply = self.client.get_records().shard_iterator(iterator).limit(limit).send().await;
        let reply = reply.map_err(|error| match error.as_service_error() {
            Some(GetRecordsError::ExpiredIteratorException(_)) => StreamError::ExpiredIterator,
            _ => StreamError::Other(client_error(error).context("read the stream")),
        })?;
        let records = reply.records().iter().map(|record| self.delivered(shard, record));
        let records = records.collect::<Result<_>>()?;
        let next = reply.next_shard_iterator.map(|next| ShardIterator(format!("{shard} {next}")));
        Ok(StreamPage { records, next })
    }
}
