//! Answer of `backfill`: the place to go on at, counts, and the documents that were refused.

use driftless::add_counts;
use driftless::dead_letter::Rejection;
use driftless::document_id::DocumentId;
use driftless::table::selection::Cursor;
use serde::{Deserialize, Serialize};

/// Limit for the listed documents, so that the answers of many segments fit in a state machine's 256 KiB.
const MAX_LISTED: usize = 10;
/// Limit for a reason, in bytes.
const MAX_REASON_BYTES: usize = 512;

/// Result of one invocation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BackfillReport {
    /// Cursor for the next invocation; absent if there is nothing left.
    pub cursor: Option<Cursor>,
    /// True if all items of the request are done.
    pub done: bool,
    /// Items that are done, counted by their end.
    pub counts: BackfillCounts,
    /// First documents that the engine refused.
    #[serde(default)]
    pub rejected: Vec<RejectedDocument>,
}

/// Items of completed pages, counted by their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct BackfillCounts {
    /// Items that were read, without those that are left out.
    pub items: u64,
    /// Written to the index.
    pub written: u64,
    /// In the index at this version or a newer one, or written by an earlier backfill.
    pub superseded: u64,
    /// Refused for good by the engine, or by the rules of `REPLICATION`: not in the index.
    pub rejected: u64,
    /// Left out by `REPLICATION`: these items are to have no document.
    #[serde(default)]
    pub left_out: u64,
    /// Keys of the request that have no item.
    pub absent: u64,
    /// Bytes of the items' documents.
    pub bytes: u64,
    /// Consumed read capacity units.
    pub rcu: f64,
}

/// Document that the engine refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedDocument {
    /// Id of the document; absent if its key gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// Error type of the engine.
    pub class: String,
    /// HTTP status of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Reason of the engine: may quote the item.
    pub reason: String,
}

impl BackfillReport {
    /// Notes a document that the engine refused.
    pub fn note_rejected(&mut self, id: Option<&DocumentId>, why: Rejection) {
        self.counts.rejected += 1;
        if self.rejected.len() < MAX_LISTED {
            let Rejection { class, status, mut reason } = why;
            reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
            self.rejected.push(RejectedDocument { document_id: id.map(DocumentId::to_string), class, status, reason });
        }
    }
}

add_counts!(BackfillCounts { items, written, superseded, rejected, left_out, absent, bytes, rcu });
