//! A stream without the records of changes before a time: what a destination or a stream that was enabled then would
//! hold.

use std::sync::Arc;

use async_trait::async_trait;

use super::stream::{ChangeStream, Shard, ShardId, ShardIterator, ShardPosition, StreamError, StreamKind, StreamPage};

/// Part of a stream from a time on.
pub struct SinceStream {
    stream: Arc<dyn ChangeStream>,
    since_ms: i64,
}

impl SinceStream {
    /// The records of `stream` that were made at `since_ms` or later, by their own times.
    #[must_use]
    pub fn new(stream: Arc<dyn ChangeStream>, since_ms: i64) -> Self {
        Self { stream, since_ms }
    }
}

#[async_trait]
impl ChangeStream for SinceStream {
    fn kind(&self) -> StreamKind {
        self.stream.kind()
    }

    fn arn(&self) -> &str {
        self.stream.arn()
    }

    async fn shards(&self) -> Result<Vec<Shard>, StreamError> {
        self.stream.shards().await
    }

    async fn iterator(&self, shard: &ShardId, position: &ShardPosition) -> Result<ShardIterator, StreamError> {
        self.stream.iterator(shard, position).await
    }

    async fn records(&self, iterator: &ShardIterator, limit: usize) -> Result<StreamPage, StreamError> {
        let mut iterator = iterator.clone();
        loop {
            let mut page = self.stream.records(&iterator, limit).await?;
            let was_empty = page.records.is_empty();
            page.records.retain(|record| record.arrival_ms() >= self.since_ms);
            // A page without records would say that there is nothing new.
            match page.next.clone() {
                Some(next) if page.records.is_empty() && !was_empty => iterator = next,
                _ => return Ok(page),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryStream, testing::change};
    use super::*;

    #[tokio::test]
    async fn only_later_changes_are_read() {
        let stream = MemoryStream::new("table", "pk");
        for arrival_s in [9.0, 10.0, 11.0] {
            stream.push_at(&change("a"), arrival_s).unwrap();
        }
        let since = SinceStream::new(Arc::new(stream), 10_000);
        let shard = since.shards().await.unwrap().remove(0).id;
        let iterator = since.iterator(&shard, &ShardPosition::TrimHorizon).await.unwrap();
        let arrivals = since.records(&iterator, 1).await.unwrap();
        assert_eq!(arrivals.records.len(), 1, "the old record before it was passed over");
        let arrivals = since.records(&iterator, 100).await.unwrap().records;
        assert_eq!(arrivals.iter().map(|record| record.arrival_ms()).collect::<Vec<_>>(), [10_000, 11_000]);
    }
}
