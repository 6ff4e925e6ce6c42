//! Ranges of Kinesis data streams. The first call builds the client, under that call's deadline.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::time::Instant;

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
        let Some(iterator) = cursor.take_iterator(deadline).await? else { return Ok(RangePage::end()) };
        match self.client.call(deadline, |client| client.get_records().shard_iterator(iterator).send()).await {
            Ok(answer) => cursor.take(answer.records(), answer.next_shard_iterator.clone(), Instant::now()),
            Err(error) => match error.service() {
                Some(GetRecordsError::ResourceNotFoundException(_)) => Ok(RangePage::end()),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_kinesis::primitives::Blob;

    use super::*;
    use crate::aws::silence;
    use crate::change::{ReadOptions, kinesis};
    use crate::testing::{KINESIS_ARN, KinesisRecordBuilder, TABLE_ARN};

    fn range() -> BatchInfo {
        BatchInfo {
            stream_arn: KINESIS_ARN.to_owned(),
            shard_id: "shardId-000000000003".to_owned(),
            start_sequence_number: "49659481023847512938475012938475012938475012938475010017".to_owned(),
            end_sequence_number: "49659481023847512938475012938475012938475012938475010058".to_owned(),
            batch_size: 2,
            approximate_arrival_of_last_record: None,
        }
    }

    #[test]
    fn a_record_of_the_api_gives_the_change_that_lambda_delivers_it_as() {
        let builder = KinesisRecordBuilder::modify("a", 1);
        let delivered = kinesis::read(&builder.json(), TABLE_ARN, &ReadOptions::default());
        for partition_key in [None, Some("p".to_owned())] {
            let record = Record::builder().data(Blob::new(builder.inner())).sequence_number("49659481");
            let record = record.set_partition_key(partition_key.clone()).build().expect("a record");
            assert_eq!(record.number(), "49659481");
            let json = record.lambda_json(&range()).expect("JSON");
            let read = kinesis::read(&json, TABLE_ARN, &ReadOptions::default());
            assert_eq!(read.change, delivered.change);
            assert_eq!(read.origin.sequence_number.as_deref(), Some("49659481"));
            assert_eq!(json.contains("partitionKey"), partition_key.is_some());
            assert!(json.contains(r#""eventID":"shardId-000000000003:49659481""#), "{json}");
            assert!(json.contains(r#""awsRegion":"eu-central-1""#), "{json}");
        }
    }

    #[test]
    fn a_message_without_numbers_names_its_own_member() {
        let range = BatchInfo { end_sequence_number: "x".to_owned(), ..range() };
        let error = RangeCursor::new(&range).expect_err("malformed").to_string();
        assert!(error.starts_with("KinesisBatchInfo.endSequenceNumber: expected 1 to 129"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_accepts_and_never_answers_leaves_time_for_the_other_dead_letters() {
        let (_listener, settings) = silence::endpoint().await;
        let ranges = KinesisRangeReader { client: LazyClient::new(Client::new).with_client(Client::new(&settings)) };
        let started = Instant::now();
        let opened = ranges.open(&range(), started + Duration::from_secs(600)).await;
        assert!(matches!(opened, Err(RangeError::Unavailable(_))), "{opened:?}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }
}
