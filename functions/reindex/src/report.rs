//! Answer of `reindex`: both indexes, and the next step.

use driftless::opensearch::{Drift, ReindexRecord, Shadowed, Verified};
use driftless::table::selection::Cursor;
use serde::{Deserialize, Serialize};

use crate::answers::Difference;

/// Progress of a re-index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReindexProgress {
    /// No re-index is under way.
    #[default]
    None,
    /// The new index is written and filled. Readers see the old one.
    Filling,
    /// Readers see the new index. The old one is still written.
    Switched,
}

/// Result of one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReindexReport {
    /// The step that was asked for.
    pub step: String,
    /// Progress of the re-index after the step.
    pub state: ReindexProgress,
    /// The index that readers see.
    pub public: IndexReport,
    /// The index that is written besides.
    pub other: Option<OtherReport>,
    /// Instruction for the operator.
    pub next: String,
    /// Cursor for the next invocation of `tombstones`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// True if the step is done. Absent from steps that one invocation completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<bool>,
    /// Tombstones of this invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<TombstoneCounts>,
    /// First differences between answers to the same search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Physical indexes that are neither read nor written. `drop` removes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
    /// Drift of the public index from the function's definition in `status`, and what is left of it after `apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// The index that readers see, with its size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexReport {
    /// Name of the physical index.
    pub name: String,
    /// Number of documents, tombstones left out.
    pub documents: u64,
}

/// The index that is written besides, with what is known of the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherReport {
    /// Name of the physical index.
    pub name: String,
    /// Number of documents, tombstones left out.
    pub documents: u64,
    /// True once the tombstones of the old index stand in the new one.
    pub tombstones_copied: bool,
    /// Result of the last whole verify of the new index.
    pub verified: Option<Verified>,
    /// Result of the last shadow reads.
    pub shadow: Option<Shadowed>,
}

/// Tombstones, and documents of expired items that stay, counted by their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TombstoneCounts {
    /// Tombstones and documents that were found.
    pub found: u64,
    /// Written to the new index.
    pub copied: u64,
    /// In the new index already, at this version or a newer one.
    pub superseded: u64,
    /// Documents that the new index refuses: its mapping does not take them.
    #[serde(default)]
    pub refused: u64,
}

impl OtherReport {
    pub(crate) fn new(index: IndexReport, record: &ReindexRecord, source: Option<&str>) -> Self {
        let IndexReport { name, documents } = index;
        let proof = record.proof(source);
        Self {
            name,
            documents,
            tombstones_copied: proof.tombstones_copied_at.is_some(),
            verified: proof.verified,
            shadow: record.shadow,
        }
    }
}
