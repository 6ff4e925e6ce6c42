//! The model's table and its streams: items, shards, and records in Lambda's own JSON.
//!
//! Sequence numbers grow from 21 to 22 digits within a schedule, and start lower in every new stream, so that text
//! order and a forgotten label would show. They are unique over all streams.

use std::collections::BTreeMap;

use bytes::Bytes;
use driftless_harness::mapping::record::StreamRecord;

/// Name of the partition key.
pub(crate) const PARTITION_KEY: &str = "pk";
/// Partitions that keys are spread over.
pub(crate) const PARTITIONS: u8 = 4;
/// The end of the 21-digit numbers: 10^21.
const ROLL_OVER: u128 = 1_000_000_000_000_000_000_000;
/// By how far the numbers of streams lie apart.
const STREAM_GAP: u128 = 1_000_000;

/// An item's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) number: u32,
    pub(crate) poison: bool,
}

/// A part of a stream.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) parent: Option<usize>,
    pub(crate) closed: bool,
    pub(crate) records: Vec<StreamRecord>,
    /// How many of them the stream no longer holds.
    pub(crate) trimmed: usize,
    /// The partitions whose records it takes.
    partitions: std::ops::Range<u8>,
}

/// A stream, dead or alive.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) arn: String,
    pub(crate) shards: Vec<Shard>,
}

/// A change, as it was written to the stream.
pub(crate) struct Written {
    pub(crate) sequence: u128,
    pub(crate) id: String,
    pub(crate) poison: bool,
}

/// The table. The last stream is alive.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) items: BTreeMap<u8, Item>,
    pub(crate) streams: Vec<Stream>,
    changes: u128,
}

impl Table {
    pub(crate) fn new(initial: &[u8]) -> Self {
        // Numbers that no step gives.
        let item = |&key: &u8| (key, Item { number: 1_000_000 + u32::from(key), poison: false });
        let mut table = Self { items: initial.iter().map(item).collect(), ..Self::default() };
        table.add_stream(2026);
        table
    }

    /// Number of the stream that is alive.
    pub(crate) fn newest(&self) -> usize {
        self.streams.len() - 1
    }

    /// Gives the table a new stream in place of the one it has. The label's year decides how the label sorts.
    pub(crate) fn add_stream(&mut self, year: usize) {
        self.split_with(|_| Vec::new());
        let arn = format!(
            "arn:aws:dynamodb:eu-central-1:123456789012:table/T/stream/{year}-01-15T09:30:{:02}.000",
            self.streams.len()
        );
        let first = Shard { parent: None, closed: false, records: Vec::new(), trimmed: 0, partitions: 0..PARTITIONS };
        self.streams.push(Stream { arn, shards: vec![first] });
    }

    /// Closes every open shard: half of its partitions for each of two children, or all for one.
    pub(crate) fn split(&mut self) {
        self.split_with(|partitions| {
            let middle = partitions.start.midpoint(partitions.end);
            [partitions.start..middle, middle..partitions.end].into_iter().filter(|part| !part.is_empty()).collect()
        });
    }

    /// A day has passed: what is in the streams now can be read no more.
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

    pub(crate) fn put(&mut self, key: u8, item: Item, at_s: u64) -> Written {
        let event = if self.items.insert(key, item).is_some() { "MODIFY" } else { "INSERT" };
        self.record(event, key, Some(item), at_s)
    }

    pub(crate) fn delete(&mut self, key: u8, at_s: u64) -> Option<Written> {
        self.items.remove(&key)?;
        Some(self.record("REMOVE", key, None, at_s))
    }

    /// What the index must show.
    pub(crate) fn documents(&self) -> BTreeMap<String, String> {
        self.items.iter().map(|(&key, item)| (document_id(key), document(key, *item))).collect()
    }

    fn record(&mut self, event: &str, key: u8, item: Option<Item>, at_s: u64) -> Written {
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
        Written { sequence, id: document_id(key), poison: item.is_some_and(|item| item.poison) }
    }
}

/// Two items of each partition in turn share its partition key.
fn key_parts(key: u8) -> (String, String) {
    (format!("p{}", key % PARTITIONS), format!("s{}", key / PARTITIONS))
}

fn document_id(key: u8) -> String {
    let (partition, sort) = key_parts(key);
    format!("{partition}|{sort}")
}

fn document(key: u8, Item { number, poison }: Item) -> String {
    let (partition, sort) = key_parts(key);
    let poison = if poison { r#""poison":{"x":1},"# } else { "" };
    format!(r#"{{"n":{number},"pk":"{partition}",{poison}"sk":"{sort}"}}"#)
}

/// The item in DynamoDB's JSON.
pub(crate) fn image(key: u8, Item { number, poison }: Item) -> String {
    let (partition, sort) = key_parts(key);
    let poison = if poison { r#","poison":{"M":{"x":{"N":"1"}}}"# } else { "" };
    format!(r#"{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sort}"}},"n":{{"N":"{number}"}}{poison}}}"#)
}

/// The item's keys in DynamoDB's JSON.
pub(crate) fn keys(key: u8) -> String {
    let (partition, sort) = key_parts(key);
    format!(r#"{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sort}"}}}}"#)
}
