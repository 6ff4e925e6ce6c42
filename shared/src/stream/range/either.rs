//! Ranges of either kind of stream, told apart by the stream's ARN.

use tokio::time::Instant;

use super::{DynamoDbRangeReader, KinesisRangeReader, RangeCursor, RangeError, RangePage, RangeReader};
use crate::dead_letter::range::BatchInfo;

/// Reader of DynamoDB's streams and of Kinesis's.
#[derive(Debug, Default)]
pub struct EitherRangeReader {
    dynamodb: DynamoDbRangeReader,
    kinesis: KinesisRangeReader,
}

impl RangeReader for EitherRangeReader {
    type Cursor = RangeCursor;

    async fn open(&self, range: &BatchInfo, deadline: Instant) -> Result<RangeCursor, RangeError> {
        match range.is_of_kinesis() {
            true => self.kinesis.open(range, deadline).await,
            false => self.dynamodb.open(range, deadline).await,
        }
    }

    async fn next(&self, cursor: &mut RangeCursor, deadline: Instant) -> Result<RangePage, RangeError> {
        match cursor.range.is_of_kinesis() {
            true => self.kinesis.next(cursor, deadline).await,
            false => self.dynamodb.next(cursor, deadline).await,
        }
    }

    fn is_trimmed(&self, cursor: &RangeCursor) -> bool {
        cursor.is_trimmed()
    }
}
