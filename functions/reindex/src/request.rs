//! Request to `reindex`: one step.

use driftless::function::FunctionError;
use driftless::table::selection::Cursor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const EXAMPLE: &str = "{\"step\": \"create\"}, or status, apply, tombstones, verified, shadow, switch, rollback, drop, \
                       accept";

/// A step of a re-index. Each can be repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum ReindexRequest {
    /// Creates the new index, and lets both be written.
    Create {
        /// Settings and mappings, as the body of a create-index request. The default is the function's own definition.
        #[serde(default)]
        definition: Option<Value>,
    },
    /// Copies the tombstones of the public index to the new one.
    Tombstones {
        /// Cursor of the answer before.
        #[serde(default)]
        cursor: Option<Cursor>,
    },
    /// Describes both indexes and the next step.
    Status {},
    /// Gives the public index what it can be given of a definition, outside of a re-index.
    Apply {
        /// Settings and mappings, as the body of a create-index request. The default is the function's own definition.
        #[serde(default)]
        definition: Option<Value>,
    },
    /// Keeps the verdict of a whole verify of the new index.
    Verified {
        /// Counts of the verify, summed over its segments.
        verify: VerifyTotals,
    },
    /// Runs searches on both indexes, and compares their answers.
    Shadow {
        /// Searches as `_msearch` takes them: lines of JSON, a header and a body each.
        searches: String,
    },
    /// Moves the public alias to the new index.
    Switch {
        /// Moves it without a proof.
        #[serde(default)]
        force: bool,
    },
    /// Moves the public alias back to the old index.
    Rollback {},
    /// Removes the index that readers do not see.
    Drop {
        /// Name of the physical index, so that no other one is meant.
        index: String,
    },
    /// Takes the rules of `REPLICATION` as those that made the public index's documents, after a repair.
    Accept {},
}

/// Counts of a whole verify.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifyTotals {
    /// Items that were compared.
    pub items: u64,
    /// Items without a document.
    pub missing: u64,
    /// Documents of driftless's form that are not what their items give.
    pub stale: u64,
    /// Documents of another form.
    pub different: u64,
    /// Tombstones where an item lives.
    pub tombstone_where_item_lives: u64,
    /// Documents without an item.
    pub orphaned: u64,
    /// Items whose document is that of another item.
    pub other_item: u64,
    /// Items that `REPLICATION` gives no document.
    pub unshaped: u64,
    /// Documents that differ and may only wait for a change, because the stream is behind.
    pub pending: u64,
    /// Repairs that the engine refused.
    pub rejected: u64,
    /// Repairs that failed and may succeed later.
    pub failed: u64,
}

impl VerifyTotals {
    /// Returns the number of differences, repaired and possible ones included: only a clean run is a proof.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.missing
            + self.stale
            + self.different
            + self.tombstone_where_item_lives
            + self.orphaned
            + self.other_item
            + self.unshaped
            + self.pending
            + self.rejected
            + self.failed
    }
}

impl ReindexRequest {
    /// Parses an invocation's payload.
    ///
    /// # Errors
    /// Names the wrong member and the expected form.
    pub fn read(payload: Value) -> Result<Self, FunctionError> {
        serde_json::from_value(payload).map_err(|error| FunctionError::Request(format!("{error}; expected {EXAMPLE}")))
    }

    /// Returns the name of the step.
    #[must_use]
    pub fn step(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Tombstones { .. } => "tombstones",
            Self::Status {} => "status",
            Self::Apply { .. } => "apply",
            Self::Verified { .. } => "verified",
            Self::Shadow { .. } => "shadow",
            Self::Switch { .. } => "switch",
            Self::Rollback {} => "rollback",
            Self::Drop { .. } => "drop",
            Self::Accept {} => "accept",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_sample_request_is_one() {
        for (sample, step) in [
            (include_str!("../../../events/requests/reindex-create.json"), "create"),
            (include_str!("../../../events/requests/reindex-apply.json"), "apply"),
            (include_str!("../../../events/requests/reindex-tombstones.json"), "tombstones"),
            (include_str!("../../../events/requests/reindex-verified.json"), "verified"),
            (include_str!("../../../events/requests/reindex-shadow.json"), "shadow"),
            (include_str!("../../../events/requests/reindex-switch.json"), "switch"),
            (include_str!("../../../events/requests/reindex-drop.json"), "drop"),
        ] {
            let request = ReindexRequest::read(serde_json::from_str(sample).expect("JSON")).expect("a request");
            assert_eq!(request.step(), step);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        for (payload, named) in [
            (json!({}), "step"),
            (json!({"step": "delete"}), "delete"),
            (json!({"step": "drop"}), "index"),
            (json!({"step": "status", "index": "i"}), "index"),
            (json!([1]), "expected"),
        ] {
            let error = ReindexRequest::read(payload).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn only_a_clean_run_is_a_proof() {
        let verify = json!({"items": 5, "missing": 1, "repaired": 1, "in_motion": 3, "documents": 5});
        let totals: VerifyTotals = serde_json::from_value(verify).expect("totals");
        assert_eq!((totals.items, totals.differences()), (5, 1));
        assert_eq!(VerifyTotals { pending: 2, ..VerifyTotals::default() }.differences(), 2);
    }
}
