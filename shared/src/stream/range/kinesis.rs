//! Ranges of Kinesis data streams. The first call builds the client, under that call's deadline.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::time::{Instant, sleep, timeout_at};

use super::cursor::ShardRecord;
use super::{RangeCursor, RangeError, RangePage, RangeReader};
use crate::aws::LazyClient;
use crate::dead_letter::range::BatchInfo;
use crate::stream::lambda_json::{KinesisPayload, KinesisRecord};

/// Kinesis data streams, with the environment's credentials and region.
#[derive(Debug)]
pub struct KinesisRangeReader {
    client: LazyClient<Client>,
}

impl Default for KinesisRangeReader {
    fn default() -> Self {
        Self { client: LazyClient::new(Client::new) }
    }
}

impl KinesisRangeReader {
    /// Asks for an iterator; `None` if the stream or the shard no longer exists.
    async fn iterator(
        &self,
        range: &BatchInfo,
        kind: ShardIteratorType,
        number: &str,
        deadline: Instant,
    ) -> Result<Option<String>, RangeError> {
        let answer = self.client.call(deadline, |client| {
            let request = client.get_shard_iterator().stream_arn(&range.stream_arn).shard_id(&range.shard_id);
            request.shard_iterator_type(kind).starting_sequence_number(number).send()
        });
        match answer.await {
            Ok(answer) => Ok(answer.shard_iterator),
            Err(error) => match error.service() {
                Some(GetShardIteratorError::ResourceNotFoundException(_)) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }
}

impl RangeReader for KinesisRangeReader {
    type Cursor = RangeCursor;

    /// Opens a range. Where its start is trimmed, Kinesis begins at the oldest record that it has.
    async fn open(&self, range: &BatchInfo, deadline: Instant) -> Result<RangeCursor, RangeError> {
        let mut cursor = RangeCursor::new(range)?;
        let at = &range.start_sequence_number;
        cursor.iterator = self.iterator(range, ShardIteratorType::AtSequenceNumber, at, deadline).await?;
        Ok(cursor)
    }

    async fn next(&self, cursor: &mut RangeCursor, deadline: Instant) -> Result<RangePage, RangeError> {
        let Some(iterator) = cursor.iterator.take() else {
            return Ok(RangePage { records: Vec::new(), last: true });
        };
        if timeout_at(deadline, sleep(cursor.pause())).await.is_err() {
            return Err(RangeError::Unavailable("gave pages without records until the time was up".to_owned()));
        }
        match self.client.call(deadline, |client| client.get_records().shard_iterator(iterator).send()).await {
            Ok(answer) => cursor.take(answer.records(), answer.next_shard_iterator.clone(), Instant::now()),
            Err(error) => match error.service() {
                Some(GetRecordsError::ResourceNotFoundException(_)) => {
                    Ok(RangePage { records: Vec::new(), last: true })
                }
                Some(GetRecordsError::ExpiredIteratorException(_)) => {
                    let (kind, number) = match cursor.after() {
                        Some(number) => (ShardIteratorType::AfterSequenceNumber, number),
                        None => (ShardIteratorType::AtSequenceNumber, cursor.range.start_sequence_number.as_str()),
                    };
                    cursor.iterator = self.iterator(&cursor.range, kind, number, deadline).await?;
                    Ok(RangePage { records: Vec::new(), last: cursor.iterator.is_none() })
                }
                _ => Err(error.into()),
            },
        }
    }

    fn is_trimmed(&self, cursor: &RangeCursor) -> bool {
        cursor.is_trimmed()
    }
}

impl ShardRecord for Record {
    fn number(&self) -> &str {
        self.sequence_number()
    }

    fn lambda_json(&self, range: &BatchInfo) -> serde_json::Result<String> {
        serde_json::to_string(&KinesisRecord::new(
            &range.stream_arn,
            &range.shard_id,
            KinesisPayload {
                kinesis_schema_version: "1.0",
                partition_key: self.partition_key(),
                sequence_number: self.sequence_number(),
                data: &BASE64_STANDARD.encode(self.data()),
                approximate_arrival_timestamp: self.approximate_arrival_timestamp().map(|time| time.as_secs_f64()),
            },
        ))
    }
}
