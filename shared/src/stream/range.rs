//! The records between two sequence numbers of a shard, read again within the 24 hours that a stream keeps them.

use std::collections::VecDeque;
use std::future::Future;

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsError;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::record_json;
use crate::dead_letter::range::BatchInfo;
use crate::version::SequenceNumber;

/// Empty pages in a row after which the shard is taken to hold no more of the range.
const MAX_EMPTY_PAGES: u32 = 20;

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

/// DynamoDB's streams. The client is built with the first call.
#[derive(Debug, Default)]
pub struct DynamoDbRanges {
    client: OnceCell<Client>,
}

/// A range of a real stream, in the middle of being read.
#[derive(Debug)]
pub struct Cursor {
    range: BatchInfo,
    start: SequenceNumber,
    end: SequenceNumber,
    iterator: Option<String>,
    /// The place to go on from when the iterator has expired.
    after: Option<String>,
    first_seen: bool,
    end_seen: bool,
    empty_pages: u32,
}

impl DynamoDbRanges {
    async fn client(&self) -> &Client {
        let client = || async { Client::new(&aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await) };
        self.client.get_or_init(client).await
    }

    /// `None` where the stream no longer holds the place, or there is no such stream or shard any more.
    async fn iterator(
        &self,
        range: &BatchInfo,
        kind: ShardIteratorType,
        number: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<String>, RangeError> {
        let request = self.client().await.get_shard_iterator().stream_arn(&range.stream_arn).shard_id(&range.shard_id);
        let request = request.shard_iterator_type(kind).set_sequence_number(number.map(str::to_owned));
        match timeout_at(deadline, request.send()).await {
            Ok(Ok(answer)) => Ok(answer.shard_iterator),
            Ok(Err(error)) => match error.as_service_error() {
                Some(
                    GetShardIteratorError::TrimmedDataAccessException(_)
                    | GetShardIteratorError::ResourceNotFoundException(_),
                ) => Ok(None),
                _ => Err(unavailable(&error)),
            },
            Err(_) => Err(RangeError::Unavailable("did not answer in time".to_owned())),
        }
    }
}

impl Ranges for DynamoDbRanges {
    type Cursor = Cursor;

    async fn open(&self, range: &BatchInfo, deadline: Instant) -> Result<Cursor, RangeError> {
        let number = |field: &str, text: &str| {
            SequenceNumber::parse(text)
                .map_err(|problem| RangeError::Malformed(format!("DDBStreamBatchInfo.{field}: {problem}")))
        };
        let start = number("startSequenceNumber", &range.start_sequence_number)?;
        let end = number("endSequenceNumber", &range.end_sequence_number)?;
        let at = Some(range.start_sequence_number.as_str());
        let mut iterator = self.iterator(range, ShardIteratorType::AtSequenceNumber, at, deadline).await?;
        if iterator.is_none() {
            // The start is trimmed; what is left of the range begins where the stream begins.
            iterator = self.iterator(range, ShardIteratorType::TrimHorizon, None, deadline).await?;
        }
        let range = range.clone();
        Ok(Cursor { range, start, end, iterator, after: None, first_seen: false, end_seen: false, empty_pages: 0 })
    }

    async fn next(&self, cursor: &mut Cursor, deadline: Instant) -> Result<RangePage, RangeError> {
        let Some(iterator) = cursor.iterator.take() else {
            return Ok(RangePage { records: Vec::new(), last: true });
        };
        let sent = self.client().await.get_records().shard_iterator(iterator).send();
        let answer = match timeout_at(deadline, sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => match error.as_service_error() {
                Some(GetRecordsError::TrimmedDataAccessException(_)) => {
                    return Ok(RangePage { records: Vec::new(), last: true });
                }
                Some(GetRecordsError::ExpiredIteratorException(_)) => {
                    let (kind, number) = match &cursor.after {
                        Some(number) => (ShardIteratorType::AfterSequenceNumber, number.as_str()),
                        None => (ShardIteratorType::AtSequenceNumber, cursor.range.start_sequence_number.as_str()),
                    };
                    cursor.iterator = self.iterator(&cursor.range, kind, Some(number), deadline).await?;
                    return Ok(RangePage::default());
                }
                _ => return Err(unavailable(&error)),
            },
            Err(_) => return Err(RangeError::Unavailable("did not answer in time".to_owned())),
        };
        cursor.iterator = answer.next_shard_iterator;
        let mut records = VecDeque::from(answer.records.unwrap_or_default());
        cursor.take(&mut records)
    }

    fn is_trimmed(&self, cursor: &Cursor) -> bool {
        !(cursor.first_seen && cursor.end_seen)
    }
}

impl Cursor {
    /// Takes what belongs to the range, and ends it where it ends.
    fn take(&mut self, read: &mut VecDeque<aws_sdk_dynamodbstreams::types::Record>) -> Result<RangePage, RangeError> {
        self.empty_pages = if read.is_empty() { self.empty_pages + 1 } else { 0 };
        let mut page = RangePage::default();
        while let Some(record) = read.pop_front() {
            let text = record.dynamodb().and_then(|change| change.sequence_number()).unwrap_or_default();
            let number = SequenceNumber::parse(text).map_err(|problem| {
                RangeError::Unavailable(format!("gave a record whose SequenceNumber is wrong: {problem}"))
            })?;
            if number > self.end {
                self.iterator = None;
                break;
            }
            self.after = Some(text.to_owned());
            self.first_seen |= number == self.start;
            self.end_seen |= number == self.end;
            if number < self.start {
                continue;
            }
            let json = record_json(&record, &self.range.stream_arn).and_then(RawValue::from_string);
            page.records.push(json.map_err(|error| RangeError::Malformed(error.to_string()))?);
        }
        if self.end_seen || self.empty_pages >= MAX_EMPTY_PAGES {
            self.iterator = None;
        }
        page.last = self.iterator.is_none();
        Ok(page)
    }
}

fn unavailable<E, R>(error: &SdkError<E, R>) -> RangeError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    RangeError::Unavailable(match error.code() {
        Some(code) => format!("refused with {code}: check the role's permission on the stream"),
        None => format!("cannot be reached: {}", DisplayErrorContext(error)),
    })
}
