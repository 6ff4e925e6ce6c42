//! The JSON of one stream record, in exactly the form in which Lambda delivers it.
//!
//! Both streams write it through these structs, so what a generator makes looks like what a real stream gives.

use serde::{Serialize, Serializer};

/// A record in Lambda's JSON, made of parts; `Image` is anything that serialises as an item in DynamoDB's JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LambdaRecord<'a, Image> {
    #[serde(rename = "eventID")]
    pub(super) event_id: &'a str,
    pub(super) event_name: &'a str,
    pub(super) event_version: &'a str,
    pub(super) event_source: &'a str,
    pub(super) aws_region: &'a str,
    pub(super) dynamodb: LambdaChange<'a, Image>,
    /// Only what a time-to-live expiry did carries an identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_identity: Option<LambdaIdentity<'a>>,
    #[serde(rename = "eventSourceARN")]
    pub(super) event_source_arn: &'a str,
}

/// The `dynamodb` part of a record. An absent image stays absent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LambdaChange<'a, Image> {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "epoch_seconds")]
    pub(super) approximate_creation_date_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new_image: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old_image: Option<Image>,
    pub(super) sequence_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream_view_type: Option<&'a str>,
}

/// Who made the change, if it was not a client.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LambdaIdentity<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) principal_id: Option<&'a str>,
}

/// Whole seconds as an integer, as AWS's records have them; a fraction only where there is one.
fn epoch_seconds<S: Serializer>(seconds: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match seconds {
        #[expect(clippy::cast_possible_truncation, reason = "the value is whole and far below 2^53")]
        Some(seconds) if seconds.fract() == 0.0 => serializer.serialize_i64(*seconds as i64),
        Some(seconds) => serializer.serialize_f64(*seconds),
        None => serializer.serialize_none(),
    }
}
