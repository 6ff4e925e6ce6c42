//! Ranges of DynamoDB's streams. The first call builds the client, under that call's deadline.

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsError;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_dynamodbstreams::types::{Record, ShardIteratorType};
use tokio::time::Instant;

use super::cursor::ShardRecord;
use super::{RangeCursor, RangeError, RangePage, RangeReader};
use crate::aws::{CallError, LazyClient};
use crate::dead_letter::range::BatchInfo;
use crate::stream::record_json;

/// DynamoDB's streams, with the environment's credentials and region.
#[derive(Debug)]
pub struct DynamoDbRangeReader {
    client: LazyClient<Client>,
}

impl Default for DynamoDbRangeReader {
    fn default() -> Self {
        Self { client: LazyClient::new(Client::new) }
    }
}

impl DynamoDbRangeReader {
    /// Asks for an iterator; `None` if the stream no longer holds the place, or the stream or shard no longer exists.
    async fn iterator(
        &self,
        range: &BatchInfo,
        kind: ShardIteratorType,
        number: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<String>, RangeError> {
        let answer = self.client.call(deadline, |client| {
            let request = client.get_shard_iterator().stream_arn(&range.stream_arn).shard_id(&range.shard_id);
            request.shard_iterator_type(kind).set_sequence_number(number.map(str::to_owned)).send()
        });
        match answer.await {
            Ok(answer) => Ok(answer.shard_iterator),
            Err(error) => match error.service() {
                Some(
                    GetShardIteratorError::TrimmedDataAccessException(_)
                    | GetShardIteratorError::ResourceNotFoundException(_),
                ) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Asks for a new iterator at the place of the last one.
    async fn renew(&self, cursor: &mut RangeCursor, deadline: Instant) -> Result<(), RangeError> {
        let (kind, number) = match cursor.after() {
            Some(number) => (ShardIteratorType::AfterSequenceNumber, number),
            None => (ShardIteratorType::AtSequenceNumber, cursor.range.start_sequence_number.as_str()),
        };
        cursor.iterator = self.iterator(&cursor.range, kind, Some(number), deadline).await?;
        Ok(())
    }
}

impl RangeReader for DynamoDbRangeReader {
    type Cursor = RangeCursor;

    async fn open(&self, range: &BatchInfo, deadline: Instant) -> Result<RangeCursor, RangeError> {
        let mut cursor = RangeCursor::new(range)?;
        let at = Some(range.start_sequence_number.as_str());
        cursor.iterator = self.iterator(range, ShardIteratorType::AtSequenceNumber, at, deadline).await?;
        if cursor.iterator.is_none() {
            // The start is trimmed. The rest of the range begins at the stream's trim horizon.
            cursor.iterator = self.iterator(range, ShardIteratorType::TrimHorizon, None, deadline).await?;
        }
        Ok(cursor)
    }

    async fn next(&self, cursor: &mut RangeCursor, deadline: Instant) -> Result<RangePage, RangeError> {
        let Some(iterator) = cursor.take_iterator(deadline).await? else { return Ok(RangePage::end()) };
        match self.client.call(deadline, |client| client.get_records().shard_iterator(iterator).send()).await {
            Ok(answer) => cursor.take(answer.records(), answer.next_shard_iterator.clone(), Instant::now()),
            Err(error) => match error.service() {
                Some(
                    GetRecordsError::TrimmedDataAccessException(_) | GetRecordsError::ResourceNotFoundException(_),
                ) => Ok(RangePage::end()),
                Some(GetRecordsError::ExpiredIteratorException(_)) => {
                    self.renew(cursor, deadline).await?;
                    Ok(RangePage::default())
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
        self.dynamodb().and_then(|change| change.sequence_number()).unwrap_or_default()
    }

    fn lambda_json(&self, range: &BatchInfo) -> serde_json::Result<String> {
        record_json(self, &range.stream_arn)
    }
}

impl<E, R> From<CallError<E, R>> for RangeError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    fn from(error: CallError<E, R>) -> Self {
        Self::Unavailable(match error.code() {
            Some(code) => format!("refused with {code}: check the role's permission on the stream"),
            None => error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::silence;

    fn range() -> BatchInfo {
        BatchInfo {
            stream_arn: "arn:aws:dynamodb:x:1:table/T/stream/2026-01-15T09:30:00.000".to_owned(),
            shard_id: "shardId-00000001768469400000-0a1b2c3d".to_owned(),
            start_sequence_number: "1".to_owned(),
            end_sequence_number: "2".to_owned(),
            batch_size: 2,
            approximate_arrival_of_last_record: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_accepts_and_never_answers_leaves_time_for_the_other_dead_letters() {
        let (_listener, settings) = silence::endpoint().await;
        let ranges = DynamoDbRangeReader { client: LazyClient::new(Client::new).with_client(Client::new(&settings)) };
        let started = Instant::now();
        let opened = ranges.open(&range(), started + Duration::from_secs(600)).await;
        assert!(matches!(opened, Err(RangeError::Unavailable(_))), "{opened:?}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn settings_that_never_load_end_with_the_deadline() {
        let ranges = DynamoDbRangeReader { client: LazyClient::new(Client::new).with_settings(silence::settings) };
        let opened = ranges.open(&range(), Instant::now() + Duration::from_secs(5)).await;
        assert_eq!(opened.err(), Some(RangeError::Unavailable("did not answer in time".to_owned())));
    }
}
