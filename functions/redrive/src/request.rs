//! Request to `redrive`: the number of dead letters, a filter, and the action.

use driftless::dead_letter::invocation_record::InvocationRecord;
use driftless::dead_letter::{DeadLetter, DeadLetterMessage, StreamRange, Unreadable};
use driftless::function::FunctionError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Default for `max`, the number of dead letters per invocation.
const DEFAULT_MAX: u64 = 1_000;

/// A request. All members are optional: `{}` redrives up to 1,000 dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedriveRequest {
    /// Maximum number of dead letters to handle. Those that the filter skips do not count.
    pub max: u64,
    /// Reports the expected result, and changes nothing.
    pub dry_run: bool,
    /// Selection of dead letters. All others stay.
    pub filter: Filter,
    /// Deletes dead letters without applying them. Requires a filter.
    pub discard: bool,
    /// Generation of messages that do not name one: Lambda's, and those about malformed records. The default is the
    /// function's own. Required if that was raised after they were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Overwrites stored documents with changes whose order is in doubt. Without it, their dead letters stay.
    pub apply_order_anomalies: bool,
}

impl Default for RedriveRequest {
    fn default() -> Self {
        Self {
            max: DEFAULT_MAX,
            dry_run: false,
            filter: Filter::default(),
            discard: false,
            generation: None,
            apply_order_anomalies: false,
        }
    }
}

/// A filter. A dead letter matches if it matches every member that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Kind of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Class of the rejection, such as `mapper_parsing_exception` or `malformed_record`; for Lambda's messages their
    /// condition, such as `RetryAttemptsExhausted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// HTTP status of the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Name of the table. On-failure messages and batches of Kinesis name none: `stream_arn` selects these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// ARN of the stream. Of on-failure messages and batches only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_arn: Option<String>,
    /// Id of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// Message id, as the queue has it, or an object's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Messages to skip, by the queue's ids, and objects by their keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_message_id: Vec<String>,
}

/// Result of comparing a message or an object with a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterMatch {
    /// It matches in every member that is set.
    Yes,
    /// It differs in a member that is set.
    No,
    /// It matches, as far as it says: the filter names a table, and it names none.
    Undecided,
}

/// Kinds of messages in the queue, and of objects in the on-failure bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Our dead letter, with the whole record.
    Record,
    /// Lambda's on-failure message, with a range of the stream.
    Range,
    /// Lambda's invocation record in the bucket, with the records.
    Batch,
    /// None of these three.
    Unreadable,
}

impl RedriveRequest {
    /// Parses an invocation's payload.
    ///
    /// # Errors
    /// Names the wrong member and the expected form.
    pub fn read(payload: Value) -> Result<Self, FunctionError> {
        let payload = if payload.is_null() { Value::Object(serde_json::Map::new()) } else { payload };
        // serde would read an array as the members in their order.
        let read = if payload.is_object() {
            serde_json::from_value(payload).map_err(|error| error.to_string())
        } else {
            Err("the payload is not an object".to_owned())
        };
        let request: Self = read.map_err(|problem| {
            FunctionError::Request(format!(
                "{problem}; expected {{\"max\": 1000, \"dry_run\": false, \"filter\": {{\"class\": \"…\"}}, \"discard\": false}}"
            ))
        })?;
        if request.max == 0 {
            return Err(FunctionError::Request("max is 0: set it to at least 1, or leave it out for 1000".to_owned()));
        }
        let excluded = request.filter.not_message_id.clone();
        if request.discard && request.filter == (Filter { not_message_id: excluded, ..Filter::default() }) {
            let remedy = "name what to discard, such as {\"filter\": {\"class\": \"malformed_record\"}}";
            return Err(FunctionError::Request(format!(
                "discard is true and filter names nothing to discard: {remedy}"
            )));
        }
        Ok(request)
    }
}

impl Filter {
    /// Returns `true` if a message of the queue may match.
    pub(crate) fn takes_messages(&self) -> bool {
        self.shape != Some(Shape::Batch)
    }

    /// Returns `true` if an object of the bucket may match.
    pub(crate) fn takes_objects(&self) -> bool {
        matches!(self.shape, None | Some(Shape::Batch | Shape::Unreadable))
    }

    /// Returns `true` if a message or an object of this id may match.
    pub(crate) fn takes_id(&self, id: &str) -> bool {
        self.message_id.as_deref().is_none_or(|wanted| wanted == id) && !self.not_message_id.iter().any(|not| not == id)
    }

    /// Compares a message or an object with the filter.
    pub(crate) fn compare(&self, id: &str, facts: &Facts<'_>) -> FilterMatch {
        let same =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        // A Kinesis stream may carry any table, and only its records name it.
        let is_undecided =
            self.table.is_some() && facts.table.is_none() && matches!(facts.shape, Shape::Range | Shape::Batch);
        let matches = self.shape.is_none_or(|shape| shape == facts.shape)
            && self.status.is_none_or(|status| facts.status == Some(status))
            && same(&self.class, facts.class)
            && (is_undecided || same(&self.table, facts.table))
            && same(&self.stream_arn, facts.stream_arn)
            && same(&self.document_id, facts.document_id)
            && self.takes_id(id);
        match matches {
            false => FilterMatch::No,
            true if is_undecided => FilterMatch::Undecided,
            true => FilterMatch::Yes,
        }
    }
}

/// Properties of a message or an object that filters compare.
pub(crate) struct Facts<'a> {
    shape: Shape,
    class: Option<&'a str>,
    status: Option<u16>,
    table: Option<&'a str>,
    stream_arn: Option<&'a str>,
    document_id: Option<&'a str>,
}

impl<'a> Facts<'a> {
    /// Returns the properties of a message of the queue.
    pub(crate) fn of_message(dead_letter: &'a Result<DeadLetterMessage, Unreadable>) -> Self {
        match dead_letter {
            Ok(DeadLetterMessage::Record(dead_letter)) => {
                let DeadLetter { rejected, table, document_id, .. } = &**dead_letter;
                Self {
                    shape: Shape::Record,
                    class: Some(&rejected.class),
                    status: rejected.status,
                    table: table.as_deref(),
                    stream_arn: None,
                    document_id: document_id.as_deref(),
                }
            }
            Ok(DeadLetterMessage::Range(range)) => Self::of_range(Shape::Range, range),
            Err(_) => Self::of_unreadable(),
        }
    }

    /// Returns the properties of an object of the bucket.
    pub(crate) fn of_object(read: &'a Result<InvocationRecord, Unreadable>) -> Self {
        match read {
            Ok(record) => Self::of_range(Shape::Batch, &record.range),
            Err(_) => Self::of_unreadable(),
        }
    }

    fn of_range(shape: Shape, range: &'a StreamRange) -> Self {
        Self {
            shape,
            class: Some(&range.request.condition),
            status: None,
            table: range.batch.table(),
            stream_arn: Some(&range.batch.stream_arn),
            document_id: None,
        }
    }

    fn of_unreadable() -> Self {
        let shape = Shape::Unreadable;
        Self { shape, class: None, status: None, table: None, stream_arn: None, document_id: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refused(payload: Value, named: &str) {
        let error = RedriveRequest::read(payload).expect_err("refused").to_string();
        assert!(error.contains(named), "{error}");
    }

    #[test]
    fn nothing_asked_is_a_redrive_of_a_thousand() {
        for payload in [Value::Null, json!({})] {
            assert_eq!(RedriveRequest::read(payload).expect("a request"), RedriveRequest::default());
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        refused(json!({"dryrun": true}), "dryrun");
        refused(json!({"max": "all"}), "u64");
        refused(json!({"max": 0}), "max is 0");
        refused(json!({"filter": {"reason": "x"}}), "reason");
        refused(json!([1]), "expected");
        refused(json!({"filter": {"not_message_id": "1"}}), "sequence");
        refused(json!({"discard": true}), "filter names nothing");
        refused(json!({"discard": true, "filter": {"not_message_id": ["1"]}}), "filter names nothing");
    }
}
