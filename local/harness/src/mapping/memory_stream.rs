//! A change stream generated in memory, for loads that no local database reaches and for tests.
//!
//! It behaves like a DynamoDB stream: a change goes to the open shard that owns its partition key; a shard that is
//! split ends and has two children; iterators can expire, old records can be trimmed. Nothing is trimmed by itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use driftless::stream::lambda_json::{LambdaChange, LambdaIdentity, LambdaRecord};
use serde_json::{Map, Value};

use super::{
    memory_shards::{MemoryShard, MemoryShards},
    record::{StreamRecord, StreamSequence},
    stream::{ChangeStream, READ_LIMIT, Shard, ShardId, ShardIterator, ShardPosition, StreamError, StreamPage},
};
use crate::function::epoch_ms;

/// Sequence numbers are this and a counter: 22 digits, as on AWS.
const SEQUENCE_NUMBER_BASE: u128 = 1_000_000_000_000_000_000_000;
const REGION: &str = "us-east-1";

/// An item in DynamoDB's JSON: `{"name": {"S": "text"}}`.
pub type JsonItem = Map<String, Value>;

/// A change to put into a [`MemoryStream`].
#[derive(Clone, Debug, Default)]
pub struct MemoryChange {
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub event_name: &'static str,
    /// Key attributes of the item.
    pub keys: JsonItem,
    /// The item after the change; `None` leaves the image out.
    pub new_image: Option<JsonItem>,
    /// The item before the change; `None` leaves the image out.
    pub old_image: Option<JsonItem>,
    /// True if time to live removed the item.
    pub expired: bool,
}

/// A stream in memory.
#[derive(Debug)]
pub struct MemoryStream {
    arn: String,
    partition_key: String,
    state: Mutex<MemoryShards>,
}

impl MemoryStream {
    /// An empty stream of the table `table` with one open shard.
    #[must_use]
    pub fn new(table: &str, partition_key: impl Into<String>) -> Self {
        let label = "2026-01-01T00:00:00.000";
        let state = MemoryShards { shards: Vec::new(), last_number: SEQUENCE_NUMBER_BASE, epoch: 0 };
        let stream = Self {
            arn: format!("arn:aws:dynamodb:{REGION}:000000000000:table/{table}/stream/{label}"),
            partition_key: partition_key.into(),
            state: Mutex::new(state),
        };
        stream.state().open(None, 0, u64::MAX);
        stream
    }

    /// Adds a change, made now, to the shard that owns its key.
    ///
    /// # Errors
    /// When `keys` lack the partition key, or its shard was closed.
    pub fn push(&self, change: &MemoryChange) -> Result<StreamSequence> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit into 53 bits")]
        let now_s = (epoch_ms() / 1_000) as f64;
        self.push_at(change, now_s)
    }

    /// Adds a change that was made at `arrival_s`, in seconds since the epoch.
    ///
    /// # Errors
    /// When `keys` lack the partition key, or its shard was closed.
    pub fn push_at(&self, change: &MemoryChange, arrival_s: f64) -> Result<StreamSequence> {
        let mut state = self.state();
        let number = (state.last_number + 1).to_string();
        let record = self.record(change, &number, arrival_s)?;
        let sequence_number = record.sequence_number().clone();
        state.owner(record.hash())?.records.push(record);
        state.last_number += 1;
        Ok(sequence_number)
    }

    /// Returns the number of records in the stream.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().shards.iter().map(|shard| shard.records.len()).sum()
    }

    /// Returns `true` if the stream holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The open shards, oldest first.
    #[must_use]
    pub fn open_shards(&self) -> Vec<ShardId> {
        let state = self.state();
        state.shards.iter().filter(|shard| !shard.closed).map(|shard| shard.id.clone()).collect()
    }

    /// Ends `shard`; its two children own its keys from now on.
    ///
    /// # Errors
    /// When there is no such shard, or it has ended.
    pub fn split(&self, shard: &ShardId) -> Result<[ShardId; 2]> {
        let mut state = self.state();
        let (first, last) = state.end(shard)?;
        let middle = first + (last - first) / 2;
        let low = state.open(Some(shard), first, middle);
        Ok([low, state.open(Some(shard), middle + 1, last)])
    }

    /// Ends `shard`; its only child owns its keys from now on, as when DynamoDB rolls a shard over.
    ///
    /// # Errors
    /// When there is no such shard, or it has ended.
    pub fn roll(&self, shard: &ShardId) -> Result<ShardId> {
        let mut state = self.state();
        let (first, last) = state.end(shard)?;
        Ok(state.open(Some(shard), first, last))
    }

    /// Ends `shard` without children, as when a stream is disabled; changes of its keys are refused from now on.
    ///
    /// # Errors
    /// When there is no such shard, or it has ended.
    pub fn close(&self, shard: &ShardId) -> Result<()> {
        self.state().end(shard).map(|_| ())
    }

    /// Lets all iterators that were given out expire.
    pub fn expire_iterators(&self) {
        self.state().epoch += 1;
    }

    /// Forgets the `count` oldest records of `shard`, as DynamoDB does after 24 hours.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn trim(&self, shard: &ShardId, count: usize) -> Result<()> {
        let mut state = self.state();
        let shard = state.find(shard)?;
        let count = count.min(shard.records.len());
        shard.records.drain(..count);
        shard.trimmed += count;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, MemoryShards> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, change: &MemoryChange, number: &str, arrival_s: f64) -> Result<StreamRecord> {
        let key = change.keys.get(&self.partition_key);
        let key = key.with_context(|| format!("find the partition key {} in the change", self.partition_key))?;
        let expiry = LambdaIdentity { kind: Some("Service"), principal_id: Some("dynamodb.amazonaws.com") };
        let record = LambdaRecord {
            event_id: &format!("{:032x}", rand::random::<u128>()),
            event_name: change.event_name,
            event_version: "1.1",
            event_source: "aws:dynamodb",
            aws_region: REGION,
            dynamodb: LambdaChange {
                approximate_creation_date_time: Some(arrival_s),
                keys: Some(&change.keys),
                new_image: change.new_image.as_ref(),
                old_image: change.old_image.as_ref(),
                sequence_number: number,
                size_bytes: Some(size_bytes(change)),
                stream_view_type: Some("NEW_AND_OLD_IMAGES"),
            },
            user_identity: change.expired.then_some(expiry),
            event_source_arn: &self.arn,
        };
        let json = serde_json::to_vec(&record).context("write the stream record")?;
        StreamRecord::new(number, arrival_s, key, Bytes::from(json))
    }
}

/// About what DynamoDB counts: names and values, not the JSON around them.
fn size_bytes(change: &MemoryChange) -> i64 {
    fn size(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len(),
            Value::Array(list) => list.iter().map(size).sum(),
            Value::Object(map) => map.iter().map(|(name, value)| name.len() + size(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        }
    }
    let items = [Some(&change.keys), change.new_image.as_ref(), change.old_image.as_ref()];
    let attributes = items.into_iter().flatten().flatten();
    let total: usize = attributes.map(|(name, value)| name.len() + size(value)).sum();
    i64::try_from(total).unwrap_or(i64::MAX)
}

#[async_trait]
impl ChangeStream for MemoryStream {
    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> Result<Vec<Shard>, StreamError> {
        let state = self.state();
        let describe =
            |shard: &MemoryShard| Shard { id: shard.id.clone(), parent: shard.parent.clone(), closed: shard.closed };
        Ok(state.shards.iter().map(describe).collect())
    }

    async fn iterator(&self, shard: &ShardId, position: &ShardPosition) -> Result<ShardIterator, StreamError> {
        let mut state = self.state();
        let epoch = state.epoch;
        let index = state.find(shard)?.index(position)?;
        Ok(ShardIterator(format!("{epoch} {index} {shard}")))
    }

    async fn records(&self, iterator: &ShardIterator, limit: usize) -> Result<StreamPage, StreamError> {
        let mut parts = iterator.0.splitn(3, ' ');
        let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok()).context("read the iterator");
        let (epoch, index) = (number()?, number()?);
        let id = ShardId::new(parts.next().context("read the iterator")?);
        let mut state = self.state();
        if epoch as u64 != state.epoch {
            return Err(StreamError::ExpiredIterator);
        }
        let shard = state.find(&id)?;
        let start = index.checked_sub(shard.trimmed).ok_or(StreamError::TrimmedData)?;
        let end = shard.records.len().min(start + limit.clamp(1, READ_LIMIT));
        let records = shard.records[start.min(end)..end].to_vec();
        let over = shard.closed && end == shard.records.len();
        let next = (!over).then(|| ShardIterator(format!("{epoch} {} {id}", shard.trimmed + end)));
        Ok(StreamPage { records, next })
    }
}
