//! Request to `verify`: the items, and what is done about differences.

use std::time::Duration;

use driftless::function::{FunctionError, IndexChoice, ItemsRequest};
use driftless::table::selection::Cursor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const EXAMPLE: &str = "{\"segment\": 0, \"segments\": 8, \"cursor\": null, \"sample\": 1, \"repair\": false}";
/// Default for `settle_ms`: several times the usual lag.
const DEFAULT_SETTLE_MS: u64 = 10_000;

/// Search for documents without an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orphans {
    /// Compares the table's items only.
    #[default]
    None,
    /// Compares the table's items, and counts the index's documents at the end.
    Count,
    /// Lists the index's documents, and looks each up in the table.
    Full,
    /// As [`Orphans::Full`], and looks for none where ids do not show their keys.
    Possible,
}

/// A request. All members are optional: `{}` begins with the whole table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyRequest {
    /// Items to compare, with their read budget.
    #[serde(skip)]
    pub items: ItemsRequest,
    /// Share of the items that is compared, drawn at random.
    pub sample: f64,
    /// Makes documents equal to their items where they differ.
    pub repair: bool,
    /// Search for documents without an item.
    pub orphans: Orphans,
    /// Minimum time between two looks at what differs. It grows to twice the measured lag.
    pub settle_ms: u64,
}

impl Default for VerifyRequest {
    fn default() -> Self {
        Self {
            items: ItemsRequest::default(),
            sample: 1.0,
            repair: false,
            orphans: Orphans::None,
            settle_ms: DEFAULT_SETTLE_MS,
        }
    }
}

impl VerifyRequest {
    /// Parses an invocation's payload.
    ///
    /// # Errors
    /// Names the wrong member and the expected form.
    pub fn read(payload: Value) -> Result<Self, FunctionError> {
        let (items, own) = ItemsRequest::read::<Self>(payload, EXAMPLE)?;
        let request = Self { items, ..own };
        request.check().map_err(FunctionError::Request)?;
        Ok(request)
    }

    fn check(&self) -> Result<(), String> {
        let ItemsRequest { segments, keys, prefix, cursor, .. } = &self.items;
        if self.index() == IndexChoice::All {
            return Err("index is all, and one index is compared at a time: use public or other".to_owned());
        }
        if !(self.sample > 0.0 && self.sample <= 1.0) {
            return Err("sample must be more than 0 and at most 1: 0.01 compares one item in a hundred".to_owned());
        }
        let lists = matches!(self.orphans, Orphans::Full | Orphans::Possible);
        if lists && (*segments > 1 || keys.is_some() || prefix.is_some()) {
            return Err("orphans lists the whole index: leave segments, keys and prefix out".to_owned());
        }
        if cursor.as_ref().is_some_and(|cursor| matches!(cursor, Cursor::SeqNo(_)) != lists) {
            return Err("the cursor is of another kind of request: send back what the answer before had".to_owned());
        }
        Ok(())
    }

    /// Returns the index to compare: the public one, if the request names none.
    #[must_use]
    pub fn index(&self) -> IndexChoice {
        self.items.index.unwrap_or(IndexChoice::Public)
    }

    /// Returns the minimum time between two looks.
    #[must_use]
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_asked_is_the_whole_table_without_repair() {
        for payload in [Value::Null, json!({}), json!({"cursor": null})] {
            assert_eq!(VerifyRequest::read(payload).expect("a request"), VerifyRequest::default());
        }
    }

    #[test]
    fn every_sample_request_is_one() {
        for sample in [
            include_str!("../../../events/requests/verify-segment.json"),
            include_str!("../../../events/requests/verify-sample.json"),
            include_str!("../../../events/requests/verify-orphans.json"),
            include_str!("../../../events/requests/verify-repair.json"),
        ] {
            let request = VerifyRequest::read(serde_json::from_str(sample).expect("JSON"));
            assert!(request.is_ok(), "{sample}: {request:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        for (payload, named) in [
            (json!({"smaple": 1}), "smaple"),
            (json!({"sample": 0}), "sample"),
            (json!({"sample": 1.1}), "sample"),
            (json!({"orphans": "all"}), "all"),
            (json!({"index": "all"}), "index is all"),
            (json!({"orphans": "full", "segments": 2}), "whole index"),
            (json!({"orphans": "full", "cursor": {"nth": 1}}), "another kind"),
            (json!({"cursor": {"seq_no": 1}}), "another kind"),
            (json!([1]), "expected"),
        ] {
            let error = VerifyRequest::read(payload).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
