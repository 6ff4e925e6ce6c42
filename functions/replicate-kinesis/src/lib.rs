//! The `replicate-kinesis` function: an event of Kinesis Data Streams for DynamoDB in, conditional writes to
//! OpenSearch, `batchItemFailures` out.
//!
//! It is [`driftless::function::replicate`] behind another trigger. Records have a time and no sequence number, so
//! versions are times. The item decides between changes that have no order, and so the function reads its table.

use std::sync::Arc;

use driftless::environment::Misconfigured;
use driftless::function::replicate::Trigger;
use driftless::function::{FunctionError, Settings};
use driftless::source::RecordSource;
use driftless::table::dynamodb::{DynamoDbTable, LastTable};

/// Trigger by a Kinesis data stream that DynamoDB writes the changes of one table to.
#[derive(Debug, Default)]
pub struct KinesisDataStream {
    tables: LastTable,
}

impl Trigger for KinesisDataStream {
    type Items = DynamoDbTable;

    fn source<'s>(&self, settings: &'s Settings) -> Result<RecordSource<'s>, FunctionError> {
        let table_arn = settings.table_arn.as_deref().ok_or_else(|| {
            FunctionError::Misconfigured(Misconfigured(vec![
                "TABLE_ARN is not set: set it to the table's ARN, which records of Kinesis do not name".to_owned(),
            ]))
        })?;
        Ok(RecordSource::Kinesis { table_arn })
    }

    fn items(&self, settings: &Settings) -> Option<Arc<DynamoDbTable>> {
        settings.table_name.as_deref().map(|name| self.tables.named(name))
    }
}
