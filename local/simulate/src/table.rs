//! Table of the model and its streams: items, shards, and records in Lambda's own JSON.
//!
//! Sequence numbers grow from 21 to 22 digits within a schedule, so that a comparison as texts would show. They start
//! lower in every new stream, so that a forgotten label would show. They are unique over all streams.

use std::collections::BTreeMap;

use bytes::Bytes;
use driftless_harness::mapping::record::StreamRecord;

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
    pub(crate) parent: Option<usize>,
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
    pub(crate) shards: Vec<Shard>,
}

/// A change that was written to the stream.
pub(crate) struct WrittenChange {
    pub(crate) sequence: u128,
    pub(crate) id: String,
    pub(crate) poison: bool,
}

/// Table with its streams. The last one is the present one.
#[derive(Debug, Default)]
pub(crate) struct ModelTable {
    pub(crate) items: BTreeMap<u8, ItemContent>,
    pub(crate) streams: Vec<Stream>,
    changes: u128,
}

impl ModelTable {
    pub(crate) fn new(initial: &[u8]) -> Self {
        // No step gives such numbers.
        let item = |&key: &u8| (key, ItemContent { number: 1_000_000 + u32::from(key), poison: false });
        let mut table = Self { items: initial.iter().map(item).collect(), ..Self::default() };
        table.add_stream(2026);
        table
    }

    /// Returns the number of the present stream.
    pub(crate) fn newest(&self) -> usize {
        self.streams.len() - 1
    }

    /// Replaces the stream by a new one. The year decides how its label sorts.
    pub(crate) fn add_stream(&mut self, year: usize) {
        self.split_with(|_| Vec::new());
        let arn = format!(
            "arn:aws:dynamodb:eu-central-1:123456789012:table/T/stream/{year}-01-15T09:30:{:02}.000",
            self.streams.len()
        );
        let first = Shard { parent: None, closed: false, records: Vec::new(), trimmed: 0, partitions: 0..PARTITIONS };
        self.streams.push(Stream { arn, shards: vec![first] });
    }

    /// Closes every open shard. Two children take half of its partitions each, or one takes all.
    pub(crate) fn split(&mut self) {
        self.split_with(|partitions| {
            let middle = partitions.start.midpoint(partitions.end);
            [partitions.start..middle, middle..partitions.end].into_iter().filter(|part| !part.is_empty()).collect()
        });
    }

    /// Trims the streams, as after a day: their present records can no longer be read.
    pub(crate) fn trim(&mut self) {
        for shard in self.streams.iter_mut().flat_map(|stream| &mut stream.shards) {
            shard.trimmed = shard.records.len();
        }
    }

    fn split_with(&mut self, children: impl Fn(&std::ops::Range<u8>) -> Vec<std::ops::Range<u8>>) {
        let Some(stream) = self.streams.last_mut() else { return };
        for at in 0..stream.shards.len() {
            if std::mem::replace(&mut stream.shards[at].closed, true) {
                continue;
            }
            for partitions in children(&stream.shards[at].partitions) {
                stream.shards.push(Shard {
                    parent: Some(at),
                    closed: false,
                    records: Vec::new(),
                    trimmed: 0,
                    partitions,
                });
            }
        }
    }

    pub(crate) fn put(&mut self, key: u8, item: ItemContent, at_s: u64) -> WrittenChange {
        let event = if self.items.insert(key, item).is_some() { "MODIFY" } else { "INSERT" };
        self.record(event, key, Some(item), at_s)
    }

    pub(crate) fn delete(&mut self, key: u8, at_s: u64) -> Option<WrittenChange> {
        self.items.remove(&key)?;
        Some(self.record("REMOVE", key, None, at_s))
    }

    /// Returns the documents that the index must show.
    pub(crate) fn documents(&self) -> BTreeMap<String, String> {
        self.items.iter().map(|(&key, item)| (document_id(key), document(key, *item))).collect()
    }

    fn record(&mut self, event: &str, key: u8, item: Option<ItemContent>, at_s: u64) -> WrittenChange {
        self.changes += 1;
        let epoch = self.streams.len() as u128;
        let sequence = ROLL_OVER - 50 + 7 * self.changes - STREAM_GAP * (epoch - 1);
        let (partition, sort) = key_parts(key);
        let image = item.map_or_else(String::new, |item| format!(r#""NewImage":{},"#, image(key, item)));
        let stream = self.streams.last_mut().expect("a table has a stream");
        let json = format!(
            r#"{{"eventID":"e{sequence}","eventName":"{event}","eventSource":"aws:dynamodb","dynamodb":{{"ApproximateCreationDateTime":{at_s},"Keys":{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sort}"}}}},{image}"SequenceNumber":"{sequence}","StreamViewType":"NEW_IMAGE"}},"eventSourceARN":"{}"}}"#,
            stream.arn
        );
        let record =
            StreamRecord::from_json(Bytes::from(json), PARTITION_KEY).expect("the model's records are records");
        let open = |shard: &&mut Shard| !shard.closed && shard.partitions.contains(&(key % PARTITIONS));
        stream.shards.iter_mut().find(open).expect("every partition has an open shard").records.push(record);
        WrittenChange { sequence, id: document_id(key), poison: item.is_some_and(|item| item.poison) }
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
