//! Answer of `verify`: the place to go on at, counts by kind, examples, and what a clean sample proves.

use driftless::change::RecordError;
use driftless::document_id::DocumentId;
use driftless::opensearch::Drift;
use driftless::outcome::SHAPE_CLASS;
use driftless::table::selection::Cursor;
use serde::{Deserialize, Serialize};

use crate::compare::DifferenceKind;

/// Limit for the examples, so that the answers of many segments fit in a state machine's 256 KiB.
const MAX_EXAMPLES: usize = 10;

/// Result of one invocation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Cursor for the next invocation; absent if there is nothing left.
    pub cursor: Option<Cursor>,
    /// True if everything of the request was looked at.
    pub done: bool,
    /// True if no difference was found, and none may be pending.
    pub equal: bool,
    /// Items and documents, counted by what was found.
    pub counts: VerifyCounts,
    /// Longest time in milliseconds from a change to its write, among the documents that were written lately.
    #[serde(default)]
    pub lag_ms: u64,
    /// The first differences that were found.
    #[serde(default)]
    pub examples: Vec<Example>,
    /// Number of documents in the index without tombstones, if it was asked for and all is done. Documents of expired
    /// items do not count while the configuration keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents_in_index: Option<u64>,
    /// True if ids do not show their keys, so that the index cannot be listed (`"orphans": "full"`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden_keys: bool,
    /// Number of documents of expired items, if the configuration keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_in_index: Option<u64>,
    /// Conclusion from a sample, if only a part was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// Statement that the stream is behind, and what to do, if that leaves something undecided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// Drift of the index from the function's definition, if it has one. It makes no document differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// Items and documents, counted by what was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyCounts {
    /// Items that were read.
    pub read: u64,
    /// Items that were compared. From the index's side: documents whose item was found.
    pub items: u64,
    /// Documents that were compared.
    pub documents: u64,
    /// Items without a document.
    pub missing: u64,
    /// Documents of driftless's form that are not what their items give.
    pub stale: u64,
    /// Documents of another form.
    pub different: u64,
    /// Documents without an item.
    pub orphaned: u64,
    /// Tombstones where an item lives.
    pub tombstone_where_item_lives: u64,
    /// Items whose document is that of another item, because both keys give one id.
    #[serde(default)]
    pub other_item: u64,
    /// Items that the rules of `REPLICATION` give no document. Their changes are dead letters.
    #[serde(default)]
    pub unshaped: u64,
    /// Items or documents that changed from look to look, and were never found equal: undecided.
    pub in_motion: u64,
    /// Those in motion that may only wait for a change, because the stream is behind.
    #[serde(default)]
    pub pending: u64,
    /// Differences that were repaired.
    pub repaired: u64,
    /// Differences whose document the engine refuses.
    pub rejected: u64,
    /// Differences that could not be repaired, and may be later: for example documents under a hashed id that no longer
    /// hold their key. A run from the table's side repairs them if their items live.
    pub failed: u64,
    /// Consumed read capacity units.
    pub rcu: f64,
}

/// A document that differs from its item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Id of the document.
    pub document_id: String,
    /// Kind of the difference, as the counts tell them apart.
    pub kind: DifferenceKind,
    /// Paths of fields that differ. Empty if all are the same, in another form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl VerifyReport {
    /// Counts a difference, and lists it while there is room.
    pub(crate) fn note(&mut self, id: &DocumentId, kind: DifferenceKind, paths: Vec<String>) {
        let counts = &mut self.counts;
        let slot = match kind {
            DifferenceKind::Missing => &mut counts.missing,
            DifferenceKind::Stale => &mut counts.stale,
            DifferenceKind::Different => &mut counts.different,
            DifferenceKind::Orphaned => &mut counts.orphaned,
            DifferenceKind::OtherItem => &mut counts.other_item,
            DifferenceKind::Tombstone => &mut counts.tombstone_where_item_lives,
        };
        *slot += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(Example { document_id: id.to_string(), kind, paths });
        }
    }

    /// Notes an item that the rules of `REPLICATION` give no document.
    pub(crate) fn note_unshaped(&mut self, items: u64, error: &RecordError) {
        if self.counts.unshaped == 0 {
            tracing::error!(class = SHAPE_CLASS, "an item has no document: {error}");
        }
        self.counts.unshaped += items;
    }

    /// Counts the differences so far as pending, and names none of them.
    pub(crate) fn take_back(&mut self) {
        let counts = &mut self.counts;
        let differences = counts.differences() - counts.unshaped;
        counts.pending += differences;
        counts.in_motion += differences;
        (counts.missing, counts.stale, counts.different) = (0, 0, 0);
        (counts.orphaned, counts.tombstone_where_item_lives, counts.other_item) = (0, 0, 0);
        self.examples.clear();
    }

    /// Draws the conclusions from the counts. `share` is the share of the items that was compared.
    pub(crate) fn conclude(&mut self, share: f64) {
        self.equal = self.counts.differences() == 0 && self.counts.pending == 0;
        self.behind = behind(self.counts.pending, self.lag_ms);
        self.sample = (share < 1.0).then(|| proof(self.counts.items, self.counts.differences()));
    }
}

impl VerifyCounts {
    /// Returns the number of differences, repaired ones included.
    #[must_use]
    pub fn differences(&self) -> u64 {
        let named = self.missing + self.stale + self.different + self.orphaned + self.tombstone_where_item_lives;
        named + self.other_item + self.unshaped
    }
}

/// Says that the stream is behind, and what to do; `None` if nothing is pending.
#[must_use]
pub fn behind(pending: u64, lag_ms: u64) -> Option<String> {
    (pending > 0).then(|| {
        format!(
            "the stream is {} s behind, and {pending} of what differs may only wait for a change: wait until the \
             stream has drained, then verify again",
            lag_ms / 1_000
        )
    })
}

/// Says what a sample of this many items proves: by the rule of three, the limit at 95 % is 3/n.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a rounded share is shown")]
pub fn proof(items: u64, differences: u64) -> String {
    match (items, differences) {
        (0, _) => "nothing was compared, which proves nothing".to_owned(),
        (_, 0) => format!(
            "{items} sampled items are equal: with a confidence of 95 %, fewer than {:.4} % of all items differ",
            (300.0 / items as f64).min(100.0)
        ),
        _ => {
            format!("{differences} of {items} sampled items differ: {:.4} %", 100.0 * differences as f64 / items as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_sample_says_what_it_proves() {
        assert!(proof(300_000, 0).contains("fewer than 0.0010 %"));
        assert!(proof(1, 0).contains("fewer than 100.0000 %"));
        assert!(proof(200, 1).contains("1 of 200 sampled items differ: 0.5000 %"));
        assert!(proof(0, 0).contains("proves nothing"));
    }
}
