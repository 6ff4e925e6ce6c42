//! The records between two sequence numbers of a shard, read again while a stream keeps them: DynamoDB's for 24 hours,
//! Kinesis's for 24 hours to 365 days.
//!
//! # Layout
//! - [`RangeReader`]: the interface; [`DynamoDbRangeReader`]: DynamoDB's streams behind it; `kinesis`: those of
//!   Kinesis; `either`: both (feature `kinesis`).
//! - `cursor`: progress through a range, without I/O.

mod cursor;
mod dynamodb;
#[cfg(feature = "kinesis")]
mod either;
#[cfg(feature = "kinesis")]
mod kinesis;

use std::future::Future;

use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::dead_letter::range::BatchInfo;
pub use cursor::RangeCursor;
pub use dynamodb::DynamoDbRangeReader;
#[cfg(feature = "kinesis")]
pub use either::EitherRangeReader;
#[cfg(feature = "kinesis")]
pub use kinesis::KinesisRangeReader;

/// Reason why a range could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The message does not name a range.
    #[error("{0}")]
    Malformed(String),
    /// The range may be readable later.
    #[error("the stream {0}")]
    Unavailable(String),
}

/// Result of one read of a range.
#[derive(Debug, Default)]
pub struct RangePage {
    /// Records in the order of the stream, as Lambda delivers them.
    pub records: Vec<Box<RawValue>>,
    /// True on the last page of the range.
    pub last: bool,
}

impl RangePage {
    /// Returns the page behind the last record.
    fn end() -> Self {
        Self { records: Vec::new(), last: true }
    }
}

/// Reader for ranges of streams.
pub trait RangeReader: Send + Sync {
    /// Progress through a range.
    type Cursor: Send;

    /// Opens a range at its first record.
    fn open(
        &self,
        range: &BatchInfo,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Cursor, RangeError>> + Send;

    /// Reads the next page, which may be empty.
    fn next(
        &self,
        cursor: &mut Self::Cursor,
        deadline: Instant,
    ) -> impl Future<Output = Result<RangePage, RangeError>> + Send;

    /// Returns `true` if the stream no longer holds all of the range. Known once its last page was read.
    fn is_trimmed(&self, cursor: &Self::Cursor) -> bool;
}
