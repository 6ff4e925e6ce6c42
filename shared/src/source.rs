//! Kinds of streams that records come from: how a record is read, and how the key of its item is.

use serde::Deserialize;

use crate::change::{ReadOptions, Record, kinesis};
use crate::table::Key;

/// Stream that records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordSource<'s> {
    /// DynamoDB Streams, whose records name their table.
    DynamoDbStreams,
    /// Kinesis Data Streams for DynamoDB, whose records have only the table's name.
    Kinesis {
        /// ARN of the table.
        table_arn: &'s str,
    },
}

impl<'s> RecordSource<'s> {
    /// Returns the source of a record, as its outermost `eventSource` says. `table_arn` is the table that a record of
    /// Kinesis must be of; `None` if there is no table for it.
    #[must_use]
    pub fn of(json: &str, table_arn: Option<&'s str>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Sourced {
            #[serde(default, rename = "eventSource")]
            source: Option<String>,
        }
        let sourced = serde_json::from_str::<Sourced>(json).ok().and_then(|record| record.source);
        match sourced.as_deref() {
            Some(kinesis::EVENT_SOURCE) => table_arn.map(|table_arn| Self::Kinesis { table_arn }),
            _ => Some(Self::DynamoDbStreams),
        }
    }

    /// Reads one record, alone.
    #[must_use]
    pub fn read(self, json: &str, read_options: &ReadOptions) -> Record {
        match self {
            Self::DynamoDbStreams => Record::read(json, read_options),
            Self::Kinesis { table_arn } => kinesis::read(json, table_arn, read_options),
        }
    }

    /// Returns the key of a record's item; `None` if the record holds no change.
    #[must_use]
    pub fn key(self, json: &str) -> Option<Key> {
        match self {
            Self::DynamoDbStreams => Record::key(json),
            Self::Kinesis { .. } => Record::key(&kinesis::inner(json)?),
        }
    }
}
