//! Answer of `redrive`: counts, reasons for the messages that stayed, and the number of those left.

use driftless::dead_letter::Rejection;
use driftless::outcome::OutcomeCounts;
use serde::{Deserialize, Serialize};

/// Limit for the listed reasons and ranges, so that the answer stays far below Lambda's 6 MB.
const MAX_LISTED: usize = 50;

/// Result of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveReport {
    /// True if nothing was written or deleted.
    pub dry_run: bool,
    /// Messages of the queue, counted by their end.
    pub letters: MessageCounts,
    /// Changes counted by outcome. In a dry run, the outcome that their versions suggest.
    pub changes: OutcomeCounts,
    /// Reasons for keeping messages.
    pub kept: Vec<Kept>,
    /// Ranges that the stream no longer holds completely.
    pub trimmed: Vec<Trimmed>,
    /// Approximate number of messages left in the queue.
    pub left: u64,
    /// True if time ended the run, and not the queue.
    pub out_of_time: bool,
}

/// Messages of the queue, counted by their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCounts {
    /// Received from the queue.
    pub received: u64,
    /// Applied or superseded, and deleted; in a dry run, those that would be.
    pub redriven: u64,
    /// Deleted without being applied, as requested.
    pub discarded: u64,
    /// Still in the queue, for one of the reasons in `kept`.
    pub kept: u64,
    /// Still in the queue, because the filter does not match.
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
    /// Number of messages kept for this reason.
    pub count: u64,
    /// Message id of one of them, as the queue has it.
    pub message_id: String,
    /// Reason of that message, in full: may quote the item.
    pub reason: String,
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
    /// Notes a message that stays.
    pub fn note_kept(&mut self, message_id: &str, why: Rejection) {
        self.letters.kept += 1;
        let same = |kept: &&mut Kept| (&kept.class, kept.status) == (&why.class, why.status);
        if let Some(kept) = self.kept.iter_mut().find(same) {
            kept.count += 1;
        } else if self.kept.len() < MAX_LISTED {
            let Rejection { class, status, reason } = why;
            self.kept.push(Kept { class, status, count: 1, message_id: message_id.to_owned(), reason });
        }
    }

    /// Notes a range that the stream no longer holds.
    pub fn note_trimmed(&mut self, trimmed: Trimmed) {
        if self.trimmed.len() < MAX_LISTED {
            self.trimmed.push(trimmed);
        }
    }
}
