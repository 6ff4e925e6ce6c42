//! The bridge from a table's stream into a Kinesis data stream: local databases write no Kinesis records of their own.
//!
//! It stands where a function stands: an event source mapping of the table's stream invokes it with records, and it
//! puts them. So nothing of the stream is read here, and each record is put at least once. What DynamoDB's own way into
//! Kinesis does to records, it does by a seed: [`KinesisFaults`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use aws_sdk_kinesis::{
    Client,
    primitives::Blob,
    types::{PutRecordsRequestEntry, PutRecordsResultEntry},
};
use bytes::Bytes;
use driftless::change::table_arn;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    change_times::ChangeTimes,
    config::RetryBackoff,
    disorder::{Disorder, KinesisFaults},
    kinesis_record::{ChangeParts, KinesisPut, TableRecord, TimePrecision},
    kinesis_stream::{KinesisStream, ShardChoice},
};
use crate::function::{Invocation, InvocationOutcome, Invoke, Launch, ProcessFault, new_request_id};
use crate::services::client_error;
use crate::stable_hash::StableHash;

/// The most records and bytes in one request ("PutRecords", Kinesis Data Streams API reference).
const MOST_RECORDS: usize = 500;
const MOST_BYTES: usize = 4 * 1024 * 1024;
const BACKOFF: RetryBackoff = RetryBackoff { initial: Duration::from_millis(20), maximum: Duration::from_secs(2) };

/// Writer of a Kinesis data stream; clones are the same.
#[derive(Clone, Debug)]
pub struct KinesisBridge(Arc<BridgeState>);

#[derive(Debug)]
struct BridgeState {
    client: Client,
    stream: KinesisStream,
    name: String,
    partition_key: String,
    choice: ShardChoice,
    faults: KinesisFaults,
    has_milliseconds: AtomicBool,
    /// Held while records are put: a stream has one writer.
    progress: Mutex<BridgeProgress>,
}

#[derive(Debug)]
struct BridgeProgress {
    times: ChangeTimes,
    disorder: Disorder<KinesisPut>,
    put: u64,
    resharded: u64,
}

/// Counts of a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeCounts {
    /// Number of records in the Kinesis data stream, repeated ones included.
    pub put: u64,
    /// Number of splits and merges.
    pub resharded: u64,
}

impl KinesisBridge {
    /// Creates the bridge into the stream `name`, which exists; `partition_key` is that of the table.
    ///
    /// # Errors
    /// When there is no such stream.
    pub async fn new(
        client: Client,
        name: &str,
        partition_key: &str,
        choice: ShardChoice,
        faults: KinesisFaults,
    ) -> Result<Self> {
        let stream = KinesisStream::new(client.clone(), name, choice).await?;
        let (times, disorder) = (ChangeTimes::default(), Disorder::new(faults));
        let progress = Mutex::new(BridgeProgress { times, disorder, put: 0, resharded: 0 });
        let (name, partition_key) = (name.to_owned(), partition_key.to_owned());
        let has_milliseconds = AtomicBool::new(false);
        Ok(Self(Arc::new(BridgeState {
            client,
            stream,
            name,
            partition_key,
            choice,
            faults,
            has_milliseconds,
            progress,
        })))
    }

    /// Stream that the bridge fills.
    #[must_use]
    pub fn stream(&self) -> KinesisStream {
        self.0.stream.clone()
    }

    /// Changes the precision of the times from the next record on, as `UpdateKinesisStreamingDestination` does.
    pub fn set_precision(&self, precision: TimePrecision) {
        self.0.has_milliseconds.store(precision == TimePrecision::Millisecond, Ordering::Relaxed);
    }

    /// Puts everything that is still held back.
    pub async fn put_rest(&self) -> BridgeCounts {
        let mut progress = self.0.progress.lock().await;
        let rest = progress.disorder.rest();
        self.0.put(&mut progress, rest).await;
        BridgeCounts { put: progress.put, resharded: progress.resharded }
    }
}

impl BridgeState {
    /// Puts the records of an event. Returns once they are in the stream or held back.
    async fn take(&self, payload: &[u8]) -> Result<()> {
        let event: TableEvent<'_> = serde_json::from_slice(payload).context("read the event")?;
        let mut progress = self.progress.lock().await;
        let puts: Result<Vec<_>> = event.records.iter().map(|record| self.convert(record, &mut progress)).collect();
        let puts = progress.disorder.pass(puts?);
        self.put(&mut progress, puts).await;
        Ok(())
    }

    /// Returns the record that DynamoDB would put for a record of the table's stream.
    fn convert(&self, record: &RawValue, progress: &mut BridgeProgress) -> Result<KinesisPut> {
        let record: TableRecord<'_> =
            serde_json::from_str(record.get()).context("read a record of the table's stream")?;
        let change = &record.dynamodb;
        let table = table_arn(record.arn).and_then(|arn| arn.rsplit_once('/')).context("find the table in the ARN")?.1;
        let keys: Value = serde_json::from_str(change.keys.get()).context("read the keys")?;
        let key = keys.get(&self.partition_key);
        let key = key.with_context(|| format!("find the partition key {} in the record's Keys", self.partition_key))?;
        let hash = |value: &Value| StableHash::of(value.to_string().as_bytes());
        let is_same = progress.disorder.happens(self.faults.same_time_percent);
        let time_us = progress.times.next(hash(&keys), microseconds(change.created_s.unwrap_or_default()), is_same);
        let precision = match self.has_milliseconds.load(Ordering::Relaxed) {
            true => TimePrecision::Millisecond,
            false => TimePrecision::Microsecond,
        };
        ChangeParts {
            table,
            identity: [record.arn, change.sequence_number].concat().as_bytes(),
            event_name: record.event_name,
            time_us,
            precision,
            keys: change.keys,
            new_image: change.new_image,
            old_image: change.old_image,
            size_bytes: change.size_bytes,
            user_identity: record.user_identity,
        }
        .put(hash(key))
    }

    /// Puts records in their order, however often it takes, and changes the shards when it is time.
    async fn put(&self, progress: &mut BridgeProgress, records: Vec<KinesisPut>) {
        let mut records = records.as_slice();
        while !records.is_empty() {
            let (part, rest) = records.split_at(self.part_length(records, progress.put));
            let mut refusals = 0;
            let mut open = part.to_vec();
            while let Err(error) = self.put_part(&mut open, &mut progress.disorder).await {
                refusals += 1;
                tracing::warn!("Kinesis did not take all records: {error:#}");
                sleep(BACKOFF.delay(refusals)).await;
            }
            progress.put += part.len() as u64;
            if self.faults.reshard_every.is_some_and(|every| progress.put.is_multiple_of(every.get())) {
                match self.stream.reshard(&mut progress.disorder).await {
                    Ok(()) => progress.resharded += 1,
                    Err(error) => tracing::warn!("the Kinesis stream was not resharded: {error:#}"),
                }
            }
            records = rest;
        }
    }

    /// Counts the records that one request takes, up to the next change of the shards.
    fn part_length(&self, records: &[KinesisPut], put: u64) -> usize {
        let until = self.faults.reshard_every.map_or(u64::MAX, |every| every.get() - put % every.get());
        let most = usize::try_from(until).unwrap_or(usize::MAX).min(MOST_RECORDS);
        let mut bytes = 0;
        let fitting = records.iter().take(most).take_while(|record| {
            bytes += record.data.len() + record.partition_key.len();
            bytes <= MOST_BYTES
        });
        fitting.count().max(1)
    }

    /// Puts records with one request, and leaves those in `open` that were not taken.
    async fn put_part(&self, open: &mut Vec<KinesisPut>, disorder: &mut Disorder<KinesisPut>) -> Result<()> {
        let entries: Result<Vec<_>> = open.iter().map(|record| self.entry(record, disorder)).collect();
        let put = self.client.put_records().stream_name(&self.name).set_records(Some(entries?)).send().await;
        let ends = put.map_err(client_error).context("put records")?.records;
        ensure!(ends.len() == open.len(), "Kinesis answered {} of {} records", ends.len(), open.len());
        let mut taken = ends.iter().map(PutRecordsResultEntry::sequence_number);
        open.retain(|_| taken.next().flatten().is_none());
        ensure!(open.is_empty(), "{} records were refused", open.len());
        Ok(())
    }

    fn entry(&self, record: &KinesisPut, disorder: &mut Disorder<KinesisPut>) -> Result<PutRecordsRequestEntry> {
        let hash = match self.choice {
            ShardChoice::ByKey => None,
            // The upper half of 128 bits decides which shard it is.
            ShardChoice::Any => Some(((disorder.below(usize::MAX) as u128) << 64).to_string()),
        };
        let entry = PutRecordsRequestEntry::builder().data(Blob::new(record.data.as_ref()));
        let entry = entry.partition_key(&record.partition_key).set_explicit_hash_key(hash);
        entry.build().context("make a record")
    }
}

fn microseconds(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times after 1970 fit into 53 bits")]
    let time_us = (seconds * 1_000_000.0) as u64;
    time_us
}

#[derive(Deserialize)]
struct TableEvent<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'a RawValue>,
}

#[async_trait]
impl Launch for KinesisBridge {
    fn function_arn(&self) -> &str {
        "arn:aws:dynamodb:us-east-1:000000000000:kinesis-streaming-destination"
    }

    async fn launch(&self) -> Result<Box<dyn Invoke>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Invoke for KinesisBridge {
    async fn warm_up(&mut self) -> Result<()> {
        Ok(())
    }

    async fn invoke(&mut self, payload: Bytes, _: Option<ProcessFault>) -> Result<Invocation> {
        let start = Instant::now();
        self.0.take(&payload).await?;
        let outcome = InvocationOutcome::Response(Bytes::from_static(b"{}"));
        Ok(Invocation { request_id: new_request_id(), outcome, duration: start.elapsed() })
    }

    async fn kill(&mut self) {}
}
