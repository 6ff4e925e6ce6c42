//! A change stream generated in memory, for loads that no local database reaches and for tests.
//!
//! It behaves like a DynamoDB stream, or like a Kinesis data stream: a change goes to the open shard that owns its
//! partition key; a shard that is split ends and has two children; iterators can expire, old records can be trimmed.
//! Nothing is trimmed by itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use driftless::stream::lambda_json::{LambdaChange, LambdaIdentity, LambdaRecord};
use serde_json::{Map, Value};

use super::{
    change_times::ChangeTimes,
    kinesis_record::{ChangeParts, KinesisPlace, KinesisPut, TimePrecision, delivered},
    kinesis_stream::ShardChoice,
    memory_shards::{MemoryShard, MemoryShards},
    record::{StreamRecord, StreamSequence},
    stream::{ChangeStream, Shard, ShardId, ShardIterator, ShardPosition, StreamError, StreamKind, StreamPage},
};
use crate::function::epoch_ms;
use crate::stable_hash::StableHash;

/// Sequence numbers are this and a counter: 22 digits, as on AWS.
const SEQUENCE_NUMBER_BASE: u128 = 1_000_000_000_000_000_000_000;
const REGION: &str = "us-east-1";
const EXPIRY: LambdaIdentity<'_> =
    LambdaIdentity { kind: Some("Service"), principal_id: Some("dynamodb.amazonaws.com") };

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
    /// Rules of Kinesis, if it is such a stream.
    kinesis: Option<KinesisRules>,
    state: Mutex<MemoryShards>,
}

#[derive(Debug)]
struct KinesisRules {
    table: String,
    choice: ShardChoice,
    times: Mutex<ChangeTimes>,
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
            kinesis: None,
            state: Mutex::new(state),
        };
        stream.state().open(None, 0, u64::MAX);
        stream
    }

    /// An empty Kinesis data stream of the table's changes with one open shard.
    #[must_use]
    pub fn kinesis(table: &str, partition_key: impl Into<String>, choice: ShardChoice) -> Self {
        Self {
            arn: format!("arn:aws:kinesis:{REGION}:000000000000:stream/{table}"),
            kinesis: Some(KinesisRules { table: table.to_owned(), choice, times: Mutex::default() }),
            ..Self::new(table, partition_key)
        }
    }

    /// Adds a change, made now, to the shard that owns its key.
    ///
    /// # Errors
    /// When `keys` lack the partition key, or its shard was closed.
    pub fn push(&self, change: &MemoryChange) -> Result<StreamSequence> {
        // DynamoDB Streams cut times to seconds, Kinesis does not.
        self.push_at(change, if self.kinesis.is_some() { now_s() } else { now_s().floor() })
    }

    /// Adds a change that was made at `arrival_s`, in seconds since the epoch.
    ///
    /// # Errors
    /// When `keys` lack the partition key, or its shard was closed.
    pub fn push_at(&self, change: &MemoryChange, arrival_s: f64) -> Result<StreamSequence> {
        match &self.kinesis {
            None => self.append(|number, _| self.record(change, number, arrival_s)),
            Some(rules) => self.put_at(&self.data(rules, change, arrival_s)?, arrival_s),
        }
    }

    /// Adds a record to a Kinesis data stream, again if it is there already.
    ///
    /// # Errors
    /// When this is no Kinesis data stream, or the record's shard was closed.
    pub fn put(&self, record: &KinesisPut) -> Result<StreamSequence> {
        self.put_at(record, now_s())
    }

    /// Returns the record that DynamoDB would put into Kinesis for a change that is made now.
    ///
    /// # Errors
    /// When this is no Kinesis data stream, or `keys` lack the partition key.
    pub fn kinesis_record(&self, change: &MemoryChange) -> Result<KinesisPut> {
        let rules = self.kinesis.as_ref().context("find the rules of Kinesis")?;
        self.data(rules, change, now_s())
    }

    fn put_at(&self, record: &KinesisPut, arrival_s: f64) -> Result<StreamSequence> {
        let choice = self.kinesis.as_ref().context("find the rules of Kinesis")?.choice;
        let key = Some(record.partition_key.as_str()).filter(|_| choice == ShardChoice::ByKey);
        self.append(|sequence_number, shard| {
            delivered(KinesisPlace { arn: &self.arn, shard, sequence_number, arrival_s }, key, &record.data)
        })
    }

    /// Appends the record that `record` makes of its number and its shard. The shard follows from the record's hash.
    fn append(&self, record: impl Fn(&str, &str) -> Result<StreamRecord>) -> Result<StreamSequence> {
        let mut state = self.state();
        let number = (state.last_number + 1).to_string();
        let made = record(&number, "")?;
        let shard = state.owner(made.hash())?;
        let made = if self.kinesis.is_some() { record(&number, shard.id.as_str())? } else { made };
        let sequence_number = made.sequence_number().clone();
        shard.records.push(made);
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

    /// Ends two neighbours; their only child owns the keys of both from now on.
    ///
    /// # Errors
    /// When one of them has ended, or they are no neighbours.
    pub fn merge(&self, shard: &ShardId, adjacent: &ShardId) -> Result<ShardId> {
        let mut state = self.state();
        let (first, last) = state.range(shard)?;
        let (adjacent_first, adjacent_last) = state.range(adjacent)?;
        ensure!(last.checked_add(1) == Some(adjacent_first), "the shards {shard} and {adjacent} are no neighbours");
        state.end(shard)?;
        state.end(adjacent)?;
        let child = state.open(Some(shard), first, adjacent_last);
        state.find(&child)?.adjacent_parent = Some(adjacent.clone());
        Ok(child)
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

    fn key<'c>(&self, change: &'c MemoryChange) -> Result<&'c Value> {
        let key = change.keys.get(&self.partition_key);
        key.with_context(|| format!("find the partition key {} in the change", self.partition_key))
    }

    fn data(&self, rules: &KinesisRules, change: &MemoryChange, arrival_s: f64) -> Result<KinesisPut> {
        let hash = |json: &[u8]| StableHash::of(json);
        let item = hash(&serde_json::to_vec(&change.keys).context("write the keys")?);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "times after 1970 fit into 53 bits"
        )]
        let time_us = (arrival_s * 1_000_000.0) as u64;
        let times = &mut rules.times.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = ChangeParts {
            table: &rules.table,
            identity: &rand::random::<u128>().to_be_bytes(),
            event_name: change.event_name,
            time_us: times.next(item, time_us, false),
            precision: TimePrecision::Microsecond,
            keys: &change.keys,
            new_image: change.new_image.as_ref(),
            old_image: change.old_image.as_ref(),
            size_bytes: Some(size_bytes(change)),
            user_identity: change.expired.then_some(EXPIRY),
        };
        parts.put(hash(self.key(change)?.to_string().as_bytes()))
    }

    fn record(&self, change: &MemoryChange, number: &str, arrival_s: f64) -> Result<StreamRecord> {
        let key = self.key(change)?;
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
            user_identity: change.expired.then_some(EXPIRY),
            event_source_arn: &self.arn,
        };
        let json = serde_json::to_vec(&record).context("write the stream record")?;
        StreamRecord::new(number, arrival_s, key, Bytes::from(json))
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch fit into 53 bits")]
fn now_s() -> f64 {
    epoch_ms() as f64 / 1_000.0
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
    fn kind(&self) -> StreamKind {
        if self.kinesis.is_some() { StreamKind::Kinesis } else { StreamKind::DynamoDb }
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> Result<Vec<Shard>, StreamError> {
        let state = self.state();
        let describe = |shard: &MemoryShard| Shard {
            id: shard.id.clone(),
            parent: shard.parent.clone(),
            adjacent_parent: shard.adjacent_parent.clone(),
            closed: shard.closed,
        };
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
        let end = shard.records.len().min(start + limit.clamp(1, self.kind().read_limit()));
        let records = shard.records[start.min(end)..end].to_vec();
        let over = shard.closed && end == shard.records.len();
        let next = (!over).then(|| ShardIterator(format!("{epoch} {} {id}", shard.trimmed + end)));
        Ok(StreamPage { records, next })
    }
}
