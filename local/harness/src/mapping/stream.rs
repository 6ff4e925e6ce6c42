//! Change streams as the event source mapping needs them, in the words of the DynamoDB Streams API.
//!
//! A stream is a set of shards; a shard that ended may have children, which name it as a parent. An iterator is a
//! place in a shard; reading gives records and the next iterator. *Only* a missing next iterator says that a shard is
//! over: local databases report an ending sequence number for open shards, too.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::record::{StreamRecord, StreamSequence};

/// The most records that one read returns ("GetRecords", DynamoDB Streams API reference).
pub const READ_LIMIT: usize = 1_000;
/// The same of Kinesis ("GetRecords", Kinesis Data Streams API reference).
pub const KINESIS_READ_LIMIT: usize = 10_000;

/// Kind of a stream, where the mapping or Lambda's messages differ by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamKind {
    /// Stream of a DynamoDB table.
    #[default]
    DynamoDb,
    /// Kinesis data stream of any producer.
    Kinesis,
}

impl StreamKind {
    /// Returns the most records that one read returns.
    #[must_use]
    pub fn read_limit(self) -> usize {
        match self {
            Self::DynamoDb => READ_LIMIT,
            Self::Kinesis => KINESIS_READ_LIMIT,
        }
    }
}

/// The name of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// A shard's name as the stream gives it.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// Returns the name of the shard.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One shard, as a listing of the stream describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Name of the shard.
    pub id: ShardId,
    /// The shard that it continues, if any; the parent may no longer be listed.
    pub parent: Option<ShardId>,
    /// The other shard that it continues, if two were merged to it.
    pub adjacent_parent: Option<ShardId>,
    /// True if the listing shows an end. A hint only: see the module's documentation.
    pub closed: bool,
}

/// Position at which to start reading a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardPosition {
    /// At the oldest record that is still there.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At the record of this number.
    At(StreamSequence),
    /// After the record of this number.
    After(StreamSequence),
}

/// A place in a shard; opaque outside of its stream, and valid for 15 minutes on AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIterator(pub(super) String);

/// Result of one read.
#[derive(Clone, Debug, Default)]
pub struct StreamPage {
    /// The records, oldest first; possibly none.
    pub records: Vec<StreamRecord>,
    /// Iterator of the next read; `None` at the end of a shard that was closed.
    pub next: Option<ShardIterator>,
}

/// Reason why a stream could not be read.
#[derive(Debug)]
pub enum StreamError {
    /// The iterator is too old; a new one is needed.
    ExpiredIterator,
    /// The position is before the oldest record that is still there: records are lost to this reader.
    TrimmedData,
    /// Anything else; the read may be tried again.
    Other(anyhow::Error),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExpiredIterator => f.write_str("the shard iterator expired"),
            Self::TrimmedData => f.write_str("the stream no longer holds the records at this position"),
            Self::Other(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<anyhow::Error> for StreamError {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// A DynamoDB stream, a Kinesis data stream, or something that behaves like one.
#[async_trait]
pub trait ChangeStream: Send + Sync {
    /// Returns the kind of the stream.
    fn kind(&self) -> StreamKind {
        StreamKind::DynamoDb
    }

    /// Returns the ARN of the stream.
    fn arn(&self) -> &str;

    /// All shards that are known now.
    ///
    /// # Errors
    /// When the stream cannot be described.
    async fn shards(&self) -> Result<Vec<Shard>, StreamError>;

    /// A place in `shard`.
    ///
    /// # Errors
    /// [`StreamError::TrimmedData`] when the position is no longer in the stream.
    async fn iterator(&self, shard: &ShardId, position: &ShardPosition) -> Result<ShardIterator, StreamError>;

    /// At most `limit` records from `iterator` on, and never more than the kind's limit.
    ///
    /// # Errors
    /// [`StreamError::ExpiredIterator`] and [`StreamError::TrimmedData`] as the DynamoDB Streams API has them.
    async fn records(&self, iterator: &ShardIterator, limit: usize) -> Result<StreamPage, StreamError>;
}
