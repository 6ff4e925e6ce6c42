//! The identification of a record, and of the table that its stream belongs to.

/// Identification that a record carries, whatever its change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Value of `eventID`, for logs.
    pub event_id: Option<String>,
    /// Value of `dynamodb.SequenceNumber` as it came. A response to Lambda names a failed record by it.
    pub sequence_number: Option<String>,
    /// ARN of the table: `eventSourceARN` without the stream.
    pub table_arn: Option<String>,
}

impl Origin {
    /// Returns the table's name.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.table_arn.as_deref().and_then(|arn| arn.split_once(":table/")).map(|(_, name)| name)
    }
}

/// Returns the table's ARN from `arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE/stream/LABEL`.
#[must_use]
pub fn table_arn(stream_arn: &str) -> Option<&str> {
    stream_arn.split_once("/stream/").map(|(table, _)| table)
}

/// Returns the name of the table from its stream's ARN.
pub(crate) fn table(stream_arn: &str) -> Option<&str> {
    stream_arn.split_once(":table/")?.1.split_once('/').map(|(table, _)| table)
}
