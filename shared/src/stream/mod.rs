//! Records that we read from DynamoDB Streams, in exactly the JSON in which Lambda delivers them.
//!
//! # Layout
//! - [`lambda_json`], [`item`]: a record and an item of the SDK as that JSON; [`record_json`]: both together.
//! - [`range`]: the records between two sequence numbers of a shard, read again.

pub mod item;
pub mod lambda_json;
pub mod range;

use aws_sdk_dynamodbstreams::types::{Record, StreamRecord};

use item::SortedItem;
use lambda_json::{LambdaChange, LambdaIdentity, LambdaRecord};

/// Returns a record of the stream `arn` as Lambda delivers it.
///
/// # Errors
/// Fails if the record holds an attribute of an unknown type.
pub fn record_json(record: &Record, arn: &str) -> serde_json::Result<String> {
    // DynamoDB always sends it. Without it, the record is malformed, and fails as such.
    let missing = StreamRecord::builder().build();
    let change = record.dynamodb().unwrap_or(&missing);
    serde_json::to_string(&LambdaRecord {
        event_id: record.event_id().unwrap_or_default(),
        event_name: record.event_name().map_or("", |name| name.as_str()),
        event_version: record.event_version().unwrap_or("1.1"),
        event_source: record.event_source().unwrap_or("aws:dynamodb"),
        aws_region: record.aws_region().unwrap_or_default(),
        dynamodb: lambda_change(change),
        user_identity: record
            .user_identity()
            .map(|identity| LambdaIdentity { kind: identity.r#type(), principal_id: identity.principal_id() }),
        event_source_arn: arn,
    })
}

fn lambda_change(change: &StreamRecord) -> LambdaChange<'_, SortedItem<'_>> {
    LambdaChange {
        approximate_creation_date_time: change.approximate_creation_date_time().map(|time| time.as_secs_f64()),
        keys: change.keys().map(SortedItem),
        new_image: change.new_image().map(SortedItem),
        old_image: change.old_image().map(SortedItem),
        sequence_number: change.sequence_number().unwrap_or_default(),
        size_bytes: change.size_bytes(),
        stream_view_type: change.stream_view_type().map(|view| view.as_str()),
    }
}
