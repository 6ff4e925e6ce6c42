//! Members of a request that backfill and verify have in common: the items, the place to go on at, and the budget.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::context::IndexChoice;
use super::error::FunctionError;
use super::request;
use crate::table::selection::{Cursor, SelectionRequest};

/// Names of the members.
const MEMBERS: [&str; 8] = ["table", "index", "segment", "segments", "keys", "prefix", "cursor", "rcu_per_second"];

/// Items of a request. All members are optional: `{}` begins with the whole table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ItemsRequest {
    /// Name of the table. The default is the settings'.
    pub table: Option<String>,
    /// Index or indexes, if a re-index is under way. The default is the function's.
    pub index: Option<IndexChoice>,
    /// Number of the segment, from 0 on.
    pub segment: u32,
    /// Number of all segments; 0 counts as 1.
    pub segments: u32,
    /// Keys of the items, in DynamoDB JSON.
    pub keys: Option<Vec<Value>>,
    /// Partition key of the items, and optionally the beginning of their sort keys, in DynamoDB JSON.
    pub prefix: Option<Value>,
    /// Cursor of the answer before.
    pub cursor: Option<Cursor>,
    /// Maximum read capacity units per second of this invocation. Without it, there is no limit.
    pub rcu_per_second: Option<f64>,
}

impl ItemsRequest {
    /// Parses an invocation's payload: these members, and a function's own ones.
    ///
    /// # Errors
    /// Names the wrong member and the expected form.
    pub fn read<T: DeserializeOwned>(payload: Value, example: &str) -> Result<(Self, T), FunctionError> {
        let mut own: Map<String, Value> = request::read(payload, example)?;
        let items = MEMBERS.iter().filter_map(|name| own.remove_entry(*name)).collect();
        let items: Self = request::read(Value::Object(items), example)?;
        let own = request::read(Value::Object(own), example)?;
        items.selection().check().and_then(|()| items.check()).map_err(FunctionError::Request)?;
        Ok((items, own))
    }

    fn check(&self) -> Result<(), String> {
        if self.rcu_per_second.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err("rcu_per_second must be more than 0: leave it out for no limit".to_owned());
        }
        Ok(())
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

    fn read(payload: Value) -> Result<(ItemsRequest, Own), String> {
        ItemsRequest::read(payload, "{}").map_err(|error| error.to_string())
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Own {
        own: bool,
    }

    #[test]
    fn every_member_has_its_name_here() {
        let members = serde_json::to_value(ItemsRequest::default()).expect("JSON");
        let members: Vec<&String> = members.as_object().expect("an object").keys().collect();
        let mut names = MEMBERS;
        names.sort_unstable();
        assert_eq!(members, names);
    }

    #[test]
    fn both_kinds_of_members_are_read() {
        let items = ItemsRequest { segment: 1, segments: 2, ..ItemsRequest::default() };
        let payload = json!({"segment": 1, "own": true, "segments": 2, "keys": null});
        assert_eq!(read(payload), Ok((items, Own { own: true })));
        assert_eq!(read(Value::Null), Ok((ItemsRequest::default(), Own::default())));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        for (payload, named) in [
            (json!({"segmnet": 1}), "segmnet"),
            (json!({"segment": 2, "segments": 2}), "segment is 2"),
            (json!({"rcu_per_second": 0}), "rcu_per_second"),
            (json!({"cursor": {"before": 1}}), "before"),
            (json!({"own": 1}), "expected a boolean"),
            (json!([1]), "expected {}"),
        ] {
            let error = read(payload).expect_err("refused");
            assert!(error.contains(named), "{error}");
        }
    }
}
