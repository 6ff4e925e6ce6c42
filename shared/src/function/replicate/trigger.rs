//! Difference between the functions that replicate: the stream behind their trigger.

use std::convert::Infallible;
use std::sync::Arc;

use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use serde::Serialize;
use tokio::time::Instant;

use crate::attribute::Item;
use crate::function::{FunctionError, Settings};
use crate::source::RecordSource;
use crate::table::{Consistency, FoundItems, ItemPage, Key, KeySchema, PageRequest, Table, TableError};

/// Stream behind a function's trigger.
pub trait Trigger: Sync {
    /// Table with the items.
    type Items: Table;
    /// Response that Lambda expects.
    type Response: Serialize + Send + 'static;

    /// Makes the response from the sequence numbers of the failed records.
    fn response(failed: Vec<String>) -> Self::Response;

    /// Returns the source of the function's records.
    ///
    /// # Errors
    /// Fails if a setting is missing.
    fn source<'s>(&self, settings: &'s Settings) -> Result<RecordSource<'s>, FunctionError>;

    /// Returns the table whose items decide between changes that have no order; `None` if all changes have one.
    fn items(&self, settings: &Settings) -> Option<Arc<Self::Items>>;
}

/// Trigger by DynamoDB Streams. Sequence numbers order all changes, so no item is read.
#[derive(Debug, Clone, Copy)]
pub struct DynamoDbStreams;

impl Trigger for DynamoDbStreams {
    type Items = Infallible;
    type Response = DynamoDbEventResponse;

    fn response(failed: Vec<String>) -> DynamoDbEventResponse {
        let mut response = DynamoDbEventResponse::default();
        response.batch_item_failures.extend(failed.into_iter().map(|number| {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(number);
            failure
        }));
        response
    }

    fn source<'s>(&self, _: &'s Settings) -> Result<RecordSource<'s>, FunctionError> {
        Ok(RecordSource::DynamoDbStreams)
    }

    fn items(&self, _: &Settings) -> Option<Arc<Infallible>> {
        None
    }
}

/// The table of a function that reads none.
impl Table for Infallible {
    async fn describe(&self, _: Instant) -> Result<KeySchema, TableError> {
        match *self {}
    }

    async fn page<M: Send>(
        &self,
        _: PageRequest<'_>,
        _: impl Fn(&Item<'_>) -> M + Send + Sync,
        _: Instant,
    ) -> Result<ItemPage<M>, TableError> {
        match *self {}
    }

    async fn get(&self, _: &[Key], _: Consistency, _: Instant) -> Result<FoundItems, TableError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_names_its_failures_as_lambda_reads_them() {
        let json = |failed: &[&str]| {
            let failed = failed.iter().map(|&number| number.to_owned()).collect();
            serde_json::to_string(&DynamoDbStreams::response(failed)).expect("JSON")
        };
        let expect = r#"{"batchItemFailures":[{"itemIdentifier":"9900"},{"itemIdentifier":"10000"}]}"#;
        assert_eq!(json(&["9900", "10000"]), expect);
        assert_eq!(json(&[]), r#"{"batchItemFailures":[]}"#);
    }
}
