//! Request to `backfill`: the items, the place to go on at, and the budget.

use driftless::function::{FunctionError, IndexChoice, request};
use driftless::table::selection::{Cursor, SelectionRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const EXAMPLE: &str = "{\"segment\": 0, \"segments\": 8, \"cursor\": null, \"rcu_per_second\": 500}";

/// A request. All members are optional: `{}` begins with the whole table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackfillRequest {
    /// Name of the table. The default is the settings'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Indexes to write to, if a re-index is under way. The default is all of them.
    pub index: IndexChoice,
    /// Number of the segment, from 0 on.
    pub segment: u32,
    /// Number of all segments; 0 counts as 1.
    pub segments: u32,
    /// Keys of the items, in DynamoDB JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<Value>>,
    /// Partition key of the items, and optionally the beginning of their sort keys, in DynamoDB JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Value>,
    /// Cursor of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Reads consistently, at twice the price.
    pub consistent: bool,
    /// Maximum read capacity units per second of this invocation. Without it, there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcu_per_second: Option<f64>,
}

impl BackfillRequest {
    /// Parses an invocation's payload.
    ///
    /// # Errors
    /// Names the wrong member and the expected form.
    pub fn read(payload: Value) -> Result<Self, FunctionError> {
        let request: Self = request::read(payload, EXAMPLE)?;
        request.selection().check().map_err(FunctionError::Request)?;
        if request.rcu_per_second.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(FunctionError::Request(
                "rcu_per_second must be more than 0: leave it out for no limit".to_owned(),
            ));
        }
        Ok(request)
    }

    /// Returns the members that select items.
    #[must_use]
    pub fn selection(&self) -> SelectionRequest {
        let Self { segment, segments, keys, prefix, .. } = self.clone();
        SelectionRequest { segment, segments, keys, prefix }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_asked_is_the_whole_table() {
        for payload in [Value::Null, json!({}), json!({"cursor": null, "keys": null})] {
            assert_eq!(BackfillRequest::read(payload).expect("a request"), BackfillRequest::default());
        }
    }

    #[test]
    fn an_answers_cursor_is_a_requests() {
        let cursor = json!({"after": {"pk": {"S": "a"}}});
        let request = BackfillRequest::read(json!({"segment": 1, "segments": 2, "cursor": cursor})).expect("a request");
        assert_eq!(serde_json::to_value(request.cursor).expect("JSON"), cursor);
    }

    #[test]
    fn every_sample_request_is_one() {
        for sample in [
            include_str!("../../../events/requests/backfill-segment.json"),
            include_str!("../../../events/requests/backfill-goes-on.json"),
            include_str!("../../../events/requests/backfill-keys.json"),
            include_str!("../../../events/requests/backfill-prefix.json"),
        ] {
            let request = BackfillRequest::read(serde_json::from_str(sample).expect("JSON"));
            assert!(request.is_ok(), "{sample}: {request:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        for (payload, named) in [
            (json!({"segmnet": 1}), "segmnet"),
            (json!({"segment": 2, "segments": 2}), "segment is 2"),
            (json!({"rcu_per_second": 0}), "rcu_per_second"),
            (json!({"cursor": {"before": 1}}), "before"),
            (json!([1]), "expected"),
        ] {
            let error = BackfillRequest::read(payload).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
