//! Answer of `redrive`: counts, reasons for the messages that stayed, and the number of those left.

use driftless::dead_letter::Rejection;
use driftless::dead_letter::cause::Cause;
use driftless::outcome::OutcomeCounts;
use serde::{Deserialize, Serialize};

/// Limit for the listed reasons and ranges, so that the answer stays far below Lambda's 6 MB.
const MAX_LISTED: usize = 50;
/// Note of a dry run.
const CAVEAT: &str = "a dry run compares versions only: whether OpenSearch takes what would be written is not known";

/// Result of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveReport {
    /// True if nothing was written or deleted.
    pub dry_run: bool,
    /// Messages of the queue and objects of the bucket, counted by their end.
    pub letters: MessageCounts,
    /// Changes counted by outcome. In a dry run, the outcome that their versions suggest.
    pub changes: OutcomeCounts,
    /// Reasons for keeping messages and objects.
    pub kept: Vec<Kept>,
    /// Ranges that the stream no longer holds completely.
    pub trimmed: Vec<Trimmed>,
    /// Approximate number of messages left in the queue, and of objects left in the bucket.
    pub left: u64,
    /// True if time ended the run, and not the queue.
    pub out_of_time: bool,
    /// Limit of what a dry run knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caveat: Option<String>,
}

/// Messages of the queue and objects of the bucket, counted by their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCounts {
    /// Received from the queue, or found in the bucket.
    pub received: u64,
    /// Applied or superseded, and deleted; in a dry run, those that would be.
    pub redriven: u64,
    /// Deleted without being applied, as requested.
    pub discarded: u64,
    /// Still there, for one of the reasons in `kept`.
    pub kept: u64,
    /// Still there, because the filter does not match.
    pub skipped: u64,
}

/// Messages that were kept for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The engine's error type, or one of the classes that the README lists, such as `trimmed` or `other_index`.
    pub class: String,
    /// HTTP status of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Field that the reason names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Number of messages kept for this reason.
    pub count: u64,
    /// Message id of one of them, as the queue has it, or the key of an object.
    pub message_id: String,
    /// Reason of that message, in full: may quote the item.
    pub reason: String,
    /// Reason without the values that differ from message to message.
    #[serde(skip)]
    shape: String,
}

/// A range that the stream no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trimmed {
    /// Message id, as the queue has it.
    pub message_id: String,
    /// ARN of the stream.
    pub stream_arn: String,
    /// Shard of the stream.
    pub shard_id: String,
    /// Sequence number of the first record.
    pub from: String,
    /// Sequence number of the last record.
    pub to: String,
    /// Advice to the operator.
    pub next: String,
}

impl RedriveReport {
    /// Begins the report of a run.
    #[must_use]
    pub fn new(dry_run: bool) -> Self {
        Self { dry_run, caveat: dry_run.then(|| CAVEAT.to_owned()), ..Self::default() }
    }

    /// Notes a message that stays.
    pub fn note_kept(&mut self, message_id: &str, why: Rejection) {
        self.letters.kept += 1;
        let Cause { class, status, field, shape } = Cause::of(&why);
        let same =
            |kept: &&mut Kept| (&kept.class, kept.status, &kept.field, &kept.shape) == (&class, status, &field, &shape);
        if let Some(kept) = self.kept.iter_mut().find(same) {
            kept.count += 1;
        } else if self.kept.len() < MAX_LISTED {
            let (message_id, reason) = (message_id.to_owned(), why.reason);
            self.kept.push(Kept { class, status, field, count: 1, message_id, reason, shape });
        }
    }

    /// Notes a range that the stream no longer holds.
    pub fn note_trimmed(&mut self, trimmed: Trimmed) {
        if self.trimmed.len() < MAX_LISTED {
            self.trimmed.push(trimmed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(field: &str, value: &str) -> Rejection {
        let reason = format!("failed to parse field [{field}] of type [double]. Preview of field's value: '{value}'");
        Rejection { class: "mapper_parsing_exception".to_owned(), status: Some(400), reason }
    }

    #[test]
    fn kept_messages_are_grouped_by_field_and_cause() {
        let mut report = RedriveReport::new(false);
        for (id, field, value) in [("m1", "discount", "10%"), ("m2", "address", "x"), ("m3", "discount", "free")] {
            report.note_kept(id, rejection(field, value));
        }
        let groups: Vec<_> = report.kept.iter().map(|kept| (kept.field.as_deref(), kept.count)).collect();
        assert_eq!(groups, [(Some("discount"), 2), (Some("address"), 1)]);
        assert_eq!((report.kept[0].message_id.as_str(), report.letters.kept), ("m1", 3));
    }

    #[test]
    fn only_a_dry_run_has_a_caveat() {
        assert!(RedriveReport::new(true).caveat.is_some_and(|caveat| caveat.contains("not known")));
        let answer = serde_json::to_string(&RedriveReport::new(false)).expect("JSON");
        assert!(!answer.contains("caveat"), "{answer}");
    }
}
