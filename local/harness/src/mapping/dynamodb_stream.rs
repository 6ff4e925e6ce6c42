//! A real DynamoDB stream, read through the DynamoDB Streams API: AWS's, or that of a local database.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_dynamodb::{Client as Tables, types::KeyType};
use aws_sdk_dynamodbstreams::{
    Client as Streams,
    operation::{get_records::GetRecordsError, get_shard_iterator::GetShardIteratorError},
    types::{Record, Shard as SdkShard, ShardIteratorType},
};
use bytes::Bytes;
use driftless::stream::{item::Attribute, record_json};

use super::{
    record::StreamRecord,
    stream::{ChangeStream, READ_LIMIT, Shard, ShardId, ShardIterator, ShardPosition, StreamError, StreamPage},
};

/// The stream of one table.
#[derive(Clone, Debug)]
pub struct DynamoDbStream {
    client: Streams,
    arn: String,
    partition_key: String,
}

impl DynamoDbStream {
    /// Finds the latest stream of `table`, and its partition key: stream records do not say which key that is.
    ///
    /// # Errors
    /// When the table cannot be described, or has no stream.
    pub async fn of_table(tables: &Tables, streams: Streams, table: &str) -> Result<Self> {
        let described = tables.describe_table().table_name(table).send().await;
        let described = described.with_context(|| format!("describe the table {table}"))?.table;
        let described = described.with_context(|| format!("find the table {table}"))?;
        let key = described.key_schema().iter().find(|key| *key.key_type() == KeyType::Hash);
        let key = key.with_context(|| format!("find the partition key of the table {table}"))?;
        let arn = described.latest_stream_arn();
        let arn = arn.with_context(|| format!("find the stream of the table {table}: it has none; enable it"))?;
        Ok(Self::new(streams, arn, key.attribute_name()))
    }

    /// The stream `arn` of a table whose partition key is `partition_key`.
    #[must_use]
    pub fn new(client: Streams, arn: impl Into<String>, partition_key: impl Into<String>) -> Self {
        Self { client, arn: arn.into(), partition_key: partition_key.into() }
    }

    /// The table's partition key.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        &self.partition_key
    }
}

#[async_trait]
impl ChangeStream for DynamoDbStream {
    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> Result<Vec<Shard>, StreamError> {
        let mut shards = Vec::new();
        let mut start = None;
        loop {
            let page = self.client.describe_stream().stream_arn(&self.arn).set_exclusive_start_shard_id(start);
            let page = page.send().await.context("describe the stream")?;
            let page = page.stream_description.context("find the description of the stream")?;
            shards.extend(page.shards().iter().filter_map(shard));
            start = page.last_evaluated_shard_id;
            if start.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn iterator(&self, shard: &ShardId, position: &ShardPosition) -> Result<ShardIterator, StreamError> {
        let (kind, number) = match position {
            ShardPosition::TrimHorizon => (ShardIteratorType::TrimHorizon, None),
            ShardPosition::Latest => (ShardIteratorType::Latest, None),
            ShardPosition::At(number) => (ShardIteratorType::AtSequenceNumber, Some(number.to_string())),
            ShardPosition::After(number) => (ShardIteratorType::AfterSequenceNumber, Some(number.to_string())),
        };
        let request = self.client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard.as_str());
        let reply = request.shard_iterator_type(kind).set_sequence_number(number).send().await;
        let reply = reply.map_err(|error| match error.as_service_error() {
            Some(GetShardIteratorError::TrimmedDataAccessException(_)) => StreamError::TrimmedData,
            _ => StreamError::Other(anyhow::Error::new(error).context(format!("get an iterator for {shard}"))),
        })?;
        Ok(ShardIterator(reply.shard_iterator.context("find the iterator in the answer")?))
    }

    async fn records(&self, iterator: &ShardIterator, limit: usize) -> Result<StreamPage, StreamError> {
        // The clamped value fits.
        let limit = i32::try_from(limit.clamp(1, READ_LIMIT)).unwrap_or(1);
        let reply = self.client.get_records().shard_iterator(&iterator.0).limit(limit).send().await;
        let reply = reply.map_err(|error| match error.as_service_error() {
            Some(GetRecordsError::ExpiredIteratorException(_)) => StreamError::ExpiredIterator,
            Some(GetRecordsError::TrimmedDataAccessException(_)) => StreamError::TrimmedData,
            _ => StreamError::Other(anyhow::Error::new(error).context("read the stream")),
        })?;
        let records = reply.records().iter().map(|record| lambda_record(record, &self.arn, &self.partition_key));
        let records = records.collect::<Result<_>>()?;
        Ok(StreamPage { records, next: reply.next_shard_iterator.map(ShardIterator) })
    }
}

fn shard(shard: &SdkShard) -> Option<Shard> {
    let range = shard.sequence_number_range();
    Some(Shard {
        id: ShardId::new(shard.shard_id()?),
        parent: shard.parent_shard_id().map(ShardId::new),
        adjacent_parent: None,
        closed: range.and_then(|range| range.ending_sequence_number()).is_some(),
    })
}

/// Turns a record of the SDK into the JSON that Lambda delivers.
fn lambda_record(record: &Record, arn: &str, partition_key: &str) -> Result<StreamRecord> {
    let change = record.dynamodb().context("find the change in the stream record")?;
    let sequence_number = change.sequence_number().unwrap_or_default();
    let arrival_s = change.approximate_creation_date_time().map(|time| time.as_secs_f64());
    let key = change.keys().and_then(|keys| keys.get(partition_key));
    let key = key.with_context(|| format!("find the partition key {partition_key} in record {sequence_number}"))?;
    let json = record_json(record, arn).context("write the stream record")?;
    StreamRecord::new(sequence_number, arrival_s.unwrap_or_default(), &Attribute(key), Bytes::from(json))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_dynamodbstreams::{
        primitives::DateTime,
        types::{AttributeValue, Identity, OperationType, StreamRecord as SdkChange, StreamViewType},
    };
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000";

    fn sdk_record() -> Record {
        let keys = HashMap::from([("pk".to_owned(), AttributeValue::S("a".into()))]);
        let change = SdkChange::builder()
            .approximate_creation_date_time(DateTime::from_secs(1_700_000_000))
            .set_keys(Some(keys.clone()))
            .set_old_image(Some(keys))
            .sequence_number("100000000000000000001")
            .size_bytes(7)
            .stream_view_type(StreamViewType::NewAndOldImages);
        Record::builder()
            .event_id("e1")
            .event_name(OperationType::Remove)
            .event_version("1.1")
            .event_source("aws:dynamodb")
            .aws_region("us-east-1")
            .dynamodb(change.build())
            .build()
    }

    fn delivered(record: &Record) -> Value {
        serde_json::from_slice(lambda_record(record, ARN, "pk").unwrap().json()).unwrap()
    }

    #[test]
    fn a_record_is_delivered_in_lambdas_form_and_an_absent_image_stays_absent() {
        assert_eq!(
            delivered(&sdk_record()),
            json!({
                "eventID": "e1", "eventName": "REMOVE", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
                "awsRegion": "us-east-1", "eventSourceARN": ARN,
                "dynamodb": {
                    "ApproximateCreationDateTime": 1_700_000_000, "Keys": {"pk": {"S": "a"}},
                    "OldImage": {"pk": {"S": "a"}}, "SequenceNumber": "100000000000000000001", "SizeBytes": 7,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
            })
        );
    }

    #[test]
    fn an_empty_image_is_not_an_absent_one() {
        let mut record = sdk_record();
        if let Some(change) = record.dynamodb.as_mut() {
            change.new_image = Some(HashMap::new());
        }
        assert_eq!(delivered(&record)["dynamodb"]["NewImage"], json!({}));
    }

    #[test]
    fn an_expiry_carries_its_identity() {
        let mut record = sdk_record();
        let identity = Identity::builder().r#type("Service").principal_id("dynamodb.amazonaws.com").build();
        record.user_identity = Some(identity);
        let expected = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
        assert_eq!(delivered(&record)["userIdentity"], expected);
    }

    #[test]
    fn a_record_without_a_sequence_number_is_refused() {
        let mut record = sdk_record();
        if let Some(change) = record.dynamodb.as_mut() {
            change.sequence_number = None;
        }
        assert!(lambda_record(&record, ARN, "pk").is_err());
    }
}
