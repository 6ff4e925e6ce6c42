//! Table of the model and its streams: items, shards, and records in Lambda's own JSON.
//!
//! Sequence numbers grow from 21 to 22 digits within a schedule, so that a comparison as texts would show. They start
//! lower in every new stream, so that a forgotten label would show. They are unique over all streams.

use std::collections::BTreeMap;

use bytes::Bytes;
use driftless::change::ChangeKind;
use driftless::testing::TABLE_ARN;
use driftless_harness::mapping::record::StreamRecord;
use driftless_harness::mapping::stream::StreamKind;

use crate::kinesis::{self, KinesisChange, ToldTime};
use crate::schedule::KinesisSettings;
/// Name of the partition key.
pub(crate) const PARTITION_KEY: &str = "pk";
/// Number of partition keys.
pub(crate) const PARTITIONS: u8 = 4;
/// First number with 22 digits.
const ROLL_OVER: u128 = 1_000_000_000_000_000_000_000;
/// Distance between the numbers of two streams.
const STREAM_GAP: u128 = 1_000_000;

/// Content of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemContent {
    pub(crate) number: u32,
    pub(crate) poison: bool,
}

/// Shard of a stream.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) parents: Vec<usize>,
    pub(crate) closed: bool,
    pub(crate) records: Vec<StreamRecord>,
    /// Number of them that the stream no longer holds.
    pub(crate) trimmed: usize,
    /// Partitions whose records it takes.
    partitions: std::ops::Range<u8>,
}

/// A stream of the table, present or past.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) arn: String,
    pub(crate) kind: StreamKind,
    pub(crate) shards: Vec<Shard>,
}

/// A change that was written to the table.
pub(crate) struct WrittenChange {
    /// Names of the change: the last parts of its versions.
    pub(crate) names: Vec<String>,
    pub(crate) id: String,
    pub(crate) poison: bool,
    /// Time and number of its event in Kinesis, if it goes there.
    pub(crate) event: Option<(u64, u128)>,
    /// Records that are still to be put into Kinesis.
    pub(crate) kinesis: Vec<KinesisChange>,
}

/// Table with its streams, present and past.
#[derive(Debug, Default)]
pub(crate) struct ModelTable {
    pub(crate) items: BTreeMap<u8, ItemContent>,
    pub(crate) streams: Vec<Stream>,
    /// Items before their last change.
    pub(crate) former: BTreeMap<u8, ItemContent>,
    /// Streams that get changes: the present one, and the other kind's while both are enabled.
    enabled: Vec<usize>,
    changes: u128,
    settings: Option<KinesisSettings>,
    /// True if times are in milliseconds now.
    milliseconds: bool,
    last_us: u64,
    kinesis_records: u64,
    /// Number of records on their way into Kinesis.
    under_way: u64,
}

impl ModelTable {
    pub(crate) fn new(initial: &[u8], settings: Option<KinesisSettings>) -> Self {
        // No step gives such numbers.
        let item = |&key: &u8| (key, ItemContent { number: 1_000_000 + u32::from(key), poison: false });
        let milliseconds = settings.is_some_and(|settings| settings.milliseconds);
        let items = initial.iter().map(item).collect();
        let mut table = Self { items, settings, milliseconds, ..Self::default() };
        let kind = if settings.is_some() { StreamKind::Kinesis } else { StreamKind::DynamoDb };
        table.enable(kind, 2026);
        table
    }

    /// Returns the number of the present stream.
    pub(crate) fn newest(&self) -> usize {
        self.enabled[0]
    }

    fn kind(&self) -> StreamKind {
        self.streams[self.newest()].kind
    }

    /// Replaces all streams by a new one of the same kind. The year decides how its label sorts.
    pub(crate) fn replace_stream(&mut self, year: usize) {
        let kind = self.kind();
        self.disable_all();
        self.enable(kind, year);
    }

    /// Enables a stream of the other kind beside the present one, unless that is done.
    pub(crate) fn add_source(&mut self, year: usize) {
        if self.enabled.len() == 1 {
            self.enable(other(self.kind()), year);
        }
    }

    /// Lets only the stream of the other kind go on; it is enabled now if it was not.
    pub(crate) fn switch_source(&mut self, year: usize) {
        self.add_source(year);
        let added = self.enabled.pop();
        self.disable_all();
        self.enabled.extend(added);
    }

    fn enable(&mut self, kind: StreamKind, year: usize) {
        let nth = self.streams.len();
        let arn = match kind {
            StreamKind::DynamoDb => format!("{TABLE_ARN}/stream/{year}-01-15T09:30:{nth:02}.000"),
            StreamKind::Kinesis => format!("arn:aws:kinesis:eu-central-1:123456789012:stream/T{nth}"),
        };
        let (parents, records) = (Vec::new(), Vec::new());
        let first = Shard { parents, closed: false, records, trimmed: 0, partitions: 0..PARTITIONS };
        self.enabled.push(nth);
        self.streams.push(Stream { arn, kind, shards: vec![first] });
    }

    fn disable_all(&mut self) {
        for stream in std::mem::take(&mut self.enabled) {
            // What is on its way into Kinesis still arrives there.
            if self.streams[stream].kind == StreamKind::DynamoDb {
                self.streams[stream].shards.iter_mut().for_each(|shard| shard.closed = true);
            }
        }
    }

    /// Closes every open shard. Two children take half of its partitions each, or one takes all.
    pub(crate) fn split(&mut self) {
        for &stream in &self.enabled {
            let shards = &mut self.streams[stream].shards;
            for at in 0..shards.len() {
                if std::mem::replace(&mut shards[at].closed, true) {
                    continue;
                }
                let partitions = shards[at].partitions.clone();
                let middle = partitions.start.midpoint(partitions.end);
                let children = [partitions.start..middle, middle..partitions.end].into_iter();
                for partitions in children.filter(|part| !part.is_empty()) {
                    shards.push(Shard {
                        parents: vec![at],
                        closed: false,
                        records: Vec::new(),
                        trimmed: 0,
                        partitions,
                    });
                }
            }
        }
    }

    /// Closes every open shard. One child takes all partitions.
    pub(crate) fn merge(&mut self) {
        for &stream in &self.enabled {
            let shards = &mut self.streams[stream].shards;
            let parents = (0..shards.len()).filter(|&at| !std::mem::replace(&mut shards[at].closed, true)).collect();
            shards.push(Shard { parents, closed: false, records: Vec::new(), trimmed: 0, partitions: 0..PARTITIONS });
        }
    }

    /// Changes the precision of the times in Kinesis.
    pub(crate) fn switch_precision(&mut self) {
        self.milliseconds = !self.milliseconds;
    }

    /// Trims the streams, as after a day: their present records can no longer be read.
    pub(crate) fn trim(&mut self) {
        for shard in self.streams.iter_mut().flat_map(|stream| &mut stream.shards) {
            shard.trimmed = shard.records.len();
        }
    }

    /// Returns `true` while records are on their way into Kinesis.
    pub(crate) fn has_records_under_way(&self) -> bool {
        self.under_way > 0
    }

    pub(crate) fn begin_put(&mut self) {
        self.under_way += 1;
    }

    pub(crate) fn end_put(&mut self) {
        self.under_way -= 1;
    }

    /// Appends a record to Kinesis: to its partition's shard, or to any. Returns its number.
    pub(crate) fn append(&mut self, change: &KinesisChange, now_ms: u64, any: Option<u64>) -> String {
        self.kinesis_records += 1;
        let number = kinesis::sequence_number(self.kinesis_records);
        let Stream { arn, shards, .. } = &mut self.streams[change.stream];
        let open: Vec<usize> = (0..shards.len()).filter(|&at| !shards[at].closed).collect();
        let at = match any {
            Some(chance) => open.get(usize::try_from(chance % open.len() as u64).unwrap_or_default()).copied(),
            None => open.into_iter().find(|&at| shards[at].partitions.contains(&change.partition)),
        };
        let at = at.expect("every partition has an open shard");
        shards[at].records.push(kinesis::record(arn, at, &number, now_ms, change, any.is_some()));
        number
    }

    pub(crate) fn put(&mut self, key: u8, item: ItemContent, now_ms: u64) -> WrittenChange {
        let before = self.items.insert(key, item);
        self.note_former(key, before);
        self.record(if before.is_some() { ChangeKind::Modify } else { ChangeKind::Insert }, key, Some(item), now_ms)
    }

    pub(crate) fn delete(&mut self, key: u8, now_ms: u64) -> Option<WrittenChange> {
        let before = self.items.remove(&key)?;
        self.note_former(key, Some(before));
        Some(self.record(ChangeKind::Remove, key, None, now_ms))
    }

    fn note_former(&mut self, key: u8, before: Option<ItemContent>) {
        match before {
            Some(before) => self.former.insert(key, before),
            None => self.former.remove(&key),
        };
    }

    /// Returns the documents that the index must show.
    pub(crate) fn documents(&self) -> BTreeMap<String, String> {
        self.items.iter().map(|(&key, item)| (document_id(key), document(key, *item))).collect()
    }

    fn record(&mut self, kind: ChangeKind, key: u8, item: Option<ItemContent>, now_ms: u64) -> WrittenChange {
        self.changes += 1;
        let (id, poison) = (document_id(key), item.is_some_and(|item| item.poison));
        let mut written = WrittenChange { names: Vec::new(), id, poison, event: None, kinesis: Vec::new() };
        let image = item.map(|item| image(key, item));
        for stream in self.enabled.clone() {
            let number = ROLL_OVER - 50 + 7 * self.changes - STREAM_GAP * stream as u128;
            match self.streams[stream].kind {
                StreamKind::DynamoDb => {
                    written.names.push(number.to_string());
                    self.append_table_record(stream, number, (kind, key), image.as_deref(), now_ms / 1_000);
                }
                StreamKind::Kinesis => {
                    written.names.extend([kinesis::version_name(number), number.to_string()]);
                    let time = self.change_time(now_ms);
                    let unit = if time.in_milliseconds { 1_000 } else { 1 };
                    written.event = Some((time.micros / unit, number));
                    let data = kinesis::data(kind, number, time, &keys(key), image.clone());
                    written.kinesis.push(KinesisChange { stream, partition: key % PARTITIONS, data });
                }
            }
        }
        written
    }

    fn append_table_record(
        &mut self,
        stream: usize,
        number: u128,
        (kind, key): (ChangeKind, u8),
        image: Option<&str>,
        at_s: u64,
    ) {
        let event = kind.event_name();
        let image = image.map_or_else(String::new, |image| format!(r#""NewImage":{image},"#));
        let Stream { arn, shards, .. } = &mut self.streams[stream];
        let json = format!(
            r#"{{"eventID":"e{number}","eventName":"{event}","eventSource":"aws:dynamodb","dynamodb":{{"ApproximateCreationDateTime":{at_s},"Keys":{},{image}"SequenceNumber":"{number}","StreamViewType":"NEW_IMAGE"}},"eventSourceARN":"{arn}"}}"#,
            keys(key)
        );
        let record =
            StreamRecord::from_json(Bytes::from(json), PARTITION_KEY).expect("the model's records are records");
        let open = |shard: &&mut Shard| !shard.closed && shard.partitions.contains(&(key % PARTITIONS));
        shards.iter_mut().find(open).expect("every partition has an open shard").records.push(record);
    }

    /// Returns the time of the next change in Kinesis.
    fn change_time(&mut self, now_ms: u64) -> ToldTime {
        let same_percent = self.settings.map_or(0, |settings| u128::from(settings.same_time_percent));
        // By the number of the change, so that a shorter schedule keeps the times of what is left of it.
        let is_same = self.changes * 37 % 100 < same_percent;
        self.last_us = (now_ms * 1_000).max(self.last_us + u64::from(!is_same));
        ToldTime {
            micros: self.last_us,
            in_milliseconds: self.milliseconds,
            with_precision: !self.changes.is_multiple_of(3),
        }
    }
}

fn other(kind: StreamKind) -> StreamKind {
    match kind {
        StreamKind::DynamoDb => StreamKind::Kinesis,
        StreamKind::Kinesis => StreamKind::DynamoDb,
    }
}

/// Returns the key attributes of an item. Items share partition keys.
fn key_parts(key: u8) -> (String, String) {
    (format!("p{}", key % PARTITIONS), format!("s{}", key / PARTITIONS))
}

fn document_id(key: u8) -> String {
    let (partition, sort) = key_parts(key);
    format!("{partition}|{sort}")
}

fn document(key: u8, ItemContent { number, poison }: ItemContent) -> String {
    let (partition, sort) = key_parts(key);
    let poison = if poison { r#""poison":{"x":1},"# } else { "" };
    format!(r#"{{"n":{number},"pk":"{partition}",{poison}"sk":"{sort}"}}"#)
}

/// Returns the item in DynamoDB's JSON.
pub(crate) fn image(key: u8, ItemContent { number, poison }: ItemContent) -> String {
    let (partition, sort) = key_parts(key);
    let poison = if poison { r#","poison":{"M":{"x":{"N":"1"}}}"# } else { "" };
    format!(r#"{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sort}"}},"n":{{"N":"{number}"}}{poison}}}"#)
}

/// Returns the item's keys in DynamoDB's JSON.
pub(crate) fn keys(key: u8) -> String {
    let (partition, sort) = key_parts(key);
    format!(r#"{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sort}"}}}}"#)
}
