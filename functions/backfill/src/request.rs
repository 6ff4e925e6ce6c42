//! Request to `backfill`: the items, and how they are read.

use driftless::function::{FunctionError, IndexChoice, ItemsRequest};
use serde::Deserialize;
use serde_json::Value;

const EXAMPLE: &str = "{\"segment\": 0, \"segments\": 8, \"cursor\": null, \"rcu_per_second\": 500}";

/// A request. All members are optional: `{}` begins with the whole table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackfillRequest {
    /// Items to load, with their read budget.
    #[serde(skip)]
    pub items: ItemsRequest,
    /// Reads consistently, at twice the price.
    pub consistent: bool,
}

impl BackfillRequest {
    /// Parses an invocation's payload.
    ///
    /// # Errors
    /// Names the wrong member and the expected form.
    pub fn read(payload: Value) -> Result<Self, FunctionError> {
        let (items, own) = ItemsRequest::read::<Self>(payload, EXAMPLE)?;
        Ok(Self { items, ..own })
    }

    /// Returns the indexes to write to: all of them, if the request names none.
    #[must_use]
    pub fn index(&self) -> IndexChoice {
        self.items.index.unwrap_or(IndexChoice::All)
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
        assert_eq!(serde_json::to_value(request.items.cursor).expect("JSON"), cursor);
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
            (json!({"consitent": true}), "consitent"),
            (json!({"consistent": 1}), "boolean"),
            (json!({"segment": 2, "segments": 2}), "segment is 2"),
        ] {
            let error = BackfillRequest::read(payload).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
