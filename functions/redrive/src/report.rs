//! What `redrive` answers: counts, reasons for what stayed, and whether there is more to do.

use driftless::dead_letter::Rejection;
use driftless::outcome::Outcome;
use serde::{Deserialize, Serialize};

/// Reasons and ranges that an answer lists at most: it must stay far below Lambda's 6 MB.
const MAX_LISTED: usize = 50;

/// What became of the letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether nothing was written or deleted.
    pub dry_run: bool,
    /// Messages by what became of them.
    pub letters: Letters,
    /// Changes by how they ended; in a dry run, by version, how they would.
    pub changes: Changes,
    /// Why letters were kept.
    pub kept: Vec<Kept>,
    /// Ranges that the stream no longer holds as a whole.
    pub trimmed: Vec<Trimmed>,
    /// Whether letters are left in the queue; about how many.
    pub left: u64,
    /// Whether time, and not the queue, ended the run.
    pub out_of_time: bool,
}

/// Messages by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letters {
    /// Taken from the queue.
    pub received: u64,
    /// Applied or superseded, and deleted; in a dry run, those that would be.
    pub redriven: u64,
    /// Deleted without being applied, as asked.
    pub discarded: u64,
    /// Still in the queue, for one of the reasons in `kept`.
    pub kept: u64,
    /// Still in the queue, because the filter does not match.
    pub skipped: u64,
}

/// Changes by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Written.
    pub applied: u64,
    /// Applied before.
    pub duplicate: u64,
    /// Older than what stands in the index.
    pub stale: u64,
    /// Made needless by a newer one that was redriven with it.
    pub superseded: u64,
    /// Older by version and newer by event time than what stands in the index.
    #[serde(default)]
    pub order_anomalies: u64,
    /// Refused again.
    pub rejected: u64,
    /// May be applied later.
    pub failed: u64,
}

/// Letters that were kept for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The engine's error type, or one of the classes that the README lists, such as `trimmed` or `other_index`.
    pub class: String,
    /// The engine's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How many.
    pub count: u64,
    /// One of them, by the queue's id.
    pub message_id: String,
    /// Its reason, in full: may quote the item.
    pub reason: String,
}

/// A range that the stream no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trimmed {
    /// The message, by the queue's id.
    pub message_id: String,
    /// The stream.
    pub stream_arn: String,
    /// The shard.
    pub shard_id: String,
    /// The first sequence number that was given up.
    pub from: String,
    /// The last one.
    pub to: String,
    /// What to do about it.
    pub next: String,
}

impl Changes {
    /// Counts one.
    pub fn count(&mut self, outcome: &Outcome) {
        let slot = match outcome {
            Outcome::Applied => &mut self.applied,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::Stale => &mut self.stale,
            Outcome::Superseded => &mut self.superseded,
            Outcome::OrderAnomaly => &mut self.order_anomalies,
            Outcome::Rejected(_) => &mut self.rejected,
            Outcome::Failed(_) => &mut self.failed,
        };
        *slot += 1;
    }
}

impl Report {
    /// Notes a letter that stays.
    pub fn keep(&mut self, message_id: &str, why: Rejection) {
        self.letters.kept += 1;
        let same = |kept: &&mut Kept| (&kept.class, kept.status) == (&why.class, why.status);
        if let Some(kept) = self.kept.iter_mut().find(same) {
            kept.count += 1;
        } else if self.kept.len() < MAX_LISTED {
            let Rejection { class, status, reason } = why;
            self.kept.push(Kept { class, status, count: 1, message_id: message_id.to_owned(), reason });
        }
    }

    /// Notes a range that is gone.
    pub fn trimmed(&mut self, trimmed: Trimmed) {
        if self.trimmed.len() < MAX_LISTED {
            self.trimmed.push(trimmed);
        }
    }
}
