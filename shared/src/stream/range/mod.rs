//! The records between two sequence numbers of a shard, read again within the 24 hours that a stream keeps them.
//!
//! # Layout
//! - [`Ranges`]: the door; [`DynamoDbRanges`]: DynamoDB's streams behind it.
//! - `cursor`: what belongs to a range, and where it ends; no I/O.

mod cursor;
mod dynamodb;

use std::future::Future;

use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::dead_letter::range::BatchInfo;
pub use cursor::Cursor;
pub use dynamodb::DynamoDbRanges;

/// Why a range could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The letter does not name a range.
    #[error("{0}")]
    Malformed(String),
    /// It may be readable later.
    #[error("the stream {0}")]
    Unavailable(String),
}

/// What one read of a range gave.
#[derive(Debug, Default)]
pub struct RangePage {
    /// Records in the order of the stream, as Lambda delivers them.
    pub records: Vec<Box<RawValue>>,
    /// Whether the range ends here.
    pub last: bool,
}

/// Reads ranges of streams.
pub trait Ranges: Send + Sync {
    /// A range in the middle of being read.
    type Cursor: Send;

    /// Begins to read a range.
    fn open(
        &self,
        range: &BatchInfo,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Cursor, RangeError>> + Send;

    /// Reads on. Pages may be empty.
    fn next(
        &self,
        cursor: &mut Self::Cursor,
        deadline: Instant,
    ) -> impl Future<Output = Result<RangePage, RangeError>> + Send;

    /// Whether the stream no longer holds all of the range; known when its last page was read.
    fn is_trimmed(&self, cursor: &Self::Cursor) -> bool;
}
